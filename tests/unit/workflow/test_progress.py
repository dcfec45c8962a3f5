"""What a run prints while it is under way, from events as Snakemake sends them."""

import io
import logging
import re
import time
from types import SimpleNamespace

import pytest

from wellfield.pipeline.well_input import PlaneAccount
from wellfield.results.manifest import write_manifest
from wellfield.workflow.progress import LONGEST, Count, Progress, clock
from wellfield.workflow.snakemake_api import Job, replace_output

WELLS = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]


class Inner(logging.Handler):
    """Snakemake's handler: notes what it gets."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


class Run:
    """A run of one plate: sends events, and has what was printed."""

    def __init__(self, results, jobs, *, is_terminal=False, quiet=()):
        self.results, self.jobs, self.stream, self.inner = results, jobs, io.StringIO(), Inner()
        self.progress = Progress(
            self.inner,
            str(results),
            stream=self.stream,
            is_terminal=is_terminal,
            wells_of=lambda plate, name: jobs[name],
            to_do=lambda: {Job(rule, "P1", name) for name in jobs for rule in ("process_well", "materialize_well")},
            quiet=quiet,
        )
        self.number = 0

    def send(self, message="", level=logging.INFO, **values):
        self.progress.handle(logging.makeLogRecord({"msg": message, "levelno": level, **values}))

    def begin(self, rule, well=""):
        self.number += 1
        wildcards = {"plate": "P1"} | ({"well": well} if well else {})
        info = {"rule_name": rule, "wildcards": wildcards, "jobid": self.number, "rule_msg": f"P1: {rule} it"}
        self.send(event="job_info", **info)
        return self.number

    def do(self, name, failed=()):
        """Process and write the wells of a job."""
        for rule in ("process_well", "materialize_well"):
            number = self.begin(rule, name)
        for well in self.jobs[name]:
            error = {"message": "plane x.tif cannot be read", "type": "E"} if well in failed else None
            write_manifest(
                self.results / "P1" / "wells" / f"{well}.json",
                plate="P1",
                well=well,
                status="failed" if error else "done",
                error=error,
                planes=PlaneAccount(used=0 if error else 2),
                plan_digest="",
                files=[],
            )
        self.send("Finished", event="job_finished", job_id=number)

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "P1" / "wells").mkdir(parents=True)
    return tmp_path


def test_a_file_gets_a_line_for_each_well_and_each_stage(folder):
    run = Run(folder, {"A01-A24": WELLS[:24], "B01": ["B01"]})
    run.begin("ingest_plate")
    run.do("A01-A24", failed=["A03"])
    run.do("B01")
    run.begin("aggregate_plate")
    assert len(run.lines) == 1 + 25 + 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d P1: ingest_plate it", run.lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d P1 A01: done, 2 planes \(1 of 25\)", run.lines[1])
    assert "P1 A03: failed: plane x.tif cannot be read (3 of 25)" in run.lines[3]
    assert "\033" not in run.stream.getvalue()
    assert run.inner.said == []


def test_384_wells_are_384_lines(folder):
    run = Run(folder, {well: [well] for well in WELLS})
    for well in WELLS:
        run.do(well)
        run.send("Select jobs to execute...")
        run.send("Removing temporary output x.")
        run.send(event="progress", done=1, total=768)
    assert len(run.lines) == 384
    assert "P1 P24: done, 2 planes (384 of 384)" in run.lines[-1]


def test_a_terminal_gets_a_bar_and_the_wells_that_failed(folder):
    run = Run(folder, {"A01-A24": WELLS[:24], "B01": ["B01"]}, is_terminal=True)
    run.do("A01-A24", failed=["A03"])
    text = run.stream.getvalue()
    assert len(re.findall("done,", text)) == 0
    assert "P1 A03: failed" in text
    bar = text.split("\r")[-2]
    assert bar.startswith("\033[K[###################.] P1: 24 of 25 wells, 1 failed")
    run.progress.finish()
    assert run.stream.getvalue().endswith("\r\033[K")
    run.send("Complete log(s): x")
    assert run.stream.getvalue().endswith("\r\033[K")


def test_the_bar_is_no_wider_than_the_terminal(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run = Run(folder, {"A01": ["A01"]}, is_terminal=True)
    run.do("A01")
    assert max(len(part.removeprefix("\033[K")) for part in run.stream.getvalue().split("\r")) <= 39


def test_numbers_are_those_of_this_run():
    count = Count(total=96, done=24, failed=1, planes=48, begun=1000.0)
    assert count.text(1010.0) == "24 of 96 wells, 1 failed, 4.8 planes/s, 0:30 left"
    assert Count(total=96, begun=1000.0).text(1010.0) == "0 of 96 wells, 0 failed"
    assert (
        Count(total=1, done=1, planes=1_000, begun=0.5).text(1.5).startswith("1 of 1 well, 0 failed, 1,000.0 planes/s")
    )
    assert [clock(seconds) for seconds in (0.4, 65, 3599.6, 3730)] == ["0:00", "1:05", "1:00:00", "1:02:10"]


def error(run, **values):
    return {"jobid": run.number, "rule_name": "process_well", "log": ["elsewhere.log"], **values}


@pytest.mark.parametrize("quiet", [(), ("rules", "progress")])
def test_a_job_that_stopped_is_shown_at_once_with_its_reason(folder, quiet):
    run = Run(folder, {"A01-A24": WELLS[:24]}, quiet=quiet)
    run.begin("process_well", "A01-A24")
    log = folder / "P1" / "logs" / "process_well" / "A01-A24.log"
    log.parent.mkdir(parents=True)
    log.write_text("INFO x: y\nERROR wellfield: stopped: no memory left\n")
    run.send("Error in rule", logging.ERROR, event="job_error", **error(run))
    assert re.fullmatch(r"\d\d:\d\d:\d\d P1 A01-A24: process_well stopped: no memory left", run.lines[-2])
    assert run.lines[-1] == f"   see {log}, elsewhere.log"


def test_jobs_of_a_group_that_stopped_are_shown_each(folder):
    run = Run(folder, {"A01": ["A01"]})
    run.begin("process_well", "A01")
    run.send("Error", logging.ERROR, event="group_error", job_error_info=[error(run)])
    assert "P1 A01: process_well stopped" in run.lines[-2]


def test_no_line_is_endless(folder):
    run = Run(folder, {"A01": ["A01"]})
    run.begin("process_well", "A01")
    log = folder / "P1" / "logs" / "process_well" / "A01.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"ERROR wellfield: stopped: {'long ' * 1_000}\n")
    run.send("Error in rule", logging.ERROR, event="job_error", **error(run))
    assert max(map(len, run.lines)) == LONGEST


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("WorkflowError: the disk is full", {"levelno": logging.ERROR, "event": "error"}),
        ("a warning about Waiting for", {"levelno": logging.WARNING}),
        ("Nothing to be done (all requested files are present and up to date).", {}),
        ("Trying to restart job 3.", {}),
        ("SLURM run ID: 1-2-3", {}),
        ("Will exit after finishing currently running jobs (scheduler).", {}),
    ],
)
def test_what_is_not_about_a_single_job_is_printed_as_snakemake_has_it(folder, message, values):
    run = Run(folder, {"A01": ["A01"]})
    run.send(message, values.pop("levelno", logging.INFO), **values)
    assert run.inner.said == [message]


def test_a_record_that_is_not_as_expected_is_printed_by_snakemake(folder):
    run = Run(folder, {"A01": ["A01"]})
    run.send("a job of a later version", event="job_info")
    assert run.inner.said == ["a job of a later version"]


# --- the place of Snakemake's handler ----------------------------------------------------------------------------


def workflow(handler, **settings):
    logger = logging.Logger("snakemake")
    logger.addHandler(handler)
    usual = {"verbose": False, "printshellcmds": False, "debug_dag": False, "dryrun": False, "quiet": ()}
    return SimpleNamespace(
        logger_manager=SimpleNamespace(logger=logger), output_settings=SimpleNamespace(**usual | settings)
    )


def terminal_handler(name="DefaultStreamHandler"):
    handler = logging.StreamHandler(io.StringIO())
    handler.name = name
    return handler


def test_snakemakes_handler_is_replaced():
    handler, made = terminal_handler(), Inner()
    run = workflow(handler, quiet=("rules",))
    asked = {}
    assert replace_output(run, lambda inner, **named: asked.update(named, inner=inner) or made) is made
    assert run.logger_manager.logger.handlers == [made]
    assert (asked["inner"], asked["stream"], asked["is_terminal"]) == (handler, handler.stream, False)
    assert list(asked["quiet"]) == ["rules"]


@pytest.mark.parametrize("asks", ["verbose", "printshellcmds", "debug_dag", "dryrun"])
def test_snakemakes_own_output_is_there_for_those_who_ask(asks):
    run = workflow(terminal_handler(), **{asks: True})
    assert replace_output(run, Inner) is None
    assert len(run.logger_manager.logger.handlers) == 1


@pytest.mark.parametrize(
    "run", [workflow(terminal_handler("a plugin")), workflow(terminal_handler(), quiet=["all"]), None]
)
def test_other_outputs_stay(run):
    assert replace_output(run, Inner) is None


def test_time_goes_on(folder, monkeypatch):
    run = Run(folder, {well: [well] for well in WELLS[:4]}, is_terminal=True)
    start = time.time()
    monkeypatch.setattr(time, "time", lambda: start)
    run.do("A01")
    monkeypatch.setattr(time, "time", lambda: start + 10)
    run.do("A02")
    assert "2 of 4 wells, 0 failed, 0.4 planes/s, 0:10 left" in run.stream.getvalue()
