"""The peers' side of :class:`benchmarks.processes.PeerProcess`; the standard library only."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def answer(operations: Mapping[str, Callable[..., float]]) -> None:
    """Carry out the operations that are asked for on standard input and print the seconds that each returns."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(f"seconds {operations[name](*arguments)}", flush=True)


def seconds(run: Callable[[], Any]) -> float:
    """Return the time of a call; freeing its result is not in it."""
    gc.collect()
    start = time.perf_counter()
    result = run()
    elapsed = time.perf_counter() - start
    del result
    return elapsed
