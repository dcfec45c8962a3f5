"""What a microscope handler found on a plate, and the report about it."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

from wellfield.plate.flatfield import FlatfieldProfile
from wellfield.plate.index import NAN, SCHEMA_VERSION, PlaneRecord, PlateInfo
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.plate.wells import split_well

# Bytes of a TIFF's header and of a directory with one tag; no image is that short.
_SHORTEST_IMAGE = 26
_IMAGES = (".tif", ".tiff", ".png")
# More absent planes than this are no holes, but a misunderstanding of how fields are numbered.
MOST_HOLES = 250_000
_SHOWN_HOLES = 1_000


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
    wavelengths_nm:
        Excitation and emission of each channel, ``None`` where there is none.
    vendor_fields:
        The vendor's number of each field, for microscopes that number them otherwise.
    flatfields:
        Flat-field profiles that the microscope itself measured, by channel.
    stage_y_up:
        The stage's y rises towards the top of the images, not towards their bottom.
    time_interval_s:
        Median time between two timepoints in seconds.
    label_channels:
        Channels that hold labels of objects, which a pipeline takes only where a step names them.
    channel_dtypes:
        Channels whose planes have another dtype than *dtype*.
    sizes_per_plane:
        Every plane says its own sizes: where it does not, they are unknown, and not those of the plate.
    pixel_size_of_files:
        Pixel sizes are what image files themselves say, not a layout or other metadata of the plate.
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
    wavelengths_nm: dict[int, tuple[float | None, float | None]] = field(default_factory=dict)
    vendor_fields: dict[int, int] = field(default_factory=dict)
    flatfields: dict[int, FlatfieldProfile] = field(default_factory=dict)
    stage_y_up: bool = False
    time_interval_s: float | None = None
    label_channels: tuple[int, ...] = ()
    channel_dtypes: dict[int, str] = field(default_factory=dict)
    sizes_per_plane: bool = False
    pixel_size_of_files: bool = False

    def _transmitted(self) -> tuple[int, ...]:
        """Return the channels of transmitted light: by name, or without an emission where others have one."""
        emitting = {number for number, (_, emission) in self.wavelengths_nm.items() if emission}
        dark = {number for number in self.wavelengths_nm if emitting and number not in emitting}
        named = {number for number, name in self.channels.items() if _TRANSMITTED.search(name)}
        return tuple(sorted(named | (dark & self.channels.keys())))

    def plate_info(self, *, plate: str, plate_path: str, microscope: str) -> PlateInfo:
        """Return the plate's own metadata; sorts the planes by key, wells row by row, and completes them.

        A plane without a pixel size has the plate's. One without a stage position has that of its field at its
        timepoint, if another channel or z of it has one.
        """
        order = {well: split_well(well) for well in {plane.key.well for plane in self.planes}}
        wells = tuple(sorted(order, key=order.__getitem__))
        by_well: dict[str, list[PlaneRecord]] = {well: [] for well in wells}
        for plane in self.planes:
            by_well[plane.key.well].append(plane)
        pixel_size = NAN if self.sizes_per_plane else self.pixel_size_um or NAN
        for group in by_well.values():
            group.sort()  # no two have one key
        self.planes = [plane for group in by_well.values() for plane in _completed(group, pixel_size)]
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
            planes_per_well={well: len(group) for well, group in by_well.items()},
            flatfields=self.flatfields,
            stage_y_up=self.stage_y_up,
            label_channels=self.label_channels,
            channel_dtypes=self.channel_dtypes,
            sizes_per_plane=self.sizes_per_plane,
            pixel_size_of_files=self.pixel_size_of_files,
            transmitted_channels=self._transmitted(),
        )


def channel_dtypes(sampled: Iterable[tuple[int, str]], dtype: str | None) -> dict[int, str]:
    """Return the channels whose sampled planes all have one dtype that is not *dtype*; *sampled* is pairs of both.

    Bright field is 8 bits in some plates of 16 bits. An odd plane among others says nothing of its channel.
    """
    found: dict[int, set[str]] = defaultdict(set)
    for channel, name in sampled:
        found[channel].add(name)
    return {channel: min(names) for channel, names in sorted(found.items()) if len(names) == 1 and names != {dtype}}


# Names of channels that are no fluorescence.
_TRANSMITTED = re.compile(
    r"(?i)(?<![^\W_])(digital phase|phase[ _-]?contrast|dpc|dic|bright[ _-]?field|bf|transmitted|trans|tl ?[0-9]*)"
    r"(?![^\W_])"
)


def _completed(planes: list[PlaneRecord], pixel_size: float) -> list[PlaneRecord]:
    """Return the planes of a well with what the plate or the field knows, where they do not know it themselves."""
    known = {
        (plane.key.field, plane.key.timepoint): (plane.stage_x_um, plane.stage_y_um)
        for plane in reversed(planes)
        if not math.isnan(plane.stage_x_um + plane.stage_y_um)
    }
    isnan = math.isnan
    if not known and not any(isnan(plane.pixel_size_um) for plane in planes):
        return planes
    complete = list(planes)
    for number, plane in enumerate(planes):
        if isnan(plane.pixel_size_um):
            complete[number] = plane._replace(pixel_size_um=pixel_size)
        place = known.get((plane.key.field, plane.key.timepoint))
        if place is not None and isnan(plane.stage_x_um + plane.stage_y_um):
            complete[number] = complete[number]._replace(stage_x_um=place[0], stage_y_um=place[1])
    return complete


def find_holes(planes: list[PlaneRecord]) -> list[PlaneKey]:
    """Return the planes that are absent though the plate has their field, timepoint and z elsewhere.

    Expected in every well are all fields that any well has and, for each channel, all z, projections and timepoints
    that this channel has anywhere (their numbers differ between channels by design). Where more than 250,000 planes
    would be absent by that, as when fields are numbered on through the whole plate, each well's own fields count, and
    no more than so many are returned.
    """
    keys = [plane.key for plane in planes]
    wells = dict.fromkeys(map(itemgetter(0), keys))
    fields = sorted(set(map(itemgetter(1), keys)))
    layers: dict[int, set[tuple[int, Projection]]] = defaultdict(set)
    times: dict[int, set[int]] = defaultdict(set)
    for channel, z, time, projection in set(map(itemgetter(2, 3, 4, 5), keys)):
        layers[channel].add((z, projection))
        times[channel].add(time)
    per_field = sum(len(layers[channel]) * len(times[channel]) for channel in layers)
    absent = len(wells) * len(fields) * per_field - len(keys)
    if not absent:
        return []
    present = set(keys)
    own = dict.fromkeys(wells, fields)
    if absent > MOST_HOLES:
        own = {well: [] for well in wells}
        for well, site in sorted({key[:2] for key in keys}):
            own[well].append(site)
    holes = (
        key
        for well in wells
        for site in own[well]
        for channel in sorted(layers)
        for z, projection in sorted(layers[channel])
        for time in sorted(times[channel])
        if (key := PlaneKey(well, site, channel, z, time, projection)) not in present
    )
    return list(islice(holes, MOST_HOLES))


def unique_channel_names(names: Mapping[int, str], notes: list[str]) -> dict[int, str]:
    """Return channel names of which no two are equal; a name used twice gets its number appended, which is noted."""
    counts = Counter(names.values())
    doubled = sorted(name for name, count in counts.items() if count > 1)
    if doubled:
        notes.append(f"channel names used more than once get their number appended: {', '.join(doubled)}")
    unique = {number: f"{name}_w{number}" if counts[name] > 1 else name for number, name in names.items()}
    if len(set(unique.values())) == len(unique):
        return unique
    return {number: f"{name}_w{number}" for number, name in names.items()}


def usual_z_spacing(heights: Iterable[tuple[Hashable, int, float]]) -> float | None:
    """Return the median distance in µm of neighbouring z planes, or ``None`` where no two heights are known.

    Parameters
    ----------
    heights:
        The stack that a plane belongs to, its z, and its height in µm.
    """
    stacks: dict[Hashable, dict[int, float]] = defaultdict(dict)
    for stack, z, height in heights:
        stacks[stack][z] = height
    steps = [abs(found[z + 1] - found[z]) for found in stacks.values() for z in found if z + 1 in found]
    steps = sorted(step for step in steps if not math.isnan(step))
    # The z drive reports positions with jitter of some 10 nm.
    return (round(steps[len(steps) // 2], 2) or None) if steps else None


def empty_images(planes: Iterable[PlaneRecord]) -> list[PlaneRecord]:
    """Return the planes whose files are empty, or too short for any image, by the size that the scan found."""
    return [plane for plane in planes if plane.size < _SHORTEST_IMAGE and plane.path.lower().endswith(_IMAGES)]


def _empty_note(empty: list[PlaneRecord], count: int) -> str:
    wells = list(dict.fromkeys(plane.key.well for plane in empty))
    shown = ", ".join(plane.path for plane in empty[:3]) + (", …" if len(empty) > 3 else "")
    of_wells = ", ".join(wells[:6]) + (f" and {len(wells) - 6} more" if len(wells) > 6 else "")
    return (
        f"{len(empty)} of {count} images are empty files ({shown}; at most {max(p.size for p in empty)} bytes): they "
        f"cannot be read, and wells fail by them: {of_wells}. Copy the plate again"
    )


def ingest_report(contents: PlateContents, info: PlateInfo, *, why: str) -> dict[str, Any]:
    """Return what was found, what is missing and what was ignored, as JSON values."""
    keys = [plane.key for plane in contents.planes]
    missing = [plane_name(key) for key in find_holes(contents.planes)]
    empty = empty_images(contents.planes)
    notes = [*([_empty_note(empty, len(keys))] if empty else []), *contents.notes, *_different_sizes(contents)]
    if len(missing) == MOST_HOLES:
        missing = missing[:_SHOWN_HOLES]
        notes = [
            *notes,
            f"{MOST_HOLES} planes and more are missing by the numbers of the others, {_SHOWN_HOLES} are named: "
            "numbers may count on through the whole plate",
        ]
    layers: dict[int, dict[str, None]] = defaultdict(dict)  # an ordered set: z in the order of its numbers
    for channel, z, projection in sorted(set(map(itemgetter(2, 3, 5), keys))):
        layers[channel][f"z{z}" if projection == Projection.NONE else str(projection)] = None
    return {
        "schema_version": SCHEMA_VERSION,
        "plate": info.plate,
        "microscope": {"name": info.microscope, "why": why},
        "found": {
            "planes": len(contents.planes),
            "bytes": sum(plane.size for plane in contents.planes),
            "wells": list(info.wells),
            "fields": sorted(set(map(itemgetter(1), keys))),
            **({"vendor_fields": contents.vendor_fields} if contents.vendor_fields else {}),
            "timepoints": sorted(set(map(itemgetter(4), keys))),
            "channels": {
                str(number): {
                    "name": name,
                    "z_and_projections": list(layers[number]),
                    **_light(contents, number),
                }
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
            "time_interval_s": contents.time_interval_s,
        },
        "empty_images": [plane.path for plane in empty],
        "missing_planes": missing,
        "promised_but_absent": contents.promised,
        "ignored": {reason: {"count": len(paths), "files": paths} for reason, paths in contents.ignored.items()},
        "notes": notes,
        "images_opened": contents.images_opened,
    }


def _different_sizes(contents: PlateContents) -> list[str]:
    """Say which wells have which pixel size, and which z spacing, where they are known and differ."""
    notes = []
    for title, size in (("pixel size", itemgetter(7)), ("z spacing", itemgetter(8))):
        wells: dict[str, dict[str, None]] = defaultdict(dict)
        for well, found in dict.fromkeys((plane.key.well, size(plane)) for plane in contents.planes):
            if contents.sizes_per_plane or not math.isnan(found):
                wells["unknown" if math.isnan(found) else f"{found:g} µm"][well] = None
        if len(wells) > 1:
            seen = ", ".join(
                f"{found} ({', '.join(list(own)[:4])}{' …' * (len(own) > 4)})" for found, own in wells.items()
            )
            notes.append(f"images have different {title}s: {seen}; every result states its own")
    return notes


def _light(contents: PlateContents, channel: int) -> dict[str, float | bool]:
    """Return what is known of a channel's light: wavelengths, and whether the microscope measured a flat field."""
    excitation, emission = contents.wavelengths_nm.get(channel, (None, None))
    known = {"excitation_nm": excitation, "emission_nm": emission, "flatfield": channel in contents.flatfields}
    return {name: value for name, value in known.items() if value}
