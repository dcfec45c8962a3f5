"""Wells that failed because of their data: why, and how their logs end."""

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
    """Return how many of these wells failed, and a table of them with the end of each log; nothing if none did.

    *logs* is the log of each failed well that recorded the failure: ``…/logs/RULE/WELL.log``.
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
