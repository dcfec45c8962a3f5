"""The memory types, the devices that arrays live on, and the ways from one to another."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, NoReturn


class Name(StrEnum):
    """A name of a fixed set, which an error tells where another one was given."""

    # That of Enum is a Python function, and names are looked up in every conversion.
    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"{value!r} is no {cls.__name__}; expected one of {', '.join(cls)}")


class MemoryType(Name):
    """Array libraries that a function can ask for."""

    NUMPY = "numpy"
    CUPY = "cupy"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"
    JAX = "jax"
    PYCLESPERANTO = "pyclesperanto"


class DeviceKind(Name):
    """What sort of device holds the bytes of an array.

    ``PROTOTYPE`` stands for the OpenCL arrays of pyclesperanto-prototype, which the maintained pyclesperanto cannot
    use: the two are one memory type in two places.
    """

    CPU = "cpu"
    CUDA = "cuda"
    OPENCL = "opencl"
    PROTOTYPE = "prototype"


class Device(NamedTuple):
    """A device as one library numbers it; host memory has no number."""

    kind: DeviceKind
    number: int | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number}"


CPU = Device(DeviceKind.CPU)


class Method(Name):
    """A way in which an array gets from one library to another."""

    SAME_OBJECT = "same object"
    SAME_BUFFER = "same buffer"
    DLPACK = "DLPack"
    CUDA_ARRAY_INTERFACE = "CUDA array interface"
    DEVICE_MOVE = "device move"
    HOST_COPY = "host copy"


class ArrayFacts(NamedTuple):
    """What decides how an array can be converted. Equal facts have equal routes.

    Parameters
    ----------
    dtype:
        NumPy's name of the dtype without its byte order, or ``"bfloat16"``.
    rank:
        Number of axes.
    empty:
        There is no element.
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
        The library lets the array be written; what is not writable must not change through a converted alias.
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
