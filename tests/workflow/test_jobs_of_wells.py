"""Wells that share a job: the same results, and each well is done, fails, changes and dies on its own."""

import json
import shlex
import shutil

import pytest

from tests.workflow.project import PLATE_JOBS, SMALL
from tests.workflow.test_dying_jobs import with_function
from wellfield.cli import main
from wellfield.example import ExamplePlate
from wellfield.results.well_jobs import jobs_path, read_jobs, write_jobs
from wellfield.workflow.validate import compare_results

pytestmark = pytest.mark.workflow

MANIFEST = "results/P1/wells/C04.json"
SHARED = [("materialize_well", "B03-C04"), ("process_well", "B03-C04")]
ALONE = [("materialize_well", "B02"), ("process_well", "B02")]


def status(project, well):
    return json.loads(project.results("P1", "wells", f"{well}.json").read_text())["status"]


def well_jobs_of(run):
    """The jobs of wells that did both of their stages."""
    done = [{name for rule, name in run.jobs if rule == stage} for stage in ("process_well", "materialize_well")]
    assert done[0] == done[1]
    return sorted(done[0])


def plane_of(project, name):
    return next((project.root / "raw").rglob(name))


def test_any_cut_gives_equal_results(finished, finished_together):
    one, together = finished[0], finished_together[0]
    assert finished_together[1].jobs == sorted(
        [("compile_plan", ""), ("ingest_plate", ""), *PLATE_JOBS, *SHARED, *ALONE]
    )
    assert compare_results(together.results("P1"), one.results("P1")) == []
    assert main(["validate", str(together.results("P1"))]) == 0
    assert sorted(path.stem for path in together.results("P1", "wells").iterdir()) == ["B02", "B03", "B03-C04", "C04"]
    assert not list(together.results("P1").glob(".staging/*"))


@pytest.mark.parametrize("lost", ["wells/C04.json", "wells/B03-C04.json", "tables/C04/objects.csv"])
def test_a_file_that_is_gone_reruns_its_job(copy_together, lost):
    copy_together.results("P1", lost).unlink()
    assert copy_together.run().jobs == sorted([*SHARED, *PLATE_JOBS])
    assert copy_together.run("--dry-run").jobs == []


def test_a_well_that_fails_leaves_the_others_of_its_job_alone(copy_together):
    plane = plane_of(copy_together, "*_C04_s1_w1.TIF")
    whole = plane.read_bytes()
    plane.write_bytes(whole[: len(whole) // 2])
    run = copy_together.run(succeeds=False)
    assert run.jobs == sorted([*SHARED, *PLATE_JOBS])
    assert [status(copy_together, well) for well in ("B03", "C04")] == ["done", "failed"]
    page = copy_together.results("P1", "report", "summary.html").read_text()
    assert "logs/process_well/B03-C04.log" in page
    assert "P1: 2 of 3 wells done, 1 failed (C04)" in run.text
    plane.write_bytes(whole)
    assert copy_together.run().jobs == sorted([*SHARED, *PLATE_JOBS])
    assert status(copy_together, "C04") == "done"


def test_a_well_taken_out_of_the_sheet_and_back(copy_together):
    copy_together.plates[0][-1] = "B02,C04"
    assert copy_together.run().jobs == PLATE_JOBS
    assert not copy_together.results("P1", "wells", "B03.json").exists()
    copy_together.plates[0][-1] = "B02"
    assert copy_together.run().jobs == PLATE_JOBS
    assert sorted(path.stem for path in copy_together.results("P1", "wells").iterdir()) == ["B02"]
    copy_together.plates[0][-1] = ""
    assert copy_together.run().jobs == sorted([*SHARED, *PLATE_JOBS])
    assert main(["validate", str(copy_together.results("P1"))]) == 0


def test_other_settings_of_jobs_rerun_nothing_that_is_done(copy_together):
    copy_together.config["wells_per_job"] = 1
    assert copy_together.run().jobs == []
    copy_together.config["jobs_per_plate"] = 1
    assert copy_together.run().jobs == []


def test_a_plate_that_grows_keeps_the_jobs_that_are_done(project, tmp_path):
    ExamplePlate(wells=("A01", "A02", "A03"), fields=1, channels=2, z=1, size=96).write(project.root / "raw")
    later = ExamplePlate(wells=("A01", "A02", "A03", "B01", "B02"), fields=1, channels=2, z=1, size=96)
    later.write(tmp_path / "later")
    project.config["wells_per_job"] = 2
    project.add("P1", "raw/Plate_1")
    project.run()
    for file in (tmp_path / "later").rglob("*"):
        target = project.root / "raw" / file.relative_to(tmp_path / "later")
        if file.is_file() and ("_B0" in file.name or file.suffix == ".HTD"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
    run = project.run()
    assert well_jobs_of(run) == ["B01-B02"]
    assert list(read_jobs(project.results("P1")).jobs) == ["A01", "A02-A03", "B01-B02"]


def test_a_well_can_be_asked_for_alone_before_its_job_is_done(project, small_plate):
    shutil.copytree(small_plate, project.root / "raw")
    project.config["wells_per_job"] = 3
    project.add("P1", "raw/Plate_1")
    target = "results/P1/wells/B03.json"
    assert well_jobs_of(project.run(target)) == ["B03"]
    assert [job for job in project.run().jobs if job[1]] == [
        ("materialize_well", "B02-C04"),
        ("process_well", "B02-C04"),
    ]
    assert project.run("--dry-run").jobs == []


def times(project):
    return {well: project.results("P1", "wells", f"{well}.json").stat().st_mtime_ns for well in ("B02", "B03", "C04")}


@pytest.mark.parametrize("how", [f"--forcerun {MANIFEST}", "--force"], ids=["forcerun", "force"])
def test_a_well_of_a_finished_job_is_done_again_by_itself(copy_together, how):
    before = times(copy_together)
    run = copy_together.run(MANIFEST, *how.split())
    assert run.jobs == [("materialize_well", "C04"), ("process_well", "C04")]
    assert [well for well, time in times(copy_together).items() if time != before[well]] == ["C04"]
    assert copy_together.run().jobs == PLATE_JOBS
    assert copy_together.run("--dry-run").jobs == []
    assert main(["validate", str(copy_together.results("P1"))]) == 0
    copy_together.config["steps"][1]["params"]["sigma"] = 1.5
    assert well_jobs_of(copy_together.run()) == ["B02", "B03-C04", "C04"]


@pytest.mark.parametrize("name", ["copy", "copy_together"])
def test_the_command_of_rerun_does_the_wells_that_it_names(request, name, monkeypatch, capsys):
    project = request.getfixturevalue(name)
    before = times(project)
    monkeypatch.chdir(project.root)
    assert main(["rerun", "P1", "c4"]) == 0
    snakemake, *options = shlex.split(capsys.readouterr().out)
    assert snakemake == "snakemake"
    assert project.run(*options).jobs == sorted([("materialize_well", "C04"), ("process_well", "C04"), *PLATE_JOBS])
    assert [well for well, time in times(project).items() if time != before[well]] == ["C04"]


def test_a_well_that_was_to_be_done_again_when_the_run_was_killed(copy_together):
    jobs = read_jobs(copy_together.results("P1"))
    write_jobs(copy_together.results("P1"), jobs.without(["C04"], lambda _: True))
    assert well_jobs_of(copy_together.run()) == ["C04"]
    assert copy_together.run("--dry-run").jobs == []


def test_a_run_that_is_refused_changes_no_jobs_of_the_run_that_is_at_work(copy_together):
    before = jobs_path(copy_together.results("P1")).read_bytes()
    lock = copy_together.root / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/P1/wells/B02.json\n")
    assert "locked" in copy_together.run("--forcerun", MANIFEST, succeeds=False).text
    assert jobs_path(copy_together.results("P1")).read_bytes() == before
    lock.unlink()
    copy_together.run("--forcerun", MANIFEST)
    assert jobs_path(copy_together.results("P1")).read_bytes() != before


def test_wells_are_done_again_whose_jobs_nobody_knows_any_more(copy_together):
    jobs_path(copy_together.results("P1")).unlink()
    assert well_jobs_of(copy_together.run()) == ["B03", "C04"]
    assert copy_together.run("--dry-run").jobs == []
    assert not copy_together.results("P1", "wells", "B03-C04.json").exists()


def test_a_well_of_a_finished_job_cannot_be_asked_for_alone(copy_together):
    run = copy_together.run(MANIFEST, succeeds=False)
    assert "well C04 shares the job B03-C04 with 1 other well" in run.text
    assert "wellfield rerun P1 C04" in run.text
    assert well_jobs_of(run) == []


def test_a_well_that_kills_its_job_gets_a_job_of_its_own(project, small_plate):
    with_function(project, small_plate, "fragile").config["wells_per_job"] = 3
    flag = project.root / "kill"
    flag.touch()
    run = project.run(succeeds=False)
    assert "0 of 3 wells done, 0 failed, 1 died (B02-C04 process_well)" in run.text
    run = project.run(succeeds=False)
    assert [status(project, well) for well in ("B02", "C04")] == ["done", "done"]
    assert "2 of 3 wells done, 0 failed, 1 died (B03 process_well)" in run.text
    flag.unlink()
    assert well_jobs_of(project.run()) == ["B03"]
    assert project.run("--dry-run").jobs == []


def test_another_attempt_goes_on_where_a_killed_one_stopped(project, small_plate):
    with_function(project, small_plate, "fragile").config["wells_per_job"] = 3
    flag = project.root / "kill"
    flag.touch()
    own = project.root / "own.py"
    own.write_text(own.read_text().replace("os.kill(", 'Path("kill").unlink(), os.kill('))
    run = project.run("--retries", "1")
    log = project.results("P1", "logs", "process_well", "B02-C04.log").read_text()
    assert "well B02: staged by an earlier attempt" in log
    assert log.index("well C04 begins") < log.index("well B03 begins")
    assert "3 of 3 wells done" in run.text


def test_the_plate_is_cut_into_no_more_jobs_than_asked_for(project, small_plate):
    shutil.copytree(small_plate, project.root / "raw")
    project.config["jobs_per_plate"] = 1
    project.add("P1", "raw/Plate_1")
    assert [job for job in project.run().jobs if job[1]] == [
        ("materialize_well", "B02-C04"),
        ("process_well", "B02-C04"),
    ]
    assert read_jobs(project.results("P1")).wells("B02-C04") == list(SMALL.wells)
