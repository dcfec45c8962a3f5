"""Where the first pixel of an image file is."""

from __future__ import annotations

from typing import Any

from wellfield.errors import ImageKindError


def check_orientation(orientation: Any, *, source: str) -> None:
    """Raise if the first pixel of a file is not at the top left of the image, by the tag that TIFF and EXIF share.

    Values other than 1 to 8 have no meaning.

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
