"""What a microscope handler found: a plate, its planes, and notes for the report."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter

from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.plate import Plate
from wellfield.plate.wells import split_well

# If more planes than this seem absent, the numbers of fields count on through the plate.
MOST_HOLES = 250_000


@dataclass
class ParsedPlate:
    """What a microscope handler found: a plate, its planes, and what the report must say about them.

    Parameters
    ----------
    planes:
        One record per plane, no key twice.
    plate:
        The facts that the handler found, channels first. Name, path, wells and counts are filled in by
        :meth:`complete`. A plate cannot be changed: ``contents.plate = replace(contents.plate, dtype="uint16")``.
    ignored:
        Files left out, by reason.
    notes:
        Contradictions and substitutions, one sentence each.
    promised:
        What the vendor's metadata announces but the disk does not hold, by axis.
    images_opened:
        How many image files were opened to find all this.
    """

    planes: list[PlaneRecord] = field(default_factory=list)
    plate: Plate = field(default_factory=Plate)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    promised: dict[str, list[str]] = field(default_factory=dict)
    images_opened: int = 0

    def complete(self, *, name: str, path: str, microscope: str) -> Plate:
        """Fill in what follows from the planes, and return the plate. Sorts the planes by key, wells row by row.

        A plane without a pixel size gets the plate's. One without a stage position gets the position of its field at
        its timepoint, if another channel or z has one.
        """
        order = {well: split_well(well) for well in {plane.key.well for plane in self.planes}}
        by_well: dict[str, list[PlaneRecord]] = {well: [] for well in sorted(order, key=order.__getitem__)}
        for plane in self.planes:
            by_well[plane.key.well].append(plane)
        pixel_size = NAN if self.plate.sizes_per_plane else self.plate.pixel_size_um or NAN
        for group in by_well.values():
            group.sort()  # no two have one key
        self.planes = [plane for group in by_well.values() for plane in _completed(group, pixel_size)]
        self.plate = replace(
            self.plate,
            name=name,
            path=path,
            microscope=microscope,
            wells=tuple(by_well),
            channels=dict(sorted(self.plate.channels.items())),
            field_count=max((plane.key.field for plane in self.planes), default=None),
            planes_per_well={well: len(group) for well, group in by_well.items()},
        )
        return self.plate


def channel_dtypes(sampled: Iterable[tuple[int, str]], dtype: str | None) -> dict[int, str]:
    """Return the channels whose sampled planes all have one dtype other than *dtype*.

    *sampled* has the channel and dtype of each plane. Example: bright field of 8 bits in a plate of 16 bits. If the
    planes of a channel differ, nothing is said about the channel.
    """
    found: dict[int, set[str]] = defaultdict(set)
    for channel, name in sampled:
        found[channel].add(name)
    return {channel: min(names) for channel, names in sorted(found.items()) if len(names) == 1 and names != {dtype}}


def _completed(planes: list[PlaneRecord], pixel_size: float) -> list[PlaneRecord]:
    """Return the planes of a well; missing sizes and positions are filled in from the plate and the field."""
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
    """Return the planes that one well lacks and other wells have.

    Every well should have all fields that any well has and, for each channel, all z, projections and timepoints that
    this channel has anywhere. If more than 250,000 planes would be absent, fields may count on through the whole plate:
    then each well's own fields count, and at most 250,000 planes are returned.
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
    """Return unique channel names. A name that is used twice gets its number appended, with a note."""
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
