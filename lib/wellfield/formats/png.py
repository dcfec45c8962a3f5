"""PNG images without loss, through Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import ImageKindError, UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading

_GREY, _PALETTE = 0, 3  # colour types of the PNG header
_DTYPES = {"1": "bool", "L": "uint8", "I;16": "uint16"}


def read_png(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a PNG: ``[Y, X]``, or ``[Y, X, channel]`` for colour.

    Raises
    ------
    UnreadableImageError
        The file is no PNG.
    ImageKindError
        Its values would not be those of the pixels: colours from a palette, or of 16 bits, which Pillow cuts to 8; or
        it has several frames.
    """
    with reading(path, "PNG"):
        bits, image = _open(path)
        with image:
            pixels = np.asarray(image)
        if image.mode == "L" and bits < 8:
            pixels = pixels // (255 // (2**bits - 1))  # Pillow stretches grey of 2 and 4 bits over the 8 of a byte
        return pixels


def read_png_header(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], str]:
    """Return shape and dtype of what :func:`read_png` returns, without reading pixels.

    Raises
    ------
    UnreadableImageError
        As for :func:`read_png`.
    """
    with reading(path, "PNG"):
        _, image = _open(path)
        with image:
            shape = (image.height, image.width)
            bands = len(image.getbands())
            return (shape, _DTYPES[image.mode]) if bands == 1 else ((*shape, bands), "uint8")


def _open(path: str | os.PathLike[str]) -> tuple[int, Any]:
    """Return the bits of a value and the opened image, whose pixels are not read yet."""
    from PIL import Image

    with open(path, "rb") as file:
        header = file.read(26)
    image = Image.open(Path(path), formats=["PNG"])
    bits, colours = header[24:26]  # Pillow has checked that this is a header
    if colours == _PALETTE or (colours != _GREY and bits == 16):
        image.close()
        what = "colours from a palette" if colours == _PALETTE else "colours of 16 bits"
        raise ImageKindError(f"{os.fspath(path)} has {what}, whose numbers are no intensities; export it as grey")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        image.close()
        raise ImageKindError(f"{os.fspath(path)} has {frames} frames; export each to a file of its own")
    return bits, image


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
