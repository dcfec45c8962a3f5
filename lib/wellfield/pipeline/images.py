"""The images of a well at one timepoint: planes of the plate, and what steps made of them until its last use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wellfield.memory import MemoryType
from wellfield.pipeline.array_placement import convert_image
from wellfield.pipeline.plan import CompiledStep, Plan, PlaneAxis
from wellfield.pipeline.plane_reader import PlaneReader
from wellfield.pipeline.step import START
from wellfield.pipeline.well_input import WellInput
from wellfield.plate.keys import FieldKey
from wellfield.processing.function_registry import ImageKind
from wellfield.storage.backend import Backend


class WellImages:
    """Gives stacks ``[Z, Y, X]`` by step, field and channel; those of the step ``start`` are read from the plate.

    Stacks are held in the intermediate backend of the well: in ``memory``, where they stay on their device, or on
    ``disk`` as NumPy arrays.
    """

    def __init__(self, plan: Plan, well: WellInput, reader: PlaneReader) -> None:
        self._steps = {step.name: step for step in plan.steps}
        self._reader = reader
        self._filemanager = well.filemanager
        self._backend, root = well.intermediate
        self._root = root.rstrip("/")
        self._start: dict[FieldKey, set[int]] = {}
        self._axes: dict[tuple[str, FieldKey, int], PlaneAxis] = {}
        self._held: set[tuple[str, FieldKey, int]] = set()
        self._start_reads = sum((step.input == START) + (START in step.extra_images) for step in plan.steps)
        self._last_start = max((step.number for step in plan.steps if START in step.reads), default=0)

    def open_field(self, key: FieldKey) -> None:
        """See which channels of the plate a field has, under the policy for missing planes."""
        self._start[key] = self._reader.channels_of(key)

    def has(self, name: str, key: FieldKey, channel: int) -> bool:
        """Tell whether there is an image of a step, or of the plate."""
        return channel in self._start.get(key, ()) if name == START else (name, key, channel) in self._axes

    def axis(self, name: str, key: FieldKey, channel: int) -> PlaneAxis | None:
        """Return what the planes of an image are; ``None`` for an image of the plate that was not read yet."""
        return self._axes.get((name, key, channel))

    def kind(self, name: str) -> ImageKind:
        """Return what the pixels of a step's images are."""
        return ImageKind.INTENSITY if name == START else self._steps[name].kind

    def get(self, name: str, key: FieldKey, channel: int) -> Any:
        """Return a stack; one of the plate is read, under the policy for unreadable planes."""
        if name != START or (name, key, channel) in self._held:
            return self._filemanager.load(self._path(name, key, channel), self._backend)
        stack, self._axes[START, key, channel] = self._reader.read(key, channel)
        if self._start_reads > 1:
            self._hold(START, key, channel, stack)
        return stack

    def read_ahead(self, step: CompiledStep, key: FieldKey) -> None:
        """Read and hold the plate's planes that a step over fields takes of one field."""
        for channel in step.channels if START in step.reads else ():
            if self.has(START, key, channel) and (START, key, channel) not in self._held:
                stack, self._axes[START, key, channel] = self._reader.read(key, channel)
                self._hold(START, key, channel, stack)

    def put(self, step: CompiledStep, key: FieldKey, channel: int, axis: PlaneAxis, stack: Any) -> None:
        """Take an image of a step; it is held if a later step reads it. Nobody may write to it any more."""
        self._axes[step.name, key, channel] = axis
        if step.last_use > step.number:
            self._hold(step.name, key, channel, stack)

    def is_needed_after(self, step: CompiledStep, name: str) -> bool:
        """Tell whether an image is read again when *step* has read it as its input."""
        if name in step.extra_images:
            return True  # for each of its channels
        return (self._last_start if name == START else self._steps[name].last_use) > step.number

    def drop(self, name: str, keys: Iterable[FieldKey], channels: Iterable[int] | None = None) -> None:
        """Give up the stacks of a step for some fields."""
        wanted, numbers = set(keys), None if channels is None else set(channels)
        gone = {e for e in self._held if e[0] == name and e[1] in wanted and (numbers is None or e[2] in numbers)}
        for entry in gone:
            self._filemanager.delete(self._path(*entry), self._backend)
        self._held -= gone

    def drop_after(self, step: CompiledStep, keys: Iterable[FieldKey]) -> None:
        """Give up the stacks of some fields that no step after this one reads."""
        wanted = list(keys)
        for other in self._steps.values():
            if other.number <= step.number == other.last_use:
                self.drop(other.name, wanted)
        if step.number == self._last_start:
            self.drop(START, wanted)

    def forget(self, key: FieldKey) -> None:
        """Give up all stacks of a field, and that they ever were."""
        for name in {entry[0] for entry in self._held if entry[1] == key}:
            self.drop(name, [key])
        self._axes = {entry: axis for entry, axis in self._axes.items() if entry[1] != key}
        self._start.pop(key, None)

    def close(self) -> None:
        """Give up everything."""
        for entry in sorted(self._held):
            self._filemanager.delete(self._path(*entry), self._backend)
        self._held.clear()

    def _hold(self, name: str, key: FieldKey, channel: int, stack: Any) -> None:
        path = self._path(name, key, channel)
        if self._backend == Backend.MEMORY:
            self._filemanager.save(stack, path, self._backend, copy=False)
        else:
            host = convert_image(stack, self.kind(name), MemoryType.NUMPY)
            self._filemanager.save(host, path, self._backend)
        self._held.add((name, key, channel))

    def _path(self, name: str, key: FieldKey, channel: int) -> str:
        return f"{self._root}/{key.well}/s{key.field:03d}_t{key.timepoint:03d}/{name}/w{channel}"
