"""Paths of the virtual workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

from wellfield.errors import PathEscapeError
from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import plane_name

IMAGE_FOLDER = "images"


def virtual_path(plane: PlaneRecord) -> str:
    """Return the path of a plane in the virtual workspace."""
    return f"{IMAGE_FOLDER}/{plane_name(plane.key)}"


def workspace_mapping(planes: Iterable[PlaneRecord]) -> dict[str, str]:
    """Return virtual path → path relative to the plate folder."""
    prefix = f"{IMAGE_FOLDER}/"
    behind_well = itemgetter(1, 2, 3, 4, 5)
    endings: dict[tuple[Any, ...], str] = {}  # names end alike in all wells, and formatting is slow
    mapping = {}
    for plane in planes:
        key = plane.key
        axes = behind_well(key)
        if axes not in endings:
            endings[axes] = plane_name(key).removeprefix(key.well)
        mapping[prefix + key.well + endings[axes]] = plane.path
    return mapping


def refuse_results_in_plate(results: str | os.PathLike[str], plate: str | os.PathLike[str]) -> None:
    """Raise unless the results lie outside the raw plate.

    Raises
    ------
    PathEscapeError
        *results* is the folder *plate* or lies in it.
    """
    if Path(results).resolve().is_relative_to(Path(plate).resolve()):
        raise PathEscapeError(
            f"results folder {os.fspath(results)} lies in the raw plate {os.fspath(plate)}, which is never written; "
            "choose another folder for the results"
        )
