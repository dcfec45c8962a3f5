"""The plate map: what was in each well. A CSV with the columns well, treatment, concentration, unit, control."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from wellfield.errors import ConfigError
from wellfield.plate.wells import canonical_well

COLUMNS = ("well", "treatment", "concentration", "unit", "control")
CONTROLS = ("", "negative", "positive", "empty")


@dataclass(frozen=True, slots=True)
class WellTreatment:
    """One line of a plate map. *concentration* is ``None`` where the map says nothing."""

    well: str
    treatment: str
    concentration: float | None
    unit: str
    control: str


def read_plate_map(path: str | os.PathLike[str]) -> dict[str, WellTreatment]:
    """Return the treatment of every well that the map lists, by canonical well name.

    Raises
    ------
    ConfigError
        Missing file or column, a well twice, a concentration that is no number, an unknown kind of control.
    """
    source = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(
                    f"plate map {source}: no column {', '.join(map(repr, missing))}; expected {', '.join(COLUMNS)}, "
                    f"separated by commas; found {reader.fieldnames}"
                )
            treatments: dict[str, WellTreatment] = {}
            for row in reader:
                where = f"plate map {source}, line {reader.line_num}"
                if None in row:
                    raise ConfigError(f"{where}: more values than columns; quote a value that holds a comma")
                entry = _read_row(row, where=where)
                if entry.well in treatments:
                    raise ConfigError(f"{where}: well {entry.well} is listed twice")
                treatments[entry.well] = entry
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"plate map {source} cannot be read: {error}") from error
    return treatments


def _read_row(row: dict[str, str | None], *, where: str) -> WellTreatment:
    text = {column: (row[column] or "").strip() for column in COLUMNS}
    try:
        well = canonical_well(text["well"])
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    concentration: float | None = None
    if text["concentration"]:
        try:
            concentration = float(text["concentration"])
        except ValueError:
            concentration = math.nan
        if not math.isfinite(concentration) or concentration < 0:
            raise ConfigError(f"{where}: concentration {text['concentration']!r} is no number of 0 or more")
    if text["control"] not in CONTROLS:
        raise ConfigError(
            f"{where}: control {text['control']!r} is unknown; expected negative, positive, empty or blank"
        )
    return WellTreatment(well, text["treatment"], concentration, text["unit"], text["control"])


def plate_map_digest(path: str | None) -> str:
    """Return a digest of a plate map's content, ``""`` where there is none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else ""
