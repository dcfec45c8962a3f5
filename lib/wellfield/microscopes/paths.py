"""Paths of the virtual workspace."""

from __future__ import annotations

from collections.abc import Iterable

from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import plane_name

IMAGE_FOLDER = "images"


def virtual_path(plane: PlaneRecord) -> str:
    """Return the path of a plane in the virtual workspace."""
    return f"{IMAGE_FOLDER}/{plane_name(plane.key)}"


def workspace_mapping(planes: Iterable[PlaneRecord]) -> dict[str, str]:
    """Return virtual path → path relative to the plate folder."""
    prefix = f"{IMAGE_FOLDER}/"
    return {prefix + plane_name(plane.key): plane.path for plane in planes}
