"""``ingest_report.json``: what was found on a plate, what is missing and what was ignored."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from wellfield.formats.checked_json import OwnJson
from wellfield.microscopes.parsed_plate import MOST_HOLES, ParsedPlate, find_holes
from wellfield.plate.index import AGAIN, SCHEMA_VERSION, PlaneRecord
from wellfield.plate.keys import Projection, plane_name
from wellfield.plate.plate import Plate

# Bytes of a TIFF header and a directory with one tag; every image is longer.
_SHORTEST_IMAGE = 26
_IMAGES = (".tif", ".tiff", ".png")
_SHOWN_HOLES = 1_000

_NUMBER = (float, None)
REPORT = OwnJson(
    "ingest report",
    SCHEMA_VERSION,
    {
        "plate": str,
        "microscope": {"name": str, "why": str},
        "found": {
            "planes": int,
            "bytes": int,
            "wells": [str],
            "fields": [int],
            "timepoints": [int],
            "channels": {str: {"name": str, "z_and_projections": [str]}},
            "planes_per_well": {str: int},
        },
        "image": {
            "shape": ([int], None),
            "dtype": (str, None),
            "pixel_size_um": _NUMBER,
            "z_spacing_um": _NUMBER,
            "field_grid_rows_columns": ([int], None),
            "time_interval_s": _NUMBER,
        },
        "missing_planes": [str],
        "promised_but_absent": {str: [object]},
        "ignored": {str: {"count": int, "files": [str]}},
        "notes": [str],
        "acquisition?": {"minutes": float, "files": int},
        "ingest_generation?": int,
        "vanished?": [str],
    },
    AGAIN,
)


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return an ingest report.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MetadataError
        It is not an ingest report.
    SchemaVersionError
        Another version of Wellfield wrote it.
    """
    return REPORT.read(path)


def empty_images(planes: Iterable[PlaneRecord]) -> list[PlaneRecord]:
    """Return the planes whose files are empty or too short for an image."""
    return [plane for plane in planes if plane.size < _SHORTEST_IMAGE and plane.path.lower().endswith(_IMAGES)]


def _empty_note(empty: list[PlaneRecord], count: int) -> str:
    wells = list(dict.fromkeys(plane.key.well for plane in empty))
    shown = ", ".join(plane.path for plane in empty[:3]) + (", …" if len(empty) > 3 else "")
    of_wells = ", ".join(wells[:6]) + (f" and {len(wells) - 6} more" if len(wells) > 6 else "")
    return (
        f"{len(empty)} of {count} images are empty files ({shown}; at most {max(p.size for p in empty)} bytes): they "
        f"cannot be read, and their wells will fail: {of_wells}. Copy the plate again"
    )


def ingest_report(contents: ParsedPlate, *, why: str) -> dict[str, Any]:
    """Return what was found, what is missing and what was ignored, as JSON values.

    *contents* are complete (:meth:`~wellfield.microscopes.parsed_plate.ParsedPlate.complete`); *why* says why the
    microscope was chosen.
    """
    plate = contents.plate
    keys = [plane.key for plane in contents.planes]
    missing = [plane_name(key) for key in find_holes(contents.planes)]
    empty = empty_images(contents.planes)
    notes = [*([_empty_note(empty, len(keys))] if empty else []), *contents.notes, *_different_sizes(contents)]
    if len(missing) == MOST_HOLES:
        missing = missing[:_SHOWN_HOLES]
        notes = [
            *notes,
            f"{MOST_HOLES} or more planes seem to be missing, {_SHOWN_HOLES} of them are named: "
            "numbers may count on through the whole plate",
        ]
    layers: dict[int, dict[str, None]] = defaultdict(dict)  # an ordered set: z in the order of its numbers
    for channel, z, projection in sorted(set(map(itemgetter(2, 3, 5), keys))):
        layers[channel][f"z{z}" if projection == Projection.NONE else str(projection)] = None
    return {
        "schema_version": SCHEMA_VERSION,
        "plate": plate.name,
        "microscope": {"name": plate.microscope, "why": why},
        "found": {
            "planes": len(contents.planes),
            "bytes": sum(plane.size for plane in contents.planes),
            "wells": list(plate.wells),
            "fields": sorted(set(map(itemgetter(1), keys))),
            **({"vendor_fields": plate.vendor_fields} if plate.vendor_fields else {}),
            "timepoints": sorted(set(map(itemgetter(4), keys))),
            "channels": {
                str(number): {
                    "name": name,
                    "z_and_projections": list(layers[number]),
                    **_light(plate, number),
                }
                for number, name in plate.channels.items()
            },
            "planes_per_well": plate.planes_per_well,
        },
        "image": {
            "shape": plate.shape,
            "dtype": plate.dtype,
            "pixel_size_um": plate.pixel_size_um,
            "z_spacing_um": plate.z_spacing_um,
            "field_grid_rows_columns": plate.grid_dimensions,
            "time_interval_s": plate.time_interval_s,
        },
        "empty_images": [plane.path for plane in empty],
        "missing_planes": missing,
        "promised_but_absent": contents.promised,
        "ignored": {reason: {"count": len(paths), "files": paths} for reason, paths in contents.ignored.items()},
        "notes": notes,
        "images_opened": contents.images_opened,
    }


def _different_sizes(contents: ParsedPlate) -> list[str]:
    """Say which wells have which pixel size, and which z spacing, where they are known and differ."""
    notes = []
    for title, size in (("pixel size", itemgetter(7)), ("z spacing", itemgetter(8))):
        wells: dict[str, dict[str, None]] = defaultdict(dict)
        for well, found in dict.fromkeys((plane.key.well, size(plane)) for plane in contents.planes):
            if contents.plate.sizes_per_plane or not math.isnan(found):
                wells["unknown" if math.isnan(found) else f"{found:g} µm"][well] = None
        if len(wells) > 1:
            seen = ", ".join(
                f"{found} ({', '.join(list(own)[:4])}{' …' * (len(own) > 4)})" for found, own in wells.items()
            )
            notes.append(f"images have different {title}s: {seen}; every result states its own")
    return notes


def _light(plate: Plate, channel: int) -> dict[str, float | bool]:
    """Return what is known of a channel's light: wavelengths, and whether the microscope measured a flat field."""
    excitation, emission = plate.wavelengths_nm.get(channel, (None, None))
    known = {"excitation_nm": excitation, "emission_nm": emission, "flatfield": channel in plate.flatfields}
    return {name: value for name, value in known.items() if value}
