"""The compiler: checks a whole pipeline against a plate before anything runs, and reports all mistakes together."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wellfield.errors import PipelineError, UnknownFunctionError
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.pipeline.contracts import declared_inputs, declared_outputs
from wellfield.pipeline.functions import resolve_function
from wellfield.pipeline.libraries import choose_function, describe_conversions
from wellfield.pipeline.plan import CompiledStep, Plan, SourceLayers
from wellfield.pipeline.step import PREVIOUS, START, FunctionStep, StackAxis
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.processing.registry import FunctionInfo, ImageKind

MATERIALIZE_TARGETS = ("zarr", "tiff")

# Parameters that a function may have and that the compiler fills in from the plate unless the step sets them.
PLATE_PARAMETERS = ("channel_names", "pixel_size_um")

_RESERVED = (START, PREVIOUS)


def choose_sources(keys: Iterable[PlaneKey], source: str) -> dict[int, SourceLayers]:
    """Return, for each channel of a plate, the planes that a pipeline starts from.

    Parameters
    ----------
    keys:
        All planes of the plate, so that every well gets the same choice.
    source:
        ``"planes"``, ``"projection"`` or ``"planes_or_projection"`` (a projection where a channel has no planes).

    Channels without planes of the wanted sort are left out.
    """
    depth: dict[int, set[int]] = {}
    projections: dict[int, set[Projection]] = {}
    times: dict[tuple[int, Projection], set[int]] = {}
    for key in keys:
        times.setdefault((key.channel, key.projection), set()).add(key.timepoint)
        if key.projection == Projection.NONE:
            depth.setdefault(key.channel, set()).add(key.z)
        else:
            projections.setdefault(key.channel, set()).add(key.projection)
    chosen: dict[int, SourceLayers] = {}
    for channel in sorted({*depth, *projections}):
        if source != "projection" and channel in depth:
            z, best = tuple(sorted(depth[channel])), Projection.NONE
        elif source != "planes" and channel in projections:
            z, best = (), next(p for p in Projection if p in projections[channel])
        else:
            continue
        chosen[channel] = SourceLayers(z, best, tuple(sorted(times[channel, best])))
    return chosen


def compile_pipeline(
    steps: Sequence[FunctionStep],
    *,
    channels: Mapping[int, str],
    sources: Mapping[int, SourceLayers],
    pixel_size_um: float | None = None,
    z_spacing_um: float | None = None,
    on_unreadable: str = "fail",
    on_missing: str = "use_present",
    layout: str = "field",
    zarr: Mapping[str, Any] | None = None,
    tiff: Mapping[str, Any] | None = None,
    memory_type: MemoryType | str | None = None,
    device: DeviceChoice | str = DeviceChoice.CPU,
) -> Plan:
    """Return the plan of a pipeline for a plate with these channels.

    Parameters
    ----------
    layout:
        How images are written that a step does not name formats for: ``"field"``, ``"well"`` and ``"file"`` of the Zarr
        store, or ``"tiff"``. The stores of ``"well"`` and ``"file"`` hold no labels, which are written as TIFF then.
    zarr, tiff:
        Further settings of the Zarr store and of TIFF files.
    memory_type:
        Array library of all steps that name none and whose function has an implementation for it. Without it a step
        stays with the library of its input if its function has an implementation for that.
    device:
        ``"cpu"`` or ``"gpu"``: where steps of other libraries than NumPy run.

    Raises
    ------
    PipelineError
        Every mistake of every step, with the number and name of the step.
    """
    choice = DeviceChoice(device)
    compiler = _Compiler(
        channels=dict(channels),
        sources=dict(sources),
        pixel_size_um=pixel_size_um,
        layout=layout,
        memory_type=memory_type,
        device=choice,
    )
    for number, step in enumerate(steps, start=1):
        compiler.add(number, step)
    compiler.check_outputs()
    if not steps:
        compiler.mistakes.append("the pipeline has no step")
    if compiler.mistakes:
        count = len(compiler.mistakes)
        lines = "".join(f"\n  {mistake}" for mistake in compiler.mistakes)
        raise PipelineError(f"the pipeline has {count} mistake{'s' * (count > 1)}:{lines}")
    return Plan(
        steps=compiler.finished(),
        start_type=compiler.start_type(),
        sources=dict(sources),
        channels=dict(channels),
        pixel_size_um=pixel_size_um,
        z_spacing_um=z_spacing_um,
        on_unreadable=on_unreadable,
        on_missing=on_missing,
        zarr={**(zarr or {}), "chunk_strategy": "field" if layout == "tiff" else layout},
        tiff=dict(tiff or {}),
        device=choice,
    )


class _Compiler:
    """Takes steps one by one and collects their mistakes."""

    def __init__(
        self,
        *,
        channels: dict[int, str],
        sources: dict[int, SourceLayers],
        pixel_size_um: float | None,
        layout: str,
        memory_type: MemoryType | str | None,
        device: DeviceChoice,
    ) -> None:
        self.mistakes: list[str] = []
        self._channels = channels
        self._sources = sources
        self._pixel_size_um = pixel_size_um
        self._layout = layout
        self._memory_type = memory_type
        self._device = device
        self._done: list[CompiledStep] = []
        # step → channel → projection that its planes are of
        self._planes: dict[str, dict[int, Projection]] = {START: {n: s.projection for n, s in sources.items()}}
        self._specials: dict[str, str] = {}
        self._where = ""

    def add(self, number: int, step: FunctionStep) -> None:
        """Check one step against those before it."""
        self._where = f"step {number} ({step.name})"
        if step.name in _RESERVED or step.name in {done.name for done in self._done}:
            self._mistake(f"the name {step.name!r} is taken; give the step another 'name'")
        try:
            info = resolve_function(step.func)
        except UnknownFunctionError as error:
            self._mistake(str(error))
            info = None
        source = self._input(step.input)
        channels = self._resolve_channels(step, source)
        function = None
        if info is not None:
            function = self._function(step, info, source)
            self._check_kind(step, info, source)
            self._check_inputs(step, channels)
            self._check_specials(step, info, channels)
        takes = MemoryType(getattr(function, "input_memory_type", MemoryType.NUMPY))
        before = self._planes.get(source.name if source else START, {})
        made = Projection(info.projection) if info and info.projection else None
        self._planes[step.name] = {number: made or before.get(number, Projection.NONE) for number in channels}
        kind = info.returns if info else ImageKind.INTENSITY
        targets = self._targets(step, kind)
        for target in targets:
            if target not in MATERIALIZE_TARGETS:
                self._mistake(f"materialize: {target!r} is unknown; expected {' or '.join(MATERIALIZE_TARGETS)}")
        self._done.append(
            CompiledStep(
                number=number,
                name=step.name,
                func=step.func if isinstance(step.func, str) else None,
                params=self._params(step, info, channels) if info else {},
                input=source.name if isinstance(source, CompiledStep) else START,
                inputs={name: self._canonical_input(value) for name, value in step.inputs.items()},
                channels=channels,
                stack=step.stack,
                memory_type=takes,
                output_type=MemoryType(getattr(function, "output_memory_type", takes)),
                kind=kind,
                projection=made or Projection.NONE,
                materialize=targets,
                last_use=number,
                function=function,
            )
        )

    def check_outputs(self) -> None:
        """Check what only the whole pipeline shows."""
        images = [s.name for s in self._done if "zarr" in s.materialize and s.kind == ImageKind.INTENSITY]
        if len(images) > 1:
            self.mistakes.append(
                f"steps {', '.join(images)} all write an intensity image to zarr; plate.zarr holds one image per "
                "field: keep one and write the others as tiff"
            )
        labels = [s for s in self._done if "zarr" in s.materialize and s.kind != ImageKind.INTENSITY]
        for step in labels:
            if not images:
                self.mistakes.append(
                    f"step {step.name} writes {step.kind} to zarr, which needs an intensity image there too"
                )
            if len(step.channels) > 1:
                self.mistakes.append(
                    f"step {step.name} writes {step.kind} of channels {list(step.channels)} to zarr; a label image "
                    "there belongs to one channel: name it under 'channels'"
                )
        stored = {
            (step.name, number): projection
            for step in self._done
            if "zarr" in step.materialize
            for number, projection in self._planes[step.name].items()
        }
        if len(set(stored.values())) > 1:
            kinds = ", ".join(
                f"{name} of channel {number}: {'z planes' if p == Projection.NONE else f'{p} projection'}"
                for (name, number), p in stored.items()
            )
            self.mistakes.append(f"plate.zarr holds z planes or one projection, not both ({kinds}); project first")

    def _targets(self, step: FunctionStep, kind: ImageKind) -> tuple[str, ...]:
        """Return the formats that a step's images are written in."""
        if isinstance(step.materialize, bool):
            targets: tuple[str, ...] = (("tiff",) if self._layout == "tiff" else ("zarr",)) if step.materialize else ()
        else:
            targets = step.materialize
        if kind != ImageKind.INTENSITY and self._layout in ("well", "file"):
            targets = tuple("tiff" if target == "zarr" else target for target in targets)
        return tuple(dict.fromkeys(targets))

    def start_type(self) -> MemoryType:
        """Return the memory type that planes are stacked into: that of all steps that read the plate's, or NumPy."""
        types = {step.memory_type for step in self._done if START in (step.input, *step.inputs.values())}
        return types.pop() if len(types) == 1 else MemoryType.NUMPY

    def finished(self) -> tuple[CompiledStep, ...]:
        """Return the steps, each knowing the last one that reads it and what is converted for it."""
        last = {step.name: step.number for step in self._done}
        for step in self._done:
            for name in (step.input, *step.inputs.values()):
                last[name] = step.number
        made = {step.name: (step.output_type, step.kind) for step in self._done}
        made[START] = self.start_type(), ImageKind.INTENSITY
        steps, loaded = [], False
        for step in self._done:
            reads = START in (step.input, *step.inputs.values())
            lines = describe_conversions(step, made, loads_start=reads and not loaded, device=self._device)
            loaded = loaded or reads
            steps.append(replace(step, last_use=last[step.name], conversions=lines))
        return tuple(steps)

    def _mistake(self, text: str) -> None:
        self.mistakes.append(f"{self._where}: {text}")

    def _input(self, name: str) -> CompiledStep | None:
        """Return the step that *name* means; ``None`` for the plate's images and where there is no such step."""
        if name == PREVIOUS:
            return self._done[-1] if self._done else None
        if name == START:
            return None
        found = next((step for step in self._done if step.name == name), None)
        if found is None:
            near = difflib.get_close_matches(name, [step.name for step in self._done], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._mistake(f"no earlier step is named {name!r}{hint}")
        return found

    def _canonical_input(self, name: str) -> str:
        return self._done[-1].name if name == PREVIOUS and self._done else name

    def _resolve_channels(self, step: FunctionStep, source: CompiledStep | None) -> tuple[int, ...]:
        available = source.channels if source else tuple(self._sources)
        if step.channels is None:
            if not available:
                self._mistake("its input has no channel")
            return available
        numbers = []
        for wanted in step.channels:
            number = wanted if isinstance(wanted, int) else self._by_name(wanted)
            if number is None or number not in self._channels:
                known = ", ".join(f"{n} {name}" for n, name in self._channels.items())
                self._mistake(f"the plate has no channel {wanted!r}; it has {known}")
            elif number not in available:
                reason = f"step {source.name!r} has channels {list(available)}" if source else "'source' leaves it out"
                self._mistake(f"channel {wanted!r} is not in its input: {reason}")
            else:
                numbers.append(number)
        return tuple(dict.fromkeys(numbers))

    def _by_name(self, name: str) -> int | None:
        found = [number for number, channel in self._channels.items() if channel == name]
        return found[0] if len(found) == 1 else None

    def _check_kind(self, step: FunctionStep, info: FunctionInfo, source: CompiledStep | None) -> None:
        kind = source.kind if source else ImageKind.INTENSITY
        if kind not in info.accepts:
            wanted = " or ".join(sorted(info.accepts))
            hint = "; threshold the image first (threshold_otsu)" if ImageKind.MASK in info.accepts else ""
            self._mistake(f"{info.name} takes {wanted}, but its input {step.input!r} is {kind}{hint}")

    def _check_inputs(self, step: FunctionStep, channels: tuple[int, ...]) -> None:
        for parameter, name in step.inputs.items():
            given = self._input(name)
            has = given.channels if given else tuple(self._sources)
            if len(has) > 1 and (step.stack == StackAxis.CHANNEL or not set(channels) <= set(has)):
                self._mistake(f"inputs: {parameter} = {name!r} has channels {list(has)}; expected one")

    def _check_specials(self, step: FunctionStep, info: FunctionInfo, channels: tuple[int, ...]) -> None:
        if declared_outputs(info.function) and step.stack == StackAxis.Z and len(channels) > 1:
            self._mistake(
                f"{info.name} returns more than an image and would run once for each of the channels {list(channels)}, "
                "whose results nothing tells apart: name one under 'channels', or say stack: channel"
            )
        for name in declared_inputs(info.function):
            if name not in self._specials:
                self._mistake(f"{info.name} needs the special input {name!r}, which no earlier step makes")
        for name, _ in declared_outputs(info.function):
            if name in self._specials:
                self._mistake(f"the special output {name!r} is already made by step {self._specials[name]!r}")
            self._specials[name] = self._where

    def _function(self, step: FunctionStep, info: FunctionInfo, source: CompiledStep | None) -> Callable[..., Any]:
        """Return the implementation that the step runs; where that is a mistake, the function itself."""
        try:
            return choose_function(
                info,
                wanted=step.memory_type,
                preferred=self._memory_type,
                source=source.output_type if source else None,
                device=self._device,
            )
        except PipelineError as error:
            self._mistake(str(error))
            return info.function

    def _params(self, step: FunctionStep, info: FunctionInfo, channels: tuple[int, ...]) -> dict[str, Any]:
        signature = inspect.signature(info.function).parameters
        named = {p.name: p for p in list(signature.values())[1:] if p.kind is not p.VAR_POSITIONAL}
        open_ended = any(p.kind is p.VAR_KEYWORD for p in named.values())
        known = [name for name, p in named.items() if p.kind is not p.VAR_KEYWORD]
        for name in (*step.params, *step.inputs):
            if name not in known and not open_ended:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self._mistake(f"{info.name} has no parameter {name!r}{hint} It has: {', '.join(known) or 'none'}")
        params = dict(step.params)
        filled = {
            "channel_names": [self._channels[number] for number in channels if number in self._channels],
            "pixel_size_um": self._pixel_size_um,
        }
        params |= {name: filled[name] for name in PLATE_PARAMETERS if name in known and name not in params}
        given = {*params, *step.inputs, *declared_inputs(info.function)}
        for name in known:
            if named[name].default is inspect.Parameter.empty and name not in given:
                self._mistake(f"{info.name} needs the parameter {name!r} (under 'params', or 'inputs' for an image)")
        return params
