"""Stage 1: map a plate."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wellfield.errors import ConfigError
from wellfield.formats.json import read_json
from wellfield.microscopes.acquisition import Acquisition, times_mapped_again
from wellfield.microscopes.registry import get_microscope_handler
from wellfield.microscopes.scan import ScannedFile
from wellfield.plate.index import PlateInfo
from wellfield.plate.layout import Layout
from wellfield.plate.platemap import compare_wells, read_plate_map


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
) -> PlateInfo:
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
    chosen_wells(info, wells)
    return info


def plate_map_notes(
    plate_map: str | os.PathLike[str] | None, info: PlateInfo, wanted: Sequence[str] | None
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
        return compare_wells(treatments, info.wells, processed=chosen_wells(info, wanted))
    except ConfigError as error:
        raise ConfigError(f"plate {info.plate}, plate map {os.fspath(plate_map)}: {error}") from None


def acquisition_notes(report: str | os.PathLike[str]) -> list[str]:
    """Return what an ingest report says of a plate that was still being acquired; nothing of one that was not."""
    found = read_json(report).get("acquisition")
    return Acquisition(**found).notes() if found else []


def mapping_number(report: str | os.PathLike[str], files: Iterable[ScannedFile]) -> int:
    """Return :func:`times_mapped_again` by the report of the last mapping, if there is one, and the present files."""
    path = Path(report)
    return times_mapped_again(read_json(path), files, now_ns=time.time_ns()) if path.exists() else 0


def chosen_wells(info: PlateInfo, wanted: Sequence[str] | None) -> list[str]:
    """Return the wells of a plate that are to be processed, row by row; all where *wanted* is ``None``.

    Raises
    ------
    ConfigError
        The plate has no image of a wanted well.
    """
    unknown = [well for well in wanted or () if well not in info.wells]
    if unknown:
        raise ConfigError(
            f"plate {info.plate}: the plate sheet asks for wells {', '.join(unknown)}, which have no image; "
            f"the plate has {', '.join(info.wells)}"
        )
    return [well for well in info.wells if wanted is None or well in wanted]
