"""What the memory system must know of an array library.

One module per library implements :class:`Adapter`; nothing else imports that library. Libraries are found through
``sys.modules`` and imported only when an array is to become one of theirs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from wellfield.errors import DeviceNotFoundError, MemoryTypeError, MissingLibraryError
from wellfield.memory.buffers import Array, address, aligned_copy
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class Adapter(ABC):
    """Detection, conversion, devices and memory of one array library.

    Parameters
    ----------
    memory_type:
        The memory type that it stands for.
    module:
        Name of the library's module.
    substitutes:
        Modules that do in its place.
    kinds:
        Sorts of devices that its arrays can be on.
    views:
        Indexing the first axis shares memory.
    sliceable:
        Indexing the first axis keeps every value.
    gpu_kind:
        Sort of device that a ``gpu_id`` of this library means.
    """

    memory_type: ClassVar[MemoryType]
    module: ClassVar[str]
    substitutes: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[DeviceKind, ...]] = (DeviceKind.CPU, DeviceKind.CUDA)
    views: ClassVar[bool] = True
    sliceable: ClassVar[bool] = True
    gpu_kind: ClassVar[DeviceKind] = DeviceKind.CUDA

    _library: Any | None = None

    # --- the library ------------------------------------------------------------------------------------------------

    def library(self) -> Any:
        """Import the library.

        Raises
        ------
        MissingLibraryError
            It is not installed; the message says how to install it.
        """
        loaded = self.loaded()
        if loaded is not None:
            return loaded
        try:
            return importlib.import_module(self.module)  # waits for a thread that is importing it already
        except ImportError as error:
            raise MissingLibraryError(
                f"{self.module} cannot be imported ({error}); install it with: pip install 'wellfield[{self.module}]'"
            ) from error

    def is_installed(self) -> bool:
        """Tell whether the library, or one that stands in for it, could be imported; imports nothing."""
        return any(map(_is_installed, (self.module, *self.substitutes)))

    def require(self) -> None:
        """Import what is needed to make arrays, unless it is imported.

        Raises
        ------
        MissingLibraryError
            Nothing that could make them is installed.
        """
        if self.loaded() is None:
            self.library()

    def loaded(self) -> Any | None:
        """Return the library if this process has imported it, to the end."""
        if self._library is None:
            module = sys.modules.get(self.module)
            if module is None or getattr(module.__spec__, "_initializing", False):
                return None
            self._library = module
        return self._library

    # --- arrays -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def owns(self, data: Any) -> bool:
        """Tell whether *data* is an array of this library, without importing it."""

    @abstractmethod
    def dtype(self, data: Any) -> str:
        """Return NumPy's name of the dtype, without its byte order; the library's own name where NumPy has none."""

    @abstractmethod
    def device(self, data: Any) -> Device:
        """Return where the bytes are.

        Raises
        ------
        MemoryTypeError
            On a device that other libraries have no arrays on.
        """

    @abstractmethod
    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Return what decides how an array is converted; where it starts is only looked at with *alignment*.

        Raises
        ------
        MemoryTypeError
            The array is of a sort that has no counterpart elsewhere, such as a sparse one.
        """

    @abstractmethod
    def to_host(self, data: Any) -> Array:
        """Return the values as a NumPy array, sharing memory where the array is in host memory.

        What must not be written is given read-only.
        """

    def read_into(self, data: Any, buffer: Array) -> None:
        """Copy the values into a NumPy array of the same shape and dtype."""
        np.copyto(buffer, self.to_host(data))

    @abstractmethod
    def share(self, buffer: Array) -> Any:
        """Return an array of this library on the same host memory, which suits the library's rules."""

    def upload(self, host: Array, device: Device) -> Any:
        """Return a copy of a NumPy array on a device; its layout and byte order may be any."""
        raise MemoryTypeError(f"{self.memory_type} has no arrays on {device}")

    def from_dlpack(self, data: Any) -> Any:
        """Return an array of this library on the memory of another library's array."""
        raise MemoryTypeError(f"{self.memory_type} takes no DLPack")

    def for_dlpack(self, data: Any) -> Any:
        """Return what :meth:`from_dlpack` of another library is given for an array of this one."""
        return data

    def from_cuda_array(self, data: Any, device: Device) -> Any:
        """Return an array of this library on what ``__cuda_array_interface__`` of *data*, on *device*, tells."""
        raise MemoryTypeError(f"{self.memory_type} takes no CUDA array interface")

    def copy(self, data: Any) -> Any:
        """Return a compact copy on the same device; only for libraries whose arrays can be written."""
        raise MemoryTypeError(f"{self.memory_type} arrays need no copies")

    def move(self, data: Any, device: Device) -> Any:
        """Return the array on another device of this library."""
        raise MemoryTypeError(f"{self.memory_type} has no arrays on {device}")

    def stack(self, slices: Sequence[Any]) -> Any:
        """Stack arrays ``[Y, X]`` that are on one device, there."""
        raise MemoryTypeError(f"{self.memory_type} stacks in host memory")

    @abstractmethod
    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks ``[Z, Y, X]`` along z."""

    @abstractmethod
    def cast(self, data: Any, dtype: str) -> Any:
        """Return the array with another dtype, given by NumPy's name."""

    @abstractmethod
    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Return real numbers in the range of a real *dtype*: clipped, for integers rounded to the nearest, and cast.

        Also returns how many were clipped. For integers the array has no NaN.

        Raises
        ------
        MemoryTypeError
            The library cannot do it with these dtypes.
        """

    # --- devices ----------------------------------------------------------------------------------------------------

    def gpu_count(self) -> int:
        """Return how many devices a ``gpu_id`` can name."""
        return 0

    def number_of(self, *, gpu: bool) -> int | None:
        """Return the ``gpu_id`` of the first GPU, or of the CPU: ``None`` where that needs no number.

        Raises
        ------
        DeviceNotFoundError
            The library has no such device.
        """
        if gpu and DeviceKind.CUDA in self.kinds:
            if not self.gpu_count():
                raise DeviceNotFoundError(f"{self.memory_type} sees no CUDA device")
            return 0
        if DeviceKind.CPU not in self.kinds:
            raise DeviceNotFoundError(f"{self.memory_type} has no arrays in host memory")
        return None

    def default_device(self) -> Device:
        """Return the device of new arrays where nobody asked for one."""
        return CPU

    def new_stream(self, device: Device) -> Any | None:
        """Return a new stream of work on a device, ``None`` for a library or a device without streams."""
        return None

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Return a context in which new arrays of this thread are on *device*, and its work goes to *stream*."""
        return nullcontext()

    def wait(self, data: Any) -> None:  # noqa: B027, only arrays on a GPU are waited for
        """Wait until an array on a GPU is computed, for a library that does not exchange streams."""

    def finish(self, result: Any, device: Device, stream: Any | None) -> None:  # noqa: B027, few libraries need it
        """Wait until *result* is computed, so that other streams and threads may use it."""

    # --- memory -----------------------------------------------------------------------------------------------------

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether an error of this library says that its device has no memory left."""
        return isinstance(error, MemoryError)

    def free_caches(self, device: Device | None = None) -> None:  # noqa: B027, few libraries have caches
        """Give back memory that the library holds without needing it. The library is imported already."""


def compact_host(host: Array) -> Array:
    """Return an array in C order and native byte order, itself if it is one."""
    if host.flags.c_contiguous and host.flags.aligned and host.dtype.isnative:
        return host
    return aligned_copy(host)


class _Alias:
    """Says of an array's memory that it may be written."""

    def __init__(self, array: Array) -> None:
        self.__array_interface__ = {**array.__array_interface__, "data": (address(array), False)}
        self.array = array  # kept alive by the view


def writable_alias(array: Array) -> Array:
    """Return a view that says it may be written, for a library that only reads it and refuses to otherwise."""
    return array if array.flags.writeable else np.asarray(_Alias(array))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a spec, as one that is barred in sys.modules
        return False
