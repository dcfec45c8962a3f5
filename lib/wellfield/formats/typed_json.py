"""Dataclasses and named tuples as JSON. Their annotations say what is written, and what is expected on reading.

A field ``channels: Mapping[int, str]`` is written as ``{"1": "DAPI"}``, checked with the shape ``{str: str}`` of
:mod:`~wellfield.formats.checked_json`, and read as ``{1: "DAPI"}``. Annotations may use ``str``, ``bool``, ``int``,
``float``, ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``, ``Mapping[K, V]`` and other such classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from wellfield.formats.checked_json import Shape

_T = TypeVar("_T")


def to_json(value: Any) -> Any:
    """Return *value* with objects for dataclasses, named tuples and mappings, and lists for other tuples."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_json(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    return [to_json(part) for part in value] if isinstance(value, tuple | list) else value


@cache
def shape_of(kind: Any) -> Shape:
    """Return the shape that JSON of this type has; a field with a default may be absent."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is NoneType:
        return None
    if origin in (Union, UnionType):
        return tuple(map(shape_of, arguments))
    if origin is tuple:
        return [shape_of(arguments[0])]
    if origin is Mapping:
        return {str: shape_of(arguments[1])}
    if _has_fields(kind):
        optional = _with_default(kind)
        return {f"{name}?" if name in optional else name: shape_of(part) for name, part in _parts(kind).items()}
    return kind


def from_json(kind: type[_T], value: Any) -> _T:
    """Return the object of type *kind* that :func:`to_json` wrote as *value*, which has the shape of the type.

    Raises
    ------
    ValueError
        A list has another length than the tuple, or a key is no number where numbers are expected.
    """
    return cast(_T, _read(kind, value))


def _read(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        [other] = (argument for argument in arguments if argument is not NoneType)
        return None if value is None else _read(other, value)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], part) for part in value)
        if len(value) != len(arguments):
            raise ValueError(f"{value} has {len(value)} entries; expected {len(arguments)}")
        return tuple(map(_read, arguments, value))
    if origin is Mapping:
        return {arguments[0](key): _read(arguments[1], part) for key, part in value.items()}
    if _has_fields(kind):
        return kind(**{name: _read(part, value[name]) for name, part in _parts(kind).items() if name in value})
    return float(value) if kind is float else value


def _has_fields(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_fields"))


@cache
def _parts(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _with_default(kind: Any) -> set[str]:
    if not is_dataclass(kind):
        return set(kind._field_defaults)
    return {one.name for one in fields(kind) if one.default is not MISSING or one.default_factory is not MISSING}
