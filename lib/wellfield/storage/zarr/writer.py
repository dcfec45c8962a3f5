"""Writes one well of an OME-Zarr plate, complete or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wellfield.errors import DiskSpaceError, StorageError
from wellfield.formats.atomic import heal_directory, part_path, replace_directory
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.backend import ZarrConfig
from wellfield.storage.zarr import metadata as ngff
from wellfield.storage.zarr.batch import PlaneSeries, WellBatch
from wellfield.storage.zarr.display import WindowEstimator
from wellfield.storage.zarr.layout import ATTRIBUTE, ATTRIBUTE_VERSION, LABELS, describe, well_folder
from wellfield.storage.zarr.pixels import create_level, write_timepoint
from wellfield.storage.zarr.pyramid import halve_mean, level_shapes, nearest

if TYPE_CHECKING:
    import zarr

_LARGEST_ID = 2**32 - 1


def write_well(batch: WellBatch, *, config: ZarrConfig, metadata: ngff.FieldMetadata) -> None:
    """Write a well beside its place and put it there in one step; nothing else in the store changes.

    Memory: the planes of one timepoint of one field.

    Raises
    ------
    StorageError
        The file system refuses, or a label has an id outside ``uint32``.
    DiskSpaceError
        The file system is full.
    """
    folder = well_folder(batch.store, batch.well)
    staged = part_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        heal_directory(folder)
        _write_staged(staged, batch, config, metadata)
        replace_directory(staged, folder)
    except BaseException as error:
        shutil.rmtree(staged, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            kind = DiskSpaceError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
            raise kind(f"cannot write well {batch.well} of {batch.store}: {error}") from error
        raise


def _write_staged(folder: Path, batch: WellBatch, config: ZarrConfig, metadata: ngff.FieldMetadata) -> None:
    import zarr

    fields = list(batch.images.fields)
    well = zarr.open_group(
        folder, mode="w-", zarr_format=3, attributes={"ome": ngff.well_attributes(fields), ATTRIBUTE: _origin(batch)}
    )
    for field in fields:
        group = well.create_group(str(field))
        _write_image(group, batch, field, config=config, metadata=metadata)
        names = [name for name, series in batch.labels.items() if field in series.fields]
        if names:
            labels = group.create_group(LABELS, attributes={"ome": ngff.labels_attributes(names)})
            for name in names:
                _write_label(labels.create_group(name), batch, field, name, config=config, metadata=metadata)


def _write_image(
    group: zarr.Group, batch: WellBatch, field: int, *, config: ZarrConfig, metadata: ngff.FieldMetadata
) -> None:
    series = batch.images
    timepoints, _, depth = series.grid.shape
    shapes = level_shapes(series.shape)
    levels = [
        create_level(
            group,
            str(level),
            shape=(*series.grid.shape, *shape),
            dtype=series.dtype,
            axes=ngff.IMAGE_AXES,
            config=config,
        )
        for level, shape in enumerate(shapes)
    ]
    estimator = WindowEstimator(timepoints * depth, series.shape)
    for t, planes in _by_timepoint(series, field).items():
        for (channel, _), plane in planes.items():
            estimator.add(series.grid.channels[channel], plane)
        block, present = _stack(planes, series.grid.shape[1:], series.shape, series.dtype, np.asarray)
        write_timepoint(levels[0], t, block, present)
        for array, shape in zip(levels[1:], shapes[1:], strict=True):
            above, block = block, np.zeros((*block.shape[:2], *shape), series.dtype)
            for position in planes:
                block[position] = halve_mean(above[position])
            write_timepoint(array, t, block, present)

    windows = estimator.windows(series.grid.channels, series.dtype, metadata.windows)
    name = f"{batch.well}/{field}"
    ome = ngff.image_attributes(name, series.grid, len(levels), metadata, windows)
    group.update_attributes({"ome": ome, ATTRIBUTE: _record(batch.well, field, series)})


def _write_label(
    group: zarr.Group, batch: WellBatch, field: int, name: str, *, config: ZarrConfig, metadata: ngff.FieldMetadata
) -> None:
    series = batch.labels[name]
    timepoints, _, depth = series.grid.shape
    shapes = level_shapes(series.shape)
    levels = [
        create_level(
            group,
            str(level),
            shape=(timepoints, depth, *shape),
            dtype=np.dtype(np.uint32),
            axes=ngff.LABEL_AXES,
            config=config,
        )
        for level, shape in enumerate(shapes)
    ]
    for t, planes in _by_timepoint(series, field).items():
        by_z = {(z,): plane for (_, z), plane in planes.items()}
        ids, present = _stack(by_z, (depth,), series.shape, np.dtype(np.uint32), _check_ids(name, batch.well, field))
        write_timepoint(levels[0], t, ids, present)
        for level, (array, shape) in enumerate(zip(levels[1:], shapes[1:], strict=True), start=1):
            block = np.zeros((depth, *shape), np.uint32)
            for position in by_z:
                block[position] = nearest(ids[position], level)
            write_timepoint(array, t, block, present)

    ome = ngff.label_attributes(name, series.grid, len(levels), metadata)
    group.update_attributes({"ome": ome, ATTRIBUTE: _record(batch.well, field, series)})


def _by_timepoint(series: PlaneSeries, field: int) -> dict[int, dict[tuple[int, int], npt.NDArray[Any]]]:
    """Planes of a field by timepoint and position ``(c, z)``."""
    found: dict[int, dict[tuple[int, int], npt.NDArray[Any]]] = {}
    for key, plane in series.fields[field].items():
        t, c, z = _position(series, key)
        found.setdefault(t, {})[c, z] = plane
    return dict(sorted(found.items()))


def _position(series: PlaneSeries, key: PlaneKey) -> tuple[int, int, int]:
    position = series.grid.index(key)
    if position is None:
        raise StorageError(f"{describe(key)} is outside its own grid")
    return position


def _stack(
    planes: Mapping[Any, npt.NDArray[Any]],
    outer: tuple[int, ...],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    check: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Copy planes into one array, missing ones as zeros, and mark those that are there."""
    block, present = np.zeros((*outer, *shape), dtype), np.zeros(outer, np.bool_)
    for position, plane in planes.items():
        block[position] = check(plane)
        present[position] = True
    return block, present


def _check_ids(name: str, well: str, field: int) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    def check(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        low, high = int(plane.min()), int(plane.max())
        if low < 0 or high > _LARGEST_ID:
            wrong = low if low < 0 else high
            raise StorageError(
                f"label {name!r} of well {well}, field {field} has id {wrong}; ids are 0 to {_LARGEST_ID}"
            )
        return plane

    return check


def _origin(batch: WellBatch) -> dict[str, Any]:
    return {"version": ATTRIBUTE_VERSION, "well": batch.well, "labels": list(batch.labels)}


def _record(well: str, field: int, series: PlaneSeries) -> dict[str, Any]:
    """What finds a plane by its key: the values on the axes, and the planes that are not there."""
    given = series.fields[field]
    missing = [plane_name(key) for key in series.grid.keys(well, field) if key not in given]
    return {
        "version": ATTRIBUTE_VERSION,
        "well": well,
        "field": field,
        **series.grid.to_attributes(),
        "missing": missing,
    }
