"""An array library with GPUs that are not there: arrays are NumPy's, devices are numbers, memory as a test says.

It takes the place of an adapter and nothing else, so that routing, streams, the ladder and cleanup run as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.buffers import dtype_name
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class FakeArray:
    """Values on a device."""

    def __init__(self, values: Any, device: Device) -> None:
        self.values = np.asarray(values)
        self.place = device

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    ndim = property(lambda self: self.values.ndim)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> FakeArray:
        return FakeArray(self.values[index], self.place)

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


class FakeAdapter(Adapter):
    """The library; *events* lists what was asked of it, with the thread that asked."""

    module = "numpy"  # which is imported, so that the library counts as loaded
    gpus = 2
    fails: Callable[[str], None] = staticmethod(lambda event: None)

    def __init__(
        self,
        memory_type: MemoryType,
        *,
        kinds: tuple[DeviceKind, ...] = (DeviceKind.CPU, DeviceKind.CUDA),
        is_out_of_memory: Callable[[BaseException], bool] | None = None,
    ) -> None:
        self.memory_type = memory_type  # type: ignore[misc]
        self.kinds = kinds  # type: ignore[misc]
        self.events: list[tuple[str, Any]] = []
        self._is_out_of_memory = is_out_of_memory or super().is_out_of_memory

    def note(self, event: str, detail: Any = None) -> None:
        self.events.append((event, detail))
        self.fails(event)

    def seen(self, event: str) -> list[Any]:
        return [detail for name, detail in self.events if name == event]

    def owns(self, data: Any) -> bool:
        return isinstance(data, FakeArray)

    def dtype(self, data: FakeArray) -> str:
        return dtype_name(data.dtype)

    def device(self, data: FakeArray) -> Device:
        return data.place

    def facts(self, data: FakeArray, *, alignment: bool) -> ArrayFacts:
        return ArrayFacts(self.dtype(data), data.ndim, not data.values.size, data.place)

    def to_host(self, data: FakeArray) -> Any:
        self.note("to_host", data.place)
        return data.values

    def share(self, buffer: Any) -> FakeArray:
        return FakeArray(buffer, CPU)

    def upload(self, host: Any, device: Device) -> FakeArray:
        self.note("upload", device)
        return FakeArray(host.copy(), device)

    def from_dlpack(self, data: Any) -> FakeArray:
        self.note("from_dlpack")
        return FakeArray(data.values, data.place)

    def from_cuda_array(self, data: Any, device: Device) -> FakeArray:
        self.note("from_cuda_array")
        return FakeArray(data.values, data.place)

    def copy(self, data: FakeArray) -> FakeArray:
        self.note("copy")
        return FakeArray(data.values.copy(), data.place)

    def move(self, data: FakeArray, device: Device) -> FakeArray:
        self.note("move", device)
        return FakeArray(data.values.copy(), device)

    def stack(self, slices: Any) -> FakeArray:
        self.note("stack")
        return FakeArray(np.stack([plane.values for plane in slices]), slices[0].place)

    def concatenate(self, parts: Any) -> FakeArray:
        return FakeArray(np.concatenate([part.values for part in parts]), parts[0].place)

    def cast(self, data: FakeArray, dtype: str) -> FakeArray:
        return FakeArray(data.values.astype(dtype), data.place)

    def fit(self, data: FakeArray, dtype: str) -> tuple[FakeArray, int]:
        raise NotImplementedError

    def gpu_count(self) -> int:
        return self.gpus

    def default_device(self) -> Device:
        return CPU if DeviceKind.CPU in self.kinds else Device(DeviceKind.CUDA, 0)

    def new_stream(self, device: Device) -> str:
        stream = f"stream of {threading.current_thread().name} on {device}"
        self.note("new_stream", stream)
        return stream

    @contextmanager
    def scope(self, device: Device, stream: Any | None) -> Iterator[None]:
        self.note("enter", (device, stream))
        yield
        self.note("leave", (device, stream))

    def finish(self, result: Any, device: Device, stream: Any | None) -> None:
        self.note("finish", stream)

    def is_out_of_memory(self, error: BaseException) -> bool:
        return self._is_out_of_memory(error)

    def free_caches(self, device: Device | None = None) -> None:
        self.note("free_caches", device)
