"""The functions on planes that are in memory, nothing read or written: ``python functions_alone.py PLATE PROCESSES``.

Prints as JSON the seconds that they took on all processes, and the number of objects of each well.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import counting
import numpy as np
import tifffile
from handwritten_wells import find_planes

_fields: list[tuple[str, list[np.ndarray]]] = []


def count(number: int) -> tuple[str, int]:
    """Compute all of one field; return its well and its number of objects."""
    well, stacks = _fields[number]
    images = np.concatenate([counting.project(stack) for stack in stacks])
    labels = counting.segment(images[:1])
    return well, len(counting.measure(labels, images)["label"])


def main(plate: str, processes: str) -> dict[str, Any]:
    """Read the plate, then compute."""
    for well, fields in find_planes(Path(plate)).items():
        for channels in fields.values():
            _fields.append((well, [np.stack([tifffile.imread(path) for path in paths]) for paths in channels.values()]))
    with get_context("fork").Pool(int(processes)) as pool:  # processes that share what was read
        pool.map(abs, range(int(processes)))
        start = time.perf_counter()
        found = pool.map(count, range(len(_fields)), chunksize=1)
        seconds = time.perf_counter() - start
    counts: Counter[str] = Counter()
    for well, objects in found:
        counts[well] += objects
    return {"seconds": seconds, "counts": counts}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
