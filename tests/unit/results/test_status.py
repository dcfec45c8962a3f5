"""Which log recorded the failure of a well."""

from pathlib import Path

from wellfield.results.status import MATERIALIZE_STEP, failure_logs


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
