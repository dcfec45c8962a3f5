"""Reads single planes of Zarr arrays that other programs wrote.

Other programs leave out chunks that hold only the fill value. A plane that lacks some of its chunks has the fill value
there. A plane without any chunk was probably never written: it is an error here, never black, unless its address says
that it is background.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from wellfield.errors import DataNotFoundError, MetadataError, UnreadableImageError
from wellfield.plate.addresses import ArrayPlane
from wellfield.storage.array_files import ARRAY_FILES, array_format
from wellfield.storage.files import not_found
from wellfield.storage.zarr.chunks import ArrayLayout, StoredPlane, read_layout, stored_now
from wellfield.storage.zarr.pixels import UnreadablePlaneError, open_array, read_planes

Check = Callable[[Iterable[Path]], None]


def load_array_planes(
    folder: Path,
    planes: Sequence[tuple[int, ...]],
    check: Check,
    *,
    background: Collection[tuple[int, ...]] = (),
) -> list[npt.NDArray[Any]]:
    """Return planes ``[Y, X]`` of an array in its dtype, in native byte order.

    Parameters
    ----------
    folder:
        The array.
    planes:
        Indices along all axes before y and x.
    check:
        Called with the paths of files before they are opened; raises if one must not be opened.
    background:
        The planes that have the fill value if they have no chunk.

    Raises
    ------
    DataNotFoundError
        There is no array, or no chunk of a plane that is not background.
    UnreadableImageError
        The array, or a chunk of a plane, is damaged, has other axes, or planes too large for the memory.
    """
    zarr_format, layout = _layout(folder, check)
    shape = layout.shape
    for plane in planes:
        if len(plane) != len(shape) - 2 or any(at >= size for at, size in zip(plane, shape, strict=False)):
            raise UnreadableImageError(
                f"{_name(folder, plane)} is not a plane of an array of shape {list(shape)}", path=folder
            )
    check(folder / file for plane in planes for file in layout.files_of(plane))
    try:
        return read_planes(_open(folder, zarr_format, sparse=False), planes)
    except UnreadablePlaneError:  # the most common reason is a chunk that is not there
        _stored(folder, layout, [plane for plane in planes if plane not in background])
    except (MemoryError, ValueError) as error:
        raise UnreadableImageError(
            f"{folder}: planes of shape {list(shape[-2:])} cannot be read: {error}", path=folder
        ) from error
    try:
        return read_planes(_open(folder, zarr_format, sparse=True), planes)
    except UnreadablePlaneError as error:
        raise UnreadableImageError(
            f"{_name(folder, planes[error.number])} is damaged: {error.reason}", path=folder
        ) from error


def stat_array_plane(
    folder: Path, plane: tuple[int, ...], check: Check, *, background: bool = False
) -> tuple[int, float]:
    """Return the bytes that are stored of a plane (of chunks that it shares, its part), and the time of the newest.

    A plane that is *background* and has no chunk has no bytes, and the time of the array's metadata.

    Raises
    ------
    DataNotFoundError
        There is no array, or no chunk of the plane.
    """
    zarr_format, layout = _layout(folder, check)
    check(folder / file for file in layout.files_of(plane))
    if background and not stored_now(layout, folder, [plane]):
        metadata = next(name for name, number in ARRAY_FILES if number == zarr_format)
        return 0, (folder / metadata).stat().st_mtime
    stored = _stored(folder, layout, [plane])[plane]
    return stored.size, stored.mtime_ns / 1e9


def _stored(folder: Path, layout: ArrayLayout, planes: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], StoredPlane]:
    """Return what is stored of the planes; each shard's index is read once."""
    stored = stored_now(layout, folder, planes)
    for plane in planes:
        if plane not in stored:
            raise DataNotFoundError(
                f"{_name(folder, plane)} is not there: the array has no chunk of this plane", path=folder
            )
    return stored


def _layout(folder: Path, check: Check) -> tuple[int, ArrayLayout]:
    check(folder / name for name, _ in ARRAY_FILES)
    zarr_format = array_format(folder)
    if zarr_format is None:
        raise (
            DataNotFoundError(f"{folder} is not a Zarr array any more", path=folder)
            if folder.is_dir()
            else not_found(folder)
        )
    try:
        return zarr_format, read_layout(folder, zarr_format)
    except MetadataError as error:
        raise UnreadableImageError(f"{folder} is not a readable Zarr array: {error}", path=folder) from error


def _open(folder: Path, zarr_format: int, *, sparse: bool) -> Any:
    try:
        return open_array(folder, zarr_format, sparse=sparse)
    except ValueError as error:  # by which TensorStore says anything
        raise UnreadableImageError(f"{folder} is not a readable Zarr array: {error}", path=folder) from error


def _name(folder: Path, plane: tuple[int, ...]) -> str:
    return ArrayPlane(str(folder), plane).path
