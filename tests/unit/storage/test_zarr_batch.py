"""The planes of a well by key, which is how the workflow hands them over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import ArrayShapeError, BatchError, InvalidPathError, MemoryTypeError
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.batch import WellPlanes, check_well, parse_paths
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.writer import write_zarr_well
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

FIELD = ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD)
KEYS = [PlaneKey("A01", field, channel, 1, 1) for field in (1, 2) for channel in (1, 2)]
IMAGES = {key: np.full((6, 5), number, np.uint16) for number, key in enumerate(KEYS)}
LABELS = {"nuclei": {KEYS[0]: np.ones((6, 5), np.int32)}}


def test_planes_by_key_and_by_path_make_the_same_files(tmp_path: Path) -> None:
    store, other = tmp_path / "plate.zarr", tmp_path / "other.zarr"
    write_zarr_well(WellPlanes(store, "A01", IMAGES, LABELS), config=FIELD, metadata=FieldMetadata())
    paths = [other / plane_name(key) for key in IMAGES] + [other / "labels/nuclei" / plane_name(KEYS[0])]
    ZarrStorageBackend().save_batch([*IMAGES.values(), LABELS["nuclei"][KEYS[0]]], paths, zarr_config=FIELD)
    files = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    assert files
    assert sorted(files) == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert all((store / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_paths_give_keys_and_other_names_the_order_of_a_stack() -> None:
    planes = parse_paths(
        [1, 2], ["p.zarr/A01_s002_w1_z003_t001.tif", "p.zarr/labels/n/A01_s002_w1_z003_t001.tif"], None
    )
    key = PlaneKey("A01", 2, 1, 3, 1)
    assert planes == WellPlanes(Path("p.zarr"), "A01", {key: 1}, {"n": {key: 2}})
    stack = parse_paths([1, 2], ["p.zarr/b.tif", "p.zarr/a.tif"], "B02")
    assert stack.images == {PlaneKey("B02", 1, 1, 1, 1): 1, PlaneKey("B02", 1, 1, 2, 1): 2}
    assert stack.names == ("b.tif", "a.tif")


@pytest.mark.parametrize(
    ("well", "images", "labels", "error", "said"),
    [
        ("B01", IMAGES, {}, BatchError, "for well B01 holds planes of A01"),
        ("A01", IMAGES, {"../up": LABELS["nuclei"]}, BatchError, r"'\.\./up' cannot name a label"),
        ("A01", IMAGES, {"nuclei": {}}, BatchError, "a label without planes"),
        ("A01", {}, LABELS, BatchError, "labels only"),
        ("A01", {KEYS[0]: np.zeros((2, 6, 5), np.uint8)}, {}, ArrayShapeError, r"field 1, channel 1.* \(2, 6, 5\)"),
        ("A01", {KEYS[1]: "text"}, {}, MemoryTypeError, "field 1, channel 2.* is a str"),
    ],
)
def test_planes_that_make_no_well_are_refused(
    well: str, images: dict, labels: dict, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        check_well(WellPlanes(Path("plate.zarr"), well, images, labels))


def test_a_store_whose_path_zarr_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPathError, match="a backslash"):
        write_zarr_well(WellPlanes(tmp_path / "a\\b.zarr", "A01", IMAGES, {}), config=FIELD, metadata=FieldMetadata())
    assert not list(tmp_path.iterdir())
