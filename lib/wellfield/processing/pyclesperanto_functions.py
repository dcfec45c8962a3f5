"""Implementations for pyclesperanto, on an OpenCL device.

Parameters and meaning are the same as in the NumPy functions of :mod:`wellfield.processing.filters` and
:mod:`wellfield.processing.segmentation`. A mask is uint8 with values 0 and 1, since OpenCL arrays have no bool.

The kernels of pyclesperanto compute in float32, which cannot hold all 32-bit integers: images of 32-bit integers are
processed on the host. So are images with NaN, if a kernel would ignore it.
At an edge the kernels repeat the outermost pixel, so images are first padded with the pixels that the NumPy function
assumes outside. Functions of pyclesperanto may drop leading axes of length 1, so the shape is restored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.memory.decorators import pyclesperanto
from wellfield.processing import footprints, gaussian, validation
from wellfield.processing.function_registry import get_function, implements
from wellfield.processing.segmentation import label_connectivity

_Array = np.ndarray[Any, np.dtype[Any]]

# The median kernel sorts fewer than 1000 values.
_LARGEST_MEDIAN_RADIUS = 17


@implements("gaussian_filter")
@pyclesperanto(slice_wise=True)
def gaussian_filter(image: Any, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> Any:
    """Smooth with a Gaussian: float32, within 1e-6 of the image's largest value of what NumPy gives.

    The kernel is SciPy's: the kernel of ``gaussian_blur`` is cut up to one pixel earlier.
    """
    import pyclesperanto as cle

    sigmas = (0.0, *gaussian.sigma_per_axis(sigma, volumetric=volumetric))[-3:]
    result = image.astype(np.float32)
    for axis, value in enumerate(sigmas):
        radius = gaussian.kernel_radius(value)
        if radius:
            half = gaussian.half_kernel(value)
            shape = [1, 1, 1]
            shape[axis] = 2 * radius + 1
            kernel = np.array([*half[:0:-1], *half], np.float32).reshape(shape)
            smoothed = cle.convolve(_mirrored(result, axis, radius), kernel)
            result = _part(smoothed, axis, radius, image.shape[axis])
    return result


@implements("median_filter")
@pyclesperanto(slice_wise=True)
def median_filter(image: Any, *, radius: int = 1) -> Any:
    """Replace each pixel by the median of a disk around it: exactly what NumPy gives.

    A disk with a radius above 17 is too large for the kernel: the median is then computed on the host.
    """
    import pyclesperanto as cle

    validation.require_median_radius(radius)
    if radius > _LARGEST_MEDIAN_RADIUS or _is_wide(image) or _has_nan(image):
        return _on_host("median_filter", image, radius=radius)
    padded = _mirrored(_mirrored(image, 1, radius), 2, radius)
    median = cle.median(padded, radius_x=radius, radius_y=radius, radius_z=0, connectivity="sphere")
    return _part(_part(median, 1, radius, image.shape[1]), 2, radius, image.shape[2])


@implements("tophat")
@pyclesperanto(slice_wise=True)
def tophat(image: Any, *, radius: int = 25) -> Any:
    """Remove uneven background: exactly what NumPy gives, with the same disk."""
    import pyclesperanto as cle

    validation.require_tophat_radius(radius)
    if _is_wide(image):
        return _on_host("tophat", image, radius=radius)
    steps = [step[None] for step in footprints.disk_steps(radius)]
    pixels = image.astype(np.float32)
    # A dilation is the erosion of the negative by the mirrored disk.
    eroded = _eroded(pixels, steps)
    opened = cle.subtract_image_from_scalar(
        _eroded(cle.subtract_image_from_scalar(eroded, scalar=0), [step[:, ::-1, ::-1] for step in reversed(steps)]),
        scalar=0,
    )
    heights = cle.subtract_images(pixels, opened)
    if image.dtype.kind == "i":
        validation.require_heights(np.iinfo(image.dtype).max - cle.maximum_of_all_pixels(heights), image.dtype)
    return heights.astype(image.dtype.type)


@implements("max_projection")
@pyclesperanto
def max_projection(image: Any) -> Any:
    """Project along z: exactly what NumPy gives."""
    import pyclesperanto as cle

    if _is_wide(image) or _has_nan(image):
        return _on_host("max_projection", image)
    return cle.maximum_z_projection(image, keep_dims=True)


@implements("threshold_otsu")
@pyclesperanto(slice_wise=True)
def threshold_otsu(
    image: Any,
    *,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 2.8,
    volumetric: bool = False,
) -> Any:
    """Find the foreground: uint8, exactly the mask that NumPy gives. It is computed on the host.

    The ``histogram`` of pyclesperanto has other bins, and no more than a few thousand.
    """
    return _on_host(
        "threshold_otsu",
        image,
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )


@implements("label")
@pyclesperanto(slice_wise=True)
def label(mask: Any, *, connectivity: int | None = None, min_area: int = 0, volumetric: bool = False) -> Any:
    """Number the connected regions of a uint8 mask of 0 and 1: exactly what NumPy gives.

    With *volumetric* and a connectivity of 2 (sides and edges, not corners) this runs on the host: the kernels join
    voxels by sides only, or by sides, edges and corners.
    """
    import pyclesperanto as cle

    is_mask = mask.dtype == np.uint8 and cle.maximum_of_all_pixels(mask) <= 1
    validation.require_mask(is_mask, mask.dtype, "label")
    reach = label_connectivity(connectivity, volumetric=volumetric)
    if volumetric and reach == 2:
        labels = get_function("label").function(
            cle.pull(mask).astype(bool), connectivity=reach, min_area=min_area, volumetric=True
        )
        return cle.push(labels, device=mask.device)
    parts = [mask] if volumetric else [_part(mask, 0, z, 1) for z in range(mask.shape[0])]
    kernel = "sphere" if reach == 1 else "box"
    labels = [cle.connected_component_labeling(part, connectivity=kernel) for part in parts]
    if min_area > 1:
        labels = [cle.remove_small_labels(part, minimum_size=min_area) for part in labels]
    joined = _joined([part.reshape(source.shape) for part, source in zip(labels, parts, strict=True)], axis=0)
    return joined.astype(np.int32)


def _is_wide(image: Any) -> bool:
    """Tell whether the dtype is an integer dtype with values that float32 cannot hold."""
    return bool(image.dtype.kind in "iu" and image.dtype.itemsize > 2)


def _has_nan(image: Any) -> bool:
    """Tell whether a pixel is NaN, which the kernels' comparisons ignore (or infinities of both signs occur)."""
    import pyclesperanto as cle

    return bool(image.dtype.kind == "f" and math.isnan(float(cle.sum_of_all_pixels(image))))


def _on_host(name: str, image: Any, **parameters: Any) -> Any:
    import pyclesperanto as cle

    return cle.push(get_function(name).function(cle.pull(image), **parameters), device=image.device)


def _eroded(pixels: Any, steps: Sequence[_Array]) -> Any:
    """Return a float32 stack eroded by the footprints (3 × 3 in each plane) in turn; pixels outside do not count."""
    import pyclesperanto as cle

    depth, height, width = pixels.shape
    padded, frame = (cle.create((depth, height + 2, width + 2), np.float32, device=pixels.device) for _ in range(2))
    inside = cle.create(pixels.shape, np.float32, device=pixels.device)
    padded.fill(np.inf)
    frame.fill(np.inf)
    inside.fill(-np.inf)
    cle.paste(pixels, padded, destination_x=1, destination_y=1)
    cle.paste(inside, frame, destination_x=1, destination_y=1)
    for step in steps:
        padded = cle.maximum_images(cle.erosion(padded, np.ascontiguousarray(step)), frame)
    return _part(_part(padded, 1, 1, height), 2, 1, width)


def _mirrored(image: Any, axis: int, radius: int) -> Any:
    """Return a stack with *radius* more pixels at both ends of an axis: ``b a | a b c | c b``."""
    import pyclesperanto as cle

    flips = {f"flip_{name}": number == axis for number, name in enumerate("zyx")}
    while radius:
        # At most the whole axis can be mirrored at once; mirroring again continues the same pattern.
        size = image.shape[axis]
        step = min(radius, size)
        ends = [cle.flip(_part(image, axis, start, step), **flips) for start in (0, size - step)]
        image = _joined([ends[0], image, ends[1]], axis)
        radius -= step
    return image


def _joined(parts: Sequence[Any], axis: int) -> Any:
    """Return stacks joined along an axis."""
    import pyclesperanto as cle

    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    result = cle.create(tuple(shape), parts[0].dtype, device=parts[0].device)
    start = 0
    for part in parts:
        cle.paste(part, result, **{f"destination_{'zyx'[axis]}": start})
        start += part.shape[axis]
    return result


def _part(image: Any, axis: int, start: int, size: int) -> Any:
    """Return *size* pixels of a stack along an axis, beginning at *start*. (A slice of one pixel would be a number.)"""
    import pyclesperanto as cle

    shape = list(image.shape)
    shape[axis] = size
    depth, height, width = shape
    position = {f"start_{'zyx'[axis]}": start}
    return cle.crop(image, width=width, height=height, depth=depth, **position).reshape(tuple(shape))
