"""SIGKILL at any moment: no file is half-written, and the same command finishes the run with equal results."""

import os
import random
import shutil
import signal
import threading

import pytest

from tests.workflow.project import Project, Run, well_jobs
from tests.workflow.promises import entries
from wellfield.cli import main
from wellfield.example import ExamplePlate
from wellfield.formats.atomic import is_part
from wellfield.results.paths import RECORDS
from wellfield.workflow.validate import compare_results

pytestmark = pytest.mark.workflow

STRESS = bool(os.environ.get("WELLFIELD_STRESS"))

# When the run is killed, as a fraction of the time that an undisturbed one takes.
MOMENTS = [round(random.Random(number).random(), 4) for number in range(30)] if STRESS else [0.7]

# What Snakemake writes itself, what differs from run to run, and what is not kept.
NOT_COMPARED = ("logs", "benchmarks", ".staging")

# These say where the raw plate is, which is another folder in each project.
WITH_PATHS = ("openhcs_metadata.json", "records/ingest_plate.json")


@pytest.fixture(scope="module")
def undisturbed(request, tmp_path_factory):
    """A finished run, on the small plate or, under stress, on the shipped example, and what it printed."""
    if not STRESS:
        return request.getfixturevalue("finished")
    project = Project(tmp_path_factory.mktemp("undisturbed") / "project")
    found = ExamplePlate().write(project.root / "raw")
    paths = {name: path.relative_to(project.root) for name, path in found._asdict().items()}
    project.add("P1", paths["plate"], plate_map=paths["plate_map"])
    return project, project.run()


def moment_of(run, fraction):
    """The number of lines that a run prints up to a *fraction* of its time until its last job starts; seconds more."""
    lines = run.text.splitlines()
    last = next(number for number, line in enumerate(lines) if line.endswith("checking that every well is done"))
    moment = fraction * run.times[last]
    before = [time for time in run.times if time <= moment]
    return len(before), moment - (before[-1] if before else 0)


def kill_at(project, lines, seconds):
    """Start a run, kill all of its processes *seconds* after a number of lines, and return what it printed."""
    before = project.logs()
    with project.start() as process:
        printed = [line for _, line in zip(range(lines), process.stdout, strict=False)]
        killer = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        printed += process.stdout  # ends when no process holds the pipe any more
        killer.join()
    assert process.returncode == -signal.SIGKILL, "".join(printed)
    return Run(process.returncode, "".join(printed), log=project.new_log(before))


def kept_files(project):
    """The files with a final name among the results that every run makes equal to the byte."""
    root = project.results("P1")
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {
        relative: path.read_bytes()
        for relative, path in files.items()
        if relative.parts[0] not in NOT_COMPARED
        and relative.as_posix() not in WITH_PATHS
        and not any(map(is_part, relative.parts))
    }


@pytest.mark.stress
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_finished_by_the_same_command_with_equal_results(undisturbed, tmp_path, moment):
    source, run = undisturbed
    project = Project(tmp_path / "killed")
    shutil.copytree(source.root / "raw", project.root / "raw")
    project.plates = [list(plate) for plate in source.plates]
    killed = kill_at(project, *moment_of(run, moment))
    expected, found = kept_files(source), kept_files(project)
    # A record lists the files of a job before the job makes them.
    made = [path for path in found if path.parts[0] != RECORDS]
    assert [path for path in made if found[path] != expected.get(path)] == []
    project.run("--unlock")
    again = project.run()
    assert entries()["killed"] == ["what had not finished"]
    assert set(again.jobs) <= set(run.jobs) - set(killed.finished)
    assert kept_files(project) == expected
    assert compare_results(project.results("P1"), source.results("P1")) == []
    assert main(["validate", str(project.results("P1"))]) == 0
    assert not [path for path in project.results().rglob("*") if is_part(path.name)]
    assert not list(project.results("P1").glob(".staging/*"))


def test_staged_wells_that_a_killed_run_had_half_removed_are_staged_again(copy):
    wells = {"B02": "images/projected/s001_t001_w1.npy", "B03": "staged.json"}
    targets = [f"results/P1/wells/{well}.json" for well in wells]
    copy.config["keep_staged"] = True
    copy.run(*targets, "--forcerun", "process_well")
    for well, lost in wells.items():
        (copy.results("P1", ".staging", well) / lost).unlink()
        copy.results("P1", "wells", f"{well}.json").unlink()
    assert copy.run(*targets).jobs == sorted(well_jobs(*wells))


def test_the_next_report_removes_what_a_killed_one_left(copy):
    left = copy.results("P1", "report", ".dose_response.png.0123456789ab.part")
    left.write_bytes(b"half of a picture")
    copy.run("--forcerun", "report_plate")
    assert not left.exists()
