"""The header of an image file that holds one plane, read without its pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from wellfield.errors import ImageKindError, UnknownFormatError
from wellfield.formats import format_suffix

PLANE_SUFFIXES = (".tif", ".tiff", ".png")


@dataclass(frozen=True, slots=True)
class PlaneHeader:
    """Shape ``(Y, X)``, dtype and calibration of one grey plane; ``None`` for what the file does not say."""

    shape: tuple[int, int]
    dtype: str
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None


def read_plane_header(path: str | os.PathLike[str]) -> PlaneHeader:
    """Return the header of a TIFF or PNG file that holds one grey plane.

    Raises
    ------
    ImageKindError
        It holds colours, a palette, several planes, or numbers that are not intensities.
    DataNotFoundError, UnreadableImageError
        The file does not exist, or is not a TIFF or PNG image.
    UnknownFormatError
        The suffix is neither of TIFF nor of PNG.
    """
    suffix = format_suffix(path)
    if suffix == ".png":
        from wellfield.formats.png import read_png_header

        shape, dtype = read_png_header(path)
        check_plane(shape, source=os.fspath(path), colour=True)
        return PlaneHeader((shape[0], shape[1]), dtype)
    if not suffix.endswith(PLANE_SUFFIXES):
        raise UnknownFormatError(f"{os.fspath(path)}: expected an image, {', '.join(PLANE_SUFFIXES)}")
    from wellfield.formats.tiff import read_tiff_header

    shape, dtype, found = read_tiff_header(path)
    check_plane(shape, source=os.fspath(path), colour="S" in found.axes)
    if dtype.startswith("complex"):
        raise ImageKindError(f"{os.fspath(path)} has complex numbers; expected intensities: export their magnitude")
    return PlaneHeader((shape[0], shape[1]), dtype, found.pixel_size_um, found.z_spacing_um)


def check_plane(shape: Sequence[int], *, source: str, colour: bool | None = None) -> None:
    """Raise unless an image of this shape is one grey plane ``[Y, X]``.

    Parameters
    ----------
    source:
        Name of the image, with which the message begins.
    colour:
        Whether the further axis holds colours; ``None`` if unknown.

    Raises
    ------
    ImageKindError
        It has colours or is a stack.
    """
    if len(shape) == 2:
        return
    what = "has several planes or colours" if colour is None else "has colours" if colour else "has several planes"
    raise ImageKindError(
        f"{source} {what} (shape {list(shape)}); expected one grey plane [Y, X]: export each channel, z and timepoint "
        "as a grey image of its own. This holds for a grey image that is stored as colour, too"
    )
