"""Side results: who gets them, under which name, and that nobody changes them for others."""

import numpy as np
import pytest

from wellfield.errors import PipelineError, StepError
from wellfield.materialization import CsvOptions, MaterializationSpec
from wellfield.pipeline import FunctionStep, run_pipeline, special_inputs, special_outputs

from .steps import IMAGE, TWO, add_one, measure, mistakes, use
from .test_executor import Plate


def test_a_side_result_reaches_the_step_of_the_same_channel():
    result = run_pipeline([FunctionStep(measure), FunctionStep(use)], TWO)
    assert result.outputs["level"] == {1: TWO[1].max(), 2: TWO[2].max()}
    assert {channel: stack.max() for channel, stack in result.images["use"].items()} == {
        1: TWO[1].max(),
        2: TWO[2].max(),
    }


def test_a_side_result_of_one_channel_is_for_all():
    bright = {1: IMAGE, 2: IMAGE + 5000}
    steps = [FunctionStep(measure, channels=[2]), FunctionStep(use, input="start")]
    assert {c: s.max() for c, s in run_pipeline(steps, bright).images["use"].items()} == dict.fromkeys(
        (1, 2), bright[2].max()
    )


def test_side_results_of_a_field_do_not_reach_another():
    seen = {}

    @special_inputs("level")
    def note(image, *, level):
        seen[int(image.max())] = level
        return image

    Plate(z=(1,)).run(FunctionStep(measure), FunctionStep(note))
    assert seen == {n: n for n in (111, 121, 211, 221)}


def test_side_results_can_be_renamed_on_both_sides():
    steps = [
        FunctionStep(measure, name="a", outputs={"level": "first"}),
        FunctionStep(measure, name="b", outputs={"level": "second"}),
        FunctionStep(use, input="start", inputs={"level": "first"}),
    ]
    result = run_pipeline(steps, IMAGE)
    assert set(result.outputs) == {"first", "second"}
    assert result.images["use"][1].max() == IMAGE.max()
    steps[0].outputs = {"levl": "first"}
    assert "outputs: measure has no special output 'levl'; did you mean 'level'?" in mistakes(*steps)
    steps[0].outputs = {"level": "../first"}
    assert "special output '../first': expected a name" in mistakes(*steps)


def test_side_results_that_cannot_be_matched_are_mistakes():
    assert "needs the special input 'level', which no earlier step makes" in mistakes(FunctionStep(use))
    text = mistakes(FunctionStep(measure), FunctionStep(use, stack="channel"))
    assert "the special input 'level' is there for each of channels [1, 2]" in text
    text = mistakes(FunctionStep([measure, measure], name="twice"))
    assert "two functions of this step make the special output 'level'" in text


@pytest.mark.parametrize("name", ["a/b", "../a", "a.csv", "", " a", "a\x00"])
def test_an_output_name_that_is_no_name_is_refused_when_it_is_declared(name):
    with pytest.raises(PipelineError, match="expected a name of letters"):
        special_outputs(name)


def test_a_bare_function_instead_of_a_spec_is_refused_with_the_spec_to_write():
    with pytest.raises(PipelineError, match=r'\("counts", MaterializationSpec\(CsvOptions\(\)\)\)'):
        special_outputs(("counts", print))


def test_a_function_cannot_change_what_another_gets():
    @special_outputs("level")
    def array(image):
        return image, np.zeros(3)

    @special_inputs("level")
    def change(image, *, level):
        level += 1
        return image

    with pytest.raises(StepError, match="read-only"):
        run_pipeline([FunctionStep(array, channels=[1]), FunctionStep(change)], TWO)

    def overwrite(image):
        image[...] = 0
        return image

    with pytest.raises(StepError, match="read-only"):
        run_pipeline([FunctionStep([add_one, overwrite])], IMAGE)


def test_an_output_that_may_not_go_to_disk_is_a_mistake():
    @special_outputs(("here", MaterializationSpec(CsvOptions(), allowed_backends=("memory",))))
    def make(image):
        return image, {}

    assert "'here' may go to memory only; a pipeline writes to disk" in mistakes(FunctionStep(make))
