"""Plates that Wellfield writes, as other people's readers and validators find them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr

from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.zarr.backend import ZarrStorageBackend
from wellfield.storage.zarr.metadata import FieldMetadata
from wellfield.storage.zarr.plate import finalize_plate

WELLS = {"A01": (1, 2), "A02": (2,), "B12": (1, 2, 10)}
CHANNELS, Z, TIMEPOINTS = (1, 3), (1, 2, 3), (1, 2)
SHAPE = (301, 520)
MISSING = PlaneKey("B12", 2, 3, 2, 1)
METADATA = FieldMetadata(0.65, 2.5, {1: "DAPI", 3: "Tubulin"}, {3: "00FF00"})

# ome-zarr-py 0.18 evaluates a default argument of its own deprecated class when its modules are imported.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")


def pixels(key: PlaneKey) -> np.ndarray:
    return np.random.default_rng(key[1:5]).integers(0, 4000, SHAPE).astype(np.uint16)


def ids(key: PlaneKey) -> np.ndarray:
    return np.kron(np.arange(12, dtype=np.uint32).reshape(3, 4) * 70_000 + key.field, np.ones((101, 130), np.uint32))[
        :301
    ]


def stack(well: str, field: int) -> np.ndarray:
    """All planes ``tczyx`` of a field; what is missing is zero."""
    image = np.zeros((len(TIMEPOINTS), len(CHANNELS), len(Z), *SHAPE), np.uint16)
    for t, c, z in np.ndindex(image.shape[:3]):
        key = PlaneKey(well, field, CHANNELS[c], Z[z], TIMEPOINTS[t])
        if key != MISSING:
            image[t, c, z] = pixels(key)
    return image


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("interop") / "plate.zarr"
    for well, fields in WELLS.items():
        planes = {}
        for key in (PlaneKey(well, f, c, z, t) for f in fields for c in CHANNELS for z in Z for t in TIMEPOINTS):
            if key != MISSING:
                planes[plane_name(key)] = pixels(key)
            if key.channel == 1 and key.field == fields[0]:
                planes[f"labels/nuclei/{plane_name(key)}"] = ids(key)
        ZarrStorageBackend().save_batch(
            list(planes.values()), [store / name for name in planes], chunk_name=f"well_{well}", metadata=METADATA
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert finalize_plate(store, [*WELLS, "C01"], name="Interop") == list(WELLS)
    return store


def test_yaozarrs_finds_no_fault_in_the_plate(store: Path) -> None:
    import yaozarrs

    yaozarrs.validate_zarr_store(store)


@pytest.mark.parametrize(
    "broken", ["A/01/1/0/zarr.json", "A/02/zarr.json", "B/12/10/zarr.json", "A/01/1/labels/nuclei/zarr.json"]
)
def test_yaozarrs_would_find_a_fault(store: Path, broken: str) -> None:
    import yaozarrs

    path = store / broken
    aside = path.rename(path.with_name("aside"))
    try:
        with pytest.raises(Exception, match=r"."):
            yaozarrs.validate_zarr_store(store)
    finally:
        aside.rename(path)


def test_ome_zarr_models_reads_plate_wells_images_and_labels(store: Path) -> None:
    from ome_zarr_models.v05 import HCS, Image, Well
    from ome_zarr_models.v05.image_label import ImageLabel

    plate = HCS.from_zarr(zarr.open_group(store, mode="r")).ome_attributes.plate
    assert [well.path for well in plate.wells] == ["A/01", "A/02", "B/12"]
    assert [(plate.rows[w.rowIndex].name, plate.columns[w.columnIndex].name) for w in plate.wells] == [
        ("A", "01"),
        ("A", "02"),
        ("B", "12"),
    ]
    assert plate.name == "Interop"
    assert plate.field_count == 3
    for listed in plate.wells:
        well = Well.from_zarr(zarr.open_group(store / listed.path, mode="r")).ome_attributes.well
        fields = WELLS[listed.path.replace("/", "")]
        assert [image.path for image in well.images] == [str(field) for field in fields]
        for image in well.images:
            opened = Image.from_zarr(zarr.open_group(store / listed.path / image.path, mode="r"))
            (multiscale,) = opened.ome_attributes.multiscales
            scale = multiscale.datasets[0].coordinateTransformations[0].scale
            assert [axis.name for axis in multiscale.axes] == list("tczyx")
            assert scale == [1, 1, 2.5, 0.65, 0.65]
            assert [channel["label"] for channel in opened.ome_attributes.omero["channels"]] == ["DAPI", "Tubulin"]
        label = zarr.open_group(store / listed.path / str(fields[0]) / "labels/nuclei", mode="r")
        assert [a.name for a in ImageLabel.from_zarr(label).ome_attributes.multiscales[0].axes] == list("tzyx")


def test_ome_zarr_py_finds_the_wells_of_the_plate_in_their_places(store: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Plate, Reader

    (node,) = [n for n in Reader(parse_url(store))() if any(isinstance(spec, Plate) for spec in n.specs)]
    plate = next(spec for spec in node.specs if isinstance(spec, Plate))
    assert (plate.row_names, plate.col_names) == (["A", "B"], ["01", "02", "12"])
    assert sorted(plate.well_paths) == ["A/01", "A/02", "B/12"]
    assert node.data[0].dtype == np.uint16


def test_ome_zarr_py_reads_every_field_bit_exact_with_names_and_sizes(store: Path) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    for well, fields in WELLS.items():
        for field in fields:
            folder = store / well[0] / well[1:] / str(field)
            image, *labels = list(Reader(parse_url(folder))())
            np.testing.assert_array_equal(np.asarray(image.data[0]), stack(well, field))
            assert [level.shape[-2:] for level in image.data] == [(301, 520), (151, 260), (76, 130)]
            assert image.metadata["channel_names"] == ["DAPI", "Tubulin"]
            (scale,) = image.metadata["coordinateTransformations"][0]
            assert scale["scale"] == [1, 1, 2.5, 0.65, 0.65]
            assert bool(labels) == (field == fields[0])


def test_labels_read_with_plain_zarr_are_the_ids_that_were_written(store: Path) -> None:
    for well, fields in WELLS.items():
        label = zarr.open_group(store / well[0] / well[1:] / str(fields[0]) / "labels/nuclei", mode="r")
        expected = ids(PlaneKey(well, fields[0], 1, 1, 1))
        for t, z in np.ndindex(2, 3):
            np.testing.assert_array_equal(label["0"][t, z], expected)
        for level in ("1", "2"):
            assert set(np.unique(label[level][:]).tolist()) == set(np.unique(expected).tolist())


def test_tensorstore_reads_the_shards_that_zarr_python_wrote(store: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store / "B/12/2/0")}}
    array = tensorstore.open(spec, read=True).result()
    np.testing.assert_array_equal(array.read().result(), stack("B12", 2))
    assert array.domain.labels == tuple("tczyx")
