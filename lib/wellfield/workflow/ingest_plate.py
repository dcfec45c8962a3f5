"""Stage 1: map a plate."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from wellfield.config.plate_sheet import PlateEntry
from wellfield.errors import ConfigError, EmptyPlateError, WellfieldError
from wellfield.formats.json_files import write_json
from wellfield.formatting import counted
from wellfield.microscopes.acquisition import Acquisition, times_mapped_again
from wellfield.microscopes.handler_registry import get_microscope_handler
from wellfield.microscopes.ingest_report import read_report
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.addresses import ARRAY_METADATA, parse_array_plane
from wellfield.plate.filename_layout import Layout
from wellfield.plate.index import read_info, read_paths
from wellfield.plate.plate import Plate
from wellfield.plate.platemap import compare_wells, read_plate_map
from wellfield.results.paths import PlateFile
from wellfield.workflow.vanished import vanished_note, vanished_wells


def ingest_plate(
    folder: str,
    *,
    plate: str,
    microscope: str,
    results: str | os.PathLike[str],
    wells: Sequence[str] | None = None,
    layouts: Mapping[str, Layout] | None = None,
    acquisition_minutes: float = 0,
    mapped_again: int = 0,
) -> Plate:
    """Write metadata, index and ingest report of the raw plate *folder* to *results*.

    *microscope* is the name of a microscope, of a preset or of one of *layouts*, or ``"auto"``. The report notes files
    that are younger than *acquisition_minutes*, unless 0, and keeps how often the plate was *mapped_again* for that.

    Raises
    ------
    ConfigError
        The plate has none of the *wells* that are to be processed.
    """
    handler, why = get_microscope_handler(folder, microscope, layouts=layouts)
    info = handler.initialize_workspace(
        Path(results), plate=plate, why=why, acquisition_minutes=acquisition_minutes, mapped_again=mapped_again
    )
    vanished = vanished_wells(results, info, wells)
    chosen_wells(info, wells, vanished=vanished)
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
        processed = [*chosen_wells(info, wanted, vanished=vanished), *vanished]
        return compare_wells(treatments, [*info.wells, *vanished], processed=processed)
    except ConfigError as error:
        raise ConfigError(f"plate {info.name}, plate map {os.fspath(plate_map)}: {error}") from None


def acquisition_notes(report: str | os.PathLike[str]) -> list[str]:
    """Return what an ingest report says of a plate that was still being acquired; nothing of one that was not."""
    found = read_report(report).get("acquisition")
    return Acquisition(**found).notes() if found else []


def mapping_number(report: str | os.PathLike[str], files: Iterable[ScannedFile]) -> int:
    """Return :func:`times_mapped_again` by the report of the last mapping, if there is one, and the present files."""
    path = Path(report)
    return times_mapped_again(read_report(path), files, now_ns=time.time_ns()) if path.exists() else 0


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


def chosen_wells(info: Plate, wanted: Sequence[str] | None, *, vanished: Container[str] = ()) -> list[str]:
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
