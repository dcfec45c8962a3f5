"""The compiled pipeline: everything that a job must know, decided before it runs, and stored as ``plan.json``.

A field of a class here is a field of the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from wellfield.config.settings import Settings, resolve_settings
from wellfield.errors import ConfigError
from wellfield.formats.dataclass_json import NOT_STORED, DataclassJson
from wellfield.materialization.spec import MaterializationSpec
from wellfield.materialization.spec_json import spec_from_json, spec_to_json
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.pipeline.functions import plain_function, resolve_function
from wellfield.pipeline.plan_file import PLAN, PLAN_SCHEMA_VERSION, plan_digest, processing_digest
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.pipeline.step import START, StackAxis
from wellfield.plate.calibration import UNKNOWN, FieldCalibration
from wellfield.plate.keys import Projection
from wellfield.processing.function_registry import ImageKind, get_implementation, is_registered


class PlaneAxis(NamedTuple):
    """What the planes of a stack are: their z numbers, or ``(0,)`` and the projection; and their calibration."""

    z: tuple[int, ...]
    projection: Projection = Projection.NONE
    calibration: FieldCalibration = UNKNOWN


@dataclass(frozen=True)
class CompiledCall:
    """A function with its arguments, as a step calls it.

    Parameters
    ----------
    func:
        Name, ``package.module:function`` or ``file.py:function``; ``None`` for a callable given in Python.
    plate_params:
        Parameters that get facts of the plate when it runs.
    images, specials:
        Parameter → the step whose image it gets; parameter → the special output that it gets.
    outputs:
        Special outputs in return order: name in this pipeline, and spec.
    memory_type, output_type:
        Array library of its input, and of its result.
    returns:
        Kind of pixels of its result.
    projection:
        Projection along z that it makes, or ``Projection.NONE``.
    planewise:
        It is called for each plane.
    """

    func: str | None
    params: Mapping[str, Any] = field(default_factory=dict)
    plate_params: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    specials: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[tuple[str, MaterializationSpec | None], ...] = ()
    memory_type: MemoryType = MemoryType.NUMPY
    output_type: MemoryType = MemoryType.NUMPY
    returns: ImageKind = ImageKind.INTENSITY
    projection: Projection = Projection.NONE
    planewise: bool = False
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False, metadata=NOT_STORED)

    @cached_property
    def call(self) -> Callable[..., Any]:
        """The function itself."""
        if self.function is not None:
            return self.function
        info = resolve_function(str(self.func))
        function = get_implementation(info.name, self.memory_type) if is_registered(info) else info.function
        return (plain_function(info) or function) if self.planewise else function

    @property
    def is_registered(self) -> bool:
        """Tell whether the function is one of the registered ones, which never write to their input."""
        return self.func is not None and ":" not in self.func


@dataclass(frozen=True)
class Branch:
    """The chain of functions that some channels of a step go through."""

    channels: tuple[int, ...]
    calls: tuple[CompiledCall, ...]

    @property
    def projection(self) -> Projection:
        """Projection along z that is made."""
        return next((c.projection for c in self.calls if c.projection != Projection.NONE), Projection.NONE)


@dataclass(frozen=True)
class CompiledStep:
    """A checked step.

    Parameters
    ----------
    number:
        Position in the pipeline, from 1.
    channels:
        Channel numbers the step produces.
    branches:
        Chain of functions for each channel; one branch unless the step treats channels differently.
    per_well, merged:
        The step runs once per well and timepoint, not per field; its result is one image of the whole well.
    materialize:
        Formats that its images are written in: ``"zarr"``, ``"tiff"``, ``"roi"``.
    sub_dir:
        Folder of its TIFF and ROI files.
    last_use:
        Number of the last step that reads its result.
    conversions:
        Conversions between array libraries that the step needs, as text.
    memory_mb:
        Estimate of what a job holds while the step runs: images of this and other steps, and scratch of the function.
    """

    number: int
    name: str
    input: str
    channels: tuple[int, ...]
    stack: StackAxis
    branches: tuple[Branch, ...]
    per_well: bool = False
    merged: bool = False
    materialize: tuple[str, ...] = ()
    sub_dir: str = ""
    last_use: int = 0
    conversions: tuple[str, ...] = ()
    memory_mb: float = 0.0

    @property
    def kind(self) -> ImageKind:
        """Kind of pixels of the result."""
        return self.branches[0].calls[-1].returns

    @property
    def calls(self) -> tuple[CompiledCall, ...]:
        """Every function that the step calls."""
        return tuple(call for branch in self.branches for call in branch.calls)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the steps whose images it reads, ``"start"`` included."""
        return tuple(dict.fromkeys([self.input, *(name for call in self.calls for name in call.images.values())]))

    @property
    def extra_images(self) -> frozenset[str]:
        """Names of the steps whose images it reads besides its input."""
        return frozenset(name for call in self.calls for name in call.images.values())

    def branch(self, channel: int | None) -> Branch:
        """Return the branch of a channel (``None``: all channels together)."""
        return next(branch for branch in self.branches if channel is None or channel in branch.channels)

    def output_type(self, channel: int | None) -> MemoryType:
        """Return the memory type of the result for a channel."""
        return self.branch(channel).calls[-1].output_type


@dataclass(frozen=True)
class SpecialOutput:
    """A side result that some step makes.

    Parameters
    ----------
    by_channel:
        There is one for each channel of the step (of *channels*), not one for all.
    per_well:
        There is one for each well and timepoint, not for each field.
    """

    name: str
    spec: MaterializationSpec | None
    channels: tuple[int, ...]
    by_channel: bool
    per_well: bool


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
        Edge of a pixel and distance of z planes in µm, ``None`` if unknown.
    settings:
        Everything else that was configured.
    start_type:
        Memory type that the plate's planes are stacked into.
    memory_mb:
        Estimate of what a job holds of images at most, in MB.
    work_megapixels:
        Megapixels that the functions get for one field and timepoint, all calls added up.
    """

    steps: tuple[CompiledStep, ...]
    sources: Mapping[int, SourceLayers]
    channels: Mapping[int, str]
    settings: Settings
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    start_type: MemoryType = MemoryType.NUMPY
    memory_mb: float = 0.0
    work_megapixels: float = 0.0

    @property
    def device(self) -> DeviceChoice:
        """Where steps of other libraries than NumPy run."""
        return self.settings.device

    @property
    def libraries(self) -> tuple[MemoryType, ...]:
        """Array libraries of the steps, in the order in which they are opened: OpenCL before TensorFlow."""
        calls = [call for step in self.steps for call in step.calls]
        names = {name for call in calls for name in (call.memory_type, call.output_type)}
        return tuple(sorted(names, key=lambda name: (name != MemoryType.PYCLESPERANTO, name)))

    @property
    def start_channels(self) -> tuple[int, ...]:
        """Channels of the plate that some step starts from."""
        used = {c for step in self.steps if step.input == START for c in step.channels}
        extra = {channel for step in self.steps if START in step.extra_images for channel in step.channels}
        return tuple(sorted(used | {c if c in self.sources else next(iter(self.sources)) for c in extra}))

    @property
    def illuminated_channels(self) -> tuple[int, ...]:
        """Channels whose fitted illumination a function gets."""
        found = {
            channel
            for step in self.steps
            for branch in step.branches
            for channel in branch.channels
            if any("illumination" in call.plate_params for call in branch.calls)
        }
        return tuple(sorted(found))

    @property
    def wants_stage_positions(self) -> bool:
        """Tell whether a function gets the stage positions of fields."""
        return any("stage_positions_um" in call.plate_params for step in self.steps for call in step.calls)

    def step(self, name: str) -> CompiledStep:
        """Return the step *name*."""
        return next(step for step in self.steps if step.name == name)

    def special_outputs(self) -> dict[str, SpecialOutput]:
        """Return the side results of all steps by name."""
        return {output.name: output for step in self.steps for output in special_outputs_of(step)}

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"schema_version": PLAN_SCHEMA_VERSION, **_JSON.encode(self)}

    @classmethod
    def from_json(cls, data: Any, *, source: str | os.PathLike[str]) -> Plan:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        MetadataError
            It is not a plan.
        SchemaVersionError
            The plan was written by another version.
        """
        values = dict(PLAN.check(data, source=source))
        del values["schema_version"]
        with PLAN.parsing(source):
            plan: Plan = _JSON.decode(cls, values)
        return plan

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Plan:
        """Return the plan that a file holds; errors as :meth:`from_json`, and as of every JSON file.

        The wells of a job share one plan: a file that did not change is not read again.
        """
        name = os.fspath(path)
        return _read_plan(name, os.stat(name).st_mtime_ns if os.path.exists(name) else 0)

    def digest(self) -> str:
        """Return a digest of everything in the plan that results depend on."""
        return plan_digest(self.to_json())

    def processing_digest(self) -> str:
        """Return a digest of what the pipeline computes, whatever is written of it and how."""
        return processing_digest(self.to_json())


@lru_cache(maxsize=1)
def _read_plan(path: str, mtime_ns: int) -> Plan:
    return Plan.from_json(PLAN.read(path), source=path)


def special_outputs_of(step: CompiledStep) -> Iterator[SpecialOutput]:
    """Yield the side results of a step; one that several branches make is yielded once, by channel."""
    made: dict[str, tuple[MaterializationSpec | None, tuple[int, ...]]] = {}
    for branch in step.branches:
        for name, spec in (output for call in branch.calls for output in call.outputs):
            made[name] = spec, (*made.get(name, (None, ()))[1], *branch.channels)
    for name, (spec, channels) in made.items():
        by_channel = step.stack != StackAxis.CHANNEL and len(channels) > 1
        yield SpecialOutput(name, spec, channels, by_channel, step.per_well)


def _settings_of(values: Any) -> Settings:
    try:
        return resolve_settings([("settings", values)])
    except ConfigError as error:
        raise ValueError(str(error)) from error


_JSON = DataclassJson({Settings: (Settings.values, _settings_of), MaterializationSpec: (spec_to_json, spec_from_json)})
