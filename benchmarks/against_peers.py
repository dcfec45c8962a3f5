"""Tables of the storage benchmark with peers: polystore, and Zarr engines used directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.harness import HERE, Case, Statistics, Table, compare, duration, measure
from benchmarks.processes import PeerEnvironment, PeerProcess
from benchmarks.storing import PLANES_READ, WELL, Bench, Layout
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor


def environment(name: str, *, complete: bool = False) -> PeerEnvironment:
    """Return the environment of a peer, pinned in ``benchmarks/peers``."""
    return PeerEnvironment(name, tuple((HERE / "peers" / f"{name}.txt").read_text().split()), complete)


POLYSTORE = environment("polystore").requirements[0].replace("==", " ")
PAIRS = (  # ours, and what polystore has of the same class
    (ZarrCompressor.ZSTD, ("ZSTD",)),
    (ZarrCompressor.LZ4, ("BLOSC", "LZ4")),
    (ZarrCompressor.NONE, ("NONE",)),
)
ENGINES = ("zarr-python", "zarrs", "tensorstore")


def against_polystore(bench: Bench, polystore: PeerProcess) -> Iterator[Table]:
    """The issue: three times as fast with WELL and zstd, never slower in any pairing."""
    writes, reads = [], []
    rivals: dict[str, list[str]] = {}
    at_most: dict[str, float] = {}
    for strategy in (ZarrChunkStrategy.WELL, ZarrChunkStrategy.FILE):
        for compressor, codecs in PAIRS:
            layout = Layout.zarr(strategy, compressor)
            for codec in codecs:
                peer = f"{POLYSTORE} {strategy.name} {codec.lower()}"
                polystore.ask("prepare", strategy.name, codec)
                writes.append(Case(peer, lambda _, s=strategy.name, c=codec: polystore.ask("write", s, c)))  # type: ignore[misc]
                reads.append(Case(peer, lambda _, s=strategy.name, c=codec: polystore.ask("read", s, c)))  # type: ignore[misc]
                rivals.setdefault(layout.name, []).append(peer)
            at_most[layout.name] = 1 / 3 if layout.name == WELL.name else 1
            writes.append(bench.write(layout))
            reads.append(bench.read(layout))
    for title, cases in (("Write", writes), ("Read", reads)):
        results = measure(cases, min(bench.repeats, 3), warm_up=0)  # each has run once, to be compared
        baseline = {name: min(found, key=lambda peer: results[peer].median) for name, found in rivals.items()}
        table = compare(
            f"{title} {bench.well}: {POLYSTORE}", results, baseline=baseline, at_most=at_most, units=bench.speed
        )
        table.notes += [
            "Codec level 1 everywhere. Wellfield: Blosc with bit shuffle. polystore: `zstd` and `lz4` without shuffle, "
            "`blosc` is lz4 with byte shuffle; of several codecs of one class the fastest is the peer.",
            "polystore's WELL is a chunk per field, Wellfield's one object per well with chunks of a plane.",
        ]
        yield table


def engines(bench: Bench, peer: PeerProcess) -> Iterator[Table]:
    """Why the pixels go through tensorstore: bare engines on the layouts of FIELD and WELL."""
    for layout in ("FIELD", "WELL"):
        for engine in ENGINES:
            peer.ask("prepare", engine, layout)

        def cases(operation: str, *more: int, layout: str = layout) -> list[Case]:
            return [
                Case(engine, lambda _, engine=engine: peer.ask(operation, engine, layout, *more))  # type: ignore[misc]
                for engine in ENGINES
            ]

        repeats = min(bench.repeats, 3)
        writes = measure(cases("write"), repeats, warm_up=0)
        reads = measure(cases("read"), repeats, warm_up=0)
        planes = measure(cases("plane", PLANES_READ), repeats)

        def columns(
            name: str,
            write: Statistics,
            reads: Mapping[str, Statistics] = reads,
            planes: Mapping[str, Statistics] = planes,
        ) -> Mapping[str, str]:
            return {
                "write MB/s": bench.speed(name, write)["MB/s"],
                "read MB/s": bench.speed(name, reads[name])["MB/s"],
                "one plane": duration(planes[name].median),
            }

        table = compare(f"Bare engines, {layout}: {bench.well}", writes, baseline="zarr-python", units=columns)
        table.notes.append(
            "Median, IQR, min and ratio are those of writing level 0 from one array in memory; no backend, no metadata "
            "but that of the array; shards as the backend makes them, codec Blosc zstd level 1, bit shuffle. `zarrs` "
            f"is zarr-python with the pipeline of zarrs. Versions: {', '.join(environment('engines').requirements)}."
        )
        yield table
