"""The executor: what goes in, what comes out, what is held and what is said when something breaks."""

import errno
import os

import numpy as np
import pytest

from wellfield.errors import ArrayShapeError, PipelineError, StepError, UnknownFormatError
from wellfield.materialization import CsvOptions, JsonOptions, MaterializationSpec
from wellfield.pipeline import FunctionStep, run_pipeline, special_inputs, special_outputs
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.executor import run_well
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.pipeline.well_input import PlaneAccount, WellInput
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.plate.plate import Plate as PlateFacts
from wellfield.results.stage_writer import StageWriter
from wellfield.storage import FileManager, MemoryStorageBackend, create_storage_registry

STACK = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)


class Sink:
    """Collects results and, at each, how much the memory backend holds."""

    def __init__(self, memory=None):
        self.images, self.outputs, self.held, self.memory = [], [], [], memory

    def image(self, step, key, channel, axis, stack):
        self.images.append((step.name, key.field, channel, axis.z, np.array(stack)))
        if self.memory is not None:
            self.held.append(self.memory.nbytes)

    def output(self, name, spec, key, channel, data, *, calibration):
        self.outputs.append((name, key.field, data))

    def discard(self, key):
        self.images = [image for image in self.images if image[1] != key.field]


class Plate:
    """A well in the memory backend under the name of a plate."""

    def __init__(
        self,
        *,
        fields=(1, 2),
        channels=(1, 2),
        z=(1, 2, 3),
        leave_out=(),
        replace=None,
        dtype="uint16",
        shape=(4, 5),
        folder=None,
    ):
        """*dtype* is that of the plate's planes, by channel if they differ."""
        self.dtypes = dtype if isinstance(dtype, dict) else {1: dtype, 2: dtype} if dtype else {}
        self.shape, self.folder = shape, folder
        self.memory, self.working = MemoryStorageBackend(), MemoryStorageBackend()
        self.planes = {}
        for field in fields:
            for channel in channels:
                for layer in z:
                    key = PlaneKey("B03", field, channel, layer, 1)
                    if key in leave_out:
                        continue
                    self.planes[key] = f"/raw/{plane_name(key)}"
                    plane = np.full((4, 5), 100 * field + 10 * channel + layer, np.uint16)
                    if not replace or key not in replace:
                        self.memory.save(plane, self.planes[key])
                    elif replace[key] is not None:
                        self.memory.save(replace[key], self.planes[key])

    def run(self, *steps, sink=None, **settings):
        sources = choose_sources(self.planes, "planes_or_projection")
        plan = compile_pipeline(
            steps, plate=PlateFacts(channels={1: "DAPI", 2: "FITC"}), sources=sources, config=settings
        )
        sink, account = sink or Sink(), PlaneAccount()
        files = FileManager({"raw": self.memory, "memory": self.working})
        well = WellInput(
            "P1", "B03", self.planes, files, "raw", shape=self.shape, dtypes=self.dtypes, folder=self.folder
        )
        run_well(plan, well, sink, account)
        return sink, account


PROJECT = FunctionStep("max_projection", name="p", materialize=["tiff"])


def test_every_field_and_channel_goes_through_every_step():
    sink, account = Plate().run(PROJECT)
    found = {(field, channel): (z, int(stack.max())) for _, field, channel, z, stack in sink.images}
    assert found == {(f, c): ((0,), 100 * f + 10 * c + 3) for f in (1, 2) for c in (1, 2)}
    assert account.used == 12


def test_the_projection_of_a_single_plane_is_a_projection():
    sink, _ = Plate(z=(2,)).run(PROJECT)
    assert {image[3] for image in sink.images} == {(0,)}


def test_a_step_that_keeps_z_keeps_the_numbers_of_the_planes_that_are_there():
    missing = PlaneKey("B03", 1, 1, 2, 1)
    sink, account = Plate(leave_out=[missing]).run(FunctionStep("gaussian_filter", materialize=["tiff"]))
    assert [image[3] for image in sink.images] == [(1, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3)]
    assert account.missing == ["B03_s001_w1_z002_t001.tif"]


def test_a_missing_plane_can_leave_out_its_field_or_fail_the_well():
    plate = Plate(leave_out=[PlaneKey("B03", 1, 1, 2, 1)])
    sink, account = plate.run(PROJECT, on_missing="skip_field")
    assert {image[1] for image in sink.images} == {2}
    assert list(account.skipped_fields) == ["B03_s001_t001"]
    with pytest.raises(StepError, match=r"plate P1, well B03, field 1.*B03_s001_w1_z002_t001.tif is missing"):
        plate.run(PROJECT, on_missing="fail")


def test_a_channel_that_a_field_does_not_have_is_left_out_of_that_field_only():
    seen = []

    def look(image, *, channel_names):
        seen.append((len(image), channel_names))
        return image

    gone = [PlaneKey("B03", 2, 2, z, 1) for z in (1, 2, 3)]
    sink, account = Plate(leave_out=gone).run(PROJECT, FunctionStep(look, stack="channel"))
    assert [(field, channel) for _, field, channel, _, _ in sink.images] == [(1, 1), (1, 2), (2, 1)]
    assert seen == [(2, ["DAPI", "FITC"]), (1, ["DAPI"])]
    assert len(account.missing) == 3
    assert account.skipped_fields == {}


def test_a_channel_taken_at_one_time_only_is_not_missing_at_the_others():
    plate = Plate(fields=(1,))
    for z in (1, 2, 3):
        key = PlaneKey("B03", 1, 1, z, 2)
        plate.planes[key] = f"/raw/{plane_name(key)}"
        plate.memory.save(np.zeros((4, 5), np.uint16), plate.planes[key])
    sink, account = plate.run(PROJECT, on_missing="fail")
    assert len(sink.images) == 3
    assert account.missing == []
    assert account.used == 3 * 3  # of both times together


def test_a_field_without_any_channel_of_a_step_is_left_out_with_its_reason():
    gone = [PlaneKey("B03", 2, 2, z, 1) for z in (1, 2, 3)]
    only = FunctionStep("max_projection", name="p", channels=[2], materialize=["tiff"])
    sink, account = Plate(leave_out=gone).run(only)
    assert {image[1] for image in sink.images} == {1}
    assert account.skipped_fields == {"B03_s002_t001": "step p: channel 2 (FITC) has no plane in this field"}


def test_a_field_without_the_further_input_of_a_step_is_left_out_with_its_reason():
    def subtract(image, other):
        return image - other

    gone = [PlaneKey("B03", 2, 2, z, 1) for z in (1, 2, 3)]
    second = FunctionStep("max_projection", name="second", channels=[2])
    step = FunctionStep(subtract, name="s", input="p", channels=[1], inputs={"other": "second"})
    _, account = Plate(leave_out=gone).run(
        FunctionStep("max_projection", name="p"), FunctionStep("max_projection", name="second", channels=[2]), step
    )
    assert second.name in account.skipped_fields["B03_s002_t001"]


BROKEN = PlaneKey("B03", 2, 1, 1, 1)


@pytest.mark.parametrize(
    "plane",
    [None, np.zeros((4, 6), np.uint16), np.zeros((2, 4, 5), np.uint16), np.zeros((4, 5, 3), np.uint16)],
    ids=["gone", "larger", "stack", "colour"],
)
def test_an_unreadable_plane_fails_the_well_and_says_which(plane):
    with pytest.raises(StepError) as caught:
        Plate(replace={BROKEN: plane}).run(PROJECT)
    assert "plate P1, well B03, field 2, timepoint 1, channel 1, file /raw/B03_s002_w1_z001_t001.tif" in str(
        caught.value
    )
    assert caught.value.details["file"] == "/raw/B03_s002_w1_z001_t001.tif"


def test_an_unreadable_plane_can_leave_out_its_field():
    sink, account = Plate(replace={BROKEN: None}).run(PROJECT, on_unreadable="skip_field")
    assert {image[1] for image in sink.images} == {1}
    assert [entry["plane"] for entry in account.skipped] == ["B03_s002_w1_z001_t001.tif"]
    assert "B03_s002_t001" in account.skipped_fields


def test_an_unreadable_plane_can_be_black_and_is_accounted_for():
    sink, account = Plate(replace={BROKEN: None}, z=(1,)).run(PROJECT, on_unreadable="blank")
    black = next(stack for _, field, channel, _, stack in sink.images if (field, channel) == (2, 1))
    assert black.max() == 0
    assert black.dtype == np.uint16
    assert account.used == 3
    assert [entry["plane"] for entry in account.blanked] == ["B03_s002_w1_z001_t001.tif"]


def test_a_black_plane_is_like_the_readable_ones_of_its_stack_and_changes_none_of_them():
    good = {PlaneKey("B03", 2, 1, z, 1): np.full((4, 5), 7, np.uint8) for z in (2, 3)}
    sink, account = Plate(replace={BROKEN: None, **good}, dtype=None).run(
        FunctionStep("median_filter", name="m", channels=[1], materialize=["tiff"]), on_unreadable="blank"
    )
    stack = next(stack for _, field, _, _, stack in sink.images if field == 2)
    assert stack.dtype == np.uint8
    assert stack.max(axis=(1, 2)).tolist() == [0, 7, 7]
    assert (account.used, len(account.blanked)) == (5, 1)


def test_nothing_is_kept_of_a_field_that_is_left_out_after_some_of_its_results(tmp_path):
    late = PlaneKey("B03", 2, 2, 1, 1)
    files = FileManager(create_storage_registry())
    staged = StageWriter(tmp_path, files, plate="P1", well="B03")

    @special_outputs(("level", MaterializationSpec(CsvOptions())), ("note", MaterializationSpec(JsonOptions())))
    def measure(image):
        return image, {"Level": [int(image.max())]}, {"level": int(image.max())}

    early = FunctionStep(measure, name="e", channels=[1])
    plate = Plate(replace={late: None})
    project = FunctionStep("max_projection", name="p", input="start", materialize=["tiff"])
    _, account = plate.run(early, project, sink=staged, on_unreadable="skip_field")
    assert list(account.skipped_fields) == ["B03_s002_t001"]
    well = staged.finish(account)
    assert {image.field for image in well.images} == {1}
    assert len(list(tmp_path.rglob("*.npy"))) == len(well.images) == 2
    table, note = (files.load(tmp_path / output.path, "disk") for output in well.outputs)
    assert table.column("Metadata_Site").to_pylist() == [1]
    assert list(note) == ["s001_t001"]


def refuse(plate, error):
    """Make the system refuse to read one plane."""
    load = plate.memory.load

    def refused(path, **options):
        if path == plate.planes[BROKEN]:
            raise error
        return load(path, **options)

    plate.memory.load = refused
    return plate


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_plane_that_the_system_refuses_follows_the_policy_like_a_damaged_one(number):
    error = OSError(number, os.strerror(number))
    sink, account = refuse(Plate(), error).run(PROJECT, on_unreadable="skip_field")
    assert {image[1] for image in sink.images} == {1}
    assert os.strerror(number) in account.skipped[0]["reason"]
    _, account = refuse(Plate(), error).run(PROJECT, on_unreadable="blank")
    assert [entry["plane"] for entry in account.blanked] == ["B03_s002_w1_z001_t001.tif"]
    with pytest.raises(
        StepError, match=f"{os.strerror(number)}; when it can be read again, redo the well with --force"
    ):
        refuse(Plate(), error).run(PROJECT)


def test_a_machine_without_memory_or_a_plate_that_is_gone_is_not_the_fault_of_the_data(tmp_path):
    for error in (MemoryError("x"), OSError(errno.EMFILE, "Too many open files")):
        with pytest.raises(type(error)):
            refuse(Plate(), error).run(PROJECT, on_unreadable="skip_field")
    plate = refuse(Plate(folder=str(tmp_path / "gone")), OSError(errno.ENOTCONN, "not connected"))
    with pytest.raises(OSError, match="not connected"):
        plate.run(PROJECT, on_unreadable="skip_field")


EIGHT_BITS = {
    PlaneKey("B03", f, 2, z, 1): np.full((4, 5), 100 * f + 10 + z, np.uint8) for f in (1, 2) for z in (1, 2, 3)
}


def test_channels_of_different_dtype_cannot_be_stacked_and_the_well_says_so():
    with pytest.raises(StepError, match=r"well B03, field 1.*step 2 \(look\).*uint16.*uint8"):
        Plate(replace=EIGHT_BITS, dtype={1: "uint16", 2: "uint8"}).run(
            PROJECT, FunctionStep(lambda image: image, name="look", stack="channel")
        )


def test_each_channel_of_a_plate_may_have_a_dtype_of_its_own():
    sink, account = Plate(replace=EIGHT_BITS, dtype={1: "uint16", 2: "uint8"}).run(PROJECT)
    assert {(image[2], image[4].dtype.name) for image in sink.images} == {(1, "uint16"), (2, "uint8")}
    assert account.used == 12


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int16, np.uint32, np.float32])
def test_a_plane_of_another_dtype_than_the_plate_is_unreadable_also_where_its_whole_well_has_it(dtype):
    all_of_it = {PlaneKey("B03", f, 1, z, 1): np.ones((4, 5), dtype) for f in (1, 2) for z in (1, 2, 3)}
    name = np.dtype(dtype).name
    with pytest.raises(
        StepError, match=f"channel 1, file /raw/B03_s001_w1_z001_t001.tif.*dtype {name}; expected uint16"
    ):
        Plate(replace=all_of_it).run(PROJECT)
    _, account = Plate(replace=all_of_it).run(PROJECT, on_unreadable="skip_field")
    assert list(account.skipped_fields) == ["B03_s001_t001", "B03_s002_t001"]


def test_the_order_of_bytes_in_a_file_is_no_other_dtype():
    swapped = {PlaneKey("B03", 1, 1, 2, 1): np.full((4, 5), 112, ">u2")}
    sink, _ = Plate(replace=swapped).run(FunctionStep("gaussian_filter", name="g", materialize=["tiff"]))
    assert len(sink.images) == 4
    assert all(image[4].dtype.isnative for image in sink.images)


def test_a_well_of_which_no_plane_can_be_read_is_not_made_of_black_ones():
    nothing = dict.fromkeys(Plate().planes)
    with pytest.raises(
        StepError, match=r"well B03, all fields.*no plane of the well can be read.*first of 12: .*nothing is stored"
    ):
        Plate(replace=nothing).run(PROJECT, on_unreadable="blank")
    _, account = Plate(replace=nothing).run(PROJECT, on_unreadable="skip_field")
    assert (account.used, len(account.skipped), list(account.skipped_fields)) == (
        0,
        2,
        ["B03_s001_t001", "B03_s002_t001"],
    )


def test_a_black_plane_of_unknown_size_is_not_made_up():
    gone = {PlaneKey("B03", 2, 1, z, 1): None for z in (1, 2, 3)}
    with pytest.raises(StepError, match=r"field 2.*channel 1.*the size of the plate's planes is not known"):
        Plate(replace=gone, shape=None).run(PROJECT, on_unreadable="blank")


def test_a_plane_of_another_dtype_than_its_stack_is_not_cast():
    with pytest.raises(StepError, match="dtype float32; expected uint16"):
        Plate(replace={PlaneKey("B03", 1, 1, 2, 1): np.zeros((4, 5), np.float32)}).run(PROJECT)


def test_a_function_that_raises_says_step_and_field():
    def explode(image):
        raise ZeroDivisionError("no cells")

    with pytest.raises(StepError, match=r"field 1.*step 1 \(explode\) failed: ZeroDivisionError: no cells") as caught:
        Plate().run(FunctionStep(explode))
    assert caught.value.details["step"] == "1 (explode)"


def test_a_result_of_wrong_rank_fails_at_its_step():
    with pytest.raises(StepError, match=r"step 1 \(flat\).*result of flat has shape \[4, 5\]; expected a stack"):
        Plate().run(FunctionStep(flat))


def flat(image):
    return image[0]


def test_inputs_of_a_function_cannot_be_changed_by_it():
    def scribble(image):
        image[:] = 0
        return image

    with pytest.raises(StepError, match="read-only"):
        Plate().run(FunctionStep(scribble))


def test_stacking_over_channels_gives_one_plane_per_channel_in_order():
    seen = []

    def look(image):
        seen.append(image[:, 0, 0].tolist())
        return image

    Plate(fields=(1,)).run(PROJECT, FunctionStep(look, stack="channel"))
    assert seen == [[113, 123]]


def test_stacking_over_channels_refuses_stacks_that_are_not_projected():
    with pytest.raises(PipelineError, match="needs one plane per channel, but channel 1 has z planes"):
        Plate().run(FunctionStep("gaussian_filter", stack="channel"))
    own = FunctionStep(lambda image: image, name="own")  # only the run shows how many planes it returns
    with pytest.raises(StepError, match="needs one plane per channel, but channel 1 has 3; project them"):
        Plate().run(own, FunctionStep("gaussian_filter", stack="channel"))


def test_returned_values_land_under_their_own_names_in_declared_order():
    @special_outputs("zebra", ("apple", MaterializationSpec(CsvOptions())))
    def make(image):
        return image, "first", {"n": [1]}

    result = run_pipeline([FunctionStep(make)], STACK)
    assert result.outputs == {"zebra": "first", "apple": {"n": [1]}}


def test_a_wrong_number_of_returned_values_is_refused():
    @special_outputs("a", "b")
    def make(image):
        return image, 1

    with pytest.raises(StepError, match=r"1 values came back besides the image; 2 are declared \(a, b\)"):
        run_pipeline([FunctionStep(make)], STACK)


def test_special_inputs_come_from_the_same_field():
    @special_outputs("level")
    def make(image):
        return image, int(image.max())

    @special_inputs("level")
    def use(image, level):
        assert int(image.max()) == level
        return image

    Plate().run(FunctionStep(make, channels=[1]), FunctionStep(use))


def test_memory_never_holds_more_than_the_stacks_still_needed_and_ends_empty():
    plate = Plate(fields=(1, 2, 3))
    stack, plane = 3 * 4 * 5 * 2, 4 * 5 * 2
    sink = Sink(plate.working)
    plate.run(PROJECT, FunctionStep("tophat", name="t", radius=1, materialize=["tiff"]), sink=sink)
    # raw stacks of both channels at most, and the projections that the next step still needs
    assert max(sink.held) <= 2 * stack + 2 * plane
    assert plate.working.nbytes == 0


def test_arrays_that_are_no_stacks_are_refused():
    with pytest.raises(ArrayShapeError, match=r"shape \[4, 5\]; expected a stack"):
        run_pipeline([FunctionStep("max_projection")], STACK[0])


def test_the_images_given_are_never_changed():
    before = STACK.copy()
    run_pipeline([FunctionStep("max_projection"), FunctionStep("gaussian_filter")], STACK)
    assert np.array_equal(STACK, before)
    assert STACK.flags.writeable


def test_what_a_function_returns_is_staged_as_its_option_takes_it(tmp_path):
    from dataclasses import dataclass

    from wellfield.materialization import TextOptions, TiffStackOptions

    @dataclass
    class Level:
        low: int

    @special_outputs(
        ("lines", MaterializationSpec(TextOptions())),
        ("level", MaterializationSpec(JsonOptions())),
        ("planes", MaterializationSpec(TiffStackOptions())),
    )
    def make(image):
        return image, ["a", "b"], Level(3), list(image)

    files = FileManager(create_storage_registry())
    with StageWriter(tmp_path / "staged", files, plate="P1", well="B03") as writer:
        Plate(fields=(1,), channels=(1,)).run(FunctionStep(make), sink=writer)
        staged = writer.finish(PlaneAccount())
    found = {output.name: files.load(tmp_path / "staged" / output.path, "disk") for output in staged.outputs}
    assert found["lines"].split() == ["a", "b"]
    assert found["level"] == {"s001_t001": {"low": 3}}
    assert found["planes"].shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("stack", "table", "reason"),
    [
        ("field", {"Metadata_Site": ["s1"]}, "holds no field numbers"),
        ("z", {"Metadata_Site": [1]}, "column Metadata_Site is filled in for each field"),
        ("z", {"Metadata_Well": ["A01"]}, "column Metadata_Well is filled in for each field"),
    ],
)
def test_a_table_that_claims_to_be_of_elsewhere_fails_the_step(tmp_path, stack, table, reason):
    @special_outputs(("odd", MaterializationSpec(CsvOptions())))
    def make(image):
        return image, table

    files = FileManager(create_storage_registry())
    with (
        StageWriter(tmp_path / "staged", files, plate="P1", well="B03") as writer,
        pytest.raises(StepError, match=reason),
    ):
        Plate(channels=(1,), z=(1,)).run(FunctionStep(make, stack=stack), sink=writer)


def test_tables_of_fields_that_make_none_together_say_so(tmp_path):
    @special_outputs(("odd", MaterializationSpec(CsvOptions())))
    def make(image):
        return image, {"v": [1] if image.max() < 150 else ["x"]}

    files = FileManager(create_storage_registry())
    with StageWriter(tmp_path / "staged", files, plate="P1", well="B03") as writer:
        Plate(channels=(1,)).run(FunctionStep(make), sink=writer)
        with pytest.raises(UnknownFormatError, match="'odd' of the well's fields do not fit together"):
            writer.finish(PlaneAccount())
