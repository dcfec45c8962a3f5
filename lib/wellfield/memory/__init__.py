"""Memory types: which array library holds an array, and how arrays are converted between libraries.

Importing this package imports no array library but NumPy.
"""

from wellfield.errors import DeviceMemoryError, DeviceNotFoundError, MemoryConversionError, MemoryTypeError
from wellfield.memory.cleanup import (
    cleanup_all_gpu_frameworks,
    cleanup_cupy_gpu,
    cleanup_gpu_memory_by_framework,
    cleanup_jax_gpu,
    cleanup_pyclesperanto_gpu,
    cleanup_pytorch_gpu,
    cleanup_tensorflow_gpu,
)
from wellfield.memory.convert import convert_memory, explain_conversion, prepare, to_numpy
from wellfield.memory.decorators import cupy, jax, memory_types, numpy, pyclesperanto, tensorflow, torch
from wellfield.memory.detect import detect_memory_type
from wellfield.memory.devices import use_cpu, use_gpu
from wellfield.memory.routes import Conversion
from wellfield.memory.stack import stack_slices, unstack_slices
from wellfield.memory.transfer import count_conversions
from wellfield.memory.types import MemoryType, Method

__all__ = [
    "Conversion",
    "DeviceMemoryError",
    "DeviceNotFoundError",
    "MemoryConversionError",
    "MemoryType",
    "MemoryTypeError",
    "Method",
    "cleanup_all_gpu_frameworks",
    "cleanup_cupy_gpu",
    "cleanup_gpu_memory_by_framework",
    "cleanup_jax_gpu",
    "cleanup_pyclesperanto_gpu",
    "cleanup_pytorch_gpu",
    "cleanup_tensorflow_gpu",
    "convert_memory",
    "count_conversions",
    "cupy",
    "detect_memory_type",
    "explain_conversion",
    "jax",
    "memory_types",
    "numpy",
    "prepare",
    "pyclesperanto",
    "stack_slices",
    "tensorflow",
    "to_numpy",
    "torch",
    "unstack_slices",
    "use_cpu",
    "use_gpu",
]
