"""Estimate from the plan how much disk space a run needs, before a well runs, and compare it with the free space.

The estimate counts the images of steps with ``materialize``. It leaves out tables, regions, pictures of the report and
logs, which are small, and images that functions return besides their image, which are not known in advance.
"""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.errors import DiskSpaceError, WellfieldError
from wellfield.formats.tiff import TiffCompression
from wellfield.formatting import counted, size_text
from wellfield.pipeline.estimate import UNKNOWN_DTYPE, UNKNOWN_SHAPE, pixel_bytes
from wellfield.pipeline.plan import CompiledStep, Plan
from wellfield.pipeline.step import START
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.keys import WHOLE_WELL, Projection
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind
from wellfield.results.manifest import read_manifest
from wellfield.results.paths import STAGING, STORE_NAME, PlateFile, WellFile
from wellfield.results.staged_well import staged_bytes
from wellfield.results.status import WellStatus
from wellfield.results.well_jobs import read_jobs
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor
from wellfield.storage.zarr.addressing import LABEL_DTYPE
from wellfield.storage.zarr.pixels import ZARR_FORMATS, chunk_side
from wellfield.storage.zarr.pyramid import level_shapes

# The part of an intensity image that a lossless codec leaves at least: camera noise takes that much. Labels and masks
# may come out as next to nothing.
SMALLEST_PART = 0.1

# The header of a .npy file of a stack; header, metadata and the unused end of the last block of any other, at most.
_NPY_HEADER = 128
_FILE_OVERHEAD = 4096

# Bytes that a stored pixel of a mask or label takes at least and at most; in plate.zarr both are labels.
_TIFF_PIXELS = {ImageKind.MASK: (1, 1), ImageKind.LABELS: (2, 4)}
_LABEL_PIXELS = (LABEL_DTYPE.itemsize, LABEL_DTYPE.itemsize)

_Stacks = Mapping[tuple[int, int, int], int]  # field, timepoint, channel → planes


@dataclass(frozen=True, slots=True)
class WellSpace:
    """Bytes that the images of a well take: between its two jobs, and in the results at least and at most."""

    staging: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class PlateSpace:
    """What the wells of a plate that are to be done take.

    Parameters
    ----------
    wells:
        How many they are.
    staging:
        Bytes that the largest job takes in the results before its wells are written; 0 where that lies elsewhere.
    smallest:
        Bytes that the well takes at least that takes the least, with its staging.
    least, most:
        Bytes by which the results grow: results that are replaced are taken off.
    keeps_staged:
        Staged wells stay, and *least* and *most* include them.
    """

    plate: str
    wells: int
    staging: int
    smallest: int
    least: int
    most: int
    keeps_staged: bool = False


def well_space(plan: Plan, info: Plate, planes: Iterable[PlaneRecord]) -> WellSpace:
    """Return what the images take that a plan makes of the *planes* of one well.

    *most* is what they take without compression (intensities as float32, but for projections of the plate's planes),
    with pyramids and metadata; *least* takes pixels for no larger than the plate's, and compressed ones for a tenth.
    """
    sizes = _Sizes(plan, info, planes)
    steps = [step for step in plan.steps if step.materialize]
    bounds = [sizes.stored(step, target) for step in steps for target in step.materialize]
    return WellSpace(
        sum(sizes.staged(step) for step in steps), sum(low for low, _ in bounds), sum(high for _, high in bounds)
    )


def wells_to_do(plan: Plan, wells: Iterable[str], results: str | os.PathLike[str]) -> list[str]:
    """Return the wells that are not done by this plan: their manifest is absent, of a failure or of another plan."""
    manifests = {well: _manifest(results, well) for well in wells}
    done = (WellStatus.DONE, plan.digest())
    return [w for w, found in manifests.items() if (found.get("status"), found.get("plan_digest")) != done]


def plate_space(
    plan: Plan,
    info: Plate,
    planes: Mapping[str, Sequence[PlaneRecord]],
    wells: Sequence[str],
    results: str | os.PathLike[str],
    *,
    scratch: bool = False,
    keep_staged: bool = False,
) -> PlateSpace:
    """Return what *wells* take that are to be done; *planes* by well, *results* is the folder of the plate.

    With *scratch* they are staged on the nodes' own disks, of which nothing is known. With *keep_staged* they stay
    staged in the results.
    """
    needs = [well_space(plan, info, planes.get(well, ())) for well in wells]
    replaced = [_stored_now(_manifest(results, well)) for well in wells]
    staging = [0 if scratch else need.staging for need in needs]
    of_jobs: Counter[str] = Counter()
    jobs = read_jobs(results)
    for well, stage in zip(wells, staging, strict=True):
        of_jobs[jobs.of(well)] += stage
    least = [max(need.least - old, 0) for need, old in zip(needs, replaced, strict=True)]
    most = [max(need.most - old, 0) for need, old in zip(needs, replaced, strict=True)]
    if keep_staged:
        there = [staged_bytes(Path(results, STAGING, well)) for well in wells]
        kept = [max(stage - old, 0) for stage, old in zip(staging, there, strict=True)]
        least, most = ([a + b for a, b in zip(kept, grown, strict=True)] for grown in (least, most))
        return PlateSpace(info.name, len(wells), 0, min(least, default=0), sum(least), sum(most), keeps_staged=True)
    smallest = min(map(sum, zip(staging, least, strict=True)), default=0)
    return PlateSpace(info.name, len(wells), max(of_jobs.values(), default=0), smallest, sum(least), sum(most))


def plan_space(
    plan: Plan,
    index: str | os.PathLike[str],
    wells: Sequence[str],
    results: str | os.PathLike[str],
    *,
    scratch: bool = False,
    keep_staged: bool = False,
    redo: bool = False,
) -> PlateSpace:
    """Return what those of *wells* take that are not done by *plan* yet, or all of them, as :func:`plate_space`."""
    info, records = read_index(index, wells)
    planes: dict[str, list[PlaneRecord]] = {}
    for record in records:
        planes.setdefault(record.key.well, []).append(record)
    chosen = wells if redo else wells_to_do(plan, wells, results)
    return plate_space(plan, info, planes, chosen, results, scratch=scratch, keep_staged=keep_staged)


def last_plan(results: str | os.PathLike[str]) -> Plan | None:
    """Return the plan that lies in the results of a plate; ``None`` if none does that this version can read."""
    path = Path(results, PlateFile.PLAN)
    try:
        return Plan.read(path) if path.exists() else None
    except WellfieldError:
        return None


def space_lines(
    plates: Iterable[PlateSpace],
    results: str | os.PathLike[str],
    *,
    wells_at_once: int = 0,
    at_most: bool = False,
    to_do: str = "to do",
    free: int | None = None,
) -> list[str]:
    """Return a line for each plate with wells to do: what they take and what is free, and whether that may be short.

    Parameters
    ----------
    plates:
        The plates that are worked on in one run: their space is added up.
    results:
        Folder where they lie, with their staging.
    wells_at_once:
        How many jobs are worked on at a time, if there are that many; 0 where that is not known.
    at_most:
        Whether the run may be about some of the wells only. Then too little space for all wells is not an error.
    to_do:
        What is said of the wells after their number.
    free:
        Free bytes there; by default what the file system says, which knows of no quota.

    Raises
    ------
    DiskSpaceError
        The least that the results and the staging of one well take is more than is free; with *at_most*, not even one
        well has room.
    """
    found = [plate for plate in plates if plate.wells]
    if not found:
        return []
    free = shutil.disk_usage(results).free if free is None else free
    where = os.fspath(results)
    one = max(plate.staging for plate in found)
    wells = sum(plate.wells for plate in found)
    needed = min(plate.smallest for plate in found) if at_most else one + sum(plate.least for plate in found)
    if needed > free:
        names = ", ".join(plate.plate for plate in found)
        what = (
            f"the smallest of {counted(wells, 'well')} to do takes"
            if at_most
            else f"{counted(wells, 'well')} to do take"
        )
        fewer = "" if at_most else ", or name fewer wells in the plate sheet"
        raise DiskSpaceError(
            f"{names}: {what} at least {size_text(needed)} in {where}, with compressed images taken for a tenth of "
            f"their size, and {size_text(free)} are free there; free some space or set 'results' to a folder on a "
            f"larger disk{fewer}"
        )
    lines, least, most = [], one, min(wells_at_once or 1, wells) * one
    for plate in found:
        least += plate.least
        most += plate.most
        what = "results and staged wells" if plate.keeps_staged else "results"
        line = f"{plate.plate}: {counted(plate.wells, 'well')} {to_do}; {what} take "
        line += _extent(size_text(plate.least), size_text(plate.most))
        if plate.staging:
            at_once = min(wells_at_once or 1, plate.wells)
            line += f", staging {size_text(at_once * plate.staging)} "
            line += "at a time" if wells_at_once else "for each well at work"
        line += f"; {size_text(free)} are free in {where}"
        if most > free:
            line += f"; warning: that {'is too little for all of them' if least > free else 'may be too little'}"
        lines.append(line)
    return lines


def _extent(least: str, most: str) -> str:
    if least == most:
        return most
    (low, unit), (high, other) = least.split(" "), most.split(" ")
    return f"{low} to {high} {other}" if unit == other else f"{least} to {most}"


def _manifest(results: str | os.PathLike[str], well: str) -> dict[str, Any]:
    """Return the manifest of a well, an empty one where there is none that can be read."""
    path = Path(results, WellFile.MANIFEST.of(well))
    try:
        return read_manifest(path) if path.exists() else {}
    except WellfieldError:
        return {}


def _stored_now(manifest: Mapping[str, Any]) -> int:
    """Return the bytes of the images that a well has in the results."""
    entries = manifest.get("files", ())
    return sum(entry["size"] for entry in entries if entry["path"].startswith((f"{STORE_NAME}/", "images/")))


class _Sizes:
    """Stacks of images of one well, and the bytes that they take."""

    def __init__(self, plan: Plan, info: Plate, planes: Iterable[PlaneRecord]) -> None:
        self._plan = plan
        self._shape = info.shape or UNKNOWN_SHAPE
        self._itemsize = np.dtype(info.dtype or UNKNOWN_DTYPE).itemsize
        self._grid = info.grid_dimensions
        # A function of the user's own may return pixels of one byte.
        own = any(not call.is_registered for step in plan.steps for call in step.calls)
        self._least_pixel = 1 if own else min(self._itemsize, 4)
        self._stacks: dict[str, _Stacks] = {START: _source_stacks(plan, planes)}
        for step in plan.steps:
            self._stacks[step.name] = _step_stacks(step, self._stacks[step.input])

    def staged(self, step: CompiledStep) -> int:
        """Return the bytes of the files that a step's images are handed over in."""
        stacks = self._stacks[step.name]
        pixels = math.prod(self._shape_of(step)) * pixel_bytes(step, self._itemsize)
        return sum(stacks.values()) * pixels + len(stacks) * _NPY_HEADER

    def stored(self, step: CompiledStep, target: str) -> tuple[int, int]:
        """Return the bytes that a step's images take in one format, at least and at most."""
        if target == "roi":
            return 0, 0
        in_store = target == "zarr"
        settings = self._plan.settings
        codec = settings.zarr.compressor != ZarrCompressor.NONE
        if not in_store:
            codec = settings.tiff.compression != TiffCompression.NONE
        pixel: tuple[int, int] = min(self._least_pixel, most := pixel_bytes(step, self._itemsize)), most
        if step.kind != ImageKind.INTENSITY:
            pixel = _LABEL_PIXELS if in_store else _TIFF_PIXELS[step.kind]
        part = 1.0 if not codec else SMALLEST_PART if step.kind == ImageKind.INTENSITY else 0.0
        pixels, files = self._stored_pixels(step, in_store=in_store)
        return math.floor(part * pixel[0] * pixels), pixel[1] * pixels + files * _FILE_OVERHEAD

    def _stored_pixels(self, step: CompiledStep, *, in_store: bool) -> tuple[int, int]:
        """Return how many pixels of a step's images are stored, padding included, and in how many files at most."""
        stacks, shape = self._stacks[step.name], self._shape_of(step)
        planes, zarr = sum(stacks.values()), self._plan.settings.zarr
        if not in_store:
            return planes * math.prod(shape), planes
        if zarr.chunk_strategy == ZarrChunkStrategy.FIELD:
            levels = level_shapes(shape)
            pixels = sum(
                math.prod(-(-side // (chunk := chunk_side(side))) * chunk for side in level) for level in levels
            )
            return planes * pixels, (planes + 2 * len(stacks)) * len(levels)
        if zarr.chunk_strategy == ZarrChunkStrategy.WELL and ZARR_FORMATS[zarr.ngff_version] == 2:
            # One chunk with a place for every plane, also for those that are missing.
            axes = [len({key[axis] for key in stacks}) for axis in range(3)]
            planes = math.prod(axes) * max(stacks.values(), default=0)
        return planes * math.prod(shape), planes + 4 * len(stacks)

    def _shape_of(self, step: CompiledStep) -> tuple[int, int]:
        """Return the shape of a step's planes; that of a whole well is taken for one of fields side by side."""
        if not step.merged:
            return self._shape
        fields = len({field for field, _, _ in self._stacks[START]})
        rows, columns = self._grid or (1, 1)
        if rows * columns < fields:
            columns = math.ceil(math.sqrt(fields))
            rows = math.ceil(fields / columns)
        return rows * self._shape[0], columns * self._shape[1]


def _source_stacks(plan: Plan, planes: Iterable[PlaneRecord]) -> _Stacks:
    """Return the stacks that the pipeline starts from, of the planes that are there."""
    found: Counter[tuple[int, int, int]] = Counter()
    for plane in planes:
        key = plane.key
        layers = plan.sources.get(key.channel)
        if layers is None or key.projection != layers.projection:
            continue
        if layers.projection == Projection.NONE and key.z not in layers.z:
            continue
        found[key.field, key.timepoint, key.channel] += 1
    return found


def _step_stacks(step: CompiledStep, before: _Stacks) -> _Stacks:
    """Return the stacks that a step makes of those *before* it."""
    stacks = {}
    for (field, timepoint, channel), planes in before.items():
        if channel not in step.channels:
            continue
        projects = step.branch(channel).projection != Projection.NONE
        if step.merged:
            stacks[WHOLE_WELL, timepoint, channel] = 1
        else:
            stacks[field, timepoint, channel] = 1 if projects else planes
    return stacks
