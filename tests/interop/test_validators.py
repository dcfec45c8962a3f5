"""Plates that Wellfield writes, as yaozarrs and ome-zarr-models judge them."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import zarr

from tests.interop.plates import CHANNEL_NAMES, DTYPES, LEVELS, VERSIONS, WELLS, PlateOf
from wellfield.storage import ZarrChunkStrategy

FIELD = ZarrChunkStrategy.FIELD
MODELS = {"0.5": "ome_zarr_models.v05", "0.4": "ome_zarr_models.v04"}
# A file that every reader needs, for each kind of node, by version.
NEEDED = {
    "0.5": ["A/01/1/0/zarr.json", "A/01/zarr.json", "B/12/10/zarr.json", "A/01/1/labels/nuclei/zarr.json"],
    "0.4": ["A/01/1/0/.zarray", "A/01/.zattrs", "B/12/10/.zattrs", "A/01/1/labels/nuclei/.zattrs"],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_yaozarrs_finds_no_fault_in_a_plate_of_fields(plate_of: PlateOf, version: str, dtype: str) -> None:
    import yaozarrs

    yaozarrs.validate_zarr_store(plate_of(FIELD, version, dtype).store)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("strategy", ["well", "file"])
def test_yaozarrs_finds_no_fault_in_a_plate_of_wells(plate_of: PlateOf, strategy: str, version: str) -> None:
    import yaozarrs

    yaozarrs.validate_zarr_store(plate_of(ZarrChunkStrategy(strategy), version).store)


@pytest.mark.parametrize(("version", "broken"), [(version, path) for version in VERSIONS for path in NEEDED[version]])
def test_yaozarrs_would_find_a_fault(plate_of: PlateOf, version: str, broken: str, tmp_path: Path) -> None:
    import yaozarrs

    copy = shutil.copytree(plate_of(FIELD, version).store, tmp_path / "plate.zarr")
    (copy / broken).unlink()
    with pytest.raises(Exception, match=r"."):
        yaozarrs.validate_zarr_store(copy)


@pytest.mark.parametrize("version", VERSIONS)
def test_ome_zarr_models_reads_the_wells_of_the_plate_in_their_places(plate_of: PlateOf, version: str) -> None:
    models = importlib.import_module(MODELS[version])
    written = plate_of(FIELD, version)
    plate = models.HCS.from_zarr(_open(written.store)).ome_attributes.plate
    assert [well.path for well in plate.wells] == written.well_paths
    places = [f"{plate.rows[well.rowIndex].name}/{plate.columns[well.columnIndex].name}" for well in plate.wells]
    assert places == written.well_paths
    assert (plate.name, plate.field_count) == ("Interop", 2)
    for path, fields in zip(written.well_paths, WELLS.values(), strict=True):
        well = models.Well.from_zarr(_open(written.store / path)).ome_attributes.well
        assert [image.path for image in well.images] == [str(field) for field in fields]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", VERSIONS)
def test_ome_zarr_models_reads_axes_scales_and_channels_of_every_field(
    plate_of: PlateOf, version: str, dtype: str
) -> None:
    models = importlib.import_module(MODELS[version])
    written = plate_of(FIELD, version, dtype)
    for path in written.images:
        attributes = models.Image.from_zarr(_open(written.store / path)).ome_attributes
        (multiscale,) = attributes.multiscales
        assert [axis.name for axis in multiscale.axes] == list("tczyx")
        assert [axis.unit for axis in multiscale.axes] == [None, None, *["micrometer"] * 3]
        assert [dataset.coordinateTransformations[0].scale for dataset in multiscale.datasets] == [
            [1, 1, 2.5, 0.65 * 2**level, 0.65 * 2**level] for level in range(len(LEVELS))
        ]
        # Version 0.5 of its models keeps them as they are, 0.4 as objects.
        channels = _plain(attributes.omero)["channels"]
        assert [channel["label"] for channel in channels] == CHANNEL_NAMES
        assert channels[1]["color"] == "00FF00"


@pytest.mark.parametrize("version", VERSIONS)
def test_ome_zarr_models_reads_the_labels(plate_of: PlateOf, version: str) -> None:
    image_label = importlib.import_module(f"{MODELS[version]}.image_label")
    written = plate_of(FIELD, version)
    for path in written.labels:
        label = image_label.ImageLabel.from_zarr(_open(written.store / path / "labels/nuclei")).ome_attributes
        assert [axis.name for axis in label.multiscales[0].axes] == list("tzyx")
        assert label.multiscales[0].datasets[0].coordinateTransformations[0].scale == [1, 2.5, 0.65, 0.65]


def _open(folder: Path) -> zarr.Group:
    return zarr.open_group(folder, mode="r")


def _plain(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value
