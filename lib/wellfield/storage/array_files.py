"""Which folders are Zarr arrays. Imports no library of Zarr."""

from __future__ import annotations

import json
import os

ARRAY_FILES = (("zarr.json", 3), (".zarray", 2))


def array_format(folder: str | os.PathLike[str]) -> int | None:
    """Return the Zarr version of the array in a folder; ``None`` if the folder is not an array."""
    for name, zarr_format in ARRAY_FILES:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
        except (OSError, ValueError):
            continue
        try:
            if zarr_format == 2 or json.loads(content).get("node_type") == "array":
                return zarr_format
        except (ValueError, AttributeError):
            return zarr_format  # an array whose metadata is damaged; reading it says so
    return None


def is_sound_array(folder: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is a Zarr array whose metadata can be read."""
    for name, zarr_format in ARRAY_FILES:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                content = json.loads(file.read())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and "shape" in content:
            return zarr_format == 2 or content.get("node_type") == "array"
    return False
