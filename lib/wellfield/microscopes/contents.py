"""What a microscope handler found on a plate, and the report about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from wellfield.plate.index import SCHEMA_VERSION, PlaneRecord, PlateInfo
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.plate.wells import split_well


@dataclass
class PlateContents:
    """Planes of a plate and everything about them that the report must say.

    Parameters
    ----------
    planes:
        One record per plane, no key twice.
    channels:
        Name of each channel number that has planes; names are unique.
    ignored:
        Files left out, by reason.
    notes:
        Contradictions and substitutions, one sentence each.
    promised:
        What the vendor's metadata announces but the disk does not hold, by axis.
    """

    planes: list[PlaneRecord]
    channels: dict[int, str]
    ignored: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    promised: dict[str, list[str]] = field(default_factory=dict)
    shape: tuple[int, int] | None = None
    dtype: str | None = None
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    grid_dimensions: tuple[int, int] | None = None
    images_opened: int = 0

    def plate_info(self, *, plate: str, plate_path: str, microscope: str) -> PlateInfo:
        """Return the plate's own metadata; sorts the planes by key, wells row by row."""
        order = {well: split_well(well) for well in {plane.key.well for plane in self.planes}}
        self.planes.sort(key=lambda plane: (order[plane.key.well], plane.key[1:]))
        wells = tuple(sorted(order, key=order.__getitem__))
        counts = dict.fromkeys(wells, 0)
        for plane in self.planes:
            counts[plane.key.well] += 1
        return PlateInfo(
            plate=plate,
            plate_path=plate_path,
            microscope=microscope,
            wells=wells,
            channels=dict(sorted(self.channels.items())),
            shape=self.shape,
            dtype=self.dtype,
            pixel_size_um=self.pixel_size_um,
            z_spacing_um=self.z_spacing_um,
            grid_dimensions=self.grid_dimensions,
            field_count=max((plane.key.field for plane in self.planes), default=None),
            planes_per_well=counts,
        )


def unique_names(names: dict[int, str], notes: list[str]) -> dict[int, str]:
    """Return channel names of which no two are equal; a name used twice gets its wave number appended."""
    counts = Counter(names.values())
    doubled = sorted(name for name, count in counts.items() if count > 1)
    if doubled:
        notes.append(f"channel names used more than once get their wave number appended: {', '.join(doubled)}")
    unique = {wave: f"{name}_w{wave}" if counts[name] > 1 else name for wave, name in names.items()}
    if len(set(unique.values())) == len(unique):
        return unique
    return {wave: f"{name}_w{wave}" for wave, name in names.items()}


def find_holes(planes: list[PlaneRecord]) -> list[PlaneKey]:
    """Return the planes that are absent though the plate has their field, timepoint and z elsewhere.

    Expected in every well are all fields that any well has and, for each channel, all z, projections and timepoints
    that this channel has anywhere (their numbers differ between channels by design).
    """
    keys = [plane.key for plane in planes]
    wells = dict.fromkeys([key[0] for key in keys])
    fields = sorted({key[1] for key in keys})
    layers: dict[int, set[tuple[int, Projection]]] = defaultdict(set)
    times: dict[int, set[int]] = defaultdict(set)
    for channel, z, time, projection in {key[2:] for key in keys}:
        layers[channel].add((z, projection))
        times[channel].add(time)
    if len(keys) == len(wells) * len(fields) * sum(len(layers[channel]) * len(times[channel]) for channel in layers):
        return []
    present = set(keys)
    return [
        key
        for well in wells
        for site in fields
        for channel in sorted(layers)
        for z, projection in sorted(layers[channel])
        for time in sorted(times[channel])
        if (key := PlaneKey(well, site, channel, z, time, projection)) not in present
    ]


def ingest_report(contents: PlateContents, info: PlateInfo, *, why: str) -> dict[str, Any]:
    """Return what was found, what is missing and what was ignored, as JSON values."""
    keys = [plane.key for plane in contents.planes]
    layers: dict[int, dict[str, None]] = defaultdict(dict)  # an ordered set: z in the order of its numbers
    for channel, z, projection in sorted({(key[2], key[3], key[5]) for key in keys}):
        layers[channel][f"z{z}" if projection == Projection.NONE else str(projection)] = None
    return {
        "schema_version": SCHEMA_VERSION,
        "plate": info.plate,
        "microscope": {"name": info.microscope, "why": why},
        "found": {
            "planes": len(contents.planes),
            "bytes": sum(plane.size for plane in contents.planes),
            "wells": list(info.wells),
            "fields": sorted({key[1] for key in keys}),
            "timepoints": sorted({key[4] for key in keys}),
            "channels": {
                str(number): {"name": name, "z_and_projections": list(layers[number])}
                for number, name in info.channels.items()
            },
            "planes_per_well": info.planes_per_well,
        },
        "image": {
            "shape": info.shape,
            "dtype": info.dtype,
            "pixel_size_um": info.pixel_size_um,
            "z_spacing_um": info.z_spacing_um,
            "field_grid_rows_columns": info.grid_dimensions,
        },
        "missing_planes": [plane_name(key) for key in find_holes(contents.planes)],
        "promised_but_absent": contents.promised,
        "ignored": {reason: {"count": len(paths), "files": paths} for reason, paths in contents.ignored.items()},
        "notes": contents.notes,
        "images_opened": contents.images_opened,
    }
