"""Texture of objects: the features of category Texture."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.processing.label_table import ObjectPixels

_Array = np.ndarray[Any, np.dtype[Any]]

GREY_LEVELS = 16

# Steps (y, x) to the neighbour at 0°, 45°, 90° and 135°.
_DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))


def texture_features(pixels: ObjectPixels, image: _Array, *, distance: int) -> list[dict[str, _Array]]:
    """Measure the texture of each object in every channel: features of Haralick's co-occurrence matrices.

    Parameters
    ----------
    pixels:
        The objects.
    image:
        ``[C, Y, X]``, any real dtype.
    distance:
        Distance between the two pixels of a pair, at least 1; for the diagonal directions along both axes.

    Returns
    -------
    For each channel and feature one float64 per object, without unit. *p(i, j)* is the part of the object's pixel pairs
    with grey levels *i* and *j*, each pair counted in both orders; only pairs with both pixels in the object count.
    *μ* and *σ²* are the mean and the variance of the grey levels of these pairs.

    ``Texture_AngularSecondMoment``
        Σ p²
    ``Texture_Contrast``
        Σ (i − j)² p
    ``Texture_Correlation``
        (Σ i j p − μ²) / σ²
    ``Texture_InverseDifferenceMoment``
        Σ p / (1 + (i − j)²)
    ``Texture_Entropy``
        −Σ p log₂ p, in bits

    Each is the mean over four directions (0°, 45°, 90°, 135°). A direction does not count if the object has no pair in
    it; for the correlation, also not if all its pairs have one grey level. NaN if no direction counts, or if a pixel of
    the object is not finite.

    Notes
    -----
    Haralick, R. M., Shanmugam, K., Dinstein, I. (1973), IEEE Trans. Syst. Man Cybern. SMC-3, 610–621: f1, f2, f3, f5
    and f9. Names: CellProfiler, MeasureTexture.

    Grey levels are 0 to 15: each object's own range, from its darkest to its brightest pixel, is cut into 16 steps of
    one width; an object of one value has one level. So texture describes the pattern alone: it does not depend on the
    brightness and contrast of the object, nor on the rest of the plane.
    """
    channels = [(*_grey_levels(pixels, plane), _Averages(len(pixels))) for plane in image]
    numbered = pixels.numbered()
    for direction in _DIRECTIONS:
        first, second = _overlap(pixels.shape, direction, distance)
        # Two background pixels have equal numbers too, but are not a pair of an object.
        paired = (numbered[first] == numbered[second]) & (numbered[first] > 0)
        index = numbered[first][paired].astype(np.int64) - 1
        for levels, _, averages in channels:
            i, j = (levels[part][paired].astype(np.int64) for part in (first, second))
            averages.add(_of_pairs(index, i, j, len(pixels)))
    return [averages.result(spoiled) for _, spoiled, averages in channels]


def _grey_levels(pixels: ObjectPixels, plane: _Array) -> tuple[_Array, _Array]:
    """Return a plane with the grey levels of objects, and which objects have none because a pixel is not finite."""
    values = plane.reshape(-1)[pixels.positions].astype(np.float64)
    ordered = values[pixels.by_object]
    low, high = (extreme.reduceat(ordered, pixels.starts) for extreme in (np.minimum, np.maximum))
    spoiled = ~(np.isfinite(low) & np.isfinite(high))
    low, high = np.where(spoiled, 0, low), np.where(spoiled, 0, high)
    span = np.where(high > low, high - low, 1)
    heights = np.where(spoiled[pixels.index], 0, values - low[pixels.index]) / span[pixels.index]
    levels = np.zeros(pixels.shape, np.uint8)
    levels.reshape(-1)[pixels.positions] = np.minimum(heights * GREY_LEVELS, GREY_LEVELS - 1).astype(np.uint8)
    return levels, spoiled


def _overlap(shape: tuple[int, int], direction: tuple[int, int], distance: int) -> tuple[Any, Any]:
    """Return the part of a plane whose pixels have a partner in the plane, and the part with these partners."""
    first, second = [], []
    for size, step in zip(shape, direction, strict=True):
        reach = min(distance, size)
        kept, moved = slice(0, size - reach), slice(reach, size)
        ends = {0: (slice(None), slice(None)), 1: (kept, moved), -1: (moved, kept)}[step]
        first.append(ends[0])
        second.append(ends[1])
    return tuple(first), tuple(second)


def _of_pairs(index: _Array, i: _Array, j: _Array, count: int) -> dict[str, _Array]:
    """Return the features of each object from all pairs of one direction; NaN where they are undefined.

    Most features are sums over pairs. Only two need the matrix, and only those of its cells that are not 0.
    """

    def total(values: _Array) -> _Array:
        return np.bincount(index, weights=values, minlength=count)

    pairs = np.bincount(index, minlength=count).astype(np.float64)
    squares = (i - j) ** 2
    levels, products = total(i + j), total(i * j)
    # Variance and covariance over both orders of the pairs, times (2 · pairs)²: as whole numbers they are exact, so a
    # variance of 0 is exactly 0.
    variance = 2 * pairs * total(i * i + j * j) - levels**2
    covariance = 4 * pairs * products - levels**2

    codes = (index * GREY_LEVELS + np.minimum(i, j)) * GREY_LEVELS + np.maximum(i, j)
    cells, hits = np.unique(codes, return_counts=True)
    owner = cells // GREY_LEVELS**2
    share = hits / pairs[owner]
    # A cell off the diagonal stands for two cells, (i, j) and (j, i); each has half the share.
    halved = np.where(cells // GREY_LEVELS % GREY_LEVELS == cells % GREY_LEVELS, 1.0, 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        none = np.where(pairs > 0, 0.0, np.nan)
        return {
            "Texture_AngularSecondMoment": none + np.bincount(owner, share**2 * halved, count),
            "Texture_Contrast": total(squares) / pairs,
            "Texture_Correlation": covariance / variance,
            "Texture_InverseDifferenceMoment": total(1 / (1 + squares)) / pairs,
            "Texture_Entropy": none - np.bincount(owner, share * np.log2(share * halved), count),
        }


class _Averages:
    """The mean of each feature over the directions in which it is defined."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sums: dict[str, _Array] = {}
        self._defined: dict[str, _Array] = {}

    def add(self, features: dict[str, _Array]) -> None:
        for name, values in features.items():
            defined = ~np.isnan(values)
            self._sums[name] = self._sums.get(name, 0.0) + np.where(defined, values, 0.0)
            self._defined[name] = self._defined.get(name, 0) + defined

    def result(self, spoiled: _Array) -> dict[str, _Array]:
        with np.errstate(invalid="ignore"):
            means = {name: values / self._defined[name] for name, values in self._sums.items()}
        return {name: np.where(spoiled, np.nan, values) for name, values in means.items()}
