from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import WellNameError
from wellfield.plate.keys import FieldKey, PlaneKey, Projection, match_plane_name, parse_plane_name, plane_name
from wellfield.plate.wells import well_name

counts = st.integers(1, 20_000)
wells = st.builds(well_name, st.integers(0, 31), st.integers(0, 47))
planes = st.builds(PlaneKey, wells, counts, counts, counts, counts, st.just(Projection.NONE))
projections = st.builds(
    PlaneKey,
    wells,
    counts,
    counts,
    st.just(0),
    counts,
    st.sampled_from([kind for kind in Projection if kind is not Projection.NONE]),
)


@given(st.one_of(planes, projections), st.sampled_from([".tif", "", ".ome.tif", ".npy"]))
def test_names_round_trip(key: PlaneKey, suffix: str) -> None:
    assert parse_plane_name(plane_name(key, suffix)) == key


@given(st.lists(st.one_of(planes, projections), unique=True))
def test_different_planes_have_different_names(keys: list[PlaneKey]) -> None:
    assert len({plane_name(key) for key in keys}) == len(keys)


def test_names_are_those_of_the_specification() -> None:
    assert plane_name(PlaneKey("A01", 1, 1, 1, 1)) == "A01_s001_w1_z001_t001.tif"
    assert plane_name(PlaneKey("AF48", 12, 10, 0, 1234, Projection.MAX)) == "AF48_s012_w10_max_t1234.tif"
    assert plane_name(PlaneKey("A01", 1, 1, 0, 1, Projection.BEST_FOCUS)) == "A01_s001_w1_best_focus_t001.tif"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A01_s001_w1_z001.tif",
        "A1_s001_w1_z001_t001.tif",
        "AG01_s001_w1_z001_t001.tif",
        "A49_s001_w1_z001_t001.tif",
        "A01_s1_w1_z1_t1.tif",
        "A01_s000_w1_z001_t001.tif",
        "A01_s001_w0_z001_t001.tif",
        "A01_s001_w1_z001_t000.tif",
        "A01_s001_w1_z000_t001.tif",
        "A01_s001_w1_none_t001.tif",
        "x/A01_s001_w1_z001_t001.tif",
        "A01_s001_w1_z001_t001.tif\n",
        "A01_s001_w1_z001_t001_copy.tif",
    ],
)
def test_names_that_are_not_canonical_are_no_plane(name: str) -> None:
    assert match_plane_name(name) is None
    with pytest.raises(WellNameError, match=r"A01_s001_w1_z001_t001\.tif"):
        parse_plane_name(name)


@given(st.text())
def test_any_text_is_a_plane_or_none(name: str) -> None:
    key = match_plane_name(name)
    assert key is None or min(key.field, key.channel, key.timepoint) > 0


def test_field_key_drops_channel_and_depth() -> None:
    assert PlaneKey("B02", 3, 2, 5, 7).field_key == FieldKey("B02", 3, 7)


def test_projection_is_interchangeable_with_its_name() -> None:
    assert {Projection.MAX: 1}["max"] == 1
    assert hash(Projection.MAX) == hash("max")
