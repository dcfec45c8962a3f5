"""Running a pipeline on arrays, without a plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from wellfield.config.settings import PipelineConfig
from wellfield.errors import ArrayShapeError
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import detect_memory_type, unstack_slices
from wellfield.memory.stack_check import check_stack
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.executor import run_well
from wellfield.pipeline.plan import CompiledStep, PlaneAxis
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.pipeline.step import FunctionStep
from wellfield.pipeline.well_input import PlaneAccount, WellInput
from wellfield.plate.calibration import UNKNOWN, FieldCalibration
from wellfield.plate.keys import FieldKey, PlaneKey, plane_name
from wellfield.plate.plate import Plate
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.memory_backend import MemoryStorageBackend


@dataclass
class PipelineResult:
    """What a pipeline made of one image.

    Parameters
    ----------
    images:
        Step name → channel → stack ``[Z, Y, X]``.
    outputs:
        Name of a special output → what the function returned; where there is one for each channel, by channel.
    """

    images: dict[str, dict[int, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


class _Collector:
    def __init__(self) -> None:
        self.result = PipelineResult()

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        self.result.images.setdefault(step.name, {})[channel] = stack

    def output(
        self,
        name: str,
        spec: MaterializationSpec | None,
        key: FieldKey,
        channel: int | None,
        data: Any,
        *,
        calibration: FieldCalibration = UNKNOWN,
    ) -> None:
        if channel is None:
            self.result.outputs[name] = data
        else:
            self.result.outputs.setdefault(name, {})[channel] = data

    def discard(self, key: FieldKey) -> None:
        self.result = PipelineResult()


def run_pipeline(
    steps: Sequence[FunctionStep],
    image: Any,
    *,
    channel_names: Mapping[int, str] | None = None,
    pixel_size_um: float | None = None,
    stage_positions_um: Mapping[int, tuple[float, float]] | None = None,
    illumination: Mapping[int, Any] | None = None,
    config: PipelineConfig | Mapping[str, Any] | None = None,
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
    stage_positions_um, illumination:
        Stage position of the field (number 1), and fitted illumination by channel, for functions that take them.
    config:
        Settings, such as ``PipelineConfig(memory_type="torch")``.

    Raises
    ------
    ArrayShapeError
        An image is not a stack.
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
    height, width = next(iter(stacks.values())).shape[1:]
    plate = Plate(channels=names, pixel_size_um=pixel_size_um, shape=(height, width))
    plan = compile_pipeline(everything, plate=plate, sources=sources, config=config)
    memory = FileManager({Backend.MEMORY: MemoryStorageBackend()})
    planes = {}
    for channel, stack in stacks.items():
        for z, plane in enumerate(unstack_slices(stack, detect_memory_type(stack)), start=1):
            key = PlaneKey("A01", 1, channel, z, 1)
            planes[key] = f"/start/{plane_name(key)}"
            memory.save(plane, planes[key], Backend.MEMORY)
    collector = _Collector()
    well = WellInput(
        plate="arrays",
        well="A01",
        planes=planes,
        filemanager=memory,
        backend=Backend.MEMORY,
        stage_positions_um=stage_positions_um or {},
        illumination=illumination or {},
    )
    run_well(plan, well, collector, PlaneAccount())
    return collector.result


def _materialized(step: FunctionStep) -> FunctionStep:
    """Return the step with its images handed to the sink, whatever its own ``materialize`` says."""
    handed_out = copy(step)
    handed_out.materialize = ("tiff",)
    return handed_out
