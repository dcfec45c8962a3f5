"""What dtype a function's result has: the one it computed in, or that of its input."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.base import Adapter
from wellfield.memory.rules import NUMBERS

_logger = logging.getLogger(__name__)


class DtypePolicy(StrEnum):
    """``NATIVE``: what the function returned. ``PRESERVE``: the input's dtype, rounded and clipped, never rescaled."""

    NATIVE = "native"
    PRESERVE = "preserve"


def promotes_exactly(dtype: str, compute_dtype: str) -> bool:
    """Tell whether every value of *dtype* is one of *compute_dtype*."""
    if dtype == "bfloat16":
        return compute_dtype in ("float32", "float64")
    return dtype in NUMBERS and np.can_cast(dtype, compute_dtype, "safe")


def preserve_dtype(result: Any, dtype: str, adapter: Adapter, *, function: str) -> Any:
    """Return a result as the dtype of the input.

    Integers: rounded to the nearest (halves to even), clipped to the dtype's range, never rescaled; the number of
    clipped pixels is logged. Floats: cast, which may round.

    Raises
    ------
    MemoryTypeError
        The result has NaN pixels or complex ones, which no integer stands for, or the library cannot clip this dtype.
    """
    found = adapter.dtype(result)
    if found == dtype:
        return result
    if found.startswith("complex") and not dtype.startswith("complex"):
        raise MemoryTypeError(f"{function}: a complex result has no counterpart in {dtype}; use dtype_policy='native'")
    if not np.issubdtype(np.dtype(dtype) if dtype in NUMBERS else np.float32, np.integer):
        return adapter.cast(result, dtype)
    if found.startswith(("float", "bfloat")) and (undefined := _count_nan(result, adapter)):
        raise MemoryTypeError(f"{function}: {undefined} pixels are NaN, for which {dtype} has no value")
    fitted, clipped = adapter.fit(result, dtype)
    if clipped:
        _logger.warning("%s: %d pixels outside the range of %s were clipped", function, clipped, dtype)
    return fitted


def _count_nan(result: Any, adapter: Adapter) -> int:
    host = adapter.to_host(adapter.cast(result, "float32"))
    return int(np.count_nonzero(np.isnan(host)))
