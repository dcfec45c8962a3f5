"""Image quality of a field: focus, saturation and brightness of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ConfigError
from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.memory import numpy
from wellfield.processing import validation
from wellfield.processing.declarations import special_outputs
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.measurement import Table, checked_channel_names

_Array = np.ndarray[Any, np.dtype[Any]]

_FUNCTION = "measure_quality"
_FEATURES = (
    *("FocusScore", "PowerLogLogSlope", "PercentMaximal", "PercentSaturated"),
    *("MeanIntensity", "StdIntensity", "MinIntensity", "MaxIntensity"),
)


@register(accepts=(ImageKind.INTENSITY,))
@special_outputs(("field_quality", MaterializationSpec(CsvOptions(), ParquetOptions())))
@numpy
def measure_quality(
    image: _Array,
    *,
    saturation_value: float | None = None,
    channel_names: Sequence[str] | None = None,
) -> tuple[_Array, Table]:
    """Measure focus, saturation and brightness of every channel of a field.

    Measure the images as the camera took them: filters change focus, and projections and floats hide saturation.

    Parameters
    ----------
    image:
        ``[C, Y, X]``: one plane per channel, any integer or floating dtype (a step that says ``stack: channel``).
    saturation_value:
        Pixels of this value or more are saturated, in the units of *image*: 4095, say, for a camera of 12 bits
        whose pixels are stored in 16. By default the largest of an integer dtype; floats have none.
    channel_names:
        One name per channel, in the order of *image*; ``"1"``, ``"2"``, … by default.

    Returns
    -------
    *image*, untouched, and the table ``field_quality``: one row, float64. For each channel with *n* pixels *v* and
    their mean *mean*:

    ``ImageQuality_FocusScore_<Channel>``
        Normalized variance Σ (v − mean)² / (n · mean), in the units of *image* (Groen, F. C. A. et al. (1985),
        Cytometry 6, 81–91): higher is sharper. It depends on how much there is to see and on the camera's offset, so
        compare images of one channel and plate. NaN where the mean is not above 0.
    ``ImageQuality_PowerLogLogSlope_<Channel>``
        Slope of log power over log frequency (Bray, M.-A. et al. (2012), J. Biomol. Screen. 17, 266–274): the lower,
        the more blurred, whatever the brightness; about 1 for noise alone. Power is that of the Fourier transform of
        v − mean, summed in rings *k* = 2, 3, … of the frequencies from *k* − 1 up to *k* periods per shorter side, for
        *k* below an eighth of that side in pixels. NaN for a flat plane, and where a side is below 32 pixels.
    ``ImageQuality_PercentMaximal_<Channel>``
        Percent of the pixels that have the largest value that occurs; 100 for a flat plane.
    ``ImageQuality_PercentSaturated_<Channel>``
        Percent of the pixels that are saturated; NaN for floats without *saturation_value*.
    ``ImageQuality_MeanIntensity_<Channel>``, ``…StdIntensity…``, ``…MinIntensity…``, ``…MaxIntensity…``
        Mean, standard deviation √(Σ (v − mean)² / n), smallest and largest v, in the units of *image*.

    All of a channel is NaN if one of its pixels is NaN or infinite, or if it has no pixels.

    Raises
    ------
    ConfigError
        *channel_names* are not one different name per channel; *saturation_value* is NaN.
    PipelineError
        *image* is not an intensity image.

    Notes
    -----
    Names, and definitions but that of saturation: CellProfiler, MeasureImageQuality. There negative frequencies are off
    by one, and planes that are not square have rings that are not round.
    """
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, _FUNCTION)
    if saturation_value is not None and np.isnan(saturation_value):
        raise ConfigError(f"{_FUNCTION}: saturation_value={saturation_value}; expected a pixel value")
    channels = checked_channel_names(channel_names, count=image.shape[0], function=_FUNCTION)
    limit = saturation_value
    if limit is None and image.dtype.kind in "iu":
        limit = np.iinfo(image.dtype).max
    row: Table = {}
    for channel, plane in zip(channels, image, strict=True):
        for feature, value in _features(plane, limit).items():
            row[f"ImageQuality_{feature}_{channel}"] = np.array([value], np.float64)
    return image, row


def _features(plane: _Array, saturation_value: float | None) -> dict[str, float]:
    if not plane.size or not np.isfinite(plane).all():
        return dict.fromkeys(_FEATURES, np.nan)
    low, high = plane.min(), plane.max()
    deviations = plane.astype(np.float64)
    mean = float(deviations.mean()) if low < high else float(low)  # the mean of a flat plane may be rounded
    deviations -= mean
    variance = float(np.mean(deviations**2))
    return {
        "FocusScore": variance / mean if mean > 0 else np.nan,
        "PowerLogLogSlope": _power_slope(deviations),
        "PercentMaximal": _percent(plane == high),
        "PercentSaturated": np.nan if saturation_value is None else _percent(plane >= saturation_value),
        "MeanIntensity": mean,
        "StdIntensity": variance**0.5,
        "MinIntensity": float(low),
        "MaxIntensity": float(high),
    }


def _percent(pixels: _Array) -> float:
    return 100 * np.count_nonzero(pixels) / pixels.size


def _power_slope(deviations: _Array) -> float:
    """Return the slope of log power over log frequency of a plane whose mean has been subtracted."""
    from scipy import fft

    height, width = deviations.shape
    shorter = min(height, width)
    rings = np.arange(2, shorter // 8)
    power = np.abs(fft.rfft2(deviations)) ** 2
    power[:, 1:] *= 2  # counts the mirrored half of the spectrum too
    frequency = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)) * shorter
    sums = np.bincount((np.floor(frequency) + 1).astype(np.int64).ravel(), weights=power.ravel())[rings]
    known = sums > 0
    if np.count_nonzero(known) < 2:
        return np.nan
    return float(np.polyfit(np.log(rings[known]), np.log(sums[known]), 1)[0])
