"""Wells that have results and of which no raw image is left: archived, or on a disk that is not mounted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wellfield.plate.index import PlateInfo
from wellfield.plate.wells import is_well, split_well

_NAMED = 10


def vanished_wells(results: str | os.PathLike[str], info: PlateInfo, wanted: Sequence[str] | None) -> list[str]:
    """Return the wells that have results and no raw image any more, row by row; their results stay.

    A well that *wanted* leaves out is none of them: a person took it out of the plate sheet.
    """
    folder = Path(results, "wells")
    found = [name.removesuffix(".json") for name in (os.listdir(folder) if folder.is_dir() else ())]
    gone = {well for well in found if is_well(well) and well not in info.wells and (wanted is None or well in wanted)}
    return sorted((well for well in gone if (folder / f"{well}.json").is_file()), key=split_well)


def vanished_note(wells: Sequence[str]) -> str:
    """Return what is to be said of wells without raw images."""
    more = f" and {len(wells) - _NAMED} more" if len(wells) > _NAMED else ""
    return f"raw files gone; results of {', '.join(wells[:_NAMED])}{more} stay as they were"


def in_plate_order(wells: Iterable[str]) -> list[str]:
    """Return wells row by row."""
    return sorted(wells, key=split_well)
