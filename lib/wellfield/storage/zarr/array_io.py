"""Single arrays in Zarr: a path is the folder of a Zarr v3 array of any rank."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.errors import StorageError, UnknownFormatError, UnreadableImageError, WellfieldError
from wellfield.formats.atomic import carry_over, part_path, replace_directory, restore_directory
from wellfield.storage.array_files import array_format
from wellfield.storage.backend import ZarrConfig
from wellfield.storage.consistent_read import read_one_version
from wellfield.storage.zarr.addressing import ATTRIBUTE
from wellfield.storage.zarr.metadata_json import ArraySpec
from wellfield.storage.zarr.pixels import UnreadablePlaneError, create_array, open_array, read_planes

_CHUNK_BYTES = 2**23
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
_CHUNK = re.compile(r"c|[0-9]+(\.[0-9]+)*")


def is_array_file(path: str) -> bool:
    """Tell whether a path in the folder of an array is one of its metadata or of its chunks."""
    *folders, name = path.split("/")
    return all(map(_CHUNK.fullmatch, folders)) and (name in _METADATA or _CHUNK.fullmatch(name) is not None)


def save_array(path: Path, array: npt.NDArray[Any], config: ZarrConfig) -> None:
    """Write an array as the folder *path*, completely or not at all.

    Raises
    ------
    UnknownFormatError
        Zarr cannot hold this dtype.
    """
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise UnknownFormatError(f"{path}: Zarr arrays hold numbers of up to 64 bits, not {array.dtype}")
    staged = part_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        dtype = array.dtype.newbyteorder("=")
        chunks = _chunks(array.shape, dtype.itemsize)
        sharded = 0 not in array.shape and chunks != array.shape
        spec = ArraySpec(array.shape, dtype, (), chunks, shards=sharded, attributes={ATTRIBUTE: {"complete": True}})
        writer = create_array(staged / "array", spec, config, 3)
        if array.size:
            writer.begin([((), array.astype(dtype, copy=False))]).finish()
        restore_directory(path)
        carry_over(path, staged / "array", is_array_file)  # another program's files
        replace_directory(staged / "array", path)
    except ValueError as error:  # by which TensorStore reports what the file system said
        if isinstance(error, WellfieldError):
            raise
        raise StorageError(f"{path} cannot be written: {error}", path=path) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_array(path: Path, zarr_format: int) -> npt.NDArray[Any]:
    """Return a whole array.

    Raises
    ------
    UnreadableImageError
        It is damaged.
    """
    return read_one_version(path, lambda: _load(path, array_format(path) or zarr_format))


def _load(path: Path, zarr_format: int) -> npt.NDArray[Any]:
    try:
        array = open_array(path, zarr_format, sparse=not _is_complete(path))
        return read_planes(array, [()])[0] if array.size else np.empty(array.shape, array.dtype.numpy_dtype)
    except (UnreadablePlaneError, ValueError) as error:
        reason = error.reason if isinstance(error, UnreadablePlaneError) else error
        raise UnreadableImageError(f"{path} is not a readable Zarr array: {reason}", path=path) from error


def _is_complete(path: Path) -> bool:
    """Tell whether every chunk must be there: other programs leave out chunks that hold only the fill value."""
    try:
        return ATTRIBUTE in json.loads((path / "zarr.json").read_bytes()).get("attributes", {})
    except (OSError, ValueError, AttributeError):
        return False


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return chunks of up to some megabytes, whole along the last axes."""
    chunks, left = [], max(1, _CHUNK_BYTES // itemsize)
    for size in reversed(shape):
        chunks.append(max(1, min(size, left)))
        left = max(1, left // chunks[-1])
    return tuple(reversed(chunks))
