"""What a well job needs, from the plate index."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from wellfield.config.models import Config
from wellfield.pipeline.plan_file import PLAN
from wellfield.plate.plate import Plate

# Resident memory in MB that importing a library and its first call add to a process, rounded up from what was measured
# on the CPU (torch 191, jax 166, tensorflow 669, pyclesperanto with PoCL 238); cupy is an estimate.
LIBRARY_MB = {"numpy": 0, "torch": 250, "jax": 250, "tensorflow": 800, "pyclesperanto": 300, "cupy": 500}

# What the scheduler's own processes hold in a job beside ours: two of Snakemake, 180 MB each as measured with SLURM.
RUNNER_MB = 400

# Seconds in which a megapixel is read from a slow network drive, and in which a function takes it: several times what
# was measured, as a time limit that is too short costs the whole well.
SECONDS_READ, SECONDS_WORK = 0.5, 0.5
START_MINUTES = 5

# What a plane's record and the rows of its field take in the jobs that join a plate's tables: several times their size.
PLANE_MB = 0.004

# A field's stack while it is written: as it was staged, and its pyramid.
STORED_COPIES = 4
MEGABYTE = 1e6


def stack_megabytes(info: Plate, well: str, fields: int) -> float:
    """Return the size of all planes of one field in MB; that of a 2048² uint16 plane each where nothing is known."""
    rows, columns = info.shape or (2048, 2048)
    itemsize = 4 if info.dtype in ("float32", "int32", "uint32") else 1 if info.dtype == "uint8" else 2
    planes = math.ceil(info.planes_per_well.get(well, 1) / max(fields, 1))
    return planes * rows * columns * itemsize / MEGABYTE


def libraries(config: Config) -> tuple[str, ...]:
    """Return the array libraries that the configuration names: those that its steps can run on."""
    named = (config.settings.memory_type, *(step.memory_type for step in config.steps))
    return tuple(sorted({name for name in named if name and name != "numpy"}))


def function_names(config: Config) -> tuple[str, ...]:
    """Return every function that the pipeline names, as it spells them."""

    def named(func: Any) -> Iterator[str]:
        if isinstance(func, str):
            yield func
        elif isinstance(func, list):
            for item in func:
                yield from named(item)
        elif "func" in func:
            yield func["func"]
        else:
            for chain in func.values():
                yield from named(chain)

    return tuple(dict.fromkeys(name for step in config.steps for name in named(step.func)))


def names_own_functions(config: Config) -> bool:
    """Tell whether the pipeline names functions of the user's own, which may run on any library."""
    return any(":" in name for name in function_names(config))


def gpus(config: Config) -> int:
    """Return how many GPUs a job of the pipeline needs: none if all of its steps are known to run on NumPy."""
    return int(config.settings.device != "cpu" and bool(libraries(config) or names_own_functions(config)))


def library_mb(names: Iterable[str]) -> int:
    """Return the memory in MB that array libraries need beside images."""
    return sum(LIBRARY_MB[name] for name in names)


def process_mb(plan: str | os.PathLike[str], *, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that runs a stored plan: images as the plan estimates, libraries, margin.

    A repeated attempt gets that much more of it.

    Raises
    ------
    FileNotFoundError
        The plan is not there yet.
    """
    return RUNNER_MB + math.ceil((margin_mb + _plan_needs(plan)[0]) * attempt)


def _plan_needs(plan: str | os.PathLike[str]) -> tuple[float, float]:
    """Return the MB of a plan's images and libraries, and the megapixels of work of one field."""
    return _read_needs(os.fspath(plan), os.stat(plan).st_mtime_ns)


@cache
def _read_needs(plan: str, mtime_ns: int) -> tuple[float, float]:
    """Read what every well asks for, once for a plan as it is."""
    stored = PLAN.read(plan)
    calls = [call for step in stored["steps"] for branch in step["branches"] for call in branch["calls"]]
    names = {call[kind] for call in calls for kind in ("memory_type", "output_type")}
    with PLAN.parsing(plan):
        return float(stored["memory_mb"]) + library_mb(names), float(stored["work_megapixels"])


def storing_mb(info: Plate, well: str, fields: int, *, config: Config, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that writes a well, up to incompressible pixels.

    One field's images as float32 with their pyramid. The strategy ``well`` on Zarr v2 copies a whole well into one
    chunk and compresses that; all others go plane by plane or field by field.
    """
    zarr = config.settings.zarr
    whole = (zarr.chunk_strategy, zarr.ngff_version) == ("well", "0.4")
    images = STORED_COPIES * stack_megabytes(info, well, fields) + 2 * whole * stack_megabytes(info, well, 1)
    return RUNNER_MB + math.ceil((margin_mb + images) * attempt)


def plate_mb(*, margin_mb: int, planes: int = 0, attempt: int = 1) -> int:
    """Return the memory in MB of a job on the whole plate, whose index has so many planes, as far as that is known."""
    return RUNNER_MB + math.ceil((2 * margin_mb + planes * PLANE_MB) * attempt)


def process_minutes(plan: str | os.PathLike[str], info: Plate, well: str, fields: int, *, attempt: int = 1) -> int:
    """Return the time limit in minutes of a job that runs a stored plan over a well.

    Start-up, the planes read, and what the plan's functions get of each of *fields* (fields × timepoints).

    Raises
    ------
    FileNotFoundError
        The plan is not there yet.
    """
    work = _plan_needs(plan)[1] * fields
    return _minutes(SECONDS_READ * _megapixels(info, well) + SECONDS_WORK * work, attempt)


def storing_minutes(info: Plate, well: str, *, attempt: int = 1) -> int:
    """Return the time limit in minutes of a job that writes a well, as if every plane were written."""
    return _minutes(SECONDS_READ * _megapixels(info, well), attempt)


def _megapixels(info: Plate, well: str) -> float:
    rows, columns = info.shape or (2048, 2048)
    return info.planes_per_well.get(well, 1) * rows * columns / 1e6


def _minutes(seconds: float, attempt: int) -> int:
    return math.ceil((START_MINUTES + seconds / 60) * attempt)
