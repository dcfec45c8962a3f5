"""What a run says before its first job: the space that its wells take."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wellfield.formatting import visible
from wellfield.pipeline.plan import Plan
from wellfield.workflow.run_files import Stamps, plate_stamps
from wellfield.workflow.snakemake_api import is_run, needed_jobs
from wellfield.workflow.space import plan_space, space_lines

MAPPING = ("ingest_plate", "compile_plan")


def begin_run(
    workflow: Any, *, results: str, plates: Iterable[str], wells_at_once: int, scratch: bool, keep_staged: bool
) -> dict[str, Stamps]:
    """Print a line for each plate of which wells are about to be done; return what the results are now, by plate.

    Plates that are yet to be mapped or planned are seen to by their own jobs. Does nothing in the processes that
    Snakemake starts for single jobs, nor with ``--touch``, which does no well.

    Parameters
    ----------
    workflow:
        Snakemake's workflow.
    results:
        Folder of all results, as it is configured.
    plates:
        All plates of the run.
    wells_at_once:
        How many wells the run works on at a time.
    scratch:
        Whether wells are staged on the nodes' own disks.
    keep_staged:
        Whether staged wells stay when their results are written.

    Raises
    ------
    DiskSpaceError
        Less is free than the wells take at least.
    """
    if not is_run(workflow):
        return {}
    stamps = plate_stamps(results, plates)
    wells: defaultdict[str, set[str]] = defaultdict(set)
    jobs = needed_jobs(workflow)
    unplanned = {job.plate for job in jobs if job.rule in MAPPING}
    for job in jobs:
        if job.well and job.plate not in unplanned:
            wells[job.plate].add(job.well)
    needs = []
    for plate, chosen in sorted(wells.items()):
        folder = Path(results, plate)
        plan = Plan.read(folder / "plan.json")
        index = folder / "index.parquet"
        wanted = sorted(chosen)
        needs.append(plan_space(plan, index, wanted, folder, scratch=scratch, keep_staged=keep_staged, redo=True))
    for line in space_lines(needs, results, wells_at_once=wells_at_once):
        print(visible(line), file=sys.stderr, flush=True)
    return stamps
