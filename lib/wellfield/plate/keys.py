"""Keys and canonical names of planes: ``A01_s001_w1_z001_t001.tif``, ``A01_s001_w1_max_t001.tif``."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from wellfield.errors import WellNameError
from wellfield.plate.wells import canonical_well


class Projection(StrEnum):
    """How a plane was made from a z series; ``NONE`` for a plane as the camera saw it."""

    NONE = "none"
    MAX = "max"
    BEST_FOCUS = "best_focus"
    UNKNOWN = "unknown"


class FieldKey(NamedTuple):
    """One field of one well at one time."""

    well: str
    field: int
    timepoint: int


class PlaneKey(NamedTuple):
    """One plane. Field, channel, z and timepoint count from 1; a projection has z = 0."""

    well: str
    field: int
    channel: int
    z: int
    timepoint: int
    projection: Projection = Projection.NONE

    @property
    def field_key(self) -> FieldKey:
        """The field that the plane belongs to."""
        return FieldKey(self.well, self.field, self.timepoint)


_NAME = re.compile(
    r"(?P<well>[A-Z]{1,2}[0-9]{2})_s(?P<field>[0-9]{3,})_w(?P<channel>[0-9]+)"
    r"_(?:z(?P<z>[0-9]{3,})|(?P<projection>max|best_focus|unknown))_t(?P<timepoint>[0-9]{3,})(?:\.[A-Za-z0-9.]+)?"
)


def plane_name(key: PlaneKey, suffix: str = ".tif") -> str:
    """Return the canonical file name of a plane."""
    z = f"z{key.z:03d}" if key.projection == Projection.NONE else str(key.projection)
    return f"{key.well}_s{key.field:03d}_w{key.channel}_{z}_t{key.timepoint:03d}{suffix}"


def match_plane_name(name: str) -> PlaneKey | None:
    """Return the key that a canonical file name (no folders) stands for, or ``None``."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        well = canonical_well(match["well"])
    except WellNameError:
        return None
    projection = Projection(match["projection"] or "none")
    z = int(match["z"] or 0)
    key = PlaneKey(well, int(match["field"]), int(match["channel"]), z, int(match["timepoint"]), projection)
    return key if min(key.field, key.channel, key.timepoint) > 0 else None


def parse_plane_name(name: str) -> PlaneKey:
    """Return the key that a canonical file name stands for; the inverse of :func:`plane_name`.

    Raises
    ------
    WellNameError
        *name* is no canonical name.
    """
    key = match_plane_name(name)
    if key is None:
        raise WellNameError(f"{name!r} is no plane name; expected one such as A01_s001_w1_z001_t001.tif")
    return key
