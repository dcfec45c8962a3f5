"""Wells that have results and of which no raw image is left: archived, or on a disk that is not mounted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wellfield.errors import ConfigError
from wellfield.plate.plate import Plate
from wellfield.plate.wells import is_well, split_well
from wellfield.results.records import read_record, recorded_wells

_NAMED = 10


def vanished_wells(results: str | os.PathLike[str], info: Plate, wanted: Sequence[str] | None) -> list[str]:
    """Return the wells that have results and no raw image any more, row by row; their results stay.

    A well that *wanted* leaves out is none of them: a person took it out of the plate sheet.
    """
    folder = Path(results, "wells")
    found = [name.removesuffix(".json") for name in (os.listdir(folder) if folder.is_dir() else ())]
    gone = {well for well in found if is_well(well) and well not in info.wells and (wanted is None or well in wanted)}
    return sorted((well for well in gone if (folder / f"{well}.json").is_file()), key=split_well)


def refuse_lost_manifests(results: str | os.PathLike[str], info: Plate, wanted: Sequence[str] | None) -> None:
    """Raise where a well has results, but neither a manifest nor a raw image to make them again.

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
        raise ConfigError(
            f"plate {info.name}: raw files of {names} are gone, and so {'is' if len(lost) == 1 else 'are'} "
            f"{', '.join(f'{folder}/wells/{well}.json' for well in lost[:_NAMED])}, without which their results "
            "are in no table. Restore the files, or take the wells out by naming the others in the column `wells` of "
            "the plate sheet, which removes their results"
        )


def vanished_note(wells: Sequence[str]) -> str:
    """Return what is to be said of wells without raw images."""
    more = f" and {len(wells) - _NAMED} more" if len(wells) > _NAMED else ""
    return f"raw files gone; results of {', '.join(wells[:_NAMED])}{more} stay as they were"


def in_plate_order(wells: Iterable[str]) -> list[str]:
    """Return wells row by row."""
    return sorted(wells, key=split_well)
