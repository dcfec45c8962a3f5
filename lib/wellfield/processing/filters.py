"""Smoothing, background removal, rescaling and projection of intensity stacks ``[Z, Y, X]``.

Only :func:`normalize_percentile` rescales intensities. All other functions keep the meaning of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ConfigError
from wellfield.memory import numpy
from wellfield.processing import validation
from wellfield.processing.footprints import disk, disk_steps, outside
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.gaussian import sigma_per_axis

_Array = np.ndarray[Any, np.dtype[Any]]


@register(accepts=(ImageKind.INTENSITY,))
@numpy
def gaussian_filter(image: _Array, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> _Array:
    """Smooth with a Gaussian.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any real dtype.
    sigma:
        Standard deviation in pixels; one number for all axes, or one per axis: ``[y, x]``, with *volumetric*
        ``[z, y, x]`` (the z value in planes, which are usually farther apart than pixels). 0 leaves an axis alone.
    volumetric:
        Smooth the stack as one volume instead of plane by plane.

    Returns
    -------
    ``[Z, Y, X]``, float32, in the units of *image*. The kernel is cut at 4 *sigma*; edges are mirrored.

    Raises
    ------
    ConfigError
        *sigma* is negative, not finite, or has the wrong number of values.
    """
    # SciPy returns the dtype of its input, so integers would be truncated: request float output.
    source = image.astype(np.float32) if image.dtype.kind == "b" or image.dtype == np.float16 else image
    sigmas = sigma_per_axis(sigma, volumetric=volumetric)
    result = np.empty(image.shape, np.float32)

    from scipy import ndimage

    if volumetric:
        ndimage.gaussian_filter(source, sigmas, output=result)
    else:
        for plane, out in zip(source, result, strict=True):
            ndimage.gaussian_filter(plane, sigmas, output=out)
    return result


@register(accepts=(ImageKind.INTENSITY,))
@numpy
def median_filter(image: _Array, *, radius: int = 1) -> _Array:
    """Replace each pixel by the median of a disk around it, plane by plane: removes hot pixels, keeps edges.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any real dtype but float16.
    radius:
        Radius of the disk in pixels; 1 is the pixel and its four neighbours.

    Returns
    -------
    ``[Z, Y, X]``, dtype kept. Edges are mirrored.

    Raises
    ------
    ConfigError
        *radius* is below 1.
    """
    validation.require_median_radius(radius)
    from scipy import ndimage

    footprint = disk(radius)
    result = np.empty_like(image, order="C")
    for plane, out in zip(image, result, strict=True):
        ndimage.median_filter(plane, footprint=footprint, output=out)
    return result


@register(accepts=(ImageKind.INTENSITY,))
@numpy
def tophat(image: _Array, *, radius: int = 25) -> _Array:
    """Remove uneven background, plane by plane: white top-hat, the image minus its opening with a disk.

    Bright structures narrower than the disk stay, with their height above the surroundings; wider ones are removed.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any real dtype but float16.
    radius:
        Radius of the disk in pixels, larger than the largest object's. The disk is a 16-sided polygon.

    Returns
    -------
    ``[Z, Y, X]``, dtype kept, nowhere negative.

    Raises
    ------
    ConfigError
        *radius* is outside 1–250.
    PipelineError
        A height exceeds the range of a signed integer dtype.

    Notes
    -----
    Top-hat: Meyer, F. (1979), J. Histochem. Cytochem. 27, 128–135. Fast disks: Vanrell, M. and Vitrià, J. (1997),
    Image Vis. Comput. 15, 845–854.
    """
    validation.require_tophat_radius(radius)
    from skimage.morphology import dilation, erosion, mirror_footprint

    footprint = [(step, 1) for step in disk_steps(radius)]
    # The steps are undone in reverse order, and no pixel outside the plane is read. Otherwise the opening exceeds the
    # image near the edge, and unsigned differences wrap around.
    undo = mirror_footprint(footprint)[::-1]  # type: ignore[no-untyped-call]
    result = np.empty_like(image, order="C")
    if not image.size:
        return result
    high, low = outside(image)
    for plane, out in zip(image, result, strict=True):
        opened = dilation(erosion(plane, footprint, mode="constant", cval=high), undo, mode="constant", cval=low)
        np.subtract(plane, opened, out=out)
    if image.dtype.kind == "i":
        validation.require_heights(result.min(), image.dtype)
    return result


@register(accepts=(ImageKind.INTENSITY,))
@numpy
def normalize_percentile(image: _Array, *, low: float = 1.0, high: float = 99.0, volumetric: bool = False) -> _Array:
    """Rescale each plane so that its *low* percentile becomes 0 and its *high* percentile 1.

    The one function that changes what intensities mean: they lose their unit, and planes, fields and wells can no
    longer be compared by brightness. Use it for segmentation and display, and measure the image before it.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any integer or floating dtype.
    low, high:
        Percentiles of the pixels, 0 to 100, interpolated linearly between pixel values.
    volumetric:
        Percentiles of the whole stack instead of those of each plane.

    Returns
    -------
    ``[Z, Y, X]``, float32, 0 to 1: pixels below the *low* percentile are 0, those above the *high* one 1. Where both
    percentiles are equal, pixels above them are 1 and all others 0, so a flat plane is 0.

    Raises
    ------
    ConfigError
        *low* and *high* are not percentiles, or *low* is not below *high*.
    PipelineError
        *image* is not an intensity image, or has NaN or infinite pixels.
    """
    if not 0 <= low < high <= 100:
        raise ConfigError(f"normalize_percentile: low={low}, high={high}; expected percentiles 0 ≤ low < high ≤ 100")
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, "normalize_percentile")
    not_finite = image.size - int(np.count_nonzero(np.isfinite(image)))
    validation.require_finite(not_finite, image.size, "normalize_percentile")
    result: _Array = np.zeros(image.shape, np.float32)
    if not image.size:
        return result
    for part, out in [(image, result)] if volumetric else zip(image, result, strict=True):
        # Halve the values first: their differences cannot overflow.
        halves = np.multiply(part, 0.5, dtype=np.float64)
        bottom, top = np.percentile(halves, [low, high])
        heights = halves - bottom
        out[...] = np.clip(heights / (top - bottom), 0, 1) if top > bottom else heights > 0
    return result


@register(accepts=(ImageKind.INTENSITY,), projection="max")
@numpy
def max_projection(image: _Array) -> _Array:
    """Project along z: the brightest value of each pixel over all planes.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any real dtype.

    Returns
    -------
    ``[1, Y, X]``, dtype kept.

    Raises
    ------
    ArrayShapeError
        *image* has no plane.
    """
    validation.require_planes(image.shape, "max_projection")
    result: _Array = image.max(axis=0, keepdims=True)
    return result
