"""NumPy's ``.npy``: arrays without loss, memory-mapped when read. Pickled objects are neither read nor written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError, UnreadableImageError
from wellfield.formats.atomic import atomic_path


def read_npy(path: str | os.PathLike[str], *, mmap: bool = True) -> np.ndarray[Any, Any]:
    """Return the array of a file; by default a read-only memory map, so that only what is touched is read."""
    try:
        array: np.ndarray[Any, Any] = np.load(Path(path), mmap_mode="r" if mmap else None, allow_pickle=False)
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise UnreadableImageError(f"{os.fspath(path)} is no readable .npy array: {error}") from error
    return array


def write_npy(path: str | os.PathLike[str], array: Any) -> None:
    """Write an array atomically with its dtype and shape."""
    values = np.asarray(array)
    if values.dtype.hasobject:
        raise UnknownFormatError(f"{os.fspath(path)}: an array of Python objects cannot be stored as .npy")
    with atomic_path(path) as part, part.open("wb") as file:
        np.save(file, values, allow_pickle=False)
