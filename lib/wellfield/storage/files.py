"""Read real files, and turn the operating system's errors into errors that name the file."""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wellfield import formats
from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    FolderForImageError,
    IsFolderError,
    StorageError,
    UnreadableImageError,
    WellfieldError,
    os_failure,
)
from wellfield.storage.base import ObjectKind, ObjectStatus
from wellfield.storage.paths import PathLike


def read_file(path: PathLike, **options: Any) -> Any:
    """Read a file in the format of its suffix.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    IsFolderError
        The path is a folder.
    StorageError
        The file cannot be read.
    UnknownFormatError
        The suffix belongs to no known format.
    """
    try:
        read = formats.reader(path)
        with known_options(read, path, **options):
            return read(path, **options)
    except WellfieldError as error:
        if os.path.isdir(path):
            raise is_a_folder(path, image=isinstance(error, UnreadableImageError)) from error
        if isinstance(error, StorageError) and is_missing(path):
            raise not_found(path) from error
        raise


@contextmanager
def file_errors(path: PathLike, action: str) -> Iterator[None]:
    """Turn an error of the operating system into one that says which action (``"be read"``) failed for which path."""
    name = os.fspath(path)
    try:
        yield
    except WellfieldError:
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and is_missing(name):
            raise not_found(name) from error
        if isinstance(error, FileExistsError):
            message = f"{name} cannot {action}: something is there, and nothing is overwritten"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = f"no space left: {name} cannot {action}; free some space and run again"
        else:
            message = f"{name} cannot {action}: {error.strerror or error}"
        raise os_failure(error, message, name) from error


def is_missing(path: PathLike) -> bool:
    """Tell whether *path*, or the target of a link, is missing. Without permission to look it counts as existing."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    return False


def not_found(path: PathLike) -> DataNotFoundError:
    """Return the error for a path that does not exist."""
    name = os.fspath(path)
    if os.path.islink(name):
        return DataNotFoundError(f"{name} is a link to {os.readlink(name)}, which does not exist", path=name)
    return DataNotFoundError(f"{name} does not exist", path=name)


@contextmanager
def known_options(function: Callable[..., Any], path: PathLike, *arguments: Any, **options: Any) -> Iterator[None]:
    """Turn Python's error about an unknown option of a reader or writer into an ArgumentTypeError."""
    try:
        yield
    except TypeError as error:
        try:
            inspect.signature(function).bind(path, *arguments, **options)
        except TypeError as unknown:
            raise ArgumentTypeError(f"{os.fspath(path)}: {unknown}, an option of this format") from error
        raise


def link_status(link: PathLike, modified: float, target: ObjectStatus | None) -> ObjectStatus:
    """Return the status of a link from the status of its *target*, which is ``None`` if the target is gone."""
    return ObjectStatus(
        ObjectKind.SYMLINK,
        None if target is None else target.size,
        modified,
        os.path.realpath(link),
        None if target is None else target.kind,
    )


def refuse_working_folder(folder: PathLike) -> None:
    """Raise if a folder to remove is the working folder, or a folder above it such as ``/``."""
    name = os.path.realpath(folder)
    if os.path.commonpath([name, os.getcwd()]) == name:
        raise StorageError(
            f"{os.fspath(folder)} is not removed: the working folder {os.getcwd()} is in it",
            path=folder,
            code=errno.EBUSY,
        )


def is_a_folder(path: PathLike, *, image: bool = False) -> IsFolderError:
    """Return the error for a folder where a file, or an image, is expected."""
    kind = FolderForImageError if image else IsFolderError
    return kind(f"{os.fspath(path)} is a folder; expected a file", path=path)
