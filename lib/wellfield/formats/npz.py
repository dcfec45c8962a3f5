"""NumPy's ``.npz``: several arrays by name in one archive. Pickled objects are neither read nor written."""

from __future__ import annotations

import math
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading, wrap_write_errors

_METHODS = {None: zipfile.ZIP_STORED, "zlib": zipfile.ZIP_DEFLATED}
_MEMBER = ".npy"


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of an archive by name, in the order in which they were written.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is no such archive, is damaged, or holds something that is no array.
    """
    with reading(path, ".npz archive"), zipfile.ZipFile(Path(path)) as archive:
        return {info.filename.removesuffix(_MEMBER): _read_member(archive, info) for info in archive.infolist()}


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, Any], *, compression: str | None = None) -> None:
    """Write arrays atomically with their names, order, dtypes and shapes, as NumPy reads them.

    Parameters
    ----------
    arrays:
        Arrays by name.
    compression:
        ``"zlib"``; none by default.

    Raises
    ------
    UnknownFormatError
        A name or an array cannot be stored.
    """
    name = os.fspath(path)
    if not isinstance(arrays, Mapping):
        raise UnknownFormatError(f"{name}: .npz takes a dictionary of arrays by name, not a {type(arrays).__name__}")
    if compression not in _METHODS:
        raise UnknownFormatError(f"{name}: unknown compression {compression!r}; expected one of {tuple(_METHODS)}")
    values = {key: np.asarray(array) for key, array in arrays.items()}
    for key, array in values.items():
        if not isinstance(key, str) or not key or "\0" in key:
            raise UnknownFormatError(f"{name}: {key!r} is no name of an array; expected text")
        if array.dtype.hasobject:
            raise UnknownFormatError(f"{name}: {key!r} is an array of Python objects, which cannot be stored as .npz")
    # Not np.savez, which takes some names for its own arguments.
    with (
        atomic_path(path) as part,
        wrap_write_errors(path, ".npz cannot hold these names or arrays", ValueError, struct.error),
        zipfile.ZipFile(part, "w") as archive,
    ):
        for key, array in values.items():
            info = zipfile.ZipInfo(key + _MEMBER)  # without the time of writing: equal arrays, equal files
            info.compress_type = _METHODS[compression]
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    if not info.filename.endswith(_MEMBER):
        raise ValueError(f"{info.filename!r} in it is no array")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        # Version 3.0 is 2.0 with other letters in names of fields.
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
        if math.prod(shape) * dtype.itemsize > info.file_size:  # a wrong byte must not allocate gigabytes
            raise ValueError(f"{info.filename!r} in it promises {math.prod(shape)} values of {dtype}")
    with archive.open(info) as member:
        array: np.ndarray[Any, Any] = np.lib.format.read_array(member, allow_pickle=False)
        if member.read():  # also makes zipfile compare the checksum
            raise ValueError(f"{info.filename!r} in it is longer than its array")
        return array
