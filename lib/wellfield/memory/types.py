"""The memory types: which array library holds an array."""

from __future__ import annotations

from enum import StrEnum


class MemoryType(StrEnum):
    """Array libraries that a function can ask for."""

    NUMPY = "numpy"
    CUPY = "cupy"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"
    JAX = "jax"
    PYCLESPERANTO = "pyclesperanto"
