"""Specs as JSON values, as a plan stores them: the job that writes a well needs no function of its pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from wellfield.materialization.output_types import OUTPUT_TYPES, OutputType
from wellfield.materialization.spec import MaterializationSpec


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
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        make: Callable[..., OutputType] = OUTPUT_TYPES[values.pop("type")]
        options.append(make(**values))
    allowed = data["allowed_backends"]
    return MaterializationSpec(
        *options, primary=data["primary"], allowed_backends=None if allowed is None else tuple(allowed)
    )
