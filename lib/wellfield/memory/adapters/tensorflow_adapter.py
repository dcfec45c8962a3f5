"""TensorFlow: immutable eager tensors in host memory or on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.adapter import Adapter, compact_host, writable_alias
from wellfield.memory.buffers import Array
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType


class TensorflowAdapter(Adapter):
    """Eager tensors; variables and the symbols inside ``tf.function`` are not arrays."""

    memory_type = MemoryType.TENSORFLOW
    module = "tensorflow"
    views = False

    def owns(self, data: Any) -> bool:
        """Tell whether *data* is a tensor."""
        tf = self.loaded()
        return tf is not None and isinstance(data, tf.Tensor)

    def dtype(self, data: Any) -> str:
        """Return the name."""
        name: str = data.dtype.name
        return name

    def device(self, data: Any) -> Device:
        """Return the CPU or the CUDA device."""
        return _device(data.backing_device)

    def facts(self, data: Any, *, alignment: bool) -> ArrayFacts:
        """Read dtype and device: TensorFlow has one layout, and aligns its own buffers."""
        if not hasattr(data, "numpy"):
            raise MemoryTypeError("a symbol inside tf.function has no buffer; convert outside of it")
        return ArrayFacts(self.dtype(data), data.ndim, 0 in data.shape, self.device(data), writable=False)

    def to_host(self, data: Any) -> Array:
        """Share a tensor in host memory, read-only; copy one of a device."""
        array: Array = np.asarray(data)
        if array.flags.writeable and self.device(data) == CPU:
            array.flags.writeable = False
        return array

    def share(self, buffer: Array) -> Any:
        """Return a tensor on the buffer."""
        return self.library().experimental.dlpack.from_dlpack(writable_alias(buffer).__dlpack__())

    def upload(self, host: Array, device: Device) -> Any:
        """Copy to a CUDA device."""
        tf = self.library()
        with tf.device(f"GPU:{device.number}"):
            return tf.constant(compact_host(host))

    def from_dlpack(self, data: Any) -> Any:
        """Return a tensor on the array's memory; TensorFlow takes capsules, not arrays."""
        return self.library().experimental.dlpack.from_dlpack(data.__dlpack__())

    def move(self, data: Any, device: Device) -> Any:
        """Return the tensor on another device."""
        with self._at(device):
            return self.library().identity(data)

    def stack(self, slices: Sequence[Any]) -> Any:
        """Stack on the device."""
        return self.library().stack(slices)

    def concatenate(self, parts: Sequence[Any]) -> Any:
        """Join stacks along z."""
        return self.library().concat(parts, 0)

    def cast(self, data: Any, dtype: str) -> Any:
        """Return the tensor as *dtype*."""
        return self.library().cast(data, dtype)

    def fit(self, data: Any, dtype: str) -> tuple[Any, int]:
        """Round, clip, cast: in int64, which has every comparison."""
        tf = self.library()
        if np.dtype(dtype).kind == "f":
            most = float(np.finfo(dtype).max)
            outside = (tf.abs(data) > most) & ~tf.math.is_inf(data)
            fitted = tf.where(tf.math.is_inf(data), data, tf.clip_by_value(data, -most, most))
            return tf.cast(fitted, dtype), int(tf.math.count_nonzero(outside))
        limits = np.iinfo(dtype)
        if limits.bits == 64 or data.dtype == tf.uint64:
            raise MemoryTypeError(f"tensorflow cannot clip {data.dtype.name} to {dtype}")
        if data.dtype.is_floating:
            wide = tf.cast(tf.clip_by_value(tf.round(tf.cast(data, tf.float64)), -(2.0**62), 2.0**62), tf.int64)
        else:
            wide = tf.cast(data, tf.int64)
        outside = tf.math.count_nonzero((wide < limits.min) | (wide > limits.max))
        return tf.cast(tf.clip_by_value(wide, int(limits.min), int(limits.max)), dtype), int(outside)

    def gpu_count(self) -> int:
        """Return the number of CUDA devices that TensorFlow sees; does not touch them."""
        self.library()
        return _gpu_count()

    def scope(self, device: Device, stream: Any | None) -> AbstractContextManager[Any]:
        """Make *device* the default one; TensorFlow has no streams to choose."""
        return self._at(device) if device != CPU or self.gpu_count() else nullcontext()

    def for_dlpack(self, data: Any) -> Any:
        """Return what exports the tensor: TensorFlow refuses the stream that others name."""
        return data if self.device(data) == CPU else _WithoutStream(data)

    def wait(self, data: Any) -> None:
        """Wait for all devices."""
        self.library().test.experimental.sync_devices()

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether it is ``tf.errors.ResourceExhaustedError``."""
        tf = self.loaded()
        return isinstance(error, MemoryError) or (
            tf is not None and isinstance(error, tf.errors.ResourceExhaustedError)
        )

    def _at(self, device: Device) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.library().device(
            "CPU:0" if device == CPU else f"GPU:{device.number}"
        )
        return context


@cache
def _gpu_count() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


@cache
def _device(name: str) -> Device:
    """Read a name such as ``/job:localhost/replica:0/task:0/device:GPU:1``."""
    kind, _, index = name.rpartition("device:")[2].partition(":")
    if kind == "CPU":
        return CPU
    if kind != "GPU":
        raise MemoryTypeError(f"a tensor on {name}; expected one on the CPU or a GPU")
    return Device(DeviceKind.CUDA, int(index))


class _WithoutStream:
    """A tensor that has been waited for, so that no stream is needed."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, **_: Any) -> Any:
        return self._tensor.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self._tensor.__dlpack_device__()
