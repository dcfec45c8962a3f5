"""Numbers fields row by row as they lie in the well, for microscopes that number them as they were taken."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

# Positions that differ by less than this part of the usual step are in one row or column of the grid: a stage may
# miss its place by up to a fifth of the step in either direction.
JITTER = 0.5

_MANY = 500  # for more points, importing SciPy is faster than computing all distances


class FieldGrid(NamedTuple):
    """Numbers of fields, row by row from the upper left, and the rows and columns that they form.

    Differences up to *tolerance*, in the unit of the positions, count as jitter.
    """

    numbers: dict[int, int]
    rows: int
    columns: int
    tolerance: float


def arrange_fields(positions: Mapping[int, tuple[float, float]]) -> FieldGrid:
    """Number fields from 1, row by row from the top left; small errors of the stage do not matter.

    Fields are sorted along each axis. A new row or column begins where two neighbours are farther apart than half the
    median distance between nearest fields.

    Parameters
    ----------
    positions:
        x (rising to the right) and y (rising upwards) of each field, in any unit.
    """
    fields = list(positions)
    points = np.array([positions[field] for field in fields], float).reshape(-1, 2)
    tolerance = JITTER * usual_step(points)
    columns = _bands(points[:, 0], tolerance)
    rows = _bands(-points[:, 1], tolerance)
    order = sorted(range(len(fields)), key=lambda k: (rows[k], points[k, 0], fields[k]))
    numbers = {fields[k]: number for number, k in enumerate(order, start=1)}
    return FieldGrid(numbers, max(rows, default=0) + 1, max(columns, default=0) + 1, tolerance)


def usual_step(points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Return the median distance between a point and the one nearest to it; 0 for a single point."""
    if len(points) < 2:
        return 0.0
    if len(points) > _MANY:
        from scipy.spatial import KDTree

        return float(np.median(KDTree(points).query(points, k=2)[0][:, 1]))
    distances = np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    return float(np.median(distances.min(axis=1)))


def _bands(values: np.ndarray[tuple[int], np.dtype[np.float64]], tolerance: float) -> list[int]:
    """Return the number of the band that each value is in; bands are separated by gaps larger than *tolerance*."""
    order = np.argsort(values, kind="stable")
    bands = np.zeros(len(values), int)
    bands[order[1:]] = np.cumsum(np.diff(values[order]) > tolerance)
    return [int(band) for band in bands]


def plate_wide_positions(
    places: Iterable[tuple[Hashable, int, float, float]],
) -> tuple[dict[int, tuple[float, float]], float]:
    """Return the median position of each field over the wells, and the largest deviation of a well from it.

    Parameters
    ----------
    places:
        Well, field, x and y; those without a position are left out.
    """
    found: dict[int, dict[Hashable, tuple[float, float]]] = defaultdict(dict)
    for well, field, x, y in places:
        if math.isfinite(x + y):
            found[field].setdefault(well, (x, y))
    medians, deviation = {}, 0.0
    for field, by_well in found.items():
        points = np.array(list(by_well.values()))
        middle = np.median(points, axis=0)
        medians[field] = (float(middle[0]), float(middle[1]))
        deviation = max(deviation, float(np.abs(points - middle).max()))
    return medians, deviation
