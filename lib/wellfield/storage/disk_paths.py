"""What a path of the disk backend means: without a suffix it stands for an array in ``<path>.npy``."""

from __future__ import annotations

import os
from pathlib import Path

from wellfield import formats
from wellfield.errors import UnknownFormatError
from wellfield.storage.array_files import is_sound_array
from wellfield.storage.files import file_errors, is_missing, not_found
from wellfield.storage.paths import PathLike, valid_path

ARRAY_SUFFIX = ".npy"


def is_bare(path: Path) -> bool:
    """Tell whether the last part of *path* has no suffix, known or not."""
    return path.name not in ("", "..") and not os.path.splitext(path.name)[1]


def array_path(path: Path) -> Path:
    """Return where the array is kept that a path without a suffix stands for."""
    return path.with_name(path.name + ARRAY_SUFFIX)


def is_zarr_array(path: Path) -> bool:
    """Tell whether a path without a suffix is the folder of a Zarr array: the object of another backend."""
    return is_bare(path) and not os.path.islink(path) and is_sound_array(path)


def found_path(path: PathLike) -> Path:
    """Return the file, link or folder that *path* means; where there is none, a path at which nothing is."""
    exact = Path(path)
    if not is_bare(exact):
        return exact
    if os.path.lexists(exact):
        return array_path(exact) if is_zarr_array(exact) else exact
    return array_path(exact) if os.path.isfile(array_path(exact)) else exact


def present_path(path: PathLike) -> Path:
    """Return the file, link or folder that *path* means.

    Raises
    ------
    DataNotFoundError
        There is none.
    StorageError
        It cannot be looked at.
    """
    found = found_path(valid_path(path))
    if not os.path.lexists(found) and is_missing(found):
        raise not_found(found)
    with file_errors(found, "be looked at"):
        os.lstat(found)
    return found


def path_in_same_format(origin: Path, destination: Path, action: str) -> Path:
    """Return the path at which a file keeps its format: an array may go to a path without a suffix.

    Raises
    ------
    UnknownFormatError
        *destination* names another format.
    """
    before, after = formats.format_suffix(origin), formats.format_suffix(destination)
    if before == ARRAY_SUFFIX and is_bare(destination):
        return array_path(destination)
    if before and after and formats.FORMATS[before] != formats.FORMATS[after]:
        raise UnknownFormatError(
            f"{origin} cannot {action} to {destination}: the file stays {before}; load and save change the format"
        )
    return destination
