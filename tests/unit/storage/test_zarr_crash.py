"""Killed writers, readers beside writers, and several writers of one plate. Every writer is a process of its own."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import StorageError
from wellfield.storage.zarr import reader
from wellfield.storage.zarr.backend import ZarrStorageBackend
from wellfield.storage.zarr.plate import finalize_plate

backend = ZarrStorageBackend()

# Saves a well as version 2; kills itself at the given file operation, 0 for never, and prints how many there were.
WRITER = """
import os, signal, sys
import numpy as np
import zarr
from wellfield.formats import atomic
from wellfield.storage.zarr.backend import ZarrStorageBackend
from wellfield.storage.zarr import writer

store, moment, exchange = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "exchange"
if not exchange:
    atomic._exchange = lambda first, second: False
operations = 0

def count(event, arguments):
    global operations
    if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "ctypes.dlsym"):
        operations += 1
        if operations == moment:
            os.kill(os.getpid(), signal.SIGKILL)

paths = [f"{store}/A01_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
planes = [np.full((16, 16), 2, np.uint16)] * 2
sys.addaudithook(count)
ZarrStorageBackend().save_batch(planes, paths)
print(operations)
"""


def paths(store: Path, well: str = "A01") -> list[Path]:
    return [store / f"{well}_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]


def save_version(store: Path, version: int, well: str = "A01") -> None:
    backend.save_batch([np.full((16, 16), version, np.uint16)] * 2, paths(store, well))


def version_of(store: Path) -> int:
    """Return the version of a well, all of whose pixels must be of the same."""
    found = {int(value) for plane in backend.load_batch(paths(store)) for value in np.unique(plane)}
    assert len(found) == 1, found
    return found.pop()


def run_writer(store: Path, moment: int, way: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WRITER, str(store), str(moment), way]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["exchange", "rename"])
def test_a_well_is_the_old_or_the_new_one_whenever_its_writer_is_killed(tmp_path: Path, way: str) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    complete = run_writer(store, 0, way)
    assert complete.returncode == 0, complete.stderr
    operations = int(complete.stdout)
    assert version_of(store) == 2

    middle = random.Random(0).sample(range(1, operations - 40), 2)
    swap = [operations - back for back in ((37, 35, 12, 2) if way == "exchange" else (40, 38, 37, 36, 35, 34))]
    versions = []
    for moment in middle + swap:
        save_version(store, 1)
        assert run_writer(store, moment, way).returncode == -signal.SIGKILL
        versions.append(version_of(store))
        assert finalize_plate(store, ["A01"], name="P") == ["A01"]
        assert version_of(store) == versions[-1]
        assert sorted(path.name for path in (store / "A").iterdir()) == ["01", "zarr.json"]
    assert set(versions) == {1, 2}  # moments on both sides of the swap were met


def test_a_killed_first_write_leaves_no_well(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    assert run_writer(store, 10, "exchange").returncode == -signal.SIGKILL
    assert not backend.exists(paths(store)[0])
    assert backend.list_files(store) == []
    assert finalize_plate(store, ["A01"], name="P") == []


REWRITER = """
import sys
import numpy as np
from wellfield.storage.zarr.backend import ZarrStorageBackend
store, versions, wells = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(",")
for version in range(1, versions + 1):
    for well in wells:
        paths = [f"{store}/{well}_s{field:03d}_w1_z001_t001.tif" for field in (1, 2)]
        ZarrStorageBackend().save_batch([np.full((16, 16), version, np.uint16)] * 2, paths)
"""


def test_readers_find_one_version_of_a_well_while_it_is_written_again_and_again(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    with subprocess.Popen([sys.executable, "-c", REWRITER, str(store), "40", "A01"]) as writer:
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
    original, calls = reader.read_plane, []

    def interrupted(array, index):
        calls.append(index)
        plane = original(array, index)
        if len(calls) == 1:
            save_version(store, 2)
            if outcome == "an error":
                raise FileNotFoundError("the old well is gone")
        return plane

    monkeypatch.setattr(reader, "read_plane", interrupted)
    assert version_of(store) == 2
    assert len(calls) > 2


def test_a_read_that_never_finds_the_well_at_rest_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "plate.zarr"
    save_version(store, 1)
    original = reader.read_plane

    def interrupted(array, index):
        plane = original(array, index)
        save_version(store, 2)
        return plane

    monkeypatch.setattr(reader, "read_plane", interrupted)
    with pytest.raises(StorageError, match="was replaced 5 times"):
        backend.load(paths(store)[0])


def test_processes_that_write_different_wells_at_once_lose_nothing(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    groups = ["A01,A02,B01", "A03,B02,B03"]
    writers = [subprocess.Popen([sys.executable, "-c", REWRITER, str(store), "3", wells]) for wells in groups]
    assert [writer.wait() for writer in writers] == [0, 0]
    wells = sorted(",".join(groups).split(","))
    assert finalize_plate(store, wells, name="P") == wells
    for well in wells:
        for plane in backend.load_batch(paths(store, well)):
            assert (plane == 3).all()
    assert not [path for path in store.rglob("*") if path.name.endswith((".part", ".lock", ".partial"))]
