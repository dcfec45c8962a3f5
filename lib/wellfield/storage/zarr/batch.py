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

from wellfield.errors import ArrayShapeError, DuplicatePlaneError, MemoryTypeError, StorageError
from wellfield.plate.keys import PlaneKey
from wellfield.storage.zarr.layout import PlaneAddress, PlaneGrid, describe, parse_logical, split_store

Planes = dict[PlaneKey, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PlaneSeries:
    """The planes of all fields that one kind of image has: the well's images, or one label."""

    grid: PlaneGrid
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    fields: Mapping[int, Planes]


@dataclass(frozen=True, slots=True)
class WellBatch:
    """All planes of one well."""

    store: Path
    well: str
    images: PlaneSeries
    labels: Mapping[str, PlaneSeries]


def sort_batch(planes: Sequence[Any], paths: Sequence[str | os.PathLike[str]], well: str | None) -> WellBatch:
    """Sort planes by their paths; no pixel is read yet.

    Every series gets one grid for the well, so that all fields have the same axes and what a field lacks is a gap.

    Raises
    ------
    StorageError
        Paths that are no plane names, or of several stores or wells; mixed dtypes; labels without images.
    ArrayShapeError
        A plane is not 2-D, or planes differ in size.
    DuplicatePlaneError
        Two planes have one path.
    """
    if not paths:
        raise StorageError("a batch without planes; expected all planes of one well")
    store, addresses = _addresses(paths)
    wells = {address.key.well for address in addresses}
    if len(wells) > 1 or (well is not None and wells != {well}):
        asked = "" if well is None else f" for well {well}"
        raise StorageError(f"a batch{asked} holds planes of {', '.join(sorted(wells))}; expected those of one well")

    series: defaultdict[str | None, Planes] = defaultdict(dict)
    for address, plane, path in zip(addresses, planes, paths, strict=True):
        if not isinstance(plane, np.ndarray):
            raise MemoryTypeError(f"{path} is a {type(plane).__name__}; the Zarr backend takes NumPy arrays")
        if address.key in series[address.label]:
            raise DuplicatePlaneError(f"a batch holds {describe(address.key, address.label)} twice")
        series[address.label][address.key] = plane

    images = _series(series.pop(None, {}), None)
    labels = {name: _series(found, name) for name, found in sorted(series.items()) if name is not None}
    _check_images(images, store)
    for name, label in labels.items():
        _check_label(name, label, images)
    return WellBatch(store, wells.pop(), images, labels)


def _addresses(paths: Sequence[str | os.PathLike[str]]) -> tuple[Path, list[PlaneAddress]]:
    stores, addresses, unnamed = set(), [], []
    for path in paths:
        store, logical = split_store(path)
        address = parse_logical(logical)
        stores.add(store)
        if address is None:
            unnamed.append(logical)
        else:
            addresses.append(address)
    if unnamed:
        what = "mixes plane names with others" if addresses else "has no plane names"
        raise StorageError(
            f"a batch {what}: {unnamed[0]!r} is none; layout FIELD places planes by names such as "
            "A01_s001_w1_z001_t001.tif or labels/nuclei/A01_s001_w1_z001_t001.tif"
        )
    if len(stores) > 1:
        raise StorageError(f"a batch goes to several stores: {', '.join(sorted(map(str, stores)))}")
    return stores.pop(), addresses


def _series(planes: Planes, label: str | None) -> PlaneSeries:
    if not planes:
        raise StorageError("a batch holds labels only; a field's labels are written with its images")
    first_key, first = next(iter(planes.items()))
    fields: defaultdict[int, Planes] = defaultdict(dict)
    for key, plane in planes.items():
        if plane.ndim != 2 or 0 in plane.shape:
            raise ArrayShapeError(f"{describe(key, label)} has shape {plane.shape}; expected [Y, X]")
        if plane.shape != first.shape:
            raise ArrayShapeError(
                f"planes of one well differ in size: {describe(first_key, label)} is {_size(first)}, "
                f"{describe(key, label)} is {_size(plane)}"
            )
        if _native(plane) != _native(first):
            raise StorageError(
                f"planes of one well differ in dtype: {describe(first_key, label)} is {first.dtype}, "
                f"{describe(key, label)} is {plane.dtype}"
            )
        fields[key.field][key] = plane
    height, width = first.shape
    return PlaneSeries(PlaneGrid.of(planes), (height, width), _native(first), dict(sorted(fields.items())))


def _check_images(images: PlaneSeries, store: Path) -> None:
    if images.dtype.kind not in "iuf":
        raise StorageError(f"{store} takes images of integers or floats, not {images.dtype}; a mask is a label")


def _check_label(name: str, label: PlaneSeries, images: PlaneSeries) -> None:
    if label.dtype.kind not in "biu":
        raise StorageError(f"label {name!r} is {label.dtype}; expected integers")
    if len(label.grid.channels) > 1:
        numbers = " and ".join(map(str, label.grid.channels))
        raise StorageError(
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
        raise StorageError(f"label {name!r} has planes of field {lost[0]}, which has no images in the batch")


def _native(plane: npt.NDArray[Any]) -> np.dtype[Any]:
    return plane.dtype.newbyteorder("=")


def _size(plane: npt.NDArray[Any]) -> str:
    return "×".join(map(str, plane.shape))
