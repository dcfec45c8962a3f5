from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import segmentation

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.processing.cells import expand_labels, find_cells, find_cytoplasm
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.segmentation import threshold_otsu


def disk(y: float, x: float, radius: float, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - y, columns - x) <= radius


def two_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return stain, nuclei and true cells: two that touch at column 40, one nucleus closer to it; ids 7 and 3."""
    left, right = disk(30, 27, 14), disk(30, 54, 14)
    truth = np.where(left & (np.arange(80) <= 40), 7, 0) + np.where(right & (np.arange(80) > 40), 3, 0)
    stain = 20 + 180 * (truth > 0) - 80 * ((truth > 0) & np.isin(np.arange(80), (40, 41)))
    nuclei = np.where(disk(30, 22, 5), 7, 0) + np.where(disk(30, 50, 5), 3, 0)
    return stain[None].astype(np.uint16), nuclei[None].astype(np.int32), truth[None].astype(np.int32)


def some_nuclei(seed: int, shape: tuple[int, int, int] = (2, 30, 30)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ndimage.label(ndimage.binary_dilation(rng.random(shape) < 0.01))[0] * 3


# --- find_cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_cells_fill_the_stain_and_meet_at_its_dim_line(dtype):
    stain, nuclei, truth = two_cells()
    cells = find_cells(stain.astype(dtype), labels=nuclei)
    assert cells.dtype == np.int32
    np.testing.assert_array_equal(cells > 0, truth > 0)
    off_line = ~np.isin(np.arange(80), (40, 41))
    np.testing.assert_array_equal(cells[..., off_line], truth[..., off_line])


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000), max_distance=st.sampled_from([0, 1.5, 4, 100]), correction=st.sampled_from([0.5, 1])
)
def test_every_nucleus_is_in_its_own_connected_cell_of_stained_pixels_within_the_distance(
    seed, max_distance, correction
):
    nuclei = some_nuclei(seed)
    stain = ndimage.gaussian_filter(np.random.default_rng(seed).random(nuclei.shape), (0, 2, 2))
    cells = find_cells(stain, labels=nuclei, max_distance=max_distance, correction=correction)
    np.testing.assert_array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    stained = threshold_otsu(stain, correction=correction, min_contrast=0)
    for plane, seeds, foreground in zip(cells, nuclei, stained, strict=True):
        assert set(np.unique(plane)) == {0, *np.unique(seeds)}
        grown = (plane > 0) & (seeds == 0)
        assert not (grown & ~foreground).any()
        if seeds.any():
            assert ndimage.distance_transform_edt(seeds == 0)[grown].max(initial=0) <= max_distance
        reachable = (seeds > 0) | foreground & (ndimage.distance_transform_edt(seeds == 0) <= max_distance)
        regions, _ = ndimage.label(reachable, np.ones((3, 3)))
        np.testing.assert_array_equal(plane > 0, np.isin(regions, np.unique(regions[seeds > 0])) & reachable)
        for number in np.unique(seeds[seeds > 0]):
            parts, count = ndimage.label(plane == number, np.ones((3, 3)))
            assert set(np.unique(parts[seeds == number])) == set(range(1, count + 1))


def test_max_distance_is_euclidean_and_inclusive():
    nuclei = np.zeros((1, 41, 41), np.int32)
    nuclei[0, 20, 20] = 1
    stain = np.full((1, 41, 41), 100.0)
    stain[0, 0] = 0
    cells = find_cells(stain, labels=nuclei, max_distance=5)
    np.testing.assert_array_equal(cells[0] > 0, disk(20, 20, 5, (41, 41)))


def test_without_stain_the_cell_is_the_nucleus():
    _, nuclei, _ = two_cells()
    np.testing.assert_array_equal(find_cells(np.full(nuclei.shape, 9, np.uint8), labels=nuclei), nuclei)
    noise = np.random.default_rng(0).poisson(100, nuclei.shape)
    np.testing.assert_array_equal(find_cells(noise, labels=nuclei, min_contrast=2.8), nuclei)
    np.testing.assert_array_equal(find_cells(noise, labels=nuclei, minimum=1000), nuclei)
    assert (find_cells(noise, labels=nuclei) > 0).sum() > (nuclei > 0).sum()


def test_stain_that_no_nucleus_reaches_is_background():
    stain, nuclei, _ = two_cells()
    stain[0, 2:6, 2:6] = 200
    assert not find_cells(stain, labels=nuclei, max_distance=1000)[0, :7, :7].any()


def test_a_correction_below_1_takes_in_dimmer_stain():
    stain, nuclei, truth = two_cells()
    stain[ndimage.binary_dilation(truth > 0) & (truth == 0)] = 100
    bright, dim = (np.count_nonzero(find_cells(stain, labels=nuclei, correction=c)) for c in (1, 0.5))
    assert bright == np.count_nonzero(truth)
    assert dim == np.count_nonzero(ndimage.binary_dilation(truth > 0))


def test_each_plane_of_a_stack_has_its_own_nuclei_or_all_have_those_of_one_plane():
    stain, nuclei, _ = two_cells()
    stack, seeds = np.concatenate([stain, stain[:, :, ::-1]]), np.concatenate([nuclei, nuclei[:, :, ::-1]])
    np.testing.assert_array_equal(find_cells(stack, labels=seeds)[1:], find_cells(stain[:, :, ::-1], labels=seeds[1:]))
    np.testing.assert_array_equal(find_cells(stack, labels=nuclei)[1:], find_cells(stain[:, :, ::-1], labels=nuclei))


def test_a_plane_without_nuclei_has_no_cells():
    stain, nuclei, _ = two_cells()
    cells = find_cells(np.concatenate([stain, stain]), labels=np.concatenate([nuclei, 0 * nuclei]))
    assert cells[0].any()
    assert not cells[1].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_stain_with_pixels_that_are_no_number_is_refused(bad):
    _, nuclei, _ = two_cells()
    image = np.zeros(nuclei.shape, np.float32)
    image[0, 0, 0] = bad
    with pytest.raises(PipelineError, match="NaN or infinite"):
        find_cells(image, labels=nuclei)


# --- expand_labels -----------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), distance=st.sampled_from([0, 1, 2.5, 6, 100]))
def test_expansion_is_that_of_scikit_image_in_each_plane(seed, distance):
    nuclei = some_nuclei(seed)
    result = expand_labels(nuclei, distance=distance)
    assert result.dtype == np.int32
    for plane, found in zip(nuclei, result, strict=True):
        expected = segmentation.expand_labels(plane, distance) if plane.any() else 0 * plane
        np.testing.assert_array_equal(found, expected)


def test_objects_grow_by_the_distance_and_stop_where_they_meet():
    labels = np.zeros((1, 1, 12), np.uint16)
    labels[0, 0, [2, 7]] = 5, 60_000
    assert expand_labels(labels, distance=2).tolist() == [
        [[5, 5, 5, 5, 5, 60_000, 60_000, 60_000, 60_000, 60_000, 0, 0]]
    ]
    np.testing.assert_array_equal(expand_labels(labels, distance=0), labels)


# --- find_cytoplasm ----------------------------------------------------------------------------------------------


def test_cytoplasm_is_the_cell_without_its_nucleus_under_the_same_id():
    stain, nuclei, _ = two_cells()
    cells = find_cells(stain, labels=nuclei)
    cytoplasm = find_cytoplasm(cells, labels=nuclei)
    assert cytoplasm.dtype == np.int32
    np.testing.assert_array_equal(cytoplasm + nuclei, cells)
    assert not cytoplasm[nuclei > 0].any()


def test_nuclei_outside_of_cells_and_cells_without_nucleus_or_cytoplasm_are_allowed():
    cells = np.array([[[4, 4, 4, 0, 9, 9, 2]]])
    nuclei = np.array([[[0, 0, 4, 4, 0, 0, 2]]])
    assert find_cytoplasm(cells, labels=nuclei).tolist() == [[[4, 4, 0, 0, 9, 9, 0]]]


def test_one_plane_of_nuclei_is_taken_out_of_every_plane_of_cells():
    cells = np.array([[[4, 4, 0]], [[4, 4, 4]]])
    assert find_cytoplasm(cells, labels=np.array([[[4, 0, 0]]])).tolist() == [[[0, 4, 0]], [[0, 4, 4]]]


def test_a_nucleus_in_a_cell_of_another_id_is_an_error_that_names_both():
    with pytest.raises(PipelineError, match=r"nucleus 3 lies in cell 5.* 2 pixels.*find_cells"):
        find_cytoplasm(np.array([[[5, 5, 5, 1]]]), labels=np.array([[[0, 3, 3, 1]]]))


# --- all ---------------------------------------------------------------------------------------------------------


def call(function, labels, shape=None):
    """Call a function of cells with *labels* as its ids, and an image of *shape* where it takes one."""
    if function is expand_labels:
        return function(labels, distance=2)
    return function(np.zeros(shape or labels.shape, np.int32), labels=labels)


@pytest.mark.parametrize("function", [find_cells, expand_labels, find_cytoplasm])
@pytest.mark.parametrize("dtype", [bool, "float32"])
def test_a_mask_or_image_in_place_of_labels_names_the_step_that_makes_them(function, dtype):
    with pytest.raises(PipelineError, match=rf"{function.__name__}: labels are .*label or split_touching"):
        call(function, np.zeros((1, 4, 4), dtype))


@pytest.mark.parametrize("function", [find_cells, expand_labels, find_cytoplasm])
@pytest.mark.parametrize("number", [-1, 2**31])
def test_ids_beyond_int32_and_negative_ones_are_refused(function, number):
    with pytest.raises(PipelineError, match=rf"{function.__name__}: labels go .*{number}"):
        call(function, np.array([[[0, number]]]))


@pytest.mark.parametrize("function", [find_cells, find_cytoplasm])
@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 5), (4, 4)])
def test_labels_of_another_shape_are_refused(function, shape):
    with pytest.raises(ArrayShapeError, match=rf"{function.__name__}: labels have shape.*expected \[2, 4, 4\]"):
        call(function, np.zeros(shape, int), shape=(2, 4, 4))


@pytest.mark.parametrize("function", [find_cells, expand_labels, find_cytoplasm])
@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 0, 4), (1, 4, 0), (1, 1, 1), (2, 3, 3)])
def test_no_objects_and_no_pixels_give_an_empty_label_image(function, shape):
    result = call(function, np.zeros(shape, np.uint16))
    assert result.shape == shape
    assert result.dtype == np.int32
    assert not result.any()


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(value):
    labels = np.zeros((1, 4, 4), int)
    with pytest.raises(ConfigError, match="max_distance"):
        find_cells(labels, labels=labels, max_distance=value)
    with pytest.raises(ConfigError, match="distance"):
        expand_labels(labels, distance=value)


def test_nothing_is_modified():
    stain, nuclei, truth = two_cells()
    before = stain.copy(), nuclei.copy(), truth.copy()
    for array in (stain, nuclei, truth):
        array.setflags(write=False)
    results = [
        find_cells(stain, labels=nuclei),
        expand_labels(nuclei, distance=0),
        find_cytoplasm(truth, labels=np.zeros_like(nuclei)),
    ]
    for array, copy in zip((stain, nuclei, truth), before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not any(np.shares_memory(array, result) for result in results)


def test_kinds_are_declared_for_the_compiler():
    kinds = {"find_cells": ImageKind.INTENSITY, "expand_labels": ImageKind.LABELS, "find_cytoplasm": ImageKind.LABELS}
    for name, kind in kinds.items():
        assert get_function(name).returns == ImageKind.LABELS
        assert get_function(name).accepts == {kind}
