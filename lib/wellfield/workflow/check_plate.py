"""check: the last stage. It fails if a well of the plate failed, and says which wells and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wellfield.errors import PlateFailedError
from wellfield.formatting import counted
from wellfield.pipeline.plan_file import PLAN, plan_digest
from wellfield.results.manifest import read_manifests
from wellfield.results.paths import PlateFile
from wellfield.results.status import failure_lines
from wellfield.workflow.vanished import in_plate_order, vanished_note

_NAMED = 10


def check_plate(
    results: str | os.PathLike[str], wells: Sequence[str], *, vanished: Sequence[str] = ()
) -> dict[str, Any]:
    """Return a summary of the plate's wells.

    Raises
    ------
    PlateFailedError
        A well failed, its raw files are gone (*vanished*), or another plan made it. The message gives well and reason.
    """
    manifests = read_manifests(results, in_plate_order({*wells, *vanished}))
    problems = []
    if failures := failure_lines(manifests):
        lines = "".join(f"\n  {well}: {why}" for well, why in failures.items())
        problems.append(
            f"{len(failures)} of {len(manifests)} wells failed:{lines}\n"
            f"Tables and report of the other wells are in {os.fspath(results)}. Correct the files or the pipeline and "
            "run the same command again: only these wells and the plate's tables are redone"
        )
    if vanished:
        digest = plan_digest(PLAN.read(Path(results, PlateFile.PLAN)))
        old = [well for well in vanished if manifests[well]["plan_digest"] != digest]
        made_by_other = f"; another pipeline made the results of {', '.join(old[:_NAMED])}, so no statistic uses them"
        other = made_by_other if old else ""
        problems.append(
            f"{vanished_note(vanished)}{other}. Bring the raw files back. Or name only the other wells in the column "
            "`wells` of the plate sheet; then the results of these wells are removed"
        )
    if problems:
        plate = next(iter(manifests.values()))["plate"]
        raise PlateFailedError(f"plate {plate}: " + "\n".join(problems))
    refuse_other_plan(Path(results), {well: manifests[well] for well in wells})
    planes = [manifest["planes"] for manifest in manifests.values()]
    return {
        "wells": len(manifests),
        "planes_used": sum(entry["used"] for entry in planes),
        **{f"planes_{kind}": sum(len(entry[kind]) for entry in planes) for kind in ("missing", "skipped", "blanked")},
        "fields_skipped": sum(len(entry["skipped_fields"]) for entry in planes),
    }


def refuse_other_plan(results: Path, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse wells that another plan made, as when a run in another working directory wrote to the same results.

    Raises
    ------
    PlateFailedError
        There are such wells. The next run does them again.
    """
    path = results / PlateFile.PLAN
    digest = plan_digest(PLAN.read(path))
    others = [well for well, manifest in manifests.items() if manifest["plan_digest"] != digest]
    if others:
        raise PlateFailedError(
            f"{counted(len(others), 'well')} of {results} (such as {others[0]}) are of another pipeline than {path}: "
            "another working directory wrote to the same results. Run the same command again, and they are done again"
        )
