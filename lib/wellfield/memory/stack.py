"""Stack planes, and split stacks into planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wellfield.errors import ArrayShapeError, MemoryConversionError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.buffers import aligned_empty
from wellfield.memory.convert import convert_memory, to_numpy
from wellfield.memory.detect import detect_memory_type
from wellfield.memory.rules import LIBRARIES, NUMBERS
from wellfield.memory.stack_check import check_stack
from wellfield.memory.types import DeviceKind, MemoryType


def stack_slices(slices: Sequence[Any], memory_type: MemoryType | str, gpu_id: int | None = None) -> Any:
    """Stack planes ``[Y, X]`` of any memory types into one array ``[Z, Y, X]`` of *memory_type*.

    Planes in host memory are copied once, into one buffer that starts at a multiple of 64 bytes: every library with
    arrays in host memory can share it. If all planes are of *memory_type* and on one CUDA device, they are stacked
    there. The stack never shares memory with the planes.

    Parameters
    ----------
    slices:
        Planes of one shape and one dtype. Another byte order is converted to this machine's.
    gpu_id:
        Device of the target library; ignored for NumPy.

    Raises
    ------
    ArrayShapeError
        There is no plane, planes are not two-dimensional, or planes differ in shape or dtype.
    MemoryTypeError
        A plane is not an array.
    MemoryConversionError
        The target library cannot hold the dtype, or does not see the device.

    Examples
    --------
    >>> import numpy as np
    >>> stack_slices([np.zeros((4, 5)), np.ones((4, 5))], "numpy").shape
    (2, 4, 5)
    """
    target = ADAPTERS[MemoryType(memory_type)]
    types = [detect_memory_type(plane) for plane in slices]
    facts = [ADAPTERS[kind].facts(plane, alignment=False) for kind, plane in zip(types, slices, strict=True)]
    if not facts:
        raise ArrayShapeError("no plane to stack; expected at least one [Y, X]")
    shapes = [tuple(plane.shape) for plane in slices]
    kinds = {(shape, fact.dtype) for shape, fact in zip(shapes, facts, strict=True)}
    if len(kinds) > 1 or facts[0].rank != 2:
        seen = ", ".join(f"{list(shape)} {fact.dtype}" for shape, fact in zip(shapes, facts, strict=True))
        raise ArrayShapeError(f"cannot stack planes of shape and dtype {seen}; expected equal [Y, X]")
    dtype = facts[0].dtype
    if dtype not in NUMBERS:
        return _stack_of_other_dtype(slices, types, target, dtype, gpu_id)
    devices = {fact.device for fact in facts}
    if set(types) == {target.memory_type} and len(devices) == 1:
        (device,) = devices
        if device.kind == DeviceKind.CUDA:
            return convert_memory(target.stack(slices), target.memory_type, target.memory_type, gpu_id)
    stack = aligned_empty((len(slices), *shapes[0]), dtype)
    for out, kind, plane in zip(stack, types, slices, strict=True):
        ADAPTERS[kind].read_into(plane, out)
    return convert_memory(stack, MemoryType.NUMPY, target.memory_type, gpu_id)


def _stack_of_other_dtype(
    slices: Sequence[Any], types: Sequence[MemoryType], target: Adapter, dtype: str, gpu_id: int | None
) -> Any:
    """Stack planes of a dtype that NumPy lacks (bfloat16) in the target library, if that library has the dtype."""
    if dtype not in LIBRARIES[target.memory_type].dtypes:
        reason = f"{target.memory_type} does not hold {dtype} unchanged"
        raise MemoryConversionError(str(types[0]), str(target.memory_type), "dtype", reason)
    planes = [convert_memory(p, kind, target.memory_type, gpu_id) for kind, p in zip(types, slices, strict=True)]
    return target.stack(planes)


def unstack_slices(array: Any, memory_type: MemoryType | str, gpu_id: int | None = None) -> list[Any]:
    """Split a stack ``[Z, Y, X]`` into its planes ``[Y, X]`` of *memory_type*.

    The planes share the stack's memory if both libraries allow it.

    Raises
    ------
    ArrayShapeError
        *array* is not three-dimensional.
    MemoryTypeError
        *array* is not an array.
    MemoryConversionError
        The target library cannot hold the dtype, or does not see the device.

    Examples
    --------
    >>> import numpy as np
    >>> [plane.shape for plane in unstack_slices(np.zeros((2, 4, 5)), "numpy")]
    [(4, 5), (4, 5)]
    """
    check_stack(array, what="array to unstack")
    source, target = detect_memory_type(array), MemoryType(memory_type)
    exact = ADAPTERS[source].sliceable and (ADAPTERS[source].views or ADAPTERS[target].sliceable)
    if not exact:
        array, source = to_numpy(array), MemoryType.NUMPY
    if ADAPTERS[source].views and not ADAPTERS[target].views:
        return [convert_memory(array[index], source, target, gpu_id) for index in range(array.shape[0])]
    converted = convert_memory(array, source, target, gpu_id)
    return [converted[index] for index in range(converted.shape[0])]
