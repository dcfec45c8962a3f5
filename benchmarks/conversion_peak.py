"""Print the peak memory of a conversion in bytes, without its source: ``… SOURCE TARGET LAYOUT MEGABYTES``.

This runs in its own process. The libraries convert a small array first, so that their set-up is not counted.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from benchmarks.memory import peak_growth
from wellfield.memory import convert_memory, prepare
from wellfield.memory.buffers import aligned_empty


def image(megabytes: int, layout: str) -> Any:
    """Return uint16 pixels [Z, Y, X] in host memory that have been written."""
    shape = (megabytes, 500, 1000)
    if layout == "big-endian":
        pixels = np.empty(shape, ">u2")
    elif layout == "gaps":
        pixels = np.empty((*shape[:2], 2 * shape[2]), np.uint16)[..., ::2]
    elif layout == "off 64 bytes":
        pixels = aligned_empty((megabytes * 1_000_000 + 16,), np.uint8)[16:].view(np.uint16).reshape(shape)
    else:
        pixels = aligned_empty(shape, np.uint16)
    pixels[...] = 1
    return pixels


def main(source: str, target: str, layout: str, megabytes: str) -> int:
    """Convert once and return the growth at the peak."""
    prepare([source, target])
    small = convert_memory(image(1, layout), "numpy", source)
    convert_memory(small, source, target)
    data = convert_memory(image(int(megabytes), layout), "numpy", source)
    return peak_growth(lambda: convert_memory(data, source, target))


if __name__ == "__main__":
    print(float(main(*sys.argv[1:])))
