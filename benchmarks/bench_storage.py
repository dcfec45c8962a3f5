"""Storage (SPEC X2, X3, X8): a well through the file manager, compared with limits, peers and libraries used directly.

All cases read from the page cache and write to the file system of ``benchmarks/work``. Before each write the target is
removed, and earlier writes have reached the disk. All pixels are compared once before anything is timed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import limits, memory
from benchmarks.against_peers import POLYSTORE, against_polystore, engines, environment
from benchmarks.data import FULL, QUICK, WELL_NAME, cores, footprint, fresh
from benchmarks.harness import HERE, WORK, Case, Statistics, Table, compare, duration, measure
from benchmarks.processes import PeerProcess, run_timed
from benchmarks.storing import FIELD, FILE, TIFFS, WELL, Bench, Layout, manager, timed
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import well_name

X2, X3, ONE_PLANE, MEMORY = 1 / 0.8, 1.10, 1.5, 1.10


def codec_and_field(bench: Bench) -> Iterator[Table]:
    """X2: what memory, files and the codec allow, and FIELD beside it."""
    pixels, folder = bench.pixels, fresh("limits")
    target = np.empty_like(pixels)
    np.save(folder / "well.npy", pixels)
    codec = limits.Codec([tile for plane in bench.planes for tile in limits.tiles(plane)])
    encode, decode, level0 = "codec: encode", "codec: decode, new array a chunk", "FIELD zstd, level 0 only"

    def write_level0(out: Path) -> None:
        with level0_only():
            FIELD.save(bench.planes, out, bench.keys)

    def write_file(out: Path, *, sync: bool) -> None:
        limits.save(out / "well.npy", pixels, sync=sync)

    copies = [
        Case("memcpy", lambda _: np.copyto(target, pixels)),
        Case("memcpy to new memory", lambda _: pixels.copy()),
    ]
    writes = [
        Case("np.save", partial(write_file, sync=False), lambda: fresh("write npy")),
        Case("np.save, on the disk", partial(write_file, sync=True), lambda: fresh("write npy")),
        Case(encode, lambda _: codec.encode()),
        Case(level0, write_level0, lambda: fresh("write level 0")),
        bench.write(FIELD, "FIELD zstd, with pyramid"),
    ]
    reads = [
        Case("np.load", lambda _: np.load(folder / "well.npy")),
        Case(decode, lambda _: codec.decode_fresh()),
        Case("codec: decode, one new array", lambda _: codec.decode_block()),
        Case("codec: decode, memory used before", lambda _: codec.decode_reused()),
        bench.read(FIELD, "FIELD zstd, level 0 read"),
    ]
    results = measure([*copies, *writes, *reads], bench.repeats)

    table = compare(
        f"Write {bench.well}: FIELD and its codec",
        pick(results, copies, writes),
        baseline=encode,
        at_most={level0: X2},
        units=bench.speed,
    )
    pyramid = results["FIELD zstd, with pyramid"].median - results[level0].median
    table.notes += [
        f"Codec: Blosc zstd level 1, bit shuffle, chunks of 1024² pixels, one a thread on {cores()} cores, cut before; "
        f"{bench.well.nbytes / codec.nbytes:.2f} times smaller.",
        f"The pyramid takes {duration(pyramid)}, {pyramid / results[level0].median:.0%} of level 0.",
        "Wellfield waits for the disk no more than `np.save` does.",
    ]
    yield table
    table = compare(
        f"Read {bench.well}: FIELD and its codec",
        pick(results, copies, reads),
        baseline=decode,
        at_most={"FIELD zstd, level 0 read": X2},
        units=bench.speed,
    )
    table.notes.append(
        "The target refers to the codec into new memory, as a reader must give it; the kernel has to clear it first."
    )
    yield table


@contextmanager
def level0_only() -> Iterator[None]:
    """Let the writer of FIELD make no pyramid: the backend has no option for that."""
    with mock.patch("wellfield.storage.zarr.writer.level_shapes", lambda shape: [shape]):
        yield


def one_plane(bench: Bench, polystore: PeerProcess) -> Iterator[Table]:
    """X2, Z7: one plane costs about its decoding, however large the plate is."""
    planes = [bench.planes[number] for number in bench.chosen]
    decode_chunk, decode_tiles = "decode one chunk of a plane", "decode the chunks of 1024² of a plane"
    whole = [limits.Codec([plane]) for plane in planes]
    cut, slow = ([limits.Codec(limits.tiles(plane), threads) for plane in planes] for threads in (cores(), 1))
    peers = {f"{POLYSTORE} {strategy} zstd": strategy for strategy in ("WELL", "FILE")}
    for strategy in peers.values():
        polystore.ask("prepare", strategy, "ZSTD")
    plates = {
        f"{layout.name}, plate of {wells}": (layout, plate_of(bench, layout, wells))
        for layout in (WELL, FIELD)
        for wells in (1, 384)
    }
    cases = [
        Case(decode_chunk, lambda _: timed(lambda: [codec.decode_fresh() for codec in whole], len(whole))),
        Case(decode_tiles, lambda _: timed(lambda: [codec.decode_fresh() for codec in cut], len(cut))),
        Case(
            f"{decode_tiles}, one thread", lambda _: timed(lambda: [codec.decode_fresh() for codec in slow], len(slow))
        ),
        *(bench.one_plane(layout, name, folder) for name, (layout, folder) in plates.items()),
        bench.one_plane(FILE, "FILE zstd, plate of 1"),
        *(
            Case(name, lambda _, strategy=strategy: polystore.ask("plane", strategy, "ZSTD", 5))  # type: ignore[misc]
            for name, strategy in peers.items()
        ),
    ]
    baseline = {case.name: decode_tiles if case.name.startswith("FIELD") else decode_chunk for case in cases[3:]}
    table = compare(
        f"One plane of {bench.well}",
        measure(cases, bench.repeats),
        baseline=baseline,
        at_most={name: ONE_PLANE for name in baseline if not name.startswith(POLYSTORE)},
    )
    table.notes += [
        f"A case reads {len(planes)} planes one by one, of polystore 5; times are of one plane.",
        f"A chunk is decoded by one thread, the chunks of FIELD by {cores()} unless the row says otherwise. In the "
        "plate of 384 wells the others hold one plane of 32² each. polystore's plates have one well.",
    ]
    yield table


def plate_of(bench: Bench, layout: Layout, wells: int) -> Path:
    """Return a plate that holds the well, and small ones beside it."""
    if wells == 1:
        return bench.stored(layout)
    folder = fresh(f"read {layout.name} of {wells}")
    shutil.copytree(bench.stored(layout), folder, dirs_exist_ok=True)
    plane = np.ones((32, 32), np.uint16)
    for number in range(wells):
        well = well_name(number // 24, number % 24)
        if well != WELL_NAME:
            options = {**layout.options, "chunk_name": well}
            Layout(layout.name, layout.backend, options).save([plane], folder, [PlaneKey(well, 1, 1, 1, 1)])
    return folder


def peak_memory(bench: Bench) -> Iterator[Table]:
    """The issue: writing a well needs its size and a tenth at most, reading a plane one inner chunk."""
    if not memory.available():
        return
    strategies = {layout.name.split()[0]: layout for layout in (WELL, FILE, FIELD)}
    repeats = min(bench.repeats, 3)

    def peak(operation: str, strategy: str, folder: Path) -> float:
        command = [sys.executable, "-m", "benchmarks.memory", operation, strategy, str(bench.well.file()), str(folder)]
        return run_timed(command, folder=HERE.parent)

    size = "size of the well"
    cases = [Case(f"{name} write", partial(peak, "write", name), lambda: fresh("memory")) for name in strategies]
    above = measure([Case(size, lambda _: float(bench.well.nbytes)), *cases], repeats, warm_up=0)
    given = {f"{case.name}, planes included": above[case.name].plus(bench.well.nbytes) for case in cases}
    table = compare(
        f"Peak memory of writing {bench.well}",
        above | given,
        baseline=size,
        at_most={name: MEMORY for name in (above | given) if name != size},
        unit="B",
    )
    table.notes.append(
        "Growth of the resident memory of a new process over what it held before the call (Python, libraries after a "
        "small well, the planes); with the planes included, their size is added. FIELD writes its pyramid."
    )
    yield table

    plane = bench.planes[bench.chosen[-1]]
    whole, tile = "a plane, the chunk of WELL and FILE", "a chunk of FIELD"
    cases = [
        Case(f"{name} read", partial(peak, "read", name), partial(bench.stored, layout))
        for name, layout in strategies.items()
    ]
    chunks = {whole: plane.nbytes, tile: limits.tiles(plane)[0].nbytes}
    sizes = [Case(name, partial(lambda size, _: float(size), size)) for name, size in chunks.items()]
    found = measure([*sizes, *cases], repeats, warm_up=0)
    beyond = {f"{case.name}, beyond the plane": found[case.name].plus(-plane.nbytes) for case in cases}
    table = compare(
        f"Peak memory of reading one plane of {bench.well}",
        found | beyond,
        baseline={name: tile if name.startswith("FIELD") else whole for name in found | beyond},
        at_most=dict.fromkeys(beyond, MEMORY),
        unit="B",
    )
    table.notes.append("Counted alike; the plane that is given back is in the first rows and not in the last.")
    yield table


def tiff(bench: Bench) -> Iterator[Table]:
    """X3: TIFF through the file manager and by bare tifffile."""
    import tifffile

    bare, one, batch = "bare tifffile", "file manager, one by one", "file manager, as a batch"
    layout = TIFFS[0]
    folder = bench.stored(layout)

    def each(out: Path, use: Callable[[Any, str], Any]) -> list[Any]:
        return [use(plane, path) for plane, path in zip(bench.planes, layout.paths(out, bench.keys), strict=True)]

    files = manager()
    writes = [
        Case(
            bare, lambda out: each(out, lambda plane, path: tifffile.imwrite(path, plane)), lambda: fresh("write bare")
        ),
        Case(
            one,
            lambda out: each(out, lambda plane, path: files.save(plane, path, layout.backend)),
            lambda: fresh("write tiff one by one"),
        ),
        bench.write(layout, batch),
    ]
    reads = [
        Case(bare, lambda _: each(folder, lambda plane, path: tifffile.imread(path))),
        Case(one, lambda _: each(folder, lambda plane, path: files.load(path, layout.backend))),
        bench.read(layout, batch),
    ]
    for title, cases in (("Write", writes), ("Read", reads)):
        yield compare(
            f"{title} {bench.well}: a TIFF without compression per plane",
            measure(cases, bench.repeats),
            baseline=bare,
            at_most={one: X3, batch: X3},
            units=bench.speed,
        )


def layouts(bench: Bench) -> Iterator[Table]:
    """X8: the ways of storing a well side by side."""
    every = (WELL, FILE, FIELD, *TIFFS)
    repeats = min(bench.repeats, 3)
    writes = measure([bench.write(layout) for layout in every], repeats, warm_up=0)
    reads = measure([bench.read(layout) for layout in every], repeats, warm_up=0)
    planes = measure([bench.one_plane(layout) for layout in every], repeats)
    found = {layout.name: footprint(bench.stored(layout)) for layout in every}

    def columns(name: str, write: Statistics) -> Mapping[str, str]:
        size, files = found[name]
        return {
            "write MB/s": bench.speed(name, write)["MB/s"],
            "read MB/s": bench.speed(name, reads[name])["MB/s"],
            "one plane": duration(planes[name].median),
            "on disk": f"{size / 1e6:.0f} MB",
            "smaller by": f"{bench.well.nbytes / size:.2f}",
            "files": f"{files}",
        }

    table = compare(f"Layouts: {bench.well}", writes, baseline=WELL.name, units=columns)
    table.notes += [
        "Median, IQR, min and ratio are those of writing. FIELD writes and keeps a pyramid; reading is of level 0. "
        "Files and sizes are those of everything in the store.",
        "Zarr: Blosc zstd level 1, bit shuffle. TIFF: levels as tifffile has them; batches are written and read by the "
        "disk backend's threads.",
    ]
    yield table


def pick(results: Mapping[str, Statistics], *groups: Sequence[Case]) -> dict[str, Statistics]:
    """Return the results of some cases."""
    return {case.name: results[case.name] for cases in groups for case in cases}


def run(*, quick: bool = False) -> list[Table]:
    """Measure everything; ``quick`` takes a small well, on which targets mean little."""
    well, repeats = (QUICK, 3) if quick else (FULL, 7)
    bench = Bench(well, repeats)
    peers, file, folder = HERE / "peers", str(well.file()), str(fresh("peers"))
    tables = list(codec_and_field(bench))
    with environment("polystore").start(peers / "polystore_wells.py", file, folder) as polystore:
        tables += [*one_plane(bench, polystore), *against_polystore(bench, polystore)]
    tables += [*peak_memory(bench), *tiff(bench), *layouts(bench)]
    with environment("engines").start(peers / "engines.py", file, folder) as process:
        tables += engines(bench, process)
    shutil.rmtree(WORK / "storage", ignore_errors=True)
    if quick:
        for table in tables:
            table.notes.append("A quick run: the targets are meant for the large well.")
    return tables
