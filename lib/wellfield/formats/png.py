"""PNG images without loss, through Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading


def read_png(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a PNG: ``[Y, X]``, or ``[Y, X, channel]`` for colour."""
    from PIL import Image

    with reading(path, "PNG"), Image.open(Path(path), formats=["PNG"]) as image:
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
