"""Outlines of labels as ImageJ's regions: filled again, they give the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from roifile import ROI_TYPE, ImagejRoi

from tests.libraries import ON_CPU, as_type
from tests.unit.materialization.regions import draw
from wellfield.errors import ArrayShapeError, MaterializationError, UnknownFormatError
from wellfield.formats.roi import read_rois, write_rois
from wellfield.materialization.rois import count_small_regions, labels_to_rois

RING = np.array(
    [
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1],
    ]
)


def test_small_regions_are_left_out_and_counted() -> None:
    labels = np.zeros((2, 6, 9), np.uint32)
    labels[0, :2, :2], labels[1, 0, :3] = 70_000, 70_000  # 4 pixels in one plane, 3 in the other
    labels[0, 5, 5] = labels[0, 3, 3] = 2  # one object in two pieces
    labels[1, 3:, 4:] = 9
    for smallest, names in ((0, ["2", "9", "70000", "70000"]), (3, ["9", "70000", "70000"]), (4, ["9", "70000"])):
        assert [roi.name for roi in labels_to_rois(labels, min_area=smallest)] == names
        assert count_small_regions(labels, smallest) == 4 - len(names)
    assert [roi.z_position for roi in labels_to_rois(labels, min_area=4)] == [2, 1]
    assert labels_to_rois(labels, min_area=1000) == []


def outlines(roi: ImagejRoi) -> list[list[list[int]]]:
    return [np.asarray(points).astype(int).tolist() for points in roi.coordinates(multi=True)]


def round_trip(labels: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    """Write the regions of labels, and draw what roifile reads."""
    write_rois(path, labels_to_rois(labels))
    found = roifile.roiread(path)
    assert isinstance(found, list)
    return draw(found, labels)


# --- pixels -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda ids: hnp.arrays(
            st.sampled_from(["u1", "u2", ">u2", "i4", "u8"]),
            hnp.array_shapes(min_dims=2, max_dims=3, max_side=9),
            elements=st.integers(0, ids),
        )
    )
)
def test_filled_regions_are_the_labels(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray[Any, Any]) -> None:
    before, path = labels.copy(), tmp_path_factory.mktemp("rois") / "a.roi.zip"
    np.testing.assert_array_equal(round_trip(labels, path), labels)
    np.testing.assert_array_equal(labels, before)


def test_a_pixel_is_the_square_right_and_below_of_its_coordinates() -> None:
    labels = np.zeros((5, 9), int)
    labels[3, 6] = 7
    (roi,) = labels_to_rois(labels)
    assert (roi.name, roi.roitype) == ("7", ROI_TYPE.TRACED)
    assert outlines(roi) == [[[6, 3], [7, 3], [7, 4], [6, 4]]]
    assert (roi.left, roi.top, roi.right, roi.bottom) == (6, 3, 7, 4)


def test_an_outline_has_its_corners_only() -> None:
    labels = np.zeros((20, 30), int)
    labels[2:12, 5:25] = 1
    labels[2:6, 5:10] = 0
    (roi,) = labels_to_rois(labels)
    assert outlines(roi) == [[[10, 2], [25, 2], [25, 12], [5, 12], [5, 6], [10, 6]]]


def test_objects_that_touch_share_an_edge_and_no_pixel() -> None:
    one, other = labels_to_rois(np.array([[4, 4, 9]]))
    assert outlines(one) == [[[0, 0], [2, 0], [2, 1], [0, 1]]]
    assert outlines(other) == [[[2, 0], [3, 0], [3, 1], [2, 1]]]


def test_an_object_with_a_hole_and_an_island_in_it_is_one_composite_region(tmp_path: Path) -> None:
    (roi,) = labels_to_rois(RING)
    assert (roi.roitype, roi.composite, roi.integer_coordinates) == (ROI_TYPE.RECT, True, None)
    assert (roi.left, roi.top, roi.right, roi.bottom) == (0, 0, 5, 5)
    assert outlines(roi) == [
        [[0, 0], [5, 0], [5, 5], [0, 5], [0, 0]],
        [[2, 2], [3, 2], [3, 3], [2, 3], [2, 2]],
        [[1, 4], [4, 4], [4, 1], [1, 1], [1, 4]],
    ]
    np.testing.assert_array_equal(round_trip(RING, tmp_path / "a.roi.zip"), RING)


def test_another_object_in_a_hole_keeps_its_own_region(tmp_path: Path) -> None:
    labels = np.where(RING == 0, 2, RING)
    assert [len(outlines(roi)) for roi in labels_to_rois(labels)] == [3, 2]
    np.testing.assert_array_equal(round_trip(labels, tmp_path / "a.roi.zip"), labels)


def test_pieces_that_touch_at_a_corner_are_one_outline_and_others_are_several() -> None:
    (diagonal,) = labels_to_rois(np.array([[1, 0], [0, 1]]))
    assert outlines(diagonal) == [[[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [1, 2], [1, 1], [0, 1]]]
    assert diagonal.roitype == ROI_TYPE.TRACED
    (apart,) = labels_to_rois(np.array([[1, 0, 1]]))
    assert len(outlines(apart)) == 2


def test_an_outline_of_more_than_65535_corners_survives(tmp_path: Path) -> None:
    comb = np.zeros((3, 40_000), np.uint8)
    comb[0], comb[1:, ::2] = 1, 1
    (roi,) = labels_to_rois(comb)
    assert roi.n_coordinates == 80_002
    write_rois(tmp_path / "a.roi.zip", [roi])
    assert read_rois(tmp_path / "a.roi.zip") == [roi]
    x, y = np.asarray(roi.coordinates(), np.int64).T  # the area by the shoelace formula
    assert abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) // 2 == comb.sum()


def test_seventy_thousand_touching_objects_round_trip_in_roifile(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).permutation(np.arange(1, 70_226)).reshape(265, 265)
    labels = np.kron(ids, np.ones((3, 2), int))
    np.testing.assert_array_equal(round_trip(labels, tmp_path / "a.roi.zip"), labels)


def test_ids_of_any_size_are_names() -> None:
    labels = np.array([[2**64 - 1, 65_536, 2**64 - 2, 1]], np.uint64)
    assert [roi.name for roi in labels_to_rois(labels)] == ["1", "65536", str(2**64 - 2), str(2**64 - 1)]


# --- order and position -------------------------------------------------------------------------------------------


def test_regions_come_by_id_and_then_by_plane() -> None:
    labels = np.array([[[10, 2]], [[2, 10]], [[0, 3]]])
    assert [(roi.name, roi.z_position) for roi in labels_to_rois(labels)] == [
        ("2", 1), ("2", 2), ("3", 3), ("10", 1), ("10", 2)
    ]  # fmt: skip


def test_channel_plane_and_timepoint_are_the_position_in_the_hyperstack(tmp_path: Path) -> None:
    write_rois(tmp_path / "a.roi.zip", labels_to_rois(np.ones((2, 1, 1), int), channel=3, timepoint=5, z=[7, 9]))
    found = read_rois(tmp_path / "a.roi.zip")
    assert [(roi.c_position, roi.z_position, roi.t_position) for roi in found] == [(3, 7, 5), (3, 9, 5)]
    assert {roi.position for roi in found} == {0}  # as ImageJ leaves it where it knows channel, slice and frame


def test_what_is_unknown_has_no_position() -> None:
    (plane,) = labels_to_rois(np.ones((1, 1), int))
    assert (plane.c_position, plane.z_position, plane.t_position) == (0, 0, 0)
    assert [roi.z_position for roi in labels_to_rois(np.ones((3, 1, 1), int))] == [1, 2, 3]
    (numbered,) = labels_to_rois(np.ones((1, 1), int), z=(4,))
    assert numbered.z_position == 4


# --- what there is none of, and what is refused -------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (0, 5), (4, 0), (0, 4, 5)], ids=str)
def test_no_object_is_no_region(shape: tuple[int, ...]) -> None:
    assert labels_to_rois(np.zeros(shape, int)) == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.ones((2, 2)), "regions of float64; expected labels"),
        (np.ones((2, 2), bool), "regions of bool; .*: label a mask first"),
        ([[1, 2]], "regions of list"),
        (np.array([[1, -3]]), "label -3 is below 0"),
    ],
    ids=lambda value: "",
)
def test_what_holds_no_ids_is_refused(labels: Any, reason: str) -> None:
    with pytest.raises(MaterializationError, match=reason):
        labels_to_rois(labels)


@pytest.mark.parametrize("shape", [(), (3,), (1, 1, 2, 2)], ids=str)
def test_another_rank_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArrayShapeError, match=r"expected \[Z, Y, X\] or \[Y, X\]"):
        labels_to_rois(np.ones(shape, int))


def test_planes_and_their_numbers_must_match() -> None:
    for labels, z in ((np.ones((2, 1, 1), int), [1]), (np.ones((1, 1), int), [1, 2])):
        with pytest.raises(ArrayShapeError, match=r"z has . numbers"):
            labels_to_rois(labels, z=z)


@pytest.mark.parametrize("pixels", [[60_536], [69_000], [60_536, 60_538], [5, 69_000], [*range(5, 60_600)]], ids=len)
def test_objects_beyond_the_coordinates_of_imagej_are_refused_by_name(tmp_path: Path, pixels: list[int]) -> None:
    labels = np.zeros((1, 70_000), int)
    labels[0, pixels] = 2
    with pytest.raises(UnknownFormatError, match=r"a\.roi\.zip: region 0 \('2'\) would change .* 0 to 60535"):
        write_rois(tmp_path / "a.roi.zip", labels_to_rois(labels))
    assert not list(tmp_path.iterdir())


def test_other_objects_of_a_large_image_are_kept(tmp_path: Path) -> None:
    labels = np.zeros((1, 70_000), int)
    labels[0, [1, 60_535]] = 1, 2
    labels[0, [3, 60_600]] = 3  # in two pieces, whose places are stored as floats
    np.testing.assert_array_equal(round_trip(labels, tmp_path / "a.roi.zip"), labels)


@pytest.mark.parametrize("memory_type", ON_CPU)
def test_labels_of_any_library_are_taken(memory_type: str) -> None:
    labels = as_type(RING[np.newaxis].astype(np.int32), memory_type)
    assert labels_to_rois(labels) == labels_to_rois(RING[np.newaxis])
