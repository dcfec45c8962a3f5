"""Compiling step by step: each is checked against the plate and the steps before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wellfield.config.settings import Settings
from wellfield.errors import ConfigError, PipelineError, UnknownFunctionError
from wellfield.formatting import suggest
from wellfield.memory import MemoryType
from wellfield.pipeline.array_placement import choose_function
from wellfield.pipeline.functions import plain_function, resolve_function
from wellfield.pipeline.parameters import (
    PLATE_PARAMETERS,
    check_parameters,
    has_flat_footprint,
    parameter_names,
    suggest_and_list,
)
from wellfield.pipeline.plan import (
    Branch,
    CompiledCall,
    CompiledStep,
    SpecialOutput,
    special_outputs_of,
)
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.pipeline.step import PREVIOUS, START, FunctionCall, FunctionStep, StackAxis
from wellfield.plate.keys import Projection
from wellfield.processing.declarations import check_output_name, declared_inputs, declared_outputs
from wellfield.processing.function_registry import FunctionInfo, ImageKind, is_registered
from wellfield.storage.backend import Backend, ZarrChunkStrategy

MATERIALIZE_TARGETS = ("zarr", "tiff", "roi")

_RESERVED = (START, PREVIOUS)

# What a registered function takes under these names.
_KIND_OF_PARAMETER = dict.fromkeys(("labels", "nuclei", "cells", "cytoplasm"), ImageKind.LABELS)


@dataclass
class StepCompiler:
    """Takes steps one by one and collects their mistakes.

    Parameters
    ----------
    channels, sources:
        Of the plate, by number.
    settings:
        Resolved settings.
    done:
        The steps so far.
    planes:
        Step → channel → projection that its planes are of.
    depths:
        Step → channel → number of its planes, ``None`` where a function that is not registered decides.
    """

    channels: dict[int, str]
    sources: dict[int, SourceLayers]
    settings: Settings
    stage_y_up: bool = False
    label_channels: tuple[int, ...] = ()
    mistakes: list[str] = field(default_factory=list)
    done: list[CompiledStep] = field(default_factory=list)
    planes: dict[str, dict[int, Projection]] = field(default_factory=dict)
    depths: dict[str, dict[int, int | None]] = field(default_factory=dict)
    _specials: dict[str, tuple[SpecialOutput, str]] = field(default_factory=dict)
    _unclear: set[str] = field(default_factory=set)  # steps whose kind of image a mistake hides
    _where: str = ""
    _source: CompiledStep | None = None  # of the step that is being compiled, None for the plate's images
    _infos: list[FunctionInfo] = field(default_factory=list)  # its functions

    def __post_init__(self) -> None:
        self.planes[START] = {number: layers.projection for number, layers in self.sources.items()}
        self.depths[START] = {number: max(len(layers.z), 1) for number, layers in self.sources.items()}

    def add(self, number: int, step: FunctionStep) -> None:
        """Check one step against those before it."""
        self._where = f"step {number} ({step.name})"
        if step.name in _RESERVED or step.name in {done.name for done in self.done}:
            self._mistake(f"the name {step.name!r} is taken; give the step another 'name'")
        self._source = source = self._input(step.input)
        self._infos = []
        branches = [Branch(channels, self._calls(step, channels, chain)) for channels, chain in self._chains(step)]
        calls = [call for branch in branches for call in branch.calls]
        self._check_names_are_taken(step, calls)
        self._check_stack(step)
        merges = any(info.merges_fields for info in self._infos)
        before = self.planes.get(source.name if source else START, {})
        channels = tuple(channel for branch in branches for channel in branch.channels)
        self.planes[step.name] = {
            channel: branch.projection if branch.projection != Projection.NONE else before.get(channel, Projection.NONE)
            for branch in branches
            for channel in branch.channels
        }
        self._check_depth(step, branches)
        merged = merges or bool(source and source.merged)
        compiled = CompiledStep(
            number=number,
            name=step.name,
            input=source.name if source else START,
            channels=channels,
            stack=step.stack,
            branches=tuple(branches),
            per_well=merged or step.stack == StackAxis.FIELD,
            merged=merged,
            sub_dir=self._sub_dir(step),
            last_use=number,
        )
        if len({branch.calls[-1].returns for branch in branches}) > 1:
            self._mistake("its channels become images of different kinds; make steps of their own of them")
        self._add_specials(step, compiled)
        self.done.append(self._with_targets(step, compiled))

    def _mistake(self, text: str) -> None:
        self.mistakes.append(f"{self._where}: {text}")

    # --- inputs and channels -------------------------------------------------------------------------------------

    def _is_known(self, name: str) -> bool:
        return name in (START, PREVIOUS) or any(step.name == name for step in self.done)

    def _input(self, name: str) -> CompiledStep | None:
        """Return the step that *name* means; ``None`` for the plate's images and where there is no such step."""
        if name == PREVIOUS:
            return self.done[-1] if self.done else None
        if name == START:
            return None
        found = next((step for step in self.done if step.name == name), None)
        if found is None:
            self._mistake(f"no earlier step is named {name!r}{suggest(name, [step.name for step in self.done])}")
        return found

    def _chains(self, step: FunctionStep) -> list[tuple[tuple[int, ...], list[FunctionCall]]]:
        """Return the chain of functions of each channel."""
        try:
            chains = step.branches()
        except ConfigError as error:
            self._mistake(str(error))
            chains = []
        if not chains or chains[0][0] is None:
            chain = chains[0][1] if chains else []
            return [(self._resolve_channels(step.channels), chain)]
        if step.channels is not None:
            self._mistake("func names the channels already; leave 'channels' out")
        if step.stack == StackAxis.CHANNEL:
            self._mistake("with stack: channel all channels go through one function; func cannot tell them apart")
        resolved = [(self._resolve_channels([channel]), chain) for channel, chain in chains if channel is not None]
        numbers = [number for found, _ in resolved for number in found]
        if len(set(numbers)) < len(numbers):
            self._mistake("func names a channel twice")
        return [entry for entry in resolved if entry[0]] or [((), [])]

    def _resolve_channels(self, wanted_channels: Sequence[int | str] | None) -> tuple[int, ...]:
        source = self._source
        available = source.channels if source else tuple(self.sources)
        if wanted_channels is None:
            if source is None:
                available = tuple(number for number in available if number not in self.label_channels)
            if not available:
                self._mistake("its input has no channel")
            return available
        numbers = []
        for wanted in wanted_channels:
            number = wanted if isinstance(wanted, int) else self._by_name(wanted)
            if number is None or number not in self.channels:
                known = ", ".join(f"{n} {name}" for n, name in self.channels.items())
                self._mistake(f"the plate has no channel {wanted!r}; it has {known}")
            elif number not in available:
                reason = f"step {source.name!r} has channels {list(available)}" if source else "'source' leaves it out"
                self._mistake(f"channel {wanted!r} is not in its input: {reason}")
            else:
                numbers.append(number)
        return tuple(dict.fromkeys(numbers))

    def _by_name(self, name: str) -> int | None:
        found = [number for number, channel in self.channels.items() if channel == name]
        return found[0] if len(found) == 1 else None

    # --- functions -----------------------------------------------------------------------------------------------

    def _calls(
        self, step: FunctionStep, channels: tuple[int, ...], chain: Sequence[FunctionCall]
    ) -> tuple[CompiledCall, ...]:
        """Compile the functions that some channels go through, one after the other."""
        source = self._source
        kind: ImageKind | None = source.kind if source else self._kind_of_plate(channels)
        if (source and source.name in self._unclear) or not self._is_known(step.input):
            kind = None
        library = source.output_type(channels[0]) if source and channels else None
        calls = []
        for call in chain:
            compiled, kind = self._call(step, call, channels, kind, library, is_last=call is chain[-1])
            library = compiled.output_type
            calls.append(compiled)
        if kind is None or not calls:
            self._unclear.add(step.name)
        return tuple(calls) or (CompiledCall(func=None),)

    def _kind_of_plate(self, channels: Sequence[int]) -> ImageKind:
        """Return what the plate's images of some channels are."""
        labels = [number for number in channels if number in self.label_channels]
        if labels and len(labels) < len(channels):
            self._mistake(f"channels {labels} hold labels and the others intensities; make steps of their own of them")
        return ImageKind.LABELS if labels else ImageKind.INTENSITY

    def _call(
        self,
        step: FunctionStep,
        call: FunctionCall,
        channels: tuple[int, ...],
        kind: ImageKind | None,
        library: MemoryType | None,
        *,
        is_last: bool,
    ) -> tuple[CompiledCall, ImageKind | None]:
        """Compile one function; return it with the kind of its result, ``None`` where that is unclear."""
        func = call.func if isinstance(call.func, str) else None
        try:
            info = resolve_function(call.func)
        except UnknownFunctionError as error:
            self._mistake(str(error))
            return CompiledCall(func), step.returns if is_last else None
        self._infos.append(info)
        if kind is not None and kind not in info.accepts:
            wanted = " or ".join(sorted(info.accepts))
            hint = "; threshold the image first (threshold_otsu)" if ImageKind.MASK in info.accepts else ""
            self._mistake(f"{info.name} takes {wanted}, but its input {step.input!r} is {kind}{hint}")
        returns = self._returns(step, info, kind) if is_last else info.returns or kind
        known, open_ended = parameter_names(info.function)
        specials = {name: step.inputs.get(name, name) for name in declared_inputs(info.function)}
        given = {p: name for p, name in step.inputs.items() if p not in specials and (p in known or open_ended)}
        params = self._plate_params(call, known, taken={*given, *specials}, kind=kind)
        plate_params = [p for p in PLATE_PARAMETERS if p in known and p not in {*params, *given, *specials}]
        for text in check_parameters(info.function, call.params, [*given, *specials, *plate_params, *params]):
            self._mistake(text)
        if "illumination" in plate_params and func != "correct_illumination":
            self._mistake(f"{info.name}: only correct_illumination gets the illumination; make it an earlier step")
        elif "illumination" in plate_params and step.stack == StackAxis.CHANNEL:
            self._mistake(f"{info.name} treats each channel by itself: say stack: z")
        images = self._images(step, info, channels, given)
        self._check_special_inputs(step, info, channels, specials)
        function = self._function(step, info, library)
        planewise = self._is_planewise(step, info, call)
        if planewise and declared_outputs(info.function):
            self._mistake(f"{info.name} is called for each plane, so that it cannot return more than an image")
        return CompiledCall(
            func=func,
            params=params,
            plate_params=tuple(plate_params),
            images=images,
            specials=specials,
            outputs=tuple((step.outputs.get(name, name), spec) for name, spec in declared_outputs(info.function)),
            memory_type=MemoryType(getattr(function, "input_memory_type", MemoryType.NUMPY)),
            output_type=MemoryType(getattr(function, "output_memory_type", MemoryType.NUMPY)),
            returns=returns or ImageKind.INTENSITY,
            projection=Projection(info.projection) if info.projection else Projection.NONE,
            planewise=planewise,
            function=plain_function(info) if planewise else function,
        ), returns

    def _returns(self, step: FunctionStep, info: FunctionInfo, kind: ImageKind | None) -> ImageKind | None:
        """Return the kind of the image that the step's last function returns."""
        if not is_registered(info):
            return step.returns or info.returns
        made = info.returns or kind
        if step.returns is not None and made is not None and step.returns != made:
            self._mistake(f"returns: {info.name} returns {made}, not {step.returns}")
        return made

    def _plate_params(
        self, call: FunctionCall, known: Sequence[str], *, taken: set[str], kind: ImageKind | None
    ) -> dict[str, Any]:
        """Return the arguments of a function with those facts of the plate that are known now."""
        facts = {
            "image_kind": None if kind is None else str(kind),
            "flip_y": self.stage_y_up,
        }
        return {**{name: v for name, v in facts.items() if name in known and name not in taken}, **call.params}

    def _function(self, step: FunctionStep, info: FunctionInfo, library: MemoryType | None) -> Callable[..., Any]:
        """Return the implementation that the step runs; where that is a mistake, the function itself."""
        try:
            return choose_function(
                info,
                wanted=step.memory_type,
                preferred=self.settings.memory_type,
                source=library,
                device=self.settings.device,
            )
        except PipelineError as error:
            self._mistake(str(error))
            return info.function

    def _is_planewise(self, step: FunctionStep, info: FunctionInfo, call: FunctionCall) -> bool:
        plain = plain_function(info) is not None
        if step.planewise and not plain:
            self._mistake(f"planewise: {info.name} takes stacks [Z, Y, X], as it says itself; leave it out")
        return plain and (step.planewise or has_flat_footprint(call.params))

    # --- extra images and side results -------------------------------------------------------------------------

    def _check_names_are_taken(self, step: FunctionStep, calls: Sequence[CompiledCall]) -> None:
        """Refuse inputs and outputs that none of the step's functions has."""
        if len(self._infos) < len(calls):
            return  # some function is unknown, and may have them
        label = " and ".join(info.name for info in self._infos)
        taken = {name for call in calls for name in (*call.images, *call.specials)}
        known = [name for info in self._infos for name in parameter_names(info.function)[0]]
        for name in step.inputs:
            if name not in taken:
                self._mistake(f"{label} has no parameter {name!r}{suggest_and_list(name, known)}")
        declared = [name for info in self._infos for name, _ in declared_outputs(info.function)]
        for name in step.outputs:
            if name not in declared:
                self._mistake(f"outputs: {label} has no special output {name!r}{suggest_and_list(name, declared)}")

    def _images(
        self, step: FunctionStep, info: FunctionInfo, channels: tuple[int, ...], given: dict[str, str]
    ) -> dict[str, str]:
        images = {}
        for parameter, name in given.items():
            found = self._input(name)
            has = found.channels if found else tuple(n for n in self.sources if n not in self.label_channels)
            images[parameter] = found.name if found else START
            if not self._is_known(name):
                continue
            if len(has) > 1 and (step.stack == StackAxis.CHANNEL or not set(channels) <= set(has)):
                self._mistake(f"inputs: {parameter} = {name!r} has channels {list(has)}; expected one")
            if bool(found and found.merged) != bool(self._source and self._source.merged):
                self._mistake(
                    f"inputs: {parameter} = {name!r} and the input {step.input!r} are not both of a field, or of a well"
                )
            wanted = _KIND_OF_PARAMETER.get(parameter) if is_registered(info) else None
            kind = found.kind if found else ImageKind.INTENSITY
            if wanted is not None and kind != wanted and (not found or found.name not in self._unclear):
                self._mistake(f"inputs: {info.name} takes {wanted} as {parameter}, but {name!r} is {kind}")
        return images

    def _check_stack(self, step: FunctionStep) -> None:
        if step.stack == StackAxis.FIELD:
            if self._source and self._source.merged:
                self._mistake(f"stack: field needs images of fields; {self._source.name!r} is one of the whole well")
            return
        for info in self._infos:
            if info.needs_fields:
                self._mistake(f"{info.name} works on the fields of a well together: say stack: field")

    def _check_depth(self, step: FunctionStep, branches: Sequence[Branch]) -> None:
        """Refuse z stacks where one plane is wanted of each, as far as is known; note what the step makes of them."""
        before = self.depths.get(self._source.name if self._source else START, {})
        channels = [channel for branch in branches for channel in branch.channels]
        deep = [channel for channel in channels if (before.get(channel) or 1) > 1]
        if step.stack != StackAxis.Z and deep and self._is_known(step.input):
            self._mistake(
                f"stack: {step.stack} needs one plane per {step.stack}, but channel {deep[0]} has z planes; project "
                "them first (max_projection)"
            )
        keeps = all(is_registered(info) for info in self._infos)
        flat = {c for branch in branches for c in branch.channels if branch.projection != Projection.NONE}
        self.depths[step.name] = {
            channel: (1 if channel in flat or step.stack != StackAxis.Z else before.get(channel)) if keeps else None
            for channel in channels
        }

    def _check_special_inputs(
        self, step: FunctionStep, info: FunctionInfo, channels: tuple[int, ...], specials: dict[str, str]
    ) -> None:
        for name in specials.values():
            if name not in self._specials:
                self._mistake(
                    f"{info.name} needs the special input {name!r}, which no earlier step makes"
                    f"{suggest(name, self._specials)}"
                )
                continue
            output, _ = self._specials[name]
            if output.by_channel and (step.stack == StackAxis.CHANNEL or not set(channels) <= set(output.channels)):
                self._mistake(
                    f"the special input {name!r} is there for each of channels {list(output.channels)}; "
                    f"{info.name} would run for {list(channels)}{' together' * (step.stack == StackAxis.CHANNEL)}"
                )

    def _add_specials(self, step: FunctionStep, compiled: CompiledStep) -> None:
        for branch in compiled.branches:
            names = [name for call in branch.calls for name, _ in call.outputs]
            for name in sorted({name for name in names if names.count(name) > 1}):
                self._mistake(f"two functions of this step make the special output {name!r}")
        for output in special_outputs_of(compiled):
            try:
                check_output_name(output.name)
            except PipelineError as error:
                self._mistake(str(error))
            if output.spec and output.spec.allowed_backends and Backend.DISK not in output.spec.allowed_backends:
                allowed = ", ".join(output.spec.allowed_backends)
                self._mistake(f"the special output {output.name!r} may go to {allowed} only; a pipeline writes to disk")
            if output.name in self._specials:
                self._mistake(
                    f"the special output {output.name!r} is already made by {self._specials[output.name][1]}; give it "
                    f"another name: outputs: {{{output.name}: …}}"
                )
            self._specials[output.name] = output, self._where

    # --- what is written -----------------------------------------------------------------------------------------

    def _sub_dir(self, step: FunctionStep) -> str:
        """Return the step's own folder, in that of all steps unless it names one itself."""
        own = step.step_materialization_config.sub_dir
        parts = [own] if own else [name for name in (self.settings.step_materialization.sub_dir, step.name) if name]
        for part in parts:
            try:
                check_output_name(part)
            except PipelineError:
                self._mistake(f"sub_dir is {part!r}; expected a name of letters, digits, '_' and '-'")
        return "/".join(parts)

    def _with_targets(self, step: FunctionStep, compiled: CompiledStep) -> CompiledStep:
        """Return the step with the formats that its images are written in."""
        if isinstance(step.materialize, bool):
            backend = "zarr" if self.settings.vfs.materialization_backend == Backend.ZARR else "tiff"
            targets: tuple[str, ...] = (backend,) if step.materialize else ()
        else:
            targets = step.materialize
        for target in targets:
            if target not in MATERIALIZE_TARGETS:
                self._mistake(f"materialize: {target!r} is unknown; expected {' or '.join(MATERIALIZE_TARGETS)}")
        if "roi" in targets and compiled.kind != ImageKind.LABELS and step.name not in self._unclear:
            self._mistake(f"materialize: roi is for labels; {step.name} makes {compiled.kind}")
        stores_labels = self.settings.zarr.chunk_strategy == ZarrChunkStrategy.FIELD
        if compiled.kind != ImageKind.INTENSITY and not stores_labels:
            targets = tuple("tiff" if target == "zarr" else target for target in targets)
        return replace(compiled, materialize=tuple(dict.fromkeys(targets)))
