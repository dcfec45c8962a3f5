"""The last stage: fails if any well of the plate failed, and says which and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wellfield.errors import PlateFailedError
from wellfield.pipeline.staged import DONE
from wellfield.workflow.aggregate import read_manifests
from wellfield.workflow.reasons import reason_text


def check_plate(results: str | os.PathLike[str], wells: Sequence[str]) -> dict[str, Any]:
    """Return a summary of the plate's wells.

    Raises
    ------
    PlateFailedError
        A well failed; the message lists each with its reason.
    """
    manifests = read_manifests(Path(results) / "wells", wells)
    failed = {well: manifest["error"] for well, manifest in manifests.items() if manifest["status"] != DONE}
    if failed:
        plate = next(iter(manifests.values()))["plate"]
        lines = "".join(f"\n  {well}: {reason_text(error)}" for well, error in failed.items())
        raise PlateFailedError(
            f"plate {plate}: {len(failed)} of {len(manifests)} wells failed:{lines}\n"
            f"Tables and report of the other wells are in {os.fspath(results)}. Mend the files or the pipeline and run "
            "the same command again: only these wells and the plate's tables are redone"
        )
    planes = [manifest["planes"] for manifest in manifests.values()]
    return {
        "wells": len(manifests),
        "planes_used": sum(entry["used"] for entry in planes),
        **{f"planes_{kind}": sum(len(entry[kind]) for entry in planes) for kind in ("missing", "skipped", "blanked")},
        "fields_skipped": sum(len(entry["skipped_fields"]) for entry in planes),
    }
