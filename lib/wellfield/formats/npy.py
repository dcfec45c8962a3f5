"""NumPy's ``.npy``: arrays without loss, memory-mapped when read. Pickled objects are neither read nor written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading


def read_npy(path: str | os.PathLike[str], *, mmap: bool = True) -> np.ndarray[Any, Any]:
    """Return the array of a file; by default a read-only memory map, so that only what is touched is read."""
    with reading(path, ".npy array"):
        # Not np.load, which also opens archives and pickles. A map never takes memory for a size that a corrupt
        # header promises and the file has not.
        array = np.lib.format.open_memmap(Path(path), mode="r")
        return array if mmap else np.array(array)


def write_npy(path: str | os.PathLike[str], array: Any) -> None:
    """Write an array atomically with its dtype and shape."""
    values = np.asarray(array)
    if values.dtype.hasobject:
        raise UnknownFormatError(f"{os.fspath(path)}: an array of Python objects cannot be stored as .npy")
    values = np.ascontiguousarray(values).reshape(values.shape)  # the former makes a scalar an array of one
    with atomic_path(path) as part, part.open("wb") as file:
        # Not np.save, which reports a full disk as an error without a number.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
        file.write(values.reshape(-1).view(np.uint8).data)
