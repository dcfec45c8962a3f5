"""Values of other programs' JSON files: whatever is not as expected is one error that names the file and the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wellfield.errors import MetadataError


@dataclass(frozen=True, slots=True)
class Checked:
    """A JSON value with the file that it is from and its place there (``plate.wells[0].path``).

    Every method raises :class:`MetadataError` unless the value is what it is asked for.
    """

    value: Any
    source: str
    place: str = ""

    def get(self, name: str) -> Checked | None:
        """Return an entry of an object; ``None`` where it is absent or null."""
        value = self._as(dict, "an object").get(name)
        return None if value is None else self._below(value, f".{name}" if self.place else name)

    def __getitem__(self, name: str) -> Checked:
        """Return an entry of an object."""
        entry = self.get(name)
        if entry is None:
            raise MetadataError(f"{self.source}: {self.place or 'the file'} has no {name!r}, which it must have")
        return entry

    def entries(self) -> list[tuple[str, Checked]]:
        """Return the names and entries of an object."""
        return [(name, self._below(value, f"[{name!r}]")) for name, value in self._as(dict, "an object").items()]

    def items(self) -> list[Checked]:
        """Return the entries of a list."""
        return [self._below(value, f"[{k}]") for k, value in enumerate(self._as(list, "a list"))]

    def text(self) -> str:
        """Return a text that has letters."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error("a text")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool) and abs(self.value) < 1e300:
            return float(self.value)
        raise self.error("a number")

    def whole(self, least: int = 0) -> int:
        """Return a whole number from *least* on, below 2**63."""
        if isinstance(self.value, int) and not isinstance(self.value, bool) and least <= self.value < 2**63:
            return self.value
        raise self.error(f"a whole number from {least} on")

    def path(self) -> str:
        """Return a relative path that stays in its folder, with ``/`` between its parts."""
        path = self.text()
        if any(part in ("", ".", "..") for part in path.split("/")) or "\\" in path or "\0" in path:
            raise self.error("a path that stays in its folder")
        return path

    def each(self, convert: Callable[[Checked], Any]) -> tuple[Any, ...]:
        """Return the entries of a list, converted."""
        return tuple(convert(item) for item in self.items())

    def error(self, expected: str) -> MetadataError:
        """Return the error that this value is not what was *expected*."""
        found = repr(self.value)
        shown = found if len(found) < 80 else f"{found[:76]}…"
        return MetadataError(f"{self.source}: {self.place or 'the content'} is {shown}; expected {expected}")

    def _as(self, kind: type[Any], expected: str) -> Any:
        if not isinstance(self.value, kind):
            raise self.error(expected)
        return self.value

    def _below(self, value: Any, place: str) -> Checked:
        return Checked(value, self.source, self.place + place)
