"""Where two overlapping fields lie to each other by their content.

Offsets and positions are in pixels, in the order y, x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_Array = np.ndarray[Any, np.dtype[Any]]

# Structure is what has sizes between these standard deviations in pixels: finer is noise, coarser is illumination.
_FINE, _COARSE = 1.0, 8.0
# White noise of standard deviation 1 has this one behind the difference of the two Gaussians.
_NOISE_GAIN = math.sqrt((_FINE**-2 + _COARSE**-2 - 4 / (_FINE**2 + _COARSE**2)) / (4 * math.pi))
# A median of absolute values is this part of the standard deviation of a Gaussian.
_MEDIAN_OF_GAUSSIAN = 0.6745
# Correlations over fewer pixels across are high by chance.
MIN_OVERLAP = 8
_PEAKS = 5
# Steps of at most a pixel from a peak to the highest correlation.
_REFINEMENTS = 5
# Where the stage predicts less overlap than this, both fields may only show the same blurred objects on either side of
# their common border. That looks alike as well, but not by more than neighbouring strips of one field do: the right
# overlap leaves at most this part of their unlikeness.
_SURE_OVERLAP = 2 * MIN_OVERLAP
_MOST_UNLIKE = 0.1
# So many standard deviations of the correlation of unlike images are no chance, even for the best of five.
_MIN_CHANCES = 4

ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Edge:
    """Two neighbouring fields: where the second lies from the first, by the stage and by the content.

    Parameters
    ----------
    first, second:
        Indices of the fields.
    predicted, measured:
        Offset of the second field's corner from that of the first; *measured* is NaN where nothing was found.
    signal:
        Structure of the overlap against its noise, that of the field with less; see :func:`measure_signal`.
    quality:
        Normalized cross-correlation of the overlap at the measured offset, -1 to 1; NaN where nothing was found.
    used:
        The measured offset counts.
    reason:
        Why, or why not.
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
    """Return *edge* with what the pixels of its two fields say.

    Both planes are cut to the predicted overlap and *search_margin* pixels more. Phase correlation gives the five best
    offsets of up to that margin from the prediction; the one with the highest normalized cross-correlation counts, and
    is refined to a fraction of a pixel. A correlation of less than four times its standard deviation for images that
    have nothing in common is not believed. Where the stage predicts hardly any overlap, the fields must agree far
    better than strips that lie side by side in one field, else the stage's offset stays.

    Parameters
    ----------
    planes:
        ``[Y, X]`` of one size, all fields.
    search_margin:
        Farthest that the content may lie from the prediction, along y and along x.
    min_signal, min_quality:
        Least of these that is believed.

    Notes
    -----
    Phase correlation: Kuglin, C. D. and Hines, D. C. (1975), Proc. IEEE Int. Conf. Cybernetics and Society, 163–165.
    Several peaks, judged by cross-correlation: Preibisch, S. et al. (2009), Bioinformatics 25, 1463–1465; the images
    are padded here, so that of a peak's wrapped-round readings only one lies in the search.
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

    # Offsets of the fields are those of the crops but for where these start.
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
    """Return why the measured offset of an edge is not believed; nothing if it is."""
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
    """Return how alike two strips as wide as the overlap are that lie side by side in a field, at its common border.

    Of both fields the higher correlation. *offset* is that of the second field from the first.
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
    """Part of a plane: as it is but for its mean, without background, and smoothed too; and its signal."""

    pixels: _Array
    sharp: _Array
    smooth: _Array
    signal: float


def _structure(plane: _Array, start: _Array, stop: _Array) -> _Crop:
    """Return the part of *plane* from *start* to *stop*."""
    around = math.ceil(4 * _COARSE)  # as far as the filter looks
    first = np.maximum(start - around, 0)
    last = stop + around
    pixels = plane[first[0] : last[0], first[1] : last[1]]
    wide = np.subtract(pixels, pixels.mean(dtype=np.float64), dtype=np.float64).astype(np.float32)
    inside = tuple(slice(a, b) for a, b in zip(start - first, stop - first, strict=True))
    sharp, smooth = (part[inside] for part in _filtered(wide))
    return _Crop(wide[inside], sharp, smooth, measure_signal(wide[inside], smooth))


def _filtered(pixels: _Array) -> tuple[_Array, _Array]:
    """Return *pixels* without their background, and smoothed too."""
    from scipy.ndimage import gaussian_filter

    background = gaussian_filter(pixels, _COARSE)
    return pixels - background, gaussian_filter(pixels, _FINE) - background


def measure_signal(pixels: _Array, smooth: _Array) -> float:
    """Return how much structure there is, in units of what noise alone would leave behind the filter.

    Parameters
    ----------
    pixels:
        ``[Y, X]``, their mean about 0.
    smooth:
        The same behind a difference of Gaussians of 1 and 8 px.

    Returns
    -------
    Standard deviation of *smooth* by that which white noise as strong as that of *pixels* would have there: 1 for
    noise, 0 for pixels all alike.

    Notes
    -----
    Noise by a mask that is blind to planes and slopes: Immerkær, J. (1996), Comput. Vis. Image Underst. 64, 300–302;
    its median instead of its mean, so that the outlines of objects do not count.
    """
    structure = float(smooth.std())
    if not structure > 1e-5 * float(np.abs(pixels).max(initial=0)):  # what rounding leaves of slopes
        return 0.0
    deviations = np.abs(np.diff(np.diff(pixels, 2, axis=0), 2, axis=1))
    noise = float(np.median(deviations)) / _MEDIAN_OF_GAUSSIAN / 6 if deviations.size else 0.0
    return structure / (_NOISE_GAIN * noise) if noise else math.inf


def _best_shift(first: _Crop, second: _Crop, *, centre: _Array, margin: int) -> tuple[_Array, float, float] | None:
    """Return the shift of *second* against *first* at which they agree best; their correlation there, and by chance."""
    from skimage.feature import peak_local_max

    surface = _phase_correlation(first.sharp, second.sharp, lowest=centre - margin, size=2 * margin + 1)
    peaks = peak_local_max(surface, num_peaks=_PEAKS, exclude_border=False)  # type: ignore[no-untyped-call]
    shifts = [shift for shift in peaks + centre - margin if _has_overlap(first, second, shift)]
    if not shifts:
        return None
    shift = max(shifts, key=lambda shift: _correlation(*_overlap(first.smooth, second.smooth, shift)))
    for _ in range(_REFINEMENTS):
        # Cut first, then filtered: at the right shift both have the same around them.
        own, others = (_filtered(part)[1] for part in _overlap(first.pixels, second.pixels, shift))
        rest = _remaining_shift(own, others)
        moved = shift + np.rint(rest).astype(int)
        if (moved == shift).all() or not _has_overlap(first, second, moved):
            break
        shift = moved
    return shift + rest, _correlation(own, others), _chance(own, others)


def _remaining_shift(own: _Array, others: _Array) -> _Array:
    """Return by how much *others* should still be moved, up to a pixel along y and along x.

    The highest of the correlations that the pixels of *own* but its outermost have with those of *others*; between
    pixels the vertex of the parabola through it and its neighbours.
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
    """Return the phase correlation for the shifts from *lowest* on, *size* of them along y and along x."""
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
    """Return the pixels that both have when *second* is moved by *shift*."""
    own = tuple(
        slice(max(0, s), max(0, min(n, m + s))) for s, n, m in zip(shift, first.shape, second.shape, strict=True)
    )
    others = tuple(slice(part.start - s, max(0, part.stop - s)) for part, s in zip(own, shift, strict=True))
    return first[own], second[others]


def _has_overlap(first: _Crop, second: _Crop, shift: Sequence[int]) -> bool:
    own, _ = _overlap(first.pixels, second.pixels, shift)
    return bool(min(own.shape) >= MIN_OVERLAP)


def _correlation(own: _Array, others: _Array) -> float:
    """Return the normalized cross-correlation of two images; 0 where one is all alike."""
    own, others = own - own.mean(dtype=np.float64), others - others.mean(dtype=np.float64)
    power = math.sqrt(float((own**2).sum()) * float((others**2).sum()))
    return float((own * others).sum()) / power if power else 0.0


def _chance(own: _Array, others: _Array) -> float:
    """Return the standard deviation of the correlation of two images that have no more in common than their grain.

    From their power spectra: the coarser the structure, the fewer independent pixels there are. Bartlett, M. S. (1946),
    Suppl. J. R. Stat. Soc. 8, 27–41.
    """
    from scipy import fft

    one, other = (np.abs(fft.fft2(image - image.mean())) ** 2 for image in (own, others))
    power = float(one.sum()) * float(other.sum())
    return math.sqrt(float((one * other).sum()) / power) if power else math.inf
