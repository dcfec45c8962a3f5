from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.processing import segmentation
from wellfield.processing.filters import gaussian_filter
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.segmentation import binary_opening, label, split_touching, threshold_otsu

DTYPES = ("uint8", "uint16", "int16", "int32", "uint32", "int64", "float16", "float32", "float64")
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=20))


def disks(*circles: tuple[float, float, float], shape: tuple[int, int] = (60, 60)) -> np.ndarray:
    """Return a mask [1, Y, X] of circles (y, x, radius)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.any([np.hypot(y - cy, x - cx) <= r for cy, cx, r in circles], axis=0)[None]


def cells(dtype: str = "uint16", background: float = 20, height: float = 80) -> tuple[np.ndarray, np.ndarray]:
    truth = disks((15, 15, 8), (40, 42, 9))
    noise = np.random.default_rng(3).integers(-5, 6, truth.shape)
    return (background + height * truth + noise).astype(dtype), truth


def ids(labels: np.ndarray) -> list[int]:
    return np.unique(labels[labels > 0]).tolist()


# --- threshold_otsu ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_otsu_finds_bright_cells_in_every_dtype(dtype):
    image, truth = cells(dtype)
    mask = threshold_otsu(image)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, truth)


@settings(deadline=None)
@given(values=hnp.arrays(np.uint8, st.integers(2, 60), elements=st.integers(0, 40)))
def test_otsu_maximises_the_variance_between_the_classes(values):
    def between(threshold: int) -> float:
        low, high = values[values <= threshold].astype(float), values[values > threshold].astype(float)
        return low.size * high.size * (high.mean() - low.mean()) ** 2 if low.size and high.size else 0.0

    mask = threshold_otsu(values[None, None], min_contrast=0)[0, 0]
    if values.min() == values.max():
        assert not mask.any()
        return
    assert values[~mask].max() < values[mask].min()
    best = max(between(threshold) for threshold in range(41))
    assert between(int(values[~mask].max())) == pytest.approx(best)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0, 1, 100])
def test_flat_planes_give_an_empty_mask(dtype, value):
    assert not threshold_otsu(np.full((2, 16, 16), value, dtype)).any()


@pytest.mark.parametrize("volumetric", [False, True])
def test_a_plane_without_pixels_gives_an_empty_mask(volumetric):
    assert threshold_otsu(np.zeros((1, 0, 5)), volumetric=volumetric).shape == (1, 0, 5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [0, 1, 2])
def test_noise_alone_gives_an_empty_mask(seed, sigma):
    noise = np.random.default_rng(seed).poisson(100, (1, 256, 256)).astype(np.uint16)
    smoothed = gaussian_filter(noise, sigma=sigma)
    assert not threshold_otsu(smoothed).any()
    assert threshold_otsu(smoothed, min_contrast=0).mean() == pytest.approx(0.5, abs=0.1)


def test_one_dim_cell_in_noise_is_still_found():
    rng = np.random.default_rng(1)
    truth = disks((100, 100, 10), shape=(256, 256))
    image = gaussian_filter(rng.poisson(100 + 60 * truth).astype(np.uint16), sigma=1)
    mask = threshold_otsu(image)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.85


@settings(deadline=None)
@given(offset=st.integers(0, 50000), correction=st.sampled_from([0.3, 0.7, 1.0, 1.3]))
def test_a_camera_offset_does_not_change_the_mask(offset, correction):
    image = gaussian_filter(cells()[0]).round().astype(np.uint16)
    moved = image + np.uint16(offset)
    np.testing.assert_array_equal(
        threshold_otsu(moved, correction=correction), threshold_otsu(image, correction=correction)
    )


def test_correction_scales_the_height_of_the_threshold_above_the_background():
    # Otsu puts the threshold at 50: 300 pixels of 10 and 36 of 50 make the background, 64 of 110 the cells.
    image = np.full((1, 20, 20), 10, np.uint8)
    image[0, :6, :6] = 50
    image[0, 10:18, 10:18] = 110
    mean = (300 * 10 + 36 * 50) / 336
    height = 50 - mean
    np.testing.assert_array_equal(threshold_otsu(image), image > 50)
    for threshold in (20, 49.9, 109):
        np.testing.assert_array_equal(threshold_otsu(image, correction=(threshold - mean) / height), image > threshold)
    assert not threshold_otsu(image, correction=(110.1 - mean) / height).any()


def test_minimum_is_a_floor_in_the_units_of_the_image():
    image, truth = cells(background=20, height=80)
    np.testing.assert_array_equal(threshold_otsu(image, minimum=60), truth)
    np.testing.assert_array_equal(threshold_otsu(image, minimum=-5), truth)
    assert not threshold_otsu(image, minimum=200).any()


def test_planes_have_their_own_threshold_unless_volumetric():
    bright, truth = cells(height=1000)
    dim, _ = cells(height=60)
    stack = np.concatenate([bright, dim])
    np.testing.assert_array_equal(threshold_otsu(stack), np.concatenate([truth, truth]))
    np.testing.assert_array_equal(threshold_otsu(stack, volumetric=True), np.concatenate([truth, np.zeros_like(truth)]))


def test_integers_with_a_huge_range_take_no_huge_histogram():
    image = np.array([[[0, 5, 2**62, 2**62 + 2**55]]], np.int64)
    np.testing.assert_array_equal(threshold_otsu(image), [[[False, False, True, True]]])


def test_floats_too_close_for_a_histogram_are_still_split():
    image = np.array([[[1e9, 1e9, 1e9 + 64, 1e9 + 64]]], np.float32)
    np.testing.assert_array_equal(threshold_otsu(image), image > 1e9)
    close = np.array([[[1 + 1e-10, 1 + 1e-10, 1 + 2e-10]]])
    np.testing.assert_array_equal(threshold_otsu(close), [[[False, False, True]]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_number_are_an_error_that_counts_them(bad):
    image = np.zeros((1, 4, 4), np.float32)
    image[0, 0, :2] = bad
    with pytest.raises(PipelineError, match="2 of 16 pixels are NaN or infinite"):
        threshold_otsu(image)


@pytest.mark.parametrize("dtype", [bool, complex])
def test_otsu_refuses_what_is_no_intensity(dtype):
    with pytest.raises(PipelineError, match="intensity"):
        threshold_otsu(np.zeros((1, 4, 4), dtype))


@pytest.mark.parametrize("name", ["correction", "min_contrast"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_otsu_refuses_factors_below_zero(name, value):
    with pytest.raises(ConfigError, match=name):
        threshold_otsu(cells()[0], **{name: value})


# --- kinds of image ----------------------------------------------------------------------------------------------


def test_kinds_are_declared_for_the_compiler():
    assert get_function("threshold_otsu").returns == ImageKind.MASK
    assert get_function("threshold_otsu").accepts == {ImageKind.INTENSITY}
    for name in ("label", "split_touching"):
        assert get_function(name).returns == ImageKind.LABELS
        assert get_function(name).accepts == {ImageKind.MASK}
    assert get_function("binary_opening").returns == ImageKind.MASK
    assert get_function("binary_opening").accepts == {ImageKind.MASK}


@pytest.mark.parametrize("function", [binary_opening, label, split_touching])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_an_image_in_place_of_a_mask_names_the_missing_threshold(function, dtype):
    with pytest.raises(PipelineError, match=rf"{function.__name__} takes a mask.*{dtype}.*threshold_otsu"):
        function(np.zeros((1, 4, 4), dtype))


@pytest.mark.parametrize("function", [threshold_otsu, binary_opening, label, split_touching])
def test_a_bare_plane_is_refused(function):
    with pytest.raises(ArrayShapeError, match=function.__name__):
        function(np.zeros((4, 4), bool))


@pytest.mark.parametrize("function", [label, split_touching])
@pytest.mark.parametrize("shape", [(1, 0, 0), (1, 0, 7), (0, 5, 5), (2, 1, 1)])
def test_planes_of_any_size_are_labelled(function, shape):
    for mask in (np.zeros(shape, bool), np.ones(shape, bool)):
        result = function(mask, min_area=0)
        assert result.shape == shape
        np.testing.assert_array_equal(result, mask.astype(np.int32))


@pytest.mark.parametrize("function", [label, split_touching])
def test_an_empty_mask_has_no_objects(function):
    result = function(np.zeros((2, 9, 9), bool))
    assert result.dtype == np.int32
    assert not result.any()


@pytest.mark.parametrize("function", [binary_opening, label, split_touching])
def test_the_mask_is_not_modified(function):
    mask = disks((15, 15, 9), (15, 28, 9))
    mask[0, 15, 15] = False  # a hole, which split_touching fills
    before = mask.copy()
    mask.setflags(write=False)
    function(mask)
    np.testing.assert_array_equal(mask, before)


@settings(max_examples=60, deadline=None)
@given(mask=masks, function=st.sampled_from([label, split_touching]), min_area=st.integers(0, 6))
def test_each_plane_is_labelled_by_itself_and_without_gaps(mask, function, min_area):
    together = function(mask, min_area=min_area)
    for z in range(mask.shape[0]):
        plane = function(mask[z : z + 1], min_area=min_area)
        np.testing.assert_array_equal(together[z : z + 1], plane)
        assert ids(plane) == list(range(1, plane.max() + 1))
        assert all(np.count_nonzero(plane == i) >= min_area for i in ids(plane))


# --- binary_opening ----------------------------------------------------------------------------------------------


def fits_inside(mask: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Return the union of all shifted copies of an odd-sided footprint, the part outside the image left out."""
    reach = [size // 2 for size in footprint.shape]
    padded = np.pad(mask, [(r, r) for r in reach], constant_values=True)
    result = np.zeros_like(padded)
    for start in np.ndindex(*mask.shape):
        window = tuple(slice(s, s + size) for s, size in zip(start, footprint.shape, strict=True))
        if padded[window][footprint].all():
            result[window] |= footprint
    inside = tuple(slice(r, r + size) for r, size in zip(reach, mask.shape, strict=True))
    return result[inside]


odd_sides = st.sampled_from((1, 3, 5))


@settings(deadline=None)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)), data=st.data())
def test_opening_leaves_what_the_footprint_fits_into_in_each_plane(mask, data):
    footprint = data.draw(hnp.arrays(bool, st.tuples(odd_sides, odd_sides)).filter(np.any))
    result = binary_opening(mask, footprint=footprint)
    assert result.dtype == bool
    np.testing.assert_array_equal(result, [fits_inside(plane, footprint) for plane in mask])


@settings(deadline=None)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)), data=st.data())
def test_a_footprint_with_a_z_axis_opens_the_volume(mask, data):
    footprint = data.draw(hnp.arrays(bool, st.tuples(odd_sides, odd_sides, odd_sides)).filter(np.any))
    np.testing.assert_array_equal(binary_opening(mask, footprint=footprint), fits_inside(mask, footprint))


@settings(deadline=None)
@given(mask=masks, sides=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_opening_is_that_of_scikit_image(mask, sides):
    from skimage.morphology import opening

    footprint = np.ones(sides, np.uint8)
    expected = [opening(plane, footprint, mode="ignore") for plane in mask]
    np.testing.assert_array_equal(binary_opening(mask, footprint=footprint), expected)


def test_by_default_a_disk_of_radius_1_removes_specks_and_bridges_and_keeps_objects_at_the_edge():
    mask = np.zeros((1, 12, 20), bool)
    mask[0, 0:6, 0:6] = True
    mask[0, 2, 6:12] = True  # a bridge
    mask[0, 0:6, 12:18] = True
    mask[0, 9, 9] = True  # a speck
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    result = binary_opening(mask)
    np.testing.assert_array_equal(result[0], fits_inside(mask[0], cross))
    assert result[0, 0, 0]
    assert not result[0, 9, 9]
    assert label(result).max() == 2


def test_a_footprint_may_be_nested_lists_of_numbers():
    mask = disks((30, 30, 6), (10, 10, 1))
    footprint = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    np.testing.assert_array_equal(binary_opening(mask, footprint=footprint), binary_opening(mask))


@pytest.mark.parametrize("footprint", [np.ones(3), np.ones((1, 1, 1, 1)), np.zeros((3, 3)), np.ones((0, 3))])
def test_a_footprint_without_area_is_refused(footprint):
    with pytest.raises(ConfigError, match="footprint has shape"):
        binary_opening(np.ones((1, 4, 4), bool), footprint=footprint)


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 0, 4), (2, 4, 0)])
def test_opening_no_pixels_gives_none(shape):
    assert binary_opening(np.ones(shape, bool)).shape == shape


# --- label -------------------------------------------------------------------------------------------------------


def test_label_joins_pixels_that_touch_by_a_corner():
    mask = np.array([[[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]], bool)
    np.testing.assert_array_equal(label(mask), [[[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0]]])


def test_label_with_connectivity_1_parts_pixels_that_touch_by_a_corner_in_each_plane():
    plane = np.array([[1, 0, 0, 1], [0, 1, 0, 1]], bool)
    stack = np.stack([plane, plane[:, ::-1]])
    parted = [[[1, 0, 0, 2], [0, 3, 0, 2]], [[1, 0, 0, 2], [1, 0, 3, 0]]]
    np.testing.assert_array_equal(label(stack, connectivity=1), parted)
    np.testing.assert_array_equal(label(stack, connectivity=2), label(stack))


@settings(deadline=None)
@given(mask=masks, connectivity=st.integers(1, 3), volumetric=st.booleans())
def test_regions_are_those_of_scikit_image_with_every_connectivity(mask, connectivity, volumetric):
    from skimage.measure import label as of_scikit_image

    if connectivity == 3 and not volumetric:
        return
    result = label(mask, connectivity=connectivity, volumetric=volumetric)
    for part, found in [(mask, result)] if volumetric else zip(mask, result, strict=True):
        np.testing.assert_array_equal(found, of_scikit_image(part, connectivity=connectivity))


@pytest.mark.parametrize(("connectivity", "volumetric"), [(0, False), (3, False), (4, True), (-1, True)])
def test_a_connectivity_beyond_the_axes_is_refused(connectivity, volumetric):
    with pytest.raises(ConfigError, match=f"connectivity={connectivity}; expected 1 to"):
        label(np.ones((2, 4, 4), bool), connectivity=connectivity, volumetric=volumetric)


def test_label_drops_small_regions_and_closes_the_gap_in_the_numbers():
    mask = np.array([[[1, 1, 0, 1, 0, 1, 1, 1]]], bool)
    np.testing.assert_array_equal(label(mask, min_area=2), [[[1, 1, 0, 0, 0, 2, 2, 2]]])


def test_label_connects_planes_only_when_volumetric():
    mask = np.zeros((3, 5, 9), bool)
    mask[:2, 1:3, 1:3] = True
    mask[2, 3, 3] = True  # touches by a corner
    mask[1:, 1:3, 6:8] = True
    np.testing.assert_array_equal(label(mask).max(axis=(1, 2)), [1, 2, 2])
    volume = label(mask, volumetric=True)
    assert volume.max() == 2
    assert volume[2, 3, 3] == volume[0, 1, 1]
    assert label(mask, volumetric=True, min_area=9).max() == 1


def test_more_regions_than_16_bits_hold_are_numbered():
    mask = np.zeros((1, 600, 600), bool)
    mask[:, ::2, ::2] = True
    assert label(mask).max() == 90_000


@given(
    mask=hnp.arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 3).map(bool))
)
def test_the_distance_map_of_regions_is_that_of_the_plane(mask):
    assume(not mask.all())
    components = segmentation._components(mask, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "_BOX_PIXELS", -(10**6))  # never of the whole plane
        found = segmentation._distance(mask, components)
    np.testing.assert_array_equal(found, ndimage.distance_transform_edt(mask))


# --- split_touching ----------------------------------------------------------------------------------------------


def test_two_touching_nuclei_become_two_objects_parted_at_the_neck():
    mask = disks((30, 18, 10), (30, 36, 10))
    result = split_touching(mask)[0]
    assert label(mask).max() == 1
    assert ids(result) == [1, 2]
    assert result[30, 18] == 1
    assert result[30, 36] == 2
    # The line lies midway, at x = 27, and the two share out every pixel.
    np.testing.assert_array_equal(result > 0, mask[0])
    assert np.unique(result[:, :26]).tolist() == [0, 1]
    assert np.unique(result[:, 29:]).tolist() == [0, 2]


def test_a_chain_of_nuclei_is_split_into_all_of_them():
    mask = disks(*((40, 15 + 15 * k, 8.5) for k in range(5)), shape=(80, 90))
    assert label(mask).max() == 1
    assert split_touching(mask).max() == 5


@pytest.mark.parametrize("radius", [4, 6, 10, 15, 20])
def test_a_single_round_nucleus_stays_whole(radius):
    mask = disks((30.3, 29.6, radius))
    np.testing.assert_array_equal(split_touching(mask), mask.astype(np.int32))


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90])
def test_a_single_oval_nucleus_stays_whole(angle):
    y, x = np.mgrid[-30:31, -30:31]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    mask = (((x * cos + y * sin) / 14) ** 2 + ((y * cos - x * sin) / 9) ** 2 <= 1)[None]
    assert split_touching(mask).max() == 1


@settings(max_examples=60, deadline=None)
@given(mask=masks, min_distance=st.integers(1, 8), smoothing=st.sampled_from([0.0, 1.0, 5.0]))
def test_splitting_neither_loses_nor_adds_pixels_and_joins_no_regions(mask, min_distance, smoothing):
    regions = label(mask)
    result = split_touching(mask, min_distance=min_distance, smoothing=smoothing, min_area=0, max_hole_area=0)
    np.testing.assert_array_equal(result > 0, mask)
    for z in range(mask.shape[0]):
        for i in ids(result[z]):
            assert len(ids(regions[z][result[z] == i])) == 1


def test_a_small_nucleus_close_to_a_large_one_is_kept():
    mask = disks((30, 25, 15), (30, 46, 3))
    assert split_touching(mask, min_distance=20, min_area=20).max() == 2


def test_a_mask_without_background_is_one_object():
    assert (split_touching(np.ones((1, 30, 40), bool)) == 1).all()


def test_heavy_smoothing_loses_no_speck():
    mask = np.array([[[True, False, True]]])
    assert split_touching(mask, smoothing=5, min_area=0, max_hole_area=0).tolist() == [[[1, 0, 2]]]


def test_min_distance_joins_seeds_that_are_closer():
    mask = disks((30, 20, 10), (30, 36, 10))
    assert split_touching(mask, min_distance=10).max() == 2
    assert split_touching(mask, min_distance=20).max() == 1


def test_smoothing_takes_the_cuts_of_a_rough_outline_away():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :60]
    mask = (np.hypot(y - 30, x - 30) + rng.normal(0, 1.5, (60, 60)) <= 16)[None]
    assert split_touching(mask, smoothing=0, min_distance=1, min_area=0).max() > 5
    assert split_touching(mask, smoothing=3, min_distance=1).max() == 1


def test_a_dark_spot_in_a_nucleus_is_filled_but_a_large_gap_is_not():
    mask = disks((30, 30, 14))
    mask[0, 28:33, 28:33] = False
    assert split_touching(mask, max_hole_area=0).max() > 1
    filled = split_touching(mask)
    assert filled.max() == 1
    assert filled[0, 30, 30] == 1
    assert split_touching(mask, max_hole_area=25)[0, 30, 30] == 1
    assert split_touching(mask, max_hole_area=24)[0, 30, 30] == 0


def test_background_cut_off_by_the_edge_is_no_hole():
    mask = np.ones((1, 30, 30), bool)
    mask[0, 0, 10:14] = False
    assert split_touching(mask)[0, 0, 10:14].tolist() == [0, 0, 0, 0]


def test_objects_below_min_area_are_dropped():
    mask = disks((30, 30, 10), (5, 5, 2))
    areas = [int(np.count_nonzero(disks((5, 5, 2)))), int(np.count_nonzero(disks((30, 30, 10))))]
    assert areas[0] == 13
    assert split_touching(mask, min_area=13).max() == 2
    assert split_touching(mask, min_area=14).max() == 1
    assert split_touching(mask, min_area=areas[1] + 1).max() == 0


@pytest.mark.parametrize("centre", [(5, 30), (54, 30), (30, 5), (30, 54)])
def test_exclude_border_drops_only_objects_at_the_edge(centre):
    mask = disks((30, 30, 8), (*centre, 6))
    assert split_touching(mask).max() == 2
    inner = split_touching(mask, exclude_border=True)
    np.testing.assert_array_equal(inner, disks((30, 30, 8)).astype(np.int32))


@pytest.mark.parametrize(("name", "value"), [("min_distance", 0), ("smoothing", -1.0), ("smoothing", float("nan"))])
def test_split_touching_refuses_distances_out_of_range(name, value):
    with pytest.raises(ConfigError, match=name):
        split_touching(disks((30, 30, 8)), **{name: value})
