"""One image of a well, against scenes that were cut into fields."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as label_image

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.processing.declarations import declared_inputs
from wellfield.processing.function_registry import get_function
from wellfield.processing.stitching import stitch

SHAPE = (40, 50)
CORNERS = [(y, x) for y in (0, 30) for x in (0, 38, 76)]  # 10 and 12 px of overlap
SCENE_SHAPE = (70, 126)


def table(corners, numbers=None):
    y, x = np.transpose(corners).astype(np.float64)
    numbers = np.arange(1, len(corners) + 1, dtype=np.int32) if numbers is None else np.array(numbers, np.int32)
    return {"Metadata_Site": numbers, "x_position_px": x, "y_position_px": y}


def cut(scene, corners=CORNERS, shape=SHAPE):
    return np.stack([scene[y : y + shape[0], x : x + shape[1]] for y, x in corners])


def run(image, corners=CORNERS, **params):
    return stitch(image, **{"positions": table(corners), "field_numbers": range(1, len(image) + 1)} | params)


def disks(centres, radius, shape=SCENE_SHAPE):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.any([(y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for cy, cx in centres], axis=0)


def assert_same_objects(labels, truth):
    """Check that two label images part the pixels in the same way."""
    pairs = set(zip(labels.ravel().tolist(), truth.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(truth)) == len(np.unique(labels))
    assert (0, 0) in pairs


# --- intensities -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float16, np.float32, np.float64])
def test_a_scene_cut_into_fields_comes_back_to_the_bit(dtype):
    rng = np.random.default_rng(0)
    scene = (rng.random(SCENE_SHAPE) * 250).astype(dtype)
    image = cut(scene)
    before = image.copy()
    result = run(image)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, scene[np.newaxis])
    np.testing.assert_array_equal(image, before)


def test_an_overlap_is_a_linear_ramp():
    # One row high, every pixel is 1 px from an edge: so three high, and the middle row.
    image = np.zeros((2, 9, 10), np.float64)
    image[0], image[1] = 100, 200
    result = run(image, [(0, 0), (0, 6)])
    assert result.shape == (1, 9, 16)
    expected = [100 * (5 - k) / 5 + 200 * k / 5 for k in (1, 2, 3, 4)]  # weights 4, 3, 2, 1 and 1, 2, 3, 4
    np.testing.assert_allclose(result[0, 4], [100] * 6 + expected + [200] * 6)


def test_integers_are_rounded_to_the_nearest_and_stay_in_range():
    image = np.zeros((2, 9, 10), np.uint16)
    image[0], image[1] = 65535, 65532
    result = run(image, [(0, 0), (0, 6)])
    # 65534.4, 65533.8, 65533.2, 65532.6
    assert result[0, 4].tolist() == [65535] * 6 + [65534, 65534, 65533, 65533] + [65532] * 6


def test_where_four_fields_meet_the_mean_has_the_four_distances():
    image = np.arange(1.0, 5.0)[:, None, None] * np.ones((4, 6, 6))
    result = run(image, [(0, 0), (0, 4), (4, 0), (4, 4)])
    # At (4, 4): row 4 and column 4 of the first field (2 from its edges), then 1 from an edge of the three others.
    assert result[0, 4, 4] == pytest.approx((2 * 1 + 1 * 2 + 1 * 3 + 1 * 4) / 5)


def test_pixels_without_a_field_are_0_and_fields_without_a_plane_leave_their_place():
    image = np.full((2, *SHAPE), 7, np.uint16)
    result = stitch(image, positions=table(CORNERS), field_numbers=[1, 6])
    assert result.shape == (1, *SCENE_SHAPE)
    expected = np.zeros(SCENE_SHAPE, np.uint16)
    expected[:40, :50] = expected[30:, 76:] = 7
    np.testing.assert_array_equal(result[0], expected)


def test_planes_go_by_field_number_whatever_their_order():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 4000, (6, *SHAPE)).astype(np.float32)
    shifted = [(y + (k % 3), x - k) for k, (y, x) in enumerate(CORNERS)]
    expected = run(image, shifted)
    order = [4, 0, 5, 2, 1, 3]
    rows = [3, 1, 2, 5, 0, 4]
    positions = table([shifted[k] for k in rows], [k + 1 for k in rows])
    result = stitch(image[order], positions=positions, field_numbers=[k + 1 for k in order])
    np.testing.assert_array_equal(result, expected)


def test_positions_are_rounded_and_start_at_0():
    scene = np.random.default_rng(2).integers(0, 4000, SCENE_SHAPE).astype(np.uint16)
    moved = np.add(CORNERS, (-100.3, 55.4))
    moved[1:3] += 0.3
    moved[4:] -= 0.3
    np.testing.assert_array_equal(run(cut(scene), moved)[0], scene)


def test_one_field_is_the_well():
    image = np.random.default_rng(0).random((1, 5, 7)).astype(np.float32)
    np.testing.assert_array_equal(stitch(image, positions=table([(0, 0)], [3]), field_numbers=[3]), image)


def test_pixels_that_are_no_numbers_stay_where_they_are():
    image = np.ones((2, 9, 10), np.float32)
    image[0, 4, 7], image[1, 4, 8], image[1, 0, 9] = np.nan, np.inf, np.inf
    result = run(image, [(0, 0), (0, 6)])
    bad = ~np.isfinite(result[0])
    assert np.argwhere(bad).tolist() == [[0, 15], [4, 7], [4, 14]]


# --- masks and labels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8])
def test_masks_are_taken_from_the_field_with_the_nearest_centre(dtype):
    image = np.zeros((2, 9, 10), dtype)
    image[0] = 1
    result = run(image, [(0, 0), (0, 5)], image_kind="mask")
    assert result.dtype == dtype
    # Columns 5 to 9 are seen twice; the centres are at 4.5 and 9.5: 7 is as near to both, the first field's.
    assert result[0, 3].tolist() == [1] * 8 + [0] * 7


def test_a_label_mosaic_has_the_true_objects():
    centres = [(y, x) for y in range(5, 70, 12) for x in range(5, 126, 12)]
    truth = label_image(disks(centres, 4))
    assert truth.max() == len(centres)
    image = np.stack([label_image(part > 0) for part in cut(truth)])  # each field numbers its own
    result = run(image, image_kind="labels")
    assert result.dtype == np.int32
    assert sorted(np.unique(result)) == list(range(len(centres) + 1))
    np.testing.assert_array_equal(result[0] > 0, truth > 0)
    assert_same_objects(result[0], truth)


def test_an_object_across_four_fields_is_one():
    truth = label_image(disks([(35, 44)], 20))
    image = np.stack([label_image(part > 0) * (100 + k) for k, part in enumerate(cut(truth))])
    np.testing.assert_array_equal(run(image, image_kind="labels")[0], truth)


def test_touching_objects_stay_apart():
    truth = np.zeros(SCENE_SHAPE, np.int32)
    truth[10:20, 30:45], truth[10:20, 45:60], truth[20:29, 30:60] = 1, 2, 3
    result = run(cut(truth), image_kind="labels")
    assert_same_objects(result[0], truth)


def test_ids_of_different_objects_are_told_apart():
    image = np.zeros((6, *SHAPE), np.uint16)
    image[:, 15:18, 20:25] = 9  # one in each field, away from the overlaps, all with one id
    result = run(image, image_kind="labels")
    assert sorted(np.unique(result)) == list(range(7))
    assert len({int(result[0, y + 16, x + 22]) for y, x in CORNERS}) == 6


def test_objects_are_one_if_they_share_more_than_half_of_their_union():
    def pieces(rows):
        image = np.zeros((2, 20, 30), np.int32)
        image[0, 0:8, 20:30] = 5
        image[1, 8 - rows : 16 - rows, 0:10] = 5
        return len(np.unique(run(image, [(0, 0), (0, 20)], image_kind="labels"))) - 1

    assert pieces(6) == 1  # 6 rows of 10 are common
    assert pieces(5) == 2  # 5 rows of 11


def test_an_object_of_the_overlap_that_only_the_farther_field_has_is_left_out():
    image = np.zeros((2, 20, 30), np.int32)
    image[1, 5:8, 0:3] = 1
    assert not run(image, [(0, 0), (0, 20)], image_kind="labels").any()


def test_large_ids_and_many_objects_are_kept():
    shape = (400, 400)
    truth = np.zeros(shape, np.int64)
    truth[::2, ::2] = np.arange(40_000).reshape(200, 200) + 2**40
    corners = [(0, 0), (0, 180)]
    image = cut(truth, corners, (400, 220))
    result = run(image, corners, image_kind="labels")
    assert result.max() == len(np.unique(truth)) - 1 == 40_000
    assert_same_objects(result[0], truth)


def test_fields_without_objects_give_an_empty_label_image():
    result = run(np.zeros((6, *SHAPE), np.int32), image_kind="labels")
    assert (result.shape, result.dtype, result.any()) == ((1, *SCENE_SHAPE), np.int32, False)


def test_labels_do_not_depend_on_the_order_of_fields():
    truth = label_image(np.random.default_rng(5).random(SCENE_SHAPE) > 0.6)
    image = np.stack([label_image(part > 0) for part in cut(truth)])
    order = [5, 1, 3, 0, 4, 2]
    result = stitch(image[order], positions=table(CORNERS), field_numbers=[k + 1 for k in order], image_kind="labels")
    np.testing.assert_array_equal(result, run(image, image_kind="labels"))


# --- bad input ---------------------------------------------------------------------------------------------------


def test_fields_and_positions_that_do_not_fit_are_refused():
    image = np.zeros((2, *SHAPE), np.uint16)
    with pytest.raises(PipelineError, match=r"fields \[9\] are not in positions, which has \[1, 2, 3, 4, 5, 6\]"):
        run(image, field_numbers=[1, 9])
    with pytest.raises(PipelineError, match="expected each field once"):
        run(image, field_numbers=[1, 1])
    with pytest.raises(ArrayShapeError, match="2 planes, but 3 field numbers"):
        run(image, field_numbers=[1, 2, 3])
    with pytest.raises(PipelineError, match=r"has fields \[1, 1\]; expected each once"):
        run(image, positions=table(CORNERS[:2], [1, 1]))
    with pytest.raises(PipelineError, match="positions has no 'x_position_px'"):
        run(image, positions={"Metadata_Site": [1, 2]})
    with pytest.raises(PipelineError, match=r"positions of fields \[2\] are not numbers"):
        run(image, positions=table([(0, 0), (np.nan, 3)]))
    with pytest.raises(ArrayShapeError, match="at least one plane"):
        run(image[:0])


def test_pixels_that_do_not_fit_their_kind_are_refused():
    image = np.zeros((2, *SHAPE), np.float32)
    with pytest.raises(ConfigError, match="image_kind='picture'; expected one of intensity, mask, labels"):
        run(image, image_kind="picture")
    with pytest.raises(PipelineError, match="an intensity image of bool"):
        run(image > 0)
    with pytest.raises(PipelineError, match="a mask of float32"):
        run(image, image_kind="mask")
    with pytest.raises(PipelineError, match="labels of float32"):
        run(image, image_kind="labels")
    with pytest.raises(PipelineError, match="labels go down to -1"):
        run(image.astype(np.int32) - 1, image_kind="labels")


def test_it_is_known_by_its_name_and_says_what_it_needs():
    info = get_function("stitch")
    assert (info.needs_fields, info.merges_fields, info.returns) == (True, True, None)
    assert declared_inputs(info.function) == ("positions",)
