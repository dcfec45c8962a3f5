"""The page of an unfinished plate: which wells are done, which are not, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellfield.formatting import counted
from wellfield.report.failures import html_failed
from wellfield.report.log_excerpts import html_log
from wellfield.report.markup import html_table, html_text, number_text
from wellfield.report.page import write_page
from wellfield.report.redact import PathCleaner


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
    how_far = f"{len(state.done):,} of {counted(len(state.wells), 'well')} done"
    parts = [
        f"<h1>{html_text(state.plate)}: not finished</h1>",
        f'<p class="facts">{how_far} · the run ended {written} · this page is removed once the plate is finished</p>',
        *(f"<p>{html_text(line)}</p>" for line in advice),
        _what_went_wrong(state, failure_logs, clean),
        _not_done(state),
        _done(state, counts),
    ]
    write_page(path, f"{state.plate}: not finished", parts)


def _what_went_wrong(state: PlateState, failure_logs: Mapping[str, Path], clean: PathCleaner) -> str:
    parts = []
    if state.died:
        parts.append(f"<h3>{counted(len(state.died), 'job')} died</h3>")
        nothing = "Snakemake's log says nothing about its end"
        rows = [
            [job.well or "whole plate", job.rule, clean("; ".join(filter(None, (job.reason, job.said)))) or nothing]
            for job in state.died
        ]
        parts.append(html_table(("Well", "Rule", "Why"), rows))
        parts += [_logs(job, clean) for job in state.died]
    failed, failures = html_failed(state.failed, failure_logs, clean)
    if failed:
        parts += [f"<h3>{counted(failed, 'well')} failed because of the data</h3>", failures]
    if not parts:
        return ""
    return '<section class="wrong">\n' + "\n".join(["<h2>What went wrong</h2>", *parts]) + "\n</section>"


def _logs(job: StoppedJob, clean: PathCleaner) -> str:
    own, *others = job.logs
    parts = [html_log(own, clean, name="/".join(own.parts[-3:]), about=job.well or "whole plate")]
    # Logs of the batch system may lie anywhere, so their whole path is shown.
    parts += [html_log(log, clean, name=str(log), about=job.well or "whole plate") for log in others]
    return "\n".join(parts)


def _not_done(state: PlateState) -> str:
    parts = []
    if state.broken_off:
        rows = [[job.well, job.rule] for job in state.broken_off]
        parts.append(f"<h2>{counted(len(rows), 'well')} broken off</h2>")
        parts.append('<p class="note">They had begun when the run ended.</p>')
        parts.append(html_table(("Well", "Last rule"), rows))
    if state.not_begun:
        parts.append(f"<h2>{counted(len(state.not_begun), 'well')} not begun</h2>")
        parts.append(f"<p>{', '.join(map(html_text, state.not_begun))}</p>")
    return "\n".join(parts)


def _done(state: PlateState, counts: Mapping[str, Mapping[str, int]]) -> str:
    if not state.done:
        return ""
    classes = sorted({name for found in counts.values() for name in found})
    rows = []
    for well, manifest in state.done.items():
        planes = manifest["planes"]
        numbers = [number_text(counts.get(well, {}).get(name)) for name in classes]
        rows.append([well, *numbers, *(len(planes[kind]) for kind in ("missing", "skipped", "blanked"))])
    head = ["Well", *classes, "Planes missing", "Planes skipped", "Planes blanked"]
    note = (
        "Objects of each class at the first time point, from the tables of the wells."
        if classes
        else "No objects were counted."
    )
    table = html_table(head, rows, numbers=range(1, len(head)))
    return f'<h2>{counted(len(rows), "well")} done</h2>\n<p class="note">{note}</p>\n{table}'
