"""What the benchmarks are made of: the model of costs, parts of a job, processes with all they start, the summary."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def module() -> Iterator[Callable[[str], ModuleType]]:
    sys.path.insert(0, str(ROOT))
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    sys.path.remove(str(ROOT))


# --- model of costs ----------------------------------------------------------------------------------------------


def test_the_model_finds_the_costs_that_times_were_made_of(module: Callable[[str], ModuleType]) -> None:
    scaling, plates = module("bench_scaling"), module("bench_end_to_end")
    points = [
        scaling.Point(plates.Plate(wells, fields=2, z=1, side=side), number)
        for wells in (1, 4, 16)
        for side in (256, 1024)
        for number in (1, 2)
    ]
    seconds = {}
    for point in points:
        runs, wells, megapixels = point.load
        assert (runs, wells) == (1, point.plate.wells / point.cores)
        seconds[point] = 7 * runs + 1.5 * wells + 0.02 * megapixels
    model = scaling.Model.fit(seconds)
    assert (model.fixed, model.per_well, model.per_megapixel) == pytest.approx((7, 1.5, 0.02))
    assert model.error == pytest.approx(0, abs=1e-9)
    assert "7.0 s a run" in str(model)
    assert "1.50 s a well" in str(model)
    assert "84 ms a plane of 2048²" in str(model)


def test_the_model_says_how_far_it_is_off(module: Callable[[str], ModuleType]) -> None:
    scaling, plates = module("bench_scaling"), module("bench_end_to_end")
    points = [scaling.Point(plates.Plate(wells, fields=2, z=1, side=256), 1) for wells in (1, 2, 4, 8, 16, 32)]
    seconds = {point: 5.0 + point.plate.wells for point in points}
    seconds[points[3]] *= 2
    assert scaling.Model.fit(seconds).error > 0.2


def test_no_cost_is_negative_however_noisy_the_times_are(module: Callable[[str], ModuleType]) -> None:
    scaling, plates = module("bench_scaling"), module("bench_end_to_end")
    times = {256: 38.0, 512: 32.0}  # larger planes happened to be quicker
    points = {scaling.Point(plates.Plate(4, fields=2, z=3, side=side), 2): taken for side, taken in times.items()}
    points[scaling.Point(plates.Plate(1, fields=2, z=1, side=256), 2)] = 27.5
    model = scaling.Model.fit(points)
    assert min(model.fixed, model.per_well, model.per_megapixel) >= 0
    assert model.fixed > 0


# --- parts of a job ----------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def test_a_part_inside_of_a_part_counts_for_itself_alone(
    module: Callable[[str], ModuleType], clock: Callable[[float], None]
) -> None:
    profile = module("profiled_well").Profile("rest")
    inner = profile.wrapped(lambda: clock(2), "inner")

    def work() -> None:
        clock(3)
        inner()
        clock(4)

    clock(1)
    profile.wrapped(work, "outer")()
    inner()
    clock(5)
    assert profile.close() == {"rest": 6, "outer": 7, "inner": 4}


def test_a_part_may_be_named_by_its_arguments_and_ends_with_an_error(
    module: Callable[[str], ModuleType], clock: Callable[[float], None]
) -> None:
    profile = module("profiled_well").Profile("rest")

    def fails(name: str) -> None:
        clock(2)
        raise ValueError(name)

    with pytest.raises(ValueError, match="x"):
        profile.wrapped(fails, lambda name: f"part {name}")("x")
    clock(1)
    assert profile.close() == {"part x": 2, "rest": 1}


def test_only_the_main_thread_is_counted(module: Callable[[str], ModuleType], clock: Callable[[float], None]) -> None:
    profile = module("profiled_well").Profile("rest")
    thread = threading.Thread(target=profile.wrapped(lambda: clock(2), "elsewhere"))
    thread.start()
    thread.join()
    assert profile.close() == {"rest": 2}


def test_every_place_that_is_counted_exists(module: Callable[[str], ModuleType]) -> None:
    for parts in module("profiled_well").PARTS.values():
        for place in parts:
            name, _, path = place.partition(":")
            found: Any = importlib.import_module(name)
            for step in path.split("."):
                found = getattr(found, step)
            assert callable(found)


# --- processes ---------------------------------------------------------------------------------------------------

_CHILD = "import time; held = bytearray(50_000_000); held[::4096] = b'x' * len(held[::4096]); time.sleep(1)"
_PARENT = (
    f"import subprocess, sys; [c.wait() for c in [subprocess.Popen([sys.executable, '-c', {_CHILD!r}]) for _ in '12']]"
)


def test_memory_and_cores_are_those_of_all_processes_that_a_command_starts(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    run_tree = module("process_tree").run_tree
    code = f"import os; print(len(os.sched_getaffinity(0))); {_PARENT}"
    ran = run_tree([sys.executable, "-c", code], cores=1, folder=tmp_path, output=tmp_path / "printed.txt")
    assert ran.text.strip() == "1"
    assert 100e6 < ran.memory < 200e6
    assert ran.wall >= 1
    assert ran.cpu > 0


def test_what_processes_share_is_counted_once(module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    code = "held = b'x' * 60_000_000; import os, time; os.fork(); os.fork(); time.sleep(1)"
    ran = module("process_tree").run_tree(
        [sys.executable, "-c", code], cores=1, folder=tmp_path, output=tmp_path / "printed.txt"
    )
    assert 60e6 < ran.memory < 110e6  # four processes


def test_a_command_that_fails_shows_what_it_printed(module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such plate"):
        module("process_tree").run_tree(
            [sys.executable, "-c", "import sys; sys.exit('no such plate')"],
            cores=1,
            folder=tmp_path,
            output=tmp_path / "printed.txt",
        )


# --- summary -----------------------------------------------------------------------------------------------------


def report(module: Callable[[str], ModuleType], *ratios: float) -> dict[str, Any]:
    harness = module("harness")
    found = {"floor": harness.Statistics.of([1.0])}
    found |= {f"case {number}": harness.Statistics.of([ratio]) for number, ratio in enumerate(ratios)}
    targets = {f"case {number}": 2.0 for number in range(len(ratios))}
    table = harness.compare("Something", found, baseline="floor", at_most=targets)
    return {
        "tables": [
            json.loads(
                json.dumps(
                    {**vars(table), "rows": [vars(row) | {"statistics": None} for row in table.rows]}, default=str
                )
            )
        ]
    }


def test_the_summary_has_the_worst_row_and_how_many_are_met(module: Callable[[str], ModuleType]) -> None:
    summary = module("summary")
    [line] = summary.targets("workflow", report(module, 1.5, 2.5, 0.5))
    assert (line["requirement"], line["met"], line["of"], line["worst"], line["ratio"]) == ("X7", 2, 3, "case 1", 2.5)
    text = summary.markdown({"machine": "two cores", "targets": [line]})
    assert "| X7 | Something | 2 of 3 | case 1, compared with floor | 2.50 | ≤ 2 × **missed** |" in text
    [met] = summary.targets("workflow", report(module, 1.5))
    assert "missed" not in summary.markdown({"machine": "two cores", "targets": [met]})


def test_tables_without_targets_are_left_out(module: Callable[[str], ModuleType]) -> None:
    assert list(module("summary").targets("well", report(module))) == []


def test_targets_stand_in_the_order_of_their_requirements(
    module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = module("summary")
    monkeypatch.setattr(summary, "OUT", tmp_path)
    names = ["end_to_end", "ingest", "measurement", "storage"]
    for name in names:
        content = {"machine": module("harness").machine(), "command": "", **report(module, 1.5)}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    listed = [line["benchmark"] for line in summary.summarise(summary.read_reports(names))["targets"]]
    assert listed == ["ingest", "storage", "end_to_end", "measurement"]


def test_a_page_gets_the_table_between_its_marks_and_nothing_else_changes(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    summary, page = module("summary"), tmp_path / "page.md"
    page.write_text(f"before\n{summary.BEGIN}\nold\n{summary.END}\nafter", encoding="utf-8")
    assert summary.included(page, "| a |") == f"before\n{summary.BEGIN}\n\n| a |\n\n{summary.END}\nafter"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md has no <!-- begin benchmarks"):
        summary.included(page, "")


def test_the_readme_shows_few_rows_each_with_its_ratio_and_whether_it_is_met(
    module: Callable[[str], ModuleType],
) -> None:
    summary = module("summary")
    [line] = summary.targets("workflow", report(module, 2.5))
    rows = summary.readme_rows({"targets": [line, line | {"measured": "Dry-run of 3 wells"}]})
    assert rows.splitlines()[2:] == [f"| {summary.README_ROWS['Dry-run']} | floor | 2.50 | ≤ 2 × **missed** |"]


def test_every_row_of_the_readme_is_one_of_the_published_data(module: Callable[[str], ModuleType]) -> None:
    summary = module("summary")
    published = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    assert len(summary.readme_rows(published).splitlines()) == 2 + len(summary.README_ROWS)


def pages(folder: Path) -> Path:
    """Copy the pages that benchmarks are published into."""
    (folder / "docs").mkdir()
    for page in ("README.md", "docs/benchmarks.md"):
        shutil.copy(ROOT / page, folder / page)
    return folder


def test_nothing_is_published_of_small_sizes_or_into_a_page_without_its_marks(
    module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = module("summary")
    monkeypatch.setattr(summary, "OUT", tmp_path / "out")
    (tmp_path / "out").mkdir()
    pages(tmp_path)
    page = tmp_path / "docs" / "benchmarks.md"
    before = page.read_text(encoding="utf-8")
    page.write_text("no marks", encoding="utf-8")
    machine = module("harness").machine()

    def ran(command: str) -> None:
        content = {"machine": machine, "command": command, **report(module, 1.5)}
        (tmp_path / "out" / "rois.json").write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / "out" / "rois.md").write_text("## rois\n", encoding="utf-8")

    ran("python -m benchmarks --quick rois")
    with pytest.raises(ValueError, match="run rois without --quick"):
        summary.publish(["rois"], tmp_path)
    ran("python -m benchmarks rois")
    with pytest.raises(ValueError, match=r"benchmarks\.md has no"):
        summary.publish(["rois"], tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == (ROOT / "README.md").read_text("utf-8")
    assert not (tmp_path / "docs" / "benchmarks.json").exists()
    page.write_text(before, encoding="utf-8")
    summary.publish(["rois"], tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(before.partition(summary.BEGIN)[0])
    assert "| Something | 1 of 1 | case 0, compared with floor | 1.50 |" in text
    assert text.endswith(f"## rois\n\n{summary.END}\n")
    assert json.loads((tmp_path / "docs" / "benchmarks.json").read_text("utf-8"))["targets"][0]["ratio"] == 1.5


def test_reports_of_different_code_or_machines_are_not_published_together(
    module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, machine = module("summary"), module("harness").machine()
    monkeypatch.setattr(summary, "OUT", tmp_path / "out")
    (tmp_path / "out").mkdir()
    pages(tmp_path)

    def ran(name: str, **changed: str) -> None:
        content = {"machine": machine | changed, "command": "python -m benchmarks", **report(module, 1.5)}
        (tmp_path / "out" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / "out" / f"{name}.md").write_text(f"## {name}\n", encoding="utf-8")

    ran("rois")
    for changed in ({"code": "0000000"}, {"cpu": "another"}):
        ran("imports", **changed)
        with pytest.raises(ValueError, match="with the same code on one machine"):
            summary.publish(["imports", "rois"], tmp_path)
        assert not (tmp_path / "docs" / "benchmarks.json").exists()
    ran("imports")
    summary.publish(["imports", "rois"], tmp_path)
    assert (tmp_path / "docs" / "benchmarks.json").exists()


# --- outputs of an end-to-end race -----------------------------------------------------------------------------------


@pytest.fixture
def plate(module: Callable[[str], ModuleType], tmp_path: Path) -> Path:
    """Return a plate with one field: two projections and labels, as TIFFs and in Zarr."""
    for name, value in (("projections/A01_w1", 3), ("projections/A01_w2", 4), ("labels/A01_w1", 5)):
        path = tmp_path / f"{name}.TIF"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.full((8, 9), value, np.uint16))
    image = zarr.create_array(tmp_path / "p.zarr/A/01/1/0", shape=(1, 2, 1, 8, 9), dtype="u2")
    image[:] = np.array([3, 4]).reshape(1, 2, 1, 1, 1)
    zarr.create_array(tmp_path / "p.zarr/A/01/1/labels/nuclei/0", shape=(1, 1, 8, 9), dtype="u4")[:] = 5
    return tmp_path


def test_outputs_are_equal_in_zarr_and_tiff(module: Callable[[str], ModuleType], plate: Path) -> None:
    outputs = module("outputs")
    in_tiffs = outputs.in_tiffs(plate, "projections", "labels")
    outputs.in_zarr(plate / "p.zarr").check("zarr", 1, 2, in_tiffs)


@pytest.mark.parametrize("harm", ["an image is missing", "labels are missing", "other pixels", "nothing in them"])
def test_a_competitor_that_does_less_is_refused(module: Callable[[str], ModuleType], plate: Path, harm: str) -> None:
    outputs = module("outputs")
    first = outputs.in_zarr(plate / "p.zarr")
    if harm == "an image is missing":
        (plate / "projections/A01_w2.TIF").unlink()
    elif harm == "labels are missing":
        shutil.rmtree(plate / "labels")
    else:
        tifffile.imwrite(plate / "projections/A01_w1.TIF", np.full((8, 9), int(harm == "other pixels"), np.uint16))
    found = outputs.in_tiffs(plate, "projections", "labels")
    with pytest.raises(RuntimeError, match="the peer wrote"):
        found.check("the peer", 1, 2, found if harm == "nothing in them" else first)
