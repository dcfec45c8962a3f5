"""Opens folders as napari does, without a viewer: a JSON list of paths in, a JSON list of their layers out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from typing import Any

import numpy as np
from napari_ome_zarr import napari_get_reader


def check(folder: str) -> list[dict[str, Any]]:
    reader = napari_get_reader(folder)
    if reader is None:
        raise SystemExit(f"napari-ome-zarr does not open {folder}")
    return [layer(*found) for found in reader(folder)]


def layer(levels: list[Any], metadata: dict[str, Any], kind: str) -> dict[str, Any]:
    pixels = np.ascontiguousarray(levels[0])
    return {
        "kind": kind,
        "shapes": [list(level.shape) for level in levels],
        "dtype": str(pixels.dtype),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "axes": list(metadata["axis_labels"]),
        "scale": list(metadata["scale"]),
        "units": list(metadata["units"]),
        "channel_axis": metadata.get("channel_axis"),
        "name": metadata.get("name"),
        "colors": [colormap.name for colormap in metadata.get("colormap", [])],
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = [check(folder) for folder in json.load(sys.stdin)]
    json.dump(found, sys.stdout)
