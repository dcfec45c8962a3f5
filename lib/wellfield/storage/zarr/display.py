"""Display windows of channels: from given values or from percentiles of the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PERCENTILES = (1.0, 99.9)
_SAMPLES = 2**18


class Window(NamedTuple):
    """The displayed range of intensities, and the limits within which a viewer may change it."""

    start: float
    end: float
    min: float
    max: float


class WindowEstimator:
    """Samples about 2**18 pixels per channel on a regular lattice while planes are written.

    The result does not depend on the order in which planes are added.
    """

    def __init__(self, planes_per_channel: int, shape: tuple[int, int]) -> None:
        self._step = max(1, math.ceil(math.sqrt(planes_per_channel * shape[0] * shape[1] / _SAMPLES)))
        self._samples: dict[int, list[npt.NDArray[Any]]] = {}
        self._ranges: dict[int, tuple[float, float]] = {}

    def add(self, channel: int, plane: npt.NDArray[Any]) -> None:
        """Take the pixels of one plane into account."""
        sample = plane[:: self._step, :: self._step].ravel()
        if plane.dtype.kind == "f":
            finite = plane[np.isfinite(plane)]
            sample = sample[np.isfinite(sample)]
            if finite.size:
                low, high = self._ranges.get(channel, (math.inf, -math.inf))
                self._ranges[channel] = min(low, float(finite.min())), max(high, float(finite.max()))
        self._samples.setdefault(channel, []).append(sample.copy())

    def windows(
        self, channels: tuple[int, ...], dtype: np.dtype[Any], given: Mapping[int, tuple[float, float]]
    ) -> dict[int, Window]:
        """Return the window of every channel; a *given* one is used unchanged."""
        return {channel: self._window(channel, dtype, given.get(channel)) for channel in channels}

    def _window(self, channel: int, dtype: np.dtype[Any], given: tuple[float, float] | None) -> Window:
        start, end = map(float, given or self._percentiles(channel))
        if not end > start:
            end = start + 1.0
        low, high = _type_range(dtype) or self._ranges.get(channel, (start, end))
        return Window(start, end, min(low, start), max(high, end))

    def _percentiles(self, channel: int) -> tuple[float, float]:
        samples = self._samples.get(channel, [])
        pixels = np.concatenate(samples) if samples else np.empty(0)
        if not pixels.size:
            return 0.0, 1.0
        start, end = np.percentile(pixels, PERCENTILES, method="nearest")
        return float(start), float(end)


def _type_range(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    if dtype.kind == "f":
        return None
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)
