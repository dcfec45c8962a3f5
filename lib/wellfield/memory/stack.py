"""From planes to stacks and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError
from wellfield.memory.convert import convert_memory, detect_memory_type
from wellfield.memory.decorators import check_stack
from wellfield.memory.types import MemoryType


def stack_slices(slices: Sequence[Any], memory_type: MemoryType | str, gpu_id: int | None = None) -> Any:
    """Stack planes ``[Y, X]`` into one array ``[Z, Y, X]`` of *memory_type* (one allocation, one copy).

    All planes share one shape and one dtype. *gpu_id* is ignored for NumPy.

    Raises
    ------
    ArrayShapeError
        No plane, a plane that is not two-dimensional, or planes of different shape or dtype.
    """
    planes = [convert_memory(plane, detect_memory_type(plane), MemoryType.NUMPY) for plane in slices]
    if not planes:
        raise ArrayShapeError("no plane to stack; expected at least one [Y, X]")
    kinds = {(plane.shape, plane.dtype.str) for plane in planes}
    if len(kinds) > 1 or planes[0].ndim != 2:
        seen = ", ".join(f"{list(plane.shape)} {plane.dtype}" for plane in planes)
        raise ArrayShapeError(f"cannot stack planes of shape and dtype {seen}; expected equal [Y, X]")
    stack = np.empty((len(planes), *planes[0].shape), planes[0].dtype)
    for index, plane in enumerate(planes):
        stack[index] = plane
    return convert_memory(stack, MemoryType.NUMPY, MemoryType(memory_type), gpu_id)


def unstack_slices(array: Any, memory_type: MemoryType | str, gpu_id: int | None = None) -> list[Any]:
    """Split a stack ``[Z, Y, X]`` into its planes ``[Y, X]`` of *memory_type*, without copying NumPy data.

    Raises
    ------
    ArrayShapeError
        *array* is not three-dimensional.
    """
    check_stack(array, what="array to unstack")
    converted = convert_memory(array, detect_memory_type(array), MemoryType(memory_type), gpu_id)
    return [converted[index] for index in range(converted.shape[0])]
