"""What a job asks the scheduler for."""

import json
import os

import pytest

from wellfield.config.models import Config
from wellfield.config.settings import resolve_settings
from wellfield.memory import MemoryType
from wellfield.pipeline.plan import Branch, CompiledCall, CompiledStep, Plan
from wellfield.pipeline.step import StackAxis
from wellfield.plate.plate import Plate
from wellfield.workflow import resources

SQUARE = 1000  # a megapixel


def info(**facts):
    given = {"shape": (SQUARE, SQUARE), "dtype": "uint16", "planes_per_well": {"B02": 12}} | facts
    return Plate("P", "raw", "imagexpress", ("B02",), {1: "DAPI"}, **given)


@pytest.fixture
def plan(tmp_path):
    """A stored plan: 100 MB of images, 10 megapixels of work for a field, a step on torch."""
    call = CompiledCall("gaussian_filter", memory_type=MemoryType.TORCH)
    step = CompiledStep(1, "smooth", "start", (1,), StackAxis.Z, (Branch((1,), (call,)),))
    return write_plan(tmp_path / "plan.json", (step,), memory_mb=100.0, work_megapixels=10.0)


def write_plan(path, steps, **needs):
    path.write_text(json.dumps(Plan(steps, {}, {}, resolve_settings([]), **needs).to_json()))
    return path


def test_memory_is_that_of_images_libraries_and_margin_beside_the_schedulers_own(plan):
    own = resources.RUNNER_MB
    assert resources.process_mb(plan, margin_mb=600) == own + 100 + 600 + resources.LIBRARY_MB["torch"]
    assert resources.process_mb(plan, margin_mb=600, attempt=3) == own + 3 * (700 + resources.LIBRARY_MB["torch"])


def test_a_plan_that_is_compiled_anew_is_read_anew(plan):
    before = resources.process_mb(plan, margin_mb=0)
    write_plan(plan, (), memory_mb=before + 300)
    later = plan.stat().st_mtime_ns + 1
    os.utime(plan, ns=(later, later))
    assert resources.process_mb(plan, margin_mb=0) == resources.RUNNER_MB + before + 300


def test_a_plan_that_is_not_there_is_named_so_that_snakemake_asks_again_later(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        resources.process_mb(str(tmp_path / "plan.json"), margin_mb=0)
    assert caught.value.filename == str(tmp_path / "plan.json")


def test_time_grows_with_planes_work_fields_and_attempts(plan):
    once = resources.process_minutes(plan, info(), {"B02": 3})
    assert once == resources.START_MINUTES + 1  # 12 megapixels read and 30 worked on are seconds
    assert resources.process_minutes(plan, info(), {"B02": 300}) > once
    assert resources.process_minutes(plan, info(planes_per_well={"B02": 1200}), {"B02": 3}) > once
    assert resources.process_minutes(plan, info(), {"B02": 3}, attempt=3) >= 3 * resources.START_MINUTES
    stored = resources.storing_minutes(info(), ["B02"])
    assert resources.storing_minutes(info(planes_per_well={"B02": 1200}), ["B02"]) > stored


def test_time_is_that_of_all_wells_of_a_job(plan):
    wells = {f"A{number:02d}": 300 for number in range(1, 13)}
    alone = [resources.process_minutes(plan, info(), {well: fields}) for well, fields in wells.items()]
    together = resources.process_minutes(plan, info(), wells)
    assert max(alone) < together <= sum(alone)
    assert together - resources.START_MINUTES >= 12 * (alone[0] - resources.START_MINUTES) - 12


@pytest.mark.parametrize(
    ("config", "gpus"),
    [
        ({}, 0),
        ({"device": "gpu"}, 0),
        ({"device": "gpu", "memory_type": "torch"}, 1),
        ({"device": "gpu_or_cpu", "memory_type": "torch"}, 1),
        ({"memory_type": "torch"}, 0),
        ({"device": "gpu", "steps": [{"func": "mine.py:own"}]}, 1),
    ],
)
def test_a_gpu_is_asked_for_where_a_step_may_run_on_one(config, gpus):
    assert resources.gpus(Config(**({"steps": [{"func": "max_projection"}]} | config))) == gpus
