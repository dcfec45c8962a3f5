"""Which array library each step runs on, and which conversions that needs: decided when a pipeline is compiled.

The choice depends on the configuration alone, not on the machine that runs the step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wellfield.errors import PipelineError
from wellfield.memory import MemoryType, convert_memory, detect_memory_type, prepare, to_numpy
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.buffers import aligned_copy
from wellfield.memory.detect import known_type
from wellfield.memory.devices import DeviceChoice, on_device, why_no_gpu
from wellfield.memory.matrix import conversion_of
from wellfield.memory.rules import LIBRARIES
from wellfield.pipeline.step import START, StackAxis
from wellfield.processing.function_registry import (
    FunctionInfo,
    ImageKind,
    get_implementation,
    implementations,
    is_registered,
)

if TYPE_CHECKING:
    from wellfield.pipeline.plan import CompiledStep

_logger = logging.getLogger(__name__)


def choose_function(
    info: FunctionInfo,
    *,
    wanted: MemoryType | str | None,
    preferred: MemoryType | str | None,
    source: MemoryType | str | None,
    device: DeviceChoice,
) -> Callable[..., Any]:
    """Return the implementation that a step runs.

    Parameters
    ----------
    info:
        The function of the step.
    wanted:
        Memory type that the step itself names; an error if the function does not run on it.
    preferred:
        Memory type that the configuration names for all steps; used if the function runs on it.
    source:
        Memory type of the step's input. Without *preferred*, the step uses it if it can: consecutive steps then stay on
        one library.

    Raises
    ------
    PipelineError
        The function does not run on *wanted*, or not on *device*.
    """
    possible = possible_types(info)
    if wanted is not None and wanted not in possible:
        raise PipelineError(f"memory_type: {info.name} runs on {' or '.join(possible)}, not on {str(wanted)!r}")
    chosen = next((name for name in (wanted, preferred or source) if name in possible), possible[0])
    if chosen == MemoryType.CUPY and device == DeviceChoice.CPU:
        raise PipelineError(f"{info.name} runs on cupy, which needs a GPU; say 'device: gpu', or another memory_type")
    return get_implementation(info.name, chosen) if len(possible) > 1 else info.function


def possible_types(info: FunctionInfo) -> tuple[MemoryType, ...]:
    """Return the memory types that a function runs on; the first is that of the function itself."""
    if is_registered(info):
        return implementations(info.name)
    return (MemoryType(info.function.input_memory_type),)  # type: ignore[attr-defined]


def describe_conversions(
    step: CompiledStep,
    made: Mapping[str, Mapping[int, tuple[MemoryType, ImageKind]]],
    *,
    loads_start: bool,
    device: DeviceChoice,
) -> tuple[str, ...]:
    """Return one line for each conversion that a step needs, also for writing its images.

    Parameters
    ----------
    made:
        Name of each input → channel → its memory type and kind of pixels.
    loads_start:
        The step is the first to read the plate's planes.
    """
    lines: list[str] = []
    for branch in step.branches:
        target = branch.calls[0].memory_type
        source, kind = _of(made[step.input], branch.channels[:1])
        if step.input == START and loads_start and source != MemoryType.NUMPY:
            lines.append(f"start: planes stacked, then {_route(MemoryType.NUMPY, source, device, kept=False)}")
        if step.stack != StackAxis.Z and not stacks_itself(source, target):
            lines += [f"{step.input}: {line}" for line in _routes(source, kind, MemoryType.NUMPY, device)]
            if target != MemoryType.NUMPY:
                route = _route(MemoryType.NUMPY, target, device, kept=False)
                lines.append(f"{step.input}: {step.stack}s stacked, then {route}")
        else:
            lines += [f"{step.input}: {line}" for line in _routes(source, kind, target, device)]
        for number, call in enumerate(branch.calls):
            if number:
                before = branch.calls[number - 1]
                route_lines = _routes(before.output_type, before.returns, call.memory_type, device)
                lines += [f"{before.func or 'function'}: {line}" for line in route_lines]
            for name in call.images.values():
                source, kind = _of(made[name], branch.channels)
                lines += [f"{name}: {line}" for line in _routes(source, kind, call.memory_type, device)]
        if step.materialize:
            last = branch.calls[-1]
            lines += [f"written: {line}" for line in _routes(last.output_type, last.returns, MemoryType.NUMPY, device)]
    return tuple(dict.fromkeys(lines))


def _of(made: Mapping[int, tuple[MemoryType, ImageKind]], channels: Sequence[int]) -> tuple[MemoryType, ImageKind]:
    """Return memory type and kind of an image: of the first of *channels* that it has, else of its first channel."""
    found = next((channel for channel in channels if channel in made), None)
    return made[found] if found is not None else next(iter(made.values()), (MemoryType.NUMPY, ImageKind.INTENSITY))


def _route(source: MemoryType, wanted: MemoryType, device: DeviceChoice, *, kept: bool) -> str:
    found = conversion_of(source, wanted, on_gpu=device.wants_gpu, kept=kept)
    how = "copied" if found.copies else "shared"
    return f"{source} → {wanted} by {found.methods[0]}, {how}"


def _routes(source: MemoryType, kind: ImageKind, wanted: MemoryType, device: DeviceChoice) -> list[str]:
    if source == wanted:
        return []
    if _becomes_bool(source, kind, wanted) and wanted != MemoryType.NUMPY:
        first = _route(source, MemoryType.NUMPY, device, kept=True)
        return [first, _route(MemoryType.NUMPY, wanted, device, kept=False)]
    return [_route(source, wanted, device, kept=True)]


def stacks_itself(source: MemoryType, target: MemoryType) -> bool:
    """Tell whether the library can stack planes of several images itself, without a copy to the host."""
    return source == target and ADAPTERS[target].views


def open_libraries(memory_types: Sequence[MemoryType], device: DeviceChoice) -> None:
    """Import libraries in this order and check that each has a device, before any image is loaded.

    Raises
    ------
    MemoryConversionError
        A library is missing or has no such device.
    """
    for memory_type in memory_types:
        if memory_type != MemoryType.NUMPY:
            with on_device(memory_type, device):
                prepare([memory_type])
            if device == DeviceChoice.GPU_OR_CPU and (reason := why_no_gpu(memory_type)):
                _logger.warning("%s: its steps run on the CPU", reason)


def convert_image(image: Any, kind: ImageKind, memory_type: MemoryType) -> Any:
    """Return a step's image in another memory type. A mask that OpenCL holds as uint8 becomes bool again."""
    source = detect_memory_type(image)
    if _becomes_bool(source, kind, memory_type):
        image, source = aligned_copy(to_numpy(image).astype(bool, copy=False)), MemoryType.NUMPY
    return convert_memory(image, source, memory_type)


def protected(image: Any, memory_type: MemoryType, *, is_needed: bool) -> Any:
    """Return a view that user code cannot modify, or a copy if the library has no read-only arrays.

    An image that nobody needs later (*is_needed* is false) is not copied.
    """
    if memory_type == MemoryType.NUMPY:
        view = image.view()
        view.flags.writeable = False
        return view
    return ADAPTERS[memory_type].copy(image) if is_needed and not LIBRARIES[memory_type].immutable else image


def read_only(value: Any) -> Any:
    """Return a side result whose arrays user code cannot modify; see :func:`protected`."""
    if isinstance(value, np.ndarray):
        return protected(value, MemoryType.NUMPY, is_needed=True)
    if type(value) is dict:
        return {name: read_only(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(read_only(item) for item in value)
    library = known_type(value)
    return protected(value, library, is_needed=True) if library else value


def _becomes_bool(source: MemoryType, kind: ImageKind, wanted: MemoryType) -> bool:
    return kind == ImageKind.MASK and source == MemoryType.PYCLESPERANTO != wanted


def host_values(value: Any) -> Any:
    """Return a side result in which every array is a NumPy array."""
    if isinstance(value, Mapping):
        return {name: host_values(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(host_values(item) for item in value)
    return to_numpy(value) if known_type(value) else value
