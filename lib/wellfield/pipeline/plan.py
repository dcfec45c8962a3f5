"""The compiled pipeline: everything that a job must know, decided before it runs. Stored as ``plan.json``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from wellfield.materialization.spec import MaterializationSpec
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.pipeline.contracts import declared_inputs, declared_outputs
from wellfield.pipeline.functions import resolve_function
from wellfield.pipeline.libraries import in_opening_order
from wellfield.pipeline.step import StackAxis
from wellfield.plate.index import check_schema_version
from wellfield.plate.keys import Projection
from wellfield.processing.registry import ImageKind, get_implementation, is_registered

PLAN_SCHEMA_VERSION = 2


@dataclass(frozen=True)
class SourceLayers:
    """Which planes of a channel the pipeline starts from: z planes, or one projection (*z* is empty then).

    *timepoints* are those that the plate has of the channel; without any, the channel is expected at every time.
    """

    z: tuple[int, ...]
    projection: Projection = Projection.NONE
    timepoints: tuple[int, ...] = ()


class PlaneAxis(NamedTuple):
    """What the planes of a stack are: their z numbers, or ``(0,)`` and the projection."""

    z: tuple[int, ...]
    projection: Projection = Projection.NONE


@dataclass(frozen=True)
class CompiledStep:
    """A checked step.

    Parameters
    ----------
    number:
        Position in the pipeline, from 1.
    func:
        Name or ``package.module:function``; ``None`` for a callable given in Python.
    channels:
        Channel numbers the step produces.
    kind:
        What the pixels of its result are.
    projection:
        Projection along z that the step makes, ``Projection.NONE`` if it makes none.
    materialize:
        Formats that its images are written in: ``"zarr"``, ``"tiff"``.
    last_use:
        Number of the last step that reads its result.
    memory_type, output_type:
        Array library that the function takes, and the one that it returns.
    conversions:
        What is converted before the function runs, and how.
    """

    number: int
    name: str
    func: str | None
    params: Mapping[str, Any]
    input: str
    inputs: Mapping[str, str]
    channels: tuple[int, ...]
    stack: StackAxis
    memory_type: MemoryType
    kind: ImageKind
    projection: Projection
    materialize: tuple[str, ...]
    last_use: int
    output_type: MemoryType = MemoryType.NUMPY
    conversions: tuple[str, ...] = ()
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    @cached_property
    def call(self) -> Callable[..., Any]:
        """The function itself."""
        if self.function is not None:
            return self.function
        info = resolve_function(str(self.func))
        return get_implementation(info.name, self.memory_type) if is_registered(info) else info.function

    @property
    def is_registered(self) -> bool:
        """Tell whether the function is one of the registered ones, which never write to their input."""
        return self.func is not None and ":" not in self.func

    @property
    def special_outputs(self) -> tuple[tuple[str, MaterializationSpec | None], ...]:
        """Side results by name, in the order in which the function returns them."""
        return declared_outputs(self.call)

    @property
    def special_inputs(self) -> tuple[str, ...]:
        """Names of the side results that the function takes."""
        return declared_inputs(self.call)


@dataclass(frozen=True)
class Plan:
    """A compiled pipeline for one plate.

    Parameters
    ----------
    steps:
        The steps in order.
    sources:
        Channel number → planes that the pipeline starts from.
    channels:
        Channel number → name.
    pixel_size_um, z_spacing_um:
        Calibration of the plate, ``None`` where unknown.
    zarr, tiff:
        Settings of the Zarr store and of TIFF files.
    on_unreadable, on_missing:
        What happens to a field with a plane that cannot be read, or that is not there.
    device:
        Where steps of other libraries than NumPy run.
    start_type:
        Memory type that the plate's planes are stacked into.
    """

    steps: tuple[CompiledStep, ...]
    sources: Mapping[int, SourceLayers]
    channels: Mapping[int, str]
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    on_unreadable: str = "fail"
    on_missing: str = "use_present"
    zarr: Mapping[str, Any] = field(default_factory=dict)
    tiff: Mapping[str, Any] = field(default_factory=dict)
    device: DeviceChoice = DeviceChoice.CPU
    start_type: MemoryType = MemoryType.NUMPY

    @property
    def libraries(self) -> tuple[MemoryType, ...]:
        """Array libraries of the steps, in the order in which they are opened: OpenCL before TensorFlow."""
        return in_opening_order([name for step in self.steps for name in (step.memory_type, step.output_type)])

    @property
    def start_channels(self) -> tuple[int, ...]:
        """Channels of the plate that some step starts from."""
        used = {c for step in self.steps if step.input == "start" for c in step.channels}
        named = any("start" in step.inputs.values() for step in self.steps)
        return tuple(sorted(self.sources if named else used))

    def step(self, name: str) -> CompiledStep:
        """Return the step *name*."""
        return next(step for step in self.steps if step.name == name)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        steps = []
        for step in self.steps:
            entry = asdict(replace(step, function=None))
            del entry["function"]
            entry["special_outputs"] = [name for name, _ in step.special_outputs]
            steps.append(entry)
        values = {name: value for name, value in self.__dict__.items() if name not in ("steps", "sources", "channels")}
        return {
            "schema_version": PLAN_SCHEMA_VERSION,
            **values,
            "channels": {str(number): name for number, name in self.channels.items()},
            "sources": {str(number): asdict(layers) for number, layers in self.sources.items()},
            "steps": steps,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, source: str | os.PathLike[str]) -> Plan:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        SchemaVersionError
            The plan was written by another version.
        """
        values = dict(data)
        check_schema_version(values.pop("schema_version", None), PLAN_SCHEMA_VERSION, source=os.fspath(source))
        steps = []
        for stored in values.pop("steps"):
            entry = {key: value for key, value in stored.items() if key != "special_outputs"}
            entry |= {"channels": tuple(entry["channels"]), "materialize": tuple(entry["materialize"])}
            entry |= {"stack": StackAxis(entry["stack"]), "kind": ImageKind(entry["kind"])}
            entry |= {name: MemoryType(entry[name]) for name in ("memory_type", "output_type")}
            entry["conversions"] = tuple(entry["conversions"])
            steps.append(CompiledStep(**(entry | {"projection": Projection(entry["projection"])})))
        sources = {
            int(number): SourceLayers(tuple(layers["z"]), Projection(layers["projection"]), tuple(layers["timepoints"]))
            for number, layers in values.pop("sources").items()
        }
        channels = {int(number): name for number, name in values.pop("channels").items()}
        values |= {"device": DeviceChoice(values["device"]), "start_type": MemoryType(values["start_type"])}
        return cls(steps=tuple(steps), sources=sources, channels=channels, **values)

    def digest(self) -> str:
        """Return a digest of the plan's content."""
        text = json.dumps(self.to_json(), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
