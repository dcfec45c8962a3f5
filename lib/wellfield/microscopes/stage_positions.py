"""Where the stage was at each field of a well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from wellfield.microscopes.handler import MICROSCOPES, MicroscopeHandler
from wellfield.microscopes.handler_registry import discover_microscopes
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import PlaneRecord
from wellfield.plate.plate import Plate


def field_positions(
    info: Plate, planes: Sequence[PlaneRecord], *, are_needed: bool = True
) -> dict[int, tuple[float, float]]:
    """Return x and y of the stage for each field of one well, in µm; fields without a position are left out.

    They come from the plate index, which has the positions of sampled planes, else from the first file of the field
    that has one: usually one file per field is opened, at most one per channel, and no pixel is read. If positions are
    not needed but only stated in the results, at most one file per field is opened, and the search ends at the first
    file without a position.
    """
    discover_microscopes()
    handler = MICROSCOPES.get(info.microscope, MicroscopeHandler)
    tried: set[tuple[int, int]] = set()
    found: dict[int, tuple[float, float]] = {}
    for plane in planes:
        if not math.isnan(plane.stage_x_um + plane.stage_y_um):
            found.setdefault(plane.key.field, (plane.stage_x_um, plane.stage_y_um))
    for plane in planes:
        place = plane.key.field, plane.key.channel
        if plane.key.field not in found and place not in tried and parse_array_plane(plane.path) is None:
            tried.add(place)
            position = handler.stage_position(Path(info.path, plane.path))
            if position is not None:
                found[plane.key.field] = position
            elif not are_needed:
                break
    return found
