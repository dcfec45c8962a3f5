"""Wells that failed because of their data: why, and how their logs end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wellfield.faults import failure_place, failure_reason
from wellfield.report.log_excerpts import LogExcerpt, excerpt
from wellfield.report.redact import PathCleaner
from wellfield.results.status import failed_wells


class Failures(NamedTuple):
    """Rows of well, place and reason, and the ends of the logs that recorded the failures."""

    rows: Sequence[Sequence[Any]]
    logs: Sequence[LogExcerpt]


def find_failures(manifests: Mapping[str, Mapping[str, Any]], logs: Mapping[str, Path], clean: PathCleaner) -> Failures:
    """Return the wells that failed, and why.

    *logs* has the log that recorded the failure of each well: ``…/logs/RULE/JOB.log``.
    """
    failed = {well: manifest["error"] for well, manifest in failed_wells(manifests).items()}
    rows = [[well, failure_place(error) or None, failure_reason(error)] for well, error in failed.items()]
    excerpts = [
        excerpt(logs[well], clean, name="/".join(logs[well].parts[-3:]), about=well, well=well)
        for well in failed
        if well in logs
    ]
    return Failures(cleaned(rows, clean), excerpts)


def cleaned(rows: Sequence[Sequence[Any]], clean: PathCleaner) -> list[list[Any]]:
    """Return the rows of a table without absolute paths in their texts."""
    return [[clean(value) if isinstance(value, str) else value for value in row] for row in rows]
