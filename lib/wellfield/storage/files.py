"""Reading real files, and what the operating system's errors mean: every error names the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wellfield import formats
from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    DiskSpaceError,
    StorageError,
    WellfieldError,
)

PathLike = str | os.PathLike[str]


def read_file(path: PathLike, **options: Any) -> Any:
    """Read a file in the format of its suffix.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    StorageError
        It is a folder, or cannot be read.
    UnknownFormatError
        Its suffix names no format.
    """
    try:
        with file_errors(path, "be read"):
            return formats.reader(path)(path, **options)
    except WellfieldError as error:
        if os.path.isdir(path) and not isinstance(error, StorageError):
            raise StorageError(f"{os.fspath(path)} is a folder; expected a file") from error
        if isinstance(error, StorageError) and is_missing(path):
            raise not_found(path) from error
        raise


@contextmanager
def file_errors(path: PathLike, action: str) -> Iterator[None]:
    """Turn an error of the operating system into one that says what cannot be done (``"be read"``) with which path."""
    name = os.fspath(path)
    try:
        yield
    except WellfieldError:
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and is_missing(name):
            raise not_found(name) from error
        if isinstance(error, FileExistsError):
            raise DestinationExistsError(
                f"{name} cannot {action}: something is there, and nothing is overwritten"
            ) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskSpaceError(
                error.errno, f"no space left: {name} cannot {action}; free some space and run again"
            ) from error
        raise StorageError(f"{name} cannot {action}: {error.strerror or error}") from error


def is_missing(path: PathLike) -> bool:
    """Tell whether nothing is at *path*, or a link to nothing; not of a place that cannot be looked at."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def not_found(path: PathLike) -> DataNotFoundError:
    """Return the error for a path that is not there."""
    name = os.fspath(path)
    if os.path.islink(name):
        return DataNotFoundError(f"{name} is a link to {os.readlink(name)}, which does not exist")
    return DataNotFoundError(f"{name} does not exist")
