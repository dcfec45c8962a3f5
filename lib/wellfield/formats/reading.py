"""Errors of readers and writers: whatever goes wrong with a file becomes one error that names it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

from wellfield.errors import (
    DataNotFoundError,
    FileAccessError,
    UnknownFormatError,
    UnreadableImageError,
    WellfieldError,
    os_failure,
)

# Error numbers that a corrupt file can cause, for example by an offset before its start.
_OF_THE_CONTENT = (None, errno.EINVAL, errno.EOVERFLOW)
# Error numbers of names that do not lead to a file: a socket, a device, links in a circle.
_OF_THE_FILE = (errno.ENXIO, errno.ENODEV, errno.ELOOP, errno.ENAMETOOLONG)


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read its bytes.

    Anything else is an error. For example, opening a named pipe would wait until somebody writes to it.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(name: str, flags: int) -> int:
    number = os.open(name, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(mode := os.fstat(number).st_mode):
        os.close(number)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        raise ValueError("it is a pipe or a device, not a file")
    return number


@contextmanager
def reading(
    path: str | os.PathLike[str], what: str, error: type[WellfieldError] = UnreadableImageError
) -> Iterator[None]:
    """Turn whatever goes wrong in the block into one error naming *path*.

    Readers raise almost any kind of error for corrupt files, so all are caught, except errors of Wellfield and
    MemoryError.

    Parameters
    ----------
    what:
        What the file should be, such as ``"TIFF"``.
    error:
        Raised if the file is something else.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    FileAccessError
        The user may not read the image.
    StorageError
        The operating system refuses to read it.
    """
    name = os.fspath(path)
    try:
        yield
    except (WellfieldError, MemoryError):
        raise
    except FileNotFoundError as cause:
        raise DataNotFoundError(f"{name} does not exist", path=name) from cause
    except Exception as cause:
        if os.path.isdir(name):
            raise _naming(name, error(f"{name} is a folder; expected a {what} file")) from cause
        if isinstance(cause, OSError) and cause.errno not in _OF_THE_CONTENT:
            raise _refused(name, cause, error) from cause
        message = f"{name} is not a readable {what} ({_size(name)} bytes): {cause or type(cause).__name__}"
        raise _naming(name, error(message)) from cause


def _naming(path: str, error: WellfieldError) -> WellfieldError:
    """Return an error with the path as its file name, if it is an OSError."""
    if isinstance(error, OSError):
        error.filename = path
    return error


def _refused(name: str, cause: OSError, error: type[WellfieldError]) -> WellfieldError:
    """Return the error for a file that the system refuses to open or read."""
    message = f"{name} cannot be read: {cause.strerror or cause}"
    if error is UnreadableImageError and isinstance(cause, PermissionError):
        return FileAccessError(f"{message}; allow yourself to read it", path=name, code=cause.errno)
    if error is UnreadableImageError and cause.errno in _OF_THE_FILE:
        return UnreadableImageError(message, path=name, code=cause.errno)
    return os_failure(cause, message, name)


@contextmanager
def wrap_write_errors(path: str | os.PathLike[str], what: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn *errors* of the block into an :class:`UnknownFormatError` that names *path* and says *what* is wrong."""
    try:
        yield
    except WellfieldError:
        raise
    except errors as cause:
        raise UnknownFormatError(f"{os.fspath(path)}: {what}: {cause}") from cause


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return 0
