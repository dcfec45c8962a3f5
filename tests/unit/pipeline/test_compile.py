"""The compiler: what it refuses, and what it decides."""

import json

import numpy as np
import pytest

from wellfield.errors import PipelineError
from wellfield.pipeline import FunctionStep, special_inputs, special_outputs
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.plane_selection import SourceLayers, choose_sources
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.plate import Plate

CHANNELS = {1: "DAPI", 2: "FITC"}
SOURCES = {1: SourceLayers((1, 2, 3)), 2: SourceLayers((1, 2, 3))}


def compile_steps(*steps, **facts):
    return compile_pipeline(steps, plate=Plate(channels=CHANNELS, **facts), sources=SOURCES)


def mistakes(*steps):
    with pytest.raises(PipelineError) as caught:
        compile_steps(*steps)
    return str(caught.value)


def test_all_mistakes_of_all_steps_come_together_with_their_step_numbers():
    text = mistakes(
        FunctionStep("gausian_filter"),
        FunctionStep("gaussian_filter", name="g", sigm=2),
        FunctionStep("max_projection", name="m", channels=["Cy5"], input="nowhere"),
    )
    assert "4 mistakes" in text
    assert (
        "step 1 (gausian_filter): no function is registered as 'gausian_filter'; did you mean 'gaussian_filter'?"
        in text
    )
    assert "step 2 (g): gaussian_filter has no parameter 'sigm'; did you mean 'sigma'?" in text
    assert "step 3 (m): no earlier step is named 'nowhere'" in text
    assert "step 3 (m): the plate has no channel 'Cy5'; it has 1 DAPI, 2 FITC" in text


def test_an_empty_pipeline_is_refused():
    assert "no step" in mistakes()


def test_two_steps_of_one_name_are_refused():
    assert "'a' is taken" in mistakes(FunctionStep("max_projection", name="a"), FunctionStep("tophat", name="a"))


def test_an_intensity_image_where_a_mask_is_needed_names_the_missing_threshold():
    text = mistakes(FunctionStep("split_touching", name="nuclei"))
    assert "split_touching takes mask, but its input 'previous' is intensity; threshold the image first" in text


def test_a_required_parameter_that_is_not_given_is_named():
    assert "count_cells needs the parameter 'labels'" in mistakes(FunctionStep("count_cells", stack="channel"))


def test_channels_are_taken_by_name_and_number_and_default_to_those_of_the_input():
    plan = compile_steps(
        FunctionStep("max_projection", name="a"),
        FunctionStep("tophat", name="b", channels=["FITC"]),
        FunctionStep("gaussian_filter", name="c"),
    )
    assert [step.channels for step in plan.steps] == [(1, 2), (2,), (2,)]


def test_a_channel_that_the_input_does_not_have_is_refused():
    text = mistakes(
        FunctionStep("max_projection", name="a", channels=[1]), FunctionStep("tophat", name="b", channels=[2])
    )
    assert "channel 2 is not in its input: step 'a' has channels [1]" in text


def test_a_second_intensity_image_for_the_store_is_refused():
    text = mistakes(
        FunctionStep("max_projection", name="a", materialize=["zarr"]),
        FunctionStep("tophat", name="b", materialize=["zarr"]),
    )
    assert "a, b all write an intensity image to zarr" in text


def test_an_unknown_place_to_write_to_is_refused():
    assert "'hdf5' is unknown; expected zarr or tiff" in mistakes(FunctionStep("max_projection", materialize=["hdf5"]))


def test_each_result_is_kept_until_the_last_step_that_reads_it():
    plan = compile_steps(
        FunctionStep("max_projection", name="a"),
        FunctionStep("gaussian_filter", name="b"),
        FunctionStep("tophat", name="c", input="a"),
        FunctionStep("median_filter", name="d", input="b"),
    )
    assert [step.last_use for step in plan.steps] == [3, 4, 3, 4]


def test_planes_and_projections_do_not_go_into_one_store():
    sources = {1: SourceLayers((1, 2)), 2: SourceLayers((), Projection.MAX)}
    steps = [FunctionStep("gaussian_filter", name="g", materialize=["zarr"])]
    with pytest.raises(
        PipelineError, match=r"g of channel 1: z planes, g of channel 2: max projection\); project first"
    ):
        compile_pipeline(steps, plate=Plate(channels=CHANNELS), sources=sources)
    projected = [FunctionStep("max_projection", name="p", materialize=["zarr"])]
    assert (
        compile_pipeline(projected, plate=Plate(channels=CHANNELS), sources=sources).steps[0].branches[0].projection
        == Projection.MAX
    )


def test_a_special_input_that_nobody_makes_is_refused():
    @special_inputs("positions")
    def use(image, positions):
        return image

    assert "needs the special input 'positions'" in mistakes(FunctionStep(use))


def test_two_steps_that_make_one_output_are_refused():
    @special_outputs("positions")
    def make(image):
        return image, 1

    text = mistakes(FunctionStep(make, name="a"), FunctionStep(make, name="b"))
    assert "'positions' is already made by step 1 (a)" in text


def test_the_plate_fills_in_channel_names_and_pixel_size_that_a_step_leaves_out():
    def measure(image, *, channel_names, pixel_size_um):
        return image

    plan = compile_steps(FunctionStep(measure, channels=[2]), pixel_size_um=0.65)
    [call] = plan.steps[0].calls
    assert (call.params, call.plate_params) == ({}, ("pixel_size_um", "channel_names"))
    own = compile_steps(FunctionStep(measure, channel_names=["x", "y"], pixel_size_um=1.0))
    assert own.steps[0].calls[0].params == {"channel_names": ["x", "y"], "pixel_size_um": 1.0}
    assert own.steps[0].calls[0].plate_params == ()


def test_an_imported_function_is_compiled_like_a_registered_one():
    plan = compile_steps(FunctionStep("scipy.ndimage:gaussian_filter", name="g", sigma=1))
    [call] = plan.steps[0].calls
    assert call.call(np.zeros((1, 4, 4)), **call.params).shape == (1, 4, 4)
    assert "cannot be imported" in mistakes(FunctionStep("scipy.ndimage:gausian"))
    assert "cannot be imported" in mistakes(FunctionStep("no.such.module:f"))


def test_a_plan_survives_its_json_form():
    plan = compile_steps(
        FunctionStep("max_projection", name="a", materialize=["zarr", "tiff"]),
        FunctionStep("threshold_otsu", name="m", channels=[1]),
        FunctionStep("split_touching", name="n"),
        FunctionStep("count_cells", name="c", input="a", inputs={"labels": "n"}, stack="channel"),
        pixel_size_um=0.5,
    )
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), source="plan.json")
    assert again.to_json() == plan.to_json()
    assert again.digest() == plan.digest()
    assert list(again.special_outputs()) == ["cell_counts", "objects"]
    assert again.special_outputs() == plan.special_outputs()


KEYS = [PlaneKey("A01", 1, 1, z, 1) for z in (1, 2)]
KEYS += [PlaneKey("A01", 1, channel, 0, 1, Projection.MAX) for channel in (1, 2)]
KEYS += [PlaneKey("A02", 1, 1, 3, 1)]


def test_planes_are_preferred_and_a_channel_with_only_a_projection_starts_from_that():
    sources = choose_sources(KEYS, "planes_or_projection")
    assert sources == {1: SourceLayers((1, 2, 3), timepoints=(1,)), 2: SourceLayers((), Projection.MAX, (1,))}


def test_a_source_can_be_planes_only_or_projections_only():
    assert choose_sources(KEYS, "planes") == {1: SourceLayers((1, 2, 3), timepoints=(1,))}
    assert choose_sources(KEYS, "projection") == {n: SourceLayers((), Projection.MAX, (1,)) for n in (1, 2)}


def test_the_timepoints_of_a_channel_are_those_that_the_plate_has_of_it():
    keys = [PlaneKey("A01", 1, 1, 1, time) for time in (1, 2)] + [PlaneKey("A01", 1, 2, 1, 1)]
    sources = choose_sources(keys, "planes_or_projection")
    assert {channel: layers.timepoints for channel, layers in sources.items()} == {1: (1, 2), 2: (1,)}


def test_side_results_of_several_channels_are_told_apart_by_channel():
    @special_outputs("level")
    def make(image):
        return image, 1

    def by_channel(step):
        return compile_steps(FunctionStep("max_projection"), step).special_outputs()["level"].by_channel

    assert by_channel(FunctionStep(make))
    assert not by_channel(FunctionStep(make, channels=[1]))
    assert not by_channel(FunctionStep(make, stack="channel"))


@pytest.mark.parametrize("func", ["..a:b", ":b", "a:", "os:sep"])
def test_what_is_no_function_is_explained(func):
    text = mistakes(FunctionStep(func, name="f"))
    assert "cannot be imported" in text or "is not a function" in text
