"""OpenHCS initialises plates: mapping and metadata written into the plate's folder, as its own handlers do it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

os.environ["OPENHCS_CPU_ONLY"] = "1"

from answer import answer, seconds
from openhcs.microscopes.microscope_base import create_microscope_handler
from polystore.base import ensure_storage_registry, storage_registry
from polystore.filemanager import FileManager

logging.disable(logging.ERROR)  # what it logs for each file is not what is measured


def ingest(folder: str, microscope: str, planes: int) -> float:
    """Map a fresh copy of a plate and see that it has as many planes as it should."""
    root = Path(folder)
    metadata = root / "openhcs_metadata.json"
    metadata.unlink(missing_ok=True)
    manager = FileManager(dict(storage_registry))

    def initialise() -> None:
        handler = create_microscope_handler(microscope_type="auto", plate_folder=root, filemanager=manager)
        if handler.microscope_type != microscope:
            raise RuntimeError(f"OpenHCS takes {folder} for {handler.microscope_type}")
        handler.initialize_workspace(root, manager)

    elapsed = seconds(initialise)
    found = len(manager.list_image_files(str(root), "virtual_workspace", recursive=True))
    if found != planes:
        raise RuntimeError(f"OpenHCS maps {found} planes of {folder}; expected {planes}")
    return elapsed


if __name__ == "__main__":
    ensure_storage_registry()
    answer({"ingest": ingest})
