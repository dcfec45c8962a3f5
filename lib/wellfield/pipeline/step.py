"""One step of a pipeline, as it is written down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from wellfield.errors import ConfigError

START = "start"
PREVIOUS = "previous"


class StackAxis(StrEnum):
    """What the first axis of the stack that a function gets runs over."""

    Z = "z"
    CHANNEL = "channel"


class FunctionStep:
    """A function, what it is applied to and what of its result is kept.

    Parameters
    ----------
    func:
        A registered name, ``"package.module:function"`` or a callable.
    name:
        Name by which later steps and results refer to the step; that of the function by default.
    input:
        ``"previous"`` (the step before), ``"start"`` (the plate's images) or the name of an earlier step.
    inputs:
        Further images: parameter of the function → name of an earlier step (or ``"start"``).
    channels:
        Channels by number or name; all that the input has by default.
    stack:
        ``"z"``: the function is called once per channel with the channel's planes. ``"channel"``: once, with one plane
        per channel.
    memory_type:
        Array library to run on; ``None`` for the function's own.
    materialize:
        Whether the resulting images are written, in the layout of the configuration; a list names the formats instead:
        ``"zarr"``, ``"tiff"``.
    **params:
        Arguments of the function.
    """

    def __init__(
        self,
        func: str | Callable[..., Any],
        *,
        name: str | None = None,
        input: str = PREVIOUS,
        inputs: Mapping[str, str] | None = None,
        channels: Sequence[int | str] | None = None,
        stack: StackAxis | str = StackAxis.Z,
        memory_type: str | None = None,
        materialize: bool | Sequence[str] = False,
        **params: Any,
    ) -> None:
        self.func = func
        self.name = name or _default_name(func)
        self.input = input
        self.inputs = dict(inputs or {})
        self.channels = None if channels is None else list(channels)
        self.stack = StackAxis(stack)
        self.memory_type = memory_type
        self.materialize = materialize if isinstance(materialize, bool) else tuple(materialize)
        self.params = dict(params)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> FunctionStep:
        """Make a step from its YAML form, in which the arguments of the function are under ``params``."""
        settings = {key: value for key, value in entry.items() if key not in ("func", "params") and value is not None}
        params = dict(entry.get("params") or {})
        if clash := sorted(set(settings) & set(params)):
            raise ConfigError(f"step {entry.get('name')!r}: params repeat keys of the step itself: {', '.join(clash)}")
        return cls(entry["func"], **settings, **params)

    def __repr__(self) -> str:
        return f"FunctionStep({self.func!r}, name={self.name!r})"


def _default_name(func: str | Callable[..., Any]) -> str:
    return func.rsplit(":", 1)[-1].rsplit(".", 1)[-1] if isinstance(func, str) else getattr(func, "__name__", "step")


def load_steps(path: str | os.PathLike[str]) -> list[FunctionStep]:
    """Return the steps of a YAML file that has them under the key ``steps``.

    Raises
    ------
    ConfigError
        The file is no such YAML, or a key is unknown.
    """
    import yaml

    from wellfield.config.load import validate_steps

    data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or set(data) != {"steps"}:
        raise ConfigError(f"{os.fspath(path)}: expected one key 'steps' with a list")
    return [FunctionStep.from_dict(entry) for entry in validate_steps(data["steps"], source=os.fspath(path))]
