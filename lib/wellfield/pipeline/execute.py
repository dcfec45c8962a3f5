"""The executor: runs a plan over the fields of a well, one field and timepoint after the other.

Between steps every stack lives in the memory backend and is dropped after its last use, so that what is held at a time
is a few stacks of one field. Results go to a sink as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wellfield.errors import (
    ArrayShapeError,
    DataNotFoundError,
    MaterializationError,
    MemoryConversionError,
    StepError,
    UnknownFormatError,
    UnreadableImageError,
    WellfieldError,
)
from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import MemoryType, detect_memory_type, stack_slices, unstack_slices
from wellfield.memory.devices import placed
from wellfield.pipeline.libraries import convert_image, host_values, open_libraries, protected, stacks_itself
from wellfield.pipeline.plan import CompiledStep, Plan, PlaneAxis
from wellfield.pipeline.step import START, StackAxis
from wellfield.plate.keys import FieldKey, PlaneKey, Projection, plane_name
from wellfield.processing.registry import ImageKind
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager


class ResultSink(Protocol):
    """Takes the results of a pipeline field by field."""

    def image(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        """Take the stack ``[Z, Y, X]`` of one channel."""

    def output(self, name: str, spec: MaterializationSpec | None, key: FieldKey, data: Any) -> None:
        """Take a side result of one field."""

    def discard(self, key: FieldKey) -> None:
        """Forget what was taken of a field that turned out to be left out."""


@dataclass
class PlaneAccount:
    """What became of the planes of a well."""

    used: int = 0
    missing: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    blanked: list[dict[str, str]] = field(default_factory=list)
    skipped_fields: dict[str, str] = field(default_factory=dict)


class FieldSkipped(Exception):
    """A policy leaves the current field out."""


@dataclass(frozen=True)
class WellInput:
    """The planes of one well, by key.

    Parameters
    ----------
    planes:
        Key → path in *backend*.
    shape, dtype:
        What a blanked plane looks like.
    """

    plate: str
    well: str
    planes: Mapping[PlaneKey, str]
    filemanager: FileManager
    backend: str
    describe: Callable[[str], str] = str
    shape: tuple[int, int] | None = None
    dtype: str | None = None

    def fields(self) -> list[FieldKey]:
        """Return all fields of the well, by timepoint within field."""
        return sorted({key.field_key for key in self.planes})


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
    for key in well.fields():
        run = _FieldRun(plan, well, key, sink, account)
        try:
            run.run()
        except FieldSkipped as reason:
            account.skipped_fields[f"{key.well}_s{key.field:03d}_t{key.timepoint:03d}"] = str(reason)
            sink.discard(key)
        finally:
            run.forget()


class _FieldRun:
    """One field and timepoint on its way through all steps."""

    def __init__(self, plan: Plan, well: WellInput, key: FieldKey, sink: ResultSink, account: PlaneAccount) -> None:
        self._plan = plan
        self._well = well
        self._key = key
        self._sink = sink
        self._account = account
        self._memory = well.filemanager
        self._root = f"/{well.plate}/{key.well}/s{key.field:03d}_t{key.timepoint:03d}"
        self._axes: dict[tuple[str, int], PlaneAxis] = {}
        self._specials: dict[str, Any] = {}
        self._start_channels: set[int] = set()
        self._last_start = max(
            (s.number for s in plan.steps if s.input == START or START in s.inputs.values()), default=0
        )

    def run(self) -> None:
        self._check_missing()
        for step in self._plan.steps:
            with placed(step.memory_type, self._plan.device):
                if step.stack == StackAxis.CHANNEL:
                    self._run_over_channels(step)
                else:
                    for channel in self._present(step):
                        self._run_over_z(step, channel)
            self._drop_after(step.number)

    def forget(self) -> None:
        """Drop everything of this field from memory."""
        if self._memory.is_dir(self._root, Backend.MEMORY):
            self._memory.delete_all(self._root, Backend.MEMORY)

    # --- one step ------------------------------------------------------------------------------------------------

    def _present(self, step: CompiledStep) -> list[int]:
        """Return the step's channels that this field has; a field that has none of them is left out."""
        present = [channel for channel in step.channels if self._has(step.input, channel)]
        if not present:
            raise FieldSkipped(f"step {step.name}: {self._names(step.channels)} has no plane in this field")
        return present

    def _has(self, name: str, channel: int) -> bool:
        return channel in self._start_channels if name == START else (name, channel) in self._axes

    def _names(self, channels: Sequence[int]) -> str:
        return "channel " + ", ".join(f"{channel} ({self._plan.channels[channel]})" for channel in channels)

    def _run_over_z(self, step: CompiledStep, channel: int) -> None:
        stack = self._stack(step, step.input, channel)
        image = self._call(step, stack, self._further_inputs(step, channel), step.params, channel)
        self._keep(step, channel, self._axes[step.input, channel], image)

    def _run_over_channels(self, step: CompiledStep) -> None:
        channels = self._present(step)
        try:
            stack = stack_slices(self._planes_of(step, channels), step.memory_type)
        except (ArrayShapeError, MemoryConversionError) as error:
            raise self._error(step, None, str(error)) from error
        params = dict(step.params)
        if "channel_names" in params and len(params["channel_names"]) == len(step.channels):
            names = dict(zip(step.channels, params["channel_names"], strict=True))
            params["channel_names"] = [names[channel] for channel in channels]
        image = self._call(step, stack, self._further_inputs(step, channels[0]), params, None)
        if len(image) != len(channels):
            raise self._error(step, None, f"{len(channels)} channels went in, {len(image)} planes came out")
        for channel, plane in zip(channels, unstack_slices(image, step.output_type), strict=True):
            one = plane[None] if step.output_type == MemoryType.NUMPY else stack_slices([plane], step.output_type)
            self._keep(step, channel, self._axes[step.input, channel], one)

    def _planes_of(self, step: CompiledStep, channels: Sequence[int]) -> list[Any]:
        """Return the one plane of each channel, in the step's library if that stacks planes itself, or on the host."""
        kind = self._kind(step.input)
        stacks = [self._stored(step.input, channel) for channel in channels]
        deep = {channel: len(stack) for channel, stack in zip(channels, stacks, strict=True) if len(stack) != 1}
        if deep:
            raise ArrayShapeError(
                f"stack: channel needs one plane per channel, but channels {deep} have more; project them first"
            )
        planes = []
        for stack in stacks:
            own = stacks_itself(detect_memory_type(stack), step.memory_type)
            wanted = step.memory_type if own else MemoryType.NUMPY
            planes += unstack_slices(convert_image(stack, kind, wanted), wanted)
        return planes

    def _further_inputs(self, step: CompiledStep, channel: int) -> dict[str, Any]:
        inputs = {}
        for parameter, name in step.inputs.items():
            source = self._channel_of(name, channel)
            if not self._has(name, source):
                raise FieldSkipped(f"step {step.name}: {name} of {self._names([source])} is not there in this field")
            inputs[parameter] = self._stack(step, name, source)
        return inputs

    def _call(
        self, step: CompiledStep, stack: Any, extra: Mapping[str, Any], params: Mapping[str, Any], channel: int | None
    ) -> Any:
        extra = {**extra, **{name: self._specials[name] for name in step.special_inputs}}
        try:
            result = step.call(stack, **params, **extra)
        except MemoryError:  # of the machine or a device: the job failed, not the data
            raise
        except WellfieldError as error:
            raise self._error(step, channel, str(error)) from error
        except Exception as error:  # the function is anybody's code: whatever it raises becomes the well's reason
            raise self._error(step, channel, f"{type(error).__name__}: {error}") from error
        image, *values = result if isinstance(result, tuple) else (result,)
        declared = step.special_outputs
        if len(values) != len(declared):
            names = ", ".join(name for name, _ in declared) or "none"
            raise self._error(
                step,
                channel,
                f"{len(values)} values came back besides the image; {len(declared)} are declared ({names})",
            )
        for (name, spec), value in zip(declared, values, strict=True):
            self._specials[name] = value
            try:
                self._sink.output(name, spec, self._key, host_values(value) if spec else value)
            except (MaterializationError, UnknownFormatError) as error:
                raise self._error(step, channel, f"special output {name!r}: {error}") from error
        return image

    def _keep(self, step: CompiledStep, channel: int, before: PlaneAxis, image: Any) -> None:
        axis = self._axes[step.name, channel] = _axis_after(step, before, len(image))
        if step.materialize:
            self._sink.image(step, self._key, channel, axis, image)
        if step.last_use > step.number:
            self._memory.save(image, self._path(step.name, channel), Backend.MEMORY, copy=False)

    def _drop_after(self, number: int) -> None:
        for step in self._plan.steps[:number]:
            if step.last_use == number:
                self._drop(step.name)
        if number == self._last_start:
            self._drop(START)

    def _drop(self, name: str) -> None:
        folder = f"{self._root}/{name}"
        if self._memory.is_dir(folder, Backend.MEMORY):
            self._memory.delete_all(folder, Backend.MEMORY)

    # --- inputs --------------------------------------------------------------------------------------------------

    def _path(self, name: str, channel: int) -> str:
        return f"{self._root}/{name}/w{channel}"

    def _channel_of(self, name: str, channel: int) -> int:
        channels = tuple(self._plan.sources) if name == START else self._plan.step(name).channels
        return channel if channel in channels else channels[0]

    def _stack(self, step: CompiledStep, name: str, channel: int) -> Any:
        """Return the stack of one channel as the step's function gets it."""
        try:
            image = convert_image(self._stored(name, channel), self._kind(name), step.memory_type)
        except MemoryConversionError as error:
            raise self._error(step, channel, f"its input {name!r}: {error}") from error
        if step.is_registered:
            return image
        return protected(image, step.memory_type, is_needed=self._is_needed(step, name))

    def _stored(self, name: str, channel: int) -> Any:
        path = self._path(name, channel)
        if name == START and not self._memory.is_file(path, Backend.MEMORY):
            stack, self._axes[START, channel] = self._load_start(channel)
            self._memory.save(stack, path, Backend.MEMORY, copy=False)
        return self._memory.load(path, Backend.MEMORY)

    def _kind(self, name: str) -> ImageKind:
        return ImageKind.INTENSITY if name == START else self._plan.step(name).kind

    def _is_needed(self, step: CompiledStep, name: str) -> bool:
        """Tell whether an image is read again, or may have been handed out, when *step* has read it."""
        if name in step.inputs.values():
            return True  # for each of its channels
        if name == START:
            return self._last_start > step.number
        source = self._plan.step(name)
        return source.last_use > step.number or bool(source.materialize)

    def _expected(self, channel: int) -> list[PlaneKey]:
        layers = self._plan.sources[channel]
        key = self._key
        if layers.timepoints and key.timepoint not in layers.timepoints:
            return []
        if layers.projection != Projection.NONE:
            return [PlaneKey(key.well, key.field, channel, 0, key.timepoint, layers.projection)]
        return [PlaneKey(key.well, key.field, channel, z, key.timepoint) for z in layers.z]

    def _check_missing(self) -> None:
        """Apply the policy for planes that are not there, before a plane is opened."""
        for channel in self._plan.start_channels:
            expected = self._expected(channel)
            missing = [plane_name(key) for key in expected if key not in self._well.planes]
            self._account.missing += missing
            if missing and self._plan.on_missing == "fail":
                raise self._error(None, channel, f"plane {missing[0]} is missing and on_missing is 'fail'")
            if missing and self._plan.on_missing == "skip_field":
                raise FieldSkipped(f"plane {missing[0]} is missing and on_missing is 'skip_field'")
            if len(missing) < len(expected):
                self._start_channels.add(channel)

    def _load_start(self, channel: int) -> tuple[Any, PlaneAxis]:
        keys = [key for key in self._expected(channel) if key in self._well.planes]
        planes: list[Any] = []
        for key in keys:
            first = next((plane for plane in planes if plane is not None), None)
            planes.append(self._load_plane(key, first))
        read = [plane for plane in planes if plane is not None]
        self._account.used += len(read)
        axis = PlaneAxis(tuple(key.z for key in keys), self._plan.sources[channel].projection)
        return stack_slices([self._black(read) if p is None else p for p in planes], self._plan.start_type), axis

    def _black(self, read: Sequence[Any]) -> Any:
        """Return the black plane that stands for an unreadable one: like those of its stack, or of the plate."""
        import numpy as np

        return np.zeros_like(read[0]) if read else np.zeros(self._well.shape or (1, 1), self._well.dtype or "uint16")

    def _load_plane(self, key: PlaneKey, first: Any | None) -> Any | None:
        """Return a plane, or ``None`` for one that is to be blanked.

        What is wrong with a file is the data's fault and falls under the policy; what is wrong with the disk or the
        permissions is not, and fails the job.
        """
        path = self._well.planes[key]
        try:
            plane = self._memory.load(path, self._well.backend)
            shape = tuple(first.shape) if first is not None else self._well.shape
            if plane.ndim != 2 or (shape is not None and plane.shape != shape):
                expected = list(shape) if shape else "[Y, X]"
                raise ArrayShapeError(f"the image has shape {list(plane.shape)}; expected {expected}")
            if first is not None and plane.dtype != first.dtype:
                raise ArrayShapeError(f"the image has dtype {plane.dtype}; expected {first.dtype}")
        except (UnreadableImageError, DataNotFoundError, ArrayShapeError) as error:
            self._unreadable(key, path, error)
            return None
        return plane

    def _unreadable(self, key: PlaneKey, path: str, error: WellfieldError) -> None:
        """Apply the policy for a plane that cannot be read."""
        file = self._well.describe(path)
        entry = {"plane": plane_name(key), "file": file, "reason": str(error)}
        if self._plan.on_unreadable == "fail":
            raise self._error(None, key.channel, str(error), file=file) from error
        if self._plan.on_unreadable == "skip_field":
            self._account.skipped.append(entry)
            raise FieldSkipped(f"plane {plane_name(key)} cannot be read: {error}")
        self._account.blanked.append(entry)

    def _error(
        self, step: CompiledStep | None, channel: int | None, reason: str, *, file: str | None = None
    ) -> StepError:
        return WellStepError(
            reason,
            plate=self._well.plate,
            key=self._key,
            channel=channel,
            step=f"{step.number} ({step.name})" if step else None,
            file=file,
        )


class WellStepError(StepError):
    """A step failed on one field; *details* says where, as it goes into the manifest."""

    def __init__(
        self, reason: str, *, plate: str, key: FieldKey, channel: int | None, step: str | None, file: str | None
    ) -> None:
        self.details: dict[str, Any] = {
            "message": reason,
            "step": step,
            "field": key.field,
            "timepoint": key.timepoint,
            "channel": channel,
            "file": file,
        }
        where = [f"plate {plate}", f"well {key.well}", f"field {key.field}", f"timepoint {key.timepoint}"]
        where += [f"channel {channel}"] if channel is not None else []
        where += [f"file {file}"] if file else []
        super().__init__(f"{', '.join(where)}: {f'step {step}' if step else 'reading'} failed: {reason}")


def _axis_after(step: CompiledStep, before: PlaneAxis, planes: int) -> PlaneAxis:
    """Return what the planes are that a step made of planes *before*."""
    if step.projection != Projection.NONE and planes == 1:
        return PlaneAxis((0,), step.projection)
    return before if planes == len(before.z) else PlaneAxis(tuple(range(1, planes + 1)))
