"""Which array library each step runs on, and which conversions that takes: decided when a pipeline is compiled.

The choice follows from the configuration alone, never from the machine that happens to run the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wellfield.errors import PipelineError
from wellfield.memory import Conversion, MemoryType, convert_memory, detect_memory_type, prepare, to_numpy
from wellfield.memory.devices import DeviceChoice, placed
from wellfield.memory.matrix import conversion_of
from wellfield.processing.registry import FunctionInfo, ImageKind, get_implementation, implementations, is_registered


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
        What the step itself says, which must be possible.
    preferred:
        What the configuration says for all steps; taken where the function has it.
    source:
        Memory type of the step's input. Without *preferred* the step stays with it if it can, so that consecutive steps
        stay on one library.

    Raises
    ------
    PipelineError
        The function does not run on what is wanted, or not on *device*.
    """
    possible = possible_types(info)
    if wanted is not None and wanted not in possible:
        raise PipelineError(f"memory_type: {info.name} runs on {' or '.join(possible)}, not on {str(wanted)!r}")
    chosen = next((name for name in (wanted, preferred or source) if name in possible), possible[0])
    if chosen == MemoryType.CUPY and device == DeviceChoice.CPU:
        raise PipelineError(f"{info.name} runs on cupy, which needs a GPU; say 'device: gpu', or another memory_type")
    return get_implementation(info.name, chosen) if len(possible) > 1 else info.function


def possible_types(info: FunctionInfo) -> tuple[MemoryType, ...]:
    """Return the memory types that a function runs on, that of the function itself first."""
    if is_registered(info):
        return implementations(info.name)
    return (MemoryType(info.function.input_memory_type),)  # type: ignore[attr-defined]


def describe_conversions(
    inputs: Mapping[str, MemoryType | None], target: MemoryType, device: DeviceChoice
) -> tuple[str, ...]:
    """Return a line for each input that is converted before a step runs.

    Parameters
    ----------
    inputs:
        Name of each input → memory type of the step that made it; ``None`` for planes of the plate, which are stacked
        straight into the step's memory type.
    """
    lines = []
    for name, source in inputs.items():
        if source is None:
            found = conversion_of(MemoryType.NUMPY, target, on_gpu=device == DeviceChoice.GPU)
            lines += [f"{name}: planes stacked, then {_route(found)}"] if target != MemoryType.NUMPY else []
        elif source != target:
            found = conversion_of(source, target, on_gpu=device == DeviceChoice.GPU, kept=True)
            lines.append(f"{name}: {_route(found)}")
    return tuple(lines)


def _route(conversion: Conversion) -> str:
    how = "copied" if conversion.copies else "shared"
    return f"{conversion.source_type} → {conversion.target_type} by {conversion.methods[0]}, {how}"


def in_opening_order(memory_types: Sequence[MemoryType]) -> tuple[MemoryType, ...]:
    """Return memory types in the order in which their libraries are to be opened: OpenCL before TensorFlow."""
    return tuple(sorted(set(memory_types), key=lambda name: (name != MemoryType.PYCLESPERANTO, name)))


def open_libraries(memory_types: Sequence[MemoryType], device: DeviceChoice) -> None:
    """Import what a pipeline runs on and see that it has a device, before any image is loaded.

    Raises
    ------
    MemoryConversionError
        A library is missing or has no such device.
    """
    for memory_type in in_opening_order(memory_types):
        if memory_type != MemoryType.NUMPY:
            with placed(memory_type, device):
                prepare([memory_type])


def convert_image(image: Any, kind: ImageKind, memory_type: MemoryType) -> Any:
    """Return a step's image in another memory type; a mask is bool again where it was uint8 in OpenCL."""
    source = detect_memory_type(image)
    if kind == ImageKind.MASK and source == MemoryType.PYCLESPERANTO != memory_type:
        image, source = to_numpy(image).astype(bool), MemoryType.NUMPY
    return convert_memory(image, source, memory_type)


def host_values(value: Any) -> Any:
    """Return a side result with the arrays of other libraries in it as NumPy arrays."""
    if isinstance(value, Mapping):
        return {name: host_values(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(host_values(item) for item in value)
    if hasattr(value, "shape") and hasattr(value, "dtype") and not hasattr(value, "tobytes"):
        return to_numpy(value)
    return value
