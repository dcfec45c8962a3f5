"""process: run the pipeline over the wells of a job, one after another."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wellfield.faults import fails_well
from wellfield.memory import cleanup_all_gpu_frameworks, count_conversions
from wellfield.microscopes.stage_positions import field_positions
from wellfield.microscopes.virtual_paths import virtual_path
from wellfield.pipeline.executor import run_well
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.well_input import PlaneAccount, WellInput, WellStepError
from wellfield.plate.calibration import calibrations
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.plate import Plate
from wellfield.results.stage_writer import StageWriter
from wellfield.results.staged_well import StagedWell, at_work, attempt_mark, forget, is_whole, marked_well, remove_stage
from wellfield.results.well_jobs import BEGINS, read_jobs, write_job
from wellfield.storage.backend import Backend
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.memory_backend import MemoryStorageBackend
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
from wellfield.workflow.modification_guard import PlaneWatch, planes_read
from wellfield.workflow.scratch import own_scratch, scratch_folder

_logger = logging.getLogger(__name__)


def process_job(
    index: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    job: str,
    staged: str | os.PathLike[str],
    *,
    attempt: int = 1,
    illumination: str | os.PathLike[str] | None = None,
    scratch: str | None = None,
) -> None:
    """Process the wells of a job into folders beside *staged*, then write *staged*, which lists them.

    The first *attempt* of a run does every well. Another attempt goes on where that one stopped: it keeps the wells
    that are staged, and does the well that was at work last, because it may be what killed the job.
    """
    staged = Path(os.path.abspath(staged))  # also where a function changes the working directory
    wells, mark = read_jobs(staged.parents[1]).wells(job), attempt_mark(staged)
    staged.parent.mkdir(parents=True, exist_ok=True)
    # Not where the first attempt died before it came here: what is staged then is of an earlier run.
    goes_on = attempt > 1 and mark.exists()
    if not goes_on:
        for well in wells:
            remove_stage(staged.parent / well)
        mark.touch()
    died = marked_well(mark)
    for number, well in enumerate(sorted(wells, key=died.__eq__)):
        stage = staged.parent / well
        if goes_on and is_whole(stage):
            _logger.info("well %s: staged by an earlier attempt", well)
            continue
        _logger.info(BEGINS, well)
        with at_work(mark, well):
            place = scratch_folder(scratch, stage)
            with own_scratch(place, stage):
                if place is not None:
                    _logger.info("staged in %s", place)
                done = process_well(index, plan_path, well, stage, illumination=illumination, scratch=place)
        _logger.info("well %s: %s, %d planes used", well, done.status, done.planes.used)
        if not number:
            gc.freeze()  # what is imported by now stays: the collector, which runs after each well, leaves it out
    write_job(staged, wells)
    forget(mark)


def process_well(
    index: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    well: str,
    staging: str | os.PathLike[str],
    *,
    illumination: str | os.PathLike[str] | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> StagedWell:
    """Run the plan over the planes of one well and stage its results.

    A data failure is staged as such and does not raise; whatever else goes wrong does. A plane that changes while the
    well is processed is a data failure too, whatever ``on_unreadable`` says. *illumination* is the folder of the
    plate's fitted illumination, for plans that correct it; *scratch* that on the node's own disk which the staged files
    go to.
    """
    info, planes = read_index(index, [well])
    plan = Plan.read(plan_path)
    filemanager = FileManager(
        {
            Backend.VIRTUAL_WORKSPACE: VirtualWorkspaceBackend(
                info.path, {virtual_path(plane): plane.path for plane in planes}
            ),
            Backend.MEMORY: MemoryStorageBackend(),
            Backend.DISK: DiskStorageBackend(),
        }
    )
    account = PlaneAccount()
    with (
        StageWriter(
            staging,
            filemanager,
            plate=info.name,
            well=well,
            scratch=scratch,
            processing=plan.processing_digest(),
        ) as writer,
        count_conversions() as conversions,
    ):
        source = _well_input(plan, info, planes, well, filemanager, working=writer.working_folder)
        if plan.illuminated_channels:
            from wellfield.workflow.fit_illumination import read_illumination

            fitted = {c: read_illumination(illumination or "", c) for c in plan.illuminated_channels}
            source = replace(source, illumination=fitted)
        watch = PlaneWatch(info, planes_read(plan, planes), during="the well was processed")
        try:
            _check_pixel_size(plan, info, planes)
            run_well(plan, source, writer, account)
            if changed := watch.changed():
                raise changed
            staged = writer.finish(account)
        except Exception as error:
            if not fails_well(error):
                raise
            _logger.exception("well %s failed", well)
            # A half-written file cannot be read either: then this is the reason.
            return writer.finish(account, watch.changed() or error)
        finally:
            cleanup_all_gpu_frameworks()
    for (origin, target, method), count in sorted(conversions.items()):
        _logger.info("%d conversions %s → %s by %s", count, origin, target, method)
    return staged


def _check_pixel_size(plan: Plan, info: Plate, planes: Sequence[PlaneRecord]) -> None:
    """Raise if a file of the well says another pixel size than the index: its results would have a wrong scale."""
    if not info.pixel_size_of_files:
        return
    from wellfield.microscopes.pixel_sizes import contradicting_plane  # XML, which jobs of other plates do without

    found = contradicting_plane(info, planes_read(plan, planes))
    if found is not None:
        plane, size, indexed = found
        raise WellStepError(
            f"the file says {size:g} µm per pixel; expected {indexed:g} µm, as other files of the plate say. List "
            "fields of another magnification or binning as a plate of their own",
            plate=info.name,
            key=plane.key.field_key,
            channel=plane.key.channel,
            file=plane.path,
        )


def _well_input(
    plan: Plan, info: Plate, planes: Sequence[PlaneRecord], well: str, filemanager: FileManager, *, working: Path
) -> WellInput:
    """Return what the pipeline starts from, read from the backend of the settings, else through the workspace."""
    raw = plan.settings.vfs.read_backend == Backend.DISK
    paths = {p.key: str(Path(info.path, p.path)) if raw else virtual_path(p) for p in planes}
    files = {paths[p.key]: p.path for p in planes}
    # Also where no step needs them: whatever is staged can be written to plate.zarr, which says where fields lie.
    positions = field_positions(info, planes, are_needed=plan.wants_stage_positions)
    in_memory = plan.settings.vfs.intermediate_backend == Backend.MEMORY
    return WellInput(
        plate=info.name,
        well=well,
        planes=paths,
        filemanager=filemanager,
        backend=Backend.DISK if raw else Backend.VIRTUAL_WORKSPACE,
        describe=files.__getitem__,
        folder=info.path,
        shape=info.shape,
        dtypes=info.dtypes(),
        stage_positions_um=positions,
        calibrations=calibrations(info, planes, positions),
        stage_y_up=info.stage_y_up,
        intermediate=(Backend.MEMORY, "/") if in_memory else (Backend.DISK, os.fspath(working)),
    )
