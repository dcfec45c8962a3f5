from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions, ParquetOptions
from wellfield.processing.declarations import declared_outputs
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.quality import measure_quality

FEATURES = [
    "FocusScore",
    "PowerLogLogSlope",
    "PercentMaximal",
    "PercentSaturated",
    "MeanIntensity",
    "StdIntensity",
    "MinIntensity",
    "MaxIntensity",
]


def quality(plane, **options) -> dict[str, float]:
    """Return the features of one plane."""
    _, table = measure_quality(np.asarray(plane)[None], **options)
    return {name.removeprefix("ImageQuality_").removesuffix("_1"): float(column[0]) for name, column in table.items()}


def with_ring_power(slope: float, shape: tuple[int, int]) -> np.ndarray:
    """Return an image whose frequencies from k - 1 to k periods per shorter side have the power k ** slope together."""
    noise = np.fft.fft2(np.random.default_rng(0).normal(size=shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])) * min(shape)
    rings = np.floor(frequency).astype(int) + 1
    power = rings.astype(float) ** slope / np.bincount(rings.ravel())[rings]
    return np.fft.ifft2(noise / np.abs(noise) * np.sqrt(power)).real


def test_hand_computed_numbers_of_a_plane():
    found = quality(np.array([[1, 3], [3, 5]], np.uint8))
    assert found["MeanIntensity"] == 3
    assert found["StdIntensity"] == pytest.approx(2**0.5)
    assert found["FocusScore"] == pytest.approx(2 / 3)
    assert (found["MinIntensity"], found["MaxIntensity"]) == (1, 5)
    assert found["PercentMaximal"] == 25
    assert found["PercentSaturated"] == 0
    assert np.isnan(found["PowerLogLogSlope"])


def test_columns_are_named_after_channels_and_hold_one_float_each():
    image = np.stack([np.arange(16), np.arange(16) * 2]).reshape(2, 4, 4).astype(np.uint16)
    result, table = measure_quality(image, channel_names=["DAPI", "GFP"])
    assert list(table) == [f"ImageQuality_{name}_{channel}" for channel in ("DAPI", "GFP") for name in FEATURES]
    assert {(column.dtype.name, column.shape) for column in table.values()} == {("float64", (1,))}
    assert table["ImageQuality_MaxIntensity_DAPI"][0] == 15
    assert table["ImageQuality_MaxIntensity_GFP"][0] == 30
    assert result is image


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64"])
def test_integers_are_saturated_at_the_largest_value_of_their_dtype(dtype):
    plane = np.zeros((10, 10), dtype)
    plane[0, :3] = np.iinfo(dtype).max
    plane[1, 0] = np.iinfo(dtype).max - 1
    assert quality(plane)["PercentSaturated"] == 3
    assert quality(plane)["PercentMaximal"] == 3


def test_a_saturation_value_counts_all_from_it_on():
    plane = np.zeros((10, 10), np.uint16)
    plane[0, :5] = [4094, 4095, 4095, 4096, 65535]
    assert quality(plane, saturation_value=4095)["PercentSaturated"] == 4
    assert quality(plane)["PercentSaturated"] == 1
    assert quality(plane.astype(np.float32), saturation_value=4094.5)["PercentSaturated"] == 4
    assert np.isnan(quality(plane.astype(np.float32))["PercentSaturated"])


@pytest.mark.parametrize("shape", [(256, 256), (256, 384), (301, 256), (255, 257)])
@pytest.mark.parametrize("slope", [-1.0, -2.0, -3.5])
def test_the_slope_is_that_of_an_image_whose_power_falls_from_ring_to_ring(shape, slope):
    assert quality(with_ring_power(slope, shape))["PowerLogLogSlope"] == pytest.approx(slope)


def test_the_slope_is_the_fit_over_rings_of_the_whole_spectrum():
    plane = np.random.default_rng(3).gamma(1, 100, (72, 90))
    power = np.abs(np.fft.fft2(plane)) ** 2
    frequency = np.hypot(np.fft.fftfreq(72)[:, None] * 72, np.fft.fftfreq(90) * 72)
    rings = range(2, 9)
    sums = [power[(frequency >= ring - 1) & (frequency < ring)].sum() for ring in rings]
    expected = np.linalg.lstsq(np.stack([np.log(rings), np.ones(7)], axis=1), np.log(sums), rcond=None)[0][0]
    assert quality(plane)["PowerLogLogSlope"] == pytest.approx(expected)


def test_blur_lowers_focus_and_slope_and_brightness_does_not_change_the_slope():
    rng = np.random.default_rng(5)
    sharp = ndimage.gaussian_filter(rng.random((256, 256)) < 0.01, 1.5, output=np.float64) * 1000 + 100
    blurred = ndimage.gaussian_filter(sharp, 4)
    for name in ("FocusScore", "PowerLogLogSlope"):
        assert quality(blurred)[name] < quality(sharp)[name]
    assert quality(sharp * 7 + 50)["PowerLogLogSlope"] == pytest.approx(quality(sharp)["PowerLogLogSlope"])


@pytest.mark.parametrize("value", [0, 0.1, 65535])
@pytest.mark.parametrize("side", [4, 64])
def test_a_flat_plane_has_no_slope_and_no_variance(value, side):
    found = quality(np.full((side, side), value))
    assert np.isnan(found["PowerLogLogSlope"])
    assert found["StdIntensity"] == 0
    assert found["PercentMaximal"] == 100
    assert found["MeanIntensity"] == value
    assert found["FocusScore"] == 0 if value else np.isnan(found["FocusScore"])


def test_a_mean_that_is_not_above_0_has_no_focus_score():
    found = quality(np.array([[-3.0, 1.0]]))
    assert np.isnan(found["FocusScore"])
    assert found["StdIntensity"] == 2


def test_stripes_without_power_in_most_rings_have_no_slope():
    x = np.arange(64)
    assert np.isnan(quality(np.tile(np.where(x % 2, 10, 20), (64, 1)))["PowerLogLogSlope"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_spoils_its_own_channel_only(bad):
    image = np.random.default_rng(0).random((2, 40, 40)).astype(np.float32)
    image[0, 3, 4] = bad
    _, table = measure_quality(image, saturation_value=1)
    assert all(np.isnan(table[f"ImageQuality_{name}_1"][0]) for name in FEATURES)
    assert not any(np.isnan(table[f"ImageQuality_{name}_2"][0]) for name in FEATURES)


@pytest.mark.parametrize("shape", [(1, 0, 5), (2, 5, 0)])
def test_planes_without_pixels_are_nan(shape):
    _, table = measure_quality(np.zeros(shape, np.uint16))
    assert len(table) == len(FEATURES) * shape[0]
    assert all(np.isnan(column[0]) for column in table.values())


def test_nothing_is_modified():
    image = np.random.default_rng(0).integers(0, 99, (2, 40, 40)).astype(np.uint16)
    before = image.copy()
    image.setflags(write=False)
    measure_quality(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", [bool, complex])
def test_masks_and_complex_numbers_are_refused(dtype):
    with pytest.raises(PipelineError, match="measure_quality takes an intensity image"):
        measure_quality(np.zeros((1, 4, 4), dtype))


def test_a_bare_plane_is_refused():
    with pytest.raises(ArrayShapeError, match="measure_quality"):
        measure_quality(np.zeros((4, 4)))


def test_wrong_parameters_are_refused():
    with pytest.raises(ConfigError, match="measure_quality: channel_names"):
        measure_quality(np.zeros((2, 4, 4)), channel_names=["DAPI"])
    with pytest.raises(ConfigError, match="saturation_value=nan"):
        measure_quality(np.zeros((2, 4, 4)), saturation_value=float("nan"))


def test_the_table_is_declared_and_intensities_alone_are_taken():
    [(name, spec)] = declared_outputs(get_function("measure_quality").function)
    assert name == "field_quality"
    assert [type(option) for option in spec.options] == [CsvOptions, ParquetOptions]
    assert get_function("measure_quality").accepts == {ImageKind.INTENSITY}
