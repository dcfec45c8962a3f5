"""What jobs ask for."""

import json
import os

import pytest

from wellfield.workflow.resources import process_mb


def plan(path, memory_mb, library="numpy"):
    calls = [{"memory_type": library, "output_type": "numpy"}]
    path.write_text(json.dumps({"memory_mb": memory_mb, "steps": [{"branches": [{"calls": calls}]}]}))
    return path


def test_memory_is_that_of_the_plan_its_libraries_and_the_margin_times_the_attempt(tmp_path):
    assert process_mb(plan(tmp_path / "a.json", 100.5), margin_mb=600) == 701
    assert process_mb(plan(tmp_path / "b.json", 100, "torch"), margin_mb=600, attempt=2) == 1900


def test_a_plan_that_is_compiled_anew_is_read_anew(tmp_path):
    path = plan(tmp_path / "plan.json", 100)
    assert process_mb(path, margin_mb=0) == 100
    later = path.stat().st_mtime_ns + 1
    os.utime(plan(path, 300), ns=(later, later))
    assert process_mb(path, margin_mb=0) == 300


def test_a_plan_that_is_not_there_is_named_so_that_snakemake_asks_again_later(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        process_mb(str(tmp_path / "plan.json"), margin_mb=0)
    assert caught.value.filename == str(tmp_path / "plan.json")
