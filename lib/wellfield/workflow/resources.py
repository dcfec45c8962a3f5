"""What a well job needs, from the plate index."""

from __future__ import annotations

import math
from collections.abc import Iterable

from wellfield.config.models import Config
from wellfield.plate.index import PlateInfo

# Resident memory in MB that importing a library and its first call add to a process, rounded up from what was measured
# on the CPU (torch 191, jax 166, tensorflow 669, pyclesperanto with PoCL 238); cupy is an estimate.
LIBRARY_MB = {"numpy": 0, "torch": 250, "jax": 250, "tensorflow": 800, "pyclesperanto": 300, "cupy": 500}

# A field's stack as it was read, as float32 between two steps, and the scratch of one function.
STACK_COPIES = 6
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


def gpus(config: Config) -> int:
    """Return how many GPUs a job of the pipeline needs: none if all of its steps are known to run on NumPy."""
    own = any(":" in step.func for step in config.steps)  # may run on any library
    return int(config.device == "gpu" and bool(libraries(config) or own))


def library_mb(names: Iterable[str]) -> int:
    """Return the memory in MB that array libraries need beside images."""
    return sum(LIBRARY_MB[name] for name in names)


def memory_mb(info: PlateInfo, well: str, fields: int, *, margin_mb: int, attempt: int = 1) -> int:
    """Return the memory of a well job in MB; a repeated attempt gets that much more."""
    return math.ceil((margin_mb + STACK_COPIES * stack_megabytes(info, well, fields)) * attempt)


def storing_mb(info: PlateInfo, well: str, *, layout: str, ngff_version: str) -> int:
    """Return the memory in MB that writing a well takes beside its images, up to incompressible pixels.

    The layout ``well`` on Zarr v2 copies a whole well into one chunk and compresses that; all others go plane by plane
    or field by field.
    """
    copies = 2 if (layout, ngff_version) == ("well", "0.4") else 0
    return math.ceil(copies * stack_megabytes(info, well, 1))


def runtime_minutes(info: PlateInfo, well: str, *, attempt: int = 1) -> int:
    """Return the time limit of a well job in minutes: start-up and 2 s per megapixel read."""
    rows, columns = info.shape or (2048, 2048)
    megapixels = info.planes_per_well.get(well, 1) * rows * columns / 1e6
    return math.ceil((5 + megapixels * 2 / 60) * attempt)
