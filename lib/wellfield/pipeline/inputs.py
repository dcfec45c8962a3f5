"""What the functions of a step get: images of earlier steps, their side results, facts of the plate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, MemoryConversionError
from wellfield.memory import MemoryType, detect_memory_type, stack_slices, unstack_slices
from wellfield.memory.buffers import aligned_empty
from wellfield.pipeline.array_placement import convert_image, protected, read_only, stacks_itself
from wellfield.pipeline.images import WellImages
from wellfield.pipeline.plan import Branch, CompiledCall, CompiledStep, Plan, PlaneAxis
from wellfield.pipeline.plane_reader import PlaneSource
from wellfield.pipeline.step import START, StackAxis
from wellfield.pipeline.well_input import NOWHERE, FieldSkipped, WellInput, step_error
from wellfield.plate.calibration import UNKNOWN, FieldCalibration, common, describe_sizes
from wellfield.plate.keys import WHOLE_WELL, FieldKey
from wellfield.processing.function_registry import ImageKind


class StepInputs:
    """Everything that steps of one well and timepoint have made so far, and the planes that they start from."""

    def __init__(self, plan: Plan, well: WellInput, source: PlaneSource) -> None:
        self._plan = plan
        self._well = well
        self._source = source
        backend, root = well.intermediate
        self.images = WellImages(well.filemanager, backend, root)
        self._start: dict[FieldKey, set[int]] = {}
        self._outputs = plan.special_outputs()
        self._specials: dict[tuple[str, FieldKey, int | None], Any] = {}
        self._taken = {name for step in plan.steps for call in step.calls for name in call.specials.values()}
        self._start_reads = sum((step.input == START) + (START in step.further) for step in plan.steps)
        self._last_start = max((step.number for step in plan.steps if START in step.reads), default=0)

    # --- what is there -------------------------------------------------------------------------------------------

    def open_field(self, key: FieldKey) -> None:
        """See which channels a field has, under the policy for missing planes."""
        self._start[key] = self._source.channels_of(key)

    def has(self, name: str, key: FieldKey, channel: int) -> bool:
        """Tell whether there is an image of a step, or of the plate."""
        if name == START:
            return channel in self._start.get(key, ())
        return self.images.axis(name, key, channel) is not None

    def axis(self, step: CompiledStep, key: FieldKey, channel: int) -> PlaneAxis:
        """Return what the planes of a step's input are."""
        return self.images.axis(step.input, key, channel) or PlaneAxis((0,))

    def add_special(self, name: str, key: FieldKey, channel: int, value: Any) -> int | None:
        """Take a side result; return its channel, ``None`` where it is one for all."""
        of_channel = channel if self._outputs[name].by_channel else None
        if name in self._taken:
            self._specials[name, key, of_channel] = read_only(value)
        return of_channel

    def load_ahead(self, step: CompiledStep, key: FieldKey) -> None:
        """Load the plate's planes that a step over fields reads of a field, under the policy for unreadable ones."""
        for channel in step.channels if START in step.reads else ():
            if self.has(START, key, channel) and not self.images.holds(START, key, channel):
                stack, axis = self._source.load(key, channel)
                self.images.note(START, key, channel, axis)
                self.images.save(START, key, channel, stack, ImageKind.INTENSITY)

    def drop_after(self, step: CompiledStep, keys: Iterable[FieldKey]) -> None:
        """Give up the images that no step after this one reads."""
        wanted = list(keys)
        for other in self._plan.steps[: step.number]:
            if other.last_use == step.number:
                self.images.drop(other.name, wanted)
        if step.number == self._last_start:
            self.images.drop(START, wanted)

    # --- stacks --------------------------------------------------------------------------------------------------

    def take(self, step: CompiledStep, key: FieldKey, channel: int) -> Any:
        """Return the stack that a step starts from, given up by the store if nobody else reads it."""
        image = self._for_call(step, step.branch(channel).calls[0], step.input, key, channel)
        if not self._is_needed(step, step.input):
            self.images.drop(step.input, [key], [channel])
        return image

    def take_stacked(self, step: CompiledStep, branch: Branch, places: Sequence[tuple[FieldKey, int]]) -> Any:
        """Return the one plane of each field and channel as a stack.

        It is made in the function's library if that stacks planes itself, else on the host.
        """
        target = branch.calls[0].memory_type
        planes = self._planes_for(step, target, places)
        try:
            return (
                _stacked_on_host(planes, len(places)) if target == MemoryType.NUMPY else stack_slices([*planes], target)
            )
        except (ArrayShapeError, MemoryConversionError) as error:
            raise step_error(self._well, step, places[0][0], None, str(error)) from error

    def _planes_for(
        self, step: CompiledStep, target: MemoryType, places: Sequence[tuple[FieldKey, int]]
    ) -> Iterator[Any]:
        """Yield the one plane of each field and channel, given up by the store if nobody else reads it."""
        is_needed = self._is_needed(step, step.input)
        for key, channel in places:
            stack = self._stored(step.input, key, channel)
            if len(stack) != 1:
                where = f"channel {channel}" if step.stack == StackAxis.CHANNEL else f"field {key.field}"
                reason = f"stack: {step.stack} needs one plane per {step.stack}, but {where} has {len(stack)}"
                raise step_error(self._well, step, key, channel, f"{reason}; project them first")
            own = stacks_itself(detect_memory_type(stack), target)
            wanted = target if own else MemoryType.NUMPY
            [plane] = unstack_slices(convert_image(stack, self._kind(step.input), wanted), wanted)
            del stack
            if not is_needed:
                self.images.drop(step.input, [key], [channel])
            yield plane

    def _for_call(self, step: CompiledStep, call: CompiledCall, name: str, key: FieldKey, channel: int) -> Any:
        """Return an image as a function gets it."""
        try:
            image = convert_image(self._stored(name, key, channel), self._kind(name), call.memory_type)
        except MemoryConversionError as error:
            raise step_error(self._well, step, key, channel, f"its input {name!r}: {error}") from error
        if call.is_registered:
            return image
        handed_out = name != START and bool(self._plan.step(name).materialize)
        return protected(image, call.memory_type, is_needed=handed_out or self._is_needed(step, name))

    def _stored(self, name: str, key: FieldKey, channel: int) -> Any:
        if name != START or self.images.holds(START, key, channel):
            return self.images.load(name, key, channel)
        stack, axis = self._source.load(key, channel)
        self.images.note(START, key, channel, axis)
        if self._start_reads > 1:
            self.images.save(START, key, channel, stack, ImageKind.INTENSITY)
        return stack

    def _kind(self, name: str) -> ImageKind:
        return ImageKind.INTENSITY if name == START else self._plan.step(name).kind

    def _is_needed(self, step: CompiledStep, name: str) -> bool:
        """Tell whether an image is read again when *step* has read it as its input."""
        if name in step.further:
            return True  # for each of its channels
        return (self._last_start if name == START else self._plan.step(name).last_use) > step.number

    # --- arguments -----------------------------------------------------------------------------------------------

    def arguments(
        self, step: CompiledStep, call: CompiledCall, keys: Sequence[FieldKey], channels: Sequence[int]
    ) -> dict[str, Any]:
        """Return the arguments of a function that are not in its plan.

        *keys* and *channels* are those of its stack: one field, or all; one channel, or all.
        """
        arguments: dict[str, Any] = {}
        for parameter, name in call.images.items():
            channel = self._channel_of(name, channels[0])
            if not all(self.has(name, key, channel) for key in keys):
                raise FieldSkipped(f"step {step.name}: {name} of channel {channel} is not there in this field")
            for key in keys:
                self._check_planes(step, name, key, channel, channels[0])
                self._check_sizes(step, name, key, channel, channels[0])
            images = [self._for_call(step, call, name, key, channel) for key in keys]
            over_fields = step.stack == StackAxis.FIELD
            arguments[parameter] = stack_slices([i[0] for i in images], call.memory_type) if over_fields else images[0]
        for parameter, name in call.specials.items():
            arguments[parameter] = self._special(step, name, keys[0], channels[0])
        return arguments | self._facts(step, call, keys, channels)

    def _check_planes(self, step: CompiledStep, name: str, key: FieldKey, channel: int, of_input: int) -> None:
        """Refuse a further image whose planes are others than those of the input: they would be paired wrongly."""
        if step.stack != StackAxis.Z:
            return
        self._stored(name, key, channel)  # loads the plate's planes, of which nothing is known before
        given, own = self.images.axis(name, key, channel), self.images.axis(step.input, key, of_input)
        if given and own and given[:2] != own[:2] and 1 not in (len(given.z), len(own.z)):
            reason = f"its input has the planes z {list(own.z)}, {name!r} has z {list(given.z)}; project them first"
            raise step_error(self._well, step, key, of_input, reason)

    def _check_sizes(self, step: CompiledStep, name: str, key: FieldKey, channel: int, of_input: int) -> None:
        """Refuse a further image of another pixel size than the input's, as far as it is loaded."""
        given = self.images.axis(name, key, channel)
        if given is None:
            return
        sizes = {"its input": self.axis(step, key, of_input).calibration, f"{name!r}": given.calibration}
        if common(sizes.values()) is None:
            reason = f"images of different pixel sizes: {describe_sizes(sizes)}; take images of one size"
            raise step_error(self._well, step, key, of_input, reason)

    def calibration(self, step: CompiledStep, keys: Sequence[FieldKey], channels: Sequence[int]) -> FieldCalibration:
        """Return the calibration of a step's input: of one image, or of several that are taken together.

        Raises
        ------
        StepError
            They have different pixel sizes: a pixel of one would be taken for a pixel of another.
        """
        found = {
            (key, channel): self.axis(step, key, channel).calibration
            for key in keys
            for channel in channels
            if self.has(step.input, key, channel)
        }
        together = common(found.values()) if found else UNKNOWN
        if together is None:
            over_fields = step.stack == StackAxis.FIELD
            sizes = describe_sizes(
                {f"field {key.field}" if over_fields else f"channel {c}": own for (key, c), own in found.items()}
            )
            reason = f"stack: {step.stack} takes images of different pixel sizes together: {sizes}; take them apart"
            place = keys[0]._replace(field=WHOLE_WELL) if len(keys) > 1 else keys[0]
            raise step_error(self._well, step, place, None, reason)
        return together

    def stitched_place(self, step: CompiledStep, keys: Sequence[FieldKey], channel: int) -> FieldCalibration:
        """Return the calibration of one image of all fields: it lies where its upper left corner does.

        The place is known where the step gets a table of positions, in pixels and on the stage, that agree.
        """
        found = self.calibration(step, keys, [channel])
        names = [name for call in step.branch(channel).calls for name in call.specials.values()]
        tables = [self._special(step, name, keys[0], channel) for name in names]
        places = (stage_of_corner(table, found.pixel_size_um, y_up=self._well.stage_y_up) for table in tables)
        return found._replace(stage_um=next((place for place in places if place is not None), None))

    def _facts(
        self, step: CompiledStep, call: CompiledCall, keys: Sequence[FieldKey], channels: Sequence[int]
    ) -> dict[str, Any]:
        """Return the facts of the plate that a function asks for."""
        calibration = self.calibration(step, keys, channels)
        positions = [self._well.stage_positions_um.get(key.field, NOWHERE) for key in keys]
        facts = {
            "channel_names": [self._plan.channels[channel] for channel in channels],
            "pixel_size_um": calibration.pixel_size_um,
            "field_numbers": [key.field for key in keys],
            "stage_positions_um": np.array(positions, np.float64),
            "illumination": self._well.illumination.get(channels[0]),
        }
        return {name: facts[name] for name in call.filled}

    def _special(self, step: CompiledStep, name: str, key: FieldKey, channel: int) -> Any:
        """Return a side result by the keys that it shares with the step; for a well, one of fields as a mapping."""
        output = self._outputs[name]
        of_channel = channel if output.by_channel else None
        if step.per_well and not output.per_well:
            made = {
                place[1].field: v for place, v in self._specials.items() if (place[0], place[2]) == (name, of_channel)
            }
            return made
        field = WHOLE_WELL if output.per_well else key.field
        place = (name, FieldKey(key.well, field, key.timepoint), of_channel)
        if place not in self._specials:
            raise FieldSkipped(f"step {step.name}: the special output {name!r} is not there in this field")
        return self._specials[place]

    def _channel_of(self, name: str, channel: int) -> int:
        channels = tuple(self._plan.sources) if name == START else self._plan.step(name).channels
        return channel if channel in channels else channels[0]

    def forget(self, key: FieldKey) -> None:
        """Give up everything of a field."""
        self.images.forget(key)
        self._start.pop(key, None)
        for place in [place for place in self._specials if place[1] == key]:
            del self._specials[place]


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
