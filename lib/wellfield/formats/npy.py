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
    """Return the array of a file; by default as a read-only memory map, which reads only the parts that are used."""
    with reading(path, ".npy array"):
        # np.load would open archives and pickles too. A map takes no memory for a size that only a corrupt header
        # promises.
        array = np.lib.format.open_memmap(Path(path), mode="r")
        return array if mmap else np.array(array)


def write_npy(path: str | os.PathLike[str], array: Any) -> None:
    """Write an array atomically with its dtype and shape."""
    values = np.asarray(array)
    if values.dtype.hasobject:
        raise UnknownFormatError(f"{os.fspath(path)}: an array of Python objects cannot be stored as .npy")
    values = np.ascontiguousarray(values).reshape(values.shape)  # ascontiguousarray turns a scalar into an array of one
    with atomic_path(path) as part, part.open("wb") as file:
        # np.save would report a full disk as an error without a number.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
        file.write(values.reshape(-1).view(np.uint8).data)
