"""Implementations for JAX: they run where their input is.

Parameters and meaning are those of the NumPy functions in :mod:`wellfield.processing.filters` and
:mod:`wellfield.processing.segmentation`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wellfield.memory.decorators import jax
from wellfield.processing import gaussian, otsu, validation
from wellfield.processing.function_registry import implements

_Array = np.ndarray[Any, np.dtype[Any]]


@implements("gaussian_filter")
@jax(slice_wise=True)
def gaussian_filter(image: Any, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> Any:
    """Smooth with a Gaussian: float32, within 1e-6 of the image's largest value of what NumPy gives.

    A weighted sum of shifted images, see :mod:`wellfield.processing.gaussian`; compiled once for each shape and sigma.
    """
    return _compiled_smooth()(image, gaussian.sigma_per_axis(sigma, volumetric=volumetric))


@implements("max_projection")
@jax
def max_projection(image: Any) -> Any:
    """Project along z: exactly what NumPy gives."""
    validation.require_planes(image.shape, "max_projection")
    return image.max(axis=0, keepdims=True)


@implements("threshold_otsu")
@jax(slice_wise=True)
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
    import jax.numpy as jnp

    validation.require_otsu_parameters(correction, min_contrast)
    is_float = jnp.issubdtype(image.dtype, jnp.floating)
    validation.require_intensity(is_float or jnp.issubdtype(image.dtype, jnp.integer), image.dtype, "threshold_otsu")
    if is_float:
        validation.require_finite(image.size - int(jnp.isfinite(image).sum()), image.size, "threshold_otsu")
    if not image.size:
        return jnp.zeros(image.shape, bool)
    pixels = image.astype(np.float32) if is_float and image.dtype.itemsize == 2 else image
    thresholds = otsu.find_thresholds(
        np.asarray(pixels.min(axis=(1, 2))),
        np.asarray(pixels.max(axis=(1, 2))),
        lambda z, bins: np.asarray(jnp.bincount(otsu.bin_numbers(pixels[z], bins).ravel(), length=bins.count)),
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )
    return pixels > thresholds[:, None, None]


@functools.cache
def _compiled_smooth() -> Callable[[Any, tuple[float, ...]], Any]:
    import jax
    import jax.numpy as jnp

    def take(stack: Any, indices: _Array, axis: int) -> Any:
        return jnp.take(stack, indices, axis=axis)

    def smooth(image: Any, sigmas: tuple[float, ...]) -> Any:
        return gaussian.smooth(image.astype(jnp.float32), sigmas, take)

    compiled: Callable[[Any, tuple[float, ...]], Any] = jax.jit(smooth, static_argnames="sigmas")
    return compiled
