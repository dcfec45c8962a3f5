"""The compiler: checks a whole pipeline against a plate before anything runs, and reports all mistakes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wellfield.config.settings import GlobalPipelineConfig, PipelineConfig, resolve_settings
from wellfield.errors import PipelineError
from wellfield.memory import MemoryType
from wellfield.memory.devices import DeviceChoice
from wellfield.pipeline.array_placement import describe_conversions
from wellfield.pipeline.compile_step import StepCompiler
from wellfield.pipeline.estimate import with_estimates
from wellfield.pipeline.plan import CompiledStep, Plan
from wellfield.pipeline.plane_selection import SourceLayers, planned_facts
from wellfield.pipeline.step import START, FunctionStep
from wellfield.plate.keys import Projection
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind


def compile_pipeline(
    steps: Sequence[FunctionStep],
    *,
    plate: Plate,
    sources: Mapping[int, SourceLayers],
    config: PipelineConfig | Mapping[str, Any] | None = None,
    global_config: GlobalPipelineConfig | None = None,
) -> Plan:
    """Return the plan of a pipeline for a plate.

    Parameters
    ----------
    plate:
        What is known of the plate; its channels at least. Shape, dtype and number of fields give the estimate of
        memory. A step must name a channel of labels to get it.
    sources:
        Channel number → the planes that it starts from (:mod:`wellfield.pipeline.plane_selection`).
    config, global_config:
        Settings of this pipeline (also by dotted name), and of all pipelines.

    Raises
    ------
    PipelineError
        Every mistake of every step, with the number and name of the step.
    ConfigError
        A setting has a value that is not allowed.
    """
    levels: list[tuple[str, PipelineConfig | Mapping[str, Any]]] = [("pipeline", config)] if config is not None else []
    levels += [("global", global_config)] if global_config is not None else []
    settings = resolve_settings(levels)
    plate = planned_facts(plate)
    compiler = StepCompiler(dict(plate.channels), dict(sources), settings, plate.stage_y_up, plate.label_channels)
    for number, step in enumerate(steps, start=1):
        compiler.add(number, step)
    if not steps:
        compiler.mistakes.append("the pipeline has no step")
    compiler.mistakes += stored_together(compiler.done, compiler.planes)
    if compiler.mistakes:
        count = len(compiler.mistakes)
        lines = "".join(f"\n  {mistake}" for mistake in compiler.mistakes)
        raise PipelineError(f"the pipeline has {count} mistake{'s' * (count > 1)}:{lines}")
    start_type = _start_type(compiler.done)
    finished = _finished(compiler.done, sources, start_type, settings.device)
    finished, memory_mb, work = with_estimates(
        finished, sources, shape=plate.shape, dtype=plate.dtype, field_count=plate.field_count
    )
    return Plan(
        steps=finished,
        sources=dict(sources),
        channels=dict(plate.channels),
        settings=settings,
        pixel_size_um=plate.pixel_size_um,
        z_spacing_um=plate.z_spacing_um,
        start_type=start_type,
        memory_mb=memory_mb,
        work_megapixels=work,
    )


def stored_together(steps: Sequence[CompiledStep], planes: Mapping[str, Mapping[int, Projection]]) -> list[str]:
    """Return the mistakes that only the whole pipeline shows: what plate.zarr cannot hold together."""
    mistakes = []
    stored = [step for step in steps if "zarr" in step.materialize]
    images = [step for step in stored if step.kind == ImageKind.INTENSITY]
    if len(images) > 1:
        mistakes.append(
            f"steps {', '.join(s.name for s in images)} all write an intensity image to zarr; plate.zarr holds one "
            "image per field: keep one and write the others as tiff"
        )
    for step in (step for step in stored if step.kind != ImageKind.INTENSITY):
        if not images:
            mistakes.append(f"step {step.name} writes {step.kind} to zarr, which needs an intensity image there too")
        elif step.merged != images[0].merged:
            mistakes.append(
                f"step {step.name} writes {step.kind} of {_extent(step)} to zarr, beside images of {_extent(images[0])}"
            )
        if len(step.channels) > 1:
            mistakes.append(
                f"step {step.name} writes {step.kind} of channels {list(step.channels)} to zarr; a label image "
                "there belongs to one channel: name it under 'channels'"
            )
    mistakes += _written_twice(steps)
    found = {(s.name, number): projection for s in stored for number, projection in planes[s.name].items()}
    if len(set(found.values())) > 1:
        kinds = ", ".join(
            f"{name} of channel {number}: {'z planes' if p == Projection.NONE else f'{p} projection'}"
            for (name, number), p in found.items()
        )
        mistakes.append(f"plate.zarr holds z planes or one projection, not both ({kinds}); project first")
    return mistakes


def _written_twice(steps: Sequence[CompiledStep]) -> list[str]:
    """Return the mistakes by which one file would be written over another."""
    mistakes = []
    folders: dict[tuple[str, str, int, bool], str] = {}
    files: dict[str, str] = {}
    for step in steps:
        for target in (target for target in step.materialize if target != "zarr"):
            for place in [(target, step.sub_dir, channel, step.merged) for channel in step.channels]:
                if folders.setdefault(place, step.name) != step.name:
                    mistakes.append(
                        f"steps {folders[place]} and {step.name} both write {target} of channel {place[2]} to the "
                        f"folder {step.sub_dir!r}; give one another sub_dir"
                    )
        for name, spec in (output for call in step.calls for output in call.outputs):
            for option in spec.options if spec else ():
                file = f"{name}{option.filename_suffix}"
                if files.setdefault(file, name) != name:
                    mistakes.append(
                        f"the special outputs {files[file]!r} and {name!r} would both be written to {file}; give one "
                        "another name or filename_suffix"
                    )
    return list(dict.fromkeys(mistakes))


def _extent(step: CompiledStep) -> str:
    return "the whole well" if step.merged else "fields"


def _start_type(steps: Sequence[CompiledStep]) -> MemoryType:
    """Return the memory type that planes are stacked into: that of all steps that read the plate's, or NumPy."""
    types = {
        call.memory_type
        for step in steps
        for branch in step.branches
        for number, call in enumerate(branch.calls)
        if START in call.images.values() or (number == 0 and step.input == START)
    }
    return types.pop() if len(types) == 1 else MemoryType.NUMPY


def _finished(
    done: Sequence[CompiledStep], sources: Mapping[int, SourceLayers], start_type: MemoryType, device: DeviceChoice
) -> tuple[CompiledStep, ...]:
    """Return the steps, each knowing the last one that reads it and what is converted for it."""
    last = {step.name: step.number for step in done}
    for step in done:
        last |= dict.fromkeys(step.reads, step.number)
    made = {s.name: {c: (s.output_type(c), s.kind) for c in s.channels} for s in done}
    made[START] = dict.fromkeys(sources, (start_type, ImageKind.INTENSITY))
    steps, loaded = [], False
    for step in done:
        lines = describe_conversions(step, made, loads_start=not loaded, device=device)
        loaded = loaded or START in step.reads
        steps.append(replace(step, last_use=last[step.name], conversions=lines))
    return tuple(steps)
