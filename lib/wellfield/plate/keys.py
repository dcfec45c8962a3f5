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

    # Keys are hashed a million times per plate. The hash of an Enum is computed in Python, the hash of a str is cached.
    __hash__ = str.__hash__


# Field number of an image stitched from the fields of a well.
WHOLE_WELL = 0

# How file names spell it.
STITCHED = "stitched"


class FieldKey(NamedTuple):
    """One field of one well at one time; field 0 is the whole well, an image stitched from its fields."""

    well: str
    field: int
    timepoint: int

    @property
    def name(self) -> str:
        """How results of the field are named: ``s001_t001``, ``stitched_t001``."""
        return f"{field_name(self.field)}_t{self.timepoint:03d}"


class PlaneKey(NamedTuple):
    """One plane. Field, channel, z and timepoint count from 1; a projection has z = 0, a stitched image field 0."""

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


# 18 digits at most: Python refuses to read numbers of thousands of digits.
_NAME = re.compile(
    r"(?P<well>[A-Z]{1,2}[0-9]{2})_(?:s(?P<field>[0-9]{3,18})|stitched)_w(?P<channel>[0-9]{1,18})"
    r"_(?:z(?P<z>[0-9]{3,18})|(?P<projection>max|best_focus|unknown))_t(?P<timepoint>[0-9]{3,18})(?:\.[A-Za-z0-9.]+)?"
)


def field_name(field: int) -> str:
    """Return how names spell a field: ``s001``, or ``stitched`` for the whole well."""
    return STITCHED if field == WHOLE_WELL else f"s{field:03d}"


def plane_name(key: PlaneKey, suffix: str = ".tif") -> str:
    """Return the canonical file name of a plane."""
    well, field, channel, z, timepoint, projection = key
    if projection is Projection.NONE and field:
        return "%s_s%03d_w%d_z%03d_t%03d%s" % (well, field, channel, z, timepoint, suffix)  # noqa: UP031 (faster)
    layer = f"z{z:03d}" if projection is Projection.NONE else projection
    return f"{well}_{field_name(field)}_w{channel}_{layer}_t{timepoint:03d}{suffix}"


def match_plane_name(name: str) -> PlaneKey | None:
    """Return the key of a canonical file name without folders, ``None`` for other names."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        well = canonical_well(match["well"])
    except WellNameError:
        return None
    projection = Projection(match["projection"] or "none")
    z = int(match["z"] or 0)
    field = int(match["field"]) if match["field"] else WHOLE_WELL
    if match["field"] and not field:
        return None
    key = PlaneKey(well, field, int(match["channel"]), z, int(match["timepoint"]), projection)
    counted = (key.channel, key.timepoint, key.z if projection == Projection.NONE else 1)
    return key if min(counted) > 0 else None


def parse_plane_name(name: str) -> PlaneKey:
    """Return the key of a canonical file name; the inverse of :func:`plane_name`.

    Raises
    ------
    WellNameError
        *name* is not a canonical name.
    """
    key = match_plane_name(name)
    if key is None:
        raise WellNameError(f"{name!r} is not a plane name; expected one such as A01_s001_w1_z001_t001.tif")
    return key
