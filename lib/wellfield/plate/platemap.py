"""The plate map: what was in each well. A CSV with the columns well, treatment, concentration, unit, control."""

from __future__ import annotations

import hashlib
import math
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wellfield.errors import ConfigError, WellNameError
from wellfield.formats.strict_table import StrictRow, read_strict_table
from wellfield.formatting import counted
from wellfield.plate.units import one_spelling
from wellfield.plate.wells import canonical_well

COLUMNS = ("well", "treatment", "concentration", "unit", "control")
CONTROLS = ("", "negative", "positive", "empty")

# float() accepts more: 1_000, digits of other scripts, nan, inf.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
# The decimal comma of 0,5 uM splits it into the cells 0 and 5 uM.
_NUMBER_AS_UNIT = re.compile(_NUMBER.pattern + r"\s*(%|[^\W\d_]+(/[^\W\d_]+)?)?")
# So many wells are named in a note.
_NAMED_WELLS = 12


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

    A unit that is spelled in several ways (``uM``, ``µM``) has the first of them in all wells.

    Raises
    ------
    ConfigError
        The table is ambiguous (:func:`~wellfield.formats.strict_table.read_strict_table`), a well is listed twice, a
        concentration is not a number, a unit is a number, or a kind of control is unknown. Lists every such line with
        its number.
    """
    source = os.fspath(path)
    treatments: dict[str, WellTreatment] = {}
    problems = []
    for row in read_strict_table(path, what="plate map", delimiter=",", required=COLUMNS):
        try:
            entry = _read_row(row)
            if entry.well in treatments:
                raise ConfigError(f"well {entry.well} is listed twice")
            treatments[entry.well] = entry
        except (ConfigError, WellNameError) as error:
            problems.append(f"plate map {source}, line {row.line}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    if not treatments:
        raise ConfigError(f"plate map {source}: it lists no well; expected a line for each well below the header")
    units = one_spelling(entry.unit for entry in treatments.values())
    return {well: replace(entry, unit=units[entry.unit]) for well, entry in treatments.items()}


def _read_row(row: StrictRow) -> WellTreatment:
    text = row.cells
    if text["control"] not in CONTROLS:
        raise ConfigError(f"control {text['control']!r} is unknown; expected negative, positive, empty or blank")
    if _NUMBER_AS_UNIT.fullmatch(text["unit"]) or text["unit"] in CONTROLS[1:]:
        raise ConfigError(
            f"unit {text['unit']!r} is not a unit; expected one such as uM; check that no cell is shifted, and write "
            "0.5 with a decimal point"
        )
    # One letter may be several code points: é, or e and an accent.
    treatment = unicodedata.normalize("NFC", text["treatment"])
    return WellTreatment(
        canonical_well(text["well"]), treatment, _concentration(text["concentration"]), text["unit"], text["control"]
    )


def _concentration(text: str) -> float | None:
    if not text:
        return None
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    vanished = number == 0 and any(digit in "123456789" for digit in re.split("[eE]", text)[0])
    if not 0 <= number < math.inf or vanished:
        raise ConfigError(f"concentration {text!r} is not a number of 0 or more; expected one such as 0.5 or 1e-3")
    return abs(number)  # without the sign of -0


def compare_wells(
    treatments: Mapping[str, WellTreatment], on_plate: Collection[str], *, processed: Sequence[str] | None = None
) -> list[str]:
    """Return sentences on wells that only the map or only the plate has, and on treatments with several units.

    Parameters
    ----------
    on_plate:
        All wells of the plate.
    processed:
        The wells of the plate that are processed; all by default.

    Raises
    ------
    ConfigError
        No well of the map is on the plate: it is the map of another plate.
    """
    if not treatments:
        return []
    elsewhere = [well for well in treatments if well not in on_plate]
    if len(elsewhere) == len(treatments):
        raise ConfigError(
            f"0 of {counted(len(treatments), 'well')} of the plate map are on the plate; the map has "
            f"{_some(elsewhere)}, the plate {_some(sorted(on_plate))}; check that it is the map of this plate"
        )
    notes = []
    if elsewhere:
        notes.append(
            f"{len(elsewhere)} of {counted(len(treatments), 'well')} of the plate map are not on the plate: "
            f"{_some(elsewhere)}."
        )
    asked = on_plate if processed is None else processed
    if unmapped := [well for well in asked if well not in treatments]:
        notes.append(f"{len(unmapped)} of {counted(len(asked), 'well')} are not in the plate map: {_some(unmapped)}.")
    return notes + _several_units(treatments.values())


def _several_units(entries: Iterable[WellTreatment]) -> list[str]:
    """Return a sentence on each treatment whose concentrations have several units: they cannot be one curve."""
    units: dict[str, dict[str, None]] = {}
    for entry in entries:
        if entry.concentration is not None and not entry.control:
            units.setdefault(entry.treatment, {})[entry.unit or "none"] = None
    return [
        f"Treatment {name!r} has concentrations in several units ({', '.join(found)}): they are not converted and do "
        "not make one curve."
        for name, found in units.items()
        if len(found) > 1
    ]


def _some(wells: Sequence[str]) -> str:
    more = len(wells) - _NAMED_WELLS
    return ", ".join(wells[:_NAMED_WELLS]) + (f" and {more} more" if more > 0 else "")


def plate_map_digest(path: str | None) -> str:
    """Return a digest of a plate map's content, ``""`` where there is none."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else ""
