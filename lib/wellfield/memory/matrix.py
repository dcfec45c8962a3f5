"""Tables of all conversions: every pair of memory types, dtype and layout. ``wellfield conversions`` prints them.

The tables are made from the rules alone, so they are the same on every machine. The tests try every cell for real.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.routes import Conversion, choose_route
from wellfield.memory.rules import LIBRARIES, PROTOTYPE
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind, MemoryType

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)

PLAIN = "C order"

# How the facts of each layout differ from those of a plain array [Z, Y, X].
LAYOUTS: Mapping[str, Mapping[str, object]] = {
    PLAIN: {},
    "start off 64 bytes": {"aligned": False},
    "gaps": {"compact": False},
    "other axis order": {"compact": False},
    "backward axis": {"compact": False, "forward": False},
    "other byte order": {"native": False},
    "items off their size": {"native": False, "aligned": False},
    "read-only": {"writable": False},
    "0 dimensions": {"rank": 0},
    "4 dimensions": {"rank": 4},
    "no elements": {"empty": True},
}

# Layouts that arrays of a library can have; JAX and TensorFlow lay out and align their arrays themselves.
_SHAPES = ("0 dimensions", "4 dimensions", "no elements")
HAS_LAYOUTS: Mapping[MemoryType, tuple[str, ...]] = {
    MemoryType.NUMPY: tuple(LAYOUTS),
    MemoryType.CUPY: (PLAIN, "start off 64 bytes", "gaps", "other axis order", "backward axis", *_SHAPES),
    MemoryType.TORCH: (PLAIN, "start off 64 bytes", "gaps", "other axis order", *_SHAPES),
    MemoryType.TENSORFLOW: (PLAIN, *_SHAPES),
    MemoryType.JAX: (PLAIN, *_SHAPES),
    MemoryType.PYCLESPERANTO: (PLAIN,),
}


def facts_of(source: MemoryType, dtype: str, layout: str, device: Device) -> ArrayFacts:
    """Return the facts of a library's array with a dtype, a layout and a device."""
    immutable = LIBRARIES[source].immutable
    return ArrayFacts(dtype, 3, False, device, writable=not immutable)._replace(**LAYOUTS[layout])  # type: ignore[arg-type]


def cell(
    source: MemoryType, target: MemoryType, dtype: str = "uint16", layout: str = PLAIN, *, on_gpu: bool = False
) -> Conversion:
    """Return the conversion of an array in host memory (if the library has arrays there) or on the first GPU."""
    here, there = _place(source, on_gpu=on_gpu), _place(target, on_gpu=on_gpu)
    return choose_route(source, target, facts_of(source, dtype, layout, here), there)


def conversion_of(source: MemoryType, target: MemoryType, *, on_gpu: bool = False, kept: bool = False) -> Conversion:
    """Return how Wellfield converts its own images from one library to another.

    Parameters
    ----------
    on_gpu:
        Arrays are on a GPU, for libraries that have arrays there.
    kept:
        The image is a step's result and may be read again: a NumPy array is then read-only and may start at any
        address.
    """
    here, there = _place(source, on_gpu=on_gpu), _place(target, on_gpu=on_gpu)
    facts = facts_of(source, "uint16", PLAIN, here)
    if kept and source == MemoryType.NUMPY:
        facts = facts._replace(writable=False, aligned=False)
    return choose_route(source, target, facts, there)


def markdown() -> str:
    """Return all tables as Markdown."""
    types = tuple(MemoryType)
    with_gpu = [name for name in types if DeviceKind.CUDA in ADAPTERS[name].kinds]
    parts = [
        "# Conversions between memory types",
        "`wellfield conversions` prints this page from the rules by which arrays are converted. `shared`: the result "
        "uses the source's memory. `copied`: the values are copied once. `refused`: a `MemoryConversionError`, since "
        "the target would change the values. No other conversion takes place.",
        "## Routes",
        "An array `[Z, Y, X]` of uint16 in C order, in host memory; CuPy's on a CUDA device, pyclesperanto's on an "
        "OpenCL device. The route in brackets is the first one tried; the host copy is the last resort of each.",
        *_table("from \\ to", types, ((name, [_route(cell(name, other)) for other in types]) for name in types)),
        "On one CUDA device:",
        *_table(
            "from \\ to",
            with_gpu,
            ((name, [_route(cell(name, other, on_gpu=True)) for other in with_gpu]) for name in with_gpu),
        ),
        "## Dtypes",
        "What each library holds. JAX holds the 64-bit dtypes with `jax_enable_x64`.",
        *_dtypes(types),
        "## Layouts",
        "A uint16 array of each layout; `–` where the source has no such arrays. `start off 64 bytes`: the buffer does "
        "not start at a multiple of 64 bytes, as most of NumPy's do not; Wellfield's own stacks do.",
        *_table("from → to", LAYOUTS, (_layouts(*pair) for pair in product(types, types) if pair[0] != pair[1])),
    ]
    return "\n\n".join(parts) + "\n"


def _place(memory_type: MemoryType, *, on_gpu: bool) -> Device:
    kinds = ADAPTERS[memory_type].kinds
    if DeviceKind.CPU in kinds and not on_gpu:
        return CPU
    return Device(DeviceKind.CUDA if DeviceKind.CUDA in kinds else kinds[0], 0)


def _route(conversion: Conversion) -> str:
    how = "copied" if conversion.copies else "shared"
    return f"{how} ({conversion.methods[0]})" if conversion.copies or len(conversion.methods) > 1 else "same object"


def _dtypes(types: Iterable[MemoryType]) -> list[str]:
    libraries = {str(name): LIBRARIES[name] for name in types} | {"pyclesperanto-prototype": PROTOTYPE}

    def entry(dtype: str, name: str) -> str:
        rules = libraries[name]
        return "kept" if dtype in rules.dtypes else rules.becomes.get(dtype, "refused")

    return _table("dtype", libraries, ((dtype, [entry(dtype, name) for name in libraries]) for dtype in DTYPES))


def _layouts(source: MemoryType, target: MemoryType) -> tuple[str, list[str]]:
    def entry(layout: str) -> str:
        if layout not in HAS_LAYOUTS[source]:
            return "–"
        found = cell(source, target, layout=layout)
        return "refused" if found.refusal else "copied" if found.copies else "shared"

    return f"{source} → {target}", [entry(layout) for layout in LAYOUTS]


def _table(corner: str, columns: Iterable[str], rows: Iterable[tuple[str, list[str]]]) -> list[str]:
    header = [corner, *columns]
    lines = [header, ["---"] * len(header), *([name, *cells] for name, cells in rows)]
    return ["\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)]
