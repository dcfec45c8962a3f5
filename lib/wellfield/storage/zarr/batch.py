"""The planes of one well, checked before anything is written; planes with paths get their keys here."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wellfield.errors import ArrayShapeError, BatchError, DuplicatePlaneError, MemoryTypeError
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.host import host_array
from wellfield.storage.zarr.addressing import (
    PlaneAddress,
    PlaneGrid,
    describe,
    is_label_name,
    parse_logical,
    split_store,
)
from wellfield.storage.zarr.well_index import SeriesRecord


class WellPlanes(NamedTuple):
    """The planes ``[Y, X]`` of one well by key, and those of each of its labels.

    *names* are the names of the planes in the order of z, if the caller gave other names than plane names.
    """

    store: Path
    well: str
    images: dict[PlaneKey, Any]
    labels: dict[str, dict[PlaneKey, Any]]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlaneSeries:
    """The planes of all fields that one kind of image has: the well's images, or one label."""

    grid: PlaneGrid
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    fields: Mapping[int, Mapping[PlaneKey, npt.NDArray[Any]]]

    def record(self, well: str) -> SeriesRecord:
        """Return what the well's record says of these planes."""
        missing = (
            plane_name(key)
            for field, given in self.fields.items()
            for key in self.grid.keys(well, field)
            if key not in given
        )
        return SeriesRecord(self.grid, tuple(self.fields), frozenset(missing))


@dataclass(frozen=True, slots=True)
class WellBatch:
    """All planes of one well, which fit together; *names* as in :class:`WellPlanes`."""

    store: Path
    well: str
    images: PlaneSeries
    labels: Mapping[str, PlaneSeries]
    names: tuple[str, ...] = ()


def parse_paths(planes: Sequence[Any], paths: Sequence[str | os.PathLike[str]], well: str | None) -> WellPlanes:
    """Return planes by the keys that their paths name.

    If no path is a plane name, the planes are one stack along z in the given order.

    Raises
    ------
    BatchError
        Plane names and others are mixed, or others come without a well; the paths are of several stores.
    DuplicatePlaneError
        Two planes have one path.
    """
    if not paths:
        raise BatchError("a batch without planes; expected all planes of one well")
    store, addresses = _addresses(paths)
    names = tuple(address.name for address in addresses if address.name is not None)
    if names and well is None:
        raise BatchError(
            f"{paths[0]} does not say its well; give chunk_name, or names such as A01_s001_w1_z001_t001.tif"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicatePlaneError(f"a batch holds {twice!r} twice")
    found: defaultdict[str | None, dict[PlaneKey, Any]] = defaultdict(dict)
    for number, (address, plane) in enumerate(zip(addresses, planes, strict=True), start=1):
        key = address.key or PlaneKey(str(well), 1, 1, number, 1)
        if key in found[address.label]:
            raise DuplicatePlaneError(f"a batch holds {describe(key, address.label)} twice")
        found[address.label][key] = plane
        well = well or key.well
    images = found.pop(None, {})
    return WellPlanes(store, str(well), images, {str(label): labels for label, labels in found.items()}, names)


def check_well(planes: WellPlanes) -> WellBatch:
    """Return the planes of a well as arrays, after checking that they fit together; no pixel is read yet.

    Every series gets one grid for the well, so that all fields have the same axes and what a field lacks is a gap.

    Raises
    ------
    BatchError
        Planes of several wells; mixed dtypes; labels without images, or under a name that no folder can have.
    ArrayShapeError
        A plane is not 2-D, or planes differ in size.
    MemoryTypeError
        A plane is not an array.
    """
    store, well, images, labels, names = planes
    wells = {key.well for series in (images, *labels.values()) for key in series}
    if wells - {well}:
        raise BatchError(
            f"a batch for well {well} holds planes of {', '.join(sorted(wells))}; expected planes of one well"
        )
    if odd := [name for name in labels if not is_label_name(name)]:
        raise BatchError(f"{store}: {odd[0]!r} cannot name a label; expected letters, digits and any of _ . -")
    if not images:
        raise BatchError("a batch holds labels only; a field's labels are written with its images")

    def name_of(label: str | None) -> Callable[[PlaneKey], str]:
        return lambda key: repr(names[key.z - 1]) if names else describe(key, label)

    series = _series(images, name_of(None))
    _check_images(series, store)
    by_label = {name: _series(found, name_of(name)) for name, found in sorted(labels.items())}
    for name, label in by_label.items():
        _check_label(name, label, series)
    return WellBatch(store, well, series, by_label, names)


def _addresses(paths: Sequence[str | os.PathLike[str]]) -> tuple[Path, list[PlaneAddress]]:
    stores, addresses = set(), []
    for path in paths:
        store, logical = split_store(path)
        address = parse_logical(logical)
        if address is None:
            raise BatchError(
                f"{os.fspath(path)} cannot hold a plane; expected a name such as A01_s001_w1_z001_t001.tif or "
                "labels/nuclei/A01_s001_w1_z001_t001.tif"
            )
        stores.add(store)
        addresses.append(address)
    unnamed = [address.name for address in addresses if address.name is not None]
    if unnamed and len(unnamed) < len(addresses):
        raise BatchError(
            f"a batch mixes plane names with others: {unnamed[0]!r} is not a plane name such as "
            "A01_s001_w1_z001_t001.tif; give all planes such names, or none, which stacks them in the given order"
        )
    if len(stores) > 1:
        raise BatchError(f"a batch goes to several stores: {', '.join(sorted(map(str, stores)))}")
    return stores.pop(), addresses


def _series(planes: Mapping[PlaneKey, Any], name_of: Callable[[PlaneKey], str]) -> PlaneSeries:
    """Return the planes of one kind by field; *name_of* names a plane in messages."""
    fields: defaultdict[int, dict[PlaneKey, npt.NDArray[Any]]] = defaultdict(dict)
    first_key, first = None, None
    for key, data in planes.items():
        plane = host_array(data)
        if not isinstance(plane, np.ndarray):
            raise MemoryTypeError(f"{name_of(key)} is a {type(data).__name__}; the Zarr backend takes arrays")
        if plane.ndim != 2 or 0 in plane.shape:
            raise ArrayShapeError(f"{name_of(key)} has shape {plane.shape}; expected [Y, X]")
        if first_key is None or first is None:
            first_key, first = key, plane
        if plane.shape != first.shape:
            raise ArrayShapeError(
                f"planes of one well differ in size: {name_of(first_key)} is {_size(first)}, {name_of(key)} is "
                f"{_size(plane)}"
            )
        if _native(plane) != _native(first):
            raise BatchError(
                f"planes of one well differ in dtype: {name_of(first_key)} is {first.dtype}, {name_of(key)} is "
                f"{plane.dtype}; write one of them as TIFF, or convert it in a step"
            )
        fields[key.field][key] = plane
    if first is None:
        raise BatchError("a label without planes; leave it out")
    height, width = first.shape
    return PlaneSeries(PlaneGrid.of(planes), (height, width), _native(first), dict(sorted(fields.items())))


def _check_images(images: PlaneSeries, store: Path) -> None:
    if images.dtype.kind not in "iuf" or images.dtype.itemsize > 8:
        raise BatchError(
            f"{store} takes images of integers or floats of up to 64 bits, not {images.dtype}; a mask is a label"
        )


def _check_label(name: str, label: PlaneSeries, images: PlaneSeries) -> None:
    if label.dtype.kind not in "biu":
        raise BatchError(f"label {name!r} is {label.dtype}; expected integers")
    if len(label.grid.channels) > 1:
        numbers = " and ".join(map(str, label.grid.channels))
        raise BatchError(
            f"label {name!r} has planes of channels {numbers}, but a label image has no channel axis; "
            "give each channel a label of its own"
        )
    if label.shape != images.shape:
        key = next(iter(next(iter(label.fields.values()))))
        raise ArrayShapeError(
            f"{describe(key, name)} is {'×'.join(map(str, label.shape))}, the well's images are "
            f"{'×'.join(map(str, images.shape))}"
        )
    lost = sorted(set(label.fields) - set(images.fields))
    if lost:
        raise BatchError(f"label {name!r} has planes of field {lost[0]}, which has no images in the batch")


def _native(plane: npt.NDArray[Any]) -> np.dtype[Any]:
    return plane.dtype.newbyteorder("=")


def _size(plane: npt.NDArray[Any]) -> str:
    return "×".join(map(str, plane.shape))
