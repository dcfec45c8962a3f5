"""Dataclasses as JSON values, by the annotations of their fields: what a file holds is declared once.

Example: a field ``z: tuple[int, ...]`` is a list of whole numbers in the file, and anything else there is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from wellfield.formats.checked_json import shape_problem

# Metadata of a field that no file holds.
NOT_STORED = {"stored": False}

_ARRAY = "array"


class DataclassJson:
    """Makes JSON values of dataclasses and back.

    Fields may be texts, numbers, members of a ``StrEnum``, ``tuple``, ``Mapping``, other such dataclasses, or ``None``
    beside one of these. A field of type ``Any`` holds JSON values or a NumPy array.

    Parameters
    ----------
    special:
        Class → how its objects become JSON values, and back.
    """

    def __init__(self, special: Mapping[type[Any], tuple[Callable[[Any], Any], Callable[[Any], Any]]]) -> None:
        self._special = special

    def encode(self, value: Any) -> Any:
        """Return an object as JSON values."""
        if type(value) in self._special:
            return self._special[type(value)][0](value)
        if is_dataclass(kind := type(value)):
            return {name: self.encode(getattr(value, name)) for name in _stored_fields(kind)}
        if isinstance(value, Mapping):
            return {str(key): self.encode(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.encode(item) for item in value]
        if isinstance(value, np.ndarray):
            return {_ARRAY: value.tolist(), "dtype": value.dtype.name}
        return value.item() if isinstance(value, np.generic) else value

    def decode(self, kind: Any, data: Any, place: str = "") -> Any:
        """Return the object of a type that :meth:`encode` made into JSON values.

        Raises
        ------
        ValueError
            A value is not of its type; the message says where.
        """
        if NoneType in get_args(kind):
            [one] = [other for other in get_args(kind) if other is not NoneType]
            return None if data is None else self.decode(one, data, place)
        if kind in self._special:
            return self._special[kind][1](data)
        if kind is Any:
            is_array = isinstance(data, Mapping) and _ARRAY in data
            return np.array(data[_ARRAY], data["dtype"]) if is_array else data
        if get_args(kind):
            return self._decode_items(kind, data, place)
        if is_dataclass(kind):
            return self._decode_fields(kind, data, place)
        _check(data, str if issubclass(kind, StrEnum) else kind, place)
        return kind(data)

    def _decode_items(self, kind: Any, data: Any, place: str) -> Any:
        inner = get_args(kind)
        if get_origin(kind) is not tuple:
            _check(data, dict, place)
            return {inner[0](key): self.decode(inner[1], entry, f"{place}.{key}") for key, entry in data.items()}
        _check(data, list, place)
        kinds = [inner[0]] * len(data) if Ellipsis in inner else inner
        if len(kinds) != len(data):
            raise ValueError(f"{place} has {len(data)} entries; expected {len(kinds)}")
        pairs = enumerate(zip(kinds, data, strict=True))
        return tuple(self.decode(one, item, f"{place}[{number}]") for number, (one, item) in pairs)

    def _decode_fields(self, kind: Any, data: Any, place: str) -> Any:
        _check(data, dict, place)
        known = _stored_fields(kind)
        if problems := [f"has no {name!r}" for name in known if name not in data]:
            raise ValueError(f"{place or 'the content'} {problems[0]}")
        if unknown := [name for name in data if name not in known]:
            raise ValueError(f"{place or 'the content'} has {unknown[0]!r}, which is not known")
        prefix = f"{place}." if place else ""
        return kind(**{name: self.decode(one, data[name], f"{prefix}{name}") for name, one in known.items()})


@cache
def _stored_fields(kind: Any) -> dict[str, Any]:
    """Return the fields that a file holds, with their types."""
    types = get_type_hints(kind)
    return {entry.name: types[entry.name] for entry in fields(kind) if entry.metadata.get("stored", True)}


def _check(data: Any, kind: type[Any], place: str) -> None:
    if problem := shape_problem(data, {} if kind is dict else kind, place):
        raise ValueError(problem)
