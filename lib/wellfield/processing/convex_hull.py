"""Convex hulls of all objects of a plane at once.

scikit-image and SciPy make one hull per call. With thousands of objects that took twenty times as long as all other
shape features together. Coordinates in this module are whole numbers of half pixels, so nothing is rounded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from wellfield.processing.label_table import ObjectPixels

_Array = np.ndarray[Any, np.dtype[Any]]


class _Rows(NamedTuple):
    """The rows of all objects, each with its first and last pixel, ordered by object, then from top to bottom."""

    owner: _Array
    y: _Array
    left: _Array
    right: _Array


class _Side(NamedTuple):
    """Vertices of one side of the hulls, in half pixels, ordered by object, then from top to bottom."""

    owner: _Array
    y: _Array
    x: _Array


def hull_features(pixels: ObjectPixels) -> dict[str, _Array]:
    """Return ``AreaShape_ConvexArea`` and ``AreaShape_MaxFeretDiameter``.

    They are defined in :func:`~wellfield.processing.shape.shape_features`.
    """
    hulls = _filled(_rows(pixels))
    area = np.bincount(hulls.owner, weights=hulls.right - hulls.left + 1, minlength=len(pixels))
    return {
        "AreaShape_ConvexArea": area.astype(np.int64),
        "AreaShape_MaxFeretDiameter": _largest_distances(*_sides(hulls), len(pixels)),
    }


def _rows(pixels: ObjectPixels) -> _Rows:
    order = pixels.by_object
    owner, y, x = pixels.index[order].astype(np.int64), pixels.y[order], pixels.x[order]
    changes = np.flatnonzero((np.diff(owner) != 0) | (np.diff(y) != 0)) + 1
    first = np.concatenate([np.zeros(min(owner.size, 1), np.int64), changes])
    last = np.concatenate([changes - 1, np.full(min(owner.size, 1), owner.size - 1)])
    return _Rows(owner[first], y[first], x[first], x[last])


def _sides(rows: _Rows) -> tuple[_Side, _Side]:
    """Return the left sides of the hulls, and the right sides with x mirrored."""
    return _left_side(rows.owner, rows.y, rows.left), _left_side(rows.owner, rows.y, -rows.right)


def _left_side(owner: _Array, y: _Array, x: _Array) -> _Side:
    """Return the left side of each hull; a hull encloses the midpoints of the sides of all pixels of its object."""
    owner = np.tile(owner, 3)
    y = np.concatenate([2 * y, 2 * y - 1, 2 * y + 1])
    x = np.concatenate([2 * x - 1, 2 * x, 2 * x])
    order = np.lexsort((x, y, owner))
    side = _Side(owner[order], y[order], x[order])
    leftmost = np.ones(order.size, bool)
    leftmost[1:] = (np.diff(side.owner) != 0) | (np.diff(side.y) != 0)
    side = _Side(*(values[leftmost] for values in side))
    while (dented := _dented(side)).any():
        side = _Side(*(values[~dented] for values in side))
    return side


def _dented(side: _Side) -> _Array:
    """Tell which points are not vertices of the hull: they do not lie left of the line from the point above to the
    point below.

    All of them can be removed at once: both ends of the line belong to the object, even if they are removed too.
    """
    owner, y, x = side
    dented = np.zeros(owner.size, bool)
    inner = owner[:-2] == owner[2:]
    dented[1:-1] = inner & ((x[1:-1] - x[:-2]) * (y[2:] - y[:-2]) >= (x[2:] - x[:-2]) * (y[1:-1] - y[:-2]))
    return dented


def _filled(rows: _Rows) -> _Rows:
    """Return the rows of the pixels whose centres lie in the hulls of *rows*, edges included."""
    starts = np.flatnonzero(np.diff(rows.owner, prepend=-1))
    ends = np.append(starts[1:], rows.owner.size) - 1
    heights = rows.y[ends] - rows.y[starts] + 1 if starts.size else starts
    owner = np.repeat(rows.owner[starts], heights)
    y = np.arange(owner.size) - np.repeat(np.cumsum(heights) - heights - rows.y[starts], heights)
    left, right = _sides(rows)
    return _Rows(owner, y, _first_pixels(left, owner, y), -_first_pixels(right, owner, y))


def _first_pixels(side: _Side, owner: _Array, y: _Array) -> _Array:
    """Return the first pixel of each row whose centre is not to the left of a side."""
    span = 2 * int(y.max(initial=0)) + 4
    # Each row lies between the first and the last point of its object: those are half a pixel further out.
    below = np.searchsorted(side.owner * span + side.y + 1, owner * span + 2 * y + 1, side="right")
    x, dx = side.x[below - 1], side.x[below] - side.x[below - 1]
    dy, down = side.y[below] - side.y[below - 1], 2 * y - side.y[below - 1]
    first: _Array = -((-x * dy - dx * down) // (2 * dy))
    return first


def _largest_distances(left: _Side, right: _Side, count: int) -> _Array:
    """Return the largest distance in pixels between two points of the hull of each object."""
    owner = np.concatenate([left.owner, right.owner])
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    y, x = np.concatenate([left.y, right.y])[order], np.concatenate([left.x, -right.x])[order]
    squares = np.zeros(count, np.int64)
    for step in range(1, int(np.bincount(owner).max(initial=0))):
        first = np.flatnonzero(owner[:-step] == owner[step:])
        second = first + step
        np.maximum.at(squares, owner[first], (y[second] - y[first]) ** 2 + (x[second] - x[first]) ** 2)
    distances: _Array = np.sqrt(squares) / 2
    return distances
