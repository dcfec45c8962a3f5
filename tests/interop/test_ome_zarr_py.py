"""Plates that Wellfield writes, as ome-zarr-py reads them: every layout and version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.interop.plates import CHANNEL_NAMES, DTYPES, LEVELS, VERSIONS, PlateOf
from wellfield.storage import ZarrChunkStrategy

FIELD = ZarrChunkStrategy.FIELD

# ome-zarr-py 0.18 evaluates a default argument of its own deprecated class when its modules are imported.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("strategy", ZarrChunkStrategy)
def test_the_plate_has_its_wells_in_their_places(plate_of: PlateOf, strategy: ZarrChunkStrategy, version: str) -> None:
    from ome_zarr.reader import Plate

    written = plate_of(strategy, version)
    (node,) = [node for node in _read(written.store) if any(isinstance(spec, Plate) for spec in node.specs)]
    plate = next(spec for spec in node.specs if isinstance(spec, Plate))
    assert (plate.row_names, plate.col_names) == (["A", "B"], ["01", "12"])
    assert plate.well_paths == written.well_paths
    # It shows the first image of every well; where there is no well, zeros.
    first, second = (written.images[f"{path}/1"] for path in written.well_paths)
    expected = np.block([[first, np.zeros_like(first)], [np.zeros_like(first), second]])
    np.testing.assert_array_equal(np.asarray(node.data[0]), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_is_bit_exact_with_names_and_sizes(plate_of: PlateOf, version: str, dtype: str) -> None:
    written = plate_of(FIELD, version, dtype)
    for path, pixels in written.images.items():
        image, *rest = _read(written.store / path)
        _check_image(image, pixels)
        assert [level.shape[-2:] for level in image.data] == list(LEVELS)
        assert [axis["name"] for axis in image.metadata["axes"]] == list("tczyx")
        labels = [np.asarray(node.data[0]) for node in rest if node.data]
        assert len(labels) == (path in written.labels)
        for label in labels:
            assert label.dtype == np.uint32
            np.testing.assert_array_equal(label, written.labels[path])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("strategy", ["well", "file"])
def test_every_timepoint_of_a_well_is_bit_exact_with_names_and_sizes(
    plate_of: PlateOf, strategy: str, version: str, dtype: str
) -> None:
    written = plate_of(ZarrChunkStrategy(strategy), version, dtype)
    for path, pixels in written.images.items():
        (image,) = _read(written.store / path)
        _check_image(image, pixels)
        assert [axis["name"] for axis in image.metadata["axes"]] == ["field", *"czyx"]


def _check_image(image: Any, pixels: np.ndarray) -> None:
    found = np.asarray(image.data[0])
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)
    assert image.metadata["channel_names"] == CHANNEL_NAMES
    assert image.metadata["coordinateTransformations"][0] == [{"type": "scale", "scale": [1, 1, 2.5, 0.65, 0.65]}]


def _read(folder: Path) -> list[Any]:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    location = parse_url(folder)
    assert location is not None
    return list(Reader(location)())
