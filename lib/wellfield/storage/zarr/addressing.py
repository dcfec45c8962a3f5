"""Logical paths of planes, folders of wells, and the grid of planes that a well has."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self

import numpy as np

from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    InvalidPathError,
    MissingPlaneError,
    PathEscapeError,
    StorageError,
    WellNameError,
)
from wellfield.formats.atomic import restore_children
from wellfield.plate.keys import PlaneKey, Projection, match_plane_name
from wellfield.plate.wells import canonical_well, row_name, split_well
from wellfield.storage.paths import valid_path

STORE_SUFFIX = ".zarr"
LABELS = "labels"
ATTRIBUTE = "wellfield"
ATTRIBUTE_VERSION = 2
#: The dtype in which labels are stored, whatever integers they are in memory.
LABEL_DTYPE = np.dtype(np.uint32)

_LABEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ROW = re.compile(r"[A-Z]{1,2}")
_COLUMN = re.compile(r"[0-9]{2}")


class PlaneNotStoredError(MissingPlaneError, DataNotFoundError):
    """A plane is not in a store: it was never acquired, or the store holds other planes."""


class StorePath(NamedTuple):
    """A path split at its store: ``plate.zarr`` and what follows, ``""`` for the store itself."""

    store: Path
    logical: str


class PlaneAddress(NamedTuple):
    """One plane of a store: an image plane, or with *label* the plane of a label image.

    A plane with any other name has that *name* instead of a key; the record of its well says which plane it is.
    """

    key: PlaneKey | None
    label: str | None = None
    name: str | None = None


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return a path without ``.`` and ``..``.

    Raises
    ------
    InvalidPathError
        It holds a character that no path of a store may have.
    PathEscapeError
        It leads out of its store.
    """
    name = valid_path(path)
    if "\\" in name or (not name.isascii() and name.encode(errors="replace").decode() != name):
        what = "a backslash" if "\\" in name else "a character that is not UTF-8"
        raise InvalidPathError(f"{name!r} cannot be a path of the Zarr backend: it holds {what}", path=name)
    if ".." in name:
        split_store(name)
        name = os.path.normpath(name)
    return Path(name)


def split_store(path: str | os.PathLike[str]) -> StorePath:
    """Split a path at its first component that ends with ``.zarr``; where none does, the parent folder is the store.

    Raises
    ------
    PathEscapeError
        The part inside the store holds ``..``.
    """
    parts = Path(path).parts
    for number, part in enumerate(parts, start=1):
        if part.endswith(STORE_SUFFIX):
            if ".." in parts[number:]:
                raise PathEscapeError(f"{path} leads out of its store")
            return StorePath(Path(*parts[:number]), "/".join(parts[number:]))
    return StorePath(Path(path).parent, Path(path).name)


def in_named_store(path: str | os.PathLike[str]) -> bool:
    """Tell whether a component of *path* ends with ``.zarr``."""
    return any(part.endswith(STORE_SUFFIX) for part in Path(path).parts)


def parse_logical(logical: str) -> PlaneAddress | None:
    """Return the plane that a logical path names, by key or only by name; ``None`` for any other path."""
    parts = PurePosixPath(logical).parts
    label = None
    if len(parts) == 3 and parts[0] == LABELS and is_label_name(parts[1]):
        label = parts[1]
    elif len(parts) != 1 or parts[0] == LABELS:
        return None
    key = match_plane_name(parts[-1])
    if key is None:
        return None if label is not None else PlaneAddress(None, None, parts[-1])
    return PlaneAddress(key, label)


def describe(key: PlaneKey, label: str | None = None) -> str:
    """Return a plane in words, for messages: ``well A01, field 1, channel 2, z 1, timepoint 1``."""
    kind = "" if label is None else f"label {label!r} of "
    depth = f"z {key.z}" if key.projection == Projection.NONE else f"projection {key.projection}"
    return f"{kind}well {key.well}, field {key.field}, channel {key.channel}, {depth}, timepoint {key.timepoint}"


def well_folder(store: Path, well: str) -> Path:
    """Return the folder of a well: ``A01`` → ``plate.zarr/A/01``."""
    return store / well_path(well)


def well_path(well: str) -> str:
    """Return the path of a well inside its plate: ``A01`` → ``A/01``."""
    row, column = split_well(well)
    return f"{row_name(row)}/{column + 1:02d}"


def parse_chunk_name(chunk_name: str) -> str:
    """Return the well that a batch is of: ``A01`` and ``well_A01`` → ``A01``."""
    if not isinstance(chunk_name, str):
        raise ArgumentTypeError(f"chunk_name is {chunk_name!r}; expected a well such as 'A01' or 'well_A01'")
    return canonical_well(chunk_name.removeprefix("well_"))


def is_label_name(name: str) -> bool:
    """Tell whether a label may have this name; it becomes the name of a folder."""
    return _LABEL_NAME.fullmatch(name) is not None


def is_row_name(name: str) -> bool:
    """Tell whether a folder of a store may be a row: ``A`` to ``ZZ``."""
    return _ROW.fullmatch(name) is not None


def row_folders(store: Path) -> list[Path]:
    """Return the folders of rows in a store, in plate order."""
    rows = [store / name for name in _names(store) if is_row_name(name)]
    return sorted(filter(Path.is_dir, rows), key=lambda folder: (len(folder.name), folder.name))


def _names(folder: Path) -> list[str]:
    """Return the names in a folder; none if there is no such folder, or another process removes it meanwhile."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def stored_wells(store: Path) -> list[str]:
    """Return the wells that have a folder in a store, in plate order."""
    found = []
    for row in row_folders(store):
        with suppress(FileNotFoundError, NotADirectoryError):  # another process may remove the row meanwhile
            restore_children(row)
        for column in sorted(filter(_COLUMN.fullmatch, _names(row))):
            try:
                found.append(canonical_well(row.name + column))
            except WellNameError:
                continue  # a folder of another program
    return found


@dataclass(frozen=True, slots=True)
class PlaneGrid:
    """The values on the axes t, c and z of a field; a projection has the one z value 0.

    z values and timepoints are evenly spaced. So a plane that is missing in every channel leaves a gap, and the planes
    after it keep their position.
    """

    timepoints: tuple[int, ...]
    channels: tuple[int, ...]
    z: tuple[int, ...]
    projection: Projection

    @classmethod
    def of(cls, keys: Iterable[PlaneKey]) -> Self:
        """Return the smallest grid that holds all *keys*.

        Raises
        ------
        StorageError
            z planes and projections, or two kinds of projection, are mixed.
        """
        kinds, timepoints, channels, z = (set(axis) for axis in zip(*map(_axis_values, keys), strict=True))
        if len(kinds) > 1:
            names = ", ".join(sorted("z planes" if k == Projection.NONE else f"projection {k}" for k in kinds))
            raise StorageError(f"one field cannot hold {names} together; give each its own store")
        return cls(_evenly(timepoints), tuple(sorted(channels)), _evenly(z), Projection(kinds.pop()))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lengths of the axes t, c, z."""
        return len(self.timepoints), len(self.channels), len(self.z)

    @property
    def z_step(self) -> int:
        """Difference between two neighbouring z values."""
        return self.z[1] - self.z[0] if len(self.z) > 1 else 1

    def index(self, key: PlaneKey) -> tuple[int, int, int] | None:
        """Return the position ``(t, c, z)`` of a plane, or ``None`` outside the grid."""
        if key.projection != self.projection:
            return None
        try:
            return self.timepoints.index(key.timepoint), self.channels.index(key.channel), self.z.index(key.z)
        except ValueError:
            return None

    def keys(self, well: str, field: int) -> Iterator[PlaneKey]:
        """Give the keys of all places in the order t, c, z."""
        for timepoint in self.timepoints:
            for channel in self.channels:
                for z in self.z:
                    yield PlaneKey(well, field, channel, z, timepoint, self.projection)

    def to_attributes(self) -> dict[str, Any]:
        """Return the grid as JSON values."""
        return {
            "timepoints": list(self.timepoints),
            "channels": list(self.channels),
            "z": list(self.z),
            "projection": str(self.projection),
        }

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """Return the grid that :meth:`to_attributes` wrote."""
        timepoints, channels, z = (tuple(map(int, attributes[axis])) for axis in ("timepoints", "channels", "z"))
        return cls(timepoints, channels, z, Projection(attributes["projection"]))


def _axis_values(key: PlaneKey) -> tuple[Projection, int, int, int]:
    return key.projection, key.timepoint, key.channel, key.z


def _evenly(values: Iterable[int]) -> tuple[int, ...]:
    ordered = sorted(values)
    step = math.gcd(*(b - a for a, b in pairwise(ordered))) or 1
    return tuple(range(ordered[0], ordered[-1] + 1, step))
