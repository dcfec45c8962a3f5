"""Print the peak memory of an operation in bytes: ``python -m benchmarks.memory OPERATION STRATEGY FILE FOLDER``.

This runs in its own process. It measures the growth of the resident memory (Linux's ``VmHWM``: heap, mapped file pages,
everything) since just before the operation, when the process already held Python, the libraries and the planes to
write. A small well is written and read first, so that imports and thread pools are not counted.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Well, fresh
from benchmarks.storing import Layout
from wellfield.storage.backend import ZarrChunkStrategy

_SMALL = Well(fields=1, channels=1, z=1, side=64)
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def available() -> bool:
    """Tell whether the system tells the peak of a process and lets it be reset."""
    return _CLEAR.exists()


def peak_growth(run: Callable[[], Any]) -> int:
    """Return by how many bytes the resident memory grows at its peak during a call."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory freed but kept by the allocator would be used again unseen
    _CLEAR.write_text("5")  # the peak starts again from what is resident now
    before = resident("VmRSS")
    result = run()
    peak = resident("VmHWM")
    del result
    return peak - before


def resident(name: str) -> int:
    """Return a value of ``/proc/self/status`` in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def main(operation: str, strategy: str, file: str, folder: str) -> int:
    """Carry out one operation and return its peak."""
    layout = Layout.zarr(ZarrChunkStrategy[strategy])
    small = fresh(f"memory-{strategy}-{operation}")
    layout.save([np.zeros((64, 64), np.uint16)], small, _SMALL.keys)
    layout.load(small, _SMALL.keys)
    keys = Well(*np.load(file, mmap_mode="r").shape[:4]).keys
    if operation == "read":
        return peak_growth(lambda: layout.load(Path(folder), [keys[len(keys) // 2]]))
    pixels = np.load(file)
    planes = [pixels[index] for index in np.ndindex(pixels.shape[:3])]
    return peak_growth(lambda: layout.save(planes, Path(folder), keys))


if __name__ == "__main__":
    print(float(main(*sys.argv[1:])))
