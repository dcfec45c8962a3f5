"""PyTorch: tensors in host memory or on a CUDA device. Tensors can always be written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cache
from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.adapter import Adapter, compact_host, writable_alias
from wellfield.memory.buffers import Array
from wellfield.memory.rules import ALIGNMENT, LIBRARIES
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class TorchAdapter(Adapter):
    """Strided tensors; what autograd recorded of them is left behind, lazy conjugates are computed."""

    memory_type = MemoryType.TORCH
    module = "torch"

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is a tensor."""
        torch = self.loaded()
        return torch is not None and isinstance(data, torch.Tensor)

    def dtype(self, data: Any) -> str:
        """Return the name."""
        return _names().get(data.dtype) or str(data.dtype).removeprefix("torch.")

    def device(self, data: Any) -> Device:
        """Return the CPU or the CUDA device."""
        where = data.device
        if where.type == "cpu":
            return CPU
        if where.type != "cuda":
            raise MemoryTypeError(f"a tensor on {where}; expected one on the CPU or a CUDA device")
        return Device(DeviceKind.CUDA, where.index)

    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Read them from the tensor."""
        if data.layout is not self.library().strided:
            raise MemoryTypeError(f"a tensor of layout {data.layout}; expected a strided one (to_dense makes it one)")
        return ArrayFacts(
            self.dtype(data),
            data.dim(),
            data.numel() == 0,
            self.device(data),
            True,
            data.is_contiguous(),
            True,
            not alignment or data.data_ptr() % ALIGNMENT == 0,
            True,
        )

    def to_host(self, data: Any) -> Array:
        """Share a tensor in host memory, copy one of a device."""
        array: Array
        try:
            array = data.numpy()
        except (RuntimeError, TypeError):  # it is on a device, or has what NumPy cannot express
            array = _plain(data).cpu().numpy()
        return array

    def read_into(self, data: Any, buffer: Array) -> None:
        """Copy the values straight from where they are."""
        self.library().from_numpy(buffer).copy_(_plain(data))

    def share(self, buffer: Array) -> Any:
        """Return a tensor on the buffer."""
        return self.library().from_numpy(buffer)

    def upload(self, host: Array, device: Device) -> Any:
        """Copy to a CUDA device."""
        tensor = self.library().from_numpy(writable_alias(compact_host(host)))
        return tensor.to(f"cuda:{device.number}")

    def from_dlpack(self, data: Any) -> Any:
        """Return a tensor on the array's memory."""
        return self.library().from_dlpack(data)

    def for_dlpack(self, data: Any) -> Any:
        """Return the tensor without what DLPack cannot express."""
        return _plain(data)

    def from_cuda_array(self, data: Any, device: Device) -> Any:
        """Return a tensor on the array's memory."""
        return self.library().as_tensor(data, device=f"cuda:{device.number}")

    def copy(self, data: Any) -> Any:
        """Return a compact copy; torch's own buffers start at a multiple of 64 bytes."""
        return _plain(data).clone(memory_format=self.library().contiguous_format)

    def move(self, data: Any, device: Device) -> Any:
        """Return the tensor on another device."""
        return data.to("cpu" if device == CPU else f"cuda:{device.number}")

    def stack(self, slices: Sequence[Any]) -> Any:
        """Stack on the device."""
        return self.library().stack(list(slices))

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks along z."""
        return self.library().cat(list(parts))

    def cast(self, data: Any, dtype: str) -> Any:
        """Return the tensor as *dtype*."""
        return data.to(getattr(self.library(), dtype))

    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Round, clip, cast: in int64, since unsigned tensors have no comparison."""
        torch = self.library()
        if np.dtype(dtype).kind == "f":
            most = float(np.finfo(dtype).max)
            outside = (data.abs() > most) & ~torch.isinf(data)
            fitted = torch.where(torch.isinf(data), data, data.clamp(-most, most)).to(getattr(torch, dtype))
            return fitted, int(torch.count_nonzero(outside))
        limits = np.iinfo(dtype)
        if limits.bits == 64 or data.dtype == torch.uint64:
            raise MemoryTypeError(f"torch cannot clip {data.dtype} to {dtype}")
        if data.dtype.is_floating_point:
            wide = data.to(torch.float64).round().clamp(-(2.0**62), 2.0**62).to(torch.int64)
        else:
            wide = data.to(torch.int64)
        clipped = int(torch.count_nonzero((wide < limits.min) | (wide > limits.max)))
        return wide.clamp(int(limits.min), int(limits.max)).to(getattr(torch, dtype)), clipped

    def gpu_count(self) -> int:
        """Return the number of CUDA devices that torch sees."""
        return int(self.library().cuda.device_count())

    def new_stream(self, device: Device) -> Any | None:
        """Return a CUDA stream."""
        return self.library().cuda.Stream(device.number) if device.kind == DeviceKind.CUDA else None

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Make *device* the one of new tensors, and *stream* current, which first waits for what was to be done."""
        if device.kind != DeviceKind.CUDA:
            return nullcontext()
        cuda = self.library().cuda
        stack = ExitStack()
        stack.enter_context(cuda.device(device.number))
        stack.enter_context(self.library().device(f"cuda:{device.number}"))
        if stream is not None:
            stream.wait_stream(cuda.current_stream(device.number))
            stack.enter_context(cuda.stream(stream))
        return stack

    def wait(self, data: Any) -> None:
        """Wait for the device."""
        self.library().cuda.synchronize(data.device)

    def finish(self, result: Any, device: Device, stream: Any | None) -> None:
        """Wait for the stream."""
        if stream is not None:
            stream.synchronize()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether it is ``torch.OutOfMemoryError``, or the CPU allocator's RuntimeError."""
        torch = self.loaded()
        if torch is not None and isinstance(error, torch.OutOfMemoryError):
            return True
        return isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)
        )

    def free_caches(self, device: Device | None = None) -> None:
        """Empty the caching allocator of CUDA; host memory is not cached."""
        cuda = self.library().cuda
        if cuda.is_available() and cuda.is_initialized():
            with cuda.device(device.number) if device is not None and device.number is not None else nullcontext():
                cuda.empty_cache()


@cache
def _names() -> dict[Any, str]:
    import torch

    return {getattr(torch, name): name for name in LIBRARIES[MemoryType.TORCH].dtypes}


def _plain(data: Any) -> Any:
    plain = data.detach() if data.requires_grad else data
    return plain.resolve_conj().resolve_neg() if plain.is_complex() or plain.is_neg() else plain
