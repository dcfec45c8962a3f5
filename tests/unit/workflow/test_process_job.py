"""The wells of a job, one after another, and what another attempt keeps of a killed one."""

import json
from types import SimpleNamespace

import pytest

from wellfield.results.staged_well import STAGED_NAME, attempt_mark, forget_attempts, killed_wells
from wellfield.results.well_jobs import WellJobs, read_job, write_jobs
from wellfield.workflow import process_well as module
from wellfield.workflow.process_well import process_job

WELLS = ["A01", "A02", "A03"]


class Killed(BaseException):
    """Ends the process, as SIGKILL would: nothing of the job's code runs afterwards."""


@pytest.fixture
def staged(tmp_path):
    write_jobs(tmp_path, WellJobs({"A01-A03": WELLS}))
    return tmp_path / ".staging" / "A01-A03.json"


@pytest.fixture
def work(monkeypatch):
    """Stand in for the pipeline: note each well that is done; ``work.ends`` says how a well ends the job."""
    work = SimpleNamespace(done=[], ends={})

    def process(index, plan, well, stage, **_):
        if well in work.ends:
            raise work.ends[well]
        stage.mkdir(parents=True, exist_ok=True)
        (stage / STAGED_NAME).write_text(json.dumps({"sizes": {}, "images": [], "outputs": []}))
        work.done.append(well)
        return SimpleNamespace(status="done", planes=SimpleNamespace(used=1))

    monkeypatch.setattr(module, "process_well", process)
    return work


def run(staged, attempt=1):
    process_job("index", "plan", "A01-A03", staged, attempt=attempt)


def test_wells_follow_one_another(staged, work):
    run(staged)
    assert work.done == WELLS == read_job(staged)
    assert not attempt_mark(staged).exists()


@pytest.mark.parametrize("end", [Killed(), MemoryError(), OSError("no space")])
def test_another_attempt_does_what_is_not_done_and_the_well_that_ended_the_job_last(staged, work, end):
    work.ends["A02"] = end
    with pytest.raises(type(end)):
        run(staged)
    assert not staged.exists()
    assert killed_wells(staged.parent) == ["A02"]
    work.ends.clear()
    run(staged, attempt=2)
    assert work.done == ["A01", "A03", "A02"]
    assert read_job(staged) == WELLS


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1)])
def test_a_well_is_not_blamed_for_a_job_that_the_user_ends(staged, work, end):
    work.ends["A02"] = end
    with pytest.raises(type(end)):
        run(staged)
    assert killed_wells(staged.parent) == []
    work.ends.clear()
    run(staged, attempt=2)
    assert work.done == WELLS


def test_the_first_attempt_of_a_run_does_all_wells(staged, work):
    work.ends["A03"] = Killed()
    with pytest.raises(Killed):
        run(staged)
    work.ends.clear()
    run(staged)
    assert work.done == ["A01", "A02", *WELLS]


def test_what_an_earlier_run_staged_is_not_kept_where_the_first_attempt_died_at_once(staged, work):
    work.ends["A03"] = Killed()
    with pytest.raises(Killed):
        run(staged)
    forget_attempts(staged.parent)
    work.ends.clear()
    run(staged, attempt=2)
    assert work.done == ["A01", "A02", *WELLS]
