"""Brightness of objects: the features of category Intensity, and the centre of mass."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.processing.label_table import ObjectPixels

_Array = np.ndarray[Any, np.dtype[Any]]


def intensity_features(pixels: ObjectPixels, plane: _Array) -> dict[str, _Array]:
    """Measure the brightness of each object in one channel.

    Parameters
    ----------
    pixels:
        The objects.
    plane:
        ``[Y, X]``, any real dtype; computed in float64.

    Returns
    -------
    For each feature one float64 per object, in the units of *plane* unless stated otherwise. *v* are the values of the
    object's own pixels.

    ``Intensity_IntegratedIntensity``
        Σ v
    ``Intensity_MeanIntensity``, ``Intensity_StdIntensity``
        Mean, and standard deviation √(Σ (v − mean)² / area): ``intensity_mean`` and ``intensity_std`` of regionprops.
    ``Intensity_MinIntensity``, ``Intensity_MaxIntensity``
        Smallest and largest v.
    ``Intensity_IntegratedIntensityEdge`` and so on
        The same five features of the edge only: the object's pixels that share a side with the outside, which may be
        background, another object or the end of the plane.
    ``Intensity_LowerQuartileIntensity``, ``Intensity_MedianIntensity``, ``Intensity_UpperQuartileIntensity``
        Quantiles 1/4, 1/2 and 3/4, linear between pixel values (``numpy.percentile``).
    ``Intensity_MADIntensity``
        Median absolute deviation: median of \\|v − median\\|, without a factor.
    ``Location_CenterMassIntensity_X``, ``Location_CenterMassIntensity_Y``
        Σ v x / Σ v in pixels (``centroid_weighted`` of regionprops); the centre of the first pixel is 0. NaN if Σ v
        is 0.
    ``Intensity_MassDisplacement``
        Distance in pixels between this centre and ``Location_Center``.

    A NaN pixel makes all features of its own object NaN; the edge features only if the pixel lies on the edge.

    Notes
    -----
    Names: CellProfiler, MeasureObjectIntensity. CellProfiler's quantiles are up to one pixel's rank higher.
    """
    flat, edge = plane.reshape(-1), pixels.edge
    values = flat[pixels.positions].astype(np.float64)
    # Infinite pixels and sums of 0 have no deviation and no centre: they give NaN, without a warning.
    with np.errstate(invalid="ignore", divide="ignore"):
        features = _brightness(pixels, values)
        of_edge = _brightness(edge, flat[edge.positions].astype(np.float64))
        features |= {f"{name}Edge": found for name, found in of_edge.items()}
        return features | _ranks(pixels, values) | _mass(pixels, values)


def _brightness(pixels: ObjectPixels, values: _Array) -> dict[str, _Array]:
    """Return the features that come from sums and extremes of each object's values."""
    integrated = pixels.total(values)
    mean = integrated / pixels.areas
    deviations = values - mean[pixels.index]
    ordered = values[pixels.by_object]
    return {
        "Intensity_IntegratedIntensity": integrated,
        "Intensity_MeanIntensity": mean,
        "Intensity_StdIntensity": np.sqrt(pixels.total(deviations * deviations) / pixels.areas),
        "Intensity_MinIntensity": np.minimum.reduceat(ordered, pixels.starts),
        "Intensity_MaxIntensity": np.maximum.reduceat(ordered, pixels.starts),
    }


def _ranks(pixels: ObjectPixels, values: _Array) -> dict[str, _Array]:
    """Return the features that come from the order of each object's values."""
    ordered = pixels.ordered(values)
    highest = ordered[pixels.starts + pixels.areas - 1]
    spoiled = np.where(np.isnan(highest), np.nan, 0.0)  # NaN pixels are sorted last, and make the features NaN
    median = _quantile(pixels, ordered, 0.5) + spoiled
    deviations = pixels.ordered(np.abs(values - median[pixels.index]))
    return {
        "Intensity_LowerQuartileIntensity": _quantile(pixels, ordered, 0.25) + spoiled,
        "Intensity_MedianIntensity": median,
        "Intensity_UpperQuartileIntensity": _quantile(pixels, ordered, 0.75) + spoiled,
        "Intensity_MADIntensity": _quantile(pixels, deviations, 0.5),
    }


def _mass(pixels: ObjectPixels, values: _Array) -> dict[str, _Array]:
    """Return the centre of mass of the values, and its distance from the centre of the shape."""
    integrated = pixels.total(values)
    mass = np.where(integrated == 0, np.nan, integrated)
    found, offsets = {}, []
    for axis, places in (("X", pixels.x), ("Y", pixels.y)):
        total = pixels.total(places)
        # Coordinates are summed relative to a pixel of the object, so no digits are lost far from the plane's corner.
        start = total // pixels.areas
        offset = pixels.total(values * (places - start[pixels.index])) / mass
        found[f"Location_CenterMassIntensity_{axis}"] = start + offset
        offsets.append(offset - (total - start * pixels.areas) / pixels.areas)
    return found | {"Intensity_MassDisplacement": np.hypot(*offsets)}


def _quantile(pixels: ObjectPixels, ordered: _Array, fraction: float) -> _Array:
    """Return a quantile of each object's values, linear between neighbours in rank."""
    rank = (pixels.areas - 1) * fraction
    below = rank.astype(np.int64)
    low = ordered[pixels.starts + below]
    high = ordered[pixels.starts + np.minimum(below + 1, pixels.areas - 1)]
    weight = rank - below
    # A neighbour of weight 0 does not count, even if it is infinite.
    return np.where(weight > 0, low + weight * (high - low), low)
