"""How bright objects are: the features of category Intensity, and the centre of mass."""

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
        ``[Y, X]``, any real dtype; computed with in float64.

    Returns
    -------
    For each feature one float64 per object, in the units of *plane* if nothing else is said. *v* are the values of the
    object's own pixels.

    ``Intensity_IntegratedIntensity``
        Σ v
    ``Intensity_MeanIntensity``, ``Intensity_StdIntensity``
        Mean, and standard deviation √(Σ (v − mean)² / area): ``intensity_mean`` and ``intensity_std`` of regionprops.
    ``Intensity_MinIntensity``, ``Intensity_MaxIntensity``
        Smallest and largest v.
    ``Intensity_IntegratedIntensityEdge`` and so on
        These five of the edge alone: the object's pixels that share a side with what is outside of it, be it another
        object or the end of the plane.
    ``Intensity_LowerQuartileIntensity``, ``Intensity_MedianIntensity``, ``Intensity_UpperQuartileIntensity``
        Quantiles 1/4, 1/2 and 3/4, linear between pixel values (``numpy.percentile``).
    ``Intensity_MADIntensity``
        Median absolute deviation: median of \\|v − median\\|, without a factor.
    ``Location_CenterMassIntensity_X``, ``Location_CenterMassIntensity_Y``
        Σ v x / Σ v in pixels (``centroid_weighted`` of regionprops), the centre of the first pixel being 0; NaN where
        Σ v is 0.
    ``Intensity_MassDisplacement``
        Distance in pixels between this centre and ``Location_Center``.

    A NaN pixel makes all of its own object's NaN, but those of the edge only if it lies there.

    Notes
    -----
    Names: CellProfiler, MeasureObjectIntensity. Its quantiles lie by up to one pixel's rank higher.
    """
    flat, edge = plane.reshape(-1), pixels.edge
    values = flat[pixels.positions].astype(np.float64)
    # Infinite pixels and sums of 0 have no deviation and no centre: NaN, without a word.
    with np.errstate(invalid="ignore", divide="ignore"):
        features = _brightness(pixels, values)
        of_edge = _brightness(edge, flat[edge.positions].astype(np.float64))
        features |= {f"{name}Edge": found for name, found in of_edge.items()}
        return features | _ranks(pixels, values) | _mass(pixels, values)


def _brightness(pixels: ObjectPixels, values: _Array) -> dict[str, _Array]:
    """Return what sums and extremes of each object's values tell."""
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
    """Return what the order of each object's values tells."""
    ordered = pixels.ordered(values)
    highest = ordered[pixels.starts + pixels.areas - 1]
    spoiled = np.where(np.isnan(highest), np.nan, 0.0)  # NaN pixels come last, and are no brightness
    median = _quantile(pixels, ordered, 0.5) + spoiled
    deviations = pixels.ordered(np.abs(values - median[pixels.index]))
    return {
        "Intensity_LowerQuartileIntensity": _quantile(pixels, ordered, 0.25) + spoiled,
        "Intensity_MedianIntensity": median,
        "Intensity_UpperQuartileIntensity": _quantile(pixels, ordered, 0.75) + spoiled,
        "Intensity_MADIntensity": _quantile(pixels, deviations, 0.5),
    }


def _mass(pixels: ObjectPixels, values: _Array) -> dict[str, _Array]:
    """Return the centre that the values are balanced on, and how far it is from the one of the shape."""
    integrated = pixels.total(values)
    mass = np.where(integrated == 0, np.nan, integrated)
    found, offsets = {}, []
    for axis, places in (("X", pixels.x), ("Y", pixels.y)):
        total = pixels.total(places)
        # Sums over short distances from a pixel of each object lose no digits to its place in the plane.
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
    # A neighbour without weight has no say, be it infinite.
    return np.where(weight > 0, low + weight * (high - low), low)
