"""Find vanished wells: they have results, but their raw images are gone (archived, or the disk is not mounted)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wellfield.errors import ConfigError
from wellfield.plate.plate import Plate
from wellfield.plate.wells import is_well, split_well
from wellfield.results.paths import WellFile
from wellfield.results.records import read_record, recorded_wells

_NAMED = 10


def vanished_wells(results: str | os.PathLike[str], info: Plate, wanted: Sequence[str] | None) -> list[str]:
    """Return the wells that have results but no raw image any more, row by row. Their results stay.

    A well that is not among *wanted* has not vanished: the user took it out of the plate sheet.
    """
    folder = Path(results, WellFile.MANIFEST.folder)
    found = [name.removesuffix(".json") for name in (os.listdir(folder) if folder.is_dir() else ())]
    gone = {well for well in found if is_well(well) and well not in info.wells and (wanted is None or well in wanted)}
    return sorted((well for well in gone if (folder / f"{well}.json").is_file()), key=split_well)


def refuse_lost_manifests(results: str | os.PathLike[str], info: Plate, wanted: Sequence[str] | None) -> None:
    """Raise if a well has results, but no manifest, and no raw image from which to make them again.

    Raises
    ------
    ConfigError
        Names the wells and what to do.
    """
    folder = Path(results)
    there = {*info.wells, *vanished_wells(results, info, wanted)}
    gone = [well for well in recorded_wells(folder) if well not in there and (wanted is None or well in wanted)]
    lost = [well for well in gone if (record := read_record(folder, "", well)) is not None and record.of]
    if lost:
        names = ", ".join(lost[:_NAMED])
        manifests = ", ".join(str(folder / WellFile.MANIFEST.of(well)) for well in lost[:_NAMED])
        raise ConfigError(
            f"plate {info.name}: raw files of {names} are gone, and so {'is' if len(lost) == 1 else 'are'} "
            f"{manifests}, without which no table can include their results. Restore the files. Or name only the "
            "other wells in the column `wells` of the plate sheet; then the results of these wells are removed"
        )


def vanished_note(wells: Sequence[str]) -> str:
    """Return the note about wells without raw images."""
    more = f" and {len(wells) - _NAMED} more" if len(wells) > _NAMED else ""
    return f"raw files gone; results of {', '.join(wells[:_NAMED])}{more} stay as they were"


def in_plate_order(wells: Iterable[str]) -> list[str]:
    """Return wells row by row."""
    return sorted(wells, key=split_well)
