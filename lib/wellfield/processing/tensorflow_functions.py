"""Implementations for TensorFlow (eager): they run where their input is.

Parameters and meaning are the same as in the NumPy functions of :mod:`wellfield.processing.filters` and
:mod:`wellfield.processing.segmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.memory.decorators import tensorflow
from wellfield.processing import gaussian, otsu, validation
from wellfield.processing.function_registry import implements

_Array = np.ndarray[Any, np.dtype[Any]]


@implements("gaussian_filter")
@tensorflow(slice_wise=True)
def gaussian_filter(image: Any, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> Any:
    """Smooth with a Gaussian: float32, within 1e-6 of the image's largest value of what NumPy gives.

    A weighted sum of shifted images; see :mod:`wellfield.processing.gaussian`.
    """
    import tensorflow as tf

    def take(stack: Any, indices: _Array, axis: int) -> Any:
        return tf.gather(stack, indices, axis=axis)

    sigmas = gaussian.sigma_per_axis(sigma, volumetric=volumetric)
    return gaussian.smooth(tf.cast(image, tf.float32), sigmas, take)


@implements("max_projection")
@tensorflow
def max_projection(image: Any) -> Any:
    """Project along z: exactly what NumPy gives."""
    import tensorflow as tf

    validation.require_planes(image.shape, "max_projection")
    if image.dtype == tf.bool:
        return tf.reduce_any(image, axis=0, keepdims=True)
    return tf.reduce_max(image, axis=0, keepdims=True)


@implements("threshold_otsu")
@tensorflow(slice_wise=True)
def threshold_otsu(
    image: Any,
    *,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 2.8,
    volumetric: bool = False,
) -> Any:
    """Find the foreground: ``tf.bool``, exactly the mask that NumPy gives.

    The histogram is counted on the device, the threshold found from it on the host.
    """
    import tensorflow as tf

    validation.require_otsu_parameters(correction, min_contrast)
    validation.require_intensity(image.dtype.is_integer or image.dtype.is_floating, image.dtype.name, "threshold_otsu")
    total = int(tf.size(image, out_type=tf.int64))
    if image.dtype.is_floating:
        validation.require_finite(total - int(tf.math.count_nonzero(tf.math.is_finite(image))), total, "threshold_otsu")
    if not total:
        return tf.zeros(image.shape, tf.bool)
    pixels = tf.cast(image, tf.float32) if image.dtype in (tf.float16, tf.bfloat16) else image
    thresholds = otsu.find_thresholds(
        tf.reduce_min(pixels, axis=(1, 2)).numpy(),
        tf.reduce_max(pixels, axis=(1, 2)).numpy(),
        lambda z, bins: _count(pixels[z], bins),
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )
    return pixels > tf.constant(thresholds[:, None, None])


def _count(plane: Any, bins: otsu.Bins) -> _Array:
    import tensorflow as tf

    if isinstance(bins, otsu.FloatBins):
        scaled = (plane * 0.5 - bins.low * 0.5) * bins.scale
        numbers = tf.clip_by_value(tf.cast(scaled, tf.int32), 0, bins.count - 1)
    else:
        # In dtypes of 32 bits and more the difference may wrap around; its lowest 16 bits after the shift are right.
        plane = tf.cast(plane, tf.int32) if plane.dtype.size <= 2 else plane
        shift = tf.constant(bins.shift, plane.dtype)
        numbers = tf.bitwise.right_shift(plane - tf.constant(bins.low, plane.dtype), shift)
        numbers = tf.bitwise.bitwise_and(tf.cast(numbers, tf.int32), bins.count - 1)
    counts: _Array = tf.math.bincount(tf.reshape(numbers, [-1]), minlength=bins.count, dtype=tf.int64).numpy()
    return counts
