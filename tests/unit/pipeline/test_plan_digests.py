"""Which changes of a plan run a well's two jobs again, and which run neither."""

import copy
import json

import pytest

from wellfield.config.settings import SETTINGS
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plan_file import plan_digest, processing_digest
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.pipeline.step import FunctionStep
from wellfield.plate.plate import Plate

COMPILED = compile_pipeline(
    [
        FunctionStep("max_projection", name="projected", materialize=["zarr"]),
        FunctionStep("gaussian_filter", name="smoothed", sigma=1.0),
    ],
    plate=Plate(channels={1: "DAPI"}),
    sources={1: SourceLayers((1, 2))},
)
PLAN = json.loads(json.dumps(COMPILED.to_json()))


def changed(*path, value):
    plan = copy.deepcopy(PLAN)
    inner = plan
    for part in path[:-1]:
        inner = inner[part]
    assert inner[path[-1]] != value
    inner[path[-1]] = value
    return plan


def digests(plan):
    return plan_digest(plan), processing_digest(plan)


@pytest.mark.parametrize("path", [("memory_mb",), ("work_megapixels",), ("steps", 0, "memory_mb")])
def test_an_estimate_changes_no_digest(path):
    assert digests(changed(*path, value=123456.0)) == digests(PLAN)


def test_the_format_of_images_changes_the_plan_and_not_what_is_computed():
    whole, processing = digests(changed("steps", 0, "materialize", value=["tiff"]))
    assert whole != plan_digest(PLAN)
    assert processing == processing_digest(PLAN)


def test_only_settings_of_writing_are_none_of_computing():
    found = {name: digests(changed("settings", name, value="another")) for name in PLAN["settings"]}
    assert plan_digest(PLAN) not in {whole for whole, _ in found.values()}
    writing = {name for name in SETTINGS if name.startswith(("zarr.", "tiff.", "step_materialization."))}
    same = {name for name, (_, processing) in found.items() if processing == processing_digest(PLAN)}
    assert same == {*writing, "vfs.materialization_backend"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("steps", 0, "materialize"), []),
        (("steps", 1, "materialize"), ["tiff"]),
        (("steps", 1, "branches", 0, "calls", 0, "params", "sigma"), 2.0),
        (("sources", "1", "z"), [1]),
        (("channels", "1"), "Hoechst"),
        (("pixel_size_um",), 0.5),
    ],
)
def test_what_is_computed_changes_both(path, value):
    plan = changed(*path, value=value)
    assert not set(digests(plan)) & set(digests(PLAN))


def test_a_plan_and_its_file_have_the_same_digests():
    assert (COMPILED.digest(), COMPILED.processing_digest()) == digests(PLAN)
