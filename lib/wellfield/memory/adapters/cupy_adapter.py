"""CuPy: arrays on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.adapter import Adapter, compact_host
from wellfield.memory.adapters.arithmetic import fit_numbers
from wellfield.memory.buffers import Array, dtype_name
from wellfield.memory.rules import ALIGNMENT
from wellfield.memory.types import ArrayFacts, Device, DeviceKind, MemoryType


class CupyAdapter(Adapter):
    """Importing CuPy works without CUDA, using it does not: the first use of a device is checked."""

    memory_type = MemoryType.CUPY
    module = "cupy"
    kinds = (DeviceKind.CUDA,)

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is an array of CuPy."""
        cupy = self.loaded()
        return cupy is not None and isinstance(data, cupy.ndarray)

    def dtype(self, data: Any) -> str:
        """Return the name."""
        return dtype_name(data.dtype)

    def device(self, data: Any) -> Device:
        """Return the CUDA device."""
        return Device(DeviceKind.CUDA, data.device.id)

    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Read them from flags and strides."""
        compact = data.flags.c_contiguous
        return ArrayFacts(
            self.dtype(data),
            data.ndim,
            data.size == 0,
            self.device(data),
            True,
            compact,
            compact or min(data.strides, default=0) >= 0,
            not alignment or data.data.ptr % ALIGNMENT == 0,
            True,
        )

    def to_host(self, data: Any) -> Array:
        """Copy to the host."""
        array: Array = data.get()
        return array

    def read_into(self, data: Any, buffer: Array) -> None:
        """Copy straight into the buffer."""
        self.library().ascontiguousarray(data).get(out=buffer)

    def share(self, buffer: Array) -> Any:
        """Refuse: CuPy has no arrays in host memory."""
        raise MemoryTypeError("cupy has no arrays in host memory")

    def upload(self, host: Array, device: Device) -> Any:
        """Copy to a CUDA device."""
        cupy = self.library()
        with cupy.cuda.Device(device.number):
            return cupy.asarray(compact_host(host))

    def from_dlpack(self, data: Any) -> Any:
        """Return an array on the other array's memory."""
        return self.library().from_dlpack(data)

    def from_cuda_array(self, data: Any, device: Device) -> Any:
        """Return an array on the other array's memory."""
        return self.library().asarray(data)

    def copy(self, data: Any) -> Any:
        """Return a copy in C order, on the device of *data*."""
        with data.device:
            return data.copy("C")

    def move(self, data: Any, device: Device) -> Any:
        """Return the array on another device."""
        cupy = self.library()
        with cupy.cuda.Device(device.number):
            return cupy.array(data, copy=True)

    def stack(self, slices: Sequence[Any]) -> Any:
        """Stack on the device."""
        with slices[0].device:
            return self.library().stack(slices)

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks along z."""
        with parts[0].device:
            return self.library().concatenate(parts)

    def cast(self, data: Any, dtype: str) -> Any:
        """Return the array as *dtype*."""
        return data.astype(dtype)

    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Round, clip, cast."""
        return fit_numbers(self.library(), data, dtype)

    def gpu_count(self) -> int:
        """Return the number of CUDA devices; 0 where there is no driver."""
        cuda = self.library().cuda
        return int(cuda.runtime.getDeviceCount()) if cuda.is_available() else 0

    def default_device(self) -> Device:
        """Return the current CUDA device of this thread."""
        if not self.gpu_count():
            raise MemoryTypeError("cupy sees no CUDA device")
        return Device(DeviceKind.CUDA, int(self.library().cuda.runtime.getDevice()))

    def new_stream(self, device: Device) -> Any | None:
        """Return a CUDA stream that does not wait for the default one."""
        cupy = self.library()
        with cupy.cuda.Device(device.number):
            return cupy.cuda.Stream(non_blocking=True)

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Make *device* the current one, and *stream*, which first waits for what the current one has to do."""
        cuda = self.library().cuda
        stack = ExitStack()
        stack.enter_context(cuda.Device(device.number))
        if stream is not None:
            stream.wait_event(cuda.get_current_stream().record())
            stack.enter_context(stream)
        return stack

    def wait(self, data: Any) -> None:
        """Wait for the device."""
        data.device.synchronize()

    def finish(self, result: Any, device: Device, stream: Any | None) -> None:
        """Wait for the stream."""
        if stream is not None:
            stream.synchronize()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether it is CuPy's ``OutOfMemoryError``."""
        return isinstance(error, MemoryError)  # which CuPy's derives from

    def free_caches(self, device: Device | None = None) -> None:
        """Give the free blocks of the memory pools back."""
        cupy = self.library()
        if not self.gpu_count():
            return
        with cupy.cuda.Device(device.number if device is not None else None):
            cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
