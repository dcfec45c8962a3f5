"""Specs as JSON values, as they are stored with a plan: what writes a well needs no function of its pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from wellfield.materialization.spec import MaterializationSpec, Options

_OPTIONS: Mapping[str, type[Any]] = {option.__name__: option for option in get_args(Options)}


def spec_to_json(spec: MaterializationSpec) -> dict[str, Any]:
    """Return a spec as JSON values."""
    options = [
        {"type": type(option).__name__, **{entry.name: getattr(option, entry.name) for entry in fields(option)}}
        for option in spec.options
    ]
    return {"options": options, "primary": spec.primary, "allowed_backends": spec.allowed_backends}


def spec_from_json(data: Mapping[str, Any]) -> MaterializationSpec:
    """Return the spec that :func:`spec_to_json` made into values."""
    options = []
    for stored in data["options"]:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        options.append(_OPTIONS[str(values.pop("type"))](**values))
    allowed = data["allowed_backends"]
    return MaterializationSpec(
        *options, primary=data["primary"], allowed_backends=None if allowed is None else tuple(allowed)
    )
