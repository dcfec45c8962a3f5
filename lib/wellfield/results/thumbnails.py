"""Thumbnails of wells: each well's job makes one; the montage of the plate shows all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError

Array = np.ndarray[Any, Any]

# An outline that only touches a block of pixels is drawn with this strength, so that it stays visible.
FAINTEST_OUTLINE = 0.5


def well_thumbnail(
    fields: Mapping[int, tuple[Any, Any | None]],
    *,
    grid: tuple[int, int] | None,
    size: int = 160,
    field_count: int | None = None,
) -> Array:
    """Return a well's fields side by side, averaged down, with the outlines of their objects.

    Parameters
    ----------
    fields:
        For each field number (from 1) an image ``[Y, X]``, and a label image of the same shape or ``None``.
    grid:
        Rows and columns of fields as the microscope took them. Fields fill it row by row. If it is unknown or too
        small, they fill a near-square.
    size:
        The longer side of the largest field in pixels, at most. All fields are reduced by one integer factor.
    field_count:
        How many fields the wells of this plate have, so that wells without their last fields get the same layout as
        the others. By default the highest number in *fields*.

    Returns
    -------
    numpy.ndarray
        float32 ``[2, h, w]``: mean intensity in the units of the images, and coverage by outlines from 0 to 1. Places
        without a field are nan in both.

    Raises
    ------
    ArrayShapeError
        There is no field, an image is not a plane, or labels have another shape than their image.
    """
    if not fields or min(fields) < 1:
        raise ArrayShapeError(f"a thumbnail needs fields, numbered from 1; got {sorted(fields)}")
    images = {number: np.asarray(image) for number, (image, _) in fields.items()}
    for number, image in images.items():
        if image.ndim != 2 or image.size == 0:
            raise ArrayShapeError(f"field {number}: expected an image [Y, X], got shape {image.shape}")
    factor = max(1, math.ceil(max(max(image.shape) for image in images.values()) / size))
    height = max(math.ceil(image.shape[0] / factor) for image in images.values())
    width = max(math.ceil(image.shape[1] / factor) for image in images.values())
    rows, columns = arrange_fields(max(*fields, field_count or 0), grid)
    thumbnail = np.full((2, rows * height, columns * width), np.nan, dtype=np.float32)
    for number, image in images.items():
        row, column = divmod(number - 1, columns)
        mean = block_sum(image, factor) / _block_sizes(image.shape, factor)
        y, x = row * height, column * width
        place = np.s_[y : y + mean.shape[0], x : x + mean.shape[1]]
        thumbnail[0][place] = mean
        labels = fields[number][1]
        thumbnail[1][place] = 0 if labels is None else _coverage(labels, image.shape, factor, number)
    return thumbnail


def arrange_fields(count: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Return rows and columns for *count* fields: *grid* if it is large enough, else a near-square."""
    if grid is not None and count <= grid[0] * grid[1]:
        return grid
    columns = math.isqrt(count - 1) + 1
    return math.ceil(count / columns), columns


def outlines(labels: Array) -> Array:
    """Return a mask of the object pixels whose upper, lower, left or right neighbour is outside the object."""
    edge = np.zeros(labels.shape, dtype=bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge &= labels != 0
    return edge


def block_sum(image: Array, factor: int) -> Array:
    """Return the float64 sums over blocks of *factor* × *factor* pixels; blocks at the far edges may be smaller."""
    starts, columns = (np.arange(0, size, factor) for size in image.shape)
    by_row = np.empty((len(starts), image.shape[1]), dtype=np.float64)
    # Summing rows in memory order is ten times as fast as reduceat.
    for start, row in zip(starts, by_row, strict=True):
        np.add.reduce(image[start : start + factor], axis=0, dtype=np.float64, out=row)
    sums: Array = np.add.reduceat(by_row, columns, axis=1)
    return sums


def _block_sizes(shape: tuple[int, ...], factor: int) -> Array:
    """Return the number of pixels in each block."""
    height, width = (np.minimum(factor, size - np.arange(0, size, factor)) for size in shape)
    sizes: Array = np.outer(height, width)
    return sizes


def _coverage(labels: Any, shape: tuple[int, ...], factor: int, number: int) -> Array:
    values = np.asarray(labels)
    if values.shape != shape:
        raise ArrayShapeError(f"field {number}: labels of shape {values.shape} do not fit an image of shape {shape}")
    # A line straight through a block covers `factor` of its pixels and counts as full.
    lines = block_sum(outlines(values), factor) / factor
    coverage: Array = np.where(lines > 0, np.clip(lines, FAINTEST_OUTLINE, 1), 0)
    return coverage
