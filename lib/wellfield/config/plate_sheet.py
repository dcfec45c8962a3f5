"""The plate sheet ``config/plates.tsv``: which plates to process."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from wellfield.config.typed_path import typed_path
from wellfield.errors import ConfigError, WellNameError
from wellfield.formats.strict_table import read_strict_table
from wellfield.plate.platemap import read_plate_map
from wellfield.plate.wells import canonical_well

REQUIRED = ("plate", "folder")
OPTIONAL = ("microscope", "plate_map", "wells")

# A plate's name is a folder name and a wildcard of the workflow: without separators, not hidden.
_PLATE_NAME = re.compile(r"[^/\\\x00-\x1f]*[^/\\\x00-\x1f\s.][^/\\\x00-\x1f]*")

# A plate's name is also the name of its logs, with .log appended; file systems allow 255 bytes.
LONGEST_NAME = 200

# Snakemake stops at a wildcard that ends in so many equal parts.
REPEATS = 20
_PERIODIC = re.compile(rf"(.+)\1{{{REPEATS - 1}}}$")

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class PlateEntry:
    """One line of the plate sheet.

    Parameters
    ----------
    plate:
        Name of the plate; its results lie in a folder of this name.
    folder:
        Raw plate folder as the sheet spells it, ``~`` replaced by the home directory.
    microscope:
        Name of a handler or layout, or ``auto``.
    plate_map:
        Path of the plate map, or ``None``.
    wells:
        The wells to process, or ``None`` for all.
    """

    plate: str
    folder: str
    microscope: str = "auto"
    plate_map: str | None = None
    wells: tuple[str, ...] | None = None


def read_plate_sheet(
    path: str | os.PathLike[str], *, layouts: Collection[str] = (), check_files: bool = True
) -> dict[str, PlateEntry]:
    """Return the plates of a tab-separated sheet by name.

    *layouts* are the names of layouts in the configuration. With *check_files* every plate folder must exist and every
    plate map must be readable.

    Raises
    ------
    ConfigError
        Lists every line that cannot be used, with its number.
    """
    source = os.fspath(path)
    rows = read_strict_table(
        path, what="plate sheet", delimiter="\t", required=REQUIRED, optional=OPTIONAL, comments=True
    )
    plates: dict[str, PlateEntry] = {}
    lines: dict[str, int] = {}
    problems = []
    for line, row in rows:
        try:
            entry = _read_row(dict.fromkeys(OPTIONAL, "") | row, layouts, check_files=check_files)
        except (ConfigError, WellNameError) as error:
            problems.append(f"line {line} ({_short(row['plate']) or 'without name'}): {error}")
            continue
        same = next((name for name in plates if _folder_key(name) == _folder_key(entry.plate)), None)
        if same is not None:
            how = "" if same == entry.plate else f", as {same!r}, which is the same folder on some disks"
            problems.append(f"line {line} ({entry.plate}): this name is listed twice{how}; see line {lines[same]}")
        plates[entry.plate], lines[entry.plate] = entry, line
    if not plates and not problems:
        problems.append("it lists no plate")
    if problems:
        raise ConfigError(f"plate sheet {source} cannot be used:\n" + "\n".join(f"  {p}" for p in problems))
    return plates


def _folder_key(plate: str) -> str:
    """Return one key for names that are one folder on macOS or Windows, which ignore case and composed letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plate).casefold())


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"


def _read_row(row: dict[str, str], layouts: Collection[str], *, check_files: bool) -> PlateEntry:
    from wellfield.microscopes.handler_registry import AUTO, refuse_unknown_microscope

    name = row["plate"]
    if problem := _name_problem(name):
        raise ConfigError(problem)
    if not row["folder"]:
        raise ConfigError("its folder is missing")
    folder = _typed(row["folder"])
    if check_files and not Path(folder).is_dir():
        what = "is a file, not a folder" if Path(folder).exists() else "does not exist"
        raise ConfigError(f"its folder {folder} {what}; check the path, or whether its disk is mounted")
    microscope = row["microscope"] or AUTO
    refuse_unknown_microscope(microscope, layouts)
    plate_map = _typed(row["plate_map"]) if row["plate_map"] else None
    if plate_map is not None and check_files:
        read_plate_map(plate_map)
    wells = tuple(canonical_well(well) for well in re.split(r"[,;\s]+", row["wells"]) if well)
    return PlateEntry(name, folder, microscope, plate_map, wells or None)


def _name_problem(name: str) -> str:
    """Return why a plate cannot have this name; an empty text if it can."""
    if not _PLATE_NAME.fullmatch(name) or name.startswith(".") or set(name) & set('{}"'):
        expected = 'expected one without / \\ { } " that does not start with a dot'
        return f"{_short(name)!r} cannot be used as a name; {expected}"
    if len(name.encode()) > LONGEST_NAME:
        return f"its name has {len(name.encode()):,} bytes; expected {LONGEST_NAME} at most, as it names files"
    if _PERIODIC.search(name):
        return f"{_short(name)!r} ends in {REPEATS} or more equal parts, which Snakemake takes for an endless loop"
    return ""


def _typed(text: str) -> str:
    try:
        return typed_path(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None
