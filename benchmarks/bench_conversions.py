"""Conversions between array libraries, and stacking, compared with the libraries' own calls, arraybridge and memcpy."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import permutations
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.against_peers import environment
from benchmarks.harness import HERE, Case, Statistics, Table, compare, measure
from benchmarks.processes import PeerProcess, run_timed
from wellfield.memory import MemoryType, convert_memory, decorators, explain_conversion, prepare, stack_slices
from wellfield.memory.buffers import aligned_empty

LIBRARIES = ("numpy", "torch", "tensorflow", "jax")
PEER = environment("arraybridge").requirements[0].replace("==", " ")

# X4: single microseconds over the library's own call.
LIMIT = "10 µs"
TEN_MICROSECONDS = Statistics(1e-5, 1e-5, 1e-5, 1e-5, 1)


@cache
def image(nbytes: int) -> Any:
    """Return uint16 pixels [Z, Y, X] as Wellfield stacks them: they start at a multiple of 64 bytes."""
    pixels = aligned_empty((nbytes // 1_000_000, 500, 1000), np.uint16)
    pixels[...] = 1
    return pixels


@cache
def source_array(library: str, nbytes: int) -> Any:
    """Return the same pixels in another library."""
    return convert_memory(image(nbytes), "numpy", library)


def bare_calls() -> Mapping[tuple[str, str], Callable[[Any], Any]]:
    """Return the call of the libraries themselves for each pair that shares memory."""
    import jax.numpy as jnp
    import tensorflow as tf
    import torch

    def to_tensorflow(data: Any) -> Any:
        return tf.experimental.dlpack.from_dlpack(data.__dlpack__())

    return {
        ("numpy", "torch"): torch.from_numpy,
        ("numpy", "tensorflow"): to_tensorflow,
        ("numpy", "jax"): jnp.from_dlpack,
        ("torch", "numpy"): lambda data: data.numpy(),
        ("torch", "tensorflow"): to_tensorflow,
        ("torch", "jax"): jnp.from_dlpack,
        ("tensorflow", "numpy"): np.from_dlpack,
        ("tensorflow", "jax"): jnp.from_dlpack,
        ("jax", "numpy"): np.asarray,
        ("jax", "tensorflow"): to_tensorflow,
    }


def per_call(run: Callable[[], Any], calls: int) -> float:
    """Return the time of one call of many."""
    run()
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def beyond(run: Callable[[], Any], bare: Callable[[], Any], calls: int) -> float:
    """Return what a call takes beyond the bare one; the two take turns, so that both meet the same noise."""
    differences = []
    for _ in range(calls):
        start = time.perf_counter()
        bare()
        between = time.perf_counter()
        run()
        differences.append((time.perf_counter() - between) - (between - start))
    return statistics.median(differences)


def shared(peer: PeerProcess, nbytes: int, repeats: int, calls: int) -> Iterator[Table]:
    """X4: conversions that share memory, whatever the size."""
    bare = bare_calls()
    peer_calls = calls if nbytes < 10_000_000 else 3  # where it copies, each call takes long enough
    cases, pairs = [], [pair for pair in permutations(LIBRARIES, 2) if pair in bare]
    for source, target in pairs:
        data, name = source_array(source, nbytes), f"{source} → {target}"
        if explain_conversion(data, source, target).copies:
            raise RuntimeError(f"{name} does not share memory")
        cases += [
            Case(f"{name}: bare", lambda _, d=data, p=(source, target): per_call(lambda: bare[p](d), calls)),  # type: ignore[misc]
            Case(name, lambda _, d=data, s=source, t=target: per_call(lambda: convert_memory(d, s, t), calls)),  # type: ignore[misc]
            Case(f"{name}: {PEER}", lambda _, s=source, t=target: peer.ask("convert", s, t, nbytes, peer_calls)),  # type: ignore[misc]
        ]
    found = measure(cases, repeats)
    title = f"Conversions that share memory, {nbytes / 1e6:.0f} MB"
    table = compare(
        title,
        found,
        baseline={
            name: f"{pair}: bare" for pair in (f"{s} → {t}" for s, t in pairs) for name in (pair, f"{pair}: {PEER}")
        },
        at_most={},
    )
    table.notes += [
        "One call: bare is that of the libraries themselves (`torch.from_numpy`, `jnp.from_dlpack` …).",
        f"{PEER} copies where it does not share; it runs in a process of its own with the same versions.",
    ]
    yield table
    added = []
    for source, target in pairs:
        data, run = source_array(source, nbytes), partial(convert_memory, source_type=source, target_type=target)
        added.append(
            Case(
                f"{source} → {target}",
                lambda _, d=data, r=run, c=bare[source, target]: beyond(lambda: r(d), lambda: c(d), calls),  # type: ignore[misc]
            )
        )
    found = {LIMIT: TEN_MICROSECONDS} | measure(added, repeats)
    yield compare(f"{title}: what Wellfield adds", found, baseline=LIMIT, at_most={case.name: 1.0 for case in added})


def decorated(repeats: int, calls: int) -> Iterator[Table]:
    """X4: a call of a decorated function, with an array that is of its library already."""
    cases = []
    for library in LIBRARIES:
        data = source_array(library, 1_000_000)
        function = getattr(decorators, library)(lambda stack: stack)
        cases += [Case(f"@{library}", lambda _, f=function, d=data: per_call(lambda: f(d), calls))]  # type: ignore[misc]
    found = measure(cases, repeats)
    table = compare(
        "Calls of decorated functions",
        {LIMIT: TEN_MICROSECONDS} | found,
        baseline=LIMIT,
        at_most=dict.fromkeys(found, 1.0),
    )
    table.notes.append("The function returns its argument: what is measured is what the decorator adds.")
    yield table


def stacking(peer: PeerProcess, side: int, repeats: int) -> Iterator[Table]:
    """X4: five planes into a stack of each library, at the cost of one copy."""
    planes = [np.ones((side, side), np.uint16) for _ in range(5)]

    def copy(_: Any) -> Any:
        stack = aligned_empty((5, side, side), np.uint16)
        for out, plane in zip(stack, planes, strict=True):
            np.copyto(out, plane)
        return stack

    one_copy = "one copy into new memory"
    cases = [Case(one_copy, copy)]
    for library in (*LIBRARIES, "pyclesperanto"):
        cases.append(Case(library, lambda _, t=library: stack_slices(planes, t)))  # type: ignore[misc]
        if library in LIBRARIES:
            cases.append(Case(f"{library}: {PEER}", lambda _, t=library: peer.ask("stack", t, 5, side)))  # type: ignore[misc]
    table = compare(
        f"Stacking 5 planes of {side}² uint16",
        measure(cases, repeats),
        baseline=one_copy,
        at_most=dict.fromkeys(LIBRARIES, 1.1),
        units=lambda name, found: {"MB/s": f"{5 * side * side * 2 / found.median / 1e6:,.0f}"},
    )
    table.notes.append("pyclesperanto copies once more, to its OpenCL device.")
    yield table


def peaks(megabytes: int, repeats: int) -> Iterator[Table]:
    """The issue: a conversion needs its source and its result at most."""
    if not memory.available():
        return
    names = (*LIBRARIES, "pyclesperanto")
    ways = [
        (source, target, "C order") for source, target in permutations(names, 2) if (source, target) not in bare_calls()
    ]
    ways.append(("numpy", "torch", "C order"))
    ways += [("numpy", target, layout) for target in names[1:] for layout in ("big-endian", "gaps", "off 64 bytes")]

    def peak(source: str, target: str, layout: str, _: Any) -> float:
        command = [sys.executable, "-m", "benchmarks.conversion_peak", source, target, layout, str(megabytes)]
        return run_timed(command, folder=HERE.parent)

    size = "the result"
    cases = [Case(size, lambda _: megabytes * 1e6)]
    cases += [Case(f"{s} → {t}, {layout}", partial(peak, s, t, layout)) for s, t, layout in ways]
    table = compare(
        f"Peak memory of converting {megabytes} MB, beside the source",
        measure(cases, repeats, warm_up=0),
        baseline=size,
        at_most={case.name: 1.05 for case in cases[1:]},
        unit="B",
    )
    table.notes.append("Growth of the resident memory of a new process; 0 where memory is shared.")
    yield table


def run(*, quick: bool = False) -> list[Table]:
    """Measure everything."""
    prepare([MemoryType.PYCLESPERANTO, *LIBRARIES])
    bare_calls()
    gc.freeze()  # collecting what the libraries hold takes longer than most of what is measured
    repeats, calls = (3, 50) if quick else (5, 300)
    tables: list[Table] = []
    with environment("arraybridge").start(HERE / "peers" / "arraybridge_arrays.py") as peer:
        for nbytes in (1_000_000, 100_000_000):
            tables += shared(peer, nbytes, repeats, calls)
        tables += decorated(repeats, calls)
        tables += stacking(peer, 512 if quick else 2048, repeats)
    tables += peaks(20 if quick else 100, 1)
    return tables
