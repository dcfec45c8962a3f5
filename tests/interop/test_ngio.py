"""Plates that Wellfield writes, as ngio reads them in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.plates import CHANNEL_NAMES, DTYPES, LEVELS, VERSIONS, Array, PlateOf, WrittenPlate, digest
from wellfield.storage import ZarrChunkStrategy

FIELD_PLATES = [(ZarrChunkStrategy.FIELD, version, dtype) for version in VERSIONS for dtype in DTYPES]
OTHER_PLATES = [
    (strategy, version, "uint16")
    for strategy in (ZarrChunkStrategy.WELL, ZarrChunkStrategy.FILE)
    for version in VERSIONS
]


@pytest.fixture(scope="module")
def read(ngio: Callable[[list[str]], list[Any]], plate_of: PlateOf) -> Callable[..., tuple[WrittenPlate, Any]]:
    plates = {plate: plate_of(*plate) for plate in (*FIELD_PLATES, *OTHER_PLATES)}
    answers = dict(zip(plates, ngio([str(plate.store) for plate in plates.values()]), strict=True))
    return lambda *plate: (plates[plate], answers[plate])


@pytest.mark.parametrize(("strategy", "version", "dtype"), FIELD_PLATES)
def test_ngio_finds_every_well_and_field_with_equal_pixels(
    read: Callable[..., tuple[WrittenPlate, Any]], strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    written, found = read(strategy, version, dtype)
    assert found["wells"] == written.well_paths
    assert found["listed"] == list(written.images)
    sizes = {"zyx": [2.5, 0.65, 0.65], "unit": "micrometer"}
    assert found["images"] == {
        path: {
            **_array("tczyx", pixels),
            **sizes,
            "channels": CHANNEL_NAMES,
            "levels": len(LEVELS),
            "labels": {"nuclei": {**_array("tzyx", written.labels[path]), **sizes}} if path in written.labels else {},
        }
        for path, pixels in written.images.items()
    }


@pytest.mark.parametrize(("strategy", "version", "dtype"), OTHER_PLATES)
def test_ngio_refuses_a_field_axis_with_a_clear_error(
    read: Callable[..., tuple[WrittenPlate, Any]], strategy: ZarrChunkStrategy, version: str, dtype: str
) -> None:
    _, found = read(strategy, version, dtype)
    assert found == {"refused": "'field' is not a valid AxisType"}


def _array(axes: str, pixels: Array) -> dict[str, Any]:
    return {"axes": axes, "shape": list(pixels.shape), "dtype": str(pixels.dtype), "sha256": digest(pixels)}
