"""The executor: runs a plan over the fields of a well, one field and timepoint after the other.

A step that works on the whole well is a barrier: all fields are taken to it first. Between steps every stack lives in
the intermediate backend and is dropped after its last use, so that what is held at a time is a few stacks of one field
(beyond a barrier, of all fields). Results go to a sink as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from typing import Any, Protocol

from wellfield.errors import MemoryConversionError
from wellfield.faults import error_text, fails_well
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import MemoryType, stack_slices, unstack_slices
from wellfield.memory.devices import placed
from wellfield.pipeline.array_placement import host_values, open_libraries
from wellfield.pipeline.call import CallFailed, run_chain
from wellfield.pipeline.inputs import StepInputs
from wellfield.pipeline.plan import Branch, CompiledStep, Plan, PlaneAxis
from wellfield.pipeline.plane_reader import PlaneSource
from wellfield.pipeline.step import START, StackAxis
from wellfield.pipeline.well_input import FieldSkipped, PlaneAccount, WellInput, WellStepError, step_error
from wellfield.plate.calibration import FieldCalibration
from wellfield.plate.keys import WHOLE_WELL, FieldKey, Projection


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
        """Forget what was taken of a field that turned out to be left out."""


def run_well(plan: Plan, well: WellInput, sink: ResultSink, account: PlaneAccount) -> None:
    """Run the pipeline over every field of a well; *account* tells what became of the planes, also after an error.

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
    source = PlaneSource(plan, well, account)
    for timepoint, keys in well.fields_by_timepoint().items():
        run = _Run(plan, well, source, sink, account)
        try:
            run.run(timepoint, keys)
        finally:
            run.close()
    if account.blanked and not account.used:
        raise _nothing_read(well, account)


class _Run:
    """All fields of a well at one timepoint on their way through the steps."""

    def __init__(
        self, plan: Plan, well: WellInput, source: PlaneSource, sink: ResultSink, account: PlaneAccount
    ) -> None:
        self._plan = plan
        self._well = well
        self._sink = sink
        self._account = account
        self._inputs = StepInputs(plan, well, source)
        self._keys: list[FieldKey] = []  # those that no policy has left out

    def run(self, timepoint: int, keys: Sequence[FieldKey]) -> None:
        """Take all fields of one timepoint through all steps."""
        self._keys = list(keys)
        whole = FieldKey(self._well.well, WHOLE_WELL, timepoint)
        for key in keys:
            with self._leaving_out(key):
                self._inputs.open_field(key)
        for per_well, steps in groupby(self._plan.steps, lambda step: step.per_well):
            if per_well:
                self._run_well_steps(list(steps), whole)
            else:
                self._run_field_steps(list(steps))

    def close(self) -> None:
        """Give up every image."""
        self._inputs.images.close()

    def _run_field_steps(self, steps: Sequence[CompiledStep]) -> None:
        for key in list(self._keys):
            with self._leaving_out(key):
                for step in steps:
                    self._run_step(step, key)
                    self._inputs.drop_after(step, [key])
                self._inputs.images.drop(START, [key])  # read again behind a step that works on the well

    def _run_well_steps(self, steps: Sequence[CompiledStep], whole: FieldKey) -> None:
        with self._leaving_out(whole):
            for step in steps:
                if step.stack == StackAxis.FIELD:
                    self._run_over_fields(step, whole)
                else:
                    self._run_step(step, whole)
                self._inputs.drop_after(step, [*self._keys, whole])
        self._inputs.images.drop(START, self._keys)

    @contextmanager
    def _leaving_out(self, key: FieldKey) -> Iterator[None]:
        """Forget a field, and what was taken of it, when a policy leaves it out."""
        try:
            yield
        except FieldSkipped as reason:
            self._account.skipped_fields[f"{key.well}_{key.name}"] = str(reason)
            self._sink.discard(key)
            self._inputs.forget(key)
            self._keys = [other for other in self._keys if other != key]

    # --- one step ------------------------------------------------------------------------------------------------

    def _run_step(self, step: CompiledStep, key: FieldKey) -> None:
        """Run a step on a field, or on the image of the whole well."""
        channels = [channel for channel in step.channels if self._inputs.has(step.input, key, channel)]
        if not channels:
            raise FieldSkipped(f"step {step.name}: {self._names(step.channels)} has no plane in this field")
        if step.stack == StackAxis.CHANNEL:
            self._run_over_channels(step, key, channels)
            return
        for channel in channels:
            with self._on_device(step.branch(channel)):
                stack = self._inputs.take(step, key, channel)
                image = self._call(step, key, stack, keys=[key], channels=[channel])
                self._keep(step, key, channel, self._inputs.axis(step, key, channel), image)

    def _run_over_channels(self, step: CompiledStep, key: FieldKey, channels: Sequence[int]) -> None:
        [branch] = step.branches
        with self._on_device(branch):
            stack = self._inputs.take_stacked(step, branch, [(key, channel) for channel in channels])
            image = self._call(step, key, stack, keys=[key], channels=channels)
            if len(image) != len(channels):
                reason = f"{len(channels)} channels went in, {len(image)} planes came out"
                raise step_error(self._well, step, key, None, reason)
            for channel, plane in zip(channels, _planes(image, branch), strict=True):
                self._keep(step, key, channel, self._inputs.axis(step, key, channel), plane)

    def _run_over_fields(self, step: CompiledStep, whole: FieldKey) -> None:
        """Run a step on the fields of the well together, channel by channel."""
        for key in list(self._keys):  # so that a plane that cannot be read leaves out its own field, not the well
            with self._leaving_out(key):
                self._inputs.load_ahead(step, key)
        found = False
        for channel in step.channels:
            keys = [key for key in self._keys if self._inputs.has(step.input, key, channel)]
            if not keys:
                continue
            found, branch = True, step.branch(channel)
            with self._on_device(branch):
                stack = self._inputs.take_stacked(step, branch, [(key, channel) for key in keys])
                image = self._call(step, whole, stack, keys=keys, channels=[channel])
                if step.merged:
                    axis = self._inputs.axis(step, keys[0], channel)
                    place = self._inputs.stitched_place(step, keys, channel)
                    self._keep(step, whole, channel, axis._replace(calibration=place), image)
                    continue
                if len(image) != len(keys):
                    reason = f"{len(keys)} fields went in, {len(image)} planes came out"
                    raise step_error(self._well, step, whole, channel, reason)
                for key, plane in zip(keys, _planes(image, branch), strict=True):
                    self._keep(step, key, channel, self._inputs.axis(step, key, channel), plane)
        if not found:
            raise FieldSkipped(f"step {step.name}: {self._names(step.channels)} has no plane in this well")

    def _on_device(self, branch: Branch) -> AbstractContextManager[None]:
        return placed(branch.calls[0].memory_type, self._plan.device)

    def _names(self, channels: Sequence[int]) -> str:
        return "channel " + ", ".join(f"{channel} ({self._plan.channels[channel]})" for channel in channels)

    def _call(
        self, step: CompiledStep, key: FieldKey, stack: Any, *, keys: Sequence[FieldKey], channels: Sequence[int]
    ) -> Any:
        """Call a step's functions on a stack of *keys* and *channels*; hand over side results, return the image."""
        channel = channels[0] if step.stack != StackAxis.CHANNEL else None
        branch = step.branch(channel)
        calibration = self._inputs.calibration(step, keys, channels)
        further = [self._inputs.arguments(step, call, keys, channels) for call in branch.calls]
        try:
            image, outputs = run_chain(branch, stack, further)
        except (CallFailed, MemoryConversionError) as error:
            raise step_error(self._well, step, key, channel, error_text(error)) from error
        for name, spec, value in outputs:
            of_channel = self._inputs.add_special(name, key, channels[0], value)
            with self._blaming(step, key, channel, f"special output {name!r}: "):
                values = host_values(value) if spec else value
                self._sink.output(name, spec, key, of_channel, values, calibration=calibration)
        return image

    @contextmanager
    def _blaming(self, step: CompiledStep, key: FieldKey, channel: int | None, what: str = "") -> Iterator[None]:
        """Say of which step a result is that cannot be stored."""
        try:
            yield
        except Exception as error:
            if not fails_well(error):
                raise
            raise step_error(self._well, step, key, channel, f"{what}{error_text(error)}") from error

    def _keep(self, step: CompiledStep, key: FieldKey, channel: int, before: PlaneAxis, image: Any) -> None:
        axis = _axis_after(step.branch(channel).projection, before, len(image))
        self._inputs.images.note(step.name, key, channel, axis)
        if step.materialize:
            with self._blaming(step, key, channel):
                self._sink.image(step, key, channel, axis, image)
        if step.last_use > step.number:
            self._inputs.images.save(step.name, key, channel, image, step.kind)


def _nothing_read(well: WellInput, account: PlaneAccount) -> WellStepError:
    """Return the error of a well whose images would all be made up."""
    first = account.blanked[0]
    reason = (
        f"no plane of the well can be read, and black ones do not replace all; the first of {len(account.blanked)}: "
        f"{first['reason']}"
    )
    key = FieldKey(well.well, WHOLE_WELL, min(well.fields_by_timepoint()))
    return WellStepError(reason, plate=well.plate, key=key, file=first["file"])


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
