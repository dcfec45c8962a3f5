from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.processing.filters import gaussian_filter, max_projection, median_filter, normalize_percentile, tophat
from wellfield.processing.function_registry import ImageKind, get_function

DTYPES = ("uint8", "uint16", "int16", "int32", "int64", "uint64", "float32", "float64")
FILTERS = (gaussian_filter, median_filter, tophat, normalize_percentile, max_projection)


def random_stack(dtype: str = "uint16", shape: tuple[int, ...] = (3, 20, 24)) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2


# --- all filters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FILTERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_input_is_never_modified_even_when_it_is_read_only(function, dtype):
    stack = random_stack(dtype)
    before = stack.copy()
    stack.setflags(write=False)
    result = function(stack)
    assert not np.shares_memory(result, stack)
    np.testing.assert_array_equal(stack, before)


@pytest.mark.parametrize("function", (median_filter, tophat, max_projection))
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept(function, dtype):
    assert function(random_stack(dtype)).dtype == dtype


@pytest.mark.parametrize("function", (gaussian_filter, median_filter, tophat, normalize_percentile))
def test_each_plane_is_filtered_by_itself(function):
    stack = random_stack()
    together = function(stack)
    for z in range(stack.shape[0]):
        np.testing.assert_array_equal(together[z : z + 1], function(stack[z : z + 1]))


@pytest.mark.parametrize("function", FILTERS)
def test_a_view_with_steps_gives_the_same_as_its_copy(function):
    stack = random_stack(shape=(3, 40, 48))
    np.testing.assert_array_equal(function(stack[:, ::2, ::-2]), function(stack[:, ::2, ::-2].copy()))


@pytest.mark.parametrize("function", FILTERS)
def test_a_bare_plane_is_refused(function):
    with pytest.raises(ArrayShapeError, match=function.__name__):
        function(np.zeros((8, 8)))


@pytest.mark.parametrize("function", FILTERS)
def test_masks_and_labels_do_not_compile_as_input(function):
    assert get_function(function.__name__).accepts == {ImageKind.INTENSITY}


# --- gaussian_filter ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_of_integers_keeps_the_fractions(dtype):
    point = np.zeros((1, 21, 21), dtype)
    point[0, 10, 10] = 100
    result = gaussian_filter(point, sigma=2.0)
    offsets = np.arange(-8, 9)
    kernel = np.exp(-(offsets**2) / 8.0)
    kernel /= kernel.sum()
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0, 2:19, 2:19], 100 * np.outer(kernel, kernel), rtol=1e-5)


@settings(deadline=None)
@given(value=st.integers(0, 65535), sigma=st.floats(0, 3))
def test_gaussian_never_rescales_an_even_image(value, sigma):
    image = np.full((2, 9, 11), value, np.uint16)
    np.testing.assert_allclose(gaussian_filter(image, sigma=sigma), value, rtol=1e-6)


def test_gaussian_with_zero_sigma_returns_the_values():
    stack = random_stack()
    np.testing.assert_array_equal(gaussian_filter(stack, sigma=0), stack.astype(np.float32))


def test_gaussian_works_on_half_floats():
    stack = random_stack()
    np.testing.assert_array_equal(gaussian_filter(stack.astype(np.float16)), gaussian_filter(stack))


def test_volumetric_gaussian_reaches_the_planes_beside():
    stack = np.zeros((5, 9, 9), np.uint16)
    stack[2] = 1000
    flat, volume = gaussian_filter(stack, sigma=1), gaussian_filter(stack, sigma=1, volumetric=True)
    assert flat[1].max() == 0
    # Of a plane, 1/z·exp(-½) arrives one plane further, where z sums the kernel.
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / 2.0)
    np.testing.assert_allclose(volume[1], 1000 * kernel[3] / kernel.sum(), rtol=1e-3)


def test_volumetric_gaussian_takes_one_sigma_per_axis():
    stack = random_stack()
    np.testing.assert_allclose(
        gaussian_filter(stack, sigma=[0, 1.5, 1.5], volumetric=True), gaussian_filter(stack, sigma=1.5), rtol=1e-6
    )
    assert not np.allclose(gaussian_filter(stack, sigma=[0, 3]), gaussian_filter(stack, sigma=[3, 0]))


@pytest.mark.parametrize("sigma", [-1, float("nan"), float("inf"), [1, 1, 1], [1]])
def test_gaussian_refuses_a_wrong_sigma(sigma):
    with pytest.raises(ConfigError, match="sigma"):
        gaussian_filter(random_stack(), sigma=sigma)


# --- median_filter -----------------------------------------------------------------------------------------------


def test_median_removes_a_hot_pixel_and_keeps_an_edge():
    image = np.full((1, 15, 15), 100, np.uint16)
    image[:, :, 8:] = 900
    clean = image.copy()
    image[0, 4, 4] = 65535
    np.testing.assert_array_equal(median_filter(image), clean)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_median_is_that_of_a_disk(radius):
    stack = random_stack(shape=(1, 15, 15))
    window = stack[0, 7 - radius : 8 + radius, 7 - radius : 8 + radius]
    assert median_filter(stack, radius=radius)[0, 7, 7] == np.median(window[disk(radius)])


def test_median_refuses_a_radius_below_one():
    with pytest.raises(ConfigError, match="radius=0"):
        median_filter(random_stack(), radius=0)


# --- tophat ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tophat_leaves_the_height_of_spots_above_a_slope(dtype):
    background = np.broadcast_to(np.arange(60) // 2, (60, 60)).astype(dtype)
    spot = np.zeros((60, 60), dtype)
    spot[27:34, 27:34][disk(3)] = 90
    result = tophat((background + spot)[None], radius=8)[0].astype(float)
    # Within the disk the slope may fall by what it falls over the disk's own radius.
    np.testing.assert_allclose(result[spot > 0], 90, atol=4)
    assert result[spot == 0].max() <= 4


def test_tophat_removes_what_is_wider_than_the_disk():
    image = np.zeros((1, 80, 80), np.uint8)
    image[0, 20:61, 20:61][disk(20)] = 200
    assert tophat(image, radius=25).sum() == image.sum()
    assert np.count_nonzero(tophat(image, radius=10)) < 0.1 * np.count_nonzero(image)


@settings(max_examples=60, deadline=None)
@given(
    image=hnp.arrays(np.uint16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=24), elements=st.integers(0, 65535)),
    radius=st.integers(1, 30),
)
def test_tophat_never_exceeds_the_image(image, radius):
    # An opening that rises above the image anywhere, as at the edges, would wrap round to huge values.
    assert (tophat(image, radius=radius) <= image).all()


def test_tophat_does_not_see_a_constant_offset():
    stack = random_stack()
    np.testing.assert_array_equal(tophat(stack + np.uint16(5000), radius=5), tophat(stack, radius=5))


def test_tophat_refuses_to_wrap_round_in_signed_integers():
    image = np.full((1, 9, 9), -30000, np.int16)
    image[0, 4, 4] = 30000
    with pytest.raises(PipelineError, match="int16"):
        tophat(image, radius=3)


@pytest.mark.parametrize("radius", [0, 251])
def test_tophat_refuses_a_radius_out_of_range(radius):
    with pytest.raises(ConfigError, match=f"radius={radius}"):
        tophat(random_stack(), radius=radius)


# --- normalize_percentile ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, "float16"])
def test_percentiles_become_0_and_1_and_what_lies_outside_is_clipped(dtype):
    values = np.arange(101)
    image = np.random.default_rng(1).permutation(values).reshape(1, 1, 101).astype(dtype)
    result = normalize_percentile(image, low=10, high=60)
    assert result.dtype == np.float32
    expected = np.clip((image.astype(float) - 10) / 50, 0, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-7)
    assert (result == 0).sum() == 11
    assert (result == 1).sum() == 41


@settings(deadline=None)
@given(
    image=hnp.arrays(np.uint16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=12)),
    low=st.floats(0, 45),
    high=st.floats(55, 100),
    volumetric=st.booleans(),
)
def test_normalizing_is_the_rescaling_of_scikit_image(image, low, high, volumetric):
    from skimage.exposure import rescale_intensity

    result = normalize_percentile(image, low=low, high=high, volumetric=volumetric)
    for part, found in [(image, result)] if volumetric else zip(image, result, strict=True):
        limits = tuple(np.percentile(part, [low, high]))
        if limits[0] < limits[1]:
            expected = rescale_intensity(part.astype(float), in_range=limits, out_range=(0, 1))
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_percentiles_are_those_of_the_plane_unless_volumetric():
    stack = np.stack([np.arange(100), 1000 + np.arange(100)]).reshape(2, 10, 10)
    flat = normalize_percentile(stack, low=0, high=100)
    np.testing.assert_array_equal(flat[0], flat[1])
    volume = normalize_percentile(stack, low=0, high=100, volumetric=True)
    assert volume[0].max() == pytest.approx(99 / 1099)
    assert volume[1].min() == pytest.approx(1000 / 1099)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_flat_plane_becomes_0(value):
    assert not normalize_percentile(np.full((2, 5, 5), value, np.uint16)).any()


def test_few_bright_pixels_on_a_flat_plane_become_1():
    image = np.full((1, 30, 30), 100, np.uint16)
    image[0, 4, 5], image[0, 9, 9] = 900, 50
    np.testing.assert_array_equal(normalize_percentile(image), image == 900)


def test_normalizing_the_whole_range_of_float64_does_not_overflow():
    image = np.array([[[-1.7e308, 0, 1.7e308]]])
    np.testing.assert_allclose(normalize_percentile(image, low=0, high=100), [[[0, 0.5, 1]]])


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 0, 4), (2, 4, 0)])
@pytest.mark.parametrize("volumetric", [False, True])
def test_normalizing_no_pixels_gives_none(shape, volumetric):
    result = normalize_percentile(np.zeros(shape, np.uint8), volumetric=volumetric)
    assert result.shape == shape
    assert result.dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_normalizing_pixels_that_are_no_number_is_an_error_that_counts_them(bad):
    image = np.zeros((1, 4, 4), np.float32)
    image[0, 0, :3] = bad
    with pytest.raises(PipelineError, match="3 of 16 pixels are NaN or infinite"):
        normalize_percentile(image)


@pytest.mark.parametrize("dtype", [bool, complex])
def test_normalizing_refuses_what_is_no_intensity(dtype):
    with pytest.raises(PipelineError, match="intensity"):
        normalize_percentile(np.zeros((1, 4, 4), dtype))


@pytest.mark.parametrize("limits", [(-1, 99), (1, 101), (50, 50), (99, 1), (float("nan"), 99), (1, float("nan"))])
def test_normalizing_refuses_what_are_no_percentiles(limits):
    with pytest.raises(ConfigError, match="percentiles"):
        normalize_percentile(random_stack(), low=limits[0], high=limits[1])


# --- max_projection ----------------------------------------------------------------------------------------------


def test_max_projection_is_the_brightest_value_along_z():
    stack = np.array([[[1, 9, 3]], [[4, 5, 6]]], np.uint16)
    np.testing.assert_array_equal(max_projection(stack), [[[4, 9, 6]]])


def test_max_projection_says_that_it_projects():
    assert get_function("max_projection").projection == "max"
    assert get_function("tophat").projection is None
