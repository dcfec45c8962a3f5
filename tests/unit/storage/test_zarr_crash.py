"""Killed writers, readers beside writers, and several writers of one plate. Every writer is a process of its own."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import StorageError
from wellfield.formats import atomic
from wellfield.formats.atomic import is_part
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr import reader
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

backend = ZarrStorageBackend()
STRATEGIES = list(ZarrChunkStrategy)
STRESS = os.environ.get("WELLFIELD_STRESS") == "1"

# Saves a well as version 2; kills itself at the given file operation of the swap, 0 for never, and prints how many
# operations there were. The swap is what comes once the well is complete beside its place.
WRITER = """
import os, signal, sys
import numpy as np
import zarr
from wellfield.formats import atomic
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr import writer
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

store, strategy, moment, exchange = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "exchange"
if not exchange:
    atomic._exchange = lambda first, second: False
swapping, operations = False, 0

def count(event, arguments):
    global operations
    if swapping and event in ("open", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlsym"):
        operations += 1
        if operations == moment:
            os.kill(os.getpid(), signal.SIGKILL)

def swap(staged, final, original=writer.replace_directory):
    global swapping
    swapping = True
    original(staged, final)

writer.replace_directory = swap
paths = [f"{store}/A01_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
planes = [np.full((16, 16), 2, np.uint16)] * 2
sys.addaudithook(count)
ZarrStorageBackend().save_batch(planes, paths, zarr_config=ZarrConfig(ZarrChunkStrategy(strategy)))
print(operations)
"""


def paths(store: Path, well: str = "A01") -> list[Path]:
    return [store / f"{well}_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]


def save_version(store: Path, version: int, strategy: ZarrChunkStrategy = ZarrChunkStrategy.FIELD) -> None:
    backend.save_batch([np.full((16, 16), version, np.uint16)] * 2, paths(store), zarr_config=ZarrConfig(strategy))


def version_of(store: Path, well: str = "A01") -> int:
    """Return the version of a well, all of whose pixels must be of the same."""
    found = {int(value) for plane in backend.load_batch(backend.list_files(store)) for value in np.unique(plane)}
    assert len(found) == 1, found
    return found.pop()


def run_writer(store: Path, strategy: str, moment: int, way: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITER, str(store), strategy, str(moment), way]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("way", "strategy"), [("exchange", "field"), ("exchange", "well"), ("rename", "file")])
def test_a_well_is_the_old_or_the_new_one_whichever_step_of_the_swap_its_writer_is_killed_at(
    tmp_path: Path, way: str, strategy: str
) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    complete = run_writer(store, strategy, 0, way)
    assert complete.returncode == 0, complete.stderr
    operations = int(complete.stdout)
    assert version_of(store) == 2

    versions = []
    for moment in [1, 2, 3, 4, 5, operations]:
        save_version(store, 1)
        assert run_writer(store, strategy, moment, way).returncode == -signal.SIGKILL
        versions.append(version_of(store))
        assert finalize_plate(store, ["A01"], name="P") == ["A01"]
        assert version_of(store) == versions[-1]
        assert sorted(path.name for path in (store / "A").iterdir()) == ["01", "zarr.json"]
    assert set(versions) == {1, 2}  # moments on both sides of the swap were met


# Rewrites a well as version 2, 3, …, with enough pixels that most of the time goes into writing them.
ENDLESS = """
import itertools, sys
import numpy as np
import zarr
from wellfield.formats import atomic
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

store, strategy = sys.argv[1], sys.argv[2]
if sys.argv[3] != "exchange":
    atomic._exchange = lambda first, second: False
paths = [f"{store}/A01_s{f:03d}_w{c}_z{z:03d}_t001.tif" for f in (1, 2) for c in (1, 2) for z in (1, 2, 3)]
config = ZarrConfig(ZarrChunkStrategy(strategy))
for version in itertools.count(2):
    ZarrStorageBackend().save_batch([np.full((600, 600), version, np.uint16)] * 12, paths, zarr_config=config)
    print(version, flush=True)
"""


@pytest.mark.stress
def test_a_reader_finds_the_old_or_the_new_well_after_every_kill_at_a_random_moment(tmp_path: Path) -> None:
    kills = 200 if STRESS else 6
    chance = random.Random(0)
    ways = itertools.cycle(itertools.product(("exchange", "rename"), STRATEGIES))
    outcomes: Counter[str] = Counter()
    for number, (way, strategy) in zip(range(kills), ways, strict=False):
        store = tmp_path / f"{number}.zarr"
        save_version(store, 1)
        command = [sys.executable, "-c", ENDLESS, str(store), str(strategy), way]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            reported = int(writer.stdout.readline())
            with suppress(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0, 0.25))
            writer.kill()
            lines = writer.stdout.read().split()
        assert writer.returncode == -signal.SIGKILL
        reported = int(lines[-1]) if lines else reported
        left = any(is_part(path.name) for path in (store / "A").iterdir())
        found = version_of(store)
        assert found in (reported, reported + 1)  # killed before or after the swap, or between it and the report
        outcomes["in the middle of a write" if left else "between two writes"] += 1
        assert finalize_plate(store, ["A01"], name="P") == ["A01"]
        assert version_of(store) == found
        assert not [path for path in store.rglob("*") if is_part(path.name) or "lock" in path.name]
        shutil.rmtree(store)
    print(f"{kills} kills: {dict(outcomes)}")
    assert outcomes["in the middle of a write"] > kills / 4


def test_a_killed_first_write_leaves_no_well(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    assert run_writer(store, "field", 1, "exchange").returncode == -signal.SIGKILL
    assert not backend.exists(paths(store)[0])
    assert backend.list_files(store) == []
    assert finalize_plate(store, ["A01"], name="P") == []


REWRITER = """
import sys
import numpy as np
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend
store, versions, config = sys.argv[1], int(sys.argv[2]), ZarrConfig(ZarrChunkStrategy(sys.argv[3]))
for version in range(1, versions + 1):
    paths = [f"{store}/A01_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
    ZarrStorageBackend().save_batch([np.full((16, 16), version, np.uint16)] * 2, paths, zarr_config=config)
"""


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_readers_find_one_version_of_a_well_while_it_is_written_again_and_again(
    tmp_path: Path, strategy: ZarrChunkStrategy
) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1, strategy)
    with subprocess.Popen([sys.executable, "-c", REWRITER, str(store), "40", str(strategy)]) as writer:
        seen = []
        while writer.poll() is None:
            seen.append(version_of(store))
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert version_of(store) == 40


@pytest.mark.parametrize("outcome", ["stale pixels", "an error"])
def test_a_read_during_which_the_well_is_replaced_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    original, calls = reader.read_planes, []

    def interrupted(array, indices):
        calls.append(indices)
        plane = original(array, indices)
        if len(calls) == 1:
            save_version(store, 2)
            if outcome == "an error":
                raise FileNotFoundError("the old well is gone")
        return plane

    monkeypatch.setattr(reader, "read_planes", interrupted)
    assert version_of(store) == 2
    assert len(calls) > 2


def test_a_read_that_never_finds_the_well_at_rest_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    original = reader.read_planes

    def interrupted(array, indices):
        plane = original(array, indices)
        save_version(store, 2)
        return plane

    monkeypatch.setattr(reader, "read_planes", interrupted)
    with pytest.raises(StorageError, match="was replaced 50 times"):
        backend.load(paths(store)[0])


WELL_WRITER = """
import sys
import numpy as np
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

store, strategy, rounds, wells = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split(",")
for number in range(1, rounds + 1):
    for well in wells:
        paths = [f"{store}/{well}_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
        planes = [np.full((16, 16), number, np.uint16)] * 2
        ZarrStorageBackend().save_batch(planes, paths, zarr_config=ZarrConfig(ZarrChunkStrategy(strategy)))
"""


@pytest.mark.stress
def test_processes_that_write_different_wells_of_a_plate_at_once_lose_nothing(tmp_path: Path) -> None:
    processes, rounds = (8, 20) if STRESS else (3, 2)
    wells = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]
    wells = wells if STRESS else wells[::8]
    for strategy in STRATEGIES:
        store = tmp_path / f"{strategy}.zarr"
        commands = [
            [sys.executable, "-c", WELL_WRITER, str(store), str(strategy), str(rounds), ",".join(wells[n::processes])]
            for n in range(processes)
        ]
        writers = [subprocess.Popen(command) for command in commands]
        assert [writer.wait() for writer in writers] == [0] * processes
        assert finalize_plate(store, wells, name="P") == wells
        files = backend.list_files(store)
        assert len(files) == 2 * len(wells)
        assert all((plane == rounds).all() for plane in backend.load_batch(files))
        assert not [path for path in store.rglob("*") if is_part(path.name) or "lock" in path.name]


def test_a_reader_that_heals_between_the_two_renames_of_a_living_writer_stops_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    original, read = Path.rename, []

    def interrupted(self: Path, target: Path) -> Path:
        result = original(self, target)
        if self.name == "01" and len(read) < 2:  # the old well is away, the new one not there yet
            read.append(version_of(store))
        return result

    monkeypatch.setattr(Path, "rename", interrupted)
    save_version(store, 2)
    assert read == [1, 1]
    assert version_of(store) == 2
    assert [path.name for path in (store / "A").iterdir()] == ["01"]
