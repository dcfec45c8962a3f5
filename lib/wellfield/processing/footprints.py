"""The neighbourhoods of filters, and the values that they see outside the image: the same in every implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]


def disk(radius: int) -> _Array:
    """Return a disk, bool, ``[2 radius + 1, 2 radius + 1]``."""
    offsets = np.arange(-radius, radius + 1)
    footprint: _Array = offsets[:, None] ** 2 + offsets**2 <= radius**2
    return footprint


def disk_steps(radius: int) -> list[_Array]:
    """Return 3 × 3 footprints, uint8; applied one after the other they act as a 16-sided disk.

    Notes
    -----
    Vanrell, M. and Vitrià, J. (1997), Image Vis. Comput. 15, 845–854.
    """
    from skimage.morphology import disk as decomposed

    steps = decomposed(radius, decomposition="sequence")  # type: ignore[no-untyped-call]
    return [footprint for footprint, times in steps for _ in range(times)]


def outside(image: Any) -> tuple[float, float]:
    """Return two fill values: one that a minimum ignores (no pixel is above it), one that a maximum ignores.

    For integers these are the image's own maximum and minimum: SciPy converts fill values to float64, which cannot
    represent the limits of 64-bit integers.
    """
    return (math.inf, -math.inf) if image.dtype.kind == "f" else (int(image.max()), int(image.min()))
