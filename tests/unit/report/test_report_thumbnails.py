"""Thumbnails of wells."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from wellfield.errors import ArrayShapeError
from wellfield.results.thumbnails import arrange_fields, outlines, well_thumbnail


def flat(value: float, shape: tuple[int, int] = (40, 40), dtype: type = np.uint16) -> np.ndarray:
    return np.full(shape, value, dtype)


def test_intensities_are_block_means_on_the_scale_of_the_image() -> None:
    image = np.arange(36, dtype=np.uint16).reshape(6, 6) * 1000
    image[0, 0] = 65535
    thumbnail = well_thumbnail({1: (image, None)}, grid=None, size=3)
    assert thumbnail.dtype == np.float32
    assert thumbnail.shape == (2, 3, 3)
    np.testing.assert_allclose(thumbnail[0], image.reshape(3, 2, 3, 2).mean(axis=(1, 3)), rtol=1e-6)
    assert not thumbnail[1].any()


def test_a_block_cut_by_the_edge_is_the_mean_of_what_is_there() -> None:
    thumbnail = well_thumbnail({1: (flat(700, (7, 10)), None)}, grid=None, size=5)
    assert thumbnail.shape == (2, 4, 5)
    np.testing.assert_array_equal(thumbnail[0], 700)


@pytest.mark.parametrize("shape", [(1080, 1280), (161, 20), (33, 480), (160, 160)])
def test_no_field_is_larger_than_asked(shape: tuple[int, int]) -> None:
    assert max(well_thumbnail({1: (flat(1, shape), None)}, grid=None).shape[1:]) <= 160


def test_a_small_image_is_kept_as_it_is() -> None:
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(well_thumbnail({1: (image, None)}, grid=None)[0], image)


def test_fields_fill_the_grid_row_by_row_whatever_the_order_of_the_mapping() -> None:
    fields = {number: (flat(number, (4, 4)), None) for number in (6, 1, 5, 2, 4, 3)}
    thumbnail = well_thumbnail(fields, grid=(2, 3))
    np.testing.assert_array_equal(thumbnail[0, ::4, ::4], [[1, 2, 3], [4, 5, 6]])


def test_a_missing_field_is_nan_at_its_own_place() -> None:
    fields = {number: (flat(number, (4, 4)), flat(1, (4, 4))) for number in (1, 3, 4)}
    thumbnail = well_thumbnail(fields, grid=(2, 2))
    np.testing.assert_array_equal(thumbnail[0, ::4, ::4], [[1, np.nan], [3, 4]])
    assert np.isnan(thumbnail[:, :4, 4:]).all()
    assert np.isnan(thumbnail).sum() == 2 * 16


def test_wells_that_lack_their_last_fields_look_like_the_others() -> None:
    fields = {number: (flat(number, (4, 4)), None) for number in (1, 2)}
    whole = well_thumbnail({**fields, 5: (flat(5, (4, 4)), None)}, grid=None)
    partial = well_thumbnail(fields, grid=None, field_count=5)
    assert whole.shape == partial.shape == (2, 8, 12)


@pytest.mark.parametrize(
    ("count", "grid", "expected"),
    [
        (4, (1, 4), (1, 4)),
        (3, (2, 2), (2, 2)),
        (5, (2, 2), (2, 3)),
        (1, None, (1, 1)),
        (9, None, (3, 3)),
        (7, None, (3, 3)),
    ],
)
def test_a_grid_is_used_if_the_fields_fit_else_a_near_square(
    count: int, grid: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    assert arrange_fields(count, grid) == expected


def test_fields_of_different_size_share_one_scale() -> None:
    thumbnail = well_thumbnail({1: (flat(1, (80, 80)), None), 2: (flat(2, (40, 20)), None)}, grid=(1, 2), size=40)
    assert thumbnail.shape == (2, 40, 80)
    assert np.isfinite(thumbnail[0, :, 40:]).sum() == 20 * 10


def test_outlines_lie_inside_objects_and_part_touching_ones() -> None:
    labels = np.zeros((7, 9), int)
    labels[1:6, 1:4], labels[1:6, 4:8] = 1, 2
    found = outlines(labels)
    assert not found[labels == 0].any()
    assert found[1:6, 3:5].all()  # either side of the border between the two
    assert not found[2:5, 2].any()
    assert not found[2:5, 5:7].any()


@pytest.mark.parametrize("factor", [1, 4, 13])
def test_outlines_stay_visible_however_far_they_are_reduced(factor: int) -> None:
    labels = np.zeros((factor * 10, factor * 10), np.int32)
    labels[factor * 2 : factor * 8, factor * 2 : factor * 8] = 7
    labels[0, 0] = 1  # a single pixel
    coverage = well_thumbnail({1: (labels, labels)}, grid=None, size=10)[1]
    assert coverage.min() == 0
    assert coverage.max() == 1
    assert (coverage[2, 2:8] == 1).all()
    assert not coverage[4:6, 4:6].any()
    assert coverage[0, 0] >= 0.5


def test_unsigned_labels_and_large_ids_are_outlined() -> None:
    labels = np.full((8, 8), 2**32 - 1, np.uint32)
    labels[:, :4] = 1
    assert outlines(labels)[:, 3:5].all()
    assert outlines(labels).sum() == 16


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {0: (flat(1), None)},
        {1: (np.zeros((2, 4, 4)), None)},
        {1: (np.zeros((0, 4)), None)},
        {1: (flat(1, (4, 4)), np.zeros((4, 5), int))},
    ],
)
def test_what_is_no_field_is_refused(fields: dict) -> None:
    with pytest.raises(ArrayShapeError):
        well_thumbnail(fields, grid=None)


def test_the_input_is_left_alone() -> None:
    image, labels = flat(5), flat(0)
    labels[3:9, 3:9] = 2
    image.flags.writeable = labels.flags.writeable = False
    well_thumbnail({1: (image, labels)}, grid=None, size=10)


def test_thumbnails_import_nothing_heavy() -> None:
    code = (
        "import sys, wellfield.results.thumbnails; "
        "sys.exit(str({'matplotlib', 'pandas', 'PIL', 'skimage', 'pyarrow', 'scipy'} & set(sys.modules) or ''))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""
