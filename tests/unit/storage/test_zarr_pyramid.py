"""Pyramids against block means and block members computed pixel by pixel."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wellfield.storage.zarr.pyramid import halve_mean, level_shapes, nearest

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]


def block(plane: np.ndarray, y: int, x: int, side: int = 2) -> list:
    return plane[y * side : (y + 1) * side, x * side : (x + 1) * side].ravel().tolist()


@given(st.data(), st.sampled_from(INTEGERS), SHAPES)
def test_an_integer_pixel_is_the_mean_of_the_pixels_there_are_rounded_to_nearest(data, dtype, shape) -> None:
    plane = data.draw(hnp.arrays(dtype, shape))
    half = halve_mean(plane)
    assert half.dtype == plane.dtype
    assert half.shape == ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    for (y, x), value in np.ndenumerate(half):
        pixels = block(plane, y, x)
        assert int(value) == round(Fraction(sum(pixels), len(pixels)))  # round() takes halves to even


@given(st.data(), st.sampled_from(["f4", "f8"]), SHAPES)
def test_a_float_pixel_is_the_mean_of_the_pixels_there_are(data, dtype, shape) -> None:
    plane = data.draw(hnp.arrays(dtype, shape, elements=st.floats(-1000, 1000, width=32)))
    half = halve_mean(plane)
    assert half.dtype == plane.dtype
    for (y, x), value in np.ndenumerate(half):
        pixels = block(plane, y, x)
        assert float(value) == pytest.approx(sum(pixels) / len(pixels), rel=1e-6, abs=1e-3)


def test_a_constant_image_keeps_its_value_at_every_odd_edge() -> None:
    plane = np.full((1021, 517), 40_001, np.uint16)
    for shape in level_shapes(plane.shape)[1:]:
        plane = halve_mean(plane)
        assert plane.shape == shape
        assert (plane == 40_001).all()


def test_levels_of_noise_are_not_brighter_than_the_image() -> None:
    plane = np.random.default_rng(0).integers(0, 5, (1024, 1024)).astype(np.uint8)
    mean = plane.mean()
    for _ in range(2):
        plane = halve_mean(plane)
        assert plane.mean() == pytest.approx(mean, abs=0.02)


def test_mixed_infinities_give_nan_without_a_warning() -> None:
    plane = np.array([[np.inf, -np.inf], [0, 0]], np.float32)
    assert np.isnan(halve_mean(plane)).all()


@given(st.data(), SHAPES, st.integers(1, 3))
def test_a_label_pixel_is_an_id_of_its_own_block(data, shape, level) -> None:
    plane = data.draw(hnp.arrays("u4", shape))
    small = nearest(plane, level)
    assert small.dtype == plane.dtype
    for (y, x), value in np.ndenumerate(small):
        assert int(value) in block(plane, y, x, 2**level)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_label_pixel_is_half_a_pixel_from_the_middle_of_its_block(level: int) -> None:
    rows = np.repeat(np.arange(64, dtype=np.uint32)[:, None], 64, axis=1)
    middle = np.arange(64 // 2**level) * 2**level + (2**level - 1) / 2
    np.testing.assert_array_equal(nearest(rows, level)[:, 0] - middle, 0.5)


@given(SHAPES, st.integers(1, 4))
def test_label_levels_have_the_sizes_of_image_levels(shape, level) -> None:
    image = np.zeros(shape, np.uint8)
    for _ in range(level):
        image = halve_mean(image)
    assert nearest(np.zeros(shape, np.uint32), level).shape == image.shape


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((256, 256), [(256, 256)]),
        ((257, 100), [(257, 100), (129, 50)]),
        ((2160, 2160), [(2160, 2160), (1080, 1080), (540, 540), (270, 270), (135, 135)]),
        ((1, 1000), [(1, 1000), (1, 500), (1, 250)]),
    ],
)
def test_sizes_are_halved_until_the_longer_side_is_at_most_256(shape, levels) -> None:
    assert level_shapes(shape) == levels
