"""Stage 1: map a plate."""

from __future__ import annotations

import os
from pathlib import Path

from wellfield.microscopes.registry import get_microscope_handler
from wellfield.plate.index import PlateInfo


def ingest_plate(folder: str, *, plate: str, microscope: str, results: str | os.PathLike[str]) -> PlateInfo:
    """Write metadata, index and ingest report of the raw plate *folder* to *results*."""
    handler, why = get_microscope_handler(folder, microscope)
    return handler.initialize_workspace(Path(results), plate=plate, why=why)
