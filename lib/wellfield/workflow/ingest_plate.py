"""ingest: read a raw folder, write the index of its planes, the mapping and the ingest report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wellfield.config.load import load_config
from wellfield.config.plate_sheet import PlateEntry, read_plate_sheet
from wellfield.errors import ConfigError, EmptyPlateError, WellfieldError
from wellfield.formats.json_files import write_json
from wellfield.formatting import counted
from wellfield.microscopes.acquisition import Acquisition, next_ingest_generation
from wellfield.microscopes.handler_registry import get_microscope_handler
from wellfield.microscopes.ingest_report import read_report
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.addresses import ARRAY_METADATA, parse_array_plane
from wellfield.plate.filename_layout import Layout
from wellfield.plate.index import read_info, read_paths
from wellfield.plate.plate import Plate
from wellfield.plate.platemap import compare_wells, read_plate_map
from wellfield.results.paths import PlateFile
from wellfield.results.records import from_results, write_plate_record
from wellfield.workflow.vanished import vanished_note, vanished_wells


def map_plate(
    folder: str,
    plate: str,
    config: Mapping[str, Any],
    *,
    microscope: str,
    layout: str,
    index: str | os.PathLike[str],
    outputs: Iterable[str | os.PathLike[str]],
    ingest_generation: int,
    wells_at_once: int,
    say: Callable[[str], None],
) -> Plate:
    """Ingest a raw plate, write its record, and say what a person should know of it and of the space that it takes.

    Parameters
    ----------
    config:
        The whole configuration. The wells of the plate come from its sheet and are not a parameter of the job, so that
        asking for other wells does not map the plate again.
    layout:
        Digest of the layout, for the record.
    index:
        The index to write; its folder is that of the plate's results.
    outputs:
        All files of the job, for the record.
    wells_at_once:
        How many wells the run works on at a time; 0 where that is not known.
    say:
        Gets one line at a time for the user.

    Raises
    ------
    ConfigError
        The sheet asks for wells that the plate does not have.
    DiskSpaceError
        The plate has a plan, and less is free than one well takes at least.
    """
    # Each start of Snakemake imports this module, and does without plans and pipelines.
    from wellfield.workflow.space import last_plan, plan_space, space_lines

    checked = load_config(config)
    entry = read_plate_sheet(checked.plates, layouts=checked.layouts, check_files=False)[plate]
    results = Path(index).parent
    info = ingest_plate(
        folder,
        plate=plate,
        microscope=microscope,
        results=results,
        wells=entry.wells,
        layouts=checked.plate_layouts(),
        acquisition_minutes=checked.acquisition_minutes,
        ingest_generation=ingest_generation,
    )
    of = {
        "folder": os.path.realpath(folder),
        "from_results": from_results(folder, results),
        "microscope": microscope,
        "layout": layout,
    }
    write_plate_record(results, "ingest_plate", outputs, of=of)
    vanished = vanished_wells(results, info, entry.wells)
    notes = acquisition_notes(results / PlateFile.INGEST_REPORT)
    for note in [*notes, *plate_map_notes(entry.plate_map, info, entry.wells, vanished=vanished)]:
        say(f"warning: {info.name}: {note}")
    if vanished:
        say(f"warning: {info.name}: {vanished_note(vanished)}")
    # Snakemake decides after this job whether the plan is compiled again; compile_plan says it of a new plan.
    if plan := last_plan(results):
        wells = select_wells(info, entry.wells, vanished=vanished)
        need = plan_space(plan, index, wells, results, scratch=bool(checked.scratch), keep_staged=checked.keep_staged)
        lines = space_lines(
            [need], checked.results, wells_at_once=wells_at_once, at_most=True, to_do="to do by the last plan"
        )
        for line in lines:
            say(line)
    return info


def ingest_plate(
    folder: str,
    *,
    plate: str,
    microscope: str,
    results: str | os.PathLike[str],
    wells: Sequence[str] | None = None,
    layouts: Mapping[str, Layout] | None = None,
    acquisition_minutes: float = 0,
    ingest_generation: int = 0,
) -> Plate:
    """Write metadata, index and ingest report of the raw plate *folder* to *results*.

    *microscope* is the name of a microscope, of a preset or of one of *layouts*, or ``"auto"``. The report notes files
    that are younger than *acquisition_minutes*, unless 0, and keeps the *ingest_generation*: how often the plate was
    ingested again because of such a note.

    Raises
    ------
    ConfigError
        The plate has none of the *wells* that are to be processed.
    """
    handler, why = get_microscope_handler(folder, microscope, layouts=layouts)
    info = handler.initialize_workspace(
        Path(results),
        plate=plate,
        why=why,
        acquisition_minutes=acquisition_minutes,
        ingest_generation=ingest_generation,
    )
    vanished = vanished_wells(results, info, wells)
    select_wells(info, wells, vanished=vanished)
    if vanished:
        path = Path(results, PlateFile.INGEST_REPORT)
        report = read_report(path)
        report["vanished"] = vanished
        report["notes"] = [*report["notes"], vanished_note(vanished)]
        write_json(path, report)
    return info


def plate_map_notes(
    plate_map: str | os.PathLike[str] | None,
    info: Plate,
    wanted: Sequence[str] | None,
    *,
    vanished: Sequence[str] = (),
) -> list[str]:
    """Return what a plate and its map do not agree about; nothing of a plate without one.

    Raises
    ------
    ConfigError
        The map cannot be used, or names no well of the plate.
    """
    if plate_map is None:
        return []
    treatments = read_plate_map(plate_map)
    try:
        processed = [*select_wells(info, wanted, vanished=vanished), *vanished]
        return compare_wells(treatments, [*info.wells, *vanished], processed=processed)
    except ConfigError as error:
        raise ConfigError(f"plate {info.name}, plate map {os.fspath(plate_map)}: {error}") from None


def acquisition_notes(report: str | os.PathLike[str]) -> list[str]:
    """Return what an ingest report says of a plate that was still being acquired; nothing of one that was not."""
    found = read_report(report).get("acquisition")
    return Acquisition(**found).notes() if found else []


def next_generation(report: str | os.PathLike[str], files: Iterable[ScannedFile]) -> int:
    """Return the next ingest generation by the last report, if there is one, and the present files."""
    path = Path(report)
    return next_ingest_generation(read_report(path), files, now_ns=time.time_ns()) if path.exists() else 0


def refuse_empty_plate(
    results: str | os.PathLike[str], entry: PlateEntry, scan: Scan, *, layouts: Mapping[str, Layout] | None = None
) -> None:
    """Raise if nothing is left of a raw plate that was mapped before, as when its disk is not mounted.

    Raises
    ------
    EmptyPlateError
        None of its images is there, and no other.
    """
    index = Path(results, PlateFile.INDEX)
    if not index.exists():
        return
    info = read_info(index)
    present = {file.path for file in scan.files}
    if any(_is_present(path, present) for well in info.wells for _, path in read_paths(index, [well])[well]):
        return
    try:
        get_microscope_handler(entry.folder, entry.microscope, scan=scan, layouts=layouts)[0].read_plate()
    except WellfieldError as error:
        raise EmptyPlateError(
            f"plate {entry.plate}: nothing is left in {entry.folder} of the {counted(len(info.wells), 'well')} that "
            f"{os.fspath(results)} has results of; these stay as they are. Mount its disk or bring the files back, or "
            f"take the plate out of the plate sheet ({error})"
        ) from error


def _is_present(path: str, present: Container[str]) -> bool:
    address = parse_array_plane(path)
    if address is None:
        return path in present
    return any(f"{address.array}/{name}" in present for name in ARRAY_METADATA)


def select_wells(info: Plate, wanted: Sequence[str] | None, *, vanished: Container[str] = ()) -> list[str]:
    """Return the wells of a plate that are to be processed, row by row; all where *wanted* is ``None``.

    Raises
    ------
    ConfigError
        The plate has no image of a wanted well, and it is none of those that *vanished*.
    """
    unknown = [well for well in wanted or () if well not in info.wells and well not in vanished]
    if unknown:
        raise ConfigError(
            f"plate {info.name}: the plate sheet asks for wells {', '.join(unknown)}, which have no image; "
            f"the plate has {', '.join(info.wells)}"
        )
    return [well for well in info.wells if wanted is None or well in wanted]
