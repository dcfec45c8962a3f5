"""Tells by the times of its files whether a plate may still be being acquired. Another clock may have set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from wellfield.formatting import counted
from wellfield.microscopes.scan import ScannedFile

_NANOSECONDS = 1_000_000_000


class Acquisition(NamedTuple):
    """What makes a plate look as if files were still being written to it.

    Parameters
    ----------
    files:
        How many files the plate has.
    young:
        How many are younger than *minutes*. A time in the future by less than *minutes* counts as now.
    ahead:
        How many have a time farther in the future, which says nothing about their age.
    youngest, seconds:
        The youngest of the young files, and its age; ``""`` if there is none.
    farthest, seconds_ahead:
        The file farthest in the future, and by how much; ``""`` if there is none.
    """

    minutes: float
    files: int
    young: int = 0
    ahead: int = 0
    youngest: str = ""
    seconds: int = 0
    farthest: str = ""
    seconds_ahead: int = 0

    def notes(self) -> list[str]:
        """Return what the user is told, a sentence for each."""
        of, notes = counted(self.files, "file"), []
        if self.young:
            notes.append(
                f"{self.young:,} of {of} younger than {self.minutes:g} minutes (the youngest, {self.youngest}: "
                f"{_duration(self.seconds)}): the plate may still be being acquired or copied; run the same command "
                "again when it is complete, and what has changed is redone"
            )
        if self.ahead:
            notes.append(
                f"{self.ahead:,} of {of} with a time in the future ({self.farthest}: by "
                f"{_duration(self.seconds_ahead)}): a clock is wrong, the microscope's or this machine's, and does not "
                "tell whether the plate is still being acquired"
            )
        return notes


def find_acquisition(files: Iterable[ScannedFile], *, minutes: float, now_ns: int) -> Acquisition | None:
    """Return which files are younger than *minutes*; ``None`` if there is none, or if *minutes* is 0."""
    margin = round(minutes * 60 * _NANOSECONDS)
    listed = list(files) if minutes else []
    recent = [file for file in listed if file.mtime_ns > now_ns - margin]
    if not recent:
        return None
    young = [file for file in recent if file.mtime_ns <= now_ns + margin]
    found = Acquisition(minutes, len(listed), len(young), len(recent) - len(young))
    if young:
        youngest = max(young, key=_time)
        seconds = max(now_ns - youngest.mtime_ns, 0) // _NANOSECONDS
        found = found._replace(youngest=youngest.path, seconds=seconds)
    if found.ahead:
        farthest = max(recent, key=_time)
        seconds = (farthest.mtime_ns - now_ns) // _NANOSECONDS
        found = found._replace(farthest=farthest.path, seconds_ahead=seconds)
    return found


def next_ingest_generation(report: Mapping[str, Any], files: Iterable[ScannedFile], *, now_ns: int) -> int:
    """Return how many times a plate should have been ingested again because it was still being acquired.

    The last ingest *report* has the present number. If it notes young files, and none of *files* is young any more (by
    the minutes of the report, whatever is configured now), the number rises by one.
    """
    generation = int(report.get("ingest_generation", 0))
    noted = report.get("acquisition")
    if not noted:
        return generation
    return generation + (find_acquisition(files, minutes=noted["minutes"], now_ns=now_ns) is None)


def _time(file: ScannedFile) -> int:
    return file.mtime_ns


def _duration(seconds: int) -> str:
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length:
            return counted(seconds // length, unit)
    return counted(seconds, "second")
