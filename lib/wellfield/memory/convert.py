"""Which memory type an array has, and how it gets into another one."""

from __future__ import annotations

from typing import Any

from wellfield.errors import MemoryConversionError, MemoryTypeError
from wellfield.memory.adapters import numpy_adapter
from wellfield.memory.types import MemoryType

_ADAPTERS = (numpy_adapter,)


def detect_memory_type(data: Any) -> MemoryType:
    """Return the memory type of an array.

    Raises
    ------
    MemoryTypeError
        *data* is no array of a supported library.
    """
    for adapter in _ADAPTERS:
        if adapter.owns(data):
            return MemoryType(adapter.memory_type)
    raise MemoryTypeError(
        f"{type(data).__module__}.{type(data).__qualname__} is no array of a supported memory type "
        f"({', '.join(a.memory_type for a in _ADAPTERS)})"
    )


def convert_memory(
    data: Any, source_type: MemoryType | str, target_type: MemoryType | str, gpu_id: int | None = None
) -> Any:
    """Return *data* as an array of *target_type*; the same object if it is one already.

    Values and dtype are never changed. *gpu_id* is ignored for NumPy.

    Raises
    ------
    MemoryConversionError
        There is no route between the two types, or *data* is not of *source_type*.
    """
    source_type, target_type = MemoryType(source_type), MemoryType(target_type)
    found = detect_memory_type(data)
    if found != source_type:
        raise MemoryConversionError(str(source_type), str(target_type), "detection", f"the array is of type {found}")
    if found == target_type:
        return data
    raise MemoryConversionError(str(source_type), str(target_type), "none", f"no adapter for {target_type}")
