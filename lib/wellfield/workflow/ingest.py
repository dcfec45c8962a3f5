"""Stage 1: map a plate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from wellfield.errors import ConfigError
from wellfield.microscopes.registry import get_microscope_handler
from wellfield.plate.index import PlateInfo
from wellfield.plate.layout import Layout


def ingest_plate(
    folder: str,
    *,
    plate: str,
    microscope: str,
    results: str | os.PathLike[str],
    wells: Sequence[str] | None = None,
    layouts: Mapping[str, Layout] | None = None,
) -> PlateInfo:
    """Write metadata, index and ingest report of the raw plate *folder* to *results*.

    *microscope* is the name of a microscope, of a preset or of one of *layouts*, or ``"auto"``.

    Raises
    ------
    ConfigError
        The plate has none of the *wells* that are to be processed.
    """
    handler, why = get_microscope_handler(folder, microscope, layouts=layouts)
    info = handler.initialize_workspace(Path(results), plate=plate, why=why)
    chosen_wells(info, wells)
    return info


def chosen_wells(info: PlateInfo, wanted: Sequence[str] | None) -> list[str]:
    """Return the wells of a plate that are to be processed, row by row; all where *wanted* is ``None``.

    Raises
    ------
    ConfigError
        The plate has no image of a wanted well.
    """
    unknown = [well for well in wanted or () if well not in info.wells]
    if unknown:
        raise ConfigError(
            f"plate {info.plate}: the plate sheet asks for wells {', '.join(unknown)}, which have no image; "
            f"the plate has {', '.join(info.wells)}"
        )
    return [well for well in info.wells if wanted is None or well in wanted]
