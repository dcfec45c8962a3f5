"""What a path of the disk backend means: without a suffix it stands for an array in ``<path>.npy``."""

from __future__ import annotations

import os
from pathlib import Path

from wellfield import formats
from wellfield.errors import StorageError, UnknownFormatError
from wellfield.storage.base import PathLike
from wellfield.storage.files import file_errors

ARRAY_SUFFIX = ".npy"


def checked_path(path: PathLike) -> Path:
    """Return what may be a path; one with a null character cannot."""
    if "\0" in os.fspath(path):
        raise StorageError(f"{os.fspath(path)!r} is no path: it holds a null character")
    return Path(path)


def is_bare(path: Path) -> bool:
    """Tell whether the last part of *path* has no suffix, known or not."""
    return path.name not in ("", "..") and not os.path.splitext(path.name)[1]


def array_path(path: Path) -> Path:
    """Return where the array is kept that a path without a suffix stands for."""
    return path.with_name(path.name + ARRAY_SUFFIX)


def found_path(path: PathLike) -> Path:
    """Return the file, link or folder that *path* means; *path* itself if there is none."""
    exact = Path(path)
    if is_bare(exact) and not os.path.lexists(exact) and os.path.isfile(array_path(exact)):
        return array_path(exact)
    return exact


def present_path(path: PathLike) -> Path:
    """Return the file, link or folder that *path* means.

    Raises
    ------
    DataNotFoundError
        There is none.
    StorageError
        It cannot be looked at.
    """
    found = found_path(checked_path(path))
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
