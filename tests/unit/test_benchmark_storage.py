"""The storage benchmark measures what its tables say. Nothing here depends on how fast anything is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of the benchmark, writing below *tmp_path*."""
    monkeypatch.syspath_prepend(str(ROOT))
    names = ("bench_storage", "data", "limits", "memory", "storing")
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    monkeypatch.setattr(modules["data"], "WORK", tmp_path)
    monkeypatch.setattr(modules["data"].os, "sync", lambda: None)
    return SimpleNamespace(**modules)


@pytest.fixture
def bench(benchmarks: SimpleNamespace) -> Any:
    return benchmarks.storing.Bench(benchmarks.data.Well(fields=2, channels=2, z=1, side=320), 1)


def test_the_well_is_made_once_and_is_the_same_every_time(benchmarks: SimpleNamespace, tmp_path: Path) -> None:
    well = benchmarks.data.Well(fields=2, channels=1, z=2, side=64)
    first = well.pixels()
    assert first.shape == well.shape
    assert (first.dtype, first.nbytes) == (np.uint16, well.nbytes)
    assert len(np.unique(first)) > 100
    file = well.file()
    file.write_bytes(file.read_bytes()[:-2] + b"\x07\x00")
    assert well.pixels().flat[-1] == 7
    file.unlink()
    assert np.array_equal(well.pixels(), first)


def test_the_keys_are_in_the_order_of_the_planes(bench: Any) -> None:
    assert [(key.field, key.channel, key.z) for key in bench.keys] == [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1)]
    assert np.array_equal(bench.planes[1], bench.pixels[0, 1, 0])


@pytest.mark.parametrize("name", ["WELL", "FILE", "FIELD"])
def test_what_a_layout_stored_is_compared_before_it_is_timed(
    benchmarks: SimpleNamespace, bench: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = getattr(benchmarks.storing, name)
    folder = bench.stored(layout)
    assert np.array_equal(layout.load(folder, bench.keys)[-1], bench.planes[-1])

    monkeypatch.setattr(type(layout), "load", lambda self, folder, keys: [plane + 1 for plane in bench.planes])
    bench._stored.clear()
    with pytest.raises(RuntimeError, match=f"{name} zstd gave other pixels back"):
        bench.stored(layout)


def test_a_write_goes_to_a_new_folder_every_time(benchmarks: SimpleNamespace, bench: Any) -> None:
    case = bench.write(benchmarks.storing.FIELD)
    folder = case.setup()
    case.run(folder)
    assert any(folder.iterdir())
    assert case.setup() == folder
    assert not any(folder.iterdir())


def test_level_zero_alone_is_written_without_a_pyramid(benchmarks: SimpleNamespace, bench: Any) -> None:
    field = benchmarks.storing.FIELD
    whole, alone = benchmarks.data.fresh("whole"), benchmarks.data.fresh("alone")
    field.save(bench.planes, whole, bench.keys)
    with benchmarks.bench_storage.level0_only():
        field.save(bench.planes, alone, bench.keys)
    assert levels(whole) == {"0", "1"}
    assert levels(alone) == {"0"}
    assert np.array_equal(field.load(alone, bench.keys), bench.planes)


def levels(folder: Path) -> set[str]:
    return {path.name for path in (folder / "plate.zarr" / "B" / "03" / "1").iterdir() if path.is_dir()}


def test_a_large_plate_holds_the_well_and_small_ones_beside_it(benchmarks: SimpleNamespace, bench: Any) -> None:
    well = benchmarks.storing.WELL
    folder = benchmarks.bench_storage.plate_of(bench, well, 30)
    assert np.array_equal(well.load(folder, bench.keys), bench.planes)
    rows = [row for row in (folder / "plate.zarr").iterdir() if row.is_dir()]
    assert sum(len([column for column in row.iterdir() if column.is_dir()]) for row in rows) == 30
    assert benchmarks.bench_storage.plate_of(bench, well, 1) == bench.stored(well)


def test_the_codec_takes_all_pixels_and_gives_them_back(benchmarks: SimpleNamespace) -> None:
    plane = np.random.default_rng(1).integers(0, 300, (2048, 1500)).astype(np.uint16)
    chunks = benchmarks.limits.tiles(plane)
    assert [chunk.shape for chunk in chunks] == [(1024, 1500)] * 2
    codec = benchmarks.limits.Codec(chunks)
    assert 0 < codec.nbytes < plane.nbytes
    for decoded in (codec.decode_fresh(), codec.decode_block(), codec.decode_reused()):
        assert np.array_equal(np.concatenate(list(decoded)), plane)
    assert codec.decode_reused() is codec.decode_reused()
    first, second = codec.decode_fresh(), codec.decode_fresh()
    assert not np.shares_memory(first[0], second[0])


def test_the_footprint_counts_files_in_all_folders(benchmarks: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(bytes(10))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(5))
    assert benchmarks.data.footprint(tmp_path / "a") == (15, 2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is told by Linux")
def test_the_peak_counts_what_was_freed_again_and_not_what_was_held(benchmarks: SimpleNamespace) -> None:
    size = 64 * 2**20
    held = np.ones(size, np.uint8)

    def need_it_for_a_moment() -> int:
        return int(np.ones(size, np.uint8).sum())

    peak = benchmarks.memory.peak_growth(need_it_for_a_moment)
    assert 0.9 * size < peak < 1.5 * size
    assert benchmarks.memory.peak_growth(held.sum) < 0.5 * size
