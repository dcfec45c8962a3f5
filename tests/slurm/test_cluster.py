"""The workflow on a real SLURM."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm.conftest import WELLS, SlurmProject, submitted
from tests.workflow.project import REPOSITORY, Project
from wellfield.example import ExamplePlate
from wellfield.workflow.validate import check_results, compare_results

WELL = "C02"
TARGET = f"results/P1/wells/{WELL}.json"
PLATE_JOBS = [("aggregate_plate", ""), ("check_plate", ""), ("report_plate", "")]

# What the tests redo that harm a run: some wells of the finished plate.
REDONE = [f"results/P1/wells/{well}.json" for well in dict.fromkeys((WELL, *WELLS[:5]))]

# A step that changes nothing, in a file beside the configuration.
STEP = {"name": "waited", "func": "waits.py:waits", "input": "start", "channels": [1]}

# Waits until somebody makes the file `go`, and says before that it waits.
WAITS = """
import time
from pathlib import Path

here = Path(__file__).parent

def waits(image):
    with (here / "waiting").open("a") as said:
        said.write("!")
    while not (here / "go").exists():
        time.sleep(0.1)
    return image
"""

# Holds a gigabyte more than the plan knows of, for as long as it takes to be noticed.
HUNGRY = """
import time

import numpy as np

def waits(image):
    held = np.ones(1_000_000_000, np.uint8)
    time.sleep(5)
    return image * held[0]
"""

# Takes longer than its limit the first time.
SLOW_AT_FIRST = """
import time
from pathlib import Path

began = Path(__file__).with_name("began")

def waits(image):
    is_first = not began.exists()
    began.touch()
    if is_first:
        time.sleep(300)
    return image
"""

# Kills its job once, at the third call: the first field of the second well.
KILLS_ONCE = """
import os
import signal
from pathlib import Path

calls = Path(__file__).with_name("calls")

def waits(image):
    with calls.open("a") as said:
        said.write("!")
    if calls.stat().st_size == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return image
"""

# Is killed, as by a system without memory.
DIES = """
import os
import signal

def waits(image):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def until(condition, seconds=240.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.2)


def add_step(project, code):
    """Let the pipeline call a function of the user's own. The plan is made anew here, wells are left to the cluster."""
    (project.root / "waits.py").write_text(code)
    project.config["steps"].append({**STEP, "func": f"{project.root / 'waits.py'}:waits"})
    project.run_here("results/P1/plan.json")


def test_wells_with_a_gpu_each_give_the_results_of_a_local_run(tmp_path, cluster, local, raw):
    project = SlurmProject(tmp_path / "project", cluster)
    project.config["wells_per_job"] = 1
    project.add("P1", raw / "Plate_1", plate_map=raw / "plate_map.csv").run_here("results/P1/plan.json")
    run = project.run("--set-resources", "process_well:gpu=1")
    jobs = submitted(run)
    assert len([name for name in jobs if name.startswith("rule_process_well/")]) == len(WELLS)
    for well in WELLS:
        [job] = jobs[f"rule_process_well/P1_{well}"]
        described = cluster.command("scontrol", "show", "job", "--details", job)
        assert "TresPerJob=gres:gpu:1" in described
        assert "JOB_GRES=gpu:a100:1" in described
        assert re.search(r"GPUs [01]$", project.results("P1", "logs", "process_well", f"{well}.log").read_text(), re.M)
        [other] = jobs[f"rule_materialize_well/P1_{well}"]
        assert "gres:gpu" not in cluster.command("scontrol", "show", "job", "--details", other)
    assert compare_results(project.results("P1"), local.results("P1")) == []
    assert check_results(project.results("P1")) == []
    assert project.run().jobs == []


def test_the_command_works_as_typed_in_a_fresh_clone(tmp_path, cluster):
    fresh = tmp_path / "wellfield"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, fresh], check=True)
    ExamplePlate(wells=("B02",), fields=1, channels=1, z=1, size=64).write(fresh / "example")
    command = [Path(sys.executable).with_name("snakemake"), "--profile", "slurm", "-n"]
    done = subprocess.run(command, cwd=fresh, env=cluster.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Example: ingesting the plate" in done.stdout + done.stderr


def test_a_well_that_exceeds_its_memory_is_submitted_again_with_more(project):
    add_step(project, HUNGRY)
    run = project.run(TARGET)
    jobs = submitted(run)[f"rule_process_well/P1_{WELL}"]
    assert len(jobs) == 2
    asked = [int(re.search(r"mem=(\d+)M", project.cluster.command("scontrol", "show", "job", job))[1]) for job in jobs]
    assert asked[1] > asked[0] + 500
    assert json.loads((project.root / TARGET).read_text())["status"] == "done"


@pytest.mark.long  # a minute is the shortest limit of time
def test_a_well_that_exceeds_its_time_is_submitted_again_with_more(project):
    add_step(project, SLOW_AT_FIRST)
    run = project.run(TARGET, "--set-resources", "process_well:runtime=attempt")
    jobs = submitted(run)[f"rule_process_well/P1_{WELL}"]
    assert len(jobs) == 2
    limits = [
        re.search(r"JobState=(\w+).*TimeLimit=(\S+)", project.cluster.command("scontrol", "show", "job", job), re.S)
        for job in jobs
    ]
    assert [limit.groups() for limit in limits] == [("TIMEOUT", "00:01:00"), ("COMPLETED", "00:02:00")]
    assert json.loads((project.root / TARGET).read_text())["status"] == "done"


def test_a_corrupt_plane_fails_its_well_alone_and_mending_it_redoes_only_that(project, raw):
    shutil.copytree(raw, project.root / "raw")
    project.plates[0][1] = "raw/Plate_1"
    project.run_here()
    plane = next((project.root / "raw").rglob(f"*_{WELL}_s1_w1.TIF"))
    whole = plane.read_bytes()
    plane.write_bytes(whole[: len(whole) // 2])
    broken = project.run(succeeds=False)
    assert f"P1: {len(WELLS) - 1} of {len(WELLS)} wells done, 1 failed ({WELL})" in broken.text
    # Retries do not repeat a failure that would be the same again.
    assert [len(jobs) for jobs in submitted(broken).values()] == [1] * 5
    states = {well: json.loads(project.results("P1", "wells", f"{well}.json").read_text())["status"] for well in WELLS}
    assert states == dict.fromkeys(WELLS, "done") | {WELL: "failed"}
    assert plane.name in project.results("P1", "report", "summary.html").read_text()
    plane.write_bytes(whole)
    mended = project.run()
    assert mended.jobs == sorted([("materialize_well", WELL), ("process_well", WELL), *PLATE_JOBS])
    assert json.loads((project.root / TARGET).read_text())["status"] == "done"


def test_a_run_whose_controller_is_killed_goes_on_after_unlock(tmp_path, project, local):
    add_step(project, WAITS)
    process = project.start(*REDONE, output=tmp_path / "output")
    until((project.root / "waiting").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (project.root / "go").touch()
    until(lambda: not project.cluster.queue())  # what was submitted runs on
    assert "locked" in project.run(*REDONE, succeeds=False).text
    project.run_here("--unlock")
    assert ("materialize_well", WELL) in project.run(*REDONE).jobs
    assert compare_results(project.results("P1"), local.results("P1")) == []


def test_a_well_whose_job_is_killed_is_submitted_again(tmp_path, project, local):
    add_step(project, WAITS)
    process = project.start(*REDONE, output=tmp_path / "output")
    until((project.root / "waiting").exists)
    scripts = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _runs(path, project.root, "process_well.py")]
    os.kill(int(scripts[0].parent.name), signal.SIGKILL)
    (project.root / "go").touch()
    assert process.wait(timeout=600) == 0, (tmp_path / "output").read_text()
    assert compare_results(project.results("P1"), local.results("P1")) == []
    assert re.search(r"process_well stopped", (tmp_path / "output").read_text())


def test_a_job_of_several_wells_that_is_killed_goes_on_with_what_is_not_done(tmp_path, cluster, local, raw):
    project = SlurmProject(tmp_path / "project", cluster)
    project.config["wells_per_job"] = len(WELLS)
    project.add("P1", raw / "Plate_1", plate_map=raw / "plate_map.csv")
    add_step(project, KILLS_ONCE)
    run, name = project.run(), f"{WELLS[0]}-{WELLS[-1]}"
    jobs = submitted(run)
    assert [len(jobs[f"rule_{rule}/P1_{name}"]) for rule in ("process_well", "materialize_well")] == [2, 1]
    log = project.results("P1", "logs", "process_well", f"{name}.log").read_text()
    assert re.findall(r"well (\w+): staged by an earlier attempt", log) == [WELLS[0]]
    # Two fields a well, and those that the kill interrupted.
    assert (project.root / "calls").stat().st_size == 2 * len(WELLS) + 1
    assert compare_results(project.results("P1"), local.results("P1")) == []
    assert project.run().jobs == []


def test_96_small_wells_are_few_submissions_with_the_results_of_another_cut(tmp_path, cluster):
    wells = tuple(f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13))
    ExamplePlate(wells=wells, fields=1, channels=1, z=1, size=64).write(tmp_path / "raw")
    here, project = Project(tmp_path / "here"), SlurmProject(tmp_path / "project", cluster)
    here.config["wells_per_job"] = 40
    for each in (here, project):
        each.add("P1", tmp_path / "raw" / "Plate_1")
    here.run()
    run = project.run()
    assert "P1: 96 of 96 wells done" in run.text
    assert sum(map(len, submitted(run).values())) <= 12
    assert compare_results(project.results("P1"), here.results("P1")) == []
    assert check_results(project.results("P1")) == []


def _runs(cmdline: Path, root: Path, script: str) -> bool:
    try:
        words = cmdline.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return "snakemake" not in words and len(words) > 1 and words[1].startswith(str(root)) and words[1].endswith(script)


def test_a_run_survives_the_crash_of_a_node(tmp_path, project, local):
    add_step(project, WAITS)
    process = project.start(*REDONE, output=tmp_path / "output")
    until((project.root / "waiting").exists)
    [node] = [node for node in project.cluster.nodes if project.cluster.jobs_on(node)][:1]
    project.cluster.kill_node(node)
    try:
        (project.root / "go").touch()
        assert process.wait(timeout=600) == 0, (tmp_path / "output").read_text()
    finally:
        project.cluster.start()
    assert compare_results(project.results("P1"), local.results("P1")) == []


def test_after_an_interrupt_no_job_and_no_lock_is_left(tmp_path, project, local):
    add_step(project, WAITS)
    process = project.start(*REDONE, output=tmp_path / "output")
    until((project.root / "waiting").exists)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=120) != 0
    until(lambda: not project.cluster.queue(), 30)
    (project.root / "go").touch()
    assert ("materialize_well", WELL) in project.run(*REDONE).jobs  # without --unlock
    assert compare_results(project.results("P1"), local.results("P1")) == []


def test_with_scratch_a_well_is_one_job_and_leaves_nothing_on_the_node(tmp_path, project, local):
    scratch = tmp_path / "disk"
    wells = [f"results/P1/wells/{well}.json" for well in WELLS]
    run = project.run(*wells, "--forcerun", "process_well", "--config", f"scratch={scratch}/env:SLURM_JOB_ID")
    jobs = submitted(run)
    assert not [name for name in jobs if name.startswith(("rule_process_well", "rule_materialize_well"))]
    of_wells = [job for name, ids in jobs.items() if name.startswith("group_well") for job in ids]
    assert len(of_wells) == len(WELLS), jobs
    logs = [path.read_text() for path in project.results("P1", "logs", "process_well").iterdir()]
    used = {match[1] for log in logs if (match := re.search(rf"staged in {scratch}/(\d+)/", log))}
    assert used == set(of_wells)
    assert not list(scratch.rglob("wellfield-*"))
    assert compare_results(project.results("P1"), local.results("P1")) == []


def test_with_scratch_the_page_shows_the_log_of_the_slurm_job_that_died(tmp_path, project):
    add_step(project, DIES)
    (tmp_path / "disk").mkdir()
    scratch = ["--config", "scratch=env:TMPDIR", "--default-resources", f"tmpdir='{tmp_path / 'disk'}'"]
    run = project.run(TARGET, "--retries", "0", *scratch, succeeds=False)
    assert f"1 died ({WELL} process_well)" in run.text
    page = project.results("P1", "report", "unfinished.html").read_text()
    assert "the batch system&#39;s log says why its group of jobs failed" in page
    assert "; there it ended by SIGKILL" in page
    assert re.search(r"slurm_logs/[^<]*\.log</code></summary><pre>", page)
