"""Checks that every implementation of a function makes, with the same messages.

Dtypes are given by name, since each array library has its own dtype objects.
"""

from __future__ import annotations

from collections.abc import Sequence

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError

# The radius of the largest disk that scikit-image can decompose into 3 × 3 steps.
LARGEST_TOPHAT_RADIUS = 250


def require_planes(shape: Sequence[int], function: str) -> None:
    """Refuse a stack without planes."""
    if not shape[0]:
        raise ArrayShapeError(f"{function}: the stack has shape {list(shape)}; expected at least one plane")


def require_median_radius(radius: int) -> None:
    """Refuse a radius below one pixel."""
    if radius < 1:
        raise ConfigError(f"median_filter: radius={radius}; expected at least 1 pixel")


def require_tophat_radius(radius: int) -> None:
    """Refuse a radius whose disk cannot be decomposed into steps."""
    if not 1 <= radius <= LARGEST_TOPHAT_RADIUS:
        raise ConfigError(f"tophat: radius={radius}; expected 1 to {LARGEST_TOPHAT_RADIUS} pixels")


def require_heights(lowest: float, dtype: object) -> None:
    """Refuse a top-hat with a negative pixel: a height that has wrapped around."""
    if lowest < 0:
        raise PipelineError(f"tophat: heights above the background do not fit {dtype}; convert the image to float")


def require_otsu_parameters(correction: float, min_contrast: float) -> None:
    """Refuse factors below 0."""
    if not correction >= 0:
        raise ConfigError(f"threshold_otsu: correction={correction}; expected a factor of 0 or more")
    if not min_contrast >= 0:
        raise ConfigError(f"threshold_otsu: min_contrast={min_contrast}; expected 0 or more")


def require_intensity(is_intensity: bool, dtype: object, function: str) -> None:
    """Refuse a dtype that is neither integer nor floating."""
    if not is_intensity:
        raise PipelineError(f"{function} takes an intensity image (integers or floats); it got {dtype}")


def require_finite(bad: int, total: int, function: str) -> None:
    """Refuse *bad* pixels of *total*."""
    if bad:
        raise PipelineError(f"{function}: {bad} of {total} pixels are NaN or infinite; replace them in an earlier step")


def require_mask(is_mask: bool, dtype: object, function: str) -> None:
    """Refuse an image that is not a mask."""
    if not is_mask:
        raise PipelineError(
            f"{function} takes a mask (bool); it got {dtype}. "
            "Threshold the image first, for example with threshold_otsu"
        )
