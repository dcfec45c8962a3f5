"""Stage 2a: compile the pipeline for one plate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from wellfield.config.load import load_config
from wellfield.config.models import Config
from wellfield.errors import ConfigError, MissingLibraryError
from wellfield.memory.adapters import ADAPTERS
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.pipeline.step import FunctionStep
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import read_index
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind
from wellfield.storage.backend import Backend


def transmitted_notes(plan: Plan, info: Plate) -> list[str]:
    """Say which channels of transmitted light a step makes objects of, one sentence for each channel."""
    notes: dict[int, str] = {}
    for step in plan.steps:
        for channel in step.channels:
            if channel in info.transmitted_channels and step.kind in (ImageKind.MASK, ImageKind.LABELS):
                notes.setdefault(
                    channel,
                    f"step {step.name} makes objects of channel {channel} ({plan.channels[channel]}), which is "
                    "transmitted light by its name or metadata: the objects may not be nuclei or cells; set `channels` "
                    "of the step",
                )
    return list(notes.values())


def compile_plan(index: str | os.PathLike[str], config: Config | Mapping[str, Any]) -> Plan:
    """Return the plan of the configured pipeline for the plate behind *index*.

    Raises
    ------
    PipelineError
        All mistakes of the pipeline together.
    ConfigError
        Planes are to be read as files (``vfs.read_backend: disk``), and the plate's are no files but lie in arrays.
    MissingLibraryError
        An array library that a step runs on is not installed.
    """
    checked = config if isinstance(config, Config) else load_config(config)
    info, planes = read_index(index)
    if checked.settings.vfs.read_backend == Backend.DISK and any(parse_array_plane(plane.path) for plane in planes):
        raise ConfigError(
            f"vfs.read_backend: disk cannot read plate {info.name}, whose planes lie in Zarr arrays, such as "
            f"{planes[0].path}; leave the key out, or set it to virtual_workspace"
        )
    keys = [plane.key for plane in planes]
    plan = compile_pipeline(
        [FunctionStep.from_dict(step.model_dump()) for step in checked.steps],
        plate=info,
        sources=choose_sources(keys, checked.settings.source),
        config=checked.given_settings(),
    )
    refuse_missing_libraries(plan)
    return plan


def refuse_missing_libraries(plan: Plan) -> None:
    """Raise where an array library of the plan is not installed, before any well needs it.

    Raises
    ------
    MissingLibraryError
        Names each library with its steps, and how to install it.
    """
    missing = [name for name in plan.libraries if not ADAPTERS[name].is_installed()]
    if missing:
        lines = []
        for name in missing:
            steps = [
                s.name for s in plan.steps if any(name in (call.memory_type, call.output_type) for call in s.calls)
            ]
            lines.append(f"  {name}, which runs {', '.join(steps)}: pip install 'wellfield[{ADAPTERS[name].module}]'")
        raise MissingLibraryError("array libraries of the pipeline are not installed:\n" + "\n".join(lines))
