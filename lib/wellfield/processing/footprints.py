"""Over which neighbourhoods filters look, and what they see outside of the image: the same in every implementation."""

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
    """Return 3 × 3 footprints, uint8, that one after the other have the effect of a 16-sided disk.

    Notes
    -----
    Vanrell, M. and Vitrià, J. (1997), Image Vis. Comput. 15, 845–854.
    """
    from skimage.morphology import disk as decomposed

    steps = decomposed(radius, decomposition="sequence")  # type: ignore[no-untyped-call]
    return [footprint for footprint, times in steps for _ in range(times)]


def outside(image: Any) -> tuple[float, float]:
    """Return what a minimum and a maximum ignore: a number that no pixel is above, and one that none is below.

    For integers the image's own, since SciPy takes them as float64, which the extremes of 64 bits are not.
    """
    return (math.inf, -math.inf) if image.dtype.kind == "f" else (int(image.max()), int(image.min()))
