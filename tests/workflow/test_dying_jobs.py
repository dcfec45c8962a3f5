"""Jobs that die, runs that are interrupted: what is said, what is kept, and that the same command finishes."""

import os
import re
import shutil
import signal
import subprocess

import pytest
import tifffile

from tests.workflow.project import Project, environment
from wellfield.workflow.validate import compare_results

pytestmark = pytest.mark.workflow

MARK = 54321  # in a corner of the plane that brings a function down

FUNCTIONS = f"""
import os
import signal
import sys
from pathlib import Path


def fragile(image):
    if image[0, 0, 0] == {MARK} and Path("kill").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return image


def patient(image):
    if Path("wait").exists():
        print("waiting", file=sys.stderr, flush=True)
        signal.pause()
    return image
"""


def with_function(project, small_plate, function):
    """Give a project a plate with a marked plane in well B03, and a function of its own as a step."""
    shutil.copytree(small_plate, project.root / "raw")
    plane = next((project.root / "raw").rglob("*_B03_s1_w1.TIF"))
    image = tifffile.imread(plane)
    image[0, 0] = MARK
    tifffile.imwrite(plane, image)
    (project.root / "own.py").write_text(FUNCTIONS)
    project.config["steps"].append({"name": "own", "func": f"own:{function}", "input": "projected", "channels": [1]})
    return project.add("P1", "raw/Plate_1")


def test_a_killed_job_leaves_the_other_wells_a_page_and_a_run_that_goes_on(project, tmp_path, small_plate):
    with_function(project, small_plate, "fragile")
    flag = project.root / "kill"
    flag.touch()
    run = project.run(succeeds=False)
    page = project.results("P1", "report", "unfinished.html")
    assert re.search(
        r"^P1: 2 of 3 wells done, 0 failed, 1 died \(B03 process_well\), 0 planes skipped; "
        r"this run: 16 planes of 2 wells in .* planes/s; see results/P1/report/unfinished.html$",
        run.text,
        re.MULTILINE,
    )
    assert "Type the same command again" in run.text
    assert "raise memory_margin_mb" in run.text
    assert sorted(re.findall(r" P1 (\w\d\d): done, 8 planes \(", run.text)) == ["B02", "C04"]
    log = project.results("P1", "logs", "materialize_well", "B02.log").read_text()
    assert "INFO wellfield.workflow.materialize_well: well B02: done\n" in log
    assert "Traceback" not in run.text
    text = page.read_text()
    assert "<td>B03</td><td>process_well</td><td>ended by SIGKILL" in text
    said = r".* MB and 0 GPUs asked for; GPUs none\n.*: well B03 begins"
    assert re.search(rf"logs/process_well/B03.log</code></summary><pre>{said}</pre>", text)
    for well in ("B02", "C04"):
        assert re.search(rf'<td>{well}</td><td class="number">[1-9]', text)
    flag.unlink()
    mended = project.run()
    assert {job for job in mended.jobs if job[1]} == {("process_well", "B03"), ("materialize_well", "B03")}
    assert "P1: 3 of 3 wells done, 0 failed, 0 planes skipped; this run: 8 planes of 1 well in" in mended.text
    assert not page.exists()
    undisturbed = with_function(Project(tmp_path / "undisturbed"), small_plate, "fragile")
    undisturbed.run()
    assert compare_results(project.results("P1"), undisturbed.results("P1")) == []


def test_a_well_of_a_finished_plate_that_is_redone_and_dies_leaves_no_page_for_ever(project, small_plate):
    with_function(project, small_plate, "fragile").run()
    flag = project.root / "kill"
    flag.touch()
    one = "results/P1/wells/B03.json"
    run = project.run(one, "--forcerun", one, succeeds=False)
    assert "2 of 3 wells done, 0 failed, 1 died (B03 process_well)" in run.text
    page = project.results("P1", "report", "unfinished.html")
    assert page.exists()
    project.run("--dry-run")
    assert page.exists()
    # Nothing is to be done: what the well had is still there, and the plate's tables and report are of that.
    assert project.run().jobs == []
    assert not page.exists()


def test_ctrl_c_ends_a_run_without_a_traceback_or_a_lock_and_the_same_command_goes_on(project, small_plate):
    with_function(project, small_plate, "patient")
    flag = project.root / "wait"
    flag.touch()
    process = subprocess.Popen(
        project.command(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    said = []
    with process, process.stdout:
        for line in process.stdout:
            said.append(line)
            # Both cores are in the function by now.
            if said.count("waiting\n") == 2 and line == "waiting\n":
                os.killpg(process.pid, signal.SIGINT)
    text = "".join(said)
    assert process.returncode == 1
    assert "Traceback" not in text
    assert re.search(r"^P1: 0 of 3 wells done, 0 failed, 2 broken off \(.*\), 1 not begun", text, re.MULTILINE)
    assert "died" not in text.partition("P1: 0 of 3")[2]
    assert "2 wells broken off" in project.results("P1", "report", "unfinished.html").read_text()
    flag.unlink()
    run = project.run()
    assert "P1: 3 of 3 wells done" in run.text
    assert not project.results("P1", "report", "unfinished.html").exists()
