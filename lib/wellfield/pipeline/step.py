"""One step of a pipeline, as it is written down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from wellfield.config.settings import StepMaterializationConfig
from wellfield.errors import ConfigError
from wellfield.processing.function_registry import ImageKind

START = "start"
PREVIOUS = "previous"


class StackAxis(StrEnum):
    """What the first axis of the stack that a function gets runs over."""

    Z = "z"
    FIELD = "field"
    CHANNEL = "channel"


@dataclass(frozen=True)
class FunctionCall:
    """A function and its arguments."""

    func: str | Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)


class FunctionStep:
    """A function, what it is applied to and what of its result is kept.

    Parameters
    ----------
    func:
        A registered name, ``"package.module:function"``, ``"path/to/file.py:function"`` or a callable; with arguments
        of its own as ``(function, {"sigma": 2})``. A list of these is a chain: each gets the result of the one before.
        A dictionary of channel (number or name) to any of these treats channels differently.
    name:
        Name by which later steps and results refer to the step; that of the (last) function by default.
    input:
        ``"previous"`` (the step before), ``"start"`` (the plate's images) or the name of an earlier step.
    inputs:
        Further images: parameter of the function → name of an earlier step (or ``"start"``). For a special input of the
        function: the name of the special output that it gets, where that differs from the parameter's.
    outputs:
        Other names for the function's special outputs: declared name → name in this pipeline.
    channels:
        Channels by number or name; all that the input has by default.
    stack:
        ``"z"``: the function is called once per field and channel with its planes. ``"channel"``: once per field, with
        one plane per channel. ``"field"``: once per channel, with one plane per field of the well.
    planewise:
        The function takes a plane ``[Y, X]`` and is called for each plane of the stack. So are functions that are not
        registered when they get a 2-D *footprint*.
    returns:
        What the pixels are that a function which is not registered returns: ``"intensity"`` by default, ``"mask"`` or
        ``"labels"``.
    memory_type:
        Array library to run on; by default as the configuration says.
    materialize:
        Whether the resulting images are written, to the backend of the configuration; a list names formats instead:
        ``"zarr"``, ``"tiff"``, and ``"roi"`` for labels.
    step_materialization_config:
        How they are written.
    **params:
        Arguments of the function.
    """

    def __init__(
        self,
        func: Any,
        *,
        name: str | None = None,
        input: str = PREVIOUS,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
        channels: Sequence[int | str] | None = None,
        stack: StackAxis | str = StackAxis.Z,
        planewise: bool = False,
        returns: ImageKind | str | None = None,
        memory_type: str | None = None,
        materialize: bool | Sequence[str] = False,
        step_materialization_config: StepMaterializationConfig | None = None,
        **params: Any,
    ) -> None:
        self.func = func
        self.name = name or _default_name(func)
        self.input = input
        self.inputs = dict(inputs or {})
        self.outputs = dict(outputs or {})
        self.channels = None if channels is None else list(channels)
        self.stack = StackAxis(stack)
        self.planewise = planewise
        self.returns = None if returns is None else ImageKind(returns)
        self.memory_type = memory_type
        self.materialize = materialize if isinstance(materialize, bool) else tuple(materialize)
        self.step_materialization_config = step_materialization_config or StepMaterializationConfig()
        self.params = dict(params)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> FunctionStep:
        """Make a step from its YAML form, in which the arguments of the function are under ``params``."""
        apart = ("func", "params", "sub_dir")
        settings = {key: value for key, value in entry.items() if key not in apart and value is not None}
        config = StepMaterializationConfig(sub_dir=entry.get("sub_dir"))
        step = cls(entry["func"], step_materialization_config=config, **settings)
        step.params = dict(entry.get("params") or {})  # which may have any name
        return step

    def branches(self) -> list[tuple[int | str | None, list[FunctionCall]]]:
        """Return the chain of functions for each channel that the step names, or one under ``None`` for all channels.

        Raises
        ------
        ConfigError
            ``func`` has an unknown form, or the step has ``params`` for several functions.
        """
        per_channel = isinstance(self.func, Mapping) and "func" not in self.func
        chains = {key: _chain(value) for key, value in self.func.items()} if per_channel else {None: _chain(self.func)}
        if not chains:
            raise ConfigError("func names no channel; expected channel: function")
        if not self.params:
            return list(chains.items())
        if per_channel or len(chains[None]) > 1:
            raise ConfigError("params for several functions; give each function its own: {func: name, params: {…}}")
        [call] = chains[None]
        return [(None, [FunctionCall(call.func, {**call.params, **self.params})])]

    def __repr__(self) -> str:
        return f"FunctionStep({self.func!r}, name={self.name!r})"


def _chain(value: Any) -> list[FunctionCall]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ConfigError("func is an empty list; expected at least one function")
    return [_call(item) for item in items]


def _call(item: Any) -> FunctionCall:
    if isinstance(item, tuple) and len(item) == 2:
        func, params = item
    elif isinstance(item, Mapping) and set(item) <= {"func", "params"} and "func" in item:
        func, params = item["func"], item.get("params") or {}
    else:
        func, params = item, {}
    if not (isinstance(func, str) or callable(func)) or not isinstance(params, Mapping):
        raise ConfigError(
            f"func: {item!r} is not a function; expected a name, package.module:function, file.py:function, a list of "
            "these or channel: function"
        )
    return FunctionCall(func, dict(params))


def _default_name(func: Any) -> str:
    if isinstance(func, list) and func:
        return _default_name(func[-1])
    if isinstance(func, tuple) and func:
        return _default_name(func[0])
    if isinstance(func, Mapping):
        return _default_name(func.get("func") or next(iter(func.values()), "step"))
    found = func.rsplit(":", 1)[-1].rsplit(".", 1)[-1] if isinstance(func, str) else getattr(func, "__name__", "step")
    return found if found.isidentifier() else "step"  # a lambda has no name


def load_steps(path: str | os.PathLike[str]) -> list[FunctionStep]:
    """Return the steps of a YAML file that has them under the key ``steps``.

    Raises
    ------
    ConfigError
        The file is not YAML of this form, or a key is unknown.
    """
    # Jobs of wells read no YAML and check no configuration.
    import yaml

    from wellfield.config.load import validate_steps

    data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or set(data) != {"steps"}:
        raise ConfigError(f"{os.fspath(path)}: expected one key 'steps' with a list")
    return [FunctionStep.from_dict(entry) for entry in validate_steps(data["steps"], source=os.fspath(path))]
