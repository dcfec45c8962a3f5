"""NumPy: host memory, which every other library can reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.adapters.arithmetic import fit_numbers
from wellfield.memory.buffers import Array, address, dtype_name
from wellfield.memory.rules import ALIGNMENT
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class NumpyAdapter(Adapter):
    """Arrays of NumPy, memory-mapped ones included."""

    memory_type = MemoryType.NUMPY
    module = "numpy"
    kinds = (DeviceKind.CPU,)

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is a NumPy array."""
        return isinstance(data, np.ndarray)

    def dtype(self, data: Array) -> str:
        """Return the name; that of a masked array says so, since no library could keep the mask."""
        name = dtype_name(data.dtype)
        return f"masked {name}" if isinstance(data, np.ma.MaskedArray) else name

    def device(self, data: Array) -> Device:
        """Return the CPU."""
        return CPU

    def facts(self, data: Array, *, alignment: bool) -> ArrayFacts:
        """Read them from flags and strides."""
        flags = data.flags
        compact = flags.c_contiguous
        return ArrayFacts(
            self.dtype(data),
            data.ndim,
            data.size == 0,
            CPU,
            data.dtype.isnative and flags.aligned,
            compact,
            compact or min(data.strides, default=0) >= 0,
            not alignment or address(data) % ALIGNMENT == 0,
            flags.writeable,
        )

    def to_host(self, data: Array) -> Array:
        """Return the array itself."""
        return data

    def share(self, buffer: Array) -> Array:
        """Return the buffer itself."""
        return buffer

    def concatenate(self, parts: Sequence[Array]) -> Array:
        """Join stacks along z."""
        return np.concatenate(parts)

    def cast(self, data: Array, dtype: str) -> Array:
        """Return the array as *dtype*."""
        return data.astype(dtype)

    def fit(self, data: Array, dtype: str) -> tuple[Array, int]:
        """Round, clip, cast."""
        return fit_numbers(np, data, dtype)
