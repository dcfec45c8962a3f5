"""The executor: runs a plan over the fields of a well, one field and timepoint after the other.

For each step it gathers the images and arguments, calls the functions, and keeps the results. A step that works on the
whole well is a barrier: all fields are taken to it first. Between steps every stack lives in the intermediate backend
and is dropped after its last use, so that a few stacks of one field are held at a time (beyond a barrier, of all
fields). Results go to a sink as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from wellfield.errors import ArrayShapeError, MemoryConversionError
from wellfield.faults import error_text, fails_well
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import MemoryType, detect_memory_type, stack_slices, unstack_slices
from wellfield.memory.buffers import aligned_empty
from wellfield.memory.devices import on_device
from wellfield.pipeline.array_placement import (
    convert_image,
    host_values,
    open_libraries,
    protected,
    read_only,
    stacks_itself,
)
from wellfield.pipeline.function_call import CallFailed, run_chain
from wellfield.pipeline.images import WellImages
from wellfield.pipeline.plan import Branch, CompiledCall, CompiledStep, Plan, PlaneAxis
from wellfield.pipeline.plane_reader import PlaneReader
from wellfield.pipeline.step import START, StackAxis
from wellfield.pipeline.well_input import (
    NOWHERE,
    FieldSkipped,
    PlaneAccount,
    WellInput,
    WellStepError,
    step_error,
)
from wellfield.plate.calibration import FieldCalibration, common, describe_sizes
from wellfield.plate.keys import WHOLE_WELL, FieldKey, Projection

# An image among those of a step: of a field (or the whole well) and a channel.
Place = tuple[FieldKey, int]


class ResultSink(Protocol):
    """Takes the results of a pipeline field by field."""

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        """Take the stack ``[Z, Y, X]`` of one channel."""

    def output(
        self,
        name: str,
        spec: MaterializationSpec | None,
        key: FieldKey,
        channel: int | None,
        data: Any,
        *,
        calibration: FieldCalibration,
    ) -> None:
        """Take a side result of one field; *channel* where there is one for each channel."""

    def discard(self, key: FieldKey) -> None:
        """Forget all results of a field, because a policy leaves it out."""


def run_well(plan: Plan, well: WellInput, sink: ResultSink, account: PlaneAccount) -> None:
    """Run the pipeline over every field of a well; *account* counts the planes, also after an error.

    Raises
    ------
    StepError
        A plane cannot be read under the policy ``fail``, or a function raised; says plate, well, field, channel, file
        and step in its attributes and message.
    MemoryConversionError
        An array library is missing or has no device; the data is not to blame.
    MemoryError
        The machine or a device has too little memory.
    """
    open_libraries(plan.libraries, plan.device)
    reader = PlaneReader(plan, well, account)
    for keys in well.fields_by_timepoint().values():
        run = _TimepointRun(plan, well, reader, keys, sink=sink, account=account)
        try:
            run.run()
        finally:
            run.images.close()
    if account.blanked and not account.used:
        raise _nothing_read(well, account)


class _TimepointRun:
    """All fields of a well at one timepoint on their way through the steps."""

    def __init__(
        self,
        plan: Plan,
        well: WellInput,
        reader: PlaneReader,
        keys: Sequence[FieldKey],
        *,
        sink: ResultSink,
        account: PlaneAccount,
    ) -> None:
        self._plan = plan
        self._well = well
        self._sink = sink
        self._account = account
        self._keys = list(keys)  # without those that a policy has left out
        self._whole = keys[0]._replace(field=WHOLE_WELL)
        self.images = WellImages(plan, well, reader)
        self._outputs = plan.special_outputs()
        self._taken = {name for step in plan.steps for call in step.calls for name in call.specials.values()}
        self._specials: dict[tuple[str, FieldKey, int | None], Any] = {}

    def run(self) -> None:
        """Take all fields through all steps."""
        for key in list(self._keys):
            with self._leaving_out(key):
                self.images.open_field(key)
        for per_well, group in groupby(self._plan.steps, lambda step: step.per_well):
            steps = list(group)
            for key in [self._whole] if per_well else list(self._keys):
                with self._leaving_out(key):
                    for step in steps:
                        self._run_step(step, key)
                        self.images.drop_after(step, [*self._keys, key] if per_well else [key])
                # Read again if a step behind a barrier takes it.
                self.images.drop(START, self._keys if per_well else [key])

    @contextmanager
    def _leaving_out(self, key: FieldKey) -> Iterator[None]:
        """Forget a field and its results when a policy leaves it out."""
        try:
            yield
        except FieldSkipped as reason:
            self._account.skipped_fields[f"{key.well}_{key.name}"] = str(reason)
            self._sink.discard(key)
            self.images.forget(key)
            self._specials = {place: value for place, value in self._specials.items() if place[1] != key}
            self._keys = [other for other in self._keys if other != key]

    def _run_step(self, step: CompiledStep, key: FieldKey) -> None:
        """Run a step on a field, or on the whole well."""
        over_fields = step.stack == StackAxis.FIELD
        if over_fields:
            for field in list(self._keys):  # a plane that cannot be read leaves out its own field, not the well
                with self._leaving_out(field):
                    self.images.read_ahead(step, field)
        fields = self._keys if over_fields else [key]
        found = [[(f, c) for f in fields if self.images.has(step.input, f, c)] for c in step.channels]
        stacks = [places for places in found if places]
        if not stacks:
            names = ", ".join(f"{channel} ({self._plan.channels[channel]})" for channel in step.channels)
            extent = "well" if over_fields else "field"
            raise FieldSkipped(f"step {step.name}: channel {names} has no plane in this {extent}")
        if step.stack == StackAxis.CHANNEL:
            stacks = [[place for [place] in stacks]]
        for places in stacks:
            branch = step.branch(places[0][1])
            with on_device(branch.calls[0].memory_type, self._plan.device):
                self._run_stack(step, branch, key, places)

    def _run_stack(self, step: CompiledStep, branch: Branch, key: FieldKey, places: Sequence[Place]) -> None:
        """Call the functions of a step once, on the images of *places*; a result for all of them belongs to *key*."""
        channel = None if step.stack == StackAxis.CHANNEL else places[0][1]
        stack = self._gather(step, branch, places)
        calibration = self._common_calibration(step, places)
        arguments = [self._arguments(step, call, places, calibration) for call in branch.calls]
        try:
            image, outputs = run_chain(branch, stack, arguments)
        except (CallFailed, MemoryConversionError) as error:
            raise step_error(self._well, step, key, channel, error_text(error)) from error
        del stack, arguments
        for output in outputs:
            self._keep_special(step, key, places[0][1], output, calibration=calibration)
        if step.stack == StackAxis.Z:
            self._keep(step, key, places[0][1], self._axis(step, places[0]), image)
        elif step.merged:
            stitched = calibration._replace(stage_um=self._stitched_place(step, places, calibration))
            self._keep(step, key, places[0][1], self._axis(step, places[0])._replace(calibration=stitched), image)
        elif len(image) != len(places):
            reason = f"{len(places)} {step.stack}s went in, {len(image)} planes came out"
            raise step_error(self._well, step, key, channel, reason)
        else:
            for place, plane in zip(places, _planes(image, branch), strict=True):
                self._keep(step, *place, self._axis(step, place), plane)

    # --- gather: the images that a step takes --------------------------------------------------------------------

    def _gather(self, step: CompiledStep, branch: Branch, places: Sequence[Place]) -> Any:
        """Return the stack that a step starts from: one image, or the one plane of each field or channel.

        Images that nobody else reads are given up. Planes are stacked in the function's library if that can, else on
        the host.
        """
        first = branch.calls[0]
        if step.stack == StackAxis.Z:
            image = self._for_call(step, first, step.input, *places[0])
            self._give_up(step, places[0])
            return image
        planes = self._single_planes(step, first.memory_type, places)
        try:
            if first.memory_type == MemoryType.NUMPY:
                return _stacked_on_host(planes, len(places))
            return stack_slices([*planes], first.memory_type)
        except (ArrayShapeError, MemoryConversionError) as error:
            raise step_error(self._well, step, places[0][0], None, str(error)) from error

    def _single_planes(self, step: CompiledStep, target: MemoryType, places: Sequence[Place]) -> Iterator[Any]:
        for key, channel in places:
            stack = self.images.get(step.input, key, channel)
            if len(stack) != 1:
                where = f"channel {channel}" if step.stack == StackAxis.CHANNEL else f"field {key.field}"
                reason = f"stack: {step.stack} needs one plane per {step.stack}, but {where} has {len(stack)}"
                raise step_error(self._well, step, key, channel, f"{reason}; project them first")
            wanted = target if stacks_itself(detect_memory_type(stack), target) else MemoryType.NUMPY
            [plane] = unstack_slices(convert_image(stack, self.images.kind(step.input), wanted), wanted)
            del stack
            self._give_up(step, (key, channel))
            yield plane

    def _for_call(self, step: CompiledStep, call: CompiledCall, name: str, key: FieldKey, channel: int) -> Any:
        """Return an image as a function gets it: in its library, and safe from it."""
        try:
            image = convert_image(self.images.get(name, key, channel), self.images.kind(name), call.memory_type)
        except MemoryConversionError as error:
            raise step_error(self._well, step, key, channel, f"its input {name!r}: {error}") from error
        if call.is_registered:
            return image
        handed_out = name != START and bool(self._plan.step(name).materialize)
        return protected(image, call.memory_type, is_needed=handed_out or self.images.is_needed_after(step, name))

    def _give_up(self, step: CompiledStep, place: Place) -> None:
        """Give up an image of a step's input that nobody else reads."""
        if not self.images.is_needed_after(step, step.input):
            self.images.drop(step.input, [place[0]], [place[1]])

    def _axis(self, step: CompiledStep, place: Place) -> PlaneAxis:
        """Return what the planes of an image of a step's input are."""
        return self.images.axis(step.input, *place) or PlaneAxis((0,))

    # --- gather: the arguments of a function that are not in its plan ---------------------------------------------

    def _arguments(
        self, step: CompiledStep, call: CompiledCall, places: Sequence[Place], calibration: FieldCalibration
    ) -> dict[str, Any]:
        """Return extra images, special inputs, and facts of the plate."""
        keys, channels = _distinct(place[0] for place in places), _distinct(place[1] for place in places)
        facts = {
            "channel_names": [self._plan.channels[channel] for channel in channels],
            "pixel_size_um": calibration.pixel_size_um,
            "field_numbers": [key.field for key in keys],
            "stage_positions_um": np.array(
                [self._well.stage_positions_um.get(key.field, NOWHERE) for key in keys], np.float64
            ),
            "illumination": self._well.illumination.get(channels[0]),
        }
        images = {p: self._extra_image(step, call, name, keys, places[0]) for p, name in call.images.items()}
        specials = {p: self._special(step, name, *places[0]) for p, name in call.specials.items()}
        return images | specials | {p: facts[p] for p in call.plate_params}

    def _extra_image(
        self, step: CompiledStep, call: CompiledCall, name: str, keys: Sequence[FieldKey], place: Place
    ) -> Any:
        """Return the image of another step as an argument: of one field, or the planes of all."""
        of_input = place[1]
        channels = tuple(self._plan.sources) if name == START else self._plan.step(name).channels
        channel = of_input if of_input in channels else channels[0]
        if not all(self.images.has(name, key, channel) for key in keys):
            raise FieldSkipped(f"step {step.name}: {name} of channel {channel} is not there in this field")
        for key in keys:
            self._check_fits(step, name, (key, channel), (key, of_input))
        images = [self._for_call(step, call, name, key, channel) for key in keys]
        if step.stack != StackAxis.FIELD:
            return images[0]
        return stack_slices([image[0] for image in images], call.memory_type)

    def _check_fits(self, step: CompiledStep, name: str, extra: Place, place: Place) -> None:
        """Refuse an extra image of other planes, or of another pixel size, than the input: they would be mixed up."""
        own = self._axis(step, place)
        if step.stack == StackAxis.Z:
            self.images.get(name, *extra)  # reads the plate's planes, of which nothing is known before
        given = self.images.axis(name, *extra)
        if given is None:
            return
        if step.stack == StackAxis.Z and given[:2] != own[:2] and 1 not in (len(given.z), len(own.z)):
            reason = f"its input has the planes z {list(own.z)}, {name!r} has z {list(given.z)}; project them first"
            raise step_error(self._well, step, *place, reason)
        sizes = {"its input": own.calibration, f"{name!r}": given.calibration}
        if common(sizes.values()) is None:
            reason = f"images of different pixel sizes: {describe_sizes(sizes)}; take images of one size"
            raise step_error(self._well, step, *place, reason)

    def _special(self, step: CompiledStep, name: str, key: FieldKey, channel: int) -> Any:
        """Return a side result of the same field and channel; for a step on the well, field → its own side result."""
        output = self._outputs[name]
        of_channel = channel if output.by_channel else None
        if step.per_well and not output.per_well:
            return {k.field: v for (n, k, c), v in self._specials.items() if (n, c) == (name, of_channel)}
        place = (name, self._whole if output.per_well else key, of_channel)
        if place not in self._specials:
            raise FieldSkipped(f"step {step.name}: the special output {name!r} is not there in this field")
        return self._specials[place]

    def _common_calibration(self, step: CompiledStep, places: Sequence[Place]) -> FieldCalibration:
        """Return the calibration of a step's input: of one image, or of several that are taken together.

        Raises
        ------
        StepError
            They have different pixel sizes: a pixel of one would be taken for a pixel of another.
        """
        found = {place: self._axis(step, place).calibration for place in places}
        together = common(found.values())
        if together is None:
            over_fields = step.stack == StackAxis.FIELD
            sizes = {f"field {k.field}" if over_fields else f"channel {c}": size for (k, c), size in found.items()}
            reason = f"stack: {step.stack} takes images of different pixel sizes together: {describe_sizes(sizes)}"
            key = self._whole if over_fields and len(places) > 1 else places[0][0]
            raise step_error(self._well, step, key, None, f"{reason}; take them apart")
        return together

    # --- keep the results ----------------------------------------------------------------------------------------

    def _keep(self, step: CompiledStep, key: FieldKey, channel: int, before: PlaneAxis, image: Any) -> None:
        """Hand over an image of a step, and hold it for later steps."""
        axis = _axis_after(step.branch(channel).projection, before, len(image))
        if step.materialize:
            with self._naming_step(step, key, channel):
                self._sink.image(step, key, channel, axis, image)
        self.images.put(step, key, channel, axis, image)

    def _keep_special(
        self,
        step: CompiledStep,
        key: FieldKey,
        channel: int,
        output: tuple[str, MaterializationSpec | None, Any],
        *,
        calibration: FieldCalibration,
    ) -> None:
        """Hand over a side result, and hold it if a later step takes it."""
        name, spec, value = output
        of_channel = channel if self._outputs[name].by_channel else None
        if name in self._taken:
            self._specials[name, key, of_channel] = read_only(value)
        blamed = None if step.stack == StackAxis.CHANNEL else channel
        with self._naming_step(step, key, blamed, f"special output {name!r}: "):
            values = host_values(value) if spec else value
            self._sink.output(name, spec, key, of_channel, values, calibration=calibration)

    @contextmanager
    def _naming_step(self, step: CompiledStep, key: FieldKey, channel: int | None, what: str = "") -> Iterator[None]:
        """Name the step in an error about storing its result."""
        try:
            yield
        except Exception as error:
            if not fails_well(error):
                raise
            raise step_error(self._well, step, key, channel, f"{what}{error_text(error)}") from error

    def _stitched_place(
        self, step: CompiledStep, places: Sequence[Place], calibration: FieldCalibration
    ) -> tuple[float, float] | None:
        """Return where the upper left corner of an image of all fields lies on the stage.

        It is known if the step gets a table of positions, in pixels and on the stage, that agree.
        """
        names = [name for call in step.branch(places[0][1]).calls for name in call.specials.values()]
        tables = (self._special(step, name, *places[0]) for name in names)
        y_up, size = self._well.stage_y_up, calibration.pixel_size_um
        found = (stage_of_corner(table, size, y_up=y_up) for table in tables)
        return next((place for place in found if place is not None), None)


def stage_of_corner(table: Any, pixel_size_um: float | None, *, y_up: bool) -> tuple[float, float] | None:
    """Return the stage position of the upper left pixel of an image that is made by a table of positions.

    ``None`` where the table does not say it: it has other columns, or its pixels and stage positions do not agree.
    """
    columns = [f"{axis}_position_{unit}" for unit in ("um", "px") for axis in "xy"]
    if pixel_size_um is None or not isinstance(table, Mapping) or any(name not in table for name in columns):
        return None
    x_um, y_um, x_px, y_px = (np.asarray(table[name], np.float64) for name in columns)
    corner_x = x_um - (x_px - x_px.min()) * pixel_size_um
    corner_y = y_um - (y_px - y_px.min()) * pixel_size_um * (-1 if y_up else 1)
    spread = max(np.ptp(corner_x), np.ptp(corner_y))
    return (float(corner_x[0]), float(corner_y[0])) if spread < pixel_size_um / 100 else None


def _nothing_read(well: WellInput, account: PlaneAccount) -> WellStepError:
    """Return the error of a well of which every plane was blanked."""
    first = account.blanked[0]
    reason = (
        f"no plane of the well can be read, and black ones do not replace all; the first of {len(account.blanked)}: "
        f"{first['reason']}"
    )
    key = FieldKey(well.well, WHOLE_WELL, min(well.fields_by_timepoint()))
    return WellStepError(reason, plate=well.plate, key=key, file=first["file"])


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _stacked_on_host(planes: Iterable[Any], count: int) -> Any:
    """Return planes as one stack; each may be given up before the next one is asked for."""
    stack: Any = None
    for number, plane in enumerate(planes):
        if stack is None:
            stack = aligned_empty((count, *plane.shape), plane.dtype.newbyteorder("="))
        elif (plane.shape, plane.dtype) != (stack.shape[1:], stack.dtype):
            stack_slices([stack[0], plane], MemoryType.NUMPY)  # says what does not fit
        stack[number] = plane
    return stack


def _planes(image: Any, branch: Branch) -> Iterator[Any]:
    """Yield each plane of a stack as a stack of its own."""
    library = branch.calls[-1].output_type
    for plane in unstack_slices(image, library):
        yield plane[None] if library == MemoryType.NUMPY else stack_slices([plane], library)


def _axis_after(projection: Projection, before: PlaneAxis, planes: int) -> PlaneAxis:
    """Return what the planes are that functions made of planes *before*."""
    if projection != Projection.NONE and planes == 1:
        return PlaneAxis((0,), projection, before.calibration)
    if planes == len(before.z):
        return before
    return PlaneAxis(tuple(range(1, planes + 1)), calibration=before.calibration)
