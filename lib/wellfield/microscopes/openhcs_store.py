"""Where OpenHCS keeps each plane in a Zarr store: one array per well and field, with a map of file names to indices.

Only metadata is read here. The pixels are read later, by the virtual workspace, from the address ``array#[indices]``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wellfield.errors import MetadataError
from wellfield.formats.reading import reading

# Attribute of an array that maps file names to the indices of all axes before y and x; the first name is today's.
_MAPS = ("polystore_filename_map", "openhcs_filename_map")


class StoredArray(NamedTuple):
    """One array of a store.

    ``path`` is relative to the store, with forward slashes; ``shape`` is that of all axes, ``(…, Y, X)``; ``planes``
    maps file names to indices of all axes before y and x; ``mtime_ns`` is that of the array's metadata.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    planes: dict[str, tuple[int, ...]]
    mtime_ns: int


def stored_arrays(store: str | os.PathLike[str]) -> Iterator[StoredArray]:
    """Return the arrays ``row/column/field/0`` of a store that have a map of file names; reads no pixel.

    Raises
    ------
    MetadataError
        The metadata of an array is corrupt, or its map leads outside its shape.
    """
    import zarr

    folder = Path(store)
    for metadata in sorted([*folder.glob("*/*/*/0/.zarray"), *folder.glob("*/*/*/0/zarr.json")]):
        with reading(metadata.parent, "Zarr array", MetadataError):
            array = zarr.open_array(metadata.parent, mode="r")
            attributes = array.attrs.asdict()
        names = next((attributes[name] for name in _MAPS if name in attributes), None)
        if names is None:
            continue
        if not isinstance(names, dict):
            raise MetadataError(f"{metadata.parent}: its map of file names is no object of names to indices")
        planes = {name: _indices(index, array.shape, name, metadata.parent) for name, index in names.items()}
        described = [metadata, metadata.with_name(".zattrs")]
        changed = max(file.stat().st_mtime_ns for file in described if file.exists())
        yield StoredArray(
            metadata.parent.relative_to(folder).as_posix(), array.shape, array.dtype.name, planes, changed
        )


def _indices(index: object, shape: tuple[int, ...], name: str, path: Path) -> tuple[int, ...]:
    if not isinstance(index, list) or not all(type(number) is int for number in index):
        raise MetadataError(f"{path}: plane {name} is mapped to {index!r}; expected a list of indices")
    if len(index) != len(shape) - 2 or not all(0 <= number < size for number, size in zip(index, shape, strict=False)):
        raise MetadataError(f"{path}: plane {name} is mapped to {index}, outside the array's shape {list(shape)}")
    return tuple(index)
