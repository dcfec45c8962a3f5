"""Illumination: fitted on made-up plates whose shading is known, and taken out of images."""

import numpy as np
import pytest

from wellfield.errors import ArrayShapeError, PipelineError
from wellfield.processing.illumination_model import Illumination, correct_illumination, fit_illumination

SIZE = 192


def shading(fall, size=SIZE, centre=(0.45, 0.6)):
    """A bowl around a centre that is not the middle, falling by *fall* to the farthest corner; mean 1."""
    y, x = np.mgrid[:size, :size] / size
    distance = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    field = 1 - fall * distance / distance.max()
    return field / field.mean()


def planes(count, field, *, offset=100, haze=50, brightness=1000, nuclei=40, seed=0, top=65535):
    """Scattered nuclei on haze, seen through *field*, with shot noise and a camera offset."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(count):
        scene = np.full((SIZE, SIZE), float(haze))
        for _ in range(random.poisson(nuclei)):
            cy, cx, radius = *random.uniform(-5, SIZE + 5, 2), random.uniform(4, 7)
            part = np.s_[max(int(cy - 8), 0) : int(cy + 9), max(int(cx - 8), 0) : int(cx + 9)]
            scene[part] += (
                brightness * random.lognormal(0, 0.4) * ((y[part] - cy) ** 2 + (x[part] - cx) ** 2 < radius**2)
            )
        yield np.clip(random.poisson(scene * field) + offset, 0, top).astype(np.uint16)


def error(found, field):
    return float(np.sqrt(np.mean((found.flatfield - field) ** 2)))


@pytest.mark.parametrize(("fall", "offset"), [(0.4, 100), (0.3, 500), (0.4, 0)])
def test_a_known_shading_is_found_with_the_offset_that_it_does_not_act_on(fall, offset):
    field = shading(fall)
    found = fit_illumination(planes(150, field, offset=offset))
    assert error(found, field) < 0.03
    assert offset - 25 <= found.background <= offset + 35
    assert found.planes == 150
    assert found.flatfield.dtype == np.float32
    assert found.flatfield.mean() == pytest.approx(1, abs=1e-4)


def test_the_offset_is_no_part_of_the_shading():
    field = shading(0.4)
    naive = np.mean([plane.astype(float) for plane in planes(150, field, offset=500)], axis=0)
    found = fit_illumination(planes(150, field, offset=500))
    assert error(found, field) < 0.3 * np.sqrt(np.mean((naive / naive.mean() - field) ** 2))


def test_an_even_plate_is_hardly_touched():
    found = fit_illumination(planes(150, np.ones((SIZE, SIZE))))
    assert error(found, 1) < 0.04
    assert 60 < found.background <= 150  # no light at all cannot be told from even haze


def test_few_planes_are_trusted_less():
    few, many = (fit_illumination(planes(count, shading(0.4))) for count in (16, 150))
    assert many.uncertainty < 0.03 < few.uncertainty


def test_clipped_pixels_are_counted_and_left_out():
    field = shading(0.4)
    sample = list(planes(150, field, brightness=1500, top=4095))
    count = sum(int((plane == 4095).sum()) for plane in sample)
    found = fit_illumination(sample, saturation_value=4095)
    assert count > 1000
    assert found.clipped == count
    assert error(found, field) < 0.05
    assert fit_illumination(sample).clipped == 0  # 4095 is not the end of 16 bits
    full = [np.where(plane == 4095, 65535, plane).astype(np.uint16) for plane in sample]
    np.testing.assert_array_equal(fit_illumination(full).flatfield, found.flatfield)


def test_the_fit_is_the_same_every_time():
    one, two = (fit_illumination(planes(20, shading(0.3))) for _ in range(2))
    np.testing.assert_array_equal(one.flatfield, two.flatfield)
    assert one.background == two.background


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**-16, 2.0**16])
def test_the_fit_does_not_depend_on_the_unit_of_pixels(unit):
    sample = [plane.astype(np.float64) for plane in planes(20, shading(0.3))]
    plain, scaled = fit_illumination(sample), fit_illumination([plane * unit for plane in sample])
    assert scaled.background == pytest.approx(plain.background * unit, rel=1e-6)
    np.testing.assert_allclose(scaled.flatfield, plain.flatfield, rtol=1e-6)


def test_black_planes_give_an_even_field():
    found = fit_illumination([np.zeros((40, 30), np.uint16)] * 12)
    np.testing.assert_allclose(found.flatfield, 1, rtol=1e-5)
    assert found.background == 0


def test_a_sample_that_cannot_be_used_is_refused():
    with pytest.raises(PipelineError, match="cannot be fitted on 3 planes; expected at least 10"):
        fit_illumination([np.ones((20, 20), np.uint16)] * 3)
    with pytest.raises(ArrayShapeError, match=r"plane 2 .* uint16 of shape \[20, 21\]; expected uint16 .* \[20, 20\]"):
        fit_illumination([np.ones((20, 20), np.uint16), np.ones((20, 21), np.uint16)])
    with pytest.raises(ArrayShapeError, match="plane 2 of the sample is uint8"):
        fit_illumination([np.ones((20, 20), np.uint16), np.ones((20, 20), np.uint8)])
    with pytest.raises(PipelineError, match="plane 1 of the sample has NaN"):
        fit_illumination([np.full((20, 20), np.nan, np.float32)])


def test_correction_gives_back_the_scene():
    field = shading(0.4)
    scene = np.random.default_rng(1).uniform(0, 1000, (2, SIZE, SIZE))
    seen = (scene * field + 100).astype(np.float32)
    corrected = correct_illumination(seen, illumination=Illumination(field.astype(np.float32), 100.0))
    assert corrected.dtype == np.float32
    np.testing.assert_allclose(corrected, scene, atol=0.01)


def test_correction_keeps_what_is_below_the_background_and_its_input():
    image = np.array([[[90, 100], [110, 300]]], np.uint16)
    before = image.copy()
    flat = Illumination(np.array([[1, 1], [0.5, 2]], np.float32), 100.0)
    np.testing.assert_array_equal(correct_illumination(image, illumination=flat), [[[-10, 0], [20, 100]]])
    np.testing.assert_array_equal(image, before)


def test_images_of_another_size_are_refused():
    with pytest.raises(ArrayShapeError, match=r"planes have shape \[4, 5\], the fitted flat field \[4, 4\]"):
        correct_illumination(np.ones((1, 4, 5), np.uint16), illumination=Illumination(np.ones((4, 4), np.float32), 0.0))
