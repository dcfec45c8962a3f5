"""How much memory a job holds: estimated from the plan, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wellfield.pipeline.plan import CompiledStep
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.pipeline.step import START, StackAxis
from wellfield.plate.keys import Projection
from wellfield.processing.function_registry import ImageKind

# Size and dtype of a plane if the plate's are unknown.
UNKNOWN_SHAPE, UNKNOWN_DTYPE = (2048, 2048), "uint16"

# Bytes per pixel that a function needs besides its input and result: distance maps, sorted pixels and float64 copies
# in SciPy and scikit-image.
SCRATCH_BYTES_PER_PIXEL = 64

_BYTES = {ImageKind.MASK: 1, ImageKind.LABELS: 4}


def with_estimates(
    steps: Sequence[CompiledStep],
    sources: Mapping[int, SourceLayers],
    *,
    shape: tuple[int, int] | None,
    dtype: str | None,
    field_count: int | None,
) -> tuple[tuple[CompiledStep, ...], float, float]:
    """Return the steps with their estimates, the highest estimate in MB (10⁶ bytes), and the work of one field.

    The work is the sum of megapixels (10⁶) that all function calls get for one field and timepoint.

    The estimate counts the images that are held while a step runs (of one field; of all fields once a step works on the
    whole well), the input and result of the step, and scratch. It assumes float32 for intensities between steps. It
    does not count Python, libraries and tables.
    """
    model = _Model(steps, sources, shape or UNKNOWN_SHAPE, dtype or UNKNOWN_DTYPE, field_count or 1)
    estimated = tuple(replace(step, memory_mb=round(model.peak_bytes(step) / 1e6, 1)) for step in steps)
    work = sum(model.pixels_given_to(step) for step in steps)
    return estimated, max((step.memory_mb for step in estimated), default=0.0), round(work / 1e6, 3)


def pixel_bytes(step: CompiledStep, itemsize: int) -> int:
    """Return the bytes per pixel of a step's result; a pixel of the plate has *itemsize*.

    Intensities count as float32, except a projection of the plate's own planes.
    """
    projects = step.input == START and [call.projection for call in step.calls] == [Projection.MAX]
    return itemsize if projects else _BYTES.get(step.kind, max(4, itemsize))


class _Model:
    """Sizes of the images of a pipeline, by name, for one field or one well."""

    def __init__(
        self,
        steps: Sequence[CompiledStep],
        sources: Mapping[int, SourceLayers],
        shape: tuple[int, int],
        dtype: str,
        field_count: int,
    ) -> None:
        self._steps = steps
        self._pixels = shape[0] * shape[1]
        self._itemsize = np.dtype(dtype).itemsize
        self._fields = field_count
        self._depth = {START: {channel: max(len(layers.z), 1) for channel, layers in sources.items()}}
        self._sizes = {START: {c: depth * self._plane(None) for c, depth in self._depth[START].items()}}
        for step in steps:
            self._add(step)

    def peak_bytes(self, step: CompiledStep) -> float:
        """Return the bytes that a job holds at most while a step runs."""
        held = sum(self._sizes[START].values()) if step.number <= self._last_use(START) else 0.0
        held *= self._fields if step.per_well and START in step.reads else 1
        for other in self._steps:
            if other.number < step.number <= other.last_use:
                held += sum(self._sizes[other.name].values()) * self._copies(other, step)
        channels = len(step.channels) if step.stack == StackAxis.CHANNEL else 1
        fields = self._fields if step.per_well else 1
        size = max(self._sizes[step.name].values(), default=0.0)
        of_input = max(self._sizes[step.input].values(), default=0.0)
        made = sum(self._sizes[step.name].values())
        is_stacked = step.stack != StackAxis.Z or step.branches[0].calls[0].memory_type != "numpy"
        scratch = SCRATCH_BYTES_PER_PIXEL * self._pixels * (fields if step.merged else 1)
        return held + made + max(size, of_input * is_stacked) * channels * fields + scratch

    def pixels_given_to(self, step: CompiledStep) -> int:
        """Return the pixels of one field that the calls of a step get."""
        depth = self._depth[step.input]
        planes = [len(b.calls) * sum(depth.get(channel, 1) for channel in b.channels) for b in step.branches]
        return self._pixels * sum(planes)

    def _add(self, step: CompiledStep) -> None:
        before = self._depth[step.input]
        projected = {c for branch in step.branches if branch.projection != Projection.NONE for c in branch.channels}
        self._depth[step.name] = {c: 1 if c in projected else before.get(c, 1) for c in step.channels}
        fields = self._fields if step.merged else 1
        self._sizes[step.name] = {
            channel: depth * self._plane(step) * fields for channel, depth in self._depth[step.name].items()
        }

    def _plane(self, step: CompiledStep | None) -> int:
        """Return the bytes of a plane: as the camera took it, or as a step made it."""
        return self._pixels * (self._itemsize if step is None else pixel_bytes(step, self._itemsize))

    def _copies(self, made: CompiledStep, reader: CompiledStep) -> int:
        """Return for how many fields an image is held: all of them once a step works on the whole well."""
        waits = any(step.per_well for step in self._steps if made.number < step.number <= made.last_use)
        return self._fields if waits and not made.merged else 1

    def _last_use(self, name: str) -> int:
        return max((step.number for step in self._steps if name in step.reads), default=0)
