"""Find out how far a plate is when a run ends, from the run's jobs, the plate's files and the logs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from wellfield.formats.atomic import is_part
from wellfield.plate.index import read_info
from wellfield.report.unfinished import PlateState, StoppedJob
from wellfield.results.manifest import read_manifest
from wellfield.results.paths import RULE_FILES, WELL_RULES, PlateFile, WellFile, job_log
from wellfield.results.status import WellStatus
from wellfield.results.well_jobs import read_jobs
from wellfield.workflow.ingest_plate import select_wells
from wellfield.workflow.jobs import stop_reason
from wellfield.workflow.snakemake_api import CHECK, Job, RunJobs
from wellfield.workflow.snakemake_log import read_job_errors
from wellfield.workflow.vanished import in_plate_order, vanished_wells

# Time in nanoseconds, size and inode of each file, by its path in the plate's results.
Stamps = Mapping[str, tuple[int, int, int]]


def plate_stamps(results: str | os.PathLike[str], plates: Iterable[str]) -> dict[str, Stamps]:
    """Return time, size and inode of each plate's own files and manifests as they are now, by plate.

    Files tell what a run wrote, and Snakemake's jobs do not: Snakemake makes its jobs again after each checkpoint, and
    the new jobs of a plate that is complete by then did not run. A job renames its files into place, so each gets
    another inode whatever the clock of the file server says.
    """
    return {plate: _stamps(Path(results, plate)) for plate in plates}


def files_written(before: Stamps, now: Stamps) -> frozenset[str]:
    """Return the files that are new or were replaced."""
    return frozenset(path for path, stamp in now.items() if before.get(path) != stamp)


def _stamps(folder: Path) -> Stamps:
    paths = [folder / file for file in RULE_FILES]
    wells = folder / WellFile.MANIFEST.folder
    if wells.is_dir():
        paths += [wells / name for name in os.listdir(wells) if name.endswith(".json") and not is_part(name)]
    found = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path.relative_to(folder).as_posix()] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def plate_state(
    results: str | os.PathLike[str],
    plate: str,
    wells: Sequence[str] | None,
    jobs: RunJobs,
    *,
    snakemake_log: str,
    started: float,
    written: Collection[str],
) -> PlateState | None:
    """Return how far a plate is; ``None`` if the run did not ingest it.

    Parameters
    ----------
    results:
        Folder of the plate's results, as it is configured.
    wells:
        The wells that the plate sheet names; ``None`` for all.
    snakemake_log:
        Text of Snakemake's own log of the run.
    started:
        When the run began, in seconds since the epoch. Older logs of wells are those of earlier runs.
    written:
        The files of the plate's results that this run wrote.
    """
    folder = Path(results)
    index = folder / PlateFile.INDEX
    if Job(PlateFile.INDEX.rule, plate) in jobs.pending or not index.exists():
        return None
    info = read_info(index)
    vanished = vanished_wells(folder, info, wells)
    chosen = in_plate_order({*select_wells(info, wells, vanished=vanished), *vanished})
    state = PlateState(plate, info.path, chosen, vanished=vanished)
    stopped = _StoppedJobs(folder, plate, jobs, snakemake_log, started)
    well_jobs = read_jobs(folder)
    for well in state.wells:
        _sort_well(state, well, well_jobs.of(well), jobs, stopped)
    # Where wells failed or vanished, check_plate fails because of them: its job did not die.
    of_plate = sorted(job for job in jobs.died if job.plate == plate and not job.well)
    state.died += [stopped.of(job) for job in of_plate if job.rule != CHECK or not (state.failed or vanished)]
    of_run = [m for well, m in (state.done | state.failed).items() if WellFile.MANIFEST.of(well) in written]
    state.processed, state.planes = len(of_run), sum(manifest["planes"]["used"] for manifest in of_run)
    waiting = any(job.plate == plate and job.rule != CHECK for job in jobs.pending)
    # Not by the times of files: the report stays right where a well was done again with an equal result.
    state.finished = plate in jobs.whole and not waiting and _is_reported(folder, state.wells)
    return state


def _sort_well(state: PlateState, well: str, name: str, jobs: RunJobs, stopped: _StoppedJobs) -> None:
    """Add a well to the wells that are done, failed or not begun, or its job *name* to those that died or broke off."""
    of_well = [Job(rule, state.plate, name) for rule in WELL_RULES]
    manifest = stopped.folder / WellFile.MANIFEST.of(well)
    begun = [job for job in of_well if stopped.began(job)]
    died = [job for job in of_well if job in jobs.died]
    is_open = jobs.pending.intersection(of_well)
    if manifest.exists() and (not is_open or (name != well and stopped.wrote(manifest))):
        content = read_manifest(manifest)
        (state.done if content["status"] == WellStatus.DONE else state.failed)[well] = content
    elif died:
        # Snakemake counts all jobs of a group as failed. The last one that began is the one that failed.
        job = stopped.of(next((job for job in reversed(died) if job in begun), died[0]))
        _add(state.broken_off if job.interrupted else state.died, job)
    elif begun:
        _add(state.broken_off, stopped.of(begun[-1]))
    else:
        state.not_begun.append(well)


def _add(jobs: list[StoppedJob], job: StoppedJob) -> None:
    """Add a job once, for the first of its wells."""
    if job not in jobs:
        jobs.append(job)


class _StoppedJobs:
    """Why jobs of a plate stopped, by their own logs, Snakemake's log and those of the batch system."""

    def __init__(self, folder: Path, plate: str, jobs: RunJobs, snakemake_log: str, started: float) -> None:
        self.folder, self._started = folder, started
        own = [job for job in jobs.died | jobs.pending if job.plate == plate]
        self._errors = read_job_errors(snakemake_log, [self._log(job).as_posix() for job in own])

    def began(self, job: Job) -> bool:
        """Tell whether the job began in this run."""
        log = self._log(job)
        return log.exists() and log.stat().st_mtime >= self._started

    def wrote(self, manifest: Path) -> bool:
        """Tell whether this run wrote a manifest, by its time."""
        return manifest.stat().st_mtime >= self._started

    def of(self, job: Job) -> StoppedJob:
        """Return a job with what the logs say of its end."""
        log = self._log(job)
        reason = stop_reason(log) if self.began(job) else ""
        error = self._errors.get(log.as_posix())
        if error is None:
            return StoppedJob(job.well, job.rule, (log,), reason=reason)
        others = tuple(map(Path, error.other_logs))
        said, killed = error.said, error.killed
        # The log of a batch system is that of the Snakemake that ran there. It knows how the process ended.
        for other in others:
            inner = read_job_errors(_text(other), [log.as_posix()], nested=True).get(log.as_posix())
            if inner is not None:
                said, killed = f"{said}; there it {inner.said}", inner.killed
        # A batch system reports a job that ended with an error of its own as failed, too.
        return StoppedJob(job.well, job.rule, (log, *others), said, error.interrupted, killed and not reason, reason)

    def _log(self, job: Job) -> Path:
        return self.folder / job_log(job.rule, job.well or job.plate)


def _text(path: Path) -> str:
    """Return what a log says, nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _is_reported(results: Path, wells: Sequence[str]) -> bool:
    """Tell whether the summary of the plate and the manifest of every well are there."""
    paths = [PlateFile.SUMMARY, *(WellFile.MANIFEST.of(well) for well in wells)]
    return all((results / path).exists() for path in paths)
