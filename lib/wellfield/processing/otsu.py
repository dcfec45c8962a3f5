"""Otsu's threshold from a histogram, computed on the host in the same way for every array library.

An array library finds the darkest and the brightest pixel and counts pixels in bins; everything else is in this module.
The bins are defined so that all libraries get the same counts. Thresholds are values of the image's own dtype, so
``image > threshold`` gives the same mask in every library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

_FLOAT_BINS = 4096
_INTEGER_BINS = 65536


@dataclass(frozen=True, slots=True)
class IntegerBins:
    """One bin per value, or per 2**\\ *shift* values: bin ``(pixel - low) >> shift``.

    *shift* is 0 unless the values span more than 65536.
    """

    low: int
    shift: int
    dtype: np.dtype[Any]
    count = _INTEGER_BINS

    def threshold(self, position: float, minimum: float | None) -> int:
        """Return the largest integer not above the centre of bin *position* (a fraction lies between bins)."""
        width = 1 << self.shift
        height = position * width + (width - 1) / 2
        # Only the height is rounded to a whole number, and low is added after that: float64 cannot hold 2**62 + 1.
        found = min(self.low + math.floor(height), int(np.iinfo(self.dtype).max))
        return found if minimum is None else max(found, int(largest_at_most(minimum, self.dtype)))


@dataclass(frozen=True, slots=True)
class FloatBins:
    """4096 bins of equal width (fewer if they would become too narrow): ``floor((pixel / 2 - low / 2) * scale)``.

    Pixels are halved so that differences cannot overflow. *scale* is a value of *dtype*: each operation rounds once,
    and every library rounds alike.
    """

    low: float
    scale: float
    dtype: np.dtype[Any]
    count = _FLOAT_BINS

    def threshold(self, position: float, minimum: float | None) -> float:
        """Return the largest number of the dtype that is not above the centre of bin *position*."""
        value = 2 * (self.low / 2 + (position + 0.5) / self.scale)
        return float(largest_at_most(value if minimum is None else max(value, minimum), self.dtype))


Bins = IntegerBins | FloatBins


def bins_between(low: Any, high: Any) -> Bins:
    """Return the bins for pixels from *low* to *high*, two NumPy scalars of one dtype with *low* below *high*."""
    dtype = low.dtype
    if dtype.kind in "iu":
        spread = int(high) - int(low)
        return IntegerBins(int(low), max(spread.bit_length() - 16, 0), dtype)
    limits = np.finfo(dtype)
    half = max(float(high) / 2 - float(low) / 2, float(limits.tiny))
    return FloatBins(float(low), float(dtype.type(min(_FLOAT_BINS / half, float(limits.max)))), dtype)


def bin_numbers(pixels: Any, bins: Bins) -> Any:
    """Return the bin of each pixel, int32, for libraries with NumPy's API."""
    if isinstance(bins, FloatBins):
        return (((pixels * 0.5 - bins.low * 0.5) * bins.scale).astype(np.int32)).clip(0, bins.count - 1)
    # Signed differences may wrap around; the same differences in unsigned integers are right.
    unsigned = np.dtype(f"u{bins.dtype.itemsize}")
    low = unsigned.type(bins.low % 2 ** (8 * unsigned.itemsize))
    return ((pixels.astype(unsigned) - low) >> unsigned.type(bins.shift)).astype(np.int32)


def find_thresholds(
    low: _Array,
    high: _Array,
    count_pixels: Callable[[int, Bins], _Array],
    *,
    correction: float,
    minimum: float | None,
    min_contrast: float,
    volumetric: bool,
) -> _Array:
    """Return one threshold per plane, in the dtype of the image; pixels above it are foreground.

    Parameters
    ----------
    low, high:
        ``[Z]``: darkest and brightest pixel of each plane, in the dtype in which the library compares.
    count_pixels:
        ``count_pixels(z, bins)`` returns how many pixels of plane *z* each bin holds.
    correction, minimum, min_contrast, volumetric:
        As in :func:`wellfield.processing.segmentation.threshold_otsu`.

    Returns
    -------
    ``[Z]``. A plane without two classes gets the largest value of the dtype: no pixel is above it.
    """
    planes = range(len(low))
    parts = [planes] if volumetric else [range(z, z + 1) for z in planes]
    nothing = (np.iinfo if low.dtype.kind in "iu" else np.finfo)(low.dtype).max
    thresholds = np.full(low.shape, nothing, low.dtype)
    for part in parts:
        darkest, brightest = low[part].min(), high[part].max()
        if darkest == brightest:
            continue
        bins = bins_between(darkest, brightest)
        counts = sum((count_pixels(z, bins) for z in part), start=np.zeros(bins.count, np.int64))
        position = _threshold_position(counts, correction=correction, min_contrast=min_contrast)
        if position is not None:
            thresholds[part] = bins.threshold(position, minimum)
    return thresholds


def largest_at_most(value: float, dtype: np.dtype[Any]) -> Any:
    """Return the largest number of *dtype* that is not above *value*, for comparisons without rounding.

    ``x > largest_at_most(value, x.dtype)`` equals ``x > value`` for every *x* of the dtype. If *value* lies below all
    integers of the dtype, the smallest integer is returned.
    """
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # Clip to the limits as floats first (these can lie outside the dtype), then to the exact limits.
        whole = math.floor(min(max(float(limits.min), value), float(limits.max)))
        return dtype.type(min(max(whole, int(limits.min)), int(limits.max)))
    largest = float(np.finfo(dtype).max)
    if value < -largest:
        return dtype.type(-np.inf)
    nearest = dtype.type(min(value, largest))
    return np.nextafter(nearest, dtype.type(-np.inf)) if float(nearest) > value else nearest


def _threshold_position(counts: _Array, *, correction: float, min_contrast: float) -> float | None:
    """Return the corrected threshold, counted in bins from the centre of the first; ``None`` without two classes."""
    counts = counts[: np.flatnonzero(counts)[-1] + 1].astype(np.float64)
    if counts.size == 1:
        return None
    from skimage.filters import threshold_otsu

    centres = np.arange(counts.size, dtype=np.float64)
    split = int(threshold_otsu(hist=(counts, centres)))  # type: ignore[no-untyped-call]
    background, foreground = slice(None, split + 1), slice(split + 1, None)
    mean = float(np.average(centres[background], weights=counts[background]))
    distance = float(np.average(centres[foreground], weights=counts[foreground])) - mean
    squares = counts[background] @ (centres[background] - mean) ** 2
    squares += counts[foreground] @ (centres[foreground] - mean - distance) ** 2
    if distance < min_contrast * math.sqrt(squares / counts.sum()):
        return None
    return split + (correction - 1) * (split - mean)
