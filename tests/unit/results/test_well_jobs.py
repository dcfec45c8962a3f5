"""Which wells share a job."""

import pytest

from wellfield.errors import MetadataError
from wellfield.results.well_jobs import (
    JOB_NAME,
    WellJobs,
    cut,
    job_name,
    jobs_path,
    read_job,
    read_jobs,
    write_job,
    write_jobs,
)

WELLS = [f"{row}{column:02d}" for row in "AB" for column in range(1, 7)]


def never(_):
    return False


def test_wells_are_cut_into_runs_of_nearly_equal_length():
    assert cut(WELLS[:7], 3) == [["A01", "A02"], ["A03", "A04"], ["A05", "A06", "B01"]]
    assert cut(WELLS[:2], 5) == [["A01", "A02"]]
    assert cut([], 5) == []
    assert [well for part in cut(WELLS, 5) for well in part] == WELLS


@pytest.mark.parametrize(("wells", "name"), [(["B03"], "B03"), (["A01", "A02", "A12"], "A01-A12")])
def test_a_job_has_the_names_of_its_first_and_last_well(wells, name):
    assert job_name(wells) == name
    assert JOB_NAME.fullmatch(name)


def test_new_jobs_hold_every_well_once():
    jobs = WellJobs().recut(WELLS, 4, never)
    assert list(jobs.jobs) == ["A01-A04", "A05-B02", "B03-B06"]
    assert jobs.covers(WELLS)
    assert [jobs.of(well) for well in ("A01", "A05", "B06", "C01")] == ["A01-A04", "A05-B02", "B03-B06", "C01"]
    assert jobs.names(["B06", "A02", "B03"]) == ["B03-B06", "A01-A04"]


def test_a_plate_that_grows_keeps_the_jobs_that_are_begun():
    begun = WellJobs().recut(WELLS[:6], 3, never)
    grown = begun.recut(WELLS, 6, {"A01-A03", "A04-A06"}.__contains__)
    assert list(grown.jobs) == ["A01-A03", "A04-A06", "B01-B06"]


def test_jobs_that_are_not_begun_are_cut_again():
    jobs = WellJobs().recut(WELLS, 4, never).recut(WELLS, 1, {"A01-A04"}.__contains__)
    assert list(jobs.jobs) == ["A01-A04", *WELLS[4:]]


def test_a_well_that_is_done_alone_keeps_its_job():
    jobs = WellJobs().recut(WELLS[:4], 4, {"A02"}.__contains__)
    assert jobs.jobs == {"A02": ["A02"], "A01-A04": ["A01", "A03", "A04"]}


def test_a_well_can_get_a_job_of_its_own():
    jobs = WellJobs().recut(WELLS[:6], 3, never).without(["A01", "A05"], never)
    assert jobs.jobs == {"A01-A03": ["A02", "A03"], "A04-A06": ["A04", "A06"], "A01": ["A01"], "A05": ["A05"]}
    assert jobs.of("A01") == "A01"
    assert jobs.without(["A01"], never) == jobs


def test_a_well_of_a_job_that_is_done_is_set_apart_and_the_job_stays():
    jobs = WellJobs({"A01-A03": ["A01", "A02", "A03"]}).without(["A02"], {"A01-A03"}.__contains__)
    assert jobs.names(["A01", "A02", "A03"]) == ["A01-A03", "A02"]
    assert (jobs.wells("A01-A03"), jobs.wells("A02")) == (["A01", "A03"], ["A02"])
    assert jobs.all_wells("A01-A03") == ["A01", "A02", "A03"]
    assert jobs.recut(["A01", "A02", "A03"], 1, {"A01-A03"}.__contains__) == jobs
    assert jobs.recut(["A01", "A02", "A03"], 1, {"A02"}.__contains__).apart == frozenset()


def test_a_job_does_not_do_wells_that_are_left_out():
    jobs = WellJobs({"A01-A03": ["A01", "A02", "A03"]}, frozenset({"A02"}))
    assert jobs.wells("A01-A03") == ["A01", "A03"]
    assert jobs.all_wells("A01-A03") == ["A01", "A02", "A03"]


def test_jobs_are_read_as_they_were_written(tmp_path):
    assert read_jobs(tmp_path) == WellJobs()
    jobs = WellJobs(
        {"A01-A02": ["A01", "A02"], "B03": ["B03"]}, frozenset({"A02"}), frozenset({"A01"}), {"wells_per_job": "auto"}
    )
    write_jobs(tmp_path, jobs)
    assert read_jobs(tmp_path) == jobs
    write_job(tmp_path / "A01-A02.json", ["A01", "A02"])
    assert read_job(tmp_path / "A01-A02.json") == ["A01", "A02"]


def test_a_damaged_list_is_named_with_what_to_do(tmp_path):
    write_jobs(tmp_path, WellJobs())
    jobs_path(tmp_path).write_text('{"schema_version": 1}')
    with pytest.raises(MetadataError, match=r"jobs\.json.*Delete it"):
        read_jobs(tmp_path)
