"""Stage 2b: run the pipeline over one well."""

from __future__ import annotations

import logging
import os

from wellfield.errors import StepError
from wellfield.formats.json import read_json
from wellfield.memory import cleanup_all_gpu_frameworks, count_conversions
from wellfield.microscopes.paths import virtual_path
from wellfield.pipeline.execute import PlaneAccount, WellInput, run_well
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.stage import StagedWell, StageWriter
from wellfield.plate.index import read_index
from wellfield.storage.backend import Backend
from wellfield.storage.disk import DiskStorageBackend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.memory import MemoryStorageBackend
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend

_logger = logging.getLogger(__name__)


def process_well(
    index: str | os.PathLike[str], plan_path: str | os.PathLike[str], well: str, staging: str | os.PathLike[str]
) -> StagedWell:
    """Run the plan over the planes of one well and stage its results.

    A data failure is staged as such and does not raise; whatever else goes wrong does.
    """
    info, planes = read_index(index, [well])
    plan = Plan.from_json(read_json(plan_path), source=plan_path)
    workspace = VirtualWorkspaceBackend(info.plate_path, {virtual_path(plane): plane.path for plane in planes})
    filemanager = FileManager(
        {
            Backend.VIRTUAL_WORKSPACE: workspace,
            Backend.MEMORY: MemoryStorageBackend(),
            Backend.DISK: DiskStorageBackend(),
        }
    )
    source = WellInput(
        plate=info.plate,
        well=well,
        planes={plane.key: virtual_path(plane) for plane in planes},
        filemanager=filemanager,
        backend=Backend.VIRTUAL_WORKSPACE,
        describe={virtual_path(plane): plane.path for plane in planes}.__getitem__,
        shape=info.shape,
        dtype=info.dtype,
    )
    account = PlaneAccount()
    with StageWriter(staging, filemanager, plate=info.plate, well=well) as writer, count_conversions() as conversions:
        try:
            run_well(plan, source, writer, account)
        except StepError as error:
            _logger.exception("well %s failed", well)
            return writer.finish(account, error)
        finally:
            cleanup_all_gpu_frameworks()
        staged = writer.finish(account)
    for (origin, target, method), count in sorted(conversions.items()):
        _logger.info("%d conversions %s → %s by %s", count, origin, target, method)
    return staged
