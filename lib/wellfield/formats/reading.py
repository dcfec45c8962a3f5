"""What every reader says of a file that it cannot read: one error that names it."""

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
    StorageError,
    UnknownFormatError,
    UnreadableImageError,
    WellfieldError,
)

# Numbers by which the system reports what a corrupt file made a reader ask for, such as a place before its start, or
# that there is no file behind the name: a socket, or links that lead in a circle.
_OF_THE_FILE = (None, errno.EINVAL, errno.EOVERFLOW, errno.ENXIO, errno.ENODEV, errno.ELOOP, errno.ENAMETOOLONG)


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read its bytes.

    Anything else is an error: of a named pipe, ``open`` would wait for somebody to write to it.
    """
    return open(path, "rb", opener=_open_regular)


def _open_regular(name: str, flags: int) -> int:
    number = os.open(name, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(mode := os.fstat(number).st_mode):
        os.close(number)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        raise ValueError("it is a pipe or a device, and no file")
    return number


@contextmanager
def reading(
    path: str | os.PathLike[str], what: str, error: type[WellfieldError] = UnreadableImageError
) -> Iterator[None]:
    """Turn whatever goes wrong in the block into one error naming *path*.

    Readers meet corrupt files with almost any kind of error, so every one is taken; own errors and a full memory pass
    as they are.

    Parameters
    ----------
    what:
        What the file should be, such as ``"TIFF"``.
    error:
        Raised for a file that is no such thing.

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
        raise DataNotFoundError(f"{name} does not exist") from cause
    except Exception as cause:
        if os.path.isdir(name):
            raise error(f"{name} is a folder; expected a {what} file") from cause
        if isinstance(cause, PermissionError) and error is UnreadableImageError:
            raise FileAccessError(
                f"{name} cannot be read: {cause.strerror}; give yourself the right to read it"
            ) from cause
        if isinstance(cause, OSError) and cause.errno not in _OF_THE_FILE:
            raise StorageError(f"{name} cannot be read: {cause.strerror or cause}") from cause
        raise error(f"{name} is no readable {what} ({_size(name)} bytes): {cause or type(cause).__name__}") from cause


@contextmanager
def fitting(path: str | os.PathLike[str], what: str, *errors: type[Exception]) -> Iterator[None]:
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
