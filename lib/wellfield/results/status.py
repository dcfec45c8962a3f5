"""What became of a well and of its fields, and why a well failed: one word each, and one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from wellfield.faults import failure_text
from wellfield.results.paths import WELL_RULES, job_log
from wellfield.results.well_jobs import WellJobs, read_jobs

Manifest = TypeVar("Manifest", bound=Mapping[str, Any])

# The step that a manifest names if the well failed in materialize_well, which runs no step of the pipeline.
MATERIALIZE_STEP = "materialize"


class WellStatus(StrEnum):
    """The ``status`` of a well in its manifest."""

    DONE = "done"
    FAILED = "failed"


class FieldStatus(StrEnum):
    """What became of a field, in the column ``Status`` of ``cell_counts``. A whole well has that of its worst field."""

    OK = "ok"
    FIELD_BLANKED = "field_blanked"
    FIELD_SKIPPED = "field_skipped"
    FIELD_ABSENT = "field_absent"
    WELL_FAILED = "well_failed"
    OTHER_PIPELINE = "other_pipeline"


def failed_wells(manifests: Mapping[str, Manifest]) -> dict[str, Manifest]:
    """Return the manifests of the wells that failed, by well."""
    return {well: manifest for well, manifest in manifests.items() if manifest["status"] != WellStatus.DONE}


def failure_logs(results: str | os.PathLike[str], manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, Path]:
    """Return the log that recorded the failure of each well that failed, by well. It is that of the well's job."""
    errors = {well: manifest["error"] or {} for well, manifest in failed_wells(manifests).items()}
    rules = {well: WELL_RULES[error.get("step") == MATERIALIZE_STEP] for well, error in errors.items()}
    jobs = read_jobs(results) if rules else WellJobs()
    return {well: Path(results, job_log(rule, jobs.of(well))) for well, rule in rules.items()}


def failure_lines(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return where and why each well that failed did so, by well: ``field 2, step 1 (blur): no nuclei found``."""
    return {well: failure_text(manifest["error"]) for well, manifest in failed_wells(manifests).items()}
