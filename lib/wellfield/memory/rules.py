"""The dtypes, layouts and alignment that each array library accepts, as data.

Every row was found by trying (NumPy 2.4, torch 2.13, TensorFlow 2.21, JAX 0.10, pyclesperanto 0.25,
pyclesperanto-prototype 0.24), and the tests try it again. A library's row leaves out every dtype that the library
would narrow, reinterpret or crash on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wellfield.memory.types import Device, DeviceKind, MemoryType

# A buffer that TensorFlow or JAX shares must start at a multiple of this many bytes: otherwise TensorFlow aborts the
# process and JAX copies. Wellfield's own buffers do.
ALIGNMENT = 64

_INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
_FLOATS = ("float16", "float32", "float64")
_COMPLEX = ("complex64", "complex128")
NUMBERS = frozenset({"bool", *_INTEGERS, *_FLOATS, *_COMPLEX})
WIDE = frozenset({"uint64", "int64", "float64", "complex128"})


@dataclass(frozen=True, slots=True)
class LibraryRules:
    """What a library accepts.

    Parameters
    ----------
    dtypes:
        Dtypes that stay as they are.
    becomes:
        Dtypes that become another dtype, which represents every value exactly.
    alignment:
        A shared buffer has to start at a multiple of this many bytes.
    strided:
        A shared buffer may have gaps and any order of axes.
    immutable:
        Arrays cannot be written, so an array may share a buffer that must not change.
    ranks:
        Least and largest number of axes; ``None`` means no upper limit.
    empty:
        Arrays without elements are possible.
    """

    dtypes: frozenset[str]
    becomes: Mapping[str, str] = field(default_factory=dict)
    alignment: int = 1
    strided: bool = True
    immutable: bool = False
    ranks: tuple[int, int | None] = (0, None)
    empty: bool = True


LIBRARIES: Mapping[MemoryType, LibraryRules] = {
    MemoryType.NUMPY: LibraryRules(NUMBERS),
    MemoryType.CUPY: LibraryRules(NUMBERS),
    MemoryType.TORCH: LibraryRules(NUMBERS | {"bfloat16"}),
    MemoryType.TENSORFLOW: LibraryRules(NUMBERS | {"bfloat16"}, alignment=ALIGNMENT, strided=False, immutable=True),
    # Without jax_enable_x64 the 64-bit dtypes are narrowed silently.
    MemoryType.JAX: LibraryRules((NUMBERS | {"bfloat16"}) - WIDE, alignment=ALIGNMENT, strided=False, immutable=True),
    # OpenCL has no bool. 64-bit dtypes would be narrowed; complex dtypes would lose their imaginary part.
    MemoryType.PYCLESPERANTO: LibraryRules(
        frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"}),
        becomes={"bool": "uint8"},
        ranks=(1, 3),
        empty=False,
    ),
}

JAX_X64 = LibraryRules(NUMBERS | {"bfloat16"}, alignment=ALIGNMENT, strided=False, immutable=True)

# The prototype converts everything to float32, which holds integers of up to 24 bits exactly.
PROTOTYPE = LibraryRules(
    frozenset({"float32"}),
    becomes=dict.fromkeys(("bool", "uint8", "int8", "uint16", "int16", "float16"), "float32"),
    ranks=(1, 3),
    empty=False,
)


def rules_of(memory_type: MemoryType, device: Device, *, x64: bool = False) -> LibraryRules:
    """Return what a library accepts on a device; *x64* says whether JAX keeps 64-bit dtypes."""
    if device.kind == DeviceKind.PROTOTYPE:
        return PROTOTYPE
    if memory_type == MemoryType.JAX and x64:
        return JAX_X64
    return LIBRARIES[memory_type]
