"""Free the memory that array libraries hold on their devices, as far as each library allows it.

Only libraries that this process has imported are touched. A failure is logged, never raised. PyTorch and CuPy release
their cached blocks; JAX drops compiled functions. TensorFlow and pyclesperanto have no such call: they free an array
when the last reference to it is gone.
"""

from __future__ import annotations

import gc
import logging

from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.types import Device, MemoryType

_logger = logging.getLogger(__name__)


def cleanup_gpu_memory_by_framework(memory_type: MemoryType | str, device_id: int | None = None) -> None:
    """Free what one library holds on a device (without *device_id*: on all devices). NumPy holds nothing."""
    gc.collect()
    _free(ADAPTERS[MemoryType(memory_type)], device_id)


def cleanup_all_gpu_frameworks(device_id: int | None = None) -> None:
    """Free what all imported libraries hold."""
    gc.collect()
    for adapter in ADAPTERS.values():
        _free(adapter, device_id)


def cleanup_pytorch_gpu(device_id: int | None = None) -> None:
    """Empty PyTorch's CUDA cache."""
    cleanup_gpu_memory_by_framework(MemoryType.TORCH, device_id)


def cleanup_cupy_gpu(device_id: int | None = None) -> None:
    """Free CuPy's memory pools."""
    cleanup_gpu_memory_by_framework(MemoryType.CUPY, device_id)


def cleanup_tensorflow_gpu(device_id: int | None = None) -> None:
    """Drop TensorFlow's unreachable tensors. Its allocator keeps the memory until the process ends."""
    cleanup_gpu_memory_by_framework(MemoryType.TENSORFLOW, device_id)


def cleanup_jax_gpu(device_id: int | None = None) -> None:
    """Drop JAX's compiled functions."""
    cleanup_gpu_memory_by_framework(MemoryType.JAX, device_id)


def cleanup_pyclesperanto_gpu(device_id: int | None = None) -> None:
    """Drop pyclesperanto's unreachable arrays, and their OpenCL buffers with them."""
    cleanup_gpu_memory_by_framework(MemoryType.PYCLESPERANTO, device_id)


def free_caches(adapter: Adapter, device: Device | None = None) -> None:
    """Free what a library holds if this process has imported it; a failure is logged."""
    if adapter.loaded() is None:
        return
    try:
        adapter.free_caches(device)
    except Exception as error:  # freeing is optional: no error of a library may stop the caller
        _logger.warning("%s: caches could not be freed: %s", adapter.memory_type, error)


def _free(adapter: Adapter, device_id: int | None) -> None:
    free_caches(adapter, None if device_id is None else Device(adapter.gpu_kind, device_id))
