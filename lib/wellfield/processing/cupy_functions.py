"""Implementations for CuPy, on a CUDA device, with the functions of ``cupyx.scipy.ndimage``.

Parameters and meaning are the same as in the NumPy functions of :mod:`wellfield.processing.filters` and
:mod:`wellfield.processing.segmentation`. CuPy has the API of NumPy and SciPy, so tests also run this code with NumPy
and SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.memory.decorators import cupy
from wellfield.processing import footprints, otsu, validation
from wellfield.processing.function_registry import implements
from wellfield.processing.gaussian import sigma_per_axis
from wellfield.processing.segmentation import label_connectivity

_Array = np.ndarray[Any, np.dtype[Any]]


@implements("gaussian_filter")
@cupy(slice_wise=True)
def gaussian_filter(image: Any, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> Any:
    """Smooth with a Gaussian: float32, within 1e-6 of the image's largest value of what NumPy gives."""
    _, ndimage = _libraries()
    sigmas = sigma_per_axis(sigma, volumetric=volumetric)
    return ndimage.gaussian_filter(image.astype(np.float32), sigmas if volumetric else (0.0, *sigmas))


@implements("median_filter")
@cupy(slice_wise=True)
def median_filter(image: Any, *, radius: int = 1) -> Any:
    """Replace each pixel by the median of a disk around it: exactly what NumPy gives."""
    validation.require_median_radius(radius)
    library, ndimage = _libraries()
    return ndimage.median_filter(image, footprint=library.asarray(footprints.disk(radius)[None]))


@implements("tophat")
@cupy(slice_wise=True)
def tophat(image: Any, *, radius: int = 25) -> Any:
    """Remove uneven background: exactly what NumPy gives, with the same disk."""
    validation.require_tophat_radius(radius)
    if not image.size:
        return image.copy()
    library, ndimage = _libraries()
    steps = [library.asarray(step[None]) for step in footprints.disk_steps(radius)]
    high, low = footprints.outside(image)
    opened = image
    for step in steps:
        opened = ndimage.grey_erosion(opened, footprint=step, mode="constant", cval=high)
    for step in reversed(steps):
        opened = ndimage.grey_dilation(opened, footprint=step, mode="constant", cval=low)
    result = image - opened
    if image.dtype.kind == "i":
        validation.require_heights(int(result.min()), image.dtype)
    return result


@implements("max_projection")
@cupy
def max_projection(image: Any) -> Any:
    """Project along z: exactly what NumPy gives."""
    validation.require_planes(image.shape, "max_projection")
    return image.max(axis=0, keepdims=True)


@implements("threshold_otsu")
@cupy(slice_wise=True)
def threshold_otsu(
    image: Any,
    *,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 2.8,
    volumetric: bool = False,
) -> Any:
    """Find the foreground: ``bool``, exactly the mask that NumPy gives.

    The histogram is counted on the device, the threshold found from it on the host.
    """
    library, _ = _libraries()
    validation.require_otsu_parameters(correction, min_contrast)
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, "threshold_otsu")
    if image.dtype.kind == "f":
        validation.require_finite(image.size - int(library.isfinite(image).sum()), image.size, "threshold_otsu")
    if not image.size:
        return library.zeros(image.shape, bool)
    pixels = image.astype(np.float32) if image.dtype == np.float16 else image

    def count(z: int, bins: otsu.Bins) -> _Array:
        numbers = otsu.bin_numbers(pixels[z], bins).ravel()
        counts: _Array = library.asnumpy(library.bincount(numbers, minlength=bins.count))
        return counts

    thresholds = otsu.find_thresholds(
        library.asnumpy(pixels.min(axis=(1, 2))),
        library.asnumpy(pixels.max(axis=(1, 2))),
        count,
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )
    return pixels > library.asarray(thresholds)[:, None, None]


@implements("label")
@cupy(slice_wise=True)
def label(mask: Any, *, connectivity: int | None = None, min_area: int = 0, volumetric: bool = False) -> Any:
    """Number the connected regions of a mask: exactly what NumPy gives."""
    validation.require_mask(mask.dtype == np.bool_, mask.dtype, "label")
    reach = label_connectivity(connectivity, volumetric=volumetric)
    library, ndimage = _libraries()
    from scipy.ndimage import generate_binary_structure

    neighbours = generate_binary_structure(3 if volumetric else 2, reach)
    result = library.zeros(mask.shape, np.int32)
    for part, out in [(mask, result)] if volumetric else zip(mask, result, strict=True):
        components, _ = ndimage.label(part, neighbours)
        out[...] = _keep(library, components, min_area=min_area)
    return result


def _keep(library: Any, labels: Any, *, min_area: int) -> Any:
    """Return *labels* without objects of fewer than *min_area* pixels, renumbered 1, 2, … in the old order."""
    keep = library.bincount(labels.ravel(), minlength=1) >= max(min_area, 1)
    keep[0] = False
    return (library.cumsum(keep) * keep)[labels]


def _libraries() -> tuple[Any, Any]:
    """Return CuPy and its counterpart of :mod:`scipy.ndimage`."""
    import cupy
    from cupyx.scipy import ndimage

    return cupy, ndimage
