"""The memory-type system: which array library holds an array, independent of where it is stored."""

from wellfield.errors import MemoryConversionError
from wellfield.memory.convert import convert_memory, detect_memory_type
from wellfield.memory.decorators import memory_types, numpy
from wellfield.memory.stack import stack_slices, unstack_slices
from wellfield.memory.types import MemoryType

__all__ = [
    "MemoryConversionError",
    "MemoryType",
    "convert_memory",
    "detect_memory_type",
    "memory_types",
    "numpy",
    "stack_slices",
    "unstack_slices",
]
