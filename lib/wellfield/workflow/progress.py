"""What a run prints while it is under way: a bar on a terminal, and a line for each well in a file.

It takes the place of what Snakemake prints for each job, which Snakemake's log file still has. Errors, warnings and
messages that are not about a single job are printed as they are.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from wellfield.errors import WellfieldError
from wellfield.faults import failure_text
from wellfield.formatting import counted, visible
from wellfield.results.manifest import read_manifest
from wellfield.results.paths import WELL_RULES, WellFile, job_log
from wellfield.results.status import WellStatus
from wellfield.workflow.jobs import stop_reason
from wellfield.workflow.snakemake_api import Job

# Longest line in characters; the log of the job has all.
LONGEST = 300
# Characters of the bar itself.
BAR = 20

# Snakemake's events about single jobs, and about settings that the user has chosen.
_OF_JOBS = {"job_info", "group_info", "job_started", "job_finished", "shellcmd", "run_info", "resources_info"}
# Messages of the same kind that have no event.
_STEPS = re.compile(
    r"(Building DAG|Select jobs|Execute \d+ job|Updating (checkpoint|jobs)|DAG of jobs will|Removing temporary"
    r"|Touching |Activating conda|Using shell|Rules claiming|Group jobs:|Singularity containers:"
    r"|Conda environments: ignored|Storing output|Job \d+ has been submitted|Submitted array job"
    r"|Waiting for|Elapsed time)"
)


@dataclass
class Count:
    """How far a run is, counted in wells.

    Parameters
    ----------
    total:
        Wells that the run is about to do, as far as the plates are planned.
    begun:
        When the first job of wells began, in seconds; ``None`` before that.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    planes: int = 0
    begun: float | None = None
    plates: set[str] = field(default_factory=set)

    def add(self, manifest: Mapping[str, Any]) -> None:
        """Count a well that is finished."""
        self.done += 1
        self.failed += manifest["status"] == WellStatus.FAILED
        self.planes += manifest["planes"]["used"]

    def text(self, now: float) -> str:
        """Return the numbers of the run: ``17 of 96 wells, 1 failed, 8.5 planes/s, 0:12 left``."""
        parts = [f"{self.done:,} of {counted(max(self.total, self.done), 'well')}", f"{self.failed:,} failed"]
        seconds = now - (self.begun or now)
        if self.done and seconds > 0:
            left = seconds * max(self.total - self.done, 0) / self.done
            parts += [f"{self.planes / seconds:,.1f} planes/s", f"{clock(left)} left"]
        return ", ".join(parts)

    def bar(self, now: float, width: int) -> str:
        """Return bar and numbers, at most *width* characters."""
        full = BAR * self.done // self.total if self.total else 0
        plates = next(iter(self.plates)) if len(self.plates) == 1 else counted(len(self.plates), "plate")
        return f"[{'#' * full}{'.' * (BAR - full)}] {plates}: {self.text(now)}"[:width]


def clock(seconds: float) -> str:
    """Return a time as people read it: ``0:07``, ``12:30``, ``1:02:10``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def well_line(manifest: Mapping[str, Any]) -> str:
    """Return one line on a well that is finished: how many planes, or why it failed."""
    place = f"{manifest['plate']} {manifest['well']}"
    if manifest["error"] is not None:
        return f"{place}: failed: {failure_text(manifest['error'])}"
    planes = manifest["planes"]
    kinds = {kind: len(planes.get(kind) or ()) for kind in ("missing", "skipped", "blanked")}
    counts = [f"{planes['used']:,} planes", *(f"{number:,} {kind}" for kind, number in kinds.items() if number)]
    left_out = planes.get("skipped_fields") or {}
    if left_out:
        name, reason = next(iter(left_out.items()))
        counts.append(f"{counted(len(left_out), 'field')} left out ({name}: {' '.join(reason.split())})")
    return f"{place}: done, {', '.join(counts)}"


class Progress(logging.Handler):
    """Prints the progress of a run, and passes to Snakemake's own handler what is not about single jobs.

    Parameters
    ----------
    inner:
        Snakemake's handler for the terminal.
    results:
        Folder of all results.
    wells_of:
        Returns the wells of a job, by plate and name of the job.
    to_do:
        Returns the jobs of wells that the run does or has done.
    quiet:
        What ``--quiet`` names: ``progress`` leaves out bar and wells, ``rules`` the stages of a plate.
    """

    def __init__(
        self,
        inner: logging.Handler,
        results: str,
        *,
        stream: TextIO,
        is_terminal: bool,
        wells_of: Callable[[str, str], Sequence[str]],
        to_do: Callable[[], Iterable[Job]],
        quiet: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.count = Count()
        self._inner, self._results, self._stream, self._is_terminal = inner, Path(results), stream, is_terminal
        self._wells_of, self._to_do, self._quiet = wells_of, to_do, frozenset(quiet)
        self._jobs: dict[int, Job] = {}
        self._steps = 0
        self._is_drawn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print what a person wants to see of a record. If that fails, Snakemake prints it."""
        try:
            self._handle(str(getattr(record, "event", None) or ""), record)
        except (WellfieldError, OSError, AttributeError, KeyError):
            self._pass_on(record)

    def finish(self) -> None:
        """Remove the bar: the run has ended."""
        self.acquire()
        try:
            self._clear()
            self.count = Count()
        finally:
            self.release()

    def _handle(self, event: str, record: Any) -> None:
        if event == "job_info":
            self._begin(record)
        elif event == "job_finished":
            self._finished(self._jobs.get(record.job_id))
        elif event == "progress":
            if record.total != self._steps:
                self._steps = record.total
                self._count_wells()
            self._draw()
        elif event in ("job_error", "group_error"):
            errors = record.job_error_info if event == "group_error" else [vars(record)]
            for error in errors:
                self._stopped(error)
        elif event not in _OF_JOBS and (record.levelno != logging.INFO or not _STEPS.match(record.getMessage())):
            self._pass_on(record)

    def _begin(self, record: Any) -> None:
        wildcards = record.wildcards
        if "plate" not in wildcards:
            return
        job = Job(record.rule_name, wildcards["plate"], wildcards.get("well", ""))
        self._jobs[record.jobid] = job
        if job.well:
            self.count.plates.add(job.plate)
            if self.count.begun is None:
                self.count.begun = time.time()
                self._count_wells()
            self._draw()
        elif "rules" not in self._quiet:
            self._say(str(record.rule_msg))

    def _count_wells(self) -> None:
        """Count the wells of the run again: after a checkpoint there are more jobs."""
        jobs = {(job.plate, job.well) for job in self._to_do() if job.rule == WELL_RULES[-1]}
        self.count.total = sum(len(self._wells_of(plate, name)) for plate, name in jobs)

    def _finished(self, job: Job | None) -> None:
        if job is None or job.rule != WELL_RULES[-1]:
            return
        for well in self._wells_of(job.plate, job.well):
            manifest = read_manifest(self._results / job.plate / WellFile.MANIFEST.of(well))
            self.count.add(manifest)
            failed = manifest["status"] == WellStatus.FAILED
            if failed or (not self._is_terminal and "progress" not in self._quiet):
                self._say(f"{well_line(manifest)} ({self.count.done:,} of {self.count.total:,})")
        self._draw()

    def _stopped(self, error: Mapping[str, Any]) -> None:
        """Say that a job stopped, and why, whatever ``--quiet`` hides: its plate or well has no results."""
        job = self._jobs.get(error["jobid"])
        if job is None:
            self._say(f"{error['rule_name']} stopped; see {', '.join(error['log'])}")
            return
        log = self._results / job.plate / job_log(job.rule, job.well or job.plate)
        reason = " ".join(stop_reason(log).split())
        place = " ".join(filter(None, (job.plate, job.well)))
        others = [path for path in error["log"] if Path(path) != log]
        logs = ", ".join(map(str, (log, *others)))
        self._say(f"{place}: {job.rule} stopped{f': {reason}' if reason else ''}", f"   see {logs}")

    def _pass_on(self, record: logging.LogRecord) -> None:
        self._clear()
        self._inner.handle(record)
        self._draw()

    def _say(self, *lines: str) -> None:
        self._clear()
        now = time.strftime("%H:%M:%S")
        for number, line in enumerate(map(visible, lines)):
            text = f"{now} {line}" if not number else line
            self._stream.write(f"{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}\n")
        self._stream.flush()
        self._draw()

    def _draw(self) -> None:
        if self._is_terminal and self.count.begun is not None and "progress" not in self._quiet:
            bar = self.count.bar(time.time(), shutil.get_terminal_size().columns - 1)
            # Back to the start of the line: what a job prints begins there.
            self._stream.write(f"\r\033[K{visible(bar)}\r")
            self._stream.flush()
            self._is_drawn = True

    def _clear(self) -> None:
        if self._is_drawn:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._is_drawn = False
