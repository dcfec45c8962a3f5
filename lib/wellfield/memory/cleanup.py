"""Freeing what array libraries hold on their devices, as far as they let it be freed.

Only libraries that this process has imported are touched, and a failure is logged, never raised. PyTorch and CuPy give
their cached blocks back; JAX drops compiled functions; TensorFlow and pyclesperanto have no such call: what they hold
goes with the last reference to it.
"""

from __future__ import annotations

import gc
import logging

from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.types import Device, MemoryType

_logger = logging.getLogger(__name__)


def cleanup_gpu_memory_by_framework(memory_type: MemoryType | str, device_id: int | None = None) -> None:
    """Free what one library holds on a device, on all of them without *device_id*; NumPy holds nothing."""
    gc.collect()
    _free(ADAPTERS[MemoryType(memory_type)], device_id)


def cleanup_all_gpu_frameworks(device_id: int | None = None) -> None:
    """Free what every library that is imported holds."""
    gc.collect()
    for adapter in ADAPTERS.values():
        _free(adapter, device_id)


def cleanup_pytorch_gpu(device_id: int | None = None) -> None:
    """Empty the CUDA cache of PyTorch."""
    cleanup_gpu_memory_by_framework(MemoryType.TORCH, device_id)


def cleanup_cupy_gpu(device_id: int | None = None) -> None:
    """Free the memory pools of CuPy."""
    cleanup_gpu_memory_by_framework(MemoryType.CUPY, device_id)


def cleanup_tensorflow_gpu(device_id: int | None = None) -> None:
    """Drop unreachable tensors of TensorFlow, whose allocator keeps its memory until the process ends."""
    cleanup_gpu_memory_by_framework(MemoryType.TENSORFLOW, device_id)


def cleanup_jax_gpu(device_id: int | None = None) -> None:
    """Drop the compiled functions of JAX."""
    cleanup_gpu_memory_by_framework(MemoryType.JAX, device_id)


def cleanup_pyclesperanto_gpu(device_id: int | None = None) -> None:
    """Drop unreachable arrays of pyclesperanto, whose OpenCL buffers go with them."""
    cleanup_gpu_memory_by_framework(MemoryType.PYCLESPERANTO, device_id)


def free_caches(adapter: Adapter, device: Device | None = None) -> None:
    """Free what a library holds if this process has imported it; a failure is logged."""
    if adapter.loaded() is None:
        return
    try:
        adapter.free_caches(device)
    except Exception as error:  # whatever a library says here, freeing is help and no reason to fail
        _logger.warning("%s: caches could not be freed: %s", adapter.memory_type, error)


def _free(adapter: Adapter, device_id: int | None) -> None:
    free_caches(adapter, None if device_id is None else Device(adapter.gpu_kind, device_id))
