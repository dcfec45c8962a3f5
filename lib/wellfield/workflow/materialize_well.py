"""materialize: write the staged results of one well, then its manifest."""

from __future__ import annotations

import os
from pathlib import Path
from socket import gethostname

from wellfield.errors import BrokenStageError, DataNotFoundError
from wellfield.faults import failure_text
from wellfield.formatting import counted
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_info, read_paths
from wellfield.results.paths import WELL_RULES
from wellfield.results.records import write_record
from wellfield.results.removal import remove_scratch
from wellfield.results.staged_well import StagedWell, remove_stage, staged_files
from wellfield.results.status import WellStatus
from wellfield.results.well_writer import write_results
from wellfield.storage.backend import Backend
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.filemanager import FileManager


def materialize_well(
    staging: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    results: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str],
    thumbnail: str | os.PathLike[str],
    keep_staged: bool = False,
) -> StagedWell:
    """Write what one well staged, and its manifest; return the staged well. Its folder in scratch is removed then.

    With *keep_staged* the record of the well lists the staged files too: they go when the well does.

    Raises
    ------
    BrokenStageError
        The staged well is damaged, or of another plan. It is removed, so that the next run stages it again.
    DataNotFoundError
        The well was staged in a folder that this machine does not have.
    """
    try:
        return _materialize_well(
            staging, plan_path, index, results, manifest=manifest, thumbnail=thumbnail, keep_staged=keep_staged
        )
    except BrokenStageError as error:
        remove_stage(Path(staging))
        raise BrokenStageError(f"{error}. It is removed now; the same command stages the well again") from error


def _materialize_well(
    staging: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    results: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str],
    thumbnail: str | os.PathLike[str],
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
        Path(results),
        filemanager,
        info=read_info(index),
        manifest=Path(manifest),
        thumbnail=Path(thumbnail),
    )
    fields = {(key.field, key.timepoint) for key, _ in read_paths(index, [staged.well])[staged.well]}
    of = {"plan": plan.digest(), "fields": sorted(fields)}
    if keep_staged and staged.status == WellStatus.FAILED:
        # A failed well is computed again whatever makes it run.
        remove_stage(Path(staging))
    elif keep_staged:
        # By their names alone: whoever deletes them to save space loses no result.
        base = Path(staging).relative_to(results).as_posix()
        files += [{"path": f"{base}/{name}"} for name in staged_files(staging)]
    write_record(results, WELL_RULES[-1], files, of=of, well=staged.well)
    if staged.scratch is not None:
        remove_scratch(staged.scratch)
    return staged


def progress_line(staged: StagedWell) -> str:
    """Return one line on a well that is finished: how many planes, or why it failed."""
    place = f"{staged.plate} {staged.well}"
    if staged.error is not None:
        return f"{place}: failed: {failure_text(staged.error)}"
    planes = staged.planes
    kinds = {"missing": len(planes.missing), "skipped": len(planes.skipped), "blanked": len(planes.blanked)}
    counts = [f"{planes.used:,} planes", *(f"{number:,} {kind}" for kind, number in kinds.items() if number)]
    left_out = planes.skipped_fields
    if left_out:
        name, reason = next(iter(left_out.items()))
        counts.append(f"{counted(len(left_out), 'field')} left out ({name}: {' '.join(reason.split())})")
    return f"{place}: done, {', '.join(counts)}"
