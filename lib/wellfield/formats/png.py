"""PNG images without loss, through Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError, UnreadableImageError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading

_GREY, _PALETTE = 0, 3  # colour types of the PNG header


def read_png(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a PNG: ``[Y, X]``, or ``[Y, X, channel]`` for colour.

    Raises
    ------
    UnreadableImageError
        The file is no PNG; or its values would not be those of the pixels: colours from a palette, or of 16 bits, which
        Pillow cuts to 8.
    """
    from PIL import Image

    with reading(path, "PNG"), Image.open(Path(path), formats=["PNG"]) as image:
        bits, colours = Path(path).read_bytes()[24:26]  # of the header, which Pillow has checked
        if colours == _PALETTE or (colours != _GREY and bits == 16):
            what = "colours from a palette" if colours == _PALETTE else "colours of 16 bits"
            raise UnreadableImageError(f"{os.fspath(path)} has {what}; convert it to grey, or to 8 bits a colour")
        return np.asarray(image)


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
