"""The images of a well between steps: by step, channel and field, in the intermediate backend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wellfield.memory import MemoryType
from wellfield.pipeline.array_placement import convert_image
from wellfield.pipeline.plan import PlaneAxis
from wellfield.plate.keys import FieldKey
from wellfield.processing.function_registry import ImageKind
from wellfield.storage.backend import Backend
from wellfield.storage.filemanager import FileManager


class WellImages:
    """Holds stacks under the name of what made them; in memory they stay on their device.

    Parameters
    ----------
    filemanager, backend, root:
        Where they are held: ``memory``, or ``disk`` as NumPy arrays below *root*.
    """

    def __init__(self, filemanager: FileManager, backend: str, root: str) -> None:
        self._filemanager = filemanager
        self._backend = backend
        self._root = root.rstrip("/")
        self._axes: dict[tuple[str, FieldKey, int], PlaneAxis] = {}
        self._held: set[tuple[str, FieldKey, int]] = set()

    def save(self, name: str, key: FieldKey, channel: int, stack: Any, kind: ImageKind) -> None:
        """Take a stack, which nobody writes to any more."""
        if self._backend == Backend.MEMORY:
            self._filemanager.save(stack, self._path(name, key, channel), self._backend, copy=False)
        else:
            host = convert_image(stack, kind, MemoryType.NUMPY)
            self._filemanager.save(host, self._path(name, key, channel), self._backend)
        self._held.add((name, key, channel))

    def load(self, name: str, key: FieldKey, channel: int) -> Any:
        """Return a stack."""
        return self._filemanager.load(self._path(name, key, channel), self._backend)

    def holds(self, name: str, key: FieldKey, channel: int) -> bool:
        """Tell whether a stack is held."""
        return (name, key, channel) in self._held

    def note(self, name: str, key: FieldKey, channel: int, axis: PlaneAxis) -> None:
        """Note what the planes of an image are, whether it is held or not."""
        self._axes[name, key, channel] = axis

    def axis(self, name: str, key: FieldKey, channel: int) -> PlaneAxis | None:
        """Return what the planes of an image are; ``None`` where there is no such image."""
        return self._axes.get((name, key, channel))

    def drop(self, name: str, keys: Iterable[FieldKey], channels: Iterable[int] | None = None) -> None:
        """Give up the stacks of a step for some fields."""
        wanted, numbers = set(keys), None if channels is None else set(channels)
        gone = {e for e in self._held if e[0] == name and e[1] in wanted and (numbers is None or e[2] in numbers)}
        for entry in gone:
            self._filemanager.delete(self._path(*entry), self._backend)
        self._held -= gone

    def forget(self, key: FieldKey) -> None:
        """Give up all stacks of a field, and that they ever were."""
        for name in {entry[0] for entry in self._held if entry[1] == key}:
            self.drop(name, [key])
        self._axes = {entry: axis for entry, axis in self._axes.items() if entry[1] != key}

    def close(self) -> None:
        """Give up everything."""
        for name, key, channel in sorted(self._held):
            self._filemanager.delete(self._path(name, key, channel), self._backend)
        self._held.clear()

    def _path(self, name: str, key: FieldKey, channel: int) -> str:
        return f"{self._root}/{key.well}/s{key.field:03d}_t{key.timepoint:03d}/{name}/w{channel}"
