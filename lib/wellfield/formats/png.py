"""PNG images without loss, through Pillow."""

from __future__ import annotations

import io
import os
import zlib
from typing import IO, Any

import numpy as np

from wellfield.errors import ImageKindError, UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.pixel_meaning import check_orientation, check_palette
from wellfield.formats.reading import open_file, reading

_GREY, _PALETTE = 0, 3  # colour types of the PNG header
_ORIENTATION = 274  # in EXIF
_DTYPES = {"1": "bool", "L": "uint8", "P": "uint8", "I;16": "uint16"}


def read_png(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a PNG: ``[Y, X]``, or ``[Y, X, channel]`` for colour.

    Raises
    ------
    UnreadableImageError
        The file is not a PNG, or a part of it is damaged or missing.
    ImageKindError
        Its pixels cannot be read unchanged: it has colours from a palette, colours of 16 bits, which Pillow cuts to 8,
        or several frames.
    """
    with reading(path, "PNG"):
        with open_file(path) as file:
            content = file.read()
        bits, image = _open(io.BytesIO(content), path)
        _check_chunks(memoryview(content))
        pixels = np.asarray(image)
        if image.mode == "L" and bits < 8:
            pixels = pixels // (255 // (2**bits - 1))  # Pillow stretches grey of 2 and 4 bits over the 8 of a byte
        return pixels


def read_png_header(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], str]:
    """Return shape and dtype of what :func:`read_png` returns, without reading pixels.

    Raises
    ------
    UnreadableImageError, ImageKindError
        As for :func:`read_png`, as far as the header tells.
    """
    with reading(path, "PNG"), open_file(path) as file:
        _, image = _open(file, path)
        shape = (image.height, image.width)
        bands = len(image.getbands())
        return (shape, _DTYPES[image.mode]) if bands == 1 else ((*shape, bands), "uint8")


def _open(file: IO[bytes], path: str | os.PathLike[str]) -> tuple[int, Any]:
    """Return the bits of a value and the opened image, whose pixels are not read yet."""
    from PIL import Image, UnidentifiedImageError

    header = file.read(26)
    try:
        image = Image.open(file, formats=["PNG"])
    except UnidentifiedImageError:
        raise ValueError("it does not begin like a PNG") from None
    if "exif" in image.info:
        check_orientation(image.getexif().get(_ORIENTATION), source=os.fspath(path))
    bits, colours = header[24:26]  # Pillow has checked that this is a header
    if colours == _PALETTE:
        # A palette of fewer than 8 bits has the colours that a program found in one image; the next may have others.
        check_palette(np.reshape(image.getpalette("RGB") or [], (-1, 3)).T, 8, source=os.fspath(path))
    elif colours != _GREY and bits == 16:
        raise ImageKindError(f"{os.fspath(path)} has colours of 16 bits, which are not read; export it as grey")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageKindError(f"{os.fspath(path)} has {frames} frames; export each to a file of its own")
    return bits, image


def _check_chunks(content: memoryview) -> None:
    """Raise unless every part up to the end mark is complete: Pillow reads incomplete parts as black."""
    place = 8
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + size
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ValueError(f"it is damaged or truncated: the checksum of the part at byte {place} is wrong")
        if bytes(content[place + 4 : place + 8]) == b"IEND":
            return
        place = end + 4
    raise ValueError("it is truncated: the part that ends it is missing")


def write_png(path: str | os.PathLike[str], array: Any) -> None:
    """Write uint8 or uint16 grey, or uint8 RGB, atomically."""
    from PIL import Image

    values = np.asarray(array)
    kind = values.dtype.newbyteorder("=").name
    grey, colour = values.ndim == 2 and kind in ("uint8", "uint16"), values.shape[2:] == (3,) and kind == "uint8"
    if not (grey or colour) or not values.size:
        raise UnknownFormatError(
            f"{os.fspath(path)}: PNG holds uint8 or uint16 [Y, X] and uint8 [Y, X, 3], not {kind} {list(values.shape)}"
        )
    with atomic_path(path) as part, part.open("wb") as file:
        Image.fromarray(values).save(file, format="PNG")
