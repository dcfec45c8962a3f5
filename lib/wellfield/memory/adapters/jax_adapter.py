"""JAX: immutable arrays in host memory or on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.adapter import Adapter, compact_host, writable_alias
from wellfield.memory.adapters.arithmetic import fit_numbers
from wellfield.memory.buffers import Array, dtype_name
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class JaxAdapter(Adapter):
    """Arrays of one device; values inside ``jit`` have no buffer and are refused."""

    memory_type = MemoryType.JAX
    module = "jax"
    views = False

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is an array of JAX."""
        jax = self.loaded()
        return jax is not None and isinstance(data, jax.Array)

    def dtype(self, data: Any) -> str:
        """Return the name."""
        return dtype_name(data.dtype)

    def device(self, data: Any) -> Device:
        """Return the CPU or the CUDA device; the first one of an array that is spread over several."""
        device = next(iter(data.devices()))
        if device.platform == "cpu":
            return CPU
        gpus = _gpus()
        if device not in gpus:
            raise MemoryTypeError(f"an array on {device}; expected one on the CPU or a CUDA device")
        return Device(DeviceKind.CUDA, gpus.index(device))

    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Read dtype and device: JAX has one layout, and aligns its own buffers."""
        if isinstance(data, self.library().core.Tracer):
            raise MemoryTypeError("a value that jit is tracing has no buffer; convert outside of jit")
        return ArrayFacts(self.dtype(data), data.ndim, data.size == 0, self.device(data), writable=False)

    def to_host(self, data: Any) -> Array:
        """Share an array in host memory, read-only; copy one of a device."""
        return np.asarray(data)

    def share(self, buffer: Array) -> Any:
        """Return an array on the buffer."""
        return self.library().numpy.from_dlpack(writable_alias(buffer))

    def upload(self, host: Array, device: Device) -> Any:
        """Copy to a CUDA device."""
        return self.library().device_put(compact_host(host), _gpus()[device.number or 0])

    def from_dlpack(self, data: Any) -> Any:
        """Return an array on the other array's memory."""
        return self.library().numpy.from_dlpack(data)

    def move(self, data: Any, device: Device) -> Any:
        """Return the array on another device."""
        jax = self.library()
        return jax.device_put(data, jax.devices("cpu")[0] if device == CPU else _gpus()[device.number or 0])

    def stack(self, slices: Sequence[Any]) -> Any:
        """Stack on the device."""
        return self.library().numpy.stack(slices)

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks along z."""
        return self.library().numpy.concatenate(parts)

    def cast(self, data: Any, dtype: str) -> Any:
        """Return the array as *dtype*."""
        return data.astype(dtype)

    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Round, clip, cast."""
        return fit_numbers(self.library().numpy, data, dtype)

    def gpu_count(self) -> int:
        """Return the number of CUDA devices that JAX sees."""
        self.library()
        return len(_gpus())

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Make *device* the default one; JAX has no streams."""
        self.library()
        if not _gpus():
            return nullcontext()
        jax = self.library()
        context: AbstractContextManager[Any] = jax.default_device(
            jax.devices("cpu")[0] if device == CPU else _gpus()[device.number or 0]
        )
        return context

    def wait(self, data: Any) -> None:
        """Wait for the array."""
        data.block_until_ready()

    def finish(self, result: Any, device: Device, stream: Any | None) -> None:
        """Wait for the computation, in which JAX reports what went wrong."""
        self.library().block_until_ready(result)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether it is a ``JaxRuntimeError`` with ``RESOURCE_EXHAUSTED``."""
        jax = self.loaded()
        if jax is not None and isinstance(error, jax.errors.JaxRuntimeError):
            return "RESOURCE_EXHAUSTED" in str(error)
        return isinstance(error, MemoryError)

    def free_caches(self, device: Device | None = None) -> None:
        """Drop compiled functions and their constants; the allocator keeps the rest."""
        self.library().clear_caches()


@cache
def _gpus() -> tuple[Any, ...]:
    import jax

    return tuple(d for d in jax.devices() if d.platform in ("gpu", "cuda"))
