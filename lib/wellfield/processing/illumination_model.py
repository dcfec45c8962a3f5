"""Uneven illumination: fit it over many planes of a plate and correct each plane for it.

The model is multiplicative: a camera sees ``background + flatfield × scene``, with one flat field and one background
for all planes of a channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, PipelineError
from wellfield.memory import numpy
from wellfield.processing.function_registry import ImageKind, register

_Array = np.ndarray[Any, np.dtype[Any]]

# Planes are averaged to a grid of this many cells per side: the flat field is much smoother than that.
GRID = 64

# Fewer planes tell more about their own objects than about the illumination.
MIN_PLANES = 10

# The logarithm of the flat field is a polynomial of this total degree: bowls and slopes, no ripples.
DEGREE = 2

# How strongly the background is pulled towards the darkest pixels if the planes do not determine it.
_PRIOR = 1e-3
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Illumination:
    """The illumination of one channel, fitted or measured by the microscope.

    Parameters
    ----------
    flatfield:
        float32, ``[Y, X]``, mean 1: the brightness of each pixel relative to the average pixel.
    background:
        The value of a pixel without light, in the units of the image; a number, or float32 ``[Y, X]``.
    planes:
        Number of planes in the fit.
    clipped:
        Number of saturated pixels in these planes; they were left out.
    uncertainty:
        Half the root mean square difference of two flat fields fitted on every second plane: 0.02 is 2 %.
    """

    flatfield: _Array = field(repr=False)
    background: float | _Array
    planes: int = 0
    clipped: int = 0
    uncertainty: float = float("nan")


def fit_illumination(planes: Iterable[_Array], *, saturation_value: float | None = None) -> Illumination:
    """Fit flat field and background of a channel on planes of different fields and wells.

    Parameters
    ----------
    planes:
        Images ``[Y, X]`` of one size and dtype, read one by one; a hundred or more give a good fit.
    saturation_value:
        Pixels with this value or more are saturated; by default the largest value of an integer dtype.

    Returns
    -------
    The illumination. From 150 planes of scattered nuclei the flat field is within 3 to 4 % (root mean square), whether
    there is a fall-off of 40 % or none; *uncertainty* says how far it can be trusted.

    Raises
    ------
    PipelineError
        Fewer than 10 planes, or a plane with NaN.
    ArrayShapeError
        A plane has another shape or dtype than the first.

    Notes
    -----
    If scenes are alike everywhere in the image, the mean and the standard deviation over planes both follow the flat
    field, but only the mean contains the background. So the background is the number, between 0 and the darkest pixels,
    for which the shapes of mean minus background and of standard deviation agree (the darkest pixels, if both are flat
    anyway). The flat field is then an exponential of a quadratic, fitted to the mean minus the background. Structures
    at the same place in every plane (the wall of a well) count as illumination. Retrospective correction by statistics
    over planes: Smith, K. et al. (2015), Nat. Methods 12, 404–406; Singh, S. et al. (2014), J. Microsc. 256, 231–236.
    """
    averages, darkest, clipped = [], [], 0
    shape: tuple[int, ...] = ()
    dtype: Any = None
    for number, plane in enumerate(planes, start=1):
        shape, dtype = shape or plane.shape, dtype or plane.dtype
        _check_plane(plane, shape, dtype, number)
        is_clipped = _clipped(plane, saturation_value)
        clipped += int(np.count_nonzero(is_clipped))
        averages.append(_grid_means(plane, is_clipped))
        darkest.append(float(np.percentile(plane[::4, ::4], 1)))
    if len(averages) < MIN_PLANES:
        raise PipelineError(
            f"illumination cannot be fitted on {len(averages)} planes; expected at least {MIN_PLANES} of different "
            "fields and wells. Correct the illumination on larger plates only"
        )
    grids = np.stack(averages)
    floor = float(np.median(darkest))
    background, coarse = _fit(grids, floor)
    halves = [_fit(grids[start::2], floor)[1] for start in (0, 1)]
    uncertainty = float(np.sqrt(np.mean((halves[0] - halves[1]) ** 2))) / 2
    return Illumination(_enlarged(coarse, (shape[0], shape[1])), background, len(averages), clipped, uncertainty)


@register(accepts=(ImageKind.INTENSITY,))
@numpy
def correct_illumination(image: _Array, *, illumination: Any) -> _Array:
    """Correct a channel for uneven illumination and background: (image − background) / flat field.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any real dtype.
    illumination:
        The :class:`Illumination` of the channel; in a pipeline it is fitted once per plate, or taken from the
        microscope, and filled in.

    Returns
    -------
    ``[Z, Y, X]``, float32, in the units of *image* above the background; slightly below 0 where noise was below it.

    Raises
    ------
    ArrayShapeError
        The planes have another size than those that the illumination was fitted on.
    """
    flatfield = illumination.flatfield
    if image.shape[1:] != flatfield.shape:
        raise ArrayShapeError(
            f"correct_illumination: planes have shape {list(image.shape[1:])}, the fitted flat field "
            f"{list(flatfield.shape)}; fit it again if the plate's images have changed, and correct before anything "
            "that changes their size"
        )
    result = np.subtract(image, np.asarray(illumination.background, np.float32), dtype=np.float32)
    result /= flatfield
    return result


def _check_plane(plane: _Array, shape: tuple[int, ...], dtype: Any, number: int) -> None:
    if plane.ndim != 2 or plane.shape != shape or plane.dtype != dtype:
        raise ArrayShapeError(
            f"plane {number} of the sample is {plane.dtype} of shape {list(plane.shape)}; expected {dtype} of shape "
            f"{list(shape)}, as the first one"
        )
    if plane.dtype.kind == "f" and not np.isfinite(plane).all():
        raise PipelineError(f"plane {number} of the sample has NaN or infinite pixels")


def _clipped(plane: _Array, saturation_value: float | None) -> _Array:
    if saturation_value is None:
        if plane.dtype.kind not in "iu":
            return np.zeros(plane.shape, bool)
        saturation_value = np.iinfo(plane.dtype).max
    clipped: _Array = plane >= saturation_value
    return clipped


def _grid_means(plane: _Array, left_out: _Array) -> _Array:
    """Return the means of a plane over the cells of a grid, without the pixels in *left_out*.

    A cell without any other pixel gets the brightest of the remaining values.
    """
    values, counts = plane.astype(np.float64), (~left_out).astype(np.float64)
    values[left_out] = 0
    brightest = float(values.max())
    for axis in (0, 1):
        size = plane.shape[axis]
        starts = np.arange(min(GRID, size)) * size // min(GRID, size)
        values, counts = np.add.reduceat(values, starts, axis=axis), np.add.reduceat(counts, starts, axis=axis)
    means: _Array = np.divide(values, counts, out=np.full(values.shape, brightest), where=counts > 0)
    return means


def _fit(grids: _Array, floor: float) -> tuple[float, _Array]:
    """Return background and flat field (mean 1) of grids ``[planes, rows, columns]``; no pixel is below *floor*."""
    from scipy.optimize import minimize_scalar

    terms = _terms(grids.shape[1:])
    mean, spread = grids.mean(axis=0), grids.std(axis=0)
    if floor <= 0 or not spread.any():
        background = max(floor, 0.0)
    else:
        of_spread = _centred(_smooth_log(spread, terms))

        # The background is searched as a fraction of the floor, because the tolerance of the search is absolute.
        def mismatch(part: float) -> float:
            difference = _centred(_smooth_log(mean - part * floor, terms)) - of_spread
            return float(np.mean(difference**2)) + _PRIOR * (part - 1) ** 2

        search = minimize_scalar(mismatch, bounds=(0, 1), method="bounded", options={"xatol": _TOLERANCE})
        background = floor * float(search.x)
    flatfield = np.exp(_smooth_log(mean - background, terms))
    return background, flatfield / flatfield.mean()


def _centred(values: _Array) -> _Array:
    centred: _Array = values - values.mean()
    return centred


def _terms(shape: tuple[int, ...]) -> _Array:
    """Return the Legendre polynomials up to total degree DEGREE on a grid, ``[rows × columns, terms]``."""
    rows, columns = (np.linspace(-1, 1, size) for size in shape)
    one = np.eye(DEGREE + 1)
    products = [
        np.multiply.outer(np.polynomial.legendre.legval(rows, one[i]), np.polynomial.legendre.legval(columns, one[j]))
        for i in range(DEGREE + 1)
        for j in range(DEGREE + 1 - i)
    ]
    terms: _Array = np.stack(products, axis=-1).reshape(-1, len(products))
    return terms


def _smooth_log(values: _Array, terms: _Array, *, rounds: int = 10) -> _Array:
    """Return the best polynomial fit to the logarithm of *values*; outliers get less weight (Huber, P. J. 1964)."""
    positive = values[values > 0]
    logs = np.log(np.maximum(values, positive.min() if positive.size else 1.0)).ravel()
    weights = np.ones_like(logs)
    fitted = logs
    for _ in range(rounds):
        coefficients = np.linalg.lstsq(terms * weights[:, None], logs * weights, rcond=None)[0]
        fitted = terms @ coefficients
        residuals = np.abs(logs - fitted)
        scale = 1.5 * 1.4826 * float(np.median(residuals)) + 1e-12
        weights = 1 / np.sqrt(np.maximum(1, residuals / scale))
    smooth: _Array = fitted.reshape(values.shape)
    return smooth


def _enlarged(coarse: _Array, shape: tuple[int, int]) -> _Array:
    """Return a grid resized to an image of full size, with mean 1."""
    from skimage.transform import resize

    image: _Array = resize(coarse, shape, order=3, mode="edge").astype(np.float32)  # type: ignore[no-untyped-call]
    image /= image.mean(dtype=np.float64)
    return image
