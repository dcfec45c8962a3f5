"""What is said of a well that failed, and which log recorded it."""

from pathlib import Path

from wellfield.results.status import MATERIALIZE_STEP, failed_wells, failure_lines, failure_logs


def test_the_log_is_that_of_the_stage_that_failed_and_wells_that_are_done_have_none():
    manifests = {
        "B02": {"status": "done", "error": None},
        "B03": {"status": "failed", "error": {"message": "x", "step": "2 (mask)"}},
        "B04": {"status": "failed", "error": {"message": "x", "step": MATERIALIZE_STEP}},
        "B05": {"status": "failed", "error": {"message": "x"}},
    }
    assert failure_logs("results/P", manifests) == {
        "B03": Path("results/P/logs/process_well/B03.log"),
        "B04": Path("results/P/logs/materialize_well/B04.log"),
        "B05": Path("results/P/logs/process_well/B05.log"),
    }


def test_a_failed_well_is_one_line_of_where_and_why():
    error = {
        "message": "no\n  nuclei",
        "step": "1 (blur)",
        "field": 2,
        "timepoint": 1,
        "channel": None,
        "file": "a.tif",
    }
    manifests = {
        "B02": {"status": "done", "error": None},
        "B03": {"status": "failed", "error": error},
        "B04": {"status": "failed", "error": {"message": "x"}},
        "B05": {"status": "failed", "error": None},
    }
    assert failure_lines(manifests) == {
        "B03": "field 2, timepoint 1, step 1 (blur), file a.tif: no nuclei",
        "B04": "x",
        "B05": "its manifest gives no reason",
    }


def test_a_status_that_nobody_knows_is_no_success():
    assert list(failed_wells({"B02": {"status": "done"}, "B03": {"status": "half"}})) == ["B03"]
