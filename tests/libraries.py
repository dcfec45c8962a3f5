"""The array libraries in tests: which of them can be used here, and in which order they are opened."""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import numpy as np
import pytest

from wellfield.memory import MemoryConversionError, MemoryType, convert_memory, prepare, to_numpy

# What runs without a GPU, NumPy first. pyclesperanto needs an OpenCL device, which PoCL makes of the CPU.
ON_CPU = (
    MemoryType.NUMPY,
    MemoryType.TORCH,
    MemoryType.TENSORFLOW,
    MemoryType.JAX,
    MemoryType.PYCLESPERANTO,
)


@cache
def why_not(memory_type: str) -> str:
    """Return why a library cannot be used here, nothing if it can. OpenCL is opened before all others."""
    if memory_type != MemoryType.PYCLESPERANTO:
        why_not(MemoryType.PYCLESPERANTO)  # TensorFlow must not come first
    try:
        prepare([memory_type])
    except MemoryConversionError as error:
        return error.reason
    # What a library imports stays; a collection of garbage would look through all of it, for a second.
    gc.freeze()
    return ""


def need(*memory_types: str) -> None:
    """Skip the test where one of the libraries cannot be used."""
    for memory_type in memory_types:
        if reason := why_not(memory_type):
            pytest.skip(f"{memory_type}: {reason}")


def as_type(array: Any, memory_type: str) -> Any:
    """Return a NumPy array as one of another library, with memory of its own."""
    need(memory_type)
    return convert_memory(np.array(array), MemoryType.NUMPY, memory_type)


def assert_equal(found: Any, expected: Any) -> None:
    """Compare values, shape and dtype of an array of any library with a NumPy array."""
    np.testing.assert_array_equal(
        to_numpy(found), np.asarray(expected).astype(expected.dtype.newbyteorder("=")), strict=True
    )


def address_of(data: Any) -> int:
    """Return where the values of an array in host memory are."""
    return int(to_numpy(data).__array_interface__["data"][0])
