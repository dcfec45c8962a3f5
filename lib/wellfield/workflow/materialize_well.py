"""materialize: write the results of the wells of a job, one after another."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from socket import gethostname

from wellfield.errors import BrokenStageError, DataNotFoundError
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_info, read_paths
from wellfield.results.manifest import file_entry, read_manifest
from wellfield.results.paths import WELL_RULES, WellFile
from wellfield.results.records import announce, write_record
from wellfield.results.removal import remove_scratch
from wellfield.results.staged_well import StagedWell, forget, remove_stage, staged_files
from wellfield.results.status import WellStatus
from wellfield.results.well_jobs import BEGINS, read_job, write_job
from wellfield.results.well_writer import write_results
from wellfield.storage.backend import Backend
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.filemanager import FileManager

_logger = logging.getLogger(__name__)


def materialize_job(
    staged: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    manifest: str | os.PathLike[str],
    *,
    keep_staged: bool = False,
) -> list[StagedWell]:
    """Write the wells that the file *staged* lists, and the *manifest* that stands for the job.

    A staged well is removed once its manifest is written, except with *keep_staged*. After a kill, wells that have
    their manifests are not written again. Return the wells that are written.

    Raises
    ------
    BrokenStageError
        A staged well is damaged, gone, or of another plan. *staged* is removed, so that the next run stages it again.
    DataNotFoundError
        A well was staged in a folder that this machine does not have.
    """
    staged, manifest = Path(staged), Path(manifest)
    results, job = manifest.parents[1], manifest.stem
    wells, done = read_job(staged), list[StagedWell]()
    try:
        for well in wells:
            stage = staged.parent / well
            if not stage.is_dir() and _is_written(results, well, staged, plan_path):
                continue
            if well != job:
                announce(results, WELL_RULES[-1], [file.of(well) for file in WellFile], well=well)
            _logger.info(BEGINS, well)
            written = materialize_well(stage, plan_path, index, results, well=well, job=job, keep_staged=keep_staged)
            if not keep_staged:
                remove_stage(stage)
            _logger.info("well %s: %s", well, written.status)
            done.append(written)
    except BrokenStageError as error:
        forget(staged)
        raise BrokenStageError(f"{error}. It is removed now; the same command stages the well again") from error
    if wells != [job]:
        write_job(manifest, wells)
        kept = [{"path": staged.relative_to(results).as_posix()}] if keep_staged else []
        write_record(results, WELL_RULES[-1], [file_entry(results, manifest), *kept], of={"wells": wells}, well=job)
    if any(well.status == WellStatus.FAILED for well in done):
        # With keep_staged too: a failed well is computed again whatever makes it run, and so is its whole job.
        forget(staged)
    return done


def _is_written(results: Path, well: str, staged: Path, plan_path: str | os.PathLike[str]) -> bool:
    """Tell whether an attempt that was killed wrote this well from what *staged* lists."""
    path = results / WellFile.MANIFEST.of(well)
    if not path.exists() or path.stat().st_mtime_ns < staged.stat().st_mtime_ns:
        return False
    return bool(read_manifest(path)["plan_digest"] == Plan.read(plan_path).digest())


def materialize_well(
    staging: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    results: str | os.PathLike[str],
    *,
    well: str,
    job: str = "",
    keep_staged: bool = False,
) -> StagedWell:
    """Write what one well staged, and its manifest; return the staged well. Its folder in scratch is removed then.

    The record of the well names the *job*, which is the well's own by default.

    With *keep_staged* the record of the well lists the staged files too: they go when the well does.

    Raises
    ------
    BrokenStageError
        The staged well is damaged, or of another plan. It is removed.
    DataNotFoundError
        The well was staged in a folder that this machine does not have.
    """
    try:
        return _materialize_well(
            staging, plan_path, index, Path(results), well=well, job=job or well, keep_staged=keep_staged
        )
    except BrokenStageError:
        remove_stage(Path(staging))
        raise


def _materialize_well(
    staging: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    results: Path,
    *,
    well: str,
    job: str,
    keep_staged: bool,
) -> StagedWell:
    filemanager = FileManager({Backend.DISK: DiskStorageBackend()})
    staged = StagedWell.read(staging, filemanager)
    if staged.scratch is not None and staged.status == WellStatus.DONE and not Path(staged.scratch).is_dir():
        raise DataNotFoundError(
            f"well {staged.well} was staged in {staged.scratch}, which {gethostname()} does not have; process_well and "
            "materialize_well must run as one group of jobs where `scratch` is configured. Run the same command again"
        )
    plan = Plan.read(plan_path)
    if staged.processing != plan.processing_digest():
        raise BrokenStageError(f"{staging} was staged for another plan than {plan_path}")
    files = write_results(
        staged,
        Path(staging),
        plan,
        results,
        filemanager,
        info=read_info(index),
        manifest=results / WellFile.MANIFEST.of(well),
        thumbnail=results / WellFile.THUMBNAIL.of(well),
    )
    fields = {(key.field, key.timepoint) for key, _ in read_paths(index, [staged.well])[staged.well]}
    of = {"plan": plan.digest(), "fields": sorted(fields), "job": job}
    if keep_staged and staged.status == WellStatus.FAILED:
        # A failed well is computed again whatever makes it run.
        remove_stage(Path(staging))
    elif keep_staged:
        # By their names alone: whoever deletes them to save space loses no result.
        base = Path(staging).relative_to(results).as_posix()
        files += [{"path": path} for path in (f"{base}.json", *(f"{base}/{name}" for name in staged_files(staging)))]
    write_record(results, WELL_RULES[-1], files, of=of, well=staged.well)
    if staged.scratch is not None:
        remove_scratch(staged.scratch)
    return staged
