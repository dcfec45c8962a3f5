"""The plate sheet ``config/plates.tsv``: which plates to process."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from wellfield.errors import ConfigError, WellNameError
from wellfield.plate.platemap import read_plate_map
from wellfield.plate.wells import canonical_well

REQUIRED = ("plate", "folder")
OPTIONAL = ("microscope", "plate_map", "wells")

# A plate's name is a folder name and a wildcard of the workflow: no separator, nothing hidden.
_PLATE_NAME = re.compile(r"[^/\\\x00-\x1f]*[^/\\\x00-\x1f\s.][^/\\\x00-\x1f]*")


@dataclass(frozen=True, slots=True)
class PlateEntry:
    """One line of the plate sheet.

    Parameters
    ----------
    plate:
        Name of the plate; its results lie in a folder of this name.
    folder:
        Raw plate folder as the sheet spells it.
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

    *layouts* are the names that the configuration adds to those of the microscopes. With *check_files* every plate
    folder must be there and every plate map must be readable.

    Raises
    ------
    ConfigError
        Lists every line that cannot be used, with its number.
    """
    source = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"plate sheet {source} cannot be read: {error}") from error
    reader = csv.DictReader(lines, delimiter="\t")
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    problems = [f"no column {name!r}" for name in REQUIRED if name not in columns]
    problems += [f"unknown column {name!r}" for name in columns if name not in (*REQUIRED, *OPTIONAL)]
    if problems:
        expected = f"{', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}, separated by tabs"
        raise ConfigError(f"plate sheet {source}: {', '.join(problems)}; expected the columns {expected}")
    plates: dict[str, PlateEntry] = {}
    for number, row in enumerate(reader, start=1):
        try:
            if None in row:
                raise ConfigError(f"more cells than columns: {row[None]}; wells are separated by commas")
            entry = _read_row(
                {name: (row.get(name) or "").strip() for name in columns}, layouts, check_files=check_files
            )
        except (ConfigError, WellNameError) as error:
            problems.append(f"plate {number} ({(row.get('plate') or '').strip() or 'without name'}): {error}")
            continue
        if entry.plate in plates:
            problems.append(f"plate {number} ({entry.plate}): this name is listed twice")
        plates[entry.plate] = entry
    if not plates and not problems:
        problems.append("it lists no plate")
    if problems:
        raise ConfigError(f"plate sheet {source} cannot be used:\n" + "\n".join(f"  {p}" for p in problems))
    return plates


def _read_row(row: dict[str, str], layouts: Collection[str], *, check_files: bool) -> PlateEntry:
    from wellfield.microscopes.registry import AUTO, microscope_names

    name, folder = row["plate"], row["folder"]
    if not _PLATE_NAME.fullmatch(name) or name.startswith(".") or set(name) & set("{}"):
        raise ConfigError(f"{name!r} is no usable name; expected one without / \\ {{ }} that does not start with a dot")
    if not folder:
        raise ConfigError("its folder is missing")
    if check_files and not Path(folder).is_dir():
        what = "is a file, not a folder" if Path(folder).exists() else "does not exist"
        raise ConfigError(f"its folder {folder} {what}; check the path, or whether its disk is mounted")
    microscope = row.get("microscope") or AUTO
    if microscope not in (names := microscope_names(layouts)):
        raise ConfigError(f"unknown microscope {microscope!r}; known: {', '.join(names)}")
    plate_map = row.get("plate_map") or None
    if plate_map is not None and check_files:
        read_plate_map(plate_map)
    wells = tuple(canonical_well(well) for well in re.split(r"[,;\s]+", row.get("wells", "")) if well)
    return PlateEntry(name, folder, microscope, plate_map, wells or None)
