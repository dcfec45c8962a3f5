"""What is said and written when a run ends, well or badly: a line for each plate, and a page for those not finished."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from wellfield.formatting import counted, visible
from wellfield.plate.index import read_fields
from wellfield.report.unfinished import PlateState, StoppedJob, write_unfinished
from wellfield.results.file_names import UNFINISHED_NAME
from wellfield.results.records import UNFINISHED, announce
from wellfield.results.removal import PAGE, remove_page
from wellfield.results.staged_well import remove_done_stages
from wellfield.workflow.ingest_plate import acquisition_notes
from wellfield.workflow.job_logs import failure_logs, job_log
from wellfield.workflow.jobs import stop_reason
from wellfield.workflow.plate_state import plate_state
from wellfield.workflow.run_files import INGEST_REPORT, Stamps, files_written, plate_stamps
from wellfield.workflow.run_sheet import drop_sheet
from wellfield.workflow.snakemake_api import is_run, keeps_temporary, run_jobs, runs_here, stop_timers

# Longer lists are cut on the terminal; the page has all.
NAMED = 5

AGAIN = "Type the same command again: wells that are done are kept."
WHY = "See why {job} stopped: {log}"
NOTHING = "No well was run. Correct this, then type the same command again."
MORE = (
    "Too little memory? Run fewer jobs at once (a smaller --cores), or raise memory_margin_mb in the configuration, "
    "which runs nothing again that is done. Too little time on a cluster? Raise runtime in its profile (set-resources)."
)


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
) -> None:
    """Say on stderr how far each plate is that a run worked on; write the page of those that it did not finish.

    Never raises: what goes wrong here is said in a line and hides no error of the run. Does nothing in the processes
    that Snakemake starts for single jobs, and with ``--touch``.

    Parameters
    ----------
    workflow:
        Snakemake's workflow.
    logs:
        Snakemake's own logs of the run.
    results:
        Folder of all results, as it is configured.
    plates:
        The wells that are asked for of each plate; ``None`` for all.
    started:
        When the run began, in seconds since the epoch.
    before:
        What the results of each plate were when the run began.
    sheet:
        The run's copy of the plate sheet, which nobody needs any more.
    keep_staged:
        Whether staged wells stay when their results are written.
    """
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
                    # Behind what Snakemake itself says at the end, so that it is the last that one reads.
                    atexit.register(_say_last, mistakes)
                stop_timers()
        except Exception as error:
            print(f"no summary of the run: {error!r}", file=sys.stderr, flush=True)


class _Ending:
    """What is said at the end of a run: lines on the plates, then what to do."""

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
                # A job of another machine said it where nobody looks.
                if INGEST_REPORT in written and not runs_here(workflow):
                    notes = acquisition_notes(folder / INGEST_REPORT)
                    self.lines += [f"warning: {plate}: {note}" for note in notes]
                state = plate_state(folder, plate, wells, jobs, snakemake_log=text, started=started, written=written)
                if state is None:
                    self.lines.append(_not_mapped(folder, plate))
                    self._unmapped.append((plate, job_log(folder, "ingest_plate", plate)))
                    continue
                self.lines.append(summary_line(state, time.time() - started) + _see(folder, state, succeeded=succeeded))
                self._states.append((folder, state))
                if succeeded and not keep_staged and not keeps_temporary(workflow):
                    remove_done_stages(folder / ".staging", folder / "wells")
            except Exception as error:  # another plate's summary does not depend on this one's files
                self.lines.append(f"{plate}: no summary: {error}")

    def advice(self) -> list[str]:
        """Return what to do next, the same for several plates once."""
        if self._succeeded:
            return []
        return list(dict.fromkeys(line for folder, state in self._states for line in advice(folder, state)))

    def mistakes(self) -> list[str]:
        """Return the errors at which jobs stopped, each once with its jobs; then, if so, that nothing was run."""
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
    """Return the line of a plate of which nothing is known; its page goes, unless a mapping is still there."""
    again = ""
    if (folder / "index.parquet").exists():
        again = " again"
    else:
        remove_page(folder)
    return f"{plate}: not mapped{again}; see {job_log(folder, 'ingest_plate', plate)}"


def _see(folder: Path, state: PlateState, *, succeeded: bool) -> str:
    """Write the page of a plate and return where to look, or why there is no page, as where the disk is full."""
    try:
        return f"; see {renew_page(folder, state, advice(folder, state), succeeded=succeeded)}"
    except Exception as error:
        return f"; no page: {error}"


def renew_page(results: str | os.PathLike[str], state: PlateState, advised: Sequence[str], *, succeeded: bool) -> Path:
    """Write the page of a plate that is not finished, remove that of one that is; return the page to look at.

    A run that did what it was asked to, but not the whole plate, writes no page where there was none.
    """
    folder = Path(results)
    page = folder / "report" / UNFINISHED_NAME
    if state.finished:
        remove_page(folder)
        return page.with_name("summary.html")
    if succeeded and not page.exists():
        return folder
    announce(folder, UNFINISHED, [PAGE])
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
    """Return the objects of each class in each well that is done, at the first time point."""
    from wellfield.report.well_summary import summarise_wells
    from wellfield.workflow.aggregate_plate import cell_counts, read_counts

    found = read_counts(results, state.done)
    if not len(found):
        return {}
    table = cell_counts(found, state.done, read_fields(results / "index.parquet"), state.plate)
    wells = summarise_wells(state.done, table, {})
    return {well: {name: n for name, n in entry.counts.items() if n is not None} for well, entry in wells.items()}


def advice(results: str | os.PathLike[str], state: PlateState) -> list[str]:
    """Return what to do next about a plate; nothing if it is finished."""
    if state.finished:
        return []
    stopped = [job for job in state.died if not job.killed]
    killed = [MORE] if any(job.killed for job in state.died) else []
    why = [
        WHY.format(job=_job_name(job), log=job_log(results, job.rule, job.well or state.plate)) for job in stopped[:1]
    ]
    # After a mistake the same command ends the same way.
    again = [] if stopped and not state.processed and all(job.reason for job in state.died) else [AGAIN]
    return [*again, *why, *killed]


def summary_line(state: PlateState, seconds: float) -> str:
    """Return one line on a plate after a run that took so many seconds."""
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
