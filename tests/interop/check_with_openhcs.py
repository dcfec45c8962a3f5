"""Has OpenHCS open, initialise and write plates: a JSON list of [operation, folder] in, a JSON list of answers out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

os.environ["OPENHCS_CPU_ONLY"] = "1"

from objectstate.lazy_factory import ensure_global_config_context
from openhcs.constants.constants import AllComponents
from openhcs.core.config import GlobalPipelineConfig
from openhcs.core.orchestrator.orchestrator import PipelineOrchestrator
from openhcs.microscopes.microscope_base import create_microscope_handler
from polystore.base import ensure_storage_registry, storage_registry
from polystore.filemanager import FileManager
from polystore.zarr import ZarrStorageBackend
from polystore.zarr_batch import ZarrBatchAxis, ZarrBatchAxisRole, ZarrBatchLayout


def attempt(call: Callable[[], Any]) -> Any:
    """Return what a call gives, or what it is refused with."""
    try:
        return call()
    except Exception as error:  # by whatever kind of error OpenHCS refuses
        return {"refused": f"{type(error).__name__}: {error}"}


def opened(folder: Path) -> Any:
    """Open a folder: which handler takes it, what its metadata handler says, and the planes, read one by one."""
    manager = FileManager(dict(storage_registry))
    handler = create_microscope_handler(microscope_type="auto", plate_folder=folder, filemanager=manager)
    metadata = handler.metadata_handler

    def planes() -> dict[str, Any]:
        handler.initialize_workspace(folder, manager)
        backend = handler.get_primary_backend(folder, manager)
        paths = manager.list_image_files(str(folder), backend, recursive=True)
        return {str(Path(path).relative_to(folder)): described(manager.load(path, backend)) for path in paths}

    return {
        "handler": handler.microscope_type,
        "planes": attempt(planes),
        "grid": attempt(lambda: list(metadata.get_metadata_grid_dimensions(folder))),
        "pixel_size": attempt(lambda: metadata.get_pixel_size(folder)),
        "image_files": attempt(lambda: metadata.get_image_files(folder)),
        "channels": attempt(lambda: dict(metadata.component_value_set(folder).values_for(AllComponents.CHANNEL) or {})),
        "parser": attempt(lambda: type(handler.parser).__name__),
    }


def orchestrated(folder: Path) -> dict[str, list[str]]:
    """Open a folder as a pipeline of OpenHCS does; return the values of each axis."""
    ensure_global_config_context(GlobalPipelineConfig, GlobalPipelineConfig())
    orchestrator = PipelineOrchestrator(folder)
    orchestrator.initialize()
    return {axis.value: orchestrator.get_component_keys(axis) for axis in AllComponents}


def stored(folder: Path) -> None:
    """Write a well of 3 fields × 2 channels × 2 z of 4 × 6 pixels into the Zarr store *folder*."""
    sizes = (3, 2, 2)
    items = list(np.ndindex(sizes))
    axes = tuple(
        ZarrBatchAxis(name, kind, tuple(str(number + 1) for number in range(size)), role)
        for (name, kind, role), size in zip(
            (
                ("site", "field", ZarrBatchAxisRole.HCS_IMAGE),
                ("c", "channel", ZarrBatchAxisRole.ARRAY),
                ("z", "space", ZarrBatchAxisRole.ARRAY),
            ),
            sizes,
            strict=True,
        )
    )
    ZarrStorageBackend().save_batch(
        [np.full((4, 6), 1 + number, np.uint16) for number in range(len(items))],
        [folder / f"B03_s{f + 1:03d}_w{c + 1}_z{z + 1:03d}_t001.tif" for f, c, z in items],
        chunk_name="B03",
        batch_layout=ZarrBatchLayout(axes, tuple(items)),
        row="B",
        col="03",
    )


def described(pixels: np.ndarray[Any, Any]) -> dict[str, Any]:
    pixels = np.ascontiguousarray(pixels)
    return {
        "shape": list(pixels.shape),
        "dtype": str(pixels.dtype),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


OPERATIONS: Mapping[str, Callable[[Path], Any]] = {"open": opened, "orchestrate": orchestrated, "store": stored}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        ensure_storage_registry()
        answers = [attempt(lambda o=o, f=f: OPERATIONS[o](Path(f))) for o, f in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)
