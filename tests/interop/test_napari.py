"""Plates that Wellfield writes, as napari-ome-zarr opens them in an environment of its own, without a viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.interop.plates import CHANNEL_NAMES, DTYPES, LEVELS, VERSIONS, Array, PlateOf, WrittenPlate, digest
from wellfield.storage import ZarrChunkStrategy

FIELD = ZarrChunkStrategy.FIELD
PLATES = [
    (strategy, version, dtype)
    for strategy in ZarrChunkStrategy
    for version in VERSIONS
    for dtype in (DTYPES if strategy == FIELD else ["uint16"])
]
UNITS = [None, "micrometer", "micrometer", "micrometer"]
SCALE = [1, 2.5, 0.65, 0.65]


@pytest.fixture(scope="module")
def layers(napari: Callable[[list[str]], list[Any]], plate_of: PlateOf) -> dict[str, Any]:
    """Return the layers of all plates and images by their folders."""
    folders = []
    for plate in PLATES:
        written = plate_of(*plate)
        folders += [str(written.store), *(str(written.store / path) for path in written.images)]
    return dict(zip(folders, napari(folders), strict=True))


@pytest.mark.parametrize(("strategy", "version", "dtype"), PLATES)
def test_every_image_opens_with_equal_pixels_names_and_sizes(
    layers: dict[str, Any], plate_of: PlateOf, strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    written = plate_of(strategy, version, dtype)
    for path, pixels in written.images.items():
        image, *labels = layers[str(written.store / path)]
        assert image == _image(written, pixels, path)
        assert len(labels) == (path in written.labels)
        for label in labels:
            assert label == {
                "kind": "labels",
                "shapes": [[*label["shapes"][0][:2], *level] for level in LEVELS],
                **_pixels(written.labels[path]),
                "axes": ["t", *"zyx"],
                "scale": SCALE,
                "units": UNITS,
                "channel_axis": None,
                "name": "labels/labels/nuclei",
                "colors": [],
            }


@pytest.mark.parametrize(("strategy", "version", "dtype"), PLATES)
def test_the_plate_opens_as_its_wells_side_by_side(
    layers: dict[str, Any], plate_of: PlateOf, strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    written = plate_of(strategy, version, dtype)
    image, *labels = layers[str(written.store)]
    assert {key: image[key] for key in ("kind", "dtype", "sha256")} == {
        "kind": "image",
        **_pixels(_side_by_side(written, written.images)),
    }
    assert len(labels) == bool(written.labels)
    for label in labels:
        assert {key: label[key] for key in ("kind", "dtype", "sha256")} == {
            "kind": "labels",
            **_pixels(_side_by_side(written, written.labels)),
        }


def _image(written: WrittenPlate, pixels: Array, path: str) -> dict[str, Any]:
    levels = LEVELS if written.strategy == FIELD else LEVELS[:1]
    number = path.rsplit("/", 1)[-1]
    return {
        "kind": "image",
        "shapes": [[*pixels.shape[:3], *level] for level in levels],
        **_pixels(pixels),
        "axes": ["t" if written.strategy == FIELD else "field", *"zyx"],
        "scale": SCALE,
        "units": UNITS,
        "channel_axis": 1,
        "name": [f"{number}: {name}" for name in CHANNEL_NAMES],
        "colors": ["blue", "green"],
    }


def _side_by_side(written: WrittenPlate, images: dict[str, Array]) -> Array:
    """Return the plate as napari-ome-zarr shows it: the first image of each well, zeros where there is no well."""
    first, second = (images[f"{path}/1"] for path in written.well_paths)
    return np.block([[first, np.zeros_like(first)], [np.zeros_like(second), second]])


def _pixels(pixels: Array) -> dict[str, Any]:
    return {"dtype": str(pixels.dtype), "sha256": digest(pixels)}
