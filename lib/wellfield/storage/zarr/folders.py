"""Real folders below and around Zarr stores: what they are to the backend, and changes of them as a whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from wellfield.errors import (
    FolderNotEmptyError,
    MetadataError,
    NotAFolderError,
    SchemaVersionError,
    StorageError,
    WellNameError,
)
from wellfield.formats.atomic import is_part, part_path, rename_new, restore_children
from wellfield.plate.wells import canonical_well
from wellfield.storage.array_files import array_format
from wellfield.storage.files import file_errors, refuse_working_folder
from wellfield.storage.tree import copy_tree, put
from wellfield.storage.zarr.addressing import in_named_store, is_row_name, split_store
from wellfield.storage.zarr.well_index import NODE_FILES, check_store, read_record

# What the folder of an array holds: metadata and chunks, of both versions of Zarr.
_NAMES_IN_ARRAYS = frozenset({"zarr.json", ".zarray", ".zattrs", "c"})
_CHUNK = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def is_folder(path: Path) -> bool:
    """Tell whether *path* is a folder, and neither an array nor a part of a well."""
    return os.path.isdir(path) and array_format(path) is None and not in_well(path)


def in_well(path: Path) -> bool:
    """Tell whether *path* is a row of a store or lies below one: the wells' groups and arrays, which show as planes."""
    parts = path.parts
    for number, part in enumerate(parts):
        if number and is_row_name(part):
            store = Path(*parts[:number])
            below = parts[number + 1 : number + 2]
            columns = below or (os.listdir(store / part) if os.path.isdir(store / part) else ())
            if any(_has_well(store, part + column) for column in columns):
                return True
    return False


def _has_well(store: Path, name: str) -> bool:
    """Tell whether a store has a well of ours in the folder of a row and a column."""
    try:
        well = canonical_well(name)
        return well == name and read_record(store, well) is not None
    except WellNameError:
        return False
    except StorageError:
        return False  # somebody else's
    except (MetadataError, SchemaVersionError):
        return True


def children(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the arrays and of the folders in a folder; rows of a store are neither."""
    arrays: list[str] = []
    folders: list[str] = []
    with file_errors(folder, "be listed"):
        restore_children(folder)
        entries = list(os.scandir(folder))
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir() and not is_part(entry.name) and not (is_row_name(entry.name) and in_well(path)):
            (folders if array_format(path) is None else arrays).append(entry.name)
    return arrays, folders


def is_empty(folder: Path) -> bool:
    """Tell whether a folder holds nothing but the metadata of a group and unfinished writes."""
    with file_errors(folder, "be listed"):
        return all(name in NODE_FILES or is_part(name) for name in os.listdir(folder))


def check_parents(path: Path) -> None:
    """Refuse a place below an array or a file, inside a well, or in a store of another program.

    Raises
    ------
    NotAFolderError
        It lies below an array or a file.
    StorageError
        It is one of the others.
    """
    if in_well(path):
        message = f"{path} lies inside a well of a store; wells are saved with save_batch"
        raise StorageError(message, path=path, code=errno.EPERM)
    for parent in path.parents:
        if array_format(parent) is not None or os.path.isfile(parent):
            raise NotAFolderError(f"{path} lies below {parent}, which is not a folder", path=parent)
    if in_named_store(path) and split_store(path).logical:
        check_store(split_store(path).store)


def refuse_strangers(array: Path) -> None:
    """Refuse to replace or remove the folder of an array that holds something else, such as a TIFF file.

    Raises
    ------
    FolderNotEmptyError
        It does.
    """
    with file_errors(array, "be listed"):
        names = sorted(os.listdir(array))
    for name in names:
        if name not in _NAMES_IN_ARRAYS and _CHUNK.fullmatch(name) is None and not is_part(name):
            raise FolderNotEmptyError(
                f"{array} is an array that holds {name}, which is not part of it; move {name} away first", path=array
            )


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    with file_errors(folder, "be looked at"):
        return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)


def remove(folder: Path) -> None:
    """Remove a folder so that a crash leaves no half of it under its name; of a link, the link alone."""
    with file_errors(folder, "be removed"):
        if folder.is_symlink():
            folder.unlink()
            return
        refuse_working_folder(folder)
        part = part_path(folder)
        folder.rename(part)
        shutil.rmtree(part, ignore_errors=True)  # which leaves the rest where another process removes files as well
        if part.exists():
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
    _check_inside(source, destination)
    part = part_path(destination)
    try:
        with file_errors(destination, "be written"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            copy_tree(source, part)
            rename_new(part, destination)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move(source: Path, destination: Path, *, replace_symlinks: bool) -> None:
    """Rename a folder, or copy and remove it where the file systems differ.

    Raises
    ------
    DestinationExistsError
        Something is at *destination*, other than a link that is to be replaced.
    StorageError
        *destination* is inside *source*, or the file system refuses.
    """
    _check_inside(source, destination)
    with file_errors(destination, "be written"):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            put(source, destination, replace_symlinks=replace_symlinks)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy(source, destination)
            remove(source)


def _check_inside(source: Path, destination: Path) -> None:
    if destination.resolve().is_relative_to(source.resolve()) and not os.path.lexists(destination):
        message = f"{destination} is inside {source}, which cannot be copied or moved into itself"
        raise StorageError(message, path=destination, code=errno.EINVAL)
