"""The benchmark harness counts and compares correctly. Nothing here depends on how fast anything is."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def harness() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT))
    yield importlib.import_module("benchmarks.harness")
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def processes(harness: ModuleType) -> ModuleType:
    return importlib.import_module("benchmarks.processes")


def constant(seconds: float, log: list[str], name: str) -> Any:
    def run(prepared: Any) -> float:
        log.append(f"{name}({prepared})")
        return seconds

    return run


def test_statistics_are_those_of_the_textbook(harness: ModuleType) -> None:
    found = harness.Statistics.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.minimum, found.q1, found.q3, found.iqr, found.repeats) == (3, 1, 2, 4, 2, 5)


def test_one_time_has_no_spread_and_none_is_an_error(harness: ModuleType) -> None:
    assert harness.Statistics.of([2.0]) == harness.Statistics(2.0, 2.0, 2.0, 2.0, 1)
    with pytest.raises(ValueError, match="no time"):
        harness.Statistics.of([])


@given(times=st.lists(st.floats(1e-9, 1e3), min_size=1))
def test_order_does_not_matter_and_the_quartiles_are_in_order(harness: ModuleType, times: list[float]) -> None:
    found = harness.Statistics.of(times)
    assert found == harness.Statistics.of(sorted(times))
    assert min(times) == found.minimum <= found.q1 <= found.median <= found.q3 <= max(times)


def test_an_outlier_moves_neither_median_nor_spread(harness: ModuleType) -> None:
    calm, disturbed = harness.Statistics.of([1.0] * 9), harness.Statistics.of([1.0] * 8 + [100.0])
    assert (calm.median, calm.iqr) == (disturbed.median, disturbed.iqr)


def test_cases_are_interleaved_and_the_warm_up_does_not_count(harness: ModuleType) -> None:
    log: list[str] = []
    times = iter([9.0, 1.0, 2.0, 3.0])
    cases = [
        harness.Case("a", lambda prepared: (log.append("a"), next(times))[1]),
        harness.Case("b", constant(5.0, log, "b"), lambda: "ready"),
    ]
    results = harness.measure(cases, 3)
    assert log == ["a", "b(ready)", "b(ready)", "a", "a", "b(ready)", "b(ready)", "a"]
    assert results["a"] == harness.Statistics.of([1.0, 2.0, 3.0])
    assert (results["b"].median, results["b"].repeats) == (5.0, 3)


def test_setup_is_not_timed(harness: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock[0])

    def pass_time(seconds: float) -> None:
        clock[0] += seconds

    case = harness.Case("a", lambda prepared: pass_time(2.0), lambda: pass_time(50.0))
    assert harness.measure([case], 4)["a"] == harness.Statistics(2.0, 2.0, 2.0, 2.0, 4)


def test_a_result_is_freed_before_the_next_case_is_timed(harness: ModuleType) -> None:
    alive: list[bool] = []

    class Result:
        pass

    def first(prepared: None) -> Result:
        result = Result()
        alive.clear()
        weakref.finalize(result, lambda: alive.append(False))
        return result

    seen: list[int] = []
    harness.measure([harness.Case("a", first), harness.Case("b", print, lambda: seen.append(len(alive)))], 1, warm_up=0)
    assert seen == [1]


def test_two_cases_of_one_name_are_refused(harness: ModuleType) -> None:
    with pytest.raises(ValueError, match="share a name"):
        harness.measure([harness.Case("a", print), harness.Case("a", print)], 1)


def results(harness: ModuleType, **medians: float) -> dict[str, Any]:
    return {name: harness.Statistics(value, value, value, value, 3) for name, value in medians.items()}


def test_ratios_and_targets_refer_to_the_baseline_of_the_same_run(harness: ModuleType) -> None:
    found = results(harness, floor=2.0, ours=6.0, peer=20.0)
    table = harness.compare("t", found, baseline="floor", at_most={"ours": 3, "peer": 9.99})
    assert [(row.name, row.ratio, row.met) for row in table.rows] == [
        ("floor", None, None),
        ("ours", 3.0, True),
        ("peer", 10.0, False),
    ]
    text = table.markdown()
    assert "| ours | 6 s | 0 µs | 6 s | 3.00 | ≤ 3 × met |" in text
    assert "| peer | 20 s | 0 µs | 20 s | 10.00 | ≤ 9.99 × **missed** |" in text


def test_a_row_may_have_a_case_of_its_own_to_be_compared_with(harness: ModuleType) -> None:
    found = results(harness, peer=8.0, ours=2.0, limit=1.0, read=3.0)
    table = harness.compare("t", found, baseline={"ours": "peer", "read": "limit"}, at_most={"ours": 1 / 3, "read": 2})
    assert [(row.name, row.against, row.ratio, row.met) for row in table.rows] == [
        ("peer", "peer", None, None),
        ("ours", "peer", 0.25, True),
        ("limit", "limit", None, None),
        ("read", "limit", 3.0, False),
    ]
    text = table.markdown()
    assert "| min | ratio | target |" in text
    assert "| ours | 2 s | 0 µs | 2 s | 0.25 × peer | ≤ 0.333 × met |" in text
    assert "| read | 3 s | 0 µs | 3 s | 3.00 × limit | ≤ 2 × **missed** |" in text


def test_a_target_without_anything_to_compare_with_is_refused(harness: ModuleType) -> None:
    found = results(harness, peer=8.0, ours=2.0)
    with pytest.raises(ValueError, match="'ours' has a target"):
        harness.compare("t", found, baseline={}, at_most={"ours": 1})


def test_a_table_of_memory_shows_bytes(harness: ModuleType) -> None:
    found = results(harness, well=755e6, ours=830.5e6)
    text = harness.compare("t", found, baseline="well", at_most={"ours": 1.1}, unit="B").markdown()
    assert "| ours | 830 MB | 0 B | 830 MB | 1.10 | ≤ 1.1 × met |" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (4096, "4.1 kB"), (8.39e6, "8.39 MB"), (1.51e9, "1.51 GB"), (-4096, "-4.1 kB")],
)
def test_sizes_have_three_digits_and_a_unit(harness: ModuleType, number: float, text: str) -> None:
    assert harness.size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.5e-6, "1.5 µs"), (0.0123, "12.3 ms"), (0.999, "999 ms"), (1.0, "1 s"), (61.25, "61.2 s")]
)
def test_durations_have_three_digits_and_a_unit(harness: ModuleType, seconds: float, text: str) -> None:
    assert harness.duration(seconds) == text


def test_a_report_holds_table_machine_and_command(
    harness: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "OUT", tmp_path / "out")
    found = results(harness, floor=1.0, ours=2.0)
    table = harness.compare("Title", found, baseline="floor", units=lambda name, s: {"per file": f"{s.median:.0f} µs"})
    path = harness.write_report("example", [table], command="python -m benchmarks example")
    text, data = path.read_text(), json.loads(path.with_suffix(".json").read_text())
    assert "### Title" in text
    assert "| ours | 2 s | 0 µs | 2 s | 2 µs | 2.00 |  |" in text
    assert data["command"] == "python -m benchmarks example"
    assert data["tables"][0]["rows"][1]["statistics"]["median"] == 2.0
    assert set(data["machine"]) == {"cpu", "cores", "memory_gib", "system", "python", "libraries", "code"}
    assert data["machine"]["libraries"]["numpy"] in text


def test_the_report_does_not_name_the_host(harness: ModuleType) -> None:
    import platform

    assert platform.node() not in json.dumps(harness.machine()) or len(platform.node()) < 4


def test_peers_must_be_pinned_and_have_a_folder_per_requirements(processes: ModuleType) -> None:
    with pytest.raises(ValueError, match="not pinned: polystore"):
        processes.PeerEnvironment("p", ("polystore", "numpy==2.0"))
    first, second = (processes.PeerEnvironment("p", (requirement,)) for requirement in ("a==1", "a==2"))
    assert first.folder != second.folder
    assert first.folder.parent == processes.WORK


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks" / "peers").glob("*.txt")), ids=lambda file: file.name)
def test_the_peers_there_are_are_pinned(processes: ModuleType, file: Path) -> None:
    processes.PeerEnvironment(file.stem, tuple(file.read_text().split()))


def test_a_process_tells_its_own_time_and_its_failure_is_shown(processes: ModuleType, tmp_path: Path) -> None:
    assert processes.run_timed([sys.executable, "-c", "print('log'); print(0.25)"]) == 0.25
    command = [sys.executable, "-c", "from pathlib import Path; print(float(Path('number').read_text()))"]
    (tmp_path / "number").write_text("3")
    assert processes.run_timed(command, folder=tmp_path) == 3
    with pytest.raises(RuntimeError, match="no such peer"):
        processes.run_timed([sys.executable, "-c", "raise SystemExit('no such peer')"])


PEER = """
import sys
sys.path.insert(0, sys.argv[1])
from answer import answer, seconds

calls = []

def add(a, b):
    print("a library talks")
    calls.append(a)
    return a + b

def fail():
    raise ValueError("the peer is broken")

answer({"add": add, "calls": lambda: len(calls), "fail": fail, "time": lambda: seconds(lambda: None)})
"""


@pytest.fixture
def peer_command(tmp_path: Path) -> list[str]:
    script = tmp_path / "peer.py"
    script.write_text(PEER)
    return [sys.executable, str(script), str(ROOT / "benchmarks" / "peers")]


def test_a_peer_stays_alive_between_questions(processes: ModuleType, peer_command: list[str]) -> None:
    with processes.PeerProcess(peer_command) as peer:
        assert peer.ask("add", 0.25, 1) == 1.25
        assert peer.ask("add", 2, 3) == 5
        assert peer.ask("calls") == 2
        assert peer.ask("time") >= 0


def test_a_peer_that_fails_says_why(processes: ModuleType, peer_command: list[str]) -> None:
    with processes.PeerProcess(peer_command) as peer:
        with pytest.raises(RuntimeError, match=r"failed at fail:(.|\n)*the peer is broken"):
            peer.ask("fail")
        with pytest.raises(RuntimeError, match="the peer is broken"):
            peer.ask("add", 1, 2)


def test_a_peer_ends_with_the_block(processes: ModuleType, peer_command: list[str]) -> None:
    with processes.PeerProcess(peer_command) as peer:
        process = peer._process
        assert process.poll() is None
    assert process.returncode == 0


def test_an_unknown_benchmark_is_an_error_listing_the_known() -> None:
    command = [sys.executable, "-m", "benchmarks", "nope"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "no benchmark nope; there are" in result.stderr
    assert "ingest" in result.stderr
