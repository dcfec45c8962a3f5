"""A batch of planes sorted into the fields and labels of one well, and checked before anything is written."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.errors import ArrayShapeError, BatchError, DuplicatePlaneError, MemoryTypeError
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.host import host_array
from wellfield.storage.zarr.addressing import PlaneAddress, PlaneGrid, describe, parse_logical, split_store
from wellfield.storage.zarr.well_index import SeriesRecord

Planes = dict[PlaneKey, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PlaneSeries:
    """The planes of all fields that one kind of image has: the well's images, or one label."""

    grid: PlaneGrid
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    fields: Mapping[int, Planes]

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
    """All planes of one well; *names* where they are no plane names, in the order of z."""

    store: Path
    well: str
    images: PlaneSeries
    labels: Mapping[str, PlaneSeries]
    names: tuple[str, ...] = ()


def sort_batch(planes: Sequence[Any], paths: Sequence[str | os.PathLike[str]], well: str | None) -> WellBatch:
    """Sort planes by their paths; no pixel is read yet.

    Every series gets one grid for the well, so that all fields have the same axes and what a field lacks is a gap. If
    no path is a plane name, the planes are one stack along z in the given order.

    Raises
    ------
    BatchError
        Plane names and others are mixed, or others come without a well; paths of several stores or wells; mixed dtypes;
        labels without images.
    ArrayShapeError
        A plane is not 2-D, or planes differ in size.
    DuplicatePlaneError
        Two planes have one path.
    MemoryTypeError
        Something is no array.
    """
    if not paths:
        raise BatchError("a batch without planes; expected all planes of one well")
    store, addresses = _addresses(paths)
    names = tuple(address.name for address in addresses if address.name is not None)
    if names and well is None:
        raise BatchError(
            f"{paths[0]} does not say its well; give chunk_name, or names such as A01_s001_w1_z001_t001.tif"
        )
    keys = [address.key or PlaneKey(str(well), 1, 1, number, 1) for number, address in enumerate(addresses, start=1)]
    wells = {key.well for key in keys}
    if len(wells) > 1 or (well is not None and wells != {well}):
        asked = "" if well is None else f" for well {well}"
        raise BatchError(f"a batch{asked} holds planes of {', '.join(sorted(wells))}; expected those of one well")

    series: defaultdict[str | None, Planes] = defaultdict(dict)
    for key, address, data, path in zip(keys, addresses, planes, paths, strict=True):
        plane = host_array(data)
        if not isinstance(plane, np.ndarray):
            raise MemoryTypeError(f"{path} is a {type(data).__name__}; the Zarr backend takes arrays")
        if key in series[address.label]:
            raise DuplicatePlaneError(f"a batch holds {describe(key, address.label)} twice")
        series[address.label][key] = plane
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicatePlaneError(f"a batch holds {twice!r} twice")

    words = {key: repr(address.name) for key, address in zip(keys, addresses, strict=True) if address.name is not None}
    images = _series(series.pop(None, {}), None, words)
    labels = {name: _series(found, name, words) for name, found in sorted(series.items()) if name is not None}
    _check_images(images, store)
    for name, label in labels.items():
        _check_label(name, label, images)
    return WellBatch(store, wells.pop(), images, labels, names)


def _addresses(paths: Sequence[str | os.PathLike[str]]) -> tuple[Path, list[PlaneAddress]]:
    stores, addresses = set(), []
    for path in paths:
        store, logical = split_store(path)
        address = parse_logical(logical)
        if address is None:
            raise BatchError(
                f"{os.fspath(path)} is no place for a plane; expected a name such as A01_s001_w1_z001_t001.tif or "
                "labels/nuclei/A01_s001_w1_z001_t001.tif"
            )
        stores.add(store)
        addresses.append(address)
    unnamed = [address.name for address in addresses if address.name is not None]
    if unnamed and len(unnamed) < len(addresses):
        raise BatchError(
            f"a batch mixes plane names with others: {unnamed[0]!r} is none, such as A01_s001_w1_z001_t001.tif; "
            "planes are placed either by name or, all of them, in the given order"
        )
    if len(stores) > 1:
        raise BatchError(f"a batch goes to several stores: {', '.join(sorted(map(str, stores)))}")
    return stores.pop(), addresses


def _series(planes: Planes, label: str | None, words: Mapping[PlaneKey, str]) -> PlaneSeries:
    if not planes:
        raise BatchError("a batch holds labels only; a field's labels are written with its images")
    first_key, first = next(iter(planes.items()))

    def say(key: PlaneKey) -> str:
        return words.get(key) or describe(key, label)

    fields: defaultdict[int, Planes] = defaultdict(dict)
    for key, plane in planes.items():
        if plane.ndim != 2 or 0 in plane.shape:
            raise ArrayShapeError(f"{say(key)} has shape {plane.shape}; expected [Y, X]")
        if plane.shape != first.shape:
            raise ArrayShapeError(
                f"planes of one well differ in size: {say(first_key)} is {_size(first)}, {say(key)} is {_size(plane)}"
            )
        if _native(plane) != _native(first):
            raise BatchError(
                f"planes of one well differ in dtype: {say(first_key)} is {first.dtype}, {say(key)} is {plane.dtype}; "
                "write one of them as TIFF, or convert it in a step"
            )
        fields[key.field][key] = plane
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
