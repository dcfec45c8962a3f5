"""Real folders below and around Zarr stores: what they are to the backend, and changes of them as a whole."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError
from wellfield.formats.atomic import is_part, part_path, rename_new
from wellfield.storage.files import file_errors
from wellfield.storage.zarr.layout import is_row_name, stored_wells
from wellfield.storage.zarr.plain import array_format


def is_folder(path: Path) -> bool:
    """Tell whether *path* is a folder, and neither an array nor a part of a well."""
    return path.is_dir() and array_format(path) is None and not in_well(path)


def in_well(path: Path) -> bool:
    """Tell whether *path* lies below a store's rows: the wells' own arrays and groups, which show up as planes."""
    return any(
        is_row_name(part) and stored_wells(Path(*path.parts[:number]))
        for number, part in enumerate(path.parts)
        if number
    )


def children(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the arrays and of the folders in a folder; rows of a store are neither."""
    arrays: list[str] = []
    folders: list[str] = []
    rows = bool(stored_wells(folder))
    for entry in os.scandir(folder):
        if entry.is_dir() and not is_part(entry.name) and not (rows and is_row_name(entry.name)):
            (folders if array_format(Path(entry.path)) is None else arrays).append(entry.name)
    return arrays, folders


def check_parents(path: Path) -> None:
    """Refuse a place below an array or inside a well.

    Raises
    ------
    StorageError
        It is one.
    """
    if in_well(path):
        raise StorageError(f"{path} lies inside a well of a store; wells are saved with save_batch")
    for parent in path.parents:
        if array_format(parent) is not None:
            raise StorageError(f"{parent} is an array, not a folder")


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)


def remove(folder: Path) -> None:
    """Remove a folder so that a crash leaves no half of it under its name."""
    with file_errors(folder, "be removed"):
        part = part_path(folder)
        folder.rename(part)
        shutil.rmtree(part)


def copy(source: Path, destination: Path) -> None:
    """Copy a folder; complete or not at all, and never onto something.

    Raises
    ------
    DestinationExistsError
        Something is at *destination*.
    StorageError
        *destination* is inside *source*, or the file system refuses.
    """
    _check_destination(source, destination)
    part = part_path(destination)
    try:
        with file_errors(destination, "be written"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, part, symlinks=True)
            rename_new(part, destination)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move(source: Path, destination: Path, *, replace_symlinks: bool) -> None:
    """Rename a folder, or copy and remove it where the file systems differ.

    Raises
    ------
    DestinationExistsError
        Something is at *destination*.
    StorageError
        *destination* is inside *source*, or the file system refuses.
    """
    linked = replace_symlinks and destination.is_symlink()
    if not linked:
        _check_destination(source, destination)
    with file_errors(destination, "be written"):
        destination.parent.mkdir(parents=True, exist_ok=True)
        if linked:
            destination.unlink()
        try:
            rename_new(source, destination)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy(source, destination)
            remove(source)


def _check_destination(source: Path, destination: Path) -> None:
    if os.path.lexists(destination):
        raise DestinationExistsError(f"{destination} exists; remove it first, or give another path")
    if destination.resolve().is_relative_to(source.resolve()):
        raise StorageError(f"{destination} is inside {source}, which cannot be copied or moved into itself")
    if not source.exists():
        raise DataNotFoundError(f"{source} does not exist")
