"""The memory types, the devices that hold arrays, and the methods of conversion."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, NoReturn


class Name(StrEnum):
    """One of a fixed set of names; any other name raises an error that lists the set."""

    # Enum's own __hash__ is a slow Python function, and every conversion looks names up.
    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is not a {cls.__name__}; expected one of {', '.join(cls)}")


class MemoryType(Name):
    """Array libraries that a function can work on."""

    NUMPY = "numpy"
    CUPY = "cupy"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"
    JAX = "jax"
    PYCLESPERANTO = "pyclesperanto"


class DeviceKind(Name):
    """The kind of device that holds the bytes of an array.

    ``PROTOTYPE`` stands for the OpenCL arrays of pyclesperanto-prototype. The maintained pyclesperanto cannot use
    them, so the two packages are one memory type with two kinds of device.
    """

    CPU = "cpu"
    CUDA = "cuda"
    OPENCL = "opencl"
    PROTOTYPE = "prototype"


class Device(NamedTuple):
    """A device with the number that its library gives it; host memory has no number."""

    kind: DeviceKind
    number: int | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number}"


CPU = Device(DeviceKind.CPU)


class Method(Name):
    """A method of conversion from one library to another."""

    SAME_OBJECT = "same object"
    SAME_BUFFER = "same buffer"
    DLPACK = "DLPack"
    CUDA_ARRAY_INTERFACE = "CUDA array interface"
    DEVICE_MOVE = "device move"
    HOST_COPY = "host copy"


class ArrayFacts(NamedTuple):
    """The facts of an array that decide how it can be converted. Arrays with equal facts have equal routes.

    Parameters
    ----------
    dtype:
        NumPy's name of the dtype without its byte order, or ``"bfloat16"``.
    rank:
        Number of axes.
    empty:
        The array has no elements.
    device:
        Where the bytes are.
    native:
        Items are in the byte order of this machine and at addresses that are multiples of their size.
    compact:
        C order without gaps.
    forward:
        No axis runs backwards (negative stride).
    aligned:
        The first item is at a multiple of 64 bytes.
    writable:
        The library allows writes to the array. If not, a converted array that shares its memory must not change it.
    """

    dtype: str
    rank: int
    empty: bool
    device: Device = CPU
    native: bool = True
    compact: bool = True
    forward: bool = True
    aligned: bool = True
    writable: bool = True
