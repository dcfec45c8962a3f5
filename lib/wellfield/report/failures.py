"""Wells that failed because of their data: why, and how their logs end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wellfield.report.log_excerpts import LogExcerpt, excerpt
from wellfield.report.redact import PathCleaner


class FailedWells(NamedTuple):
    """Rows of well, step, field, channel, file and reason, and the ends of the logs that recorded the failures."""

    rows: Sequence[Sequence[Any]]
    logs: Sequence[LogExcerpt]


def failed_wells(
    manifests: Mapping[str, Mapping[str, Any]], logs: Mapping[str, Path], clean: PathCleaner
) -> FailedWells:
    """Return the wells of these that failed.

    *logs* is the log of each failed well that recorded the failure: ``…/logs/RULE/WELL.log``.
    """
    failed = {
        well: manifest.get("error") or {"message": "no reason was recorded"}
        for well, manifest in manifests.items()
        if manifest.get("status") == "failed"
    }
    names = ("step", "field", "channel", "file", "message")
    rows = [[well, *(error.get(name) for name in names)] for well, error in failed.items()]
    excerpts = [
        excerpt(logs[well], clean, name="/".join(logs[well].parts[-3:]), about=well) for well in failed if well in logs
    ]
    return FailedWells(cleaned(rows, clean), excerpts)


def cleaned(rows: Sequence[Sequence[Any]], clean: PathCleaner) -> list[list[Any]]:
    """Return the rows of a table without absolute paths in their texts."""
    return [[clean(value) if isinstance(value, str) else value for value in row] for row in rows]
