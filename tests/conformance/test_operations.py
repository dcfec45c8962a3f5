"""What reading costs in operations on files does not grow unseen."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from wellfield.storage.conformance.operations import (
    BATCH,
    Operations,
    count_operations,
    kinds,
    read_baseline,
    read_trace,
)

BASELINE = Path(__file__).parent / "operations.json"
RENEW = "python -m wellfield.storage.conformance.operations tests/conformance/operations.json"

# In a batch, the index of a shard may be read anew for a few groups of planes that are read together: how many of
# them share one reading is a matter of timing.
SHARED = {("zarr-well", BATCH), ("zarr-field", BATCH)}

Tasks = dict[str, Operations]


@pytest.fixture(scope="module", params=kinds())
def counted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tasks]:
    if shutil.which("strace") is None:
        pytest.skip("strace: a Debian package that counts operations")
    return request.param, count_operations(request.param, tmp_path_factory.mktemp("operations"))


def complaints(kind: str, found: Tasks, baseline: Tasks) -> list[str]:
    """Say what costs more than the baseline, and what costs so much less that the baseline protects nothing."""
    said = []
    for task, operations in found.items():
        for what, number in asdict(operations).items():
            known = limit = getattr(baseline[task], what)
            if what == "opened" and (kind, task) in SHARED:
                known, limit = known // 2, known * 3 // 2
            if number > limit:
                said.append(f"{kind}, {task}: {number} {what} instead of {limit}; if that is worth it, run {RENEW}")
            elif number < 0.9 * known:
                said.append(f"{kind}, {task}: only {number} {what} instead of {known}; to keep that, run {RENEW}")
    return said


def test_reading_costs_what_the_baseline_says(counted: tuple[str, Tasks]) -> None:
    kind, tasks = counted
    baseline = read_baseline(BASELINE)[kind]
    assert tasks.keys() == baseline.keys()
    assert not complaints(kind, tasks, baseline)


def test_reading_changes_nothing(counted: tuple[str, Tasks]) -> None:
    _, tasks = counted
    assert [operations.changes for operations in tasks.values()] == [0] * len(tasks)


def test_a_plane_costs_the_same_in_a_plate_of_any_size(counted: tuple[str, Tasks]) -> None:
    kind, tasks = counted
    costs = {task: operations for task, operations in tasks.items() if task.startswith("load a plane of a plate")}
    assert len(costs) == (2 if kind.startswith("zarr") else 0)
    assert len(set(costs.values())) <= 1, costs


@pytest.mark.parametrize(("stats", "said"), [(100, 0), (95, 0), (101, 1), (80, 1)])
def test_more_and_much_less_than_the_baseline_is_said(stats: int, said: int) -> None:
    found = complaints("zarr-file", {"task": Operations(stats=stats)}, {"task": Operations(stats=100)})
    assert len(found) == said
    assert all(RENEW in line and f"{stats} stats" in line for line in found)


def test_operations_are_told_apart_by_what_they_do_and_where() -> None:
    trace = r"""
1  newfstatat(AT_FDCWD</home>, "/data/before", 0x7ff, 0) = -1 ENOENT (No such file or directory)
1  newfstatat(AT_FDCWD</home>, "/data/.begin first task", 0x7ff, 0) = -1 ENOENT (No such file or directory)
1  openat(AT_FDCWD</home>, "/data/a", O_RDONLY|O_CLOEXEC) = 3</data/a>
1  newfstatat(3</data/a>, "", {st_mode=S_IFREG|0644, st_size=3, ...}, AT_EMPTY_PATH) = 0
2  openat(AT_FDCWD</home>, "/data/a", O_RDONLY|O_CLOEXEC <unfinished ...>
1  openat(4</data/sub>, "b", O_RDONLY) = 5</data/sub/b>
2  <... openat resumed>) = 6</data/a>
1  openat(AT_FDCWD</home>, "/data/sub", O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY) = 7</data/sub>
1  statx(AT_FDCWD</home>, "/data/c", AT_STATX_SYNC_AS_STAT, STATX_ALL, 0x7ff) = 0
1  stat("/elsewhere/c", 0x7ff) = 0
1  openat(AT_FDCWD</home>, "/data2/a", O_RDONLY) = 3</data2/a>
1  newfstatat(AT_FDCWD</home>, "/data/.end", 0x7ff, 0) = -1 ENOENT (No such file or directory)
1  stat("/data/between", 0x7ff) = 0
1  newfstatat(AT_FDCWD</home>, "/data/.begin second", 0x7ff, 0) = -1 ENOENT (No such file or directory)
1  openat(AT_FDCWD</home>, "/data/a", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3</data/a>
1  mkdir("/data/new", 0777) = 0
1  rename("/data/x", "/data/y") = 0
1  newfstatat(AT_FDCWD</home>, "/data/.end", 0x7ff, 0) = -1 ENOENT (No such file or directory)
"""
    assert read_trace(trace.splitlines(), Path("/data")) == {
        "first task": Operations(files=2, opened=3, stats=1, listings=1),
        "second": Operations(changes=3),
    }
