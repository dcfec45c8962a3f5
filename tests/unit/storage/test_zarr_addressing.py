"""Logical paths, well folders and grids of planes; chunk sizes and boxes of the pixel writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import PathEscapeError, StorageError
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.storage.zarr.addressing import (
    PlaneAddress,
    PlaneGrid,
    parse_chunk_name,
    parse_logical,
    split_store,
    stored_wells,
    well_path,
)
from wellfield.storage.zarr.pixels import chunk_side

PLANE = "A01_s001_w1_z001_t001.tif"
KEYS = st.builds(
    PlaneKey,
    st.just("A01"),
    st.just(1),
    st.integers(1, 5),
    st.integers(1, 30),
    st.integers(1, 5),
    st.just(Projection.NONE),
)


def test_the_first_folder_that_ends_with_zarr_is_the_store() -> None:
    assert split_store("/data/a.zarr/b.zarr/x.tif") == (Path("/data/a.zarr"), "b.zarr/x.tif")
    assert split_store("plate.zarr") == (Path("plate.zarr"), "")


def test_without_one_the_folder_is_the_store() -> None:
    assert split_store("/data/plate/x.tif") == (Path("/data/plate"), "x.tif")


def test_a_path_out_of_its_store_is_refused() -> None:
    with pytest.raises(PathEscapeError):
        split_store("/data/plate.zarr/labels/../../secret.tif")


@pytest.mark.parametrize(
    "logical",
    [f"labels/{PLANE}", f"labels/../{PLANE}", f"other/nuclei/{PLANE}", "", "labels/.hidden/" + PLANE],
)
def test_what_is_no_plane_has_no_address(logical: str) -> None:
    assert parse_logical(logical) is None


def test_planes_and_label_planes_have_addresses() -> None:
    key = PlaneKey("A01", 1, 1, 1, 1)
    assert parse_logical(PLANE) == PlaneAddress(key, None)
    assert parse_logical("output_001") == PlaneAddress(None, None, "output_001")
    assert parse_logical(f"labels/nuclei/{PLANE}") == PlaneAddress(key, "nuclei")


@pytest.mark.parametrize(("well", "path"), [("A01", "A/01"), ("h12", "H/12"), ("AF48", "AF/48")])
def test_columns_of_wells_are_padded(well: str, path: str) -> None:
    assert well_path(well) == path


@pytest.mark.parametrize("name", ["A01", "well_A01", "A1", "well_a1"])
def test_chunk_names_name_the_well_in_any_spelling(name: str) -> None:
    assert parse_chunk_name(name) == "A01"


@given(st.lists(KEYS, min_size=1, max_size=8))
def test_every_key_has_its_own_place_in_the_grid_and_attributes_keep_it(keys: list[PlaneKey]) -> None:
    grid = PlaneGrid.of(keys)
    places = {key: grid.index(key) for key in keys}
    assert None not in places.values()
    assert len(set(places.values())) == len(places)
    assert [grid.index(key) for key in grid.keys("A01", 1)] == list(np.ndindex(grid.shape))
    assert PlaneGrid.from_attributes(grid.to_attributes()) == grid


def test_a_z_that_no_channel_has_leaves_a_gap() -> None:
    grid = PlaneGrid.of(PlaneKey("A01", 1, 1, z, 1) for z in (1, 2, 4, 5))
    assert grid.z == (1, 2, 3, 4, 5)
    assert grid.z_step == 1


def test_every_second_z_is_a_grid_without_gaps_and_a_double_step() -> None:
    grid = PlaneGrid.of(PlaneKey("A01", 1, 1, z, 1) for z in (2, 4, 6))
    assert grid.z == (2, 4, 6)
    assert grid.z_step == 2


def test_channels_that_are_not_there_take_no_place() -> None:
    assert PlaneGrid.of(PlaneKey("A01", 1, c, 1, 1) for c in (1, 4)).channels == (1, 4)


def test_projections_and_z_planes_do_not_mix() -> None:
    flat = PlaneKey("A01", 1, 1, 0, 1, Projection.MAX)
    with pytest.raises(StorageError, match="projection max, z planes"):
        PlaneGrid.of([flat, PlaneKey("A01", 1, 1, 1, 1)])
    assert PlaneGrid.of([flat]).index(PlaneKey("A01", 1, 1, 0, 1, Projection.BEST_FOCUS)) is None
    assert [plane_name(key) for key in PlaneGrid.of([flat]).keys("A01", 1)] == ["A01_s001_w1_max_t001.tif"]


def test_stored_wells_are_in_plate_order_and_nothing_else_counts(tmp_path: Path) -> None:
    for name in ("B/02", "AA/01", "A/10", "A/02", "A/.03.x.part", "OME", "A/99", "C"):
        (tmp_path / name).mkdir(parents=True)
    assert stored_wells(tmp_path) == ["A02", "A10", "B02", "AA01"]


@pytest.mark.parametrize(
    ("size", "side"), [(1, 1), (512, 512), (1024, 1024), (1500, 1500), (2048, 1024), (2160, 1080), (2161, 1081)]
)
def test_chunks_are_near_1024_and_cover_the_plane_evenly(size: int, side: int) -> None:
    assert chunk_side(size) == side
