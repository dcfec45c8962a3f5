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

    # Keys are hashed a million times per plate; that of Enum is computed in Python, that of str is cached.
    __hash__ = str.__hash__


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
    well, field, channel, z, timepoint, projection = key
    if projection is Projection.NONE:
        return "%s_s%03d_w%d_z%03d_t%03d%s" % (well, field, channel, z, timepoint, suffix)  # noqa: UP031 (faster)
    return f"{well}_s{field:03d}_w{channel}_{projection}_t{timepoint:03d}{suffix}"


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
    counted = (key.field, key.channel, key.timepoint, key.z if projection == Projection.NONE else 1)
    return key if min(counted) > 0 else None


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
