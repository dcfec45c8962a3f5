"""The device on which a thread makes its arrays, and the thread's CUDA streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wellfield.errors import DeviceNotFoundError, MemoryConversionError, MemoryTypeError, MissingLibraryError
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.types import CPU, Device, DeviceKind, MemoryType, Name


class _Thread(threading.local):
    """The choices of one thread; a new thread has none."""

    def __init__(self) -> None:
        self.gpu_id: int | None = None
        self.on_cpu = False
        self.streams: dict[tuple[MemoryType, Device], Any] = {}


_thread = _Thread()


@contextmanager
def use_gpu(gpu_id: int) -> Iterator[None]:
    """Convert arrays to this GPU, in this thread, unless a conversion names another GPU."""
    with _placed(gpu_id, on_cpu=False):
        yield


@contextmanager
def use_cpu() -> Iterator[None]:
    """Convert arrays to host memory, in this thread, unless a conversion names a GPU.

    Libraries without arrays in host memory use their default device.
    """
    with _placed(None, on_cpu=True):
        yield


class DeviceChoice(Name):
    """Where the configuration wants steps to run."""

    CPU = "cpu"
    GPU = "gpu"
    GPU_OR_CPU = "gpu_or_cpu"

    @property
    def wants_gpu(self) -> bool:
        """Tell whether a GPU is used if there is one."""
        return self != DeviceChoice.CPU


@contextmanager
def on_device(memory_type: MemoryType, choice: DeviceChoice) -> Iterator[None]:
    """Make arrays of a library on the CPU or on the first GPU, in this thread.

    For pyclesperanto this is the first OpenCL device of that kind. ``GPU_OR_CPU`` uses the CPU if the library sees no
    GPU.

    Raises
    ------
    MemoryConversionError
        The library does not have the device.
    """
    adapter = ADAPTERS[memory_type]
    try:
        falls_back = choice == DeviceChoice.GPU_OR_CPU and why_no_gpu(memory_type)
        gpu_id = adapter.number_of(gpu=choice.wants_gpu and not falls_back)
    except (DeviceNotFoundError, MissingLibraryError, MemoryTypeError) as error:
        raise MemoryConversionError(str(memory_type), str(memory_type), "device", str(error)) from error
    with _placed(gpu_id, on_cpu=gpu_id is None):
        yield


def why_no_gpu(memory_type: MemoryType) -> str:
    """Return why a library cannot use a GPU here; an empty string if it sees one."""
    try:
        ADAPTERS[memory_type].number_of(gpu=True)
    except DeviceNotFoundError as error:
        return str(error)
    return ""


@contextmanager
def _placed(gpu_id: int | None, *, on_cpu: bool) -> Iterator[None]:
    before = _thread.gpu_id, _thread.on_cpu
    _thread.gpu_id, _thread.on_cpu = gpu_id, on_cpu
    try:
        yield
    finally:
        _thread.gpu_id, _thread.on_cpu = before


def target_device(adapter: Adapter, gpu_id: int | None, source: Device) -> Device:
    """Return the device on which an array of a library will be made.

    *gpu_id* comes first, then the thread's choice (:func:`use_gpu`, :func:`use_cpu`). Without either, the array stays
    on its device if the library has arrays there, and goes to the library's default device if not.

    Raises
    ------
    DeviceNotFoundError
        The library does not see the GPU.
    """
    kinds = adapter.kinds
    if kinds == (DeviceKind.CPU,):
        return CPU
    wanted = _thread.gpu_id if gpu_id is None else gpu_id
    if wanted is not None:
        return gpu(adapter, wanted)
    if _thread.on_cpu and DeviceKind.CPU in kinds:
        return CPU
    if source.kind in kinds and (source.kind != DeviceKind.CUDA or (source.number or 0) < adapter.gpu_count()):
        return source
    return adapter.default_device()


def gpu(adapter: Adapter, gpu_id: int) -> Device:
    """Return the GPU of a library with this number.

    Raises
    ------
    DeviceNotFoundError
        The library does not see the GPU.
    """
    count = adapter.gpu_count()
    if not 0 <= gpu_id < count:
        kind = "OpenCL" if adapter.gpu_kind == DeviceKind.OPENCL else "CUDA"
        seen = f"{count} {kind} device{'s' * (count != 1)}" + (f" (gpu_id 0 to {count - 1})" if count else "")
        raise DeviceNotFoundError(f"gpu_id {gpu_id}: {adapter.memory_type} sees {seen}")
    return Device(adapter.gpu_kind, gpu_id)


@contextmanager
def working_on(adapter: Adapter, device: Device) -> Iterator[Any]:
    """Run the body on a device, in this thread's own stream.

    Each thread has one stream per library and device, so threads do not wait for each other.
    """
    stream = None
    if device.kind == DeviceKind.CUDA:
        key = (adapter.memory_type, device)
        if key not in _thread.streams:
            _thread.streams[key] = adapter.new_stream(device)
        stream = _thread.streams[key]
    with adapter.scope(device, stream):
        yield stream
