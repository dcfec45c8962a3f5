"""What the numbers of an image file mean: whether they are intensities, and where the first pixel is."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.errors import ImageKindError

_COARSE, _FINE = 255, 65_535  # the brightest value of a colour, in palettes of 8 and of 16 bits


def check_orientation(orientation: Any, *, source: str) -> None:
    """Raise unless the first pixel of a file is at the top left of the image.

    *orientation* is the value of the tag that TIFF and EXIF share. Values other than 1 to 8 have no meaning.

    Raises
    ------
    ImageKindError
        The rows or columns of the file are turned or mirrored.
    """
    if orientation in range(2, 9):
        raise ImageKindError(
            f"{source} is stored turned or mirrored (its Orientation is {orientation}); export it with Orientation 1, "
            "its first row at the top and its first pixel at the left"
        )


def check_palette(colours: Any, bits: int, *, source: str) -> None:
    """Raise unless the numbers of an image with this palette are intensities.

    They are intensities if red, green and blue each rise evenly with the number or stay the same: grey (0 is black, 255
    is white) or black to green. With any other palette, neither the numbers nor the colours need to be what was
    measured.

    Parameters
    ----------
    colours:
        Array ``[3, number]``, or ``None``.
    bits:
        Bits per pixel.
    source:
        Name of the image, with which the message begins.

    Raises
    ------
    ImageKindError
        It is another palette.
    """
    shape = np.shape(colours)
    if shape == (3, 2**bits):
        table = np.asarray(colours, np.float64)
        if _rises(table):
            return
        if _rises(table[:, ::-1]):
            raise ImageKindError(
                f"{source} has a palette from bright to dark, in which 0 is the brightest value; export it as grey "
                "with black as 0"
            )
    raise ImageKindError(
        f"{source} has a palette whose numbers are not intensities; export it as grey. Only palettes that rise evenly "
        "are read, such as grey, or black to green"
    )


def _rises(table: np.ndarray[Any, Any]) -> bool:
    first, last = table[:, :1], table[:, -1:]
    full = _COARSE if table.max() <= _COARSE else _FINE
    even = first + (last - first) * np.linspace(0, 1, table.shape[1])
    brightens = bool((last >= first).all()) and float((last - first).max()) >= full / 2
    return brightens and bool((abs(table - even) <= full / _COARSE).all())  # colours are rounded to 8 bits, or cut
