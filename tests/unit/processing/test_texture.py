"""Texture of objects: against Haralick's example, pairs counted one by one, and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import graycomatrix

from .objects import TEXTURES, measure, planes


def haralick(matrix):
    """Return the features of a matrix of pairs, each counted in both orders, by the formulas of the paper."""
    p = matrix / matrix.sum()
    i, j = np.indices(p.shape)
    mean = (i * p).sum()
    variance = ((i - mean) ** 2 * p).sum()
    return {
        "AngularSecondMoment": (p**2).sum(),
        "Contrast": ((i - j) ** 2 * p).sum(),
        "Correlation": ((i * j * p).sum() - mean**2) / variance if variance > 1e-9 else np.nan,
        "InverseDifferenceMoment": (p / (1 + (i - j) ** 2)).sum(),
        "Entropy": -(p[p > 0] * np.log2(p[p > 0])).sum(),
    }


def mean_of_directions(matrices):
    found = [haralick(matrix) for matrix in matrices if matrix.any()]
    means = {}
    for name in TEXTURES:
        defined = [features[name] for features in found if not np.isnan(features[name])]
        means[name] = np.mean(defined) if defined else np.nan
    return means


def textures(objects, row=0, channel="1"):
    return {name: objects[f"Nuclei_Texture_{name}_{channel}"][row] for name in TEXTURES}


def levels_by_hand(plane, mask):
    """Return the grey levels of the whole numbers in a mask: 16 steps of their range."""
    low, high = int(plane[mask].min()), int(plane[mask].max())
    return np.minimum((plane - low) * 16 // max(high - low, 1), 15)


def matrices_by_hand(mask, levels, distance):
    for dy, dx in ((0, distance), (-distance, distance), (-distance, 0), (-distance, -distance)):
        matrix = np.zeros((16, 16))
        for y, x in np.argwhere(mask):
            if 0 <= y + dy < mask.shape[0] and 0 <= x + dx < mask.shape[1] and mask[y + dy, x + dx]:
                pair = levels[y, x], levels[y + dy, x + dx]
                matrix[pair] += 1
                matrix[pair[::-1]] += 1
        yield matrix


def test_the_example_of_the_paper_has_its_texture():
    # Figure 3 of Haralick et al. and its matrices for 0°, 45°, 90° and 135°; a pixel of 16 that is in no pair makes
    # levels of the values.
    image, labels = np.zeros((1, 4, 6), int), np.zeros((1, 4, 6), int)
    image[0, :, :4] = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]
    image[0, 0, 5] = 16
    labels[0, :, :4] = labels[0, 0, 5] = 1
    matrices = [
        np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]),
        np.array([[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]),
        np.array([[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]),
        np.array([[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]),
    ]
    _, objects = measure(image, labels, texture_distance=1)
    assert textures(objects) == pytest.approx(mean_of_directions(matrices))


@settings(max_examples=60, deadline=None)
@given(labels=planes(), seed=st.integers(0, 2**32 - 1), distance=st.integers(1, 6))
def test_textures_agree_with_pairs_counted_one_by_one(labels, seed, distance):
    image = np.random.default_rng(seed).integers(-99, 4000, (1, *labels.shape))
    _, objects = measure(image, labels[None], texture_distance=distance)
    for row, number in enumerate(objects["Metadata_ObjectNumber"]):
        mask = labels == number
        expected = mean_of_directions(matrices_by_hand(mask, levels_by_hand(image[0], mask), distance))
        assert textures(objects, row) == pytest.approx(expected, nan_ok=True)


def test_the_texture_of_a_whole_plane_agrees_with_scikit_image():
    image = np.random.default_rng(5).normal(500, 80, (1, 40, 50))
    edges = np.linspace(image.min(), image.max(), 17)
    levels = np.clip(np.digitize(image[0], edges) - 1, 0, 15).astype(np.uint8)
    found = graycomatrix(levels, [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], levels=16, symmetric=True)
    _, objects = measure(image, np.ones((1, 40, 50), int), texture_distance=1)
    assert textures(objects) == pytest.approx(mean_of_directions(found[:, :, 0, angle] for angle in range(4)))


def test_texture_is_that_of_the_pattern_whatever_brightness_contrast_and_a_speck_beside():
    plane = np.random.default_rng(1).integers(0, 1000, (12, 12))
    image = np.stack([plane, 50 * plane + 7, plane])
    labels = np.zeros((1, 12, 12), int)
    labels[0, 2:9, 2:9] = 4
    image[2, 0, 0] = 100_000  # in the background
    _, objects = measure(image, labels)
    assert textures(objects, channel="1") == textures(objects, channel="2") == textures(objects, channel="3")
    assert textures(objects, channel="1")["Contrast"] > 0


def test_an_object_of_one_value_has_one_grey_level():
    image = np.arange(80.0).reshape(1, 8, 10)
    image[:, :, :5] = 300
    _, objects = measure(image, (np.arange(10) < 5)[None, None] * np.ones((1, 8, 1), int))
    expected = {"AngularSecondMoment": 1, "Contrast": 0, "Correlation": np.nan}
    assert textures(objects) == pytest.approx({**expected, "InverseDifferenceMoment": 1, "Entropy": 0}, nan_ok=True)


@pytest.mark.parametrize("distance", [3, 4, 100])
def test_an_object_without_pairs_at_that_distance_has_no_texture(distance):
    image = np.arange(15.0).reshape(1, 3, 5)
    labels = np.zeros((1, 3, 5), int)
    labels[0, :, :3] = 1
    _, objects = measure(image, labels, texture_distance=distance)
    assert all(np.isnan(value) for value in textures(objects).values())


def test_without_a_distance_no_texture_is_measured():
    _, objects = measure(np.ones((1, 3, 3)), np.ones((1, 3, 3), int), texture_distance=None)
    assert not [name for name in objects if "Texture" in name]
