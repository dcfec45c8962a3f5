"""Print the space that the wells of a run need before the first job, and at the end the state of each plate.

A plate that is not finished gets a page, too: ``report/unfinished.html``.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.formatting import counted, visible
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_fields
from wellfield.report.unfinished import PlateState, StoppedJob, write_unfinished
from wellfield.results.paths import STAGING, UNFINISHED, PlateFile, WellFile, job_log
from wellfield.results.records import announce
from wellfield.results.removal import remove_page
from wellfield.results.staged_well import forget_attempts, remove_done_stages
from wellfield.results.status import failure_logs
from wellfield.results.well_jobs import read_jobs
from wellfield.workflow.ingest_plate import acquisition_notes
from wellfield.workflow.jobs import stop_reason
from wellfield.workflow.plate_progress import Stamps, files_written, plate_stamps, plate_state
from wellfield.workflow.run_sheet import drop_sheet
from wellfield.workflow.snakemake_api import (
    is_run,
    keeps_temporary,
    needed_jobs,
    run_jobs,
    runs_here,
    stop_timers,
)
from wellfield.workflow.space import plan_space, space_lines

if TYPE_CHECKING:
    from wellfield.workflow.progress import Progress

# More names than this are cut on the terminal; the page has all.
NAMED = 5

AGAIN = "Type the same command again: wells that are done are kept."
WHY = "See why {job} stopped: {log}"
NOTHING = "No well was run. Correct this, then type the same command again."
MORE = (
    "Too little memory? Run fewer jobs at once (a smaller --cores), or raise memory_margin_mb in the configuration; "
    "wells that are done are not run again. Too little time on a cluster? Raise runtime in its profile (set-resources)."
)

# The plates of these jobs are not planned yet: the jobs themselves say what space their plate takes.
_BEFORE_WELLS = ("ingest_plate", "compile_plan")


def begin_run(
    workflow: Any, *, results: str, plates: Iterable[str], wells_at_once: int, scratch: bool, keep_staged: bool
) -> dict[str, Stamps]:
    """Print what space the wells take that the run is about to do; return the state of each plate's files.

    Does nothing in the processes that Snakemake starts for single jobs, nor with ``--touch``.

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
        Less space is free than the wells take at least.
    """
    if not is_run(workflow):
        return {}
    stamps = plate_stamps(results, plates)
    for plate in plates:
        forget_attempts(Path(results, plate, STAGING))
    wells: defaultdict[str, set[str]] = defaultdict(set)
    jobs = needed_jobs(workflow)
    unplanned = {job.plate for job in jobs if job.rule in _BEFORE_WELLS}
    for job in jobs:
        if job.well and job.plate not in unplanned:
            wells[job.plate].update(read_jobs(Path(results, job.plate)).wells(job.well))
    needs = []
    for plate, chosen in sorted(wells.items()):
        folder = Path(results, plate)
        plan = Plan.read(folder / PlateFile.PLAN)
        index, wanted = folder / PlateFile.INDEX, sorted(chosen)
        needs.append(plan_space(plan, index, wanted, folder, scratch=scratch, keep_staged=keep_staged, redo=True))
    for line in space_lines(needs, results, wells_at_once=wells_at_once):
        print(visible(line), file=sys.stderr, flush=True)
    return stamps


def end_run(
    workflow: Any,
    logs: Sequence[str],
    *,
    results: str,
    plates: Mapping[str, Sequence[str] | None],
    started: float,
    before: Mapping[str, Stamps],
    sheet: Path | None,
    succeeded: bool,
    keep_staged: bool = False,
    progress: Progress | None = None,
) -> None:
    """Print how far each plate is that the run worked on; write a page for each plate that it did not finish.

    Never raises: an error here is printed in one line, so that it hides no error of the run. Does nothing in the
    processes that Snakemake starts for single jobs, nor with ``--touch``.

    Parameters
    ----------
    workflow:
        Snakemake's workflow.
    logs:
        Snakemake's own logs of the run.
    results:
        Folder of all results, as it is configured.
    plates:
        The wells that the plate sheet names, by plate; ``None`` for all.
    started:
        When the run began, in seconds since the epoch.
    before:
        What :func:`begin_run` returned.
    sheet:
        The run's copy of the plate sheet; it is removed.
    keep_staged:
        Whether staged wells stay when their results are written.
    progress:
        What printed the progress of the run.
    """
    if progress is not None:
        progress.finish()
    drop_sheet(sheet)
    with suppress(OSError, ValueError):  # nobody reads stderr any more
        try:
            if is_run(workflow):
                ended = _Ending(
                    workflow,
                    logs,
                    results=results,
                    plates=plates,
                    started=started,
                    before=before,
                    succeeded=succeeded,
                    keep_staged=keep_staged,
                )
                print(visible("\n".join(ended.lines + ended.advice())), file=sys.stderr, flush=True)
                if mistakes := ended.mistakes():
                    # After Snakemake's own last messages, so that the user reads it last.
                    atexit.register(_say_last, mistakes)
                stop_timers()
        except Exception as error:
            print(f"no summary of the run: {error!r}", file=sys.stderr, flush=True)


class _Ending:
    """The text at the end of a run: a line for each plate, then what to do."""

    def __init__(
        self,
        workflow: Any,
        logs: Sequence[str],
        *,
        results: str,
        plates: Mapping[str, Sequence[str] | None],
        started: float,
        before: Mapping[str, Stamps],
        succeeded: bool,
        keep_staged: bool,
    ) -> None:
        self.lines: list[str] = []
        self._states: list[tuple[Path, PlateState]] = []
        self._unmapped: list[tuple[str, Path]] = []
        self._succeeded = succeeded
        jobs = run_jobs(workflow)
        text = "\n".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
        now = plate_stamps(results, plates)
        worked_on = {job.plate for job in jobs.finished | jobs.pending}
        for plate, wells in plates.items():
            folder, written = Path(results, plate), files_written(before.get(plate, {}), now[plate])
            if plate not in worked_on and not written:
                continue
            try:
                # A job on another machine printed it where nobody looks.
                if PlateFile.INGEST_REPORT in written and not runs_here(workflow):
                    notes = acquisition_notes(folder / PlateFile.INGEST_REPORT)
                    self.lines += [f"warning: {plate}: {note}" for note in notes]
                state = plate_state(folder, plate, wells, jobs, snakemake_log=text, started=started, written=written)
                if state is None:
                    self.lines.append(_not_mapped(folder, plate))
                    self._unmapped.append((plate, folder / job_log("ingest_plate", plate)))
                    continue
                self.lines.append(summary_line(state, time.time() - started) + _see(folder, state, succeeded=succeeded))
                self._states.append((folder, state))
                if succeeded and not keep_staged and not keeps_temporary(workflow):
                    remove_done_stages(folder / STAGING, folder / WellFile.MANIFEST.folder)
            except Exception as error:  # the other plates still get their line
                self.lines.append(f"{plate}: no summary: {error}")

    def advice(self) -> list[str]:
        """Return what to do next; advice for several plates stands there once."""
        if self._succeeded:
            return []
        return list(dict.fromkeys(line for folder, state in self._states for line in advice(folder, state)))

    def mistakes(self) -> list[str]:
        """Return the errors that stopped jobs, each once with its jobs; at the end, if so, that no well was run."""
        found: dict[str, list[str]] = {}
        for _, state in self._states:
            for job in state.died:
                if job.reason:
                    found.setdefault(job.reason, []).append(f"{state.plate} {_job_name(job)}")
        for plate, log in self._unmapped:
            if reason := stop_reason(log):
                found.setdefault(reason, []).append(f"{plate} ingest_plate")
        lines = [f"{_listed(jobs)} stopped: {reason}" for reason, jobs in found.items()]
        nothing = not any(state.processed for _, state in self._states)
        return [*lines, NOTHING] if lines and nothing else lines


def _say_last(lines: Sequence[str]) -> None:
    with suppress(OSError, ValueError):
        print(visible("\n".join(lines)), file=sys.stderr, flush=True)


def _not_mapped(folder: Path, plate: str) -> str:
    """Return the line of a plate that was not ingested; remove its page, unless an earlier run ingested the plate."""
    again = ""
    if (folder / PlateFile.INDEX).exists():
        again = " again"
    else:
        remove_page(folder)
    return f"{plate}: not mapped{again}; see {folder / job_log('ingest_plate', plate)}"


def _see(folder: Path, state: PlateState, *, succeeded: bool) -> str:
    """Write the page of a plate; return where to look, or why there is no page (the disk is full)."""
    try:
        return f"; see {renew_page(folder, state, advice(folder, state), succeeded=succeeded)}"
    except Exception as error:
        return f"; no page: {error}"


def renew_page(results: str | os.PathLike[str], state: PlateState, advised: Sequence[str], *, succeeded: bool) -> Path:
    """Write the page of an unfinished plate, or remove the page of a finished one; return what to look at.

    If the run did all it was asked to do, but not the whole plate, it only renews a page that is there.
    """
    folder = Path(results)
    page = folder / PlateFile.UNFINISHED_PAGE
    if state.finished:
        remove_page(folder)
        return folder / PlateFile.SUMMARY
    if succeeded and not page.exists():
        return folder
    announce(folder, UNFINISHED, [PlateFile.UNFINISHED_PAGE])
    page.parent.mkdir(parents=True, exist_ok=True)
    write_unfinished(
        page,
        state,
        counts=_counts(folder, state),
        failure_logs=failure_logs(folder, state.failed),
        advice=advised,
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
    )
    return page


def _counts(results: Path, state: PlateState) -> dict[str, dict[str, int]]:
    """Return the number of objects by well that is done and class, at the first timepoint."""
    from wellfield.report.well_summary import summarise_wells
    from wellfield.workflow.cell_counts import cell_counts, read_counts

    found = read_counts(results, state.done)
    if not len(found):
        return {}
    table = cell_counts(found, state.done, read_fields(results / PlateFile.INDEX), state.plate)
    wells = summarise_wells(state.done, table, {})
    return {well: {name: n for name, n in entry.counts.items() if n is not None} for well, entry in wells.items()}


def advice(results: str | os.PathLike[str], state: PlateState) -> list[str]:
    """Return what to do next about a plate; nothing if it is finished."""
    if state.finished:
        return []
    stopped = [job for job in state.died if not job.killed]
    killed = [MORE] if any(job.killed for job in state.died) else []
    why = []
    if stopped:
        log = Path(results, job_log(stopped[0].rule, stopped[0].well or state.plate))
        why = [WHY.format(job=_job_name(stopped[0]), log=log)]
    # After a mistake the same command would end the same way.
    again = [] if stopped and not state.processed and all(job.reason for job in state.died) else [AGAIN]
    return [*again, *why, *killed]


def summary_line(state: PlateState, seconds: float) -> str:
    """Return one line about a plate after a run that took *seconds*."""
    parts = [
        f"{len(state.done):,} of {counted(len(state.wells), 'well')} done",
        f"{len(state.failed):,} failed{_named(list(state.failed))}",
    ]
    if state.vanished:
        parts.append(f"raw files of {len(state.vanished):,} gone{_named(list(state.vanished))}")
    if state.died:
        parts.append(f"{len(state.died):,} died{_named(list(map(_job_name, state.died)))}")
    if state.broken_off:
        parts.append(f"{len(state.broken_off):,} broken off{_named([job.well for job in state.broken_off])}")
    if state.not_begun:
        parts.append(f"{len(state.not_begun):,} not begun")
    parts.append(f"{counted(state.skipped, 'plane')} skipped")
    if state.blanked:
        parts.append(f"{counted(state.blanked, 'plane')} blanked")
    if state.skipped_fields:
        parts.append(f"{counted(state.skipped_fields, 'field')} skipped")
    rate = state.planes / seconds if seconds > 0 else 0.0
    speed = f", {f'{rate:.3g}' if rate < 100 else f'{rate:,.0f}'} planes/s" if rate else ""
    used = f"{counted(state.planes, 'plane')} of {counted(state.processed, 'well')}"
    this_run = f"this run: {used} in {duration(seconds)}{speed}"
    return f"{state.plate}: {', '.join(parts)}; {this_run}"


def _named(names: Sequence[str]) -> str:
    return f" ({_listed(names)})" if names else ""


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _job_name(job: StoppedJob) -> str:
    return f"{job.well} {job.rule}".strip()


def duration(seconds: float) -> str:
    """Return a time in words: ``2.1 s``, ``1 min 57 s``, ``3 h 20 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
