"""plan: compile the pipeline for one plate, check it against the index, write ``plan.json``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wellfield.config.load import load_config
from wellfield.config.models import Config
from wellfield.config.plate_sheet import read_plate_sheet
from wellfield.errors import ConfigError, MissingLibraryError
from wellfield.formats.json_files import write_json
from wellfield.memory.adapters import ADAPTERS
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.pipeline.step import FunctionStep
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import read_index, read_info
from wellfield.plate.plate import Plate
from wellfield.processing.function_registry import ImageKind
from wellfield.results.records import write_plate_record
from wellfield.storage.backend import Backend
from wellfield.workflow.digests import digest_of
from wellfield.workflow.ingest_plate import select_wells
from wellfield.workflow.space import plan_space, space_lines
from wellfield.workflow.vanished import vanished_wells


def plan_plate(
    index: str | os.PathLike[str],
    plate: str,
    config: Mapping[str, Any],
    *,
    pipeline: Mapping[str, Any],
    functions: str,
    plan_file: str | os.PathLike[str],
    process_digest: str | os.PathLike[str],
    materialize_digest: str | os.PathLike[str],
    wells_at_once: int,
    say: Callable[[str], None],
) -> Plan:
    """Compile the pipeline for a plate, check that its results have room, then write the plan and its digests.

    Snakemake follows the two digests instead of the plan: one changes where ``process_well`` must run again, the other
    where ``materialize_well`` must. Another estimate of memory changes the plan and neither digest.

    Parameters
    ----------
    config:
        The whole configuration. The wells of the plate come from its sheet and are not a parameter of the job, so that
        asking for other wells does not compile the plan again.
    pipeline:
        The part of the configuration that decides results.
    functions:
        Digest of the functions of the user's own, for the record.
    plan_file, process_digest, materialize_digest:
        The files to write. The folder of the first one is that of the plate's results.
    wells_at_once:
        How many wells the run works on at a time; 0 where that is not known.
    say:
        Gets one line at a time for the user.

    Raises
    ------
    PipelineError, ConfigError, MissingLibraryError
        As :func:`compile_plan`.
    DiskSpaceError
        Less is free than one well takes at least.
    """
    plan = compile_plan(index, pipeline)
    checked = load_config(config)
    entry = read_plate_sheet(checked.plates, layouts=checked.layouts, check_files=False)[plate]
    folder = Path(plan_file).parent
    info = read_info(index)
    for note in transmitted_notes(plan, info):
        say(f"warning: {info.name}: {note}")
    wells = select_wells(info, entry.wells, vanished=vanished_wells(folder, info, entry.wells))
    need = plan_space(plan, index, wells, folder, scratch=bool(checked.scratch), keep_staged=checked.keep_staged)
    for line in space_lines([need], checked.results, wells_at_once=wells_at_once, at_most=True):
        say(line)
    write_json(plan_file, plan.to_json())
    write_json(process_digest, {"digest": plan.processing_digest()})
    write_json(materialize_digest, {"digest": plan.digest()})
    of = {"pipeline": digest_of(pipeline), "functions": functions}
    write_plate_record(folder, "compile_plan", [plan_file, process_digest, materialize_digest], of=of)
    return plan


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
        ``vfs.read_backend: disk`` reads planes as files, but the planes of this plate lie in arrays.
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
