"""SciPy's Gaussian filter for array libraries without one: the same kernel, the same mirrored edges.

The libraries' convolutions are not used: on GPUs they may round their input to 10 bits (TF32).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wellfield.errors import ConfigError

_Array = np.ndarray[Any, np.dtype[Any]]

# The kernel is cut at this many standard deviations, the default of scipy.ndimage.gaussian_filter.
_TRUNCATE = 4.0


def sigma_per_axis(sigma: float | Sequence[float], *, volumetric: bool) -> tuple[float, ...]:
    """Return one sigma for each axis that is smoothed: ``(y, x)``, or ``(z, y, x)`` if *volumetric*.

    Raises
    ------
    ConfigError
        *sigma* is negative, not finite, or has the wrong number of values.
    """
    axes = "zyx" if volumetric else "yx"
    sigmas = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,) * len(axes)
    if len(sigmas) != len(axes) or not all(math.isfinite(value) and value >= 0 for value in sigmas):
        raise ConfigError(
            f"gaussian_filter: sigma={sigma}; expected one number of pixels, 0 or more, or one for each of {list(axes)}"
        )
    return sigmas


def kernel_radius(sigma: float) -> int:
    """Return how many pixels the kernel reaches to either side."""
    return int(_TRUNCATE * sigma + 0.5)


def half_kernel(sigma: float) -> list[float]:
    """Return the weights of the centre and of the pixels on one side; the whole kernel sums to 1."""
    distances = np.arange(kernel_radius(sigma) + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * distances**2)
    weights /= 2 * weights.sum() - weights[0]
    halves: list[float] = weights.tolist()
    return halves


def mirrored_indices(size: int, radius: int) -> _Array:
    """Return the indices that pad an axis of *size* pixels by *radius* on both sides: ``b a | a b c | c b``.

    This is SciPy's mode ``reflect``; *radius* may exceed *size*.
    """
    indices = np.arange(-radius, size + radius) % (2 * size)
    return np.minimum(indices, 2 * size - 1 - indices)


def smooth(stack: Any, sigmas: Sequence[float], take: Callable[[Any, _Array, int], Any]) -> Any:
    """Smooth the last axes of a float32 stack of any array library, one after the other.

    Parameters
    ----------
    stack:
        ``[Z, Y, X]``; it must support slices, ``+`` and ``*``.
    sigmas:
        One for each of the last axes; 0 leaves an axis alone.
    take:
        ``take(stack, indices, axis)`` returns the values at *indices* along *axis*.

    Returns
    -------
    ``[Z, Y, X]``, float32. Sums are computed in float32, in SciPy in float64: the two differ by up to 1e-6 of the
    largest value.
    """
    if 0 in tuple(stack.shape):
        return stack
    for axis, sigma in enumerate(sigmas, start=3 - len(sigmas)):
        if kernel_radius(sigma):
            stack = _smooth_axis(stack, half_kernel(sigma), axis, take)
    return stack


def _smooth_axis(stack: Any, weights: Sequence[float], axis: int, take: Callable[[Any, _Array, int], Any]) -> Any:
    size, radius = int(stack.shape[axis]), len(weights) - 1
    padded = take(stack, mirrored_indices(size, radius), axis)

    def shifted(offset: int) -> Any:
        window = [slice(None)] * 3
        window[axis] = slice(radius + offset, radius + offset + size)
        return padded[tuple(window)]

    total = shifted(0) * weights[0]
    for distance, weight in enumerate(weights[1:], start=1):
        total = total + (shifted(-distance) + shifted(distance)) * weight
    return total
