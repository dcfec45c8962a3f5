"""Reading and checking the configuration; every error names the key, the value and what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from wellfield.config.models import Config, StepConfig
from wellfield.errors import ConfigError
from wellfield.formatting import suggest

# What the Snakefile names as its configuration, in the working directory.
WORKFLOW_CONFIG = "config/config.yaml"


def load_config(data: Mapping[str, Any], *, source: str = "config") -> Config:
    """Return the checked configuration.

    Raises
    ------
    ConfigError
        Lists every key that is unknown, missing or has a value that is not allowed.
    """
    try:
        return Config.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(_explain(error, Config, data, source)) from None


def read_config(path: str | os.PathLike[str]) -> Config:
    """Return the checked configuration of a YAML file, as ``snakemake --configfile`` sees it.

    The file may hold the keys that differ alone: it is merged with ``config/config.yaml`` of the working directory.
    """
    data: dict[str, Any] = {}
    if os.path.exists(WORKFLOW_CONFIG) and not os.path.samefile(WORKFLOW_CONFIG, path):
        data = _read_yaml(WORKFLOW_CONFIG)
    merge_config(data, _read_yaml(path))
    return load_config(data, source=os.fspath(path))


def _read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    import yaml  # Snakemake has read the file for its jobs

    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{os.fspath(path)} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{os.fspath(path)}: expected keys and values, found {type(data).__name__}")
    return data


def merge_config(config: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put *changes* into *config* as Snakemake does with ``--configfile``: blocks key by key, anything else whole."""
    for key, value in changes.items():
        inner = config.get(key)
        if isinstance(value, Mapping):
            config[key] = inner if isinstance(inner, dict) else {}
            merge_config(config[key], value)
        else:
            config[key] = value


def taken_for_configuration(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return a hint where results are among the configuration files: Snakemake takes every word after --configfile."""
    others = [os.fspath(file) for file in files if Path(file).suffix not in (".yaml", ".yml")]
    return [
        f"Snakemake took {os.path.relpath(file)} for a configuration, as it does with every word after --configfile. "
        "Write targets first: snakemake --cores 2 TARGET --configfile FILE"
        for file in others
    ]


def validate_steps(entries: Any, *, source: str) -> list[dict[str, Any]]:
    """Return steps given as YAML values, checked and with their defaults."""
    if not isinstance(entries, list):
        raise ConfigError(f"{source}: steps: expected a list, found {type(entries).__name__}")
    steps = []
    for number, entry in enumerate(entries, start=1):
        try:
            steps.append(StepConfig.model_validate(entry).model_dump())
        except ValidationError as error:
            raise ConfigError(_explain(error, StepConfig, entry, f"{source}, step {number}")) from None
    return steps


def _explain(error: ValidationError, model: type[BaseModel], data: Any, source: str) -> str:
    lines = []
    for problem in error.errors():
        # A union of types adds the tried type as last part of the place; the key itself is what helps.
        place = [part for part in problem["loc"] if isinstance(part, int) or not _is_type_name(part)]
        lines.append(f"  {_key(place)}: {_reason(problem, place, model)}")
    return f"{source} is not valid:\n" + "\n".join(dict.fromkeys(lines))


def _is_type_name(part: str | int) -> bool:
    return part in ("int", "str", "bool", "float") or (isinstance(part, str) and part.endswith("]"))


def _key(place: Sequence[str | int]) -> str:
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the whole file"


def _reason(problem: Any, place: Sequence[str | int], model: type[BaseModel]) -> str:
    if problem["type"] == "extra_forbidden":
        known = list(_fields_at(model, place[:-1]))
        return f"unknown key{suggest(str(place[-1]), known) or '.'} Known: {', '.join(known)}"
    if problem["type"] == "missing":
        return "this key is missing"
    return f"{problem['msg'].removeprefix('Value error, ')}; found {problem['input']!r}"


def _fields_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """Return the keys that are known at a place of the configuration."""
    current: Any = model
    for part in place:
        if part not in getattr(current, "model_fields", {}):  # a place in a list, or a name in a mapping
            continue
        annotation = current.model_fields[part].annotation
        inner = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        current = inner[0] if inner else annotation
    return list(getattr(current, "model_fields", {}))
