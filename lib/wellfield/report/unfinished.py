"""The page of an unfinished plate: which wells are done, which are not, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellfield.formatting import counted
from wellfield.report.failures import find_failures
from wellfield.report.log_excerpts import LogExcerpt, excerpt
from wellfield.report.redact import PathCleaner
from wellfield.report.render import number_text, write_page


@dataclass(frozen=True)
class StoppedJob:
    """A job that ended without its results.

    Parameters
    ----------
    well:
        Empty for a job of the whole plate.
    logs:
        Its log, then those of the batch system.
    said:
        What Snakemake's log says about its end; may be empty.
    reason:
        What the job itself said about it; empty if it was killed.
    interrupted:
        Ctrl-C ended it.
    killed:
        A signal or a batch system ended it. It may have had too little memory or time.
    """

    well: str
    rule: str
    logs: tuple[Path, ...]
    said: str = ""
    interrupted: bool = False
    killed: bool = False
    reason: str = ""


@dataclass
class PlateState:
    """How far a plate is after a run.

    Parameters
    ----------
    done, failed:
        Manifest of each well that is done, or failed because of its data.
    died:
        Jobs that were killed, ran out of time or memory, or stopped at an error that is not about the data.
    broken_off:
        Jobs of wells that had begun when the run ended.
    not_begun:
        The other wells.
    vanished:
        Wells without any raw image; their results are from an earlier run.
    finished:
        Tables and report are made from the wells as they are now; at most the check of the plate is left to do.
    planes, processed:
        How many planes this run used, and of how many wells.
    """

    plate: str
    plate_path: str
    wells: Sequence[str]
    done: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    died: list[StoppedJob] = field(default_factory=list)
    broken_off: list[StoppedJob] = field(default_factory=list)
    not_begun: list[str] = field(default_factory=list)
    vanished: Sequence[str] = ()
    finished: bool = False
    planes: int = 0
    processed: int = 0

    @property
    def skipped(self) -> int:
        """How many planes were skipped in the wells that are done or failed."""
        return self._count("skipped")

    @property
    def blanked(self) -> int:
        """How many planes were taken as black in these wells."""
        return self._count("blanked")

    def _count(self, kind: str) -> int:
        planes = [manifest["planes"] for manifest in (*self.done.values(), *self.failed.values())]
        return sum(len(entry[kind]) for entry in planes)

    @property
    def skipped_fields(self) -> int:
        """How many fields were left out in the wells that are done."""
        return sum(len(manifest["planes"].get("skipped_fields", ())) for manifest in self.done.values())


def write_unfinished(
    path: str | os.PathLike[str],
    state: PlateState,
    *,
    counts: Mapping[str, Mapping[str, int]],
    failure_logs: Mapping[str, Path],
    advice: Sequence[str],
    written: str,
) -> None:
    """Write the page of an unfinished plate.

    Parameters
    ----------
    counts:
        Well → class → number of objects, of the wells that are done.
    failure_logs:
        The log that recorded the failure of each well that failed.
    advice:
        What to do next.
    written:
        When the run ended.
    """
    clean = PathCleaner(state.plate_path)
    classes = sorted({name for found in counts.values() for name in found})
    write_page(
        path,
        "unfinished.html",
        title=f"{state.plate}: not finished",
        clean=clean,
        how_far=f"{len(state.done):,} of {counted(len(state.wells), 'well')} done",
        written=written,
        advice=advice,
        died=[[job.well or "whole plate", job.rule, _why(job, clean)] for job in state.died],
        logs_of_died=[log for job in state.died for log in _logs(job, clean)],
        failed=find_failures(state.failed, failure_logs, clean),
        broken_off=[[job.well, job.rule] for job in state.broken_off],
        not_begun=state.not_begun,
        classes=classes,
        done=[
            [
                well,
                *(number_text(counts.get(well, {}).get(name)) for name in classes),
                *(len(manifest["planes"][kind]) for kind in ("missing", "skipped", "blanked")),
            ]
            for well, manifest in state.done.items()
        ],
    )


def _why(job: StoppedJob, clean: PathCleaner) -> str:
    return clean("; ".join(filter(None, (job.reason, job.said)))) or "Snakemake's log says nothing about its end"


def _logs(job: StoppedJob, clean: PathCleaner) -> list[LogExcerpt]:
    own, *others = job.logs
    about = job.well or "whole plate"
    # Logs of the batch system may lie anywhere, so their whole path is shown.
    return [
        excerpt(own, clean, name="/".join(own.parts[-3:]), about=about),
        *(excerpt(log, clean, name=str(log), about=about) for log in others),
    ]
