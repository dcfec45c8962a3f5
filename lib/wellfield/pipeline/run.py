"""Running a pipeline on arrays, without a plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellfield.errors import ArrayShapeError
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import MemoryType, detect_memory_type, unstack_slices
from wellfield.memory.checks import check_stack
from wellfield.memory.devices import DeviceChoice
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.execute import PlaneAccount, WellInput, run_well
from wellfield.pipeline.plan import CompiledStep, PlaneAxis, SourceLayers
from wellfield.pipeline.step import FunctionStep
from wellfield.plate.keys import FieldKey, PlaneKey, plane_name
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.memory import MemoryStorageBackend


@dataclass
class PipelineResult:
    """What a pipeline made of one image.

    Parameters
    ----------
    images:
        Step name → channel → stack ``[Z, Y, X]``.
    outputs:
        Name of a special output → what the function returned.
    """

    images: dict[str, dict[int, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


class _Collector:
    def __init__(self) -> None:
        self.result = PipelineResult()

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        self.result.images.setdefault(step.name, {})[channel] = stack

    def output(self, name: str, spec: MaterializationSpec | None, key: FieldKey, data: Any) -> None:
        self.result.outputs[name] = data

    def discard(self, key: FieldKey) -> None:
        self.result = PipelineResult()


def run_pipeline(
    steps: Sequence[FunctionStep],
    image: Any,
    *,
    channel_names: Mapping[int, str] | None = None,
    pixel_size_um: float | None = None,
    memory_type: MemoryType | str | None = None,
    device: DeviceChoice | str = DeviceChoice.CPU,
) -> PipelineResult:
    """Run steps on one field given as arrays, in memory, and return every image and side result.

    Images come back in the memory type of the step that made them.

    Parameters
    ----------
    steps:
        The pipeline.
    image:
        A stack ``[Z, Y, X]``, or a mapping of channel number → stack.
    channel_names:
        Channel number → name; ``"1"``, ``"2"`` … by default.
    memory_type, device:
        Array library of the steps that name none, and where it runs; see
        :func:`~wellfield.pipeline.compile.compile_pipeline`.

    Raises
    ------
    ArrayShapeError
        An image is no stack.
    PipelineError
        The pipeline does not compile.
    StepError
        A function failed.

    Examples
    --------
    >>> import numpy as np
    >>> stack = np.arange(8, dtype=np.uint16).reshape(2, 2, 2)
    >>> run_pipeline([FunctionStep("max_projection")], stack).images["max_projection"][1].tolist()
    [[[4, 5], [6, 7]]]
    """
    stacks: dict[int, Any] = dict(image) if isinstance(image, Mapping) else {1: image}
    if not stacks:
        raise ArrayShapeError("no image; expected a stack [Z, Y, X] or a mapping of channel to stack")
    for channel, stack in stacks.items():
        check_stack(stack, what=f"image of channel {channel}")
    names = dict(channel_names or {channel: str(channel) for channel in stacks})
    sources = {channel: SourceLayers(tuple(range(1, len(stack) + 1))) for channel, stack in stacks.items()}
    everything = [_materialized(step) for step in steps]
    plan = compile_pipeline(
        everything,
        channels=names,
        sources=sources,
        pixel_size_um=pixel_size_um,
        memory_type=memory_type,
        device=device,
    )
    memory = FileManager({Backend.MEMORY: MemoryStorageBackend()})
    planes = {}
    for channel, stack in stacks.items():
        for z, plane in enumerate(unstack_slices(stack, detect_memory_type(stack)), start=1):
            key = PlaneKey("A01", 1, channel, z, 1)
            planes[key] = f"/start/{plane_name(key)}"
            memory.save(plane, planes[key], Backend.MEMORY)
    collector = _Collector()
    run_well(plan, WellInput("arrays", "A01", planes, memory, Backend.MEMORY), collector, PlaneAccount())
    return collector.result


def _materialized(step: FunctionStep) -> FunctionStep:
    """Return the step with its images handed to the sink, whatever its own ``materialize`` says."""
    settings: dict[str, Any] = {
        "name": step.name,
        "input": step.input,
        "inputs": step.inputs,
        "channels": step.channels,
    }
    settings |= {"stack": step.stack, "memory_type": step.memory_type, "materialize": ("tiff",)}
    return FunctionStep(step.func, **settings, **step.params)
