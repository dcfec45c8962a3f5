"""Reads plates with ngio: a JSON list of their paths in, a JSON list of what ngio found out; runs where ngio is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from typing import Any

import numpy as np
from ngio import open_ome_zarr_plate


def check(store: str) -> dict[str, Any]:
    try:
        plate = open_ome_zarr_plate(store, mode="r")
        images = plate.get_images(max_workers=1)
        return {
            "wells": plate.wells_paths(),
            "listed": plate.images_paths(max_workers=1),
            "images": {path: image(opened) for path, opened in images.items()},
        }
    except ValueError as error:
        return {"refused": str(error)}


def image(opened: Any) -> dict[str, Any]:
    labels = {name: array(opened.get_label(name)) for name in opened.list_labels()}
    return {**array(opened.get_image()), "channels": opened.channel_labels, "levels": opened.levels, "labels": labels}


def array(opened: Any) -> dict[str, Any]:
    pixels = np.ascontiguousarray(opened.get_as_numpy())
    size = opened.pixel_size
    return {
        "axes": "".join(opened.axes),
        "shape": list(pixels.shape),
        "dtype": str(pixels.dtype),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "zyx": [size.z, size.y, size.x],
        "unit": size.space_unit,
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = [check(store) for store in json.load(sys.stdin)]
    json.dump(found, sys.stdout)
