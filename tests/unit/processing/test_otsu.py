from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import threshold_otsu as otsu_of_skimage

from wellfield.processing.otsu import FloatBins, bin_numbers, bins_between, find_thresholds, largest_at_most

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")


def numbers_of(pixels: np.ndarray) -> tuple[np.ndarray, object]:
    bins = bins_between(pixels.min(), pixels.max())
    return bin_numbers(pixels, bins), bins


def threshold(pixels: np.ndarray, *, correction: float = 1.0, minimum: float | None = None):
    def count(_, bins):
        return np.bincount(bin_numbers(pixels, bins), minlength=bins.count)

    low, high = pixels.min(keepdims=True), pixels.max(keepdims=True)
    options = {"correction": correction, "minimum": minimum, "min_contrast": 0, "volumetric": False}
    return find_thresholds(low, high, count, **options)[0]


# --- bins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_have_a_bin_per_value_whatever_their_dtype(dtype):
    limits = np.iinfo(dtype)
    for start in (limits.min, limits.max - 100):
        pixels = np.array([start, start + 1, start + 100], dtype)
        assert numbers_of(pixels)[0].tolist() == [0, 1, 100]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_widest_range_of_integers_fits_the_bins(dtype):
    limits = np.iinfo(dtype)
    numbers, bins = numbers_of(np.array([limits.min, limits.max], dtype))
    assert numbers.tolist() == [0, min(int(limits.max) - int(limits.min), 65535)]
    assert bins.count == 65536


@given(st.data())
def test_bins_of_any_pixels_are_in_order_and_in_range(data):
    dtype = data.draw(st.sampled_from((*INTEGERS, *FLOATS)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype in FLOATS else {}
    elements = hnp.from_dtype(np.dtype(dtype), **finite)
    pixels = np.unique(data.draw(hnp.arrays(dtype, st.integers(2, 30), elements=elements)))
    if pixels.size == 1:
        return
    numbers, bins = numbers_of(pixels)
    assert (np.diff(numbers) >= 0).all()
    assert numbers[0] == 0
    assert numbers[-1] < bins.count


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_bins_reach_over_the_whole_range_of_the_dtype(dtype):
    limits = np.finfo(dtype)
    numbers, _ = numbers_of(np.array([limits.min, 0, limits.max], dtype))
    assert numbers.tolist() == [0, 2048, 4095]


def test_bins_narrower_than_floats_are_made_wider():
    tiny = np.array([0, 1e-40], np.float32)
    numbers, bins = numbers_of(tiny)
    assert isinstance(bins, FloatBins)
    assert np.isfinite(bins.scale)
    assert numbers.max() < 4096


# --- thresholds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_the_threshold_is_that_of_scikit_image(dtype):
    rng = np.random.default_rng(2)
    pixels = np.concatenate([rng.normal(100, 8, 3000), rng.normal(180, 15, 900)]).clip(0, 255).astype(dtype)
    expected = otsu_of_skimage(pixels, nbins=4096)
    np.testing.assert_allclose(threshold(pixels), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_a_high_offset_does_not_blur_the_threshold(dtype):
    low = 2**62 + 1  # which float64 does not hold
    pixels = np.array([low] * 5 + [low + 4] * 5, dtype)
    assert int(threshold(pixels)) == low


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_thresholds_outside_the_range_leave_all_or_nothing(dtype):
    pixels = np.array([10, 10, 20, 20], dtype)
    assert (pixels > threshold(pixels, minimum=-1e300)).tolist() == [False, False, True, True]
    assert not (pixels > threshold(pixels, minimum=1e300)).any()
    assert not (pixels > threshold(pixels, minimum=float("inf"))).any()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_part_without_two_classes_gets_the_largest_value(dtype):
    limits = np.iinfo(dtype) if dtype == "uint8" else np.finfo(dtype)
    assert threshold(np.full(9, 7, dtype)) == limits.max


@given(value=st.floats(allow_nan=False), dtype=st.sampled_from(("uint8", "int16", "uint32", "int64")), data=st.data())
def test_comparing_with_the_largest_integer_at_most_is_comparing_with_the_value(value, dtype, data):
    bound = largest_at_most(value, np.dtype(dtype))
    assert bound.dtype == dtype
    pixel = data.draw(hnp.from_dtype(np.dtype(dtype)))
    if value >= np.iinfo(dtype).min:
        assert (int(pixel) > int(bound)) == (int(pixel) > value)


@given(
    value=st.floats(allow_nan=False),
    pixel=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_comparing_with_the_largest_float_at_most_is_comparing_with_the_value(value, pixel):
    bound = largest_at_most(value, np.dtype(np.float32))
    assert bound.dtype == np.float32
    assert (np.float32(pixel) > bound) == (pixel > value)
    near = np.float32(np.clip(value, -3e38, 3e38))
    for neighbour in (near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))):
        assert (neighbour > bound) == (float(neighbour) > value)
