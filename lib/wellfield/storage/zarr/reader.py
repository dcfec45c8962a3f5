"""Reads planes of one well of an OME-Zarr plate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from wellfield.errors import DataNotFoundError, StorageError, UnreadableImageError
from wellfield.formats.atomic import heal_directory
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.zarr.layout import (
    ATTRIBUTE,
    ATTRIBUTE_VERSION,
    LABELS,
    PlaneAddress,
    PlaneGrid,
    PlaneNotStoredError,
    describe,
    well_folder,
)
from wellfield.storage.zarr.pixels import read_plane

if TYPE_CHECKING:
    import zarr

_ATTEMPTS = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The planes that one field has of its image or of one label, as its attributes tell."""

    folder: Path
    group: zarr.Group
    label: str | None
    grid: PlaneGrid
    missing: frozenset[str]

    def index(self, key: PlaneKey) -> tuple[int, ...]:
        """Return the position of a plane in the arrays: ``(t, c, z)``, of labels ``(t, z)``.

        Raises
        ------
        PlaneNotStoredError
            The plane is not there.
        """
        position = self.grid.index(key)
        if position is None:
            has = f"channels {list(self.grid.channels)}, z {list(self.grid.z)} ({self.grid.projection} projection)"
            raise PlaneNotStoredError(
                f"{self.folder}: no {describe(key, self.label)}; the field has {has}, "
                f"timepoints {list(self.grid.timepoints)}"
            )
        if plane_name(key) in self.missing:
            raise PlaneNotStoredError(
                f"{self.folder}: {describe(key, self.label)} was missing when the well was written"
            )
        t, c, z = position
        return (t, c, z) if self.label is None else (t, z)

    def keys(self, well: str, field: int) -> list[PlaneKey]:
        """Return the keys of all planes that are there."""
        return [key for key in self.grid.keys(well, field) if plane_name(key) not in self.missing]


def open_series(store: Path, key: PlaneKey, label: str | None) -> StoredSeries:
    """Open the image or label that a plane is of; reads metadata of its field only.

    Raises
    ------
    DataNotFoundError
        The store has no such well, field or label.
    """
    import zarr

    well = well_folder(store, key.well)
    field = well / str(key.field)
    folder = field if label is None else field / LABELS / label
    steps = ((store, "store"), (well, f"well {key.well}"), (field, f"field {key.field}"), (folder, f"label {label!r}"))
    for step, what in steps:
        if not step.is_dir():
            raise PlaneNotStoredError(f"{store}: no {describe(key, label)}; there is no {what}")
    group = zarr.open_group(folder, mode="r", zarr_format=3)
    record: Any = group.attrs.get(ATTRIBUTE)
    if not isinstance(record, dict) or record.get("version") != ATTRIBUTE_VERSION:
        raise StorageError(
            f"{folder} was not written by Wellfield, or by another version; planes cannot be found by key"
        )
    return StoredSeries(folder, group, label, PlaneGrid.from_attributes(record), frozenset(record["missing"]))


def read_planes(store: Path, addresses: Sequence[PlaneAddress]) -> list[npt.NDArray[Any]]:
    """Return planes of one well in the given order.

    Raises
    ------
    PlaneNotStoredError
        A plane is not there.
    UnreadableImageError
        A plane is damaged.
    """
    return _consistent(store, addresses[0].key.well, lambda: _read(store, addresses))


def has_plane(store: Path, address: PlaneAddress) -> bool:
    """Tell whether a plane is stored."""

    def look() -> bool:
        try:
            open_series(store, address.key, address.label).index(address.key)
        except DataNotFoundError:
            return False
        return True

    return _consistent(store, address.key.well, look)


def well_planes(store: Path, well: str, label: str | None = None) -> list[PlaneKey]:
    """Return the keys of all planes that a well has as images, or of one label."""

    def look() -> list[PlaneKey]:
        found: list[PlaneKey] = []
        for field in _numbered(well_folder(store, well)):
            try:
                series = open_series(store, PlaneKey(well, field, 1, 1, 1), label)
            except DataNotFoundError:
                continue  # not every field has every label
            found += series.keys(well, field)
        return found

    return _consistent(store, well, look)


def well_labels(store: Path, well: str) -> set[str]:
    """Return the names of the labels that fields of a well have."""

    def look() -> set[str]:
        folder = well_folder(store, well)
        labels = (folder / str(field) / LABELS for field in _numbered(folder))
        return {entry.name for label in labels if label.is_dir() for entry in label.iterdir() if entry.is_dir()}

    return _consistent(store, well, look)


def _numbered(folder: Path) -> list[int]:
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()) if folder.is_dir() else []


def _read(store: Path, addresses: Iterable[PlaneAddress]) -> list[npt.NDArray[Any]]:
    opened: dict[tuple[int, str | None], tuple[StoredSeries, Any]] = {}
    planes = []
    for key, label in addresses:
        if (key.field, label) not in opened:
            series = open_series(store, key, label)
            opened[key.field, label] = series, series.group["0"]
        series, array = opened[key.field, label]
        index = series.index(key)
        # A chunk file that is not there, or empty, reads as zeros; the record says that this one must be.
        shard = series.folder / "0" / array.metadata.encode_chunk_key((index[0], *(0 for _ in array.shape[1:])))
        if not shard.is_file() or not shard.stat().st_size:
            raise UnreadableImageError(f"{shard} is gone, with {describe(key, label)} in it; write the well again")
        try:
            planes.append(read_plane(array, index))
        except Exception as error:  # a codec meets damaged bytes with any kind of error
            raise UnreadableImageError(f"{shard}: cannot read {describe(key, label)}: {error}") from error
    return planes


def _consistent(store: Path, well: str, read: Callable[[], T]) -> T:
    """Return what *read* finds in one version of a well: again if the well was replaced meanwhile."""
    folder = well_folder(store, well)
    for _ in range(_ATTEMPTS):
        heal_directory(folder)
        before = _identity(folder)
        try:
            result = read()
        except Exception:  # whatever it was, it counts only if the well stayed the same meanwhile
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return result
    raise StorageError(f"{folder} was replaced {_ATTEMPTS} times while it was read; try again")


def _identity(folder: Path) -> tuple[int, int, int] | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
