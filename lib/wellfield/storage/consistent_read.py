"""Reading a folder while a writer may replace it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wellfield.errors import StorageError
from wellfield.formats.atomic import restore_directory

_ATTEMPTS = 50

T = TypeVar("T")


def read_one_version(folder: Path, read: Callable[[], T]) -> T:
    """Return what *read* finds in a folder; read again if the folder was replaced meanwhile.

    A folder that a killed writer left under a temporary name is renamed back first.

    Raises
    ------
    StorageError
        The folder was replaced during every one of several attempts.
    """
    for _ in range(_ATTEMPTS):
        restore_directory(folder)
        before = _identity(folder)
        try:
            result = read()
        except Exception:  # whatever it was, it counts only if the folder stayed the same meanwhile
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return result
    raise StorageError(f"{folder} was replaced {_ATTEMPTS} times while it was read; try again")


def _identity(folder: Path) -> tuple[int, int, int] | None:
    try:
        status = folder.stat()
    except OSError:  # not there, or below a file; reading it says what is wrong
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
