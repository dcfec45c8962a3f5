"""Declaring a setting: one field of a frozen dataclass with its type, default, limits and meaning.

Example: ``level: int = setting(1, "Level of the codec.", ge=0, le=9)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints


def setting(default: Any, description: str, **limits: Any) -> Any:
    """Return the field of a setting; *limits* are ``ge`` and ``le`` of a number, ``pattern`` of a text."""
    return field(default=default, metadata={"default": default, "description": description, **limits})


def inherited(default: Any, description: str = "", **limits: Any) -> Any:
    """Return the field of a setting, or of a group of them, that inherits while it is ``None``, at last *default*."""
    return field(default=None, metadata={"default": default, "description": description, **limits})


@dataclass(frozen=True, slots=True)
class Setting:
    """What is declared of a setting.

    *kind* is the type of its values and *choices* are all of them; ``None`` for numbers and texts, which have *limits*.
    """

    kind: Any
    choices: tuple[Any, ...] | None
    default: Any
    description: str
    limits: Mapping[str, Any]

    def checked(self, value: Any) -> Any:
        """Return a value as its kind: the text of an enum member as the member.

        Raises
        ------
        ValueError
            It is not allowed; the message says what is.
        """
        if self.choices is not None:
            found = next((choice for choice in self.choices if choice == value), None)
            if found is None:
                raise ValueError(f"one of {', '.join(self.choices)}")
            return found
        least, most = self.limits.get("ge", value), self.limits.get("le", value)
        if type(value) is not self.kind or not least <= value <= most:
            raise ValueError(f"a number from {least} to {most}" if self.kind is int else "a text")
        return value


def declared(group: type[Any], defaults: Any = None) -> dict[str, Any]:
    """Return the settings of a dataclass by name: a :class:`Setting`, or a dictionary of them for a group such as vfs.

    *defaults* is an instance with other defaults than those of the class.
    """
    annotations = get_type_hints(group)
    found: dict[str, Any] = {}
    for entry in fields(group):
        kind, facts = annotations[entry.name], dict(entry.metadata)
        default = facts.pop("default", None)
        if is_dataclass(kind):
            found[entry.name] = declared(kind, default)  # type: ignore[arg-type]
            continue
        if type(None) in get_args(kind):
            [kind] = [other for other in get_args(kind) if other is not type(None)]
        choices = get_args(kind) or (tuple(kind) if issubclass(kind, StrEnum) else None)
        default = default if defaults is None else getattr(defaults, entry.name)
        found[entry.name] = Setting(kind, choices, default, facts.pop("description"), facts)
    return found
