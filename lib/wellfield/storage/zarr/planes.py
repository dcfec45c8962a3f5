"""Single planes of other programs' Zarr arrays, which are only read.

In such an array a chunk that is not there stands for its fill value, and a plane without any chunk for a plane that was
never written. Such a plane is an error here, never black; a plane that lacks only a part of its chunks has the fill
value there, as its writer meant it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from wellfield.errors import DataNotFoundError, MetadataError, UnreadableImageError
from wellfield.plate.addresses import ArrayPlane
from wellfield.storage.files import not_found
from wellfield.storage.zarr.chunks import StoredPlane, stored_plane
from wellfield.storage.zarr.pixels import UnreadablePlaneError, open_array, read_planes
from wellfield.storage.zarr.plain import array_format


def load_array_planes(folder: Path, planes: Sequence[tuple[int, ...]]) -> list[npt.NDArray[Any]]:
    """Return planes ``[Y, X]`` of an array in its dtype, in native byte order.

    Parameters
    ----------
    folder:
        The array.
    planes:
        Indices along all axes before y and x.

    Raises
    ------
    DataNotFoundError
        There is no array, or no chunk of a plane.
    UnreadableImageError
        The array, or a chunk of a plane, is damaged, or the array has other axes.
    """
    zarr_format = _format(folder)
    array = _open(folder, zarr_format, sparse=False)
    shape = tuple(array.shape)
    for plane in planes:
        if len(plane) != len(shape) - 2 or any(at >= size for at, size in zip(plane, shape, strict=False)):
            raise UnreadableImageError(f"{_name(folder, plane)} is no plane of an array of shape {list(shape)}")
    try:
        return read_planes(array, planes)
    except UnreadablePlaneError:  # the most common reason is a chunk that is not there
        sparse = _open(folder, zarr_format, sparse=True)
        return [_load_sparse(sparse, folder, zarr_format, plane) for plane in planes]


def stat_array_plane(folder: Path, plane: tuple[int, ...]) -> tuple[int, float]:
    """Return the bytes that are stored of a plane (of chunks that it shares, its part), and the time of the newest.

    Raises
    ------
    DataNotFoundError
        There is no array, or no chunk of the plane.
    """
    stored = _stored(folder, _format(folder), plane)
    return stored.size, stored.mtime_ns / 1e9


def _load_sparse(array: Any, folder: Path, zarr_format: int, plane: tuple[int, ...]) -> npt.NDArray[Any]:
    _stored(folder, zarr_format, plane)
    try:
        return read_planes(array, [plane])[0]
    except UnreadablePlaneError as error:
        raise UnreadableImageError(f"{_name(folder, plane)} is damaged: {error.reason}") from error


def _stored(folder: Path, zarr_format: int, plane: tuple[int, ...]) -> StoredPlane:
    try:
        stored = stored_plane(folder, zarr_format, plane)
    except MetadataError as error:
        raise UnreadableImageError(f"{_name(folder, plane)} cannot be read: {error}") from error
    if stored is None:
        raise DataNotFoundError(f"{_name(folder, plane)} is not there: the array has no chunk of this plane")
    return stored


def _format(folder: Path) -> int:
    zarr_format = array_format(folder)
    if zarr_format is None:
        raise DataNotFoundError(f"{folder} is no Zarr array any more") if folder.is_dir() else not_found(folder)
    return zarr_format


def _open(folder: Path, zarr_format: int, *, sparse: bool) -> Any:
    try:
        return open_array(folder, zarr_format, sparse=sparse)
    except ValueError as error:  # by which TensorStore says anything
        raise UnreadableImageError(f"{folder} is no readable Zarr array: {error}") from error


def _name(folder: Path, plane: tuple[int, ...]) -> str:
    return ArrayPlane(str(folder), plane).path
