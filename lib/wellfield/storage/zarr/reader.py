"""Reads planes of one well of a Zarr store; files of other wells are not touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt

from wellfield.errors import ForeignStoreError, MetadataError, SchemaVersionError, StorageError, UnreadableImageError
from wellfield.plate.keys import plane_name
from wellfield.storage.consistent_read import read_one_version
from wellfield.storage.zarr.addressing import (
    LABELS,
    PlaneAddress,
    PlaneNotStoredError,
    describe,
    stored_wells,
    well_folder,
)
from wellfield.storage.zarr.pixels import UnreadablePlaneError, open_array, read_planes
from wellfield.storage.zarr.well_index import WellRecord, read_record


def load_planes(store: Path, well: str, addresses: Sequence[PlaneAddress]) -> list[npt.NDArray[Any]]:
    """Return planes ``[Y, X]`` of one well in the given order.

    Raises
    ------
    PlaneNotStoredError
        A plane is not there.
    UnreadableImageError
        A plane is damaged.
    """
    return read_one_version(well_folder(store, well), lambda: _load(store, well, addresses))


def has_plane(store: Path, well: str, address: PlaneAddress) -> bool:
    """Tell whether a plane is stored."""
    with suppress(StorageError, MetadataError, SchemaVersionError):  # not there, somebody else's, or damaged
        record = find_record(store, well)
        if record is not None:
            record.place(address)
            return True
    return False


def find_record(store: Path, well: str) -> WellRecord | None:
    """Return the record of a well; ``None`` if the store has no such well."""
    return read_one_version(well_folder(store, well), lambda: read_record(store, well))


def records(store: Path, *, damaged: bool = True) -> list[WellRecord]:
    """Return the records of all wells of a store that Wellfield wrote, in plate order.

    Parameters
    ----------
    damaged:
        Whether a well with damaged metadata, or of another version, is an error; otherwise it is left out.
    """
    found = []
    left_out = (ForeignStoreError,) if damaged else (StorageError, MetadataError, SchemaVersionError)
    for well in stored_wells(store):
        with suppress(*left_out):
            found.append(find_record(store, well))
    return [record for record in found if record is not None]


def well_of(store: Path, address: PlaneAddress, *, damaged: bool = True) -> str | None:
    """Return the well of a plane, from its key. A name without a key is looked up in the record of every well.

    Raises
    ------
    StorageError
        Several wells have a plane of that name.
    """
    if address.key is not None:
        return address.key.well
    wells = [record.well for record in records(store, damaged=damaged) if address.name in record.names]
    if len(wells) > 1:
        raise StorageError(
            f"{store}: wells {' and '.join(wells)} both have a plane {address.name!r}; say which by chunk_name"
        )
    return wells[0] if wells else None


def _load(store: Path, well: str, addresses: Sequence[PlaneAddress]) -> list[npt.NDArray[Any]]:
    record = read_record(store, well)
    if record is None:
        what = f"well {well}" if store.is_dir() else "store"
        raise PlaneNotStoredError(
            f"{store}: no {_name(addresses[0])}; there is no {what}", path=_path(store, addresses[0])
        )
    arrays: defaultdict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for number, address in enumerate(addresses):
        try:
            array, index = record.place(address)
        except PlaneNotStoredError as error:
            raise PlaneNotStoredError(f"{store}: {error}", path=_path(store, address)) from None
        arrays[array].append((number, index))
    planes: dict[int, npt.NDArray[Any]] = {}
    for path, wanted in arrays.items():
        folder = well_folder(store, well) / path
        number = wanted[0][0]
        try:
            found = read_planes(open_array(folder, record.zarr_format), [index for _, index in wanted])
        except UnreadablePlaneError as error:
            number = wanted[error.number][0]
            raise _unreadable(folder, addresses[number], error.reason) from error
        except ValueError as error:  # the array itself cannot be opened
            raise _unreadable(folder, addresses[number], error) from error
        planes.update(zip((number for number, _ in wanted), found, strict=True))
    return [planes[number] for number in range(len(addresses))]


def _unreadable(folder: Path, address: PlaneAddress, reason: Exception) -> UnreadableImageError:
    message = f"{folder}: cannot read {_name(address)}, write the well again: {reason}"
    return UnreadableImageError(message, path=folder)


def _path(store: Path, address: PlaneAddress) -> Path:
    """Return the path of a plane for the backend."""
    folder = store if address.label is None else store / LABELS / address.label
    return folder / (str(address.name) if address.key is None else plane_name(address.key))


def _name(address: PlaneAddress) -> str:
    return str(address.name) if address.key is None else describe(address.key, address.label)
