"""Measure the offset between two overlapping fields from their content.

Offsets and positions are in pixels, in the order y, x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

# Structure has sizes between these standard deviations in pixels: anything finer is noise, anything coarser is
# illumination.
_FINE, _COARSE = 1.0, 8.0
# White noise of standard deviation 1 has this standard deviation after the difference of the two Gaussians.
_NOISE_GAIN = math.sqrt((_FINE**-2 + _COARSE**-2 - 4 / (_FINE**2 + _COARSE**2)) / (4 * math.pi))
# The median of the absolute values of Gaussian noise, as a part of its standard deviation.
_MEDIAN_OF_GAUSSIAN = 0.6745
# If an overlap is narrower than this many pixels, correlations are high by chance.
MIN_OVERLAP = 8
_PEAKS = 5
# From a peak, at most this many steps of one pixel are made towards the highest correlation.
_REFINEMENTS = 5
# If the stage predicts less overlap than this, the fields may not overlap at all, but show the same blurred objects on
# either side of their common border. Two such strips look alike too, but hardly more than neighbouring strips within
# one field. At the right offset, the unlikeness (1 − correlation) of the fields is at most this part of the unlikeness
# of such strips.
_SURE_OVERLAP = 2 * MIN_OVERLAP
_MOST_UNLIKE = 0.1
# A correlation of so many standard deviations (of the correlation of unlike images) is not due to chance, even if it is
# the best of five.
_MIN_CHANCES = 4

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Edge:
    """Two neighbouring fields, and the offset of the second from the first by the stage and by the content.

    Parameters
    ----------
    first, second:
        Indices of the fields.
    predicted, measured:
        Offset from the first field's corner to the second field's corner; *measured* is NaN if no offset was found.
    signal:
        Structure of the overlap relative to its noise, in the field with less of it; see :func:`measure_signal`.
    quality:
        Normalized cross-correlation of the overlap at the measured offset, -1 to 1; NaN if no offset was found.
    used:
        Whether the measured offset counts.
    reason:
        Why it counts, or why not.
    """

    first: int
    second: int
    predicted: tuple[float, float]
    measured: tuple[float, float] = (math.nan, math.nan)
    signal: float = math.nan
    quality: float = math.nan
    used: bool = False
    reason: str = ""


# --- one pair ----------------------------------------------------------------------------------------------------


def register_pair(
    planes: Sequence[_Array], edge: Edge, *, search_margin: int, min_signal: float, min_quality: float
) -> Edge:
    """Return *edge* with the offset that the pixels of its two fields show.

    Both planes are cut to the predicted overlap plus *search_margin* pixels. Phase correlation gives the five best
    offsets within that margin of the prediction. The one with the highest normalized cross-correlation counts; it is
    refined to a fraction of a pixel. The correlation must reach four times the standard deviation that it has for
    images with nothing in common. If the stage predicts hardly any overlap, the fields must agree much better than two
    strips side by side in one field; otherwise the stage's offset stays.

    Parameters
    ----------
    planes:
        ``[Y, X]`` of one size, all fields.
    search_margin:
        Largest distance between measured and predicted offset, along y and along x.
    min_signal, min_quality:
        Least signal and quality for which a measured offset is used.

    Notes
    -----
    Phase correlation: Kuglin, C. D. and Hines, D. C. (1975), Proc. IEEE Int. Conf. Cybernetics and Society, 163–165.
    Several peaks, judged by cross-correlation: Preibisch, S. et al. (2009), Bioinformatics 25, 1463–1465. Here the
    images are padded: a peak may stand for several shifts, because shifts wrap around, but only one of them is within
    the search.
    """
    rounded = np.rint(edge.predicted).astype(int)
    pair = planes[edge.first], planes[edge.second]
    shape = np.array(pair[0].shape)
    starts = np.maximum(0, rounded - search_margin), np.maximum(0, -rounded - search_margin)
    stops = np.minimum(shape, shape + rounded + search_margin), np.minimum(shape, shape - rounded + search_margin)
    crops = [_structure(*parts) for parts in zip(pair, starts, stops, strict=True)]
    signal = min(crop.signal for crop in crops)
    edge = replace(edge, signal=signal)
    if not signal >= min_signal:
        return replace(edge, reason=f"no signal in the overlap: {signal:.2f} of its noise, below {min_signal:g}")

    # An offset of the fields is the offset of the crops plus the difference of the crops' starts.
    origin = starts[0] - starts[1]
    found = _best_shift(crops[0], crops[1], centre=rounded - origin, margin=search_margin)
    if found is None:
        return replace(edge, reason=f"no offset within {search_margin} px leaves {MIN_OVERLAP} px of overlap")
    shift, quality, chance = found
    y, x = (shift + origin).tolist()
    edge = replace(edge, measured=(y, x), quality=quality)
    doubt = _doubt(edge, pair, chance, search_margin=search_margin, min_quality=min_quality)
    return replace(edge, used=not doubt, reason=doubt or ACCEPTED)


def _doubt(edge: Edge, pair: Sequence[_Array], chance: float, *, search_margin: int, min_quality: float) -> str:
    """Return why the measured offset of an edge is not used; an empty string if it is used."""
    shape = np.array(pair[0].shape)
    predicted, measured = (float((shape - np.abs(offset)).min()) for offset in (edge.predicted, edge.measured))
    if max(abs(np.subtract(edge.measured, edge.predicted))) > search_margin:
        return f"offset is more than {search_margin} px from the stage's"
    if not edge.quality >= min_quality:
        return f"fields do not agree: correlation {edge.quality:.2f}, below {min_quality:g}"
    if not edge.quality >= _MIN_CHANCES * chance:
        return f"too little in the overlap: correlation {edge.quality:.2f}, by chance {chance:.2f}"
    if not measured >= MIN_OVERLAP - 0.5:
        return f"too little overlap: {measured:.1f} px at the best offset"
    likeness = _likeness_of_strips(pair, edge.measured) if predicted < _SURE_OVERLAP else -math.inf
    if 1 - edge.quality > _MOST_UNLIKE * (1 - likeness):
        return (
            f"the stage predicts {predicted:.1f} px of overlap; strips side by side in one field agree hardly less: "
            f"correlation {edge.quality:.2f}, there {likeness:.2f}"
        )
    return ""


def _likeness_of_strips(pair: Sequence[_Array], offset: tuple[float, float]) -> float:
    """Return the correlation of two strips side by side in one field, at the border with the other field.

    Each strip is as wide as the overlap. The result is the higher correlation of the two fields. *offset* is the offset
    of the second field from the first.
    """
    sides = np.array(pair[0].shape) - np.abs(offset)
    axis = int(np.argmin(sides))
    width = min(round(float(sides[axis])), pair[0].shape[axis] // 2)
    found = []
    for plane, direction in zip(pair, (offset[axis], -offset[axis]), strict=True):
        inwards = np.moveaxis(plane, axis, 0)[:: -1 if direction > 0 else 1]  # from the common border
        strips = (inwards[:width].astype(np.float32), inwards[width : 2 * width].astype(np.float32))
        found.append(_correlation(*(_filtered(strip - strip.mean(dtype=np.float64))[1] for strip in strips)))
    return max(found)


@dataclass(frozen=True, slots=True)
class _Crop:
    """Part of a plane.

    *pixels* is the part minus its mean, *sharp* the part without background, *smooth* the part without background and
    smoothed.
    """

    pixels: _Array
    sharp: _Array
    smooth: _Array
    signal: float


def _structure(plane: _Array, start: _Array, stop: _Array) -> _Crop:
    """Return the part of *plane* from *start* to *stop*."""
    around = math.ceil(4 * _COARSE)  # the reach of the filter
    first = np.maximum(start - around, 0)
    last = stop + around
    pixels = plane[first[0] : last[0], first[1] : last[1]]
    wide = np.subtract(pixels, pixels.mean(dtype=np.float64), dtype=np.float64).astype(np.float32)
    inside = tuple(slice(a, b) for a, b in zip(start - first, stop - first, strict=True))
    sharp, smooth = (part[inside] for part in _filtered(wide))
    return _Crop(wide[inside], sharp, smooth, measure_signal(wide[inside], smooth))


def _filtered(pixels: _Array) -> tuple[_Array, _Array]:
    """Return *pixels* without background, and the same smoothed."""
    from scipy.ndimage import gaussian_filter

    background = gaussian_filter(pixels, _COARSE)
    return pixels - background, gaussian_filter(pixels, _FINE) - background


def measure_signal(pixels: _Array, smooth: _Array) -> float:
    """Return how much structure there is, relative to what noise alone would leave after the filter.

    Parameters
    ----------
    pixels:
        ``[Y, X]``, their mean about 0.
    smooth:
        The same after a difference of Gaussians of 1 and 8 px.

    Returns
    -------
    Standard deviation of *smooth*, divided by the standard deviation that white noise as strong as the noise of
    *pixels* would have there: 1 for noise, 0 for equal pixels.

    Notes
    -----
    The noise is measured with a mask that does not respond to flat or sloped areas: Immerkær, J. (1996), Comput. Vis.
    Image Underst. 64, 300–302. The median is used instead of the mean, so that outlines of objects do not count.
    """
    structure = float(smooth.std())
    if not structure > 1e-5 * float(np.abs(pixels).max(initial=0)):  # rounding errors on a slope
        return 0.0
    deviations = np.abs(np.diff(np.diff(pixels, 2, axis=0), 2, axis=1))
    noise = float(np.median(deviations)) / _MEDIAN_OF_GAUSSIAN / 6 if deviations.size else 0.0
    return structure / (_NOISE_GAIN * noise) if noise else math.inf


def _best_shift(first: _Crop, second: _Crop, *, centre: _Array, margin: int) -> tuple[_Array, float, float] | None:
    """Return the shift of *second* at which it agrees best with *first*, the correlation, and the one by chance."""
    from skimage.feature import peak_local_max

    surface = _phase_correlation(first.sharp, second.sharp, lowest=centre - margin, size=2 * margin + 1)
    peaks = peak_local_max(surface, num_peaks=_PEAKS, exclude_border=False)  # type: ignore[no-untyped-call]
    shifts = [shift for shift in peaks + centre - margin if _has_overlap(first, second, shift)]
    if not shifts:
        return None
    shift = max(shifts, key=lambda shift: _correlation(*_overlap(first.smooth, second.smooth, shift)))
    for _ in range(_REFINEMENTS):
        # Cut to the overlap first, then filter: at the right shift both parts have the same surroundings.
        own, others = (_filtered(part)[1] for part in _overlap(first.pixels, second.pixels, shift))
        rest = _remaining_shift(own, others)
        moved = shift + np.rint(rest).astype(int)
        if (moved == shift).all() or not _has_overlap(first, second, moved):
            break
        shift = moved
    return shift + rest, _correlation(own, others), _chance(own, others)


def _remaining_shift(own: _Array, others: _Array) -> _Array:
    """Return by how much *others* should still be moved, up to a pixel along y and along x.

    *own* without its outermost pixels is correlated with *others* at nine shifts. The highest correlation counts; its
    place between pixels is the vertex of the parabola through it and its neighbours.
    """
    height, width = own.shape
    inner = own[1:-1, 1:-1]
    surface = np.array(
        [
            [_correlation(inner, others[1 - y : height - 1 - y, 1 - x : width - 1 - x]) for x in (-1, 0, 1)]
            for y in (-1, 0, 1)
        ]
    )
    top = np.array(np.unravel_index(np.argmax(surface), surface.shape))
    rest = top - 1.0
    for axis in np.flatnonzero(rest == 0):
        below, peak, above = np.take(surface, top[1 - axis], axis=1 - axis).tolist()
        curvature = below - 2 * peak + above
        rest[axis] = (below - above) / curvature / 2 if curvature else 0
    return rest


def _phase_correlation(first: _Array, second: _Array, *, lowest: _Array, size: int) -> _Array:
    """Return the phase correlation for *size* shifts along y and along x, starting at *lowest*."""
    from scipy import fft, ndimage

    farthest = np.abs([lowest, lowest + size]).max(axis=0)
    padded = [fft.next_fast_len(int(n), real=True) for n in np.array(first.shape) + farthest]
    spectrum = fft.rfft2(first, padded) * np.conj(fft.rfft2(second, padded))
    power = np.abs(spectrum)
    spectrum /= np.maximum(power, 1e-12 * max(float(power.max()), np.finfo(float).tiny))
    surface = ndimage.gaussian_filter(fft.irfft2(spectrum, padded), _FINE, mode="wrap")
    rows, columns = ((start + np.arange(size)) % n for start, n in zip(lowest, padded, strict=True))
    window: _Array = surface[np.ix_(rows, columns)]
    return window


def _overlap(first: _Array, second: _Array, shift: Sequence[int]) -> tuple[_Array, _Array]:
    """Return the pixels that both images share after *second* is moved by *shift*."""
    own = tuple(
        slice(max(0, s), max(0, min(n, m + s))) for s, n, m in zip(shift, first.shape, second.shape, strict=True)
    )
    others = tuple(slice(part.start - s, max(0, part.stop - s)) for part, s in zip(own, shift, strict=True))
    return first[own], second[others]


def _has_overlap(first: _Crop, second: _Crop, shift: Sequence[int]) -> bool:
    own, _ = _overlap(first.pixels, second.pixels, shift)
    return bool(min(own.shape) >= MIN_OVERLAP)


def _correlation(own: _Array, others: _Array) -> float:
    """Return the normalized cross-correlation of two images; 0 if all pixels of one are equal."""
    own, others = own - own.mean(dtype=np.float64), others - others.mean(dtype=np.float64)
    power = math.sqrt(float((own**2).sum()) * float((others**2).sum()))
    return float((own * others).sum()) / power if power else 0.0


def _chance(own: _Array, others: _Array) -> float:
    """Return the standard deviation of the correlation of unrelated images with the grain of these two.

    It is computed from their power spectra: the coarser the structure, the fewer independent pixels there are.
    Bartlett, M. S. (1946), Suppl. J. R. Stat. Soc. 8, 27–41.
    """
    from scipy import fft

    one, other = (np.abs(fft.fft2(image - image.mean())) ** 2 for image in (own, others))
    power = float(one.sum()) * float(other.sum())
    return math.sqrt(float((one * other).sum()) / power) if power else math.inf
