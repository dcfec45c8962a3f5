"""TIFF planes and stacks: pixels and calibration kept exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError, UnreadableImageError
from wellfield.formats.atomic import atomic_path

MICROMETRES_PER_CENTIMETRE = 10_000.0


def read_tiff(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a TIFF file with their dtype; ``[Y, X]`` for one page, ``[Z, Y, X]`` for several.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is empty, truncated or no TIFF.
    """
    import tifffile

    try:
        with tifffile.TiffFile(Path(path)) as file:
            series = file.series[0]
            plain = all(page is None or page.compression == 1 for page in series.pages[:1])
            if plain and series.nbytes > file.filehandle.size:  # a wrong byte must not allocate gigabytes
                raise UnreadableImageError(f"its header promises {series.nbytes} bytes of pixels")
            array: np.ndarray[Any, Any] = file.asarray()
            if array.ndim == 3 and array.shape[0] == 1 and series.axes[0] not in "YXS":
                array = array[0]
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # tifffile meets what is corrupt with almost any kind of error
        size = Path(path).stat().st_size if Path(path).exists() else 0
        raise UnreadableImageError(f"{os.fspath(path)} is no readable TIFF ({size} bytes): {error}") from error
    if array.size == 0:
        raise UnreadableImageError(f"{os.fspath(path)} holds no pixel")
    return array


def write_tiff(
    path: str | os.PathLike[str], array: Any, *, pixel_size_um: float | None = None, axes: str | None = None
) -> None:
    """Write an array as TIFF, atomically, without compression, in a form that ImageJ reads with its calibration.

    Parameters
    ----------
    array:
        ``[Y, X]`` or ``[Z, Y, X]``. uint8, uint16 and float32 are written as ImageJ hyperstacks; every other dtype,
        which that form cannot hold, as plain TIFF with the same calibration in the resolution tags.
    pixel_size_um:
        Edge of a pixel in µm; no calibration is written when unknown.
    axes:
        Axes of *array*, ``"YX"`` or ``"ZYX"`` by default.
    """
    import tifffile

    values = np.asarray(array)
    if values.dtype == bool:
        values = values.view(np.uint8)
    if values.dtype.kind not in "iufc" or values.ndim < 2 or not values.size:
        raise UnknownFormatError(
            f"{os.fspath(path)}: TIFF holds images of numbers, not {values.dtype} {list(values.shape)}"
        )
    axes = axes or "ZYX"[-values.ndim :]
    imagej = values.dtype.str.lstrip("<>|=") in ("u1", "u2", "f4")
    options: dict[str, Any] = {"photometric": "minisblack", "imagej": imagej, "metadata": {"axes": axes}}
    if pixel_size_um is not None:
        density = (1 / pixel_size_um,) * 2 if imagej else (MICROMETRES_PER_CENTIMETRE / pixel_size_um,) * 2
        options |= {"resolution": density, "resolutionunit": "NONE" if imagej else "CENTIMETER"}
        if imagej:
            options["metadata"]["unit"] = "um"
    with atomic_path(path) as part:
        tifffile.imwrite(part, values, **options)


def read_pixel_size(path: str | os.PathLike[str]) -> float | None:
    """Return the pixel size in µm that :func:`write_tiff` put into a file, or ``None``."""
    import tifffile

    with tifffile.TiffFile(Path(path)) as file:
        page = file.pages.first
        tag = page.tags.get("XResolution")
        if tag is None or tag.value[0] == 0:
            return None
        size = float(tag.value[1] / tag.value[0])
        if file.is_imagej:
            return size if (file.imagej_metadata or {}).get("unit") in ("um", "micron", "µm", "\\u00B5m") else None
        return size * MICROMETRES_PER_CENTIMETRE if page.tags["ResolutionUnit"].value == 3 else None
