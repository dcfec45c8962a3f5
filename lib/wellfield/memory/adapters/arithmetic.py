"""Arithmetic that NumPy, CuPy and JAX write alike; *xp* is the library's module."""

from __future__ import annotations

from typing import Any

import numpy as np


def fit_numbers(xp: Any, data: Any, dtype: str) -> tuple[Any, int]:
    """Return *data* clipped to the range of *dtype*, rounded half to even for integers, and cast; count the clipped.

    The limits of wide integers are not floating-point numbers: values outside get the limit after the cast.
    """
    if np.dtype(dtype).kind == "f":
        most = np.finfo(dtype).max
        infinite = xp.isinf(data)
        fitted = xp.where(infinite, data, xp.clip(data, -float(most), float(most))).astype(dtype)
        return fitted, int(xp.count_nonzero((xp.abs(data) > float(most)) & ~infinite))
    limits = np.iinfo(dtype)
    rounded = data if np.dtype(str(data.dtype)).kind in "iu" else xp.rint(data)
    low, high = rounded < _lower(data, limits), rounded > _upper(data, limits)
    inside = xp.where(low | high, xp.zeros((), rounded.dtype), rounded).astype(dtype)
    result = xp.where(low, xp.asarray(limits.min, dtype), xp.where(high, xp.asarray(limits.max, dtype), inside))
    return result, int(xp.count_nonzero(low) + xp.count_nonzero(high))


def _lower(data: Any, limits: Any) -> Any:
    """Return the least number of the data's dtype that fits, so that the comparison is exact."""
    dtype = np.dtype(str(data.dtype))
    if dtype.kind in "iu":
        return dtype.type(max(limits.min, np.iinfo(dtype).min))
    with np.errstate(over="ignore"):
        return max(dtype.type(limits.min), -np.finfo(dtype).max)  # a power of two or 0, unless it is beyond a float16


def _upper(data: Any, limits: Any) -> Any:
    """Return the largest number of the data's dtype that fits."""
    dtype = np.dtype(str(data.dtype))
    if dtype.kind in "iu":
        return dtype.type(min(limits.max, np.iinfo(dtype).max))
    with np.errstate(over="ignore"):
        nearest = min(dtype.type(limits.max), np.finfo(dtype).max)
    return nearest if int(nearest) <= limits.max else np.nextafter(nearest, dtype.type(0))
