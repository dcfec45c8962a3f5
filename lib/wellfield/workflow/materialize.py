"""Stage 3: write the results of one well."""

from __future__ import annotations

import os
from pathlib import Path

from wellfield.formats.json import read_json
from wellfield.materialization.well import materialize_well as write_well
from wellfield.pipeline.plan import Plan
from wellfield.pipeline.stage import StagedWell
from wellfield.plate.index import read_info
from wellfield.storage.backend import Backend
from wellfield.storage.disk import DiskStorageBackend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.zarr.backend import ZarrStorageBackend


def materialize_well(
    staging: str | os.PathLike[str],
    plan_path: str | os.PathLike[str],
    index: str | os.PathLike[str],
    results: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str],
    thumbnail: str | os.PathLike[str],
) -> StagedWell:
    """Write what one well staged, and its manifest; return the staged well."""
    filemanager = FileManager({Backend.DISK: DiskStorageBackend(), Backend.ZARR: ZarrStorageBackend()})
    staged = StagedWell.read(staging, filemanager)
    plan = Plan.from_json(read_json(plan_path), source=plan_path)
    write_well(
        staged,
        Path(staging),
        plan,
        Path(results),
        filemanager,
        info=read_info(index),
        manifest=Path(manifest),
        thumbnail=Path(thumbnail),
    )
    return staged
