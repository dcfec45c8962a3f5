"""The forms of a step: chains, functions by channel, functions of a file and of planes, parameters."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import disk

from wellfield.errors import StepError
from wellfield.materialization import CsvOptions, MaterializationSpec
from wellfield.pipeline import FunctionStep, run_pipeline, special_outputs
from wellfield.pipeline.plan import Plan
from wellfield.plate.keys import PlaneKey
from wellfield.processing.function_registry import ImageKind

from .steps import IMAGE, OUT, TWO, add_one, compiled, double, measure, mistakes
from .test_executor import Plate

# --- chains -------------------------------------------------------------------------------------------------------


def test_each_function_of_a_chain_gets_the_result_of_the_one_before():
    result = run_pipeline([FunctionStep([add_one, (double, {"factor": 3}), add_one], name="c")], IMAGE)
    np.testing.assert_array_equal(result.images["c"][1], (IMAGE + 1) * 3 + 1)
    assert list(result.images) == ["c"]


def test_a_chain_of_names_is_a_chain_of_steps():
    chain = ["max_projection", {"func": "gaussian_filter", "params": {"sigma": 2}}, "threshold_otsu", "label"]
    whole = run_pipeline([FunctionStep(chain)], IMAGE)
    single = run_pipeline(
        [
            FunctionStep("max_projection"),
            FunctionStep("gaussian_filter", sigma=2),
            FunctionStep("threshold_otsu"),
            FunctionStep("label"),
        ],
        IMAGE,
    )
    np.testing.assert_array_equal(whole.images["label"][1], single.images["label"][1])
    assert compiled(FunctionStep(chain)).steps[0].kind == ImageKind.LABELS


def test_what_is_wrong_inside_a_chain_is_found():
    assert "label takes mask, but its input" in mistakes(FunctionStep(["gaussian_filter", "label"]))
    assert "no function is registered as 'labl'" in mistakes(FunctionStep(["threshold_otsu", "labl"]))
    assert "params for several functions" in mistakes(FunctionStep(["max_projection", "tophat"], radius=3))
    assert "empty list" in mistakes(FunctionStep([], name="e"))


def test_a_further_image_goes_to_the_function_of_a_chain_that_has_it():
    def with_mask(image, *, mask):
        return np.where(mask, image, 0)

    steps = [
        FunctionStep("threshold_otsu", name="m", min_contrast=0),
        FunctionStep([add_one, with_mask], name="c", input="start", inputs={"mask": "m"}),
    ]
    result = run_pipeline(steps, IMAGE).images
    np.testing.assert_array_equal(result["c"][1], np.where(result["m"][1], IMAGE + 1, 0))
    steps[1].inputs = {"msk": "m"}
    assert "add_one and with_mask has no parameter 'msk'; did you mean 'mask'?" in mistakes(*steps)


# --- functions by channel -----------------------------------------------------------------------------------------


def test_channels_go_through_functions_of_their_own():
    result = run_pipeline(
        [FunctionStep({1: add_one, "FITC": [add_one, double]}, name="d"), FunctionStep(add_one, name="after")],
        TWO,
        channel_names={1: "DAPI", 2: "FITC"},
    )
    np.testing.assert_array_equal(result.images["d"][1], TWO[1] + 1)
    np.testing.assert_array_equal(result.images["d"][2], (TWO[2] + 1) * 2)
    np.testing.assert_array_equal(result.images["after"][2], (TWO[2] + 1) * 2 + 1)


def test_functions_by_channel_are_checked():
    assert "the plate has no channel 'Cy5'" in mistakes(FunctionStep({"Cy5": add_one}))
    assert "images of different kinds" in mistakes(FunctionStep({1: add_one, 2: "threshold_otsu"}))
    assert "leave 'channels' out" in mistakes(FunctionStep({1: add_one}, channels=[1]))
    assert "func names a channel twice" in mistakes(FunctionStep({1: add_one, "DAPI": double}))
    assert "all channels go through one function" in mistakes(FunctionStep({1: add_one}, stack="channel"))


# --- what the plan keeps ------------------------------------------------------------------------------------------


def test_every_form_survives_the_json_of_the_plan():
    plan = compiled(
        FunctionStep({1: ["max_projection", "gaussian_filter"], 2: "max_projection"}, name="p"),
        FunctionStep("threshold_otsu", name="m", channels=[1]),
        FunctionStep("scipy.ndimage:binary_opening", name="o", structure={"disk": 2}, returns="mask"),
        FunctionStep("label", name="n", materialize=["tiff", "roi"]),
        FunctionStep("count_cells", input="p", inputs={"labels": "n"}, stack="channel", outputs={"objects": "spots"}),
    )
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), source="plan.json")
    assert again == plan
    assert list(again.special_outputs()) == ["cell_counts", "spots"]
    assert again.steps[2].calls[0].planewise


# --- functions of planes and neighbourhoods -----------------------------------------------------------------------


def test_a_flat_footprint_makes_a_foreign_function_work_plane_by_plane():
    named = FunctionStep("scipy.ndimage:grey_erosion", name="e", footprint={"disk": 2})
    given = FunctionStep("scipy.ndimage:grey_erosion", name="e", footprint=disk(2))
    expected = np.stack([ndimage.grey_erosion(plane, footprint=disk(2)) for plane in IMAGE])
    for step in (named, given):
        np.testing.assert_array_equal(run_pipeline([step], IMAGE).images["e"][1], expected)


def test_a_solid_footprint_goes_to_the_stack():
    step = FunctionStep("scipy.ndimage:grey_erosion", name="e", footprint={"ball": 1})
    from skimage.morphology import ball

    expected = ndimage.grey_erosion(IMAGE, footprint=ball(1))
    np.testing.assert_array_equal(run_pipeline([step], IMAGE).images["e"][1], expected)


def test_a_function_of_planes_is_called_for_each():
    seen = []

    def flat(plane, *, labels):
        seen.append((plane.shape, labels.shape))
        return plane + labels

    steps = [FunctionStep(add_one, name="a"), FunctionStep(flat, input="start", inputs={"labels": "a"}, planewise=True)]
    result = run_pipeline(steps, IMAGE).images["flat"][1]
    np.testing.assert_array_equal(result, IMAGE + IMAGE + 1)
    assert seen == [((20, 30), (20, 30))] * 2


def test_functions_that_take_stacks_are_not_called_for_planes():
    assert "planewise: gaussian_filter takes stacks" in mistakes(FunctionStep("gaussian_filter", planewise=True))


@pytest.mark.parametrize(
    ("footprint", "part"),
    [({"disc": 3}, "expected one of disk"), ({"disk": 0}, "has size 0"), ({"disk": "3*2"}, "has size '3*2'")],
)
def test_a_wrong_footprint_is_explained(footprint, part):
    assert part in mistakes(FunctionStep("scipy.ndimage:grey_erosion", footprint=footprint))


def test_labels_of_a_foreign_function_count_as_labels():
    steps = [
        FunctionStep("threshold_otsu", name="m", min_contrast=0),
        FunctionStep("skimage.measure:label", name="n", returns="labels"),
        FunctionStep("count_cells", input="start", inputs={"labels": "n"}, stack="channel"),
    ]
    outputs = run_pipeline(steps, IMAGE[:1]).outputs
    expected = ndimage.label(run_pipeline(steps[:1], IMAGE[:1]).images["m"][1], np.ones((3, 3, 3)))[1]
    assert outputs["cell_counts"]["Count"] == [expected]
    steps[1].returns = None
    assert "count_cells takes labels as labels, but 'n' is intensity" in mistakes(*steps)


def test_a_function_that_does_not_return_what_it_says_fails_with_its_name():
    steps = [FunctionStep(double, name="n", returns="labels")]
    with pytest.raises(StepError, match=r"step 1 \(n\) failed: double: expected labels .* it returned float32"):
        run_pipeline(steps, IMAGE.astype("f4"))
    assert "returns: label returns labels, not mask" in mistakes(
        FunctionStep("threshold_otsu", name="m"), FunctionStep("label", returns="mask")
    )


# --- functions of a file ------------------------------------------------------------------------------------------


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


def test_a_function_of_a_file_runs_as_it_declares(tmp_path):
    file = write(
        tmp_path / "mine.py",
        """
        from wellfield.materialization import CsvOptions, MaterializationSpec
        from wellfield.pipeline import special_outputs

        @special_outputs(("levels", MaterializationSpec(CsvOptions())))
        def brightest(image, *, factor: float = 1.0):
            return image, {"Brightest": [float(image.max()) * factor]}
        """,
    )
    step = FunctionStep(f"{file}:brightest", factor=2.0)
    assert step.name == "brightest"
    assert run_pipeline([step], IMAGE).outputs["levels"] == {"Brightest": [IMAGE.max() * 2.0]}
    assert f"{file}:brightest" == compiled(step).steps[0].calls[0].func
    assert "brightest has no parameter 'facto'; did you mean 'factor'?" in mistakes(FunctionStep(step.func, facto=1))


def test_a_file_that_cannot_be_used_says_why(tmp_path):
    broken = write(tmp_path / "broken.py", "def f(image:\n")
    assert "SyntaxError" in mistakes(FunctionStep(f"{broken}:f"))
    raises = write(tmp_path / "raises.py", "1 / 0\n")
    assert "ZeroDivisionError: division by zero" in mistakes(FunctionStep(f"{raises}:f"))
    empty = write(tmp_path / "empty.py", "")
    assert "has no attribute 'f'" in mistakes(FunctionStep(f"{empty}:f"))
    assert "no file" in mistakes(FunctionStep(f"{tmp_path}/none.py:f"))


# --- parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "part"),
    [
        (
            FunctionStep("gaussian_filter", sigma="2*3"),
            "gaussian_filter: sigma is '2*3': Input should be a valid number",
        ),
        (FunctionStep("median_filter", radius=1.5), "median_filter: radius is 1.5: Input should be a valid integer"),
        (FunctionStep("median_filter", radius=True), "median_filter: radius is True: Input should be a valid integer"),
        (FunctionStep("threshold_otsu", volumetric="yes"), "volumetric is 'yes': Input should be a valid boolean"),
        (FunctionStep("gaussian_filter", sigma="__import__('os').system('true')"), "should be a valid number"),
    ],
)
def test_a_value_of_a_wrong_type_is_found_before_anything_runs(step, part):
    assert part in mistakes(step)


def test_values_of_the_right_types_are_taken():
    assert compiled(FunctionStep("gaussian_filter", sigma=[1, 2.5])).steps
    assert compiled(FunctionStep("gaussian_filter", sigma=np.float32(2))).steps
    assert compiled(FunctionStep("threshold_otsu", minimum=None, correction=1)).steps


# --- what must not happen -----------------------------------------------------------------------------------------


def test_files_that_would_be_written_over_one_another_are_mistakes():
    def steps(**second):
        return [
            FunctionStep("max_projection", name="p", materialize=["tiff"], step_materialization_config=OUT),
            FunctionStep("gaussian_filter", name="g", materialize=["tiff"], step_materialization_config=OUT, **second),
        ]

    assert "steps p and g both write tiff of channel 1 to the folder 'out'" in mistakes(*steps())
    assert compiled(
        FunctionStep({1: "max_projection"}, name="p", materialize=["tiff"]), *steps(channels=[2], input="start")[1:]
    ).steps

    @special_outputs(
        ("a", MaterializationSpec(CsvOptions(filename_suffix="_b.csv"))), ("a_b", MaterializationSpec(CsvOptions()))
    )
    def both(image):
        return image, {}, {}

    assert "'a' and 'a_b' would both be written to a_b.csv" in mistakes(FunctionStep(both))


def test_planes_of_different_z_are_never_paired():
    def both(image, *, other):
        return image

    gone = [PlaneKey("B03", 1, 2, 1, 1)]
    step = FunctionStep(both, channels=[1], input="start", inputs={"other": "f"})
    with pytest.raises(StepError, match=r"its input has the planes z \[1, 2, 3\], 'f' has z \[2, 3\]"):
        Plate(fields=(1,), leave_out=gone).run(FunctionStep(add_one, name="f", channels=[2]), step)


def test_a_projection_of_one_channel_is_none_of_the_others():
    step = FunctionStep({1: "max_projection", 2: add_one}, name="p", materialize=["zarr"])
    assert "z planes or one projection, not both" in mistakes(step)
    step.materialize = ("tiff",)
    sink, _ = Plate(fields=(1,), z=(1,)).run(step)
    assert {image[2]: image[3] for image in sink.images} == {1: (0,), 2: (1,)}


def test_arrays_and_numbers_of_numpy_survive_the_plan():
    step = FunctionStep("scipy.ndimage:grey_erosion", footprint=disk(2), cval=np.float64(1.5))
    plan = compiled(step)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), source="plan.json")
    np.testing.assert_array_equal(again.steps[0].calls[0].params["footprint"], disk(2))
    assert again.digest() == plan.digest()


@dataclass
class Window:
    low: float = 0.0


def test_types_that_files_write_in_their_own_way_are_taken():
    def sized(image, *, size: tuple[int, int], path: Path = Path(), window: Window | None = None):
        return image

    assert compiled(FunctionStep(sized, size=[3, 3], path="x")).steps
    assert compiled(FunctionStep(sized, size=(3, 3), window=Window())).steps
    assert "size is [3]" in mistakes(FunctionStep(sized, size=[3]))
    assert "expected a finite number" in mistakes(FunctionStep("gaussian_filter", sigma=float("inf")))


def test_a_misspelt_input_is_one_mistake():
    steps = [FunctionStep("threshold_otsu", name="mask"), FunctionStep("label", input="maks")]
    assert "1 mistake:" in mistakes(*steps)
    steps = [*steps[:1], FunctionStep("count_cells", input="start", inputs={"labels": "mark"}, stack="channel")]
    assert "1 mistake:" in mistakes(*steps, depth=1)


def test_a_function_without_a_name_runs():
    assert run_pipeline([FunctionStep(lambda image: image + 1)], IMAGE).images["step"][1].max() == IMAGE.max() + 1


def test_a_function_of_planes_cannot_return_more_than_an_image():
    assert "called for each plane" in mistakes(FunctionStep(measure, planewise=True))


def test_only_correction_gets_the_illumination():
    def mine(image, *, illumination):
        return image

    assert "only correct_illumination gets the illumination" in mistakes(FunctionStep(mine))
    assert compiled(FunctionStep("correct_illumination")).illuminated_channels == (1, 2)


def test_a_channel_that_nobody_reads_is_not_missed():
    def both(image, *, other):
        return image

    gone = [PlaneKey("B03", f, 2, z, 1) for f in (1, 2) for z in (1, 2, 3)]
    plate = Plate(leave_out=gone[:3])
    sink, account = plate.run(
        FunctionStep(both, channels=[1], inputs={"other": "start"}, materialize=["tiff"]), on_missing="fail"
    )
    assert account.missing == []
    assert len(sink.images) == 2
