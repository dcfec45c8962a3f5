"""Resolution pyramids: sizes of the levels, local means of images, nearest pixels of labels."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

SMALLEST_LEVEL = 256
_STRIP = 64


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the plane sizes of all levels: halved, rounded up, until the longer side is at most 256."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        height, width = shapes[-1]
        shapes.append(((height + 1) // 2, (width + 1) // 2))
    return shapes


def halve_mean(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the means of 2 × 2 blocks of a plane, in its dtype.

    Integer means are exact and rounded to nearest, half to even, so that no level is brighter than the one above. At an
    odd edge a block has the one or two pixels there are.
    """
    height, width = plane.shape
    if height % 2 or width % 2:
        # A repeated edge pixel weighs its own block only: the mean of (a, b, a, b) is that of (a, b).
        plane = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    reduced: npt.NDArray[Any] = np.empty((plane.shape[0] // 2, plane.shape[1] // 2), plane.dtype)
    # In strips, whose intermediate sums stay in the cache of the processor.
    for start in range(0, len(reduced), _STRIP):
        reduced[start : start + _STRIP] = _halve_strip(plane[2 * start : 2 * (start + _STRIP)])
    return reduced


def _halve_strip(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    top, bottom = plane[0::2], plane[1::2]
    if plane.dtype.kind == "f":
        wide = np.promote_types(plane.dtype, np.float64)
        with np.errstate(invalid="ignore"):  # opposite infinities average to NaN
            rows = np.add(top, bottom, dtype=wide)
            mean: npt.NDArray[Any] = ((rows[:, 0::2] + rows[:, 1::2]) / 4).astype(plane.dtype)
        return mean
    if plane.dtype.itemsize == 8:
        return _halve_mean_64(plane)
    rows = np.add(top, bottom, dtype=np.int64 if plane.dtype.itemsize == 4 else np.int32)
    total: npt.NDArray[Any] = rows[:, 0::2] + rows[:, 1::2]
    odd = total >> 2
    odd &= 1
    total += odd
    total += 1
    total >>= 2
    return total


def _halve_mean_64(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mean of 64-bit integers, whose sum may fit no wider type: quotients and remainders are added apart."""
    blocks = [plane[y::2, x::2] for y, x in product((0, 1), repeat=2)]
    quotient = sum((block >> 2 for block in blocks[1:]), blocks[0] >> 2)
    remainder = sum((block & 3 for block in blocks[1:]), blocks[0] & 3)
    quotient += remainder >> 2
    remainder &= 3
    rounded: npt.NDArray[Any] = quotient + ((remainder + (quotient & 1)) > 2).astype(plane.dtype)
    return rounded


def mean_levels(plane: npt.NDArray[Any], levels: int) -> list[npt.NDArray[Any]]:
    """Return the plane halved once, twice, … *levels* times."""
    found = [plane]
    for _ in range(levels):
        found.append(halve_mean(found[-1]))
    return found[1:]


def nearest(plane: npt.NDArray[Any], level: int) -> npt.NDArray[Any]:
    """Return the pixel next to the middle of every block of ``2**level`` pixels of a level-0 plane.

    No two ids are mixed, and the outlines stay over those of the image, which a corner pixel would shift.
    """
    step = 2**level
    rows, columns = (
        np.minimum(np.arange(0, size, step) + step // 2, size - 1) for size in (plane.shape[0], plane.shape[1])
    )
    return plane[np.ix_(rows, columns)]
