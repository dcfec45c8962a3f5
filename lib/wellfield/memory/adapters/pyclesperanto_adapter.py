"""pyclesperanto: arrays on an OpenCL device, of the maintained package or of pyclesperanto-prototype.

OpenCL arrays go in and out by push and pull alone: given to another library they crash the process, and what is a
kernel here (slicing, joining) computes in float32, which rounds integers above 2**24. Opening OpenCL after TensorFlow
was imported crashes the process too.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from wellfield.errors import DeviceNotFoundError, MemoryTypeError, MissingLibraryError
from wellfield.memory.adapters.adapter import Adapter, compact_host
from wellfield.memory.adapters.arithmetic import fit_numbers
from wellfield.memory.buffers import Array, dtype_name
from wellfield.memory.types import ArrayFacts, Device, DeviceKind, MemoryType

_PROTOTYPE_MODULE = "pyclesperanto_prototype"
PROTOTYPE_DEVICE = Device(DeviceKind.PROTOTYPE)

_OUT_OF_MEMORY = ("CL_MEM_OBJECT_ALLOCATION_FAILURE", "CL_OUT_OF_RESOURCES", "CL_OUT_OF_HOST_MEMORY")


class PyclesperantoAdapter(Adapter):
    """Arrays of rank 1 to 3."""

    memory_type = MemoryType.PYCLESPERANTO
    module = "pyclesperanto"
    substitutes = (_PROTOTYPE_MODULE,)
    kinds = (DeviceKind.OPENCL,)
    views = False
    sliceable = False
    gpu_kind = DeviceKind.OPENCL

    def __init__(self) -> None:
        self._devices: dict[int, Any] = {}
        self._lock = threading.RLock()

    def library(self) -> Any:
        """Import the maintained package, which opens OpenCL.

        Raises
        ------
        MissingLibraryError
            It is not installed, or there is no OpenCL device.
        MemoryTypeError
            TensorFlow was imported first.
        """
        loaded = self.loaded()
        if loaded is None:
            _require_before_tensorflow(self.module)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # that there is no device is said below
                loaded = super().library()
        if not hasattr(loaded, "select_device"):
            raise MissingLibraryError(
                "pyclesperanto finds no OpenCL backend or device; a CPU device comes with Debian's pocl-opencl-icd"
            )
        return loaded

    def require(self) -> None:
        """Open OpenCL by the maintained package, by the prototype where that alone is installed."""
        if not self._maintained():
            self.prototype()

    def _maintained(self) -> bool:
        try:
            self.library()
        except MissingLibraryError:
            if importlib.util.find_spec(_PROTOTYPE_MODULE) is None or self.loaded() is not None:
                raise
            return False
        return True

    def prototype(self) -> Any:
        """Import pyclesperanto-prototype.

        Raises
        ------
        MissingLibraryError
            It is not installed.
        MemoryTypeError
            TensorFlow was imported before OpenCL was opened.
        """
        loaded = sys.modules.get(_PROTOTYPE_MODULE)
        if loaded is not None and _prototype_is_open(loaded):
            return loaded
        _require_before_tensorflow(_PROTOTYPE_MODULE)
        try:
            import pyclesperanto_prototype
        except ImportError as error:
            raise MissingLibraryError(
                f"pyclesperanto_prototype cannot be imported ({error}); install it with: "
                "pip install 'wellfield[pyclesperanto-prototype]'"
            ) from error
        pyclesperanto_prototype.select_device()
        return pyclesperanto_prototype

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is an array of either package."""
        if _is_prototype(data):
            return True
        array = getattr(self.loaded(), "Array", None)
        return array is not None and isinstance(data, array)

    def dtype(self, data: Any) -> str:
        """Return the name."""
        return dtype_name(np.dtype(data.dtype))

    def device(self, data: Any) -> Device:
        """Return the OpenCL device, or the place where arrays of the prototype are."""
        return PROTOTYPE_DEVICE if _is_prototype(data) else Device(DeviceKind.OPENCL, data.device.index)

    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Read dtype and device."""
        return ArrayFacts(self.dtype(data), data.ndim, False, self.device(data))

    def to_host(self, data: Any) -> Array:
        """Pull."""
        array: Array = data.get()
        return array

    def read_into(self, data: Any, buffer: Array) -> None:
        """Pull plane by plane, so that the whole is not held twice."""
        if data.ndim < 3 or _is_prototype(data):
            np.copyto(buffer, data.get())
            return
        for index, plane in enumerate(buffer):
            np.copyto(plane, data.get((index, 0, 0), (1, *data.shape[1:]))[0])

    def share(self, buffer: Array) -> Any:
        """Refuse: an OpenCL array has memory of its own."""
        raise MemoryTypeError("pyclesperanto has no arrays in host memory")

    def upload(self, host: Array, device: Device) -> Any:
        """Push; plane by plane what has to be copied first, so that the copy is small."""
        host = host.view(np.uint8) if host.dtype == np.bool_ else host
        if device.kind == DeviceKind.PROTOTYPE:
            return self.prototype().push(compact_host(host))
        target = self._opened(device.number)
        if host.ndim < 3 or (host.flags.c_contiguous and host.dtype.isnative):
            return self.library().push(compact_host(host), device=target)
        pushed = self.library().empty(host.shape, host.dtype.newbyteorder("="), device=target)
        for index, plane in enumerate(host):
            pushed.set(compact_host(plane), (index, 0, 0), (1, *host.shape[1:]))
        return pushed

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks along z, on the host."""
        return self.upload(np.concatenate([self.to_host(part) for part in parts]), self.device(parts[0]))

    def cast(self, data: Any, dtype: str) -> Any:
        """Return the array as *dtype*."""
        return data.astype(np.dtype(dtype).type)

    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Round, clip, cast: on the host, since OpenCL kernels here compute in float32."""
        host, clipped = fit_numbers(np, self.to_host(data), dtype)
        return self.upload(host, self.device(data)), clipped

    def gpu_count(self) -> int:
        """Return the number of OpenCL devices, CPU ones included."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return len(self.library().list_available_devices())

    def number_of(self, *, gpu: bool) -> int:
        """Return the number of the first OpenCL device that is a GPU, or a CPU."""
        sort = "gpu" if gpu else "cpu"
        library = self.library()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            names, every = library.list_available_devices(sort), library.list_available_devices()
        if not names:
            raise DeviceNotFoundError(
                f"pyclesperanto sees no OpenCL {sort.upper()}, only {', '.join(every) or 'nothing'}"
            )
        return int(every.index(names[0]))

    def default_device(self) -> Device:
        """Return the current device of pyclesperanto; where only the prototype is installed, its place."""
        if not self._maintained():
            return PROTOTYPE_DEVICE
        return Device(DeviceKind.OPENCL, int(self.library().get_device().index))

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Make *device* the current one of the process; functions on other devices wait meanwhile."""
        if device.kind == DeviceKind.PROTOTYPE or device == self.default_device():
            return nullcontext()
        return self._current(device)

    @contextmanager
    def _current(self, device: Device) -> Iterator[None]:
        library = self.library()
        with self._lock:
            before = int(library.get_device().index)
            library.select_device(device.number or 0)
            try:
                yield
            finally:
                library.select_device(before)

    def copy(self, data: Any) -> Any:
        """Return a copy on the same device."""
        return data.copy()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether it is a ``RuntimeError`` with one of OpenCL's codes."""
        if isinstance(error, MemoryError):
            return True
        return isinstance(error, RuntimeError) and any(code in str(error) for code in _OUT_OF_MEMORY)

    def _opened(self, index: int | None) -> Any:
        """Return a device without changing which one is current."""
        library = self.library()
        with self._lock:
            if index not in self._devices:
                current = library.get_device()
                self._devices[index or 0] = library.select_device(index or 0)
                library.select_device(int(current.index))
            return self._devices[index or 0]


def _is_prototype(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == _PROTOTYPE_MODULE


def _prototype_is_open(module: Any) -> bool:
    return module._tier0._device._current_device._instance is not None


def _require_before_tensorflow(module: str) -> None:
    if sys.modules.get("tensorflow") is None or sys.modules.get("pyclesperanto") is not None:
        return
    raise MemoryTypeError(
        f"TensorFlow was imported before {module} opened OpenCL, which would crash the process; import pyclesperanto "
        "first, or call wellfield.memory.prepare(['pyclesperanto', 'tensorflow']) at the start"
    )
