from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wellfield.processing.gaussian import half_kernel, kernel_radius, mirrored_indices, smooth


@settings(deadline=None)
@given(sigma=st.floats(0.05, 20))
def test_the_kernel_is_that_of_scipy(sigma):
    radius = kernel_radius(sigma)
    point = np.zeros(2 * radius + 3)
    point[radius + 1] = 1
    half = half_kernel(sigma)
    expected = ndimage.gaussian_filter1d(point, sigma, mode="constant")
    np.testing.assert_allclose([0, *half[:0:-1], *half, 0], expected, rtol=1e-12)


@given(size=st.integers(1, 9), radius=st.integers(0, 40))
def test_indices_mirror_the_axis_however_short_it_is(size, radius):
    np.testing.assert_array_equal(mirrored_indices(size, radius), np.pad(np.arange(size), radius, mode="symmetric"))


@pytest.mark.parametrize("sigmas", [(1.0, 2.4), (0, 1.2), (3, 0), (1.2, 0, 0.5), (12, 12, 12), (0, 0)])
@pytest.mark.parametrize("shape", [(1, 20, 17), (4, 9, 1), (1, 1, 1)])
def test_a_sum_of_shifted_images_is_the_gaussian(shape, sigmas):
    stack = np.random.default_rng(1).random(shape)
    result = smooth(stack, sigmas, np.take)
    expected = ndimage.gaussian_filter(stack, (0, *sigmas)[-3:])
    np.testing.assert_allclose(result, expected, rtol=1e-12)
