"""A plate that is still being acquired: a warning, and never a half-read file; what a run takes is said before it."""

import json
import os
import shutil
import time

import pytest

from tests.workflow.project import PLATE_JOBS, WELLS, well_jobs
from tests.workflow.promises import promised

pytestmark = pytest.mark.workflow

MINUTE = 60


def lines_of(run, text):
    return [line for line in run.text.splitlines() if text in line]


def test_a_fresh_plate_says_what_it_takes_before_its_first_well(finished):
    _, run = finished
    [line] = lines_of(run, "to do; results take")
    assert line.startswith("P1: 3 wells to do; results take 39.3 kB to 1.01 MB, staging 526 kB at a time; ")
    assert line.endswith("are free in results")
    before, after = run.text.split(line)
    assert "compiling the pipeline" in before
    assert ": done, 8 planes" not in before
    assert after.count(": done, 8 planes") == len(WELLS)


def test_a_run_that_goes_on_says_what_is_left_to_do(copy):
    forced = ["--forcerun", "results/P1/wells/B03.json"]
    copy.config["scratch"] = str(copy.root / "scratch")
    assert lines_of(copy.run(*forced, "--dry-run"), "to do; results take") == []
    run = copy.run(*forced)
    [line] = lines_of(run, "to do; results take")
    assert line.startswith("P1: 1 well to do; results take 0 bytes to ")
    assert "staging" not in line  # which is on the node's own disk
    assert ": done, 8 planes" not in run.text.split(line)[0]
    assert lines_of(copy.run(), "to do; results take") == []


def test_wells_that_arrive_later_are_told_when_the_plate_is_mapped_again(copy):
    for plane in list((copy.root / "raw").rglob("*_C04_*.TIF")):
        shutil.copy2(plane, plane.with_name(plane.name.replace("_C04_", "_D04_")))
    run = copy.run()
    assert run.jobs == sorted([("ingest_plate", ""), *well_jobs("D04"), *PLATE_JOBS])
    [line] = lines_of(run, "results take")
    assert line.startswith("P1: 1 well to do by the last plan; results take 13.1 to ")
    assert ": done, 8 planes" not in run.text.split(line)[0]


def test_touching_says_nothing_of_space_as_it_takes_none(copy):
    touched = copy.run("--touch", "--forcerun", "results/P1/wells/B03.json")
    assert ("process_well", "B03") in touched.jobs
    assert lines_of(touched, "results take") == []


def test_a_plan_for_more_wells_than_have_room_is_a_warning_and_scratch_is_elsewhere(copy):
    (copy.root / "full.py").write_text(
        "import shutil\n"
        "from types import SimpleNamespace\n"
        "shutil.disk_usage = lambda path: SimpleNamespace(free=300_000)\n"
        "def same(image):\n"
        "    return image\n"
    )
    copy.config["steps"].append({"name": "same", "func": "full:same", "input": "projected", "materialize": ["tiff"]})
    copy.config["zarr"]["compressor"] = "none"
    copy.config["scratch"] = str(copy.root / "scratch")
    shutil.rmtree(copy.results())
    run = copy.run("results/P1/plan.json")
    [line] = lines_of(run, "results take")
    assert "staging" not in line
    assert line.endswith("300 kB are free in results; warning: that is too little for all of them")


def test_editing_the_minutes_redoes_nothing(copy):
    copy.config["acquisition_minutes"] = 1_000
    assert copy.run().jobs == []


def test_a_plate_in_acquisition_is_noted_until_it_has_come_to_rest(copy):
    del copy.config["acquisition_minutes"]
    at_rest = copy.run("--forcerun", "ingest_plate")
    assert lines_of(at_rest, "warning") == []
    plane = next((copy.root / "raw").rglob("*_B03_s2_w1.TIF"))
    recently = time.time() - 5 * MINUTE
    os.utime(plane, (recently, recently))
    run = copy.run("--forcerun", "ingest_plate")
    [line] = lines_of(run, "may still be being acquired")
    assert line.startswith("warning: P1: 1 of ")
    report, summary = copy.results("P1", "ingest_report.json"), copy.results("P1", "report", "summary.html")
    assert json.loads(report.read_text())["acquisition"]["young"] == 1
    assert "may still be being acquired" in summary.read_text()
    copy.config["acquisition_minutes"] = 1
    assert copy.run().jobs == []  # nothing has changed, and by the minutes of then the plate is not at rest
    noted = json.loads(report.read_text())
    noted["acquisition"]["minutes"] = 1  # as if more time had passed
    report.write_text(json.dumps(noted))
    assert copy.run().jobs == promised("acquisition ended", WELLS)
    assert "acquisition" not in json.loads(report.read_text())
    assert "may still be being acquired" not in summary.read_text()
    assert copy.run().jobs == []


def test_a_plane_that_is_written_while_its_well_is_processed_fails_the_well_which_the_next_run_redoes(copy):
    (copy.root / "meanwhile.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "def touch(image):\n"
        "    plane = next(Path('raw').rglob('*_B03_s2_w1.TIF'))\n"
        "    if not Path('touched').exists():\n"
        "        Path('touched').touch()\n"
        "        status = plane.stat()\n"
        "        os.utime(plane, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))\n"
        "    return image\n"
    )
    copy.config["steps"].append({"name": "same", "func": "meanwhile:touch", "input": "projected"})
    copy.config["on_unreadable"] = "skip_field"
    copy.plates[0][-1] = "B03"
    run = copy.run(succeeds=False)
    assert "1 of 1 wells failed" in run.text
    error = json.loads(copy.results("P1", "wells", "B03.json").read_text())["error"]
    assert error["file"].endswith("_B03_s2_w1.TIF")
    assert "still being written" in error["message"]
    assert "still being written" in copy.results("P1", "report", "summary.html").read_text()
    assert not copy.results("P1", "plate.zarr", "B", "03").exists()
    assert copy.run().jobs == sorted([*well_jobs("B03"), *PLATE_JOBS])
