"""Writes plates as Harmony does for the Opera Phenix and the Operetta, with the vendor's habits that trip readers.

A frozen :class:`~tests.generators.harmony_plate.HarmonyPlate` says what a plate looks like; :func:`write_harmony`
writes it with the pixels of a function and returns what each file truly is. Every byte of an image follows from the
description and the pixels, so that the same well comes out the same whichever other wells are written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from tests.generators.harmony_index import NAMESPACES, USER, index_bytes, measurement_id, taken_at
from tests.generators.harmony_plate import HarmonyPlate, ImageFile
from wellfield.errors import ArrayShapeError
from wellfield.example.tiff_directory import ASCII, BYTE, LONG, RATIONAL, SHORT, Entry, pack_directory
from wellfield.plate.keys import PlaneKey

_SERIAL = "0000L00000"
_SOFTWARE = f"Windows Ver: 6.1.7601(Service Pack 1), Device Serial No: {_SERIAL}, App Ver: NGen 4.9.2137.273"
_CAMERA_PIXELS_PER_CM = [4294967295, 2770410]  # 6.45 µm, whatever the objective: real files say so as well
_LZW = 5

_FLEX_XML = """\
<?xml version="1.0" encoding="UTF-8" ?><Root><Arrays><Array FrameIndex="0" CompressionType="LZW" CompressionRate="1" \
Type="Image" Width="%d" Height="%d" BitsPerPixel="16" Factor="1" /></Arrays></Root>"""

_DESCRIPTION = """\
<?xml version="1.0" encoding="utf-8"?>\r
<TiffImageDescription Version="1" xmlns="%s" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:noNamespaceSchemaLocation="../OperetteSchemaV1.xsd"><MeasurementID>%s</MeasurementID></TiffImageDescription>"""


def write_harmony(
    folder: str | os.PathLike[str],
    plate: HarmonyPlate,
    planes: Callable[[PlaneKey], NDArray[np.uint16]],
) -> list[ImageFile]:
    """Write a plate below *folder* and return its images.

    Parameters
    ----------
    folder:
        Where the folder of the plate comes to lie.
    plate:
        What to write.
    planes:
        Gives the pixels of a plane by its true key, ``[Y, X]`` uint16 of the plate's size. It is asked field by field,
        all planes of one timepoint together.

    Raises
    ------
    ArrayShapeError
        The function gave an array of another size or dtype.
    """
    files = list(plate.files(folder))
    for parent in dict.fromkeys(path.parent for path in (*plate.index_files(folder), *(file.path for file in files))):
        parent.mkdir(parents=True, exist_ok=True)
    for index in plate.index_files(folder):
        index.write_bytes(index_bytes(plate))
    for file in files:
        pixels = planes(file.key)
        if pixels.shape != plate.size or pixels.dtype != np.uint16:
            raise ArrayShapeError(
                f"{file.key}: expected uint16 of shape {plate.size}, got {pixels.dtype} {pixels.shape}"
            )
        with open(file.path, "wb", buffering=0) as target:  # a buffer costs more than these files
            target.write(encode_image(pixels, plate, taken_at(file.key)))
    return files


def encode_image(pixels: NDArray[np.uint16], plate: HarmonyPlate, taken: datetime) -> bytes:
    """Encode one plane, ``[Y, X]`` uint16, as a little-endian TIFF file of one LZW strip with the tags behind it."""
    from imagecodecs import lzw_encode

    height, width = pixels.shape
    strip = bytes(lzw_encode(np.ascontiguousarray(pixels, dtype="<u2").tobytes()))
    padding = b"\0" * (len(strip) % 2)
    at = 8 + len(strip) + len(padding)
    description = _DESCRIPTION % (NAMESPACES[plate.version], measurement_id(plate))
    entries: list[Entry] = [
        (254, LONG, [0]),
        (256, SHORT, [width]),
        (257, SHORT, [height]),
        (258, SHORT, [16]),
        (259, SHORT, [_LZW]),
        (262, SHORT, [1]),
        (269, ASCII, _text(f"{plate.plate_type} ({USER})")),
        (271, ASCII, _text("PerkinElmer")),
        (272, ASCII, _text(_SERIAL)),
        (273, LONG, [8]),
        (278, SHORT, [height]),
        (279, LONG, [len(strip)]),
        (282, RATIONAL, _CAMERA_PIXELS_PER_CM),
        (283, RATIONAL, _CAMERA_PIXELS_PER_CM),
        (296, SHORT, [3]),
        (305, ASCII, _text(_SOFTWARE)),
        (306, ASCII, _text(f"{taken.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{taken.microsecond // 1000:03d}Z")),
        (315, ASCII, _text(USER)),
        (339, SHORT, [1]),
        (340, SHORT, [int(pixels.min())]),
        (341, SHORT, [int(pixels.max())]),
        (65200, ASCII, _text(_FLEX_XML % (width, height))),
        (65500, BYTE, description.encode("utf-8")),
    ]
    return struct.pack("<2sHI", b"II", 42, at) + strip + padding + pack_directory(entries, at)


def _text(text: str) -> bytes:
    return text.encode("utf-8") + b"\0"
