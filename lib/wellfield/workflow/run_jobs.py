"""The jobs of a run, as Snakemake has them, and what follows from there being none.

Every run imports this, dry ones too, and so it has little behind it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from wellfield.results.paths import PlateFile

CHECK = "check_plate"

_SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


class Job(NamedTuple):
    """A job by its rule, its plate and its well, which is empty for a job of the whole plate."""

    rule: str
    plate: str
    well: str = ""


@dataclass(frozen=True)
class RunJobs:
    """The jobs of a run: those that are finished, those that are not, and of the latter those that failed.

    *whole* are the plates of which Snakemake looked at everything, and not only at single wells.
    """

    finished: frozenset[Job] = frozenset()
    pending: frozenset[Job] = frozenset()
    died: frozenset[Job] = frozenset()
    whole: frozenset[str] = frozenset()


def is_run(workflow: Any) -> bool:
    """Tell whether this process does the jobs of a run: not one of them alone, and not ``--touch``."""
    return bool(workflow.is_main_process and not workflow.touch)


def run_jobs(workflow: Any) -> RunJobs:
    """Return the jobs of plates in a run of Snakemake, those of a group one by one."""
    dag = workflow.dag
    needed = list(dag.needrun_jobs(exclude_finished=False))
    failed = [part for job in workflow.scheduler.failed for part in (job.jobs if job.is_group() else [job])]
    finished = _named(job for job in needed if dag.finished(job))
    return RunJobs(
        finished,
        _named(job for job in needed if not dag.finished(job)),
        # By their names: Snakemake makes its jobs anew after a checkpoint, and keeps the old ones that failed.
        _named(failed) - finished,
        frozenset(job.plate for job in _named(dag.jobs) if job.rule == CHECK),
    )


def needed_jobs(workflow: Any) -> frozenset[Job]:
    """Return the jobs of plates that a run is about to do."""
    return _named(workflow.dag.needrun_jobs())


def force_outputs(workflow: Any, outputs: Iterable[str]) -> None:
    """Have Snakemake make *outputs* again where the run is about them: paths as the rules have them.

    To be called by an input function, which Snakemake calls when it has the graph and has not decided yet what runs.
    What ``--forcerun`` does adds the files to the targets, which would do more than is asked for.
    """
    workflow.dag.forcefiles.update(outputs)


def _named(jobs: Iterable[Any]) -> frozenset[Job]:
    named = ((_own_name(str(job.rule.basedir), job.rule.script), job.wildcards_dict) for job in jobs)
    return frozenset(Job(rule, found["plate"], found.get("well", "")) for rule, found in named if rule)


@cache
def _own_name(folder: str, script: str | None) -> str:
    """Return the name that a rule has in this workflow: that of its script. It is empty for rules of others.

    A Snakefile that imports this workflow as a module may rename the rules, and has rules of its own.
    """
    path = Path(folder, script).resolve() if script else Path()
    return path.stem if path.parent == _SCRIPTS else ""


def remove_stale_pages(workflow: Any, results: str | os.PathLike[str]) -> None:
    """Remove the page of each plate at which there was nothing to do: it is finished.

    To be called when the process ends, as Snakemake calls no hook where nothing is to be done at all. A page stays then
    that tells of a well which was to be redone, and died, where the plate had been finished before. Never raises.
    """
    with suppress(Exception):
        if getattr(workflow, "scheduler", None) and is_run(workflow) and not workflow.dryrun:
            jobs = run_jobs(workflow)
            plates = jobs.whole - {job.plate for job in jobs.finished | jobs.pending}
            for plate in [plate for plate in plates if Path(results, plate, PlateFile.UNFINISHED_PAGE).exists()]:
                from wellfield.results.removal import remove_page

                remove_page(Path(results, plate))
