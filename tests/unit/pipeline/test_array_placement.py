"""Steps on different array libraries: which one runs, what is converted, and that results do not depend on it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.libraries import ON_CPU, as_type, need
from wellfield.errors import DeviceMemoryError, PipelineError, StepError
from wellfield.materialization import CsvOptions, JsonOptions, MaterializationSpec
from wellfield.memory import MemoryType, convert_memory, count_conversions, decorators, detect_memory_type, to_numpy
from wellfield.memory.buffers import aligned_empty
from wellfield.pipeline import FunctionStep, run_pipeline, special_outputs
from wellfield.pipeline.array_placement import convert_image, host_values
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind

IMAGE = np.random.default_rng(1).integers(0, 4000, (3, 40, 50), "u2")
OTHERS = [name for name in ON_CPU if name != MemoryType.NUMPY]


def plan_of(*steps, **settings):
    sources = {1: SourceLayers((1, 2, 3)), 2: SourceLayers((1, 2, 3))}
    return compile_pipeline(steps, plate=Plate(channels={1: "DAPI", 2: "FITC"}), sources=sources, config=settings)


def types_of(plan):
    return [str(step.calls[0].memory_type) for step in plan.steps]


# --- the choice ---------------------------------------------------------------------------------------------------


def test_a_step_runs_on_what_it_names_or_what_all_steps_should_or_its_own():
    steps = [
        FunctionStep("max_projection", memory_type="jax"),
        FunctionStep("gaussian_filter"),
        FunctionStep("threshold_otsu"),
        FunctionStep("split_touching"),
    ]
    assert types_of(plan_of(*steps, memory_type="torch")) == ["jax", "torch", "torch", "numpy"]
    assert types_of(plan_of(*steps, memory_type="numpy")) == ["jax", "numpy", "numpy", "numpy"]


def test_without_a_choice_a_step_stays_with_the_library_of_its_input():
    steps = [
        FunctionStep("max_projection", name="projected"),
        FunctionStep("gaussian_filter", name="smoothed", memory_type="torch"),
        FunctionStep("threshold_otsu", name="mask"),
        FunctionStep("label"),
        FunctionStep("gaussian_filter", name="other", input="projected"),
    ]
    assert types_of(plan_of(*steps)) == ["numpy", "torch", "torch", "numpy", "numpy"]


def test_a_function_of_the_users_own_draws_the_next_step_after_it():
    @decorators.jax
    def mine(image):
        return image

    assert types_of(plan_of(FunctionStep(mine), FunctionStep("gaussian_filter"))) == ["jax", "jax"]
    assert types_of(plan_of(FunctionStep(mine), FunctionStep("gaussian_filter"), memory_type="numpy")) == [
        "jax",
        "numpy",
    ]


def test_a_library_that_a_function_does_not_have_is_a_mistake_that_names_those_it_has():
    with pytest.raises(PipelineError) as caught:
        plan_of(
            FunctionStep("split_touching", name="a", memory_type="torch", input="start"),
            FunctionStep("median_filter", name="b", memory_type="jax", input="start"),
        )
    text = str(caught.value)
    assert "step 1 (a): memory_type: split_touching runs on numpy, not on 'torch'" in text
    assert "step 2 (b): memory_type: median_filter runs on numpy or cupy or pyclesperanto, not on 'jax'" in text


def test_cupy_needs_a_gpu_in_the_configuration():
    step = FunctionStep("max_projection", memory_type="cupy")
    with pytest.raises(PipelineError, match=r"needs a GPU; say 'device: gpu'"):
        plan_of(step)
    assert types_of(plan_of(step, device="gpu")) == ["cupy"]


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="tpu"):
        plan_of(FunctionStep("max_projection"), device="tpu")


def test_the_plan_keeps_libraries_conversions_and_device_in_its_file():
    plan = plan_of(
        FunctionStep("max_projection", name="p", memory_type="tensorflow"),
        FunctionStep("gaussian_filter", name="g", memory_type="pyclesperanto"),
        FunctionStep("median_filter", name="m", memory_type="numpy"),
        FunctionStep("gaussian_filter", name="t", memory_type="torch"),
    )
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), source="plan.json")
    assert again == plan and again.digest() == plan.digest()
    assert again.libraries == ("pyclesperanto", "numpy", "tensorflow", "torch")
    assert [line for step in again.steps for line in step.conversions] == [
        "start: planes stacked, then numpy → tensorflow by same buffer, shared",
        "p: tensorflow → pyclesperanto by host copy, copied",
        "g: pyclesperanto → numpy by host copy, copied",
        "m: numpy → torch by host copy, copied",
    ]
    assert again.steps[1].calls[0].call is plan.steps[1].calls[0].call


@pytest.mark.parametrize("library", OTHERS)
def test_the_conversions_that_take_place_are_those_of_the_plan(library):
    need(library)

    def anywhere(image):
        """Return an array that does not start at a multiple of 64 bytes, as most of NumPy's do not."""
        moved = aligned_empty((image.nbytes + 16,), "u1")[16:].view(image.dtype).reshape(image.shape)
        moved[...] = image
        return moved

    steps = [
        FunctionStep(anywhere, name="p"),
        FunctionStep("gaussian_filter", name="g", memory_type=library),
        FunctionStep("threshold_otsu", name="m", memory_type="numpy", min_contrast=0),
    ]
    plan = plan_of(*steps)
    with count_conversions() as counted:
        run_pipeline(steps, IMAGE)
    expected = [line.rpartition(": ")[2] for step in plan.steps for line in step.conversions if "written" not in line]
    assert sorted(expected) == sorted(
        f"{source} → {target} by {method}, {'copied' if method == 'host copy' else 'shared'}"
        for source, target, method in counted.elements()
    )


# --- running ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ON_CPU)
def test_a_pipeline_starts_from_arrays_of_any_library_and_gives_those_of_its_steps(library):
    need(library)
    result = run_pipeline([FunctionStep("max_projection", memory_type=library)], as_type(IMAGE, library))
    (image,) = result.images["max_projection"].values()
    assert detect_memory_type(image) == library
    np.testing.assert_array_equal(to_numpy(image), IMAGE.max(axis=0, keepdims=True))


@pytest.mark.parametrize("library", ON_CPU)
def test_planes_of_several_channels_are_stacked_in_the_library_of_the_step(library):
    need(library)

    @getattr(decorators, library)
    def look(image, *, channel_names):
        assert detect_memory_type(image) == library
        assert channel_names == ["1", "2"]
        return image

    start = {1: IMAGE[:1], 2: IMAGE[1:2]}
    result = run_pipeline([FunctionStep(look, stack="channel")], start)
    for channel, expected in start.items():
        image = result.images["look"][channel]
        assert tuple(image.shape) == (1, 40, 50)
        np.testing.assert_array_equal(to_numpy(image), expected)


@pytest.mark.parametrize("library", ON_CPU)
def test_further_images_arrive_in_the_library_of_the_step(library):
    need(library)

    @getattr(decorators, library)
    def look(image, *, labels):
        assert detect_memory_type(labels) == library
        return image

    steps = [
        FunctionStep("max_projection", name="p"),
        FunctionStep("threshold_otsu", name="mask", min_contrast=0),
        FunctionStep("label", name="l"),
        FunctionStep(look, input="p", inputs={"labels": "l"}),
    ]
    result = run_pipeline(steps, IMAGE)
    np.testing.assert_array_equal(to_numpy(result.images["look"][1]), IMAGE.max(axis=0, keepdims=True))


@pytest.mark.parametrize("library", ON_CPU)
def test_a_mask_is_bool_wherever_it_comes_from(library):
    need(library)
    steps = [
        FunctionStep("max_projection", name="p"),
        FunctionStep("threshold_otsu", name="mask", memory_type=library, min_contrast=0),
        FunctionStep("label", name="labels", memory_type="numpy"),
    ]
    result = run_pipeline(steps, IMAGE)
    expected = run_pipeline([steps[0], FunctionStep("threshold_otsu", name="mask", min_contrast=0)], IMAGE)
    mask = convert_image(result.images["mask"][1], ImageKind.MASK, MemoryType.NUMPY)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected.images["mask"][1])
    assert result.images["labels"][1].max() > 0


def test_labels_of_0_and_1_in_opencl_are_no_mask():
    need("pyclesperanto")
    labels = convert_memory(np.ones((1, 2, 2), "u1"), "numpy", "pyclesperanto")
    assert convert_image(labels, ImageKind.LABELS, MemoryType.NUMPY).dtype == np.uint8


def test_special_outputs_that_are_written_hold_numpy_arrays():
    need("torch")

    @special_outputs(
        "raw", ("table", MaterializationSpec(CsvOptions())), ("values", MaterializationSpec(JsonOptions()))
    )
    @decorators.torch(compute_dtype="float32")
    def measure(image):
        means = image.mean(dim=(1, 2))
        return image, means, {"Mean": means, "Count": 3}, [means, {"deep": (means,)}]

    outputs = run_pipeline([FunctionStep(measure, channels=[1])], IMAGE).outputs
    assert detect_memory_type(outputs["raw"]) == "torch"
    assert type(outputs["table"]["Mean"]) is np.ndarray and outputs["table"]["Count"] == 3
    assert type(outputs["values"][0]) is type(outputs["values"][1]["deep"][0]) is np.ndarray


def test_values_that_hold_no_arrays_pass_as_they_are():
    for value in (3, "text", None, [1, "a"], {"a": (1, 2)}, np.float32(2), np.ones(2)):
        assert host_values(value) is value or host_values(value) == value


@pytest.mark.parametrize("library", ON_CPU)
def test_side_results_of_every_library_become_numpy_where_they_are_written(library):
    need(library)

    @special_outputs(("table", MaterializationSpec(CsvOptions())))
    @getattr(decorators, library)
    def measure(image):
        return image, {"Value": as_type(np.array([1.5, 2.5], "f4"), library)}

    table = run_pipeline([FunctionStep(measure)], IMAGE).outputs["table"]
    assert type(table["Value"]) is np.ndarray and table["Value"].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("library", ON_CPU)
def test_a_function_that_writes_to_its_input_changes_no_stored_image(library):
    """NumPy arrays are read-only; the tensors that torch is given are copies of what is needed later."""
    need(library, "torch")

    @getattr(decorators, library)
    def spoils(image):
        try:
            image[:] = 0
        except (ValueError, TypeError):  # read-only, or an array that cannot be written
            return image
        return image

    steps = [
        FunctionStep("max_projection", name="p", memory_type="torch"),
        FunctionStep("gaussian_filter", name="float", memory_type="torch", sigma=0),
        FunctionStep(spoils, name="spoiled", input="float"),
        FunctionStep(spoils, name="again", input="start"),
        FunctionStep("gaussian_filter", name="after", input="float", sigma=0, memory_type="torch"),
        FunctionStep("max_projection", name="q", input="start", memory_type="torch"),
    ]
    result = run_pipeline(steps, IMAGE).images
    expected = IMAGE.max(axis=0, keepdims=True)
    for name in ("p", "float", "after", "q"):
        np.testing.assert_array_equal(to_numpy(result[name][1]), expected, err_msg=name)


def test_planes_that_two_libraries_read_are_kept_in_numpy_and_the_plan_says_so():
    need("pyclesperanto", "torch")
    steps = [
        FunctionStep("max_projection", name="a", memory_type="pyclesperanto"),
        FunctionStep("max_projection", name="b", input="start", memory_type="torch"),
        FunctionStep("max_projection", name="c", input="start", memory_type="numpy"),
    ]
    plan = plan_of(*steps)
    assert plan.start_type == "numpy"
    assert [step.conversions for step in plan.steps] == [
        ("start: numpy → pyclesperanto by host copy, copied",),
        ("start: numpy → torch by host copy, copied",),
        (),
    ]
    with count_conversions() as counted:
        run_pipeline(steps, IMAGE)
    assert counted == {("numpy", "pyclesperanto", "host copy"): 1, ("numpy", "torch", "host copy"): 1}
    assert plan_of(
        *steps[:1], FunctionStep("gaussian_filter", input="start", memory_type="pyclesperanto")
    ).start_type == ("pyclesperanto")


def test_the_plan_shows_what_writing_and_stacking_convert():
    need("pyclesperanto")
    plan = plan_of(
        FunctionStep("max_projection", name="p", memory_type="pyclesperanto", materialize=True),
        FunctionStep("threshold_otsu", name="m", memory_type="pyclesperanto", channels=[1]),
        FunctionStep("gaussian_filter", name="all", input="p", stack="channel", memory_type="torch"),
    )
    assert [step.conversions for step in plan.steps] == [
        (
            "start: planes stacked, then numpy → pyclesperanto by host copy, copied",
            "written: pyclesperanto → numpy by host copy, copied",
        ),
        (),
        (
            "p: pyclesperanto → numpy by host copy, copied",
            "p: channels stacked, then numpy → torch by same buffer, shared",
        ),
    ]


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [MemoryError("no room"), DeviceMemoryError("f", (1, 2, 3), "cuda:0")])
def test_a_lack_of_memory_fails_the_job_and_not_the_well(error):
    def greedy(image):
        raise error

    with pytest.raises(MemoryError) as caught:
        run_pipeline([FunctionStep(greedy)], IMAGE)
    assert caught.value is error


def test_a_dtype_that_a_library_does_not_hold_fails_the_well_with_step_and_reason():
    need("jax")
    with pytest.raises(StepError, match=r"step 2 \(g\) failed: .*numpy → jax via dtype: jax does not hold float64"):
        run_pipeline(
            [
                FunctionStep(lambda image: image.astype("f8"), name="wide"),
                FunctionStep("gaussian_filter", name="g", memory_type="jax"),
            ],
            IMAGE,
        )
