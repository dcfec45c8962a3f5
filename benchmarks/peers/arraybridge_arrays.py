"""arraybridge converts and stacks: answers ``convert SOURCE TARGET BYTES CALLS`` and ``stack TARGET PLANES SIDE``."""

from __future__ import annotations

import gc
import time
from functools import cache
from typing import Any

import numpy as np
from answer import answer, seconds
from arraybridge import convert_memory, stack_slices
from arraybridge.devices import HOST


@cache
def aligned(nbytes: int) -> Any:
    """Return uint16 pixels [Z, Y, X] that start at a multiple of 64 bytes."""
    block = np.ones(nbytes + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + nbytes].view(np.uint16).reshape(-1, 500, 1000)


@cache
def planes(number: int, side: int) -> list[Any]:
    """Return planes as a file reader gives them."""
    return [np.ones((side, side), np.uint16) for _ in range(number)]


def convert(source: str, target: str, nbytes: int, calls: int) -> float:
    """Return the time of one conversion."""
    image = aligned(nbytes)
    data = image if source == "numpy" else convert_memory(image, "numpy", source, HOST)
    convert_memory(data, source, target, HOST)
    gc.freeze()  # collecting what the libraries hold takes long
    start = time.perf_counter()
    for _ in range(calls):
        convert_memory(data, source, target, HOST)
    return (time.perf_counter() - start) / calls


def stack(target: str, number: int, side: int) -> float:
    """Return the time of stacking NumPy planes into an array of another library."""
    given = planes(number, side)

    def run() -> Any:
        result = stack_slices(given, target, HOST)
        return result.block_until_ready() if target == "jax" else result  # which it computes in the background

    return seconds(run)


if __name__ == "__main__":
    answer({"convert": convert, "stack": stack})
