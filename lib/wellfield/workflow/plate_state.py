"""How far a plate is when a run ends, from the run's jobs, the manifests and the logs."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from wellfield.plate.index import read_info
from wellfield.report.unfinished import PlateState, StoppedJob
from wellfield.results.manifest import read_manifest
from wellfield.results.staged_well import DONE
from wellfield.workflow.ingest_plate import chosen_wells
from wellfield.workflow.job_logs import WELL_RULES, job_log
from wellfield.workflow.jobs import stop_reason
from wellfield.workflow.run_files import WELLS
from wellfield.workflow.snakemake_api import CHECK, Job, RunJobs
from wellfield.workflow.snakemake_log import read_job_errors
from wellfield.workflow.vanished import in_plate_order, vanished_wells


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
    """Return how far a plate is; ``None`` if the run did not get so far as to map it.

    Parameters
    ----------
    results:
        Folder of the plate's results, as it is configured.
    wells:
        The wells that are asked for; ``None`` for all.
    snakemake_log:
        Text of Snakemake's own log of the run.
    started:
        When the run began, in seconds since the epoch: logs of wells that are older are those of other runs.
    written:
        The files of the plate's results that this run wrote.
    """
    folder = Path(results)
    index = folder / "index.parquet"
    if Job("ingest_plate", plate) in jobs.pending or not index.exists():
        return None
    info = read_info(index)
    vanished = vanished_wells(folder, info, wells)
    chosen = in_plate_order({*chosen_wells(info, wells, vanished=vanished), *vanished})
    state = PlateState(plate, info.plate_path, chosen, vanished=vanished)
    own = [job for job in jobs.died | jobs.pending if job.plate == plate]
    errors = read_job_errors(snakemake_log, [_log(folder, job).as_posix() for job in own])

    def stopped(job: Job) -> StoppedJob:
        log = _log(folder, job)
        reason = stop_reason(log) if _written(log) >= started else ""
        error = errors.get(log.as_posix())
        if error is None:
            return StoppedJob(job.well, job.rule, (log,), reason=reason)
        others = tuple(map(Path, error.other_logs))
        said, killed = error.said, error.killed
        # A batch system's log is that of the Snakemake that ran there, which knows how the process ended.
        for other in others:
            inner = read_job_errors(_text(other), [log.as_posix()], nested=True).get(log.as_posix())
            if inner is not None:
                said, killed = f"{said}; there it {inner.said}", inner.killed
        # A batch system reports a job as failed that ended with an error of its own too.
        return StoppedJob(job.well, job.rule, (log, *others), said, error.interrupted, killed and not reason, reason)

    for well in state.wells:
        of_well = [Job(rule, plate, well) for rule in WELL_RULES]
        manifest = folder / "wells" / f"{well}.json"
        begun = [job for job in of_well if _written(_log(folder, job)) >= started]
        died = [job for job in of_well if job in jobs.died]
        if not jobs.pending.intersection(of_well) and manifest.exists():
            content = read_manifest(manifest)
            (state.done if content["status"] == DONE else state.failed)[well] = content
        elif died:
            # All jobs of a group fail by Snakemake's account: it was the last one begun that did.
            job = stopped(next((job for job in reversed(died) if job in begun), died[0]))
            (state.broken_off if job.interrupted else state.died).append(job)
        elif begun:
            state.broken_off.append(stopped(begun[-1]))
        else:
            state.not_begun.append(well)
    # That a well failed because of its data is why check_plate fails.
    of_plate = sorted(job for job in jobs.died if job.plate == plate and not job.well)
    state.died += [stopped(job) for job in of_plate if job.rule != CHECK or not (state.failed or vanished)]
    read = [m for well, m in (state.done | state.failed).items() if f"{WELLS}/{well}.json" in written]
    state.processed, state.planes = len(read), sum(manifest["planes"]["used"] for manifest in read)
    waiting = any(job.plate == plate and job.rule != CHECK for job in jobs.pending)
    # Not by the times of files: a well that is redone with an equal result is newer than the report, which is right.
    state.finished = plate in jobs.whole and not waiting and _is_reported(folder, state.wells)
    return state


def _log(results: Path, job: Job) -> Path:
    return job_log(results, job.rule, job.well or job.plate)


def _text(path: Path) -> str:
    """Return what a log says, nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _written(path: Path) -> float:
    """Return when a file was written, before all times if there is none."""
    return path.stat().st_mtime if path.exists() else -1.0


def _is_reported(results: Path, wells: Sequence[str]) -> bool:
    """Tell whether the report is there, and the manifest of every well."""
    manifests = [results / "wells" / f"{well}.json" for well in wells]
    return all(path.exists() for path in [*manifests, results / "report" / "summary.html"])
