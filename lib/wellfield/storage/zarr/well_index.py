"""The record of a well: its layout, the values on its axes, and which planes are missing.

It lies in the attributes of the well's group. Reading a plane needs no other metadata, so no other well is touched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from wellfield.errors import ForeignStoreError, MetadataError, NotAFolderError, SchemaVersionError, os_failure
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.array_files import array_format
from wellfield.storage.backend import ZarrChunkStrategy
from wellfield.storage.zarr.addressing import (
    ATTRIBUTE,
    ATTRIBUTE_VERSION,
    LABELS,
    PlaneAddress,
    PlaneGrid,
    PlaneNotStoredError,
    describe,
    well_folder,
)
from wellfield.storage.zarr.array_io import is_array_file

# Where a Zarr node keeps its attributes, by the version of Zarr.
_V3_FILE, _V2_FILE = "zarr.json", ".zattrs"
NODE_FILES = (_V3_FILE, ".zgroup", _V2_FILE)


class PlanePlace(NamedTuple):
    """An array inside a well's folder, and where in it (*at*) a plane is."""

    array: str
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """The planes of a well's images, or of one label.

    Parameters
    ----------
    grid:
        Values on the axes t, c and z, the same for all fields.
    fields:
        Numbers of the fields that have a plane.
    missing:
        Names of the missing planes of these fields.
    """

    grid: PlaneGrid
    fields: tuple[int, ...]
    missing: frozenset[str]

    def keys(self, well: str) -> Iterator[PlaneKey]:
        """Give the keys of all planes that are there, in the order field, t, c, z."""
        for number in self.fields:
            for key in self.grid.keys(well, number):
                if plane_name(key) not in self.missing:
                    yield key

    def to_attributes(self) -> dict[str, Any]:
        """Return the series as JSON values."""
        return {"fields": list(self.fields), **self.grid.to_attributes(), "missing": sorted(self.missing)}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """Return the series that :meth:`to_attributes` wrote."""
        fields = tuple(map(int, attributes["fields"]))
        return cls(PlaneGrid.from_attributes(attributes), fields, frozenset(attributes["missing"]))


@dataclass(frozen=True, slots=True)
class WellRecord:
    """Everything that finds the planes of a well.

    Parameters
    ----------
    names:
        Names of the planes in the order of z, if the caller gave other names than plane names; else empty.
    positions_um:
        x and y of the stage by field, as the microscope recorded them; only known ones.
    stage_y_up:
        The stage's y rises towards the top of the images.
    """

    well: str
    strategy: ZarrChunkStrategy
    zarr_format: int
    images: SeriesRecord
    labels: Mapping[str, SeriesRecord]
    names: tuple[str, ...] = ()
    positions_um: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    stage_y_up: bool = False

    def key(self, address: PlaneAddress) -> PlaneKey | None:
        """Return the key of a plane; ``None`` if the well knows no plane of that name."""
        if address.key is not None:
            return None if self.names else address.key
        if address.name not in self.names:
            return None
        grid = self.images.grid
        z = grid.z[self.names.index(address.name)]
        return PlaneKey(self.well, self.images.fields[0], grid.channels[0], z, grid.timepoints[0])

    def place(self, address: PlaneAddress) -> PlanePlace:
        """Return where a plane is.

        Raises
        ------
        PlaneNotStoredError
            It is not there.
        """
        key = self.key(address)
        if key is None:
            what = address.name if address.key is None else plane_name(address.key)
            raise PlaneNotStoredError(f"well {self.well} has no plane named {what}")
        series = self.images if address.label is None else self.labels.get(address.label)
        if series is None:
            raise PlaneNotStoredError(f"no {describe(key, address.label)}; there is no label {address.label!r}")
        if key.field not in series.fields:
            raise PlaneNotStoredError(f"no {describe(key, address.label)}; there is no field {key.field}")
        position = series.grid.index(key)
        if position is None:
            grid = series.grid
            raise PlaneNotStoredError(
                f"no {describe(key, address.label)}; the well has channels {list(grid.channels)}, z {list(grid.z)} "
                f"({grid.projection} projection), timepoints {list(grid.timepoints)}"
            )
        if plane_name(key) in series.missing:
            raise PlaneNotStoredError(f"{describe(key, address.label)} was missing when the well was written")
        t, c, z = position
        if address.label is not None:
            return PlanePlace(f"{key.field}/{LABELS}/{address.label}/0", (t, z))
        if self.strategy == ZarrChunkStrategy.FIELD:
            return PlanePlace(f"{key.field}/0", (t, c, z))
        return PlanePlace(f"{key.timepoint}/0", (series.fields.index(key.field), c, z))

    def plane_names(self, label: str | None = None) -> list[str]:
        """Return the names of all image planes, or of one label's, as they were given."""
        if label is None and self.names:
            return list(self.names)
        series = self.images if label is None else self.labels.get(label)
        return [] if series is None else [plane_name(key) for key in series.keys(self.well)]

    def to_attributes(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "version": ATTRIBUTE_VERSION,
            "well": self.well,
            "chunk_strategy": str(self.strategy),
            "images": self.images.to_attributes(),
            "labels": {name: series.to_attributes() for name, series in self.labels.items()},
            **({"names": list(self.names)} if self.names else {}),
            **self._stage_attributes(),
        }

    def _stage_attributes(self) -> dict[str, Any]:
        if not self.positions_um:
            return {}
        positions = {str(number): list(place) for number, place in self.positions_um.items()}
        return {"stage": {"y_up": self.stage_y_up, "positions_um": positions}}


def check_store(store: Path) -> None:
    """Refuse to write into a store whose root was described by another program.

    Raises
    ------
    ForeignStoreError
        The root is a Zarr node without an attribute of ours.
    StorageError
        The store is, or lies in, a single array.
    MetadataError
        The root's metadata is damaged.
    """
    try:
        found = _attributes(store)
    except MetadataError as error:
        raise MetadataError(
            f"the metadata of {store} is damaged; delete {' or '.join(NODE_FILES)} there and finalize the plate again"
        ) from error
    for folder in (store, *store.parents):
        if array_format(folder) is not None:
            raise NotAFolderError(f"{folder} is a single array; a plate cannot be where it is", path=folder)
    is_node = any((store / name).exists() for name in NODE_FILES)
    if is_node and (found is None or ATTRIBUTE not in found[1]):
        raise ForeignStoreError(
            f"{store} was not written by Wellfield, or by a version before layout {ATTRIBUTE_VERSION}; it is left as "
            "it is: choose another path, or move it away"
        )


def read_record(store: Path, well: str) -> WellRecord | None:
    """Return the record of a well; ``None`` if the store has no such well.

    Raises
    ------
    ForeignStoreError
        The well is another program's.
    SchemaVersionError
        It was written by another version of Wellfield.
    MetadataError
        Its metadata is damaged.
    """
    folder = well_folder(store, well)
    found = _attributes(folder)
    if found is not None:
        return parse_record(folder, found[0], found[1].get(ATTRIBUTE))
    if folder.is_dir():
        raise ForeignStoreError(f"{folder} is not a Zarr group. Wellfield did not write it and does not replace it")
    return None


def own_file(record: WellRecord | None, labels: Collection[str], path: str) -> bool:
    """Tell whether a file in a well's folder is one that a well of this record has; *path* is relative to the folder.

    ``1/0/c/0/0/0/0/0`` is; a label that the record does not have is not: another program added it. Of a well whose
    record is damaged (``None``) all images count, and these *labels*.
    """
    first, *rest = path.split("/")
    if not rest:
        return first in NODE_FILES
    if record is not None:
        labels = record.labels
        by_field = record.strategy == ZarrChunkStrategy.FIELD
        if first not in map(str, record.images.fields if by_field else record.images.grid.timepoints):
            return False
    if rest[0] == LABELS and len(rest) == 2:
        return rest[1] in NODE_FILES
    if rest[0] == LABELS:
        rest = rest[2:] if rest[1:] and rest[1] in labels else rest
    return is_array_file("/".join([first, *rest]))


def own_files(store: Path, well: str, labels: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return :func:`own_file` for the well as it is in a store.

    Raises
    ------
    ForeignStoreError
        The well is another program's.
    """
    try:
        record = read_record(store, well)
    except (SchemaVersionError, MetadataError):  # ours, old or damaged
        record = None
    return partial(own_file, record, tuple(labels))


def _attributes(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Return the version of Zarr and the attributes of a node; ``None`` if the folder is not a node."""
    for name, zarr_format in ((_V3_FILE, 3), (_V2_FILE, 2)):
        try:
            content = json.loads((folder / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            file = folder / name
            raise os_failure(error, f"{file} cannot be read: {error.strerror or error}", file) from error
        except ValueError as error:
            raise MetadataError(f"{folder / name} is damaged ({error}); write the well again") from error
        attributes = content.get("attributes", {}) if zarr_format == 3 and isinstance(content, dict) else content
        if not isinstance(attributes, dict):
            raise MetadataError(f"{folder / name} is damaged (no JSON object); write the well again")
        return zarr_format, attributes
    return None


def parse_record(folder: Path, zarr_format: int, attributes: Any) -> WellRecord:
    """Return the record that the attribute ``wellfield`` of a well's group holds; errors as :func:`read_record`."""
    if not isinstance(attributes, dict):
        raise ForeignStoreError(
            f"{folder} was not written by Wellfield: planes cannot be found by their names, and it is not replaced"
        )
    if attributes.get("version") != ATTRIBUTE_VERSION:
        raise SchemaVersionError(
            f"{folder} was written by another version of Wellfield (layout {attributes.get('version')}, expected "
            f"{ATTRIBUTE_VERSION}); write the well again"
        )
    try:
        stage = attributes.get("stage", {})
        positions = {int(n): (float(x), float(y)) for n, (x, y) in stage.get("positions_um", {}).items()}
        labels = {name: SeriesRecord.from_attributes(series) for name, series in attributes["labels"].items()}
        return WellRecord(
            attributes["well"],
            ZarrChunkStrategy(attributes["chunk_strategy"]),
            zarr_format,
            SeriesRecord.from_attributes(attributes["images"]),
            labels,
            tuple(attributes.get("names", ())),
            positions,
            bool(stage.get("y_up", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(f"{folder}: its record of planes is damaged ({error!r}); write the well again") from error
