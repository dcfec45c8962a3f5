"""Writes one well of an OME-Zarr plate, completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from natsort import natsorted

from wellfield.errors import (
    DestinationExistsError,
    NotAFolderError,
    PathEscapeError,
    StorageError,
    UnstorableDataError,
    UnsupportedOperationError,
    WellfieldError,
    os_failure,
)
from wellfield.formats.atomic import carry_over, part_path, replace_directory, restore_directory
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.array_files import array_format
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor, ZarrConfig
from wellfield.storage.zarr import ngff_metadata as ngff
from wellfield.storage.zarr.addressing import ATTRIBUTE, LABEL_DTYPE, LABELS, checked_path, describe, well_folder
from wellfield.storage.zarr.batch import PlaneSeries, WellBatch, WellPlanes, check_well
from wellfield.storage.zarr.display import WindowEstimator
from wellfield.storage.zarr.metadata_json import ArraySpec, group_files, write_node
from wellfield.storage.zarr.pixels import (
    LARGEST_CHUNK,
    SCRATCH,
    ZARR_FORMATS,
    PixelWriter,
    Writing,
    chunk_side,
    create_array,
    threads,
)
from wellfield.storage.zarr.pyramid import level_shapes, mean_levels, nearest
from wellfield.storage.zarr.well_index import WellRecord, check_store, own_files

Plane = npt.NDArray[Any]

_LARGEST_ID = np.iinfo(LABEL_DTYPE).max
_IN_FLIGHT = 1  # stacks of one field and timepoint, or a level of it, that are compressed while the next is made ready


def write_zarr_well(
    planes: WellPlanes,
    *,
    config: ZarrConfig,
    metadata: ngff.FieldMetadata,
    replace: Callable[[Path, Path], None] | None = None,
) -> None:
    """Write a well under a temporary name and rename it in one step; nothing else in the store changes.

    Files of other programs in the folder of the well, such as labels, stay, unless *replace* does otherwise.

    Besides the planes, memory holds what is compressed but not yet stored: a few planes, or one timepoint of a field
    with the layout FIELD. Only WELL on Zarr v2 needs memory for a whole well.

    Parameters
    ----------
    planes:
        Planes ``[Y, X]`` by key, which may be memory-mapped; nothing is copied but what is compressed. Images have one
        integer or float dtype, which is kept; labels are integers, which are stored as :data:`LABEL_DTYPE`.
    config:
        Codec, layout and version.
    metadata:
        Pixel size, channel names and the like.
    replace:
        Called with the complete folder and the final path of the well, which may exist; puts the first at the second.

    Raises
    ------
    BatchError, ArrayShapeError, MemoryTypeError
        The planes do not fit together, as :func:`~wellfield.storage.zarr.batch.check_well` says.
    StorageError
        The file system refuses, store or well are another program's, or an id is too large for :data:`LABEL_DTYPE`.
    DiskSpaceError
        The file system is full.
    UnsupportedOperationError
        The layout holds no labels.
    """
    batch = check_well(planes._replace(store=checked_path(planes.store)))
    _check_layout(batch, config)
    folder = well_folder(batch.store, batch.well)
    staged = part_path(folder)
    try:
        check_store(batch.store)
        _check_place(batch.store, folder)
        restore_directory(folder)
        own = own_files(batch.store, batch.well, batch.labels) if replace is None else None
        folder.parent.mkdir(parents=True, exist_ok=True)
        _LayoutWriter(staged, batch, config, metadata).write()
        if own is not None:
            carry_over(folder, staged, own)
            replace_directory(staged, folder)
        elif replace is not None:
            replace(staged, folder)
    except BaseException as error:
        shutil.rmtree(staged, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, WellfieldError):
            place = f" ({error.filename})" if isinstance(error, FileExistsError) else ""
            what = f"well {batch.well} of {batch.store} cannot be written: {error.strerror or error}{place}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                what = f"no space left: {what}; free some space and run again"
            raise os_failure(error, what, folder) from error
        raise


def _check_layout(batch: WellBatch, config: ZarrConfig) -> None:
    if batch.labels and config.chunk_strategy != ZarrChunkStrategy.FIELD:
        raise UnsupportedOperationError(
            f"{batch.store}: layout {config.chunk_strategy.name} holds images only, not label "
            f"{next(iter(batch.labels))!r}; use chunk_strategy FIELD, or store labels as TIFF"
        )
    series = batch.images
    planes = 1
    if config.chunk_strategy == ZarrChunkStrategy.WELL and ZARR_FORMATS[config.ngff_version] == 2:
        planes = len(series.fields) * series.grid.shape[1] * series.grid.shape[2]
    size = planes * series.shape[0] * series.shape[1] * series.dtype.itemsize
    if (
        config.chunk_strategy != ZarrChunkStrategy.FIELD
        and config.compressor != ZarrCompressor.NONE
        and size > LARGEST_CHUNK
    ):
        raise UnstorableDataError(
            f"well {batch.well} of {batch.store}: a chunk of {size / 1e9:.1f} GB is larger than the codec takes "
            "(2.1 GB); use chunk_strategy FIELD or FILE, or ngff_version 0.5, which divides it"
        )


def _check_place(store: Path, folder: Path) -> None:
    """Refuse a row or well that is not a folder of the store."""
    if array_format(folder.parent) is not None:
        raise NotAFolderError(f"{folder.parent} is a single array; a well cannot be where it is", path=folder.parent)
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
        raise DestinationExistsError(
            f"{folder} is a link or a file, where a well's folder goes; it is not replaced", path=folder
        )
    if not folder.parent.resolve().is_relative_to(store.resolve()):
        raise PathEscapeError(f"{folder.parent} is a link that leads out of {store}")


class _LayoutWriter:
    """Writes the groups and arrays of one well into an empty folder, in the configured layout."""

    def __init__(self, folder: Path, batch: WellBatch, config: ZarrConfig, metadata: ngff.FieldMetadata) -> None:
        self._folder = folder
        self._batch = batch
        self._config = config
        self._version = config.ngff_version
        self._metadata = metadata
        labels = {name: series.record(batch.well) for name, series in batch.labels.items()}
        self._record = WellRecord(
            batch.well,
            config.chunk_strategy,
            ZARR_FORMATS[config.ngff_version],
            batch.images.record(batch.well),
            labels,
            batch.names,
            metadata.positions_um(batch.images.fields),
            metadata.stage_y_up,
        )
        self._in_flight: deque[Writing] = deque()

    def write(self) -> None:
        by_field = self._config.chunk_strategy == ZarrChunkStrategy.FIELD
        images = list(self._batch.images.fields if by_field else self._batch.images.grid.timepoints)
        attributes = ngff.well_attributes(self._version, images) | {ATTRIBUTE: self._record.to_attributes()}
        self._group(self._folder, attributes)
        try:
            for number in images:
                if by_field:
                    self._write_field(self._folder / str(number), number)
                else:
                    self._write_timepoint(self._folder / str(number), number)
            self._finish(0)
            for scratch in self._folder.glob(f"*/{SCRATCH}"):
                shutil.rmtree(scratch)
        finally:  # nothing may still be writing when the folder is removed
            for writing in self._in_flight:
                with suppress(OSError):
                    writing.finish()

    @property
    def _format(self) -> int:
        return self._record.zarr_format

    def _group(self, folder: Path, attributes: Mapping[str, Any]) -> None:
        write_node(folder, group_files(self._format, attributes))

    def _begin(self, array: PixelWriter, planes: Iterable[tuple[tuple[int, ...], Plane]]) -> None:
        self._in_flight.append(array.begin(planes))
        self._finish(_IN_FLIGHT)

    def _finish(self, keep: int) -> None:
        while len(self._in_flight) > keep:
            self._in_flight.popleft().finish()

    # --- WELL and FILE -------------------------------------------------------------------------------------------

    def _write_timepoint(self, folder: Path, timepoint: int) -> None:
        series = self._batch.images
        fields = list(series.fields)
        shape = (len(fields), *series.grid.shape[1:], *series.shape)
        plane_chunks = (1, 1, 1, *series.shape)
        whole = self._config.chunk_strategy == ZarrChunkStrategy.WELL
        # Zarr v2 has no shards: the one object of a well is then one chunk.
        chunks = shape if whole and self._format == 2 else plane_chunks
        spec = ArraySpec(shape, series.dtype, ngff.WELL_AXES, chunks, shards=whole and self._format == 3)
        array = create_array(folder / "0", spec, self._config, self._format)

        planes: list[tuple[tuple[int, ...], Plane]] = []
        filenames: dict[str, list[int]] = {}
        windows = WindowEstimator(len(fields) * shape[2], series.shape)
        for position, field in enumerate(fields):
            for key, plane in series.fields[field].items():
                if key.timepoint == timepoint:
                    _, c, z = _position(series, key)
                    planes.append(((position, c, z), _native(plane, series.dtype)))
                    filenames[self._name(key)] = [position, c, z]
                    windows.add(key.channel, plane)
        if planes:
            self._begin(array, planes)
        shown = windows.windows(series.grid.channels, series.dtype, self._metadata.windows)
        name = f"{self._batch.well}/{timepoint}"
        attributes = ngff.image_attributes(
            self._version, name, ngff.WELL_AXES, series.grid, 1, fields=fields, metadata=self._metadata, windows=shown
        )
        self._group(folder, {**attributes, ATTRIBUTE: {"filenames": dict(natsorted(filenames.items()))}})

    def _name(self, key: PlaneKey) -> str:
        return self._batch.names[key.z - 1] if self._batch.names else plane_name(key)

    # --- FIELD ---------------------------------------------------------------------------------------------------

    def _write_field(self, folder: Path, field: int) -> None:
        self._write_image(folder, field)
        names = [name for name, series in self._batch.labels.items() if field in series.fields]
        if names:
            self._group(folder / LABELS, ngff.labels_attributes(self._version, names))
            for name in names:
                self._write_label(folder / LABELS / name, field, name)

    def _write_image(self, folder: Path, field: int) -> None:
        series = self._batch.images
        levels = self._levels(folder, series, ngff.IMAGE_AXES, series.grid.shape, series.dtype)
        timepoints, _, depth = series.grid.shape
        windows = WindowEstimator(timepoints * depth, series.shape)
        for t, planes in _by_timepoint(series, field).items():
            given: dict[tuple[int, ...], Plane] = {
                (t, c, z): _native(plane, series.dtype) for (c, z), plane in planes.items()
            }
            for (c, _), plane in planes.items():
                windows.add(series.grid.channels[c], plane)
            self._write_pyramid(levels, given, lambda plane: mean_levels(plane, len(levels) - 1))
        shown = windows.windows(series.grid.channels, series.dtype, self._metadata.windows)
        name = f"{self._batch.well}/{field}"
        attributes = ngff.image_attributes(
            self._version,
            name,
            ngff.IMAGE_AXES,
            series.grid,
            len(levels),
            fields=[field],
            metadata=self._metadata,
            windows=shown,
        )
        self._group(folder, attributes)

    def _write_label(self, folder: Path, field: int, name: str) -> None:
        series = self._batch.labels[name]
        timepoints, _, depth = series.grid.shape
        levels = self._levels(folder, series, ngff.LABEL_AXES, (timepoints, depth), LABEL_DTYPE)
        for t, planes in _by_timepoint(series, field).items():
            ids: dict[tuple[int, ...], Plane] = {
                (t, z): self._ids(name, field, plane) for (_, z), plane in planes.items()
            }
            self._write_pyramid(levels, ids, lambda plane: [nearest(plane, level) for level in range(1, len(levels))])
        attributes = ngff.label_attributes(
            self._version, name, series.grid, len(levels), number=field, metadata=self._metadata
        )
        self._group(folder, attributes)

    def _levels(
        self,
        folder: Path,
        series: PlaneSeries,
        axes: tuple[str, ...],
        outer: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> list[PixelWriter]:
        """Create the arrays of a pyramid ``(t, …, y, x)``: an object per timepoint on Zarr v3, a chunk each on v2."""
        arrays = []
        for level, shape in enumerate(level_shapes(series.shape)):
            chunks = (*(1 for _ in outer), *map(chunk_side, shape))
            spec = ArraySpec((*outer, *shape), dtype, axes, chunks, shards=self._format == 3, outer=1)
            arrays.append(create_array(folder / str(level), spec, self._config, self._format))
        return arrays

    def _write_pyramid(
        self,
        arrays: Sequence[PixelWriter],
        planes: dict[tuple[int, ...], Plane],
        reduce: Callable[[Plane], list[Plane]],
    ) -> None:
        """Write planes and their reduced versions; these are made while the planes before are still compressed."""
        with ThreadPoolExecutor(threads()) as pool:
            reduced = list(pool.map(reduce, planes.values()))
        self._begin(arrays[0], planes.items())
        for array, level in zip(arrays[1:], zip(*reduced, strict=True), strict=True):
            self._begin(array, zip(planes, level, strict=True))

    def _ids(self, name: str, field: int, plane: Plane) -> Plane:
        low, high = int(plane.min()), int(plane.max())
        if low < 0 or high > _LARGEST_ID:
            raise UnstorableDataError(
                f"label {name!r} of well {self._batch.well}, field {field} has id {low if low < 0 else high}; "
                f"ids are 0 to {_LARGEST_ID}"
            )
        return plane.astype(LABEL_DTYPE, copy=False)


def _native(plane: Plane, dtype: np.dtype[Any]) -> Plane:
    """Return a plane in the byte order of the machine."""
    return plane.astype(dtype, copy=False)


def _by_timepoint(series: PlaneSeries, field: int) -> dict[int, dict[tuple[int, int], Plane]]:
    """Planes of a field by timepoint and position ``(c, z)``."""
    found: dict[int, dict[tuple[int, int], Plane]] = {}
    for key, plane in series.fields[field].items():
        t, c, z = _position(series, key)
        found.setdefault(t, {})[c, z] = plane
    return dict(sorted(found.items()))


def _position(series: PlaneSeries, key: PlaneKey) -> tuple[int, int, int]:
    position = series.grid.index(key)
    if position is None:
        raise StorageError(f"{describe(key)} is outside its own grid")
    return position
