"""Steps over the fields of a well, and what is held meanwhile."""

import numpy as np
import pytest

from wellfield.errors import PipelineError, StepError
from wellfield.pipeline import FunctionStep, special_inputs, special_outputs
from wellfield.plate.keys import PlaneKey, plane_name

from .steps import PROJECT, add_one, average, compiled, measure, mistakes, use
from .test_executor import Plate


def test_a_step_over_fields_gets_one_plane_per_field_and_gives_them_back_to_their_fields():
    steps = [PROJECT, FunctionStep(average, stack="field", name="a"), FunctionStep(add_one, materialize=["tiff"])]
    sink, _ = Plate(fields=(2, 5)).run(*steps)
    found = {(field, channel): int(stack.max()) for _, field, channel, _, stack in sink.images}
    assert found == {(2, 1): -150 + 2 + 1, (5, 1): 150 + 5 + 1, (2, 2): -150 + 2 + 1, (5, 2): 150 + 5 + 1}


def test_a_stack_that_is_not_projected_cannot_go_over_fields():
    with pytest.raises(PipelineError, match="stack: field needs one plane per field, but channel 1 has z planes"):
        Plate().run(FunctionStep(average, stack="field"))
    with pytest.raises(StepError, match="stack: field needs one plane per field, but field 1 has 3; project them"):
        Plate().run(FunctionStep(add_one), FunctionStep(average, stack="field"))


def test_what_is_made_of_all_fields_is_of_the_well_and_its_side_results_reach_every_field():
    @special_outputs("most")
    def most(image):
        return image, int(image.max())

    @special_inputs("most")
    def against(image, *, most):
        return image - most

    steps = [PROJECT, FunctionStep(most, stack="field"), FunctionStep(against, input="p", materialize=["tiff"])]
    sink, _ = Plate().run(*steps)
    assert {(f, c): int(s.max()) - 65536 for _, f, c, _, s in sink.images if f == 1} == {(1, 1): -100, (1, 2): -100}
    assert sorted(output[:2] for output in sink.outputs) == [("most", 0), ("most", 0)]


def test_side_results_of_fields_reach_a_step_over_fields_by_field():
    seen = []

    @special_inputs("level")
    def all_levels(image, *, level):
        seen.append(level)
        return image

    steps = [PROJECT, FunctionStep(measure, channels=[1]), FunctionStep(all_levels, stack="field")]
    Plate().run(*steps)
    assert seen == [{1: 113, 2: 213}]


def test_a_field_that_is_left_out_is_left_out_of_the_step_over_fields():
    seen = []

    def look(image, *, field_numbers):
        seen.append(list(field_numbers))
        return image

    gone = PlaneKey("B03", 1, 1, 2, 1)
    _, account = Plate(fields=(1, 2, 3), channels=(1,), leave_out=[gone]).run(
        PROJECT, FunctionStep(look, stack="field"), on_missing="skip_field"
    )
    assert seen == [[2, 3]]
    assert list(account.skipped_fields) == ["B03_s001_t001"]


def test_planes_that_are_read_again_after_a_step_over_fields_count_once():
    steps = [PROJECT, FunctionStep(average, stack="field"), FunctionStep(add_one, input="start", name="again")]
    _, account = Plate().run(*steps)
    assert account.used == 12


def test_nothing_stays_in_memory_behind_a_step_over_fields():
    plate = Plate()
    plate.run(PROJECT, FunctionStep(average, stack="field"), FunctionStep(add_one))
    assert plate.working.nbytes == 0


def test_images_between_steps_can_live_on_disk(tmp_path):
    from wellfield.pipeline.executor import run_well
    from wellfield.pipeline.well_input import PlaneAccount, WellInput
    from wellfield.storage import DiskStorageBackend, FileManager

    from .test_executor import Sink

    plate = Plate()
    steps = [
        PROJECT,
        FunctionStep("threshold_otsu", name="m", min_contrast=0),
        FunctionStep("label", materialize=["tiff"]),
    ]
    in_memory, _ = plate.run(*steps)
    plan = compiled(*steps)
    seen = []

    class Watching(Sink):
        def image(self, *arguments):
            seen.extend(path.name for path in tmp_path.rglob("*.npy"))
            super().image(*arguments)

    sink = Watching()
    files = FileManager({"raw": plate.memory, "disk": DiskStorageBackend()})
    run_well(
        plan,
        WellInput("P", "B03", plate.planes, files, "raw", intermediate=("disk", str(tmp_path))),
        sink,
        PlaneAccount(),
    )
    assert set(seen) == {"w2.npy"}  # that of the other channel was given up
    assert not list(tmp_path.rglob("*.npy"))
    for one, two in zip(sink.images, in_memory.images, strict=True):
        np.testing.assert_array_equal(one[-1], two[-1])


def test_a_plane_that_cannot_be_read_leaves_out_its_field_of_a_step_over_fields():
    seen = []

    def look(image, *, field_numbers):
        seen.append(list(field_numbers))
        return image

    broken = PlaneKey("B03", 2, 2, 1, 1)
    plate = Plate(fields=(1, 2, 3), z=(1,), replace={broken: None})
    sink, account = plate.run(FunctionStep(look, stack="field", materialize=["tiff"]), on_unreadable="skip_field")
    assert seen == [[1, 3], [1, 3]]
    assert list(account.skipped_fields) == ["B03_s002_t001"]
    assert {image[1] for image in sink.images} == {1, 3}


def test_the_plates_planes_are_not_held_over_a_step_over_fields():
    held = []
    plate = Plate(fields=(1, 2, 3))

    def look(image):
        held.append(plate.working.nbytes)
        return image

    steps = [PROJECT, FunctionStep(look, stack="field"), FunctionStep(add_one, input="start")]
    plate.run(*steps)
    assert max(held) <= 3 * 2 * 4 * 5 * 2  # the projections of three fields and two channels


def test_timepoints_go_through_a_step_over_fields_one_by_one():
    plate = Plate(channels=(1,), z=(1,))
    for field in (1, 2):
        key = PlaneKey("B03", field, 1, 1, 2)
        plate.planes[key] = f"/raw/{plane_name(key)}"
        plate.memory.save(np.full((4, 5), 1000 * field, np.uint16), plate.planes[key])
    seen = []

    @special_outputs("level")
    def look(image):
        seen.append(image[:, 0, 0].tolist())
        return image, int(image.max())

    steps = [FunctionStep(look, stack="field"), FunctionStep(use, materialize=["tiff"])]
    sink, account = plate.run(*steps)
    assert seen == [[111, 211], [1000, 2000]]
    assert [int(image[-1].max()) for image in sink.images] == [211, 211, 2000, 2000]
    assert account.used == 4


def test_a_projection_of_one_channel_leaves_the_depth_of_the_others():
    step = FunctionStep({1: "max_projection", 2: "median_filter"}, name="p")
    assert "but channel 2 has z planes" in mistakes(step, FunctionStep(average, stack="field"))
    assert compiled(step, FunctionStep(average, stack="field", channels=[1])).steps


def test_planes_that_a_step_over_fields_read_are_given_up_behind_it():
    held = []
    plate = Plate(fields=(1, 2, 3), z=(1,))

    def look(image):
        held.append(plate.working.nbytes)
        return image

    plate.run(FunctionStep(add_one, stack="field"), FunctionStep(look, input="start"))
    assert max(held) <= 2 * 4 * 5 * 2  # one field of two channels
