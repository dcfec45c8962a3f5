"""Which GPU a job takes where no scheduler hands them out."""

import os
from contextlib import ExitStack

import pytest

from wellfield.workflow import gpus
from wellfield.workflow.gpus import VISIBLE, reserve_gpus, visible_gpus


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with two GPUs."""
    monkeypatch.delenv(VISIBLE, raising=False)
    for name in ("nvidia1", "nvidia0", "nvidiactl", "null"):
        (tmp_path / name).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)


@pytest.fixture
def start_job(monkeypatch, tmp_path):
    """Start a job as a process of its own would: it sees what the machine has. The job ends with its context."""
    with ExitStack() as jobs:

        def start(number=1):
            monkeypatch.delenv(VISIBLE, raising=False)
            job = ExitStack()
            jobs.push(job)
            return job.enter_context(reserve_gpus(number, tmp_path / "locks")), job

        yield start


def test_the_gpus_of_a_machine_are_its_device_files_or_what_the_variable_leaves(monkeypatch):
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv(VISIBLE, "3, GPU-8f1a")
    assert visible_gpus() == ["3", "GPU-8f1a"]
    for nothing in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv(VISIBLE, nothing)
        assert visible_gpus() == []
    monkeypatch.setenv(VISIBLE, "0,-1,2")
    assert visible_gpus() == ["0"]


def test_jobs_at_the_same_time_spread_over_the_gpus_and_share_them_when_all_are_taken(start_job):
    jobs = [start_job() for _ in range(5)]
    assert [gpus for gpus, _ in jobs] == [["0"], ["1"], ["0"], ["1"], ["0"]]


def test_the_gpu_of_a_job_that_ended_is_the_next_to_be_taken(start_job):
    jobs = [start_job() for _ in range(4)]
    jobs[1][1].close()
    assert start_job()[0] == ["1"]
    assert start_job()[0] == ["0"]


def test_libraries_see_the_chosen_gpu_alone_and_the_variable_is_restored(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "4,5,6")
    with reserve_gpus(2, tmp_path / "locks") as chosen:
        assert os.environ[VISIBLE] == "4,5"
        with reserve_gpus(1, tmp_path / "locks"):
            assert os.environ[VISIBLE] == "4"  # of the two that are visible here
        assert chosen == ["4", "5"]
    assert os.environ[VISIBLE] == "4,5,6"


def test_several_gpus_of_one_job_are_different_ones(start_job):
    (gpus.DEVICES / "nvidia2").touch()
    start_job()
    assert start_job(2)[0] == ["1", "2"]
    assert start_job(2)[0] == ["0", "1"]


def test_what_a_scheduler_gave_stays(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "1")
    with reserve_gpus(1, tmp_path / "locks") as given:
        assert (given, os.environ[VISIBLE]) == (["1"], "1")
    assert not (tmp_path / "locks").exists()


def test_a_job_that_asks_for_none_is_left_alone(tmp_path):
    with reserve_gpus(0, tmp_path / "locks") as given:
        assert given == []
    assert VISIBLE not in os.environ
