"""Estimate memory, time and GPUs of a plate's jobs from the plate index and the plan."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from wellfield.config.models import Config
from wellfield.pipeline.plan_file import PLAN
from wellfield.plate.plate import Plate

# Resident memory in MB that importing a library and its first call add to a process. Measured on the CPU and rounded up
# (torch 191, jax 166, tensorflow 669, pyclesperanto with PoCL 238); cupy is an estimate.
LIBRARY_MB = {"numpy": 0, "torch": 250, "jax": 250, "tensorflow": 800, "pyclesperanto": 300, "cupy": 500}

# Memory of the other processes in a job: two of Snakemake, 180 MB each as measured with SLURM.
RUNNER_MB = 400

# Seconds to read a megapixel from a slow network drive, and seconds of one function per megapixel. Both are several
# times the measured values, because a time limit that is too short costs the whole well.
SECONDS_READ, SECONDS_WORK = 0.5, 0.5
START_MINUTES = 5

# What the same takes on a local disk, measured with the shipped pipeline. It decides how many wells share a job, and a
# wrong number costs no well.
EXPECTED_READ, EXPECTED_WORK = 0.03, 0.03
# How long a job is to be, so that starting it is a small part; and how many jobs each core gets at least.
JOB_SECONDS = 10
JOBS_PER_CORE = 2
# How many jobs a plate makes on a cluster at most. Each is a submission, and a minute is a better job than a second.
JOBS_ON_CLUSTER = 100

# Memory for the record of a plane and the rows of its field, in jobs that join a plate's tables: several times their
# size.
PLANE_MB = 0.004

# Copies of a field's stack in memory while it is written, including its pyramid.
STORED_COPIES = 4
MEGABYTE = 1e6


def stack_megabytes(info: Plate, well: str, fields: int) -> float:
    """Return the size of all planes of one field in MB; an unknown shape counts as 2048², unknown pixels as uint16."""
    rows, columns = info.shape or (2048, 2048)
    itemsize = 4 if info.dtype in ("float32", "int32", "uint32") else 1 if info.dtype == "uint8" else 2
    planes = math.ceil(info.planes_per_well.get(well, 1) / max(fields, 1))
    return planes * rows * columns * itemsize / MEGABYTE


def libraries(config: Config) -> tuple[str, ...]:
    """Return the array libraries, other than NumPy, that the configuration names; steps can run on these."""
    named = (config.settings.memory_type, *(step.memory_type for step in config.steps))
    return tuple(sorted({name for name in named if name and name != "numpy"}))


def function_names(config: Config) -> tuple[str, ...]:
    """Return every function that the pipeline names, spelt as in the pipeline."""

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
    """Tell whether the pipeline names the user's own functions, which may run on any library."""
    return any(":" in name for name in function_names(config))


def gpus(config: Config) -> int:
    """Return how many GPUs a job of the pipeline needs: none if all of its steps are known to run on NumPy."""
    return int(config.settings.device != "cpu" and bool(libraries(config) or names_own_functions(config)))


def library_mb(names: Iterable[str]) -> int:
    """Return the memory in MB that array libraries need in addition to images."""
    return sum(LIBRARY_MB[name] for name in names)


def process_mb(plan: str | os.PathLike[str], *, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that runs a stored plan: the plan's estimate for images, libraries, margin.

    All of it, except the memory of Snakemake's own processes, is multiplied by *attempt*.

    Raises
    ------
    FileNotFoundError
        The plan does not exist yet.
    """
    return RUNNER_MB + math.ceil((margin_mb + _plan_needs(plan)[0]) * attempt)


def _plan_needs(plan: str | os.PathLike[str]) -> tuple[float, float]:
    """Return the MB of a plan's images and libraries, and the megapixels of work of one field."""
    return _read_needs(os.fspath(plan), os.stat(plan).st_mtime_ns)


@cache
def _read_needs(plan: str, mtime_ns: int) -> tuple[float, float]:
    """Read the needs of every well from a plan, once for each state of the file."""
    stored = PLAN.read(plan)
    calls = [call for step in stored["steps"] for branch in step["branches"] for call in branch["calls"]]
    names = {call[kind] for call in calls for kind in ("memory_type", "output_type")}
    with PLAN.parsing(plan):
        return float(stored["memory_mb"]) + library_mb(names), float(stored["work_megapixels"])


def storing_mb(info: Plate, well: str, fields: int, *, config: Config, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that writes a well; it suffices even for pixels that cannot be compressed.

    The job holds the images of one field as float32, with their pyramid. The strategy ``well`` with NGFF 0.4 also
    copies a whole well into one chunk and compresses it; all other strategies write plane by plane or field by field.
    """
    zarr = config.settings.zarr
    whole = (zarr.chunk_strategy, zarr.ngff_version) == ("well", "0.4")
    images = STORED_COPIES * stack_megabytes(info, well, fields) + 2 * whole * stack_megabytes(info, well, 1)
    return RUNNER_MB + math.ceil((margin_mb + images) * attempt)


def plate_mb(*, margin_mb: int, planes: int = 0, attempt: int = 1) -> int:
    """Return the memory in MB of a job on the whole plate; *planes* is the number of its planes, 0 if unknown."""
    return RUNNER_MB + math.ceil((2 * margin_mb + planes * PLANE_MB) * attempt)


def process_minutes(plan: str | os.PathLike[str], info: Plate, fields: Mapping[str, int], *, attempt: int = 1) -> int:
    """Return the time limit in minutes of a job that runs a stored plan over wells, one after another.

    It covers start-up, reading the planes, and the plan's functions on each of the *fields* (fields × timepoints) of
    each well.

    Raises
    ------
    FileNotFoundError
        The plan does not exist yet.
    """
    read, work = _work(plan, info, fields)
    return _minutes(SECONDS_READ * read + SECONDS_WORK * work, attempt)


def storing_minutes(info: Plate, wells: Iterable[str], *, attempt: int = 1) -> int:
    """Return the time limit in minutes of a job that writes wells; it assumes that every plane is written."""
    return _minutes(SECONDS_READ * sum(_megapixels(info, well) for well in wells), attempt)


def wells_per_job(
    plan: str | os.PathLike[str], info: Plate, fields: Mapping[str, int], *, config: Config, cores: int
) -> int:
    """Return how many wells share a job at most, as ``wells_per_job`` and ``jobs_per_plate`` say.

    ``auto`` makes jobs of some :data:`JOB_SECONDS`, but not so few that some of *cores* have no job. *cores* is 0 on a
    cluster, where it makes at most :data:`JOBS_ON_CLUSTER`. *fields* has the wells that are to be done.
    """
    most = config.wells_per_job
    if most == "auto":
        read, work = _work(plan, info, fields)
        seconds = (EXPECTED_READ * read + EXPECTED_WORK * work) / max(len(fields), 1)
        most = max(1, round(JOB_SECONDS / max(seconds, 0.01)))
        if cores:
            most = max(1, min(most, len(fields) // (JOBS_PER_CORE * cores)))
        else:
            most = max(most, math.ceil(len(fields) / JOBS_ON_CLUSTER))
    if config.jobs_per_plate is not None:
        most = max(most, math.ceil(len(fields) / config.jobs_per_plate))
    return int(most)


def _work(plan: str | os.PathLike[str], info: Plate, fields: Mapping[str, int]) -> tuple[float, float]:
    """Return the megapixels that are read for wells with so many fields, and those that functions work on."""
    return sum(_megapixels(info, well) for well in fields), _plan_needs(plan)[1] * sum(fields.values())


def _megapixels(info: Plate, well: str) -> float:
    rows, columns = info.shape or (2048, 2048)
    return info.planes_per_well.get(well, 1) * rows * columns / 1e6


def _minutes(seconds: float, attempt: int) -> int:
    return math.ceil((START_MINUTES + seconds / 60) * attempt)
