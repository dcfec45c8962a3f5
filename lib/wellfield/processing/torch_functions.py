"""Implementations for PyTorch: they run where their input is, on the CPU or on a CUDA device.

Parameters and meaning are the same as in the NumPy functions of :mod:`wellfield.processing.filters` and
:mod:`wellfield.processing.segmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import PipelineError
from wellfield.memory.decorators import torch
from wellfield.processing import gaussian, otsu, validation
from wellfield.processing.function_registry import implements

_Array = np.ndarray[Any, np.dtype[Any]]


@implements("gaussian_filter")
@torch(slice_wise=True)
def gaussian_filter(image: Any, *, sigma: float | Sequence[float] = 1.0, volumetric: bool = False) -> Any:
    """Smooth with a Gaussian: float32, within 1e-6 of the image's largest value of what NumPy gives.

    A weighted sum of shifted images; see :mod:`wellfield.processing.gaussian`.
    """
    import torch

    def take(stack: Any, indices: _Array, axis: int) -> Any:
        return torch.index_select(stack, axis, torch.from_numpy(indices).to(stack.device))

    sigmas = gaussian.sigma_per_axis(sigma, volumetric=volumetric)
    return gaussian.smooth(image.to(torch.float32, copy=True), sigmas, take)


@implements("max_projection")
@torch
def max_projection(image: Any) -> Any:
    """Project along z: exactly what NumPy gives. uint64 is refused."""
    validation.require_planes(image.shape, "max_projection")
    return _comparable(image, "max_projection").amax(dim=0, keepdim=True).to(image.dtype)


@implements("threshold_otsu")
@torch(slice_wise=True)
def threshold_otsu(
    image: Any,
    *,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 2.8,
    volumetric: bool = False,
) -> Any:
    """Find the foreground: ``torch.bool``, exactly the mask that NumPy gives.

    The histogram is counted on the device, the threshold found from it on the host. uint64 is refused.
    """
    import torch

    validation.require_otsu_parameters(correction, min_contrast)
    is_intensity = image.dtype != torch.bool and not image.dtype.is_complex
    validation.require_intensity(is_intensity, str(image.dtype).removeprefix("torch."), "threshold_otsu")
    if image.dtype.is_floating_point:
        validation.require_finite(image.numel() - int(torch.isfinite(image).sum()), image.numel(), "threshold_otsu")
    if not image.numel():
        return torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    pixels = _comparable(image, "threshold_otsu")
    thresholds = otsu.find_thresholds(
        pixels.amin(dim=(1, 2)).cpu().numpy(),
        pixels.amax(dim=(1, 2)).cpu().numpy(),
        lambda z, bins: _count(pixels[z], bins),
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )
    return pixels > torch.from_numpy(thresholds).to(pixels.device)[:, None, None]


def _comparable(image: Any, function: str) -> Any:
    """Return the same values in a dtype that torch can compare and subtract (not possible for uint16 and uint32)."""
    import torch

    if image.dtype == torch.uint64:
        raise PipelineError(f"{function}: PyTorch cannot compare uint64; convert the image in an earlier step")
    if image.dtype in (torch.uint16, torch.int16, torch.uint8, torch.int8):
        return image.to(torch.int32)
    if image.dtype in (torch.uint32, torch.int32):
        return image.to(torch.int64)
    return image.to(torch.float32) if image.dtype in (torch.float16, torch.bfloat16) else image


def _count(plane: Any, bins: otsu.Bins) -> _Array:
    import torch

    if isinstance(bins, otsu.FloatBins):
        numbers = ((plane * 0.5 - bins.low * 0.5) * bins.scale).to(torch.int32).clamp(0, bins.count - 1)
    else:
        # In int64 the difference may wrap around; its lowest 16 bits after the shift are still right.
        numbers = ((plane - bins.low) >> bins.shift) & (bins.count - 1)
    counts: _Array = torch.bincount(numbers.flatten(), minlength=bins.count).cpu().numpy()
    return counts
