"""TIFF files of ImageXpress database folders: tags before pixels, deflated strips, a TIFF date."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from wellfield.example.metaseries_tiff import PlaneTags, metaseries_xml, strips_of
from wellfield.example.tiff_directory import ASCII, LONG, RATIONAL, SHORT, Entry, pack_directory


def encode_deflated(pixels: NDArray[np.uint16], tags: PlaneTags) -> bytes:
    """Encode one plane, ``[Y, X]`` uint16, as a little-endian TIFF file."""
    height, width = pixels.shape
    rows, plain = strips_of(pixels)
    strips = [zlib.compress(strip) for strip in plain]
    offsets = [0] * len(strips)
    fields: list[Entry] = [
        (254, LONG, [2]),
        (256, SHORT, [width]),
        (257, SHORT, [height]),
        (258, SHORT, [16]),
        (259, SHORT, [8]),
        (262, SHORT, [1]),
        (270, ASCII, metaseries_xml(pixels, tags).encode("ascii", "xmlcharrefreplace") + b"\0"),
        (273, LONG, offsets),
        (274, SHORT, [1]),
        (277, SHORT, [1]),
        (278, SHORT, [rows]),
        (279, LONG, [len(strip) for strip in strips]),
        (282, RATIONAL, [1, 1]),
        (283, RATIONAL, [1, 1]),
        (296, SHORT, [2]),
        (305, ASCII, b"MetaSeries\0"),
        (306, ASCII, f"{tags.taken:%Y:%m:%d %H:%M:%S}".encode("ascii") + b"\0"),
    ]
    first = 8 + len(pack_directory(fields, 8))
    for number, strip in enumerate(strips):
        offsets[number] = first
        first += len(strip)
    return struct.pack("<2sHI", b"II", 42, 8) + pack_directory(fields, 8) + b"".join(strips)
