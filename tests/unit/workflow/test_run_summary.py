"""What a run leaves behind when it ends: the line of each plate and the page of one that is not finished."""

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.plate.index import PlaneRecord, read_info, write_index
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.results.manifest import file_entry, write_manifest
from wellfield.results.paths import UNFINISHED, PlateFile
from wellfield.results.records import announce
from wellfield.workflow.aggregate_plate import prune
from wellfield.workflow.plate_progress import plate_stamps
from wellfield.workflow.run_jobs import remove_stale_pages
from wellfield.workflow.run_summary import begin_run, duration, end_run

REPOSITORY = Path(__file__).resolve().parents[3]
STARTED = 1_000_000.0
WELLS = ("B02", "B03", "B04", "C02", "C03", "C04")


def snakemake_job(rule, well="", plate="P1"):
    values = {"plate": plate, **({"well": well} if well else {})}
    named = SimpleNamespace(basedir=REPOSITORY / "rules", script=f"../scripts/{rule}.py")
    return SimpleNamespace(rule=named, wildcards_dict=values, is_group=lambda: False)


def group(*jobs):
    return SimpleNamespace(jobs=jobs, is_group=lambda: True)


class Run:
    """A plate of six wells and the workflow that ran on it."""

    def __init__(self, root):
        self.results = root / "results"
        self.folder = self.results / "P1"
        self.page = self.folder / "report" / "unfinished.html"
        self.log = root / "snakemake.log"
        self.log.write_text("")
        self.page.parent.mkdir(parents=True)
        info = Plate("P1", "/data/P1", "imagexpress", WELLS, {1: "DAPI"})
        keys = [PlaneKey(well, site, 1, 1, timepoint) for well in WELLS for site in (1, 2) for timepoint in (1, 2)]
        planes = [PlaneRecord(key, f"{key}.tif", 1, 1) for key in keys]
        write_index(self.folder / "index.parquet", planes, info)
        os.utime(self.folder / "index.parquet", (STARTED - 100, STARTED - 100))
        self.finished, self.pending, self.failed = [], [], []
        # What Snakemake looked at beside them; a run of single wells looks at no check.
        self.others = [snakemake_job("check_plate")]

    def write(self, path, text, *, age=0.0):
        """Write a file of this run, or of one so many seconds before it."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (STARTED + 10 - age, STARTED + 10 - age))
        return path

    def old_page(self, text):
        announce(self.folder, UNFINISHED, [PlateFile.UNFINISHED_PAGE])
        self.page.write_text(text)

    def done(self, *wells, count=7, age=0.0, error=None, skipped=()):
        for well in wells:
            path = self.folder / "wells" / f"{well}.json"
            counts = self.folder / "tables" / well / "cell_counts.parquet"
            # The second timepoint is not added to the first.
            keys = {"Metadata_Well": [well] * 3, "Metadata_Site": [1, 2, 1], "Metadata_Timepoint": [1, 1, 2]}
            table = pd.DataFrame({**keys, "Object": ["Nuclei"] * 3, "Count": [count, 1, 1000]})
            counts.parent.mkdir(parents=True, exist_ok=True)
            table.to_parquet(counts)
            write_manifest(
                path,
                plate="P1",
                well=well,
                status="failed" if error else "done",
                error=error,
                planes=PlaneAccount(50, skipped=list(skipped)),
                plan_digest="",
                files=[file_entry(self.folder, counts)],
            )
            os.utime(path, (STARTED + 10 - age, STARTED + 10 - age))
            if not age:
                self.finished += [snakemake_job("process_well", well), snakemake_job("materialize_well", well)]

    def workflow(self, *, main=True, touch=False, local=True, notemp=False):
        needed = [*self.finished, *self.pending]
        dag = SimpleNamespace(
            needrun_jobs=lambda exclude_finished=True: needed,
            finished=lambda job: any(job is other for other in self.finished),
            jobs=[*needed, *self.others],
        )
        scheduler = SimpleNamespace(failed=set() if not self.failed else self.failed)
        return SimpleNamespace(
            is_main_process=main,
            touch=touch,
            local_exec=local,
            dryrun=False,
            executor_plugin="local",
            dag=dag,
            scheduler=scheduler,
            storage_settings=SimpleNamespace(notemp=notemp),
        )

    def end(self, *, succeeded=False, **settings):
        run = {"results": os.fspath(self.results), "plates": {"P1": None}, "started": STARTED, "before": self.before}
        end_run(self.workflow(**settings), [os.fspath(self.log)], sheet=None, succeeded=succeeded, **run)

    @property
    def before(self):
        """What the results were when the run began: the files that are older."""
        stamps = plate_stamps(self.results, ["P1"])["P1"]
        return {"P1": {path: stamp for path, stamp in stamps.items() if stamp[0] < STARTED * 1e9}}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def pend(run, well, *rules):
    jobs = [snakemake_job(rule, well) for rule in rules or ("process_well", "materialize_well")]
    run.pending += jobs
    return jobs


def test_every_well_is_in_the_class_that_fits(run, capsys):
    run.done("B02", skipped=[{"plane": "B02_s002_w1_z001_t002.tif"}])
    run.done("B03", error={"message": "no <image>", "step": None, "file": "B03.tif"})
    run.write("logs/process_well/B03.log", "StepError: B03 is bad\n")
    run.failed += pend(run, "B04")[:1]
    log = run.write("logs/process_well/B04.log", "INFO asked for memory\n")
    run.log.write_text(
        f"[now]\nError in rule process_well:\n    message: SLURM status is: 'TIMEOUT'.\n    jobid: 3\n    log: {log}\n"
    )
    # Begun by this run, by an earlier one, never: with the manifest of an earlier run, which is out of date.
    pend(run, "C02")
    run.write("logs/process_well/C02.log", "INFO begun\n")
    pend(run, "C03")
    run.write("logs/process_well/C03.log", "INFO old\n", age=100)
    pend(run, "C04")
    run.done("C04", age=100)
    run.end()
    text = capsys.readouterr().err
    assert text.startswith(
        "P1: 1 of 6 wells done, 1 failed (B03), 1 died (B04 process_well), 1 broken off (C02), 2 not begun, "
        "1 plane skipped; this run: 100 planes of 2 wells in "
    )
    assert f"; see {run.page}\nType the same command again" in text
    page = run.page.read_text()
    assert "<tr><td>B04</td><td>process_well</td><td>SLURM status is: &#39;TIMEOUT&#39;.</td></tr>" in page
    assert "INFO asked for memory" in page
    assert "no &lt;image&gt;" in page
    assert "StepError: B03 is bad" in page
    assert "<tr><td>C02</td><td>process_well</td></tr>" in page
    assert "<p>C03, C04</p>" in page
    assert '<tr><td>B02</td><td class="number">8</td>' in page


def test_a_job_of_which_the_log_says_nothing_is_named_all_the_same(run, capsys):
    run.failed += pend(run, "B04", "materialize_well")
    run.done("B02", "B03", "C02", "C03", "C04")
    run.end()
    assert "1 died (B04 materialize_well)" in capsys.readouterr().err
    page = run.page.read_text()
    assert "Snakemake&#39;s log says nothing about its end" in page
    assert "the log <code>logs/materialize_well/B04.log</code> is not there" in page


def test_of_a_group_it_is_the_last_job_begun_that_died(run, capsys):
    run.write("logs/process_well/B02.log", "x")
    run.write("logs/materialize_well/B02.log", "x", age=100)
    run.write("logs/process_well/B03.log", "x")
    run.write("logs/materialize_well/B03.log", "x")
    run.failed += [group(*pend(run, "B02")), group(*pend(run, "B03"))]
    run.end()
    assert "2 died (B02 process_well, B03 materialize_well)" in capsys.readouterr().err


def test_a_well_that_another_attempt_finished_is_done(run, capsys):
    run.done(*WELLS)
    log = run.write("logs/process_well/B04.log", "x")
    run.log.write_text(f"Error in rule process_well:\n    message: None\n    jobid: 3\n    log: {log}\n")
    run.pending.append(snakemake_job("report_plate"))
    run.failed += run.pending
    run.end()
    assert "6 of 6 wells done, 0 failed, 1 died (report_plate)" in capsys.readouterr().err
    assert "<td>whole plate</td><td>report_plate</td>" in run.page.read_text()


def finish(run):
    run.write("report/summary.html", "", age=-10)


def test_the_page_goes_when_the_plate_is_finished(run, capsys):
    run.old_page("old")
    run.done(*WELLS)
    finish(run)
    run.end(succeeded=True)
    assert not run.page.exists()
    text = capsys.readouterr().err
    assert text.startswith("P1: 6 of 6 wells done, 0 failed, 0 planes skipped; this run: 300 planes of 6 wells in ")
    assert "planes/s; see " in text
    assert text.endswith("summary.html\n")


def test_aggregation_removes_the_page_too(run):
    run.old_page("old")
    prune(run.folder, set(WELLS))
    assert not run.page.exists()


def test_a_page_of_the_users_own_stays(run, capsys):
    announce(run.folder, "check_plate", ["check_plate.json"])
    run.page.write_text("mine")
    prune(run.folder, set(WELLS))
    run.done("B02")
    pend(run, "B03")
    run.end()
    assert run.page.read_text() == "mine"
    assert "no page: " in capsys.readouterr().err


def test_a_check_that_fails_because_wells_failed_is_no_death_and_needs_no_page(run, capsys):
    run.done(*WELLS[1:])
    run.done("B02", error={"message": "x"})
    finish(run)
    run.pending.append(snakemake_job("check_plate"))
    run.failed += run.pending
    run.end()
    assert "5 of 6 wells done, 1 failed (B02), 0 planes" in capsys.readouterr().err
    assert not run.page.exists()


def test_a_run_of_single_wells_writes_no_page_but_renews_one_that_is_there(run):
    run.others = []
    run.done("B02")
    run.end(succeeded=True)
    assert not run.page.exists()
    run.old_page("B02 died")
    run.end(succeeded=True)
    assert "5 wells not begun" in run.page.read_text()


def test_a_plate_that_was_not_mapped_has_no_page(run, capsys):
    run.old_page("old")
    (run.folder / "index.parquet").unlink()
    run.pending.append(snakemake_job("ingest_plate"))
    run.end()
    assert capsys.readouterr().err.startswith("P1: not mapped; see ")
    assert not run.page.exists()


def test_a_plate_that_was_not_mapped_again_keeps_its_page(run, capsys):
    run.old_page("B02 died")
    run.pending.append(snakemake_job("ingest_plate"))
    run.end()
    assert capsys.readouterr().err.startswith("P1: not mapped again; see ")
    assert run.page.read_text() == "B02 died"


@pytest.mark.parametrize("settings", [{"main": False}, {"touch": True}], ids=["a single job", "--touch"])
def test_what_is_no_run_says_and_changes_nothing(run, settings, capsys):
    run.old_page("old")
    run.done(*WELLS)
    finish(run)
    run.end(succeeded=True, **settings)
    asked = {"plates": ["P1"], "wells_at_once": 2, "scratch": False, "keep_staged": False}
    begin_run(run.workflow(**settings), results=os.fspath(run.results), **asked)
    run.finished = []
    remove_stale_pages(run.workflow(**settings), run.results)
    assert capsys.readouterr().err == ""
    assert run.page.read_text() == "old"


def test_the_page_goes_when_nothing_is_to_be_done(run):
    run.old_page("B02, which was to be redone, died")
    pend(run, "B02")
    remove_stale_pages(run.workflow(), run.results)
    assert run.page.exists()
    run.pending, run.others = [], []
    remove_stale_pages(run.workflow(), run.results)
    assert run.page.exists(), "Snakemake did not look at the plate"
    run.others = [snakemake_job("check_plate")]
    dry = run.workflow()
    dry.dryrun = True
    remove_stale_pages(dry, run.results)
    assert run.page.exists()
    remove_stale_pages(run.workflow(), run.results)
    assert not run.page.exists()


@pytest.mark.parametrize("workflow", [SimpleNamespace(), SimpleNamespace(scheduler=None), SimpleNamespace(scheduler=1)])
def test_a_process_that_ends_before_it_knows_its_jobs_removes_nothing(run, workflow):
    run.old_page("old")
    remove_stale_pages(workflow, run.results)
    assert run.page.exists()


def test_a_well_that_was_redone_with_an_equal_result_leaves_its_plate_finished(run, capsys):
    run.done(*WELLS)
    run.write("report/summary.html", "", age=100)
    run.end(succeeded=True)
    assert not run.page.exists()
    assert capsys.readouterr().err.endswith("summary.html\n")


def test_a_run_of_single_wells_does_not_say_that_the_report_is_that_of_the_wells(run):
    run.old_page("old")
    run.others = []
    run.done(*WELLS)
    finish(run)
    run.end(succeeded=True)
    assert "6 of 6 wells done" in run.page.read_text()


@pytest.mark.parametrize("missing", ["report/summary.html", "wells/B03.json"])
def test_a_plate_of_which_something_is_missing_is_not_finished(run, missing):
    run.done(*WELLS)
    finish(run)
    (run.folder / missing).unlink()
    run.end()
    assert run.page.exists()


def ended(run, well, how):
    """Let a job die, of which Snakemake's log says how."""
    run.failed += pend(run, well)[:1]
    log = run.write(f"logs/process_well/{well}.log", "x")
    return f"Command 'python x.process_well.py' {how}.\nError in rule process_well:\n    jobid: 3\n    log: {log}\n"


def test_more_memory_is_advised_where_a_job_was_killed_alone(run, capsys):
    run.log.write_text(ended(run, "B02", "returned non-zero exit status 1"))
    run.end()
    text = capsys.readouterr().err
    assert f"\nSee why B02 process_well stopped: {run.folder}/logs/process_well/B02.log\n" in text
    assert "Too little memory" not in text
    assert "<td>ended with exit status 1</td>" in run.page.read_text()
    run.log.write_text(run.log.read_text() + ended(run, "B03", "returned non-zero exit status 137"))
    run.end()
    text = capsys.readouterr().err
    assert "B02.log" in text
    assert "raise memory_margin_mb in the configuration" in text
    assert "mem_mb=" not in text


@pytest.mark.parametrize(("status", "killed"), [(1, False), (137, True)])
def test_how_a_job_of_a_cluster_ended_is_read_in_the_log_of_the_batch_system(run, status, killed, capsys):
    inner = ended(run, "B02", f"returned non-zero exit status {status}")
    slurm = run.write("8.log", inner + inner.partition("\n")[2])  # the outer Snakemake's block says nothing
    log = run.folder / "logs" / "process_well" / "B02.log"
    failed = f"Error in rule process_well:\n    message: SLURM status is: 'FAILED'.\n    jobid: 3\n    log: {log}, "
    run.log.write_text(failed + f"{slurm}\n")
    run.end()
    assert ("Too little memory?" in capsys.readouterr().err) is killed
    assert "there it ended " in run.page.read_text()
    slurm.unlink()  # as where it lies on another machine
    run.end()
    assert "Too little memory?" in capsys.readouterr().err


def test_a_job_that_another_of_the_same_name_finished_did_not_die(run, capsys):
    run.done(*WELLS)
    finish(run)
    run.failed += [snakemake_job("report_plate")]
    run.finished += [snakemake_job("report_plate")]
    run.end()
    assert "died" not in capsys.readouterr().err


def test_where_no_page_can_be_written_the_line_is_there_and_says_why(run, capsys):
    run.done("B02", "B03")
    pend(run, "B04")
    run.page.mkdir()
    run.end()
    text = capsys.readouterr().err
    assert text.startswith("P1: 2 of 6 wells done, ")
    assert "; no page: " in text
    assert "Type the same command again" in text


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("local", [True, False])
def test_what_the_mapping_said_on_a_cluster_is_said_at_the_end(run, mapped, local, capsys):
    young = {"minutes": 10, "files": 9, "young": 3, "youngest": "a.tif"}
    info = read_info(run.folder / "index.parquet")
    report = ingest_report(ParsedPlate([], info), why="")
    run.write("ingest_report.json", json.dumps({**report, "acquisition": young}), age=0 if mapped else 100)
    run.done("B02")
    run.end(succeeded=True, local=local)
    text = capsys.readouterr().err
    assert text.startswith("warning: P1: 3 of ") is (mapped and not local)
    assert "\nP1: 1 of 6" in f"\n{text}"


def test_a_plate_that_snakemake_has_forgotten_has_its_line_and_the_wells_of_this_run(run, capsys):
    # After a checkpoint Snakemake makes its jobs again: those of a plate that is complete by then were never run.
    run.done("B02", "B03", "B04")
    run.done("C02", "C03", "C04", age=100)
    run.finished.clear()
    run.write("report/summary.html", "")
    run.end(succeeded=True)
    assert capsys.readouterr().err.startswith(
        "P1: 6 of 6 wells done, 0 failed, 0 planes skipped; this run: 150 planes of 3 wells in "
    )


def test_a_plate_that_the_run_left_as_it_was_has_no_line(run, capsys):
    run.done(*WELLS, age=100)
    run.write("report/summary.html", "", age=100)
    run.end(succeeded=True)
    assert capsys.readouterr().err.strip() == ""


@pytest.fixture
def said_last(monkeypatch):
    """What is said when the process ends."""
    lines = []
    monkeypatch.setattr("atexit.register", lambda _, said: lines.extend(said))
    return lines


def stop_job(run, rule, name, reason):
    log = run.write(f"logs/{rule}/{name}.log", f"ERROR wellfield: Traceback\nERROR wellfield: stopped: {reason}\n")
    end = f"Command 'x /tmp/s/tmpa.{rule}.py' returned non-zero exit status 1.\n"
    with run.log.open("a") as file:
        file.write(f"{end}[now]\nError in rule {rule}:\n    message: None\n    jobid: 3\n    log: {log}\n")


def test_after_a_mistake_it_is_the_last_that_is_said_and_that_nothing_was_run(run, said_last, capsys):
    run.failed += [snakemake_job("compile_plan")]
    run.pending += run.failed
    stop_job(run, "compile_plan", "P1", "the pipeline has 1 mistake:\n  step 1: no function 'x'")
    run.end()
    assert said_last == [
        "P1 compile_plan stopped: the pipeline has 1 mistake:\n  step 1: no function 'x'",
        "No well was run. Correct this, then type the same command again.",
    ]
    said = capsys.readouterr().err
    assert "wells that are done are kept" not in said
    assert "Too little memory" not in said
    assert "no function &#39;x&#39;" in run.page.read_text()


def test_a_well_that_died_while_it_was_written_is_said_with_its_reason(run, said_last, capsys):
    run.done("B02", "B03", "C02", "C03", "C04")
    run.failed += pend(run, "B04", "materialize_well")
    stop_job(run, "materialize_well", "B04", "results/P1/x.tif cannot be written: Input/output error")
    run.end()
    reason = "results/P1/x.tif cannot be written: Input/output error"
    assert said_last == [f"P1 B04 materialize_well stopped: {reason}"]
    assert "Type the same command again: wells that are done are kept." in capsys.readouterr().err
    assert reason in run.page.read_text()


def test_one_mistake_at_several_jobs_is_said_once(run, said_last):
    run.done("C02", "C03", "C04")
    for well in ("B02", "B03", "B04"):
        run.failed += pend(run, well, "process_well")
        stop_job(run, "process_well", well, "no GPU here")
    run.end()
    assert said_last == ["P1 B02 process_well, P1 B03 process_well, P1 B04 process_well stopped: no GPU here"]


def test_a_job_that_was_killed_or_stopped_in_another_run_has_no_reason(run, said_last):
    run.done("C02", "C03", "C04")
    for well in ("B02", "B03"):
        run.failed += pend(run, well, "process_well")
    run.write("logs/process_well/B02.log", "INFO wellfield: begun\n")
    run.write("logs/process_well/B03.log", "ERROR wellfield: stopped: long ago\n", age=100)
    run.end()
    assert said_last == []


def damage_manifest(run):
    run.write("wells/B02.json", "{")


def damage_index(run):
    (run.folder / "index.parquet").write_text("nothing")


@pytest.mark.parametrize("damage", [damage_manifest, damage_index])
def test_whatever_is_damaged_the_hook_says_so_in_a_line_and_raises_nothing(run, damage, capsys):
    run.done("B02", "B03")
    damage(run)
    pend(run, "B04")
    run.end()
    assert capsys.readouterr().err.startswith("P1: no summary: ")


def test_a_workflow_of_another_kind_is_no_error(tmp_path, capsys):
    run = {"results": "results", "plates": {}, "started": 0.0, "before": {}, "sheet": None}
    end_run(SimpleNamespace(), [], **run, succeeded=False)
    end_run(SimpleNamespace(is_main_process=True), [], **run, succeeded=False)
    assert capsys.readouterr().err.count("no summary of the run: SnakemakeVersionError") == 2


def test_the_process_does_not_wait_for_the_next_look_at_the_jobs(run):
    others = threading.Timer(60, print)
    before = set(threading.enumerate())
    JobScheduler._schedule_reevalutation(SimpleNamespace(_open_jobs=threading.Semaphore(0)), 60)
    (timer,) = set(threading.enumerate()) - before
    others.start()
    try:
        run.done(*WELLS)
        finish(run)
        run.end(succeeded=True)
        timer.join(timeout=10)
        assert not timer.is_alive()
        assert not others.finished.is_set()
    finally:
        others.cancel()
        timer.cancel()


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.14, "2.1 s"), (59.97, "1 min 0 s"), (117, "1 min 57 s"), (12_000, "3 h 20 min")]
)
def test_durations_are_in_words(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("notemp", [False, True])
def test_what_a_killed_run_staged_and_wrote_is_removed_unless_it_is_to_be_kept(run, notemp):
    run.done(*WELLS)
    run.finished.append(snakemake_job("check_plate"))
    for well, age in (("B02", 5.0), (WELLS[-1], -5.0)):  # before its manifest, and after it
        run.write(f".staging/{well}/staged.json", "{}", age=age)
    run.end(succeeded=True, notemp=notemp)
    left = sorted(path.name for path in (run.folder / ".staging").iterdir())
    assert left == (["B02", WELLS[-1]] if notemp else [WELLS[-1]])
