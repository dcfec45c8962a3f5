"""Wells that failed because of their data: where, why, and the last lines of their logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellfield.faults import failure_place, failure_reason
from wellfield.report.log_excerpts import html_log
from wellfield.report.markup import html_table
from wellfield.report.redact import PathCleaner
from wellfield.results.status import failed_wells


def html_failed(
    manifests: Mapping[str, Mapping[str, Any]], logs: Mapping[str, Path], clean: PathCleaner
) -> tuple[int, str]:
    """Return how many wells failed, and a table of them with the end of each log; an empty text if none failed.

    *logs* has the log that recorded the failure of each well: ``…/logs/RULE/WELL.log``.
    """
    failed = {well: manifest["error"] for well, manifest in failed_wells(manifests).items()}
    if not failed:
        return 0, ""
    rows = [[well, failure_place(error) or None, failure_reason(error)] for well, error in failed.items()]
    parts = [html_table(("Well", "Where", "Reason"), rows, clean=clean)]
    parts += [
        html_log(logs[well], clean, name="/".join(logs[well].parts[-3:]), about=well) for well in failed if well in logs
    ]
    return len(failed), "\n".join(parts)
