"""Where the logs of jobs lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellfield.results import paths
from wellfield.results.paths import WELL_RULES
from wellfield.results.status import failed_wells
from wellfield.results.well_writer import STEP_NAME

__all__ = ["WELL_RULES", "failure_logs", "job_log"]


def job_log(results: str | os.PathLike[str], rule: str, name: str) -> Path:
    """Return the log of a job: *name* is its well, or the plate for a job of the whole plate."""
    return Path(results, paths.job_log(rule, name))


def failure_logs(results: str | os.PathLike[str], manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Return the log that recorded the failure of each of these wells that failed."""
    errors = {well: manifest["error"] or {} for well, manifest in failed_wells(manifests).items()}
    rules = {well: WELL_RULES[error.get("step") == STEP_NAME] for well, error in errors.items()}
    return {well: job_log(results, rule, well) for well, rule in rules.items()}
