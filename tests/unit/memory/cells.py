"""Tries every conversion there is; run as a process of its own, since some of what it tries could crash it.

Prints a line of JSON per cell: source, target, dtype, layout, what the rules say and what happened. A crash leaves the
name of the cell as the last line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from wellfield.memory import MemoryConversionError, MemoryType, convert_memory, explain_conversion, prepare, to_numpy
from wellfield.memory.buffers import aligned_copy, aligned_empty
from wellfield.memory.matrix import DTYPES, HAS_LAYOUTS, PLAIN
from wellfield.memory.rules import LIBRARIES


def values(dtype: str) -> Any:
    """The extremes of a dtype and something between, ``[2, 3, 4]``."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.arange(24).reshape(2, 3, 4) % 3 == 0
    if kind in "iu":
        limits = np.iinfo(dtype)
        line = np.array([limits.min, limits.max, 1, limits.max // 3], dtype)
    else:
        limits = np.finfo(dtype)
        line = np.array([limits.min, limits.max, np.inf, np.nan, limits.tiny, -0.0, 1 / 3, 2], dtype)
        if kind == "c":
            line = line + 1j * np.arange(len(line), dtype=line.real.dtype)
    return aligned_copy(np.resize(line, (2, 3, 4)).astype(dtype))


def unaligned(array: Any, offset: int) -> Any:
    """The same values in a buffer that starts *offset* bytes after a multiple of 64."""
    block = aligned_empty((array.nbytes + offset,), np.uint8)
    moved = block[offset:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def spread(array: Any) -> Any:
    wide = aligned_empty((*array.shape[:2], array.shape[2] * 2), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


# Arrays of a layout, with the same values in the same order.
NUMPY_LAYOUTS: dict[str, Callable[[Any], Any]] = {
    PLAIN: lambda array: array,
    "start off 64 bytes": lambda array: unaligned(array, max(16, array.itemsize)),
    "gaps": spread,
    "other axis order": np.asfortranarray,
    "backward axis": lambda array: aligned_copy(array[:, ::-1])[:, ::-1],
    "other byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "items off their size": lambda array: unaligned(array, 1),
    "read-only": frozen,
    "0 dimensions": lambda array: aligned_copy(np.resize(array, ())),
    "4 dimensions": lambda array: aligned_copy(np.resize(array, (1, 2, 3, 4))),
    "no elements": lambda array: aligned_empty((0, 3, 4), array.dtype),
}


def torch_layout(tensor: Any, layout: str) -> Any:
    import torch

    if layout == "start off 64 bytes":
        block = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)[1:].view(tensor.shape)
    elif layout == "gaps":
        block = torch.empty((*tensor.shape[:2], tensor.shape[2] * 2), dtype=tensor.dtype)[..., ::2]
    elif layout == "other axis order":
        block = torch.empty(tuple(reversed(tensor.shape)), dtype=tensor.dtype).permute(2, 1, 0)
    else:
        return tensor
    block.copy_(tensor)
    return block


def make(source: str, dtype: str, layout: str) -> tuple[Any, Any]:
    """Return an array of *source* and the NumPy array that it must be equal to; bfloat16 is compared as float32."""
    shaped = layout in ("0 dimensions", "4 dimensions", "no elements")
    small = aligned_copy(np.arange(24, dtype="f4").reshape(2, 3, 4))
    plain = small if dtype == "bfloat16" else values(dtype)
    host = NUMPY_LAYOUTS[layout if shaped or source == "numpy" else PLAIN](plain)
    if source == "numpy":
        return host, host
    data = convert_memory(host, "numpy", source)
    if dtype == "bfloat16":
        data = cast(data, source, "bfloat16")
    return (torch_layout(data, layout) if source == "torch" else data), host


def cast(data: Any, source: str, dtype: str) -> Any:
    if source == "tensorflow":
        import tensorflow as tf

        return tf.cast(data, dtype)
    if source == "torch":
        import torch

        return data.to(getattr(torch, dtype))
    return data.astype(dtype)


def use(result: Any) -> None:
    """Compute with the result, which is when a bad buffer shows."""
    if isinstance(result, np.ndarray) or result.dtype in ("bool",):
        return
    kind = type(result).__module__.partition(".")[0]
    if kind == "tensorflow":
        import tensorflow as tf

        tf.reduce_all(tf.equal(result, result)).numpy()
    elif kind == "torch":
        result.clone()
    elif kind.startswith("jax"):
        (result + result).block_until_ready()
    else:
        result.copy()


def pointer(data: Any) -> int:
    """Where the values of a bfloat16 array are, which NumPy cannot tell."""
    import torch

    return int((data if isinstance(data, torch.Tensor) else torch.from_dlpack(data)).data_ptr())


def try_cell(source: str, target: str, dtype: str, layout: str) -> dict[str, Any]:
    """Convert, use, compare, and see whether memory is shared and the source left alone."""
    data, host = make(source, dtype, layout)
    before = bytes(np.ascontiguousarray(host))
    plan = explain_conversion(data, source, target)
    said = {"refused": plan.refusal is not None, "copies": plan.copies, "dtype": plan.target_dtype, "size": host.size}
    try:
        result = convert_memory(data, source, target)
    except MemoryConversionError as error:
        fields = (error.source_type, error.target_type, error.method, error.reason)
        return {**said, "outcome": "refused", "fields": all(fields), "text": str(error)}
    use(result)
    if dtype == "bfloat16":
        back = to_numpy(cast(result, target, "float32"))
        shared = pointer(result) == pointer(data)
    else:
        back = to_numpy(result)
        mine = to_numpy(data)
        shared = back.__array_interface__["data"][0] == mine.__array_interface__["data"][0]
    expected = np.ascontiguousarray(host).astype(host.dtype.newbyteorder("="))
    equal = back.shape == host.shape and bytes(np.ascontiguousarray(back)) == bytes(expected)
    untouched = bytes(np.ascontiguousarray(host)) == before
    found = "bfloat16" if dtype == "bfloat16" else str(back.dtype)
    return {**said, "outcome": "equal" if equal else "different", "shared": shared, "found": found, "same": untouched}


def main(libraries: list[str]) -> None:
    prepare(libraries)
    for source, target in product(libraries, repeat=2):
        for dtype, layout in product(DTYPES, HAS_LAYOUTS[MemoryType(source)]):
            holds = LIBRARIES[MemoryType(source)]
            if source == target or dtype not in holds.dtypes:
                continue
            name = {"source": source, "target": target, "dtype": dtype, "layout": layout}
            print(json.dumps(name), flush=True)
            print(json.dumps({**name, **try_cell(source, target, dtype, layout)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
