"""What a well job needs, from the plate index."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from wellfield.config.models import Config
from wellfield.plate.index import PlateInfo

# Resident memory in MB that importing a library and its first call add to a process, rounded up from what was measured
# on the CPU (torch 191, jax 166, tensorflow 669, pyclesperanto with PoCL 238); cupy is an estimate.
LIBRARY_MB = {"numpy": 0, "torch": 250, "jax": 250, "tensorflow": 800, "pyclesperanto": 300, "cupy": 500}

# A field's stack while it is written: as it was staged, and its pyramid.
STORED_COPIES = 4
MEGABYTE = 1e6


def stack_megabytes(info: PlateInfo, well: str, fields: int) -> float:
    """Return the size of all planes of one field in MB; that of a 2048² uint16 plane each where nothing is known."""
    rows, columns = info.shape or (2048, 2048)
    itemsize = 4 if info.dtype in ("float32", "int32", "uint32") else 1 if info.dtype == "uint8" else 2
    planes = math.ceil(info.planes_per_well.get(well, 1) / max(fields, 1))
    return planes * rows * columns * itemsize / MEGABYTE


def libraries(config: Config) -> tuple[str, ...]:
    """Return the array libraries that the configuration names: those that its steps can run on."""
    named = (config.memory_type, *(step.memory_type for step in config.steps))
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


def gpus(config: Config) -> int:
    """Return how many GPUs a job of the pipeline needs: none if all of its steps are known to run on NumPy."""
    own = any(":" in name for name in function_names(config))  # may run on any library
    return int(config.device == "gpu" and bool(libraries(config) or own))


def library_mb(names: Iterable[str]) -> int:
    """Return the memory in MB that array libraries need beside images."""
    return sum(LIBRARY_MB[name] for name in names)


def process_mb(plan: str | os.PathLike[str], *, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that runs a stored plan: images as the plan estimates, libraries, margin.

    A repeated attempt gets that much more.

    Raises
    ------
    FileNotFoundError
        The plan is not there yet.
    """
    return math.ceil((margin_mb + _plan_mb(os.fspath(plan), os.stat(plan).st_mtime_ns)) * attempt)


@cache
def _plan_mb(plan: str, mtime_ns: int) -> float:
    """Return the MB of a plan's images and libraries. Every well asks for them; a plan is read once as it is."""
    stored = json.loads(Path(plan).read_text(encoding="utf-8"))
    calls = [
        call for step in stored.get("steps", ()) for branch in step.get("branches", ()) for call in branch["calls"]
    ]
    names = {call[kind] for call in calls for kind in ("memory_type", "output_type")}
    return float(stored.get("memory_mb", 0)) + library_mb(names)


def storing_mb(info: PlateInfo, well: str, fields: int, *, config: Config, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory in MB of a job that writes a well, up to incompressible pixels.

    One field's images as float32 with their pyramid. The strategy ``well`` on Zarr v2 copies a whole well into one
    chunk and compresses that; all others go plane by plane or field by field.
    """
    whole = (config.zarr.chunk_strategy, config.zarr.ngff_version) == ("well", "0.4")
    images = STORED_COPIES * stack_megabytes(info, well, fields) + 2 * whole * stack_megabytes(info, well, 1)
    return math.ceil((margin_mb + images) * attempt)


def runtime_minutes(info: PlateInfo, well: str, *, attempt: int = 1) -> int:
    """Return the time limit of a well job in minutes: start-up and 2 s per megapixel read."""
    rows, columns = info.shape or (2048, 2048)
    megapixels = info.planes_per_well.get(well, 1) * rows * columns / 1e6
    return math.ceil((5 + megapixels * 2 / 60) * attempt)
