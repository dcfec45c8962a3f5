"""File names of OpenHCS, which keeps the form of the microscope that a plate came from."""

from __future__ import annotations

import re

from wellfield.errors import WellNameError
from wellfield.plate.keys import PlaneKey, Projection, match_plane_name
from wellfield.plate.wells import canonical_well, well_name

_SUFFIX = r"\.[tT][iI][fF][fF]?"
_N = "[0-9]{1,18}"  # Python refuses to read numbers of thousands of digits
_BY_WELL = re.compile(
    rf"(?P<well>[A-Za-z]{{1,2}}[0-9]{{1,3}})(?:_s(?P<field>{_N}))?(?:_w(?P<channel>{_N}))?"
    rf"(?:_z(?P<z>{_N}))?(?:_t(?P<timepoint>{_N}))?{_SUFFIX}"
)
_BY_ROW = re.compile(
    rf"[rR](?P<row>{_N})[cC](?P<column>{_N})[fF](?P<field>{_N})(?:[pP](?P<z>{_N}))?-ch(?P<channel>{_N})"
    rf"(?:sk(?P<timepoint>{_N}))?(?:fk{_N})?(?:fl{_N})?{_SUFFIX}"
)
_WELL_BY_ROW = re.compile(rf"[rR]({_N})[cC]({_N})")


def parse_name(name: str) -> PlaneKey | None:
    """Return the plane of a file name without folders, ``None`` for other names.

    Numbers may have any padding; missing ones are 1. ``z000``, which OpenHCS makes of the folder ``ZStep_0``, is a
    projection of an unknown method.

    >>> parse_name("r03c04f002p001-ch1sk1fk1fl1.tiff")
    PlaneKey(well='C04', field=2, channel=1, z=1, timepoint=1, projection=<Projection.NONE: 'none'>)
    """
    if (key := match_plane_name(name)) is not None:
        return key
    match = _BY_WELL.fullmatch(name) or _BY_ROW.fullmatch(name)
    if match is None:
        return None
    well = parse_well(match["well"] if match.re is _BY_WELL else f"r{match['row']}c{match['column']}")
    field, channel, timepoint = (int(match[axis] or 1) for axis in ("field", "channel", "timepoint"))
    if well is None or not field or not channel or not timepoint:
        return None
    z = int(match["z"] or 1)
    return PlaneKey(well, field, channel, z, timepoint, Projection.NONE if z else Projection.UNKNOWN)


def parse_well(name: str) -> str | None:
    """Return the canonical name of a well (``A01``, ``a1``, ``R01C01``), ``None`` for other names."""
    try:
        if match := _WELL_BY_ROW.fullmatch(name):
            return well_name(int(match[1]) - 1, int(match[2]) - 1)
        return canonical_well(name)
    except WellNameError:
        return None
