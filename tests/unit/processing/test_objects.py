from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import median_abs_deviation
from skimage.feature import graycomatrix
from skimage.measure import regionprops

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions, ParquetOptions
from wellfield.pipeline.contracts import declared_outputs
from wellfield.processing.measurement import count_cells
from wellfield.processing.objects import measure_objects
from wellfield.processing.registry import ImageKind, get_function

REGIONPROPS = {
    "Area": "area",
    "BoundingBoxArea": "area_bbox",
    "ConvexArea": "area_convex",
    "FilledArea": "area_filled",
    "EulerNumber": "euler_number",
    "Perimeter": "perimeter",
    "CroftonPerimeter": "perimeter_crofton",
    "EquivalentDiameter": "equivalent_diameter_area",
    "MajorAxisLength": "axis_major_length",
    "MinorAxisLength": "axis_minor_length",
    "MaxFeretDiameter": "feret_diameter_max",
    "Extent": "extent",
    "Solidity": "solidity",
}
WHOLE = [
    "Area",
    "BoundingBoxArea",
    *(f"BoundingBox{end}_{axis}" for end in ("Minimum", "Maximum") for axis in "XY"),
    "ConvexArea",
    "FilledArea",
    "EulerNumber",
]
TEXTURES = ("AngularSecondMoment", "Contrast", "Correlation", "InverseDifferenceMoment", "Entropy")


def measure(image, labels, **options):
    _, counts, objects = measure_objects(np.asarray(image), labels=np.asarray(labels), **options)
    return counts, objects


def measure_shape(labels):
    """Measure flat labels, on an image that says nothing."""
    labels = np.asarray(labels)[None]
    return measure(np.ones(labels.shape), labels, texture_distance=None)[1]


def without(objects, category):
    return {name: values for name, values in objects.items() if f"_{category}_" not in name}


def assert_equal(left, right):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@st.composite
def planes(draw):
    """Draw labels as noise, or as blobs with holes and dents, in scattered parts or whole."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    kind = draw(st.sampled_from(["noise", "scattered", "blobs"]))
    if kind == "noise":
        return rng.choice([0, 0, 3, 4, 100], shape)
    mask = ndimage.gaussian_filter(rng.normal(size=shape), draw(st.sampled_from([0.6, 1.5, 3.0]))) > 0
    return mask * 7 if kind == "scattered" else ndimage.label(mask, np.ones((3, 3)))[0]


# --- shape -------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(labels=planes())
def test_shapes_agree_with_scikit_image(labels):
    objects = measure_shape(labels)
    regions = regionprops(labels)
    assert objects["ObjectNumber"].tolist() == [region.label for region in regions]
    for row, region in enumerate(regions):
        found = {name.removeprefix("Nuclei_AreaShape_"): values[row] for name, values in objects.items()}
        for feature, name in REGIONPROPS.items():
            # An axis is the root of an eigenvalue, whose last digits scikit-image may lose.
            expected = pytest.approx(getattr(region, name), abs=1e-6 if "Axis" in feature else 1e-10)
            assert found[feature] == expected, (feature, region.image)
        box = [found[f"BoundingBox{end}_{axis}"] for end in ("Minimum", "Maximum") for axis in "YX"]
        assert tuple(box) == region.bbox
        hu = [found[f"HuMoment_{number}"] for number in range(7)]
        np.testing.assert_allclose(hu, region.moments_hu, rtol=1e-6, atol=1e-9)
        centre = objects["Nuclei_Location_Center_Y"][row], objects["Nuclei_Location_Center_X"][row]
        assert centre == pytest.approx(region.centroid)
        if region.area > 1:
            assert found["Eccentricity"] == pytest.approx(region.eccentricity, abs=1e-6)
        if region.eccentricity > 1e-3:
            turn = found["Orientation"] - np.degrees(region.orientation)
            assert (turn + 90) % 180 == pytest.approx(90)


def test_a_rectangle_has_the_shape_computed_by_hand():
    labels = np.zeros((9, 12), int)
    labels[2:5, 3:8] = 1  # 3 rows, 5 columns
    objects = measure_shape(labels)
    expected = {
        "ObjectNumber": 1,
        "Nuclei_AreaShape_Area": 15,
        "Nuclei_AreaShape_BoundingBoxArea": 15,
        "Nuclei_AreaShape_BoundingBoxMinimum_X": 3,
        "Nuclei_AreaShape_BoundingBoxMaximum_X": 8,
        "Nuclei_AreaShape_BoundingBoxMinimum_Y": 2,
        "Nuclei_AreaShape_BoundingBoxMaximum_Y": 5,
        "Nuclei_AreaShape_Perimeter": 12,  # 4 and 2 steps from centre to centre, twice
        "Nuclei_AreaShape_FormFactor": 4 * np.pi * 15 / 144,
        "Nuclei_AreaShape_EulerNumber": 1,
        "Nuclei_AreaShape_EquivalentDiameter": np.sqrt(60 / np.pi),
        "Nuclei_AreaShape_MajorAxisLength": 4 * np.sqrt(2),  # variance of 0 … 4
        "Nuclei_AreaShape_MinorAxisLength": 4 * np.sqrt(2 / 3),  # of 0 … 2
        "Nuclei_AreaShape_Eccentricity": np.sqrt(2 / 3),
        "Nuclei_AreaShape_Orientation": 90,
        "Nuclei_AreaShape_ConvexArea": 15,
        "Nuclei_AreaShape_FilledArea": 15,
        "Nuclei_AreaShape_MaxFeretDiameter": np.sqrt(5**2 + 2**2),
        "Nuclei_AreaShape_Extent": 1,
        "Nuclei_AreaShape_Solidity": 1,
        "Nuclei_AreaShape_HuMoment_0": (2 + 2 / 3) / 15,
        "Nuclei_AreaShape_HuMoment_1": ((2 - 2 / 3) / 15) ** 2,
        "Nuclei_Location_Center_X": 5,
        "Nuclei_Location_Center_Y": 3,
    }
    assert {name: objects[name][0] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pixels", "degrees"), [([[1], [1]], 0), ([[1, 1]], 90), ([[1, 0], [0, 1]], 45), ([[0, 1], [1, 0]], -45)]
)
def test_orientation_goes_from_the_y_axis_towards_rising_x(pixels, degrees):
    assert measure_shape(np.pad(pixels, 2))["Nuclei_AreaShape_Orientation"].tolist() == pytest.approx([degrees])


@pytest.mark.parametrize("side", [2, 3, 10])
def test_an_object_as_wide_as_high_has_no_orientation_wherever_it_lies(side):
    labels = np.zeros((50, 60), int)
    labels[17 : 17 + side, 31 : 31 + side] = 1
    objects = measure_shape(labels)
    assert np.isnan(objects["Nuclei_AreaShape_Orientation"][0])
    assert objects["Nuclei_AreaShape_Eccentricity"][0] == 0


def test_a_hole_counts_for_the_filled_area_and_a_leak_by_a_corner_does_not():
    ring, leaking = np.ones((3, 3), int), np.ones((3, 3), int)
    ring[1, 1] = leaking[1, 1] = leaking[0, 0] = 0
    objects = measure_shape(np.hstack([np.pad(ring, 1), np.pad(2 * leaking, 1)]))
    assert objects["Nuclei_AreaShape_FilledArea"].tolist() == [9, 7]
    assert objects["Nuclei_AreaShape_EulerNumber"].tolist() == [0, 0]
    assert objects["Nuclei_AreaShape_Area"].tolist() == [8, 7]


def test_an_object_in_a_hole_of_another_is_measured_as_if_alone():
    outer, inner = np.ones((7, 7), int), np.zeros((7, 7), int)
    outer[2:5, 2:5], inner[3, 3] = 0, 2
    both = measure_shape(outer + inner)
    for row, alone in enumerate((measure_shape(outer), measure_shape(inner))):
        for name, values in alone.items():
            np.testing.assert_array_equal(both[name][row], values[0], err_msg=name)
    assert both["Nuclei_AreaShape_FilledArea"].tolist() == [49, 1]


# --- brightness --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(labels=planes(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["uint8", "int16", "int64", "float32"]))
def test_intensities_agree_with_scikit_image_numpy_and_scipy(labels, seed, dtype):
    image = np.random.default_rng(seed).integers(1, 120, (2, *labels.shape)).astype(dtype)
    _, objects = measure(image, labels[None], channel_names=["DAPI", "GFP"], texture_distance=None)
    for channel, plane in zip(("DAPI", "GFP"), image.astype(float), strict=True):
        for row, region in enumerate(regionprops(labels, plane)):
            values = plane[labels == region.label]
            y, x = region.centroid_weighted
            expected = {
                "Intensity_IntegratedIntensity": values.sum(),
                "Intensity_MeanIntensity": region.intensity_mean,
                "Intensity_StdIntensity": region.intensity_std,
                "Intensity_MinIntensity": region.intensity_min,
                "Intensity_MaxIntensity": region.intensity_max,
                "Intensity_MedianIntensity": region.intensity_median,
                "Intensity_LowerQuartileIntensity": np.percentile(values, 25),
                "Intensity_UpperQuartileIntensity": np.percentile(values, 75),
                "Intensity_MADIntensity": median_abs_deviation(values),
                "Location_CenterMassIntensity_X": x,
                "Location_CenterMassIntensity_Y": y,
                "Intensity_MassDisplacement": np.hypot(*np.subtract(region.centroid, (y, x))),
            }
            mask = labels == region.label
            edge = plane[mask & ~ndimage.binary_erosion(mask)]
            for name in ("Mean", "Std", "Min", "Max"):
                expected[f"Intensity_{name}IntensityEdge"] = getattr(edge, name.lower())()
            expected["Intensity_IntegratedIntensityEdge"] = edge.sum()
            found = {name: objects[f"Nuclei_{name}_{channel}"][row] for name in expected}
            assert found == pytest.approx(expected, abs=1e-9)


def test_a_hand_computed_object_has_its_brightness():
    _, objects = measure([[[9, 1, 2, 9], [9, 6, 9, 9]]], [[[0, 5, 5, 0], [0, 5, 0, 0]]])
    expected = {
        "Intensity_IntegratedIntensity": 9,
        "Intensity_MeanIntensity": 3,
        "Intensity_StdIntensity": np.sqrt((4 + 1 + 9) / 3),
        "Intensity_MinIntensity": 1,
        "Intensity_MaxIntensity": 6,
        "Intensity_LowerQuartileIntensity": 1.5,
        "Intensity_MedianIntensity": 2,
        "Intensity_UpperQuartileIntensity": 4,
        "Intensity_MADIntensity": 1,
        "Location_CenterMassIntensity_X": (1 + 4 + 6) / 9,
        "Location_CenterMassIntensity_Y": 6 / 9,
    }
    assert {name: objects[f"Nuclei_{name}_1"][0] for name in expected} == pytest.approx(expected)


def test_the_edge_of_an_object_is_what_touches_other_objects_and_the_end_of_the_plane_by_a_side():
    labels = np.zeros((1, 6, 5), int)
    labels[0, :5], labels[0, 2, 4] = 1, 2
    image = np.arange(30.0).reshape(1, 6, 5)
    inside = [6, 7, 8, 11, 12, 16, 17, 18]  # 13 is beside object 2
    _, objects = measure(image, labels)
    edge = [value for value in range(25) if value not in (*inside, 14)]
    assert objects["Nuclei_Intensity_IntegratedIntensityEdge_1"].tolist() == [sum(edge), 14]
    assert objects["Nuclei_Intensity_MeanIntensityEdge_1"].tolist() == pytest.approx([np.mean(edge), 14])
    image[0, 2, 2] = np.nan
    _, objects = measure(image, labels)
    assert objects["Nuclei_Intensity_IntegratedIntensityEdge_1"].tolist() == [sum(edge), 14]
    np.testing.assert_array_equal(objects["Nuclei_Intensity_IntegratedIntensity_1"], [np.nan, 14])


def test_columns_shared_with_count_cells_have_its_values():
    rng = np.random.default_rng(3)
    image, labels = rng.normal(100, 9, (2, 30, 40)), rng.integers(0, 9, (1, 30, 40)) * 70_000
    _, objects = measure(image, labels)
    _, counts, counted = count_cells(image, labels=labels)
    for name, values in counted.items():
        np.testing.assert_array_equal(objects[name], values, err_msg=name)
        assert objects[name].dtype == values.dtype
    assert counts["Count"].tolist() == measure(image, labels)[0]["Count"].tolist()


def test_an_object_without_brightness_has_no_weighted_centre():
    _, objects = measure(np.array([[[5, 0, 0]]], np.uint8), [[[0, 1, 1]]])
    assert np.isnan(objects["Nuclei_Location_CenterMassIntensity_X_1"]).all()
    assert objects["Nuclei_Intensity_IntegratedIntensity_1"].tolist() == [0]
    _, objects = measure([[[-2.0, 2.0]]], [[[1, 1]]])  # as a background that was taken out may leave it
    assert np.isnan(objects["Nuclei_Location_CenterMassIntensity_X_1"]).all()
    assert np.isnan(objects["Nuclei_Intensity_MassDisplacement_1"]).all()


# --- texture -----------------------------------------------------------------------------------------------------


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
    for row, number in enumerate(objects["ObjectNumber"]):
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


# --- cells and cytoplasm -----------------------------------------------------------------------------------------


def test_cells_and_cytoplasm_lie_in_the_row_of_their_nucleus():
    nuclei, cells = np.zeros((1, 30, 40), int), np.zeros((1, 30, 40), int)
    for number, (y, x) in {900_000: (4, 4), 7: (4, 20), 31: (18, 4), 500: (18, 20)}.items():
        nuclei[0, y : y + 4, x : x + 4] = number
        if number != 31:  # which has no cell
            cells[0, y - 2 : y + 5, x - 3 : x + 9] = number
    cytoplasm = np.where(nuclei, 0, cells)
    image = np.random.default_rng(0).normal(9, 2, (2, 30, 40))
    counts, objects = measure(image, nuclei, cells=cells, cytoplasm=cytoplasm)
    assert {name: list(column) for name, column in counts.items()} == {
        "Object": ["Nuclei", "Cells", "Cytoplasm"],
        "Count": [4, 3, 3],
    }
    assert objects["ObjectNumber"].tolist() == [7, 31, 500, 900_000]
    assert objects["Cells_AreaShape_Area"].tolist() == pytest.approx([84, np.nan, 84, 84], nan_ok=True)
    assert objects["Cytoplasm_AreaShape_Area"].tolist() == pytest.approx([68, np.nan, 68, 68], nan_ok=True)
    for name, labels in (("Nuclei", nuclei), ("Cells", cells), ("Cytoplasm", cytoplasm)):
        _, alone = measure(image, labels, object_name=name)
        rows = np.searchsorted(objects["ObjectNumber"], alone.pop("ObjectNumber"))
        for column, values in alone.items():
            np.testing.assert_array_equal(objects[column][rows], values, err_msg=column)
            assert np.isnan(np.delete(objects[column].astype(float), rows)).all()


@pytest.mark.parametrize("name", ["cells", "cytoplasm"])
def test_cells_with_ids_of_no_nucleus_are_refused(name):
    nuclei, cells = np.array([[[1, 0, 70_001]]]), np.array([[[1, 2, 70_002]]])
    with pytest.raises(PipelineError, match=rf"{name} have 2 ids that labels lack, the first 2;"):
        measure(np.ones((1, 1, 3)), nuclei, **{name: cells})


@pytest.mark.parametrize("given", ["labels", "cells", "cytoplasm"])
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.ones((1, 3, 3), bool), PipelineError, r"are bool; expected integers.*label or split_touching"),
        (np.ones((1, 3, 3), np.float32), PipelineError, "are float32; expected integers"),
        (np.full((1, 3, 3), -1), PipelineError, "go down to -1"),
        (np.ones((2, 3, 3), int), ArrayShapeError, r"expected \[1, 3, 3\]"),
        (np.ones((1, 3, 4), int), ArrayShapeError, r"expected \[1, 3, 3\]"),
        (np.ones((3, 3), int), ArrayShapeError, r"expected \[1, 3, 3\]"),
    ],
)
def test_what_is_no_plane_of_labels_is_refused(given, wrong, error, message):
    planes = {"labels": np.ones((1, 3, 3), int), given: wrong}
    with pytest.raises(error, match=rf"measure_objects: {given} .*{message}"):
        measure_objects(np.ones((2, 3, 3)), **planes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"object_name": ""}, "object_name is ''"),
        ({"object_name": "Cells", "cells": np.ones((1, 3, 3), int)}, "object_name is 'Cells'"),
        ({"channel_names": ["DAPI"]}, "expected 2 different names"),
        ({"channel_names": ["DAPI", "DAPI"]}, "expected 2 different names"),
        ({"texture_distance": 0}, "texture_distance=0; expected 1"),
    ],
)
def test_names_and_distances_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        measure(np.ones((2, 3, 3)), np.ones((1, 3, 3), int), **options)


# --- CellProfiler ------------------------------------------------------------------------------------------------

CELLPROFILER_DIFFERS = (  # as the docstrings say
    *("AreaShape_MaxFeretDiameter", "AreaShape_Solidity", "AreaShape_Orientation", "Intensity_MedianIntensity"),
    *("Intensity_LowerQuartileIntensity", "Intensity_UpperQuartileIntensity", "Intensity_MADIntensity"),
)


@pytest.mark.realdata
def test_real_nuclei_measure_as_cellprofiler_measured_them(real_plates):
    folder = real_plates / "counted" / "ExampleHuman"
    dna, ph3 = (tifffile.imread(folder / f"AS_09125_050116030001_D03f00d{number}.tif") / 255 for number in (0, 1))
    threshold = pd.read_csv(folder / "Image.csv")["Threshold_FinalThreshold_Nuclei"][0]
    mask = ndimage.binary_fill_holes(ndimage.gaussian_filter(dna, 1) > threshold)
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    _, objects = measure([dna, ph3], labels[None], channel_names=["DNA", "PH3"], texture_distance=None)
    found = pd.DataFrame(objects).rename(columns=lambda name: name.removeprefix("Nuclei_"))
    theirs = pd.read_csv(folder / "Nuclei.csv")
    # Same box and same area: the same pixels. Where nuclei touch, CellProfiler splits them.
    box = ["AreaShape_Area", *(f"AreaShape_BoundingBox{end}_{axis}" for end in ("Minimum", "Maximum") for axis in "XY")]
    both = found.merge(theirs, on=box, suffixes=("", "_theirs"))
    assert len(both) > 150
    compared = [name for name in found if name in theirs and name not in (*box, "ObjectNumber")]
    assert len(compared) > 30
    for name in compared:
        if not name.startswith(CELLPROFILER_DIFFERS):
            np.testing.assert_allclose(both[name], both[f"{name}_theirs"], rtol=1e-5, atol=1e-7, err_msg=name)
    both = both[both["AreaShape_Orientation"].abs() != 45]  # whose sign scikit-image had wrong at the time
    turned = both["AreaShape_Orientation"] - np.degrees(both["AreaShape_Orientation_theirs"])
    np.testing.assert_allclose((turned + 90) % 180, 90, atol=1e-6)


# --- any objects -------------------------------------------------------------------------------------------------


def test_a_field_without_objects_has_the_same_columns_and_dtypes():
    image, none = np.ones((2, 4, 4), np.uint16), np.zeros((1, 4, 4), np.int32)
    counts, empty = measure(image, none, cells=none, cytoplasm=none)
    _, full = measure(image, none + 1, cells=none + 1, cytoplasm=none + 1)
    assert counts["Count"].tolist() == [0, 0, 0]
    assert list(empty) == list(full)
    assert {name: column.dtype for name, column in empty.items()} == {n: c.dtype for n, c in full.items()}
    assert {column.shape for column in empty.values()} == {(0,)}


@pytest.mark.parametrize("shape", [(1, 0, 0), (2, 0, 5), (1, 5, 0), (0, 3, 3)])
def test_an_image_without_pixels_or_channels_has_no_brightness_to_measure(shape):
    counts, objects = measure(np.ones(shape), np.zeros((1, *shape[1:]), int))
    assert counts["Count"].tolist() == [0]
    assert {column.shape for column in objects.values()} == {(0,)}


def test_whole_numbers_of_the_objects_are_integers_and_those_of_their_cells_may_be_missing():
    labels = np.ones((1, 3, 3), int)
    _, objects = measure(np.ones((1, 3, 3)), labels, cells=labels)
    whole = {"ObjectNumber", *(f"Nuclei_AreaShape_{feature}" for feature in WHOLE)}
    assert {name for name, column in objects.items() if column.dtype == np.int64} == whole
    assert {column.dtype.name for name, column in objects.items() if name not in whole} == {"float64"}


def test_a_single_pixel_is_undefined_in_form_and_texture_only():
    labels = np.zeros((1, 4, 4), int)
    labels[0, 1, 2] = 9
    _, objects = measure(np.full((1, 4, 4), 5.0), labels)
    undefined = {name for name, column in objects.items() if np.isnan(column[0])}
    shapes = {f"Nuclei_AreaShape_{name}" for name in ("FormFactor", "Eccentricity", "Orientation")}
    assert undefined == shapes | {f"Nuclei_Texture_{name}_1" for name in TEXTURES}


def test_a_hundred_thousand_objects_are_all_measured():
    labels = np.arange(102_400).reshape(1, 320, 320)
    image = np.random.default_rng(0).integers(1, 60_000, (1, 320, 320)).astype(np.uint16)
    counts, objects = measure(image, labels)
    assert counts["Count"].tolist() == [102_399]
    np.testing.assert_array_equal(objects["ObjectNumber"], labels.flat[1:])
    np.testing.assert_array_equal(objects["Nuclei_Intensity_MedianIntensity_1"], image.flat[1:])
    np.testing.assert_array_equal(objects["Nuclei_Location_CenterMassIntensity_X_1"], np.arange(1, 102_400) % 320)
    assert (objects["Nuclei_AreaShape_ConvexArea"] == 1).all()


@pytest.mark.parametrize("ids", [[1, 2, 3, 4], [3, 1, 4, 2], [70_000, 5, 2**31 - 1, 65_536], [9, 900, 90, 2**40]])
def test_ids_and_their_order_change_no_value(ids):
    rng = np.random.default_rng(8)
    numbered = rng.integers(0, 5, (1, 25, 25))
    image = rng.normal(50, 9, (1, 25, 25))
    _, expected = measure(image, numbered)
    _, objects = measure(image, np.array([0, *ids])[numbered])
    assert objects["ObjectNumber"].tolist() == sorted(ids)
    rows = np.searchsorted(objects["ObjectNumber"], ids)
    for name in list(expected)[1:]:
        np.testing.assert_array_equal(objects[name][rows], expected[name], err_msg=name)


@pytest.mark.parametrize("size", [1, 50, 900])
def test_measuring_in_parts_changes_no_value(size, monkeypatch):
    rng = np.random.default_rng(6)
    blobs, count = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(60, 70)), 1.5) > 0)
    labels = rng.permutation(np.arange(1, count + 1))[blobs - 1][None] * (blobs > 0)
    image = rng.normal(200, 30, (2, 60, 70))
    _, expected = measure(image, labels, cells=labels)
    monkeypatch.setattr("wellfield.processing.objects._PART_PIXELS", size)
    assert_equal(measure(image, labels, cells=labels)[1], expected)


def test_other_objects_and_the_place_in_the_plane_change_no_value():
    rng = np.random.default_rng(6)
    blobs, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(60, 70)), 1.5) > 0)
    image = rng.normal(200, 30, (1, 60, 70))
    _, together = measure(image, blobs[None])
    assert len(together["ObjectNumber"]) > 5
    for row, number in enumerate(together["ObjectNumber"]):
        _, alone = measure(image, np.where(blobs == number, 1, 0)[None])
        for name in list(alone)[1:]:
            np.testing.assert_array_equal(together[name][row], alone[name][0], err_msg=name)
        window = ndimage.find_objects(blobs)[number - 1]
        _, cut = measure(image[0][window][None], (blobs[window] == number).astype(int)[None])
        for name in list(without(cut, "Location"))[1:]:
            if "BoundingBoxM" not in name:
                np.testing.assert_array_equal(together[name][row], cut[name][0], err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite_spoils_its_own_object_and_channel_only(bad):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, (1, 20, 20))
    labels[0, :2, :2] = [[0, 2], [2, 0]]
    image = rng.normal(9, 2, (2, 20, 20))
    _, expected = measure(image, labels)
    image[0, 0, 0] = image[0, 0, 1] = bad  # background, and a pixel of object 2
    _, objects = measure(image, labels)
    for name in objects:
        np.testing.assert_array_equal(objects[name][[0, 2]], expected[name][[0, 2]], err_msg=name)
        if name.endswith("_1") and (np.isnan(bad) or "Texture" in name) and "HuMoment" not in name:
            assert np.isnan(objects[name][1]), name
        elif not name.endswith("_1") or "HuMoment" in name:
            np.testing.assert_array_equal(objects[name], expected[name], err_msg=name)


def test_the_median_of_an_object_with_one_infinite_pixel_is_that_of_its_ranks():
    _, objects = measure([[[1.0, 2.0, np.inf]]], [[[1, 1, 1]]])
    assert objects["Nuclei_Intensity_MedianIntensity_1"].tolist() == [2]
    assert objects["Nuclei_Intensity_MaxIntensity_1"].tolist() == [np.inf]


def test_the_image_is_passed_on_and_nothing_is_modified():
    arrays = [np.arange(18, dtype=np.uint16).reshape(2, 3, 3), *(np.array([[[0, 7, 7], [7, 9, 9], [0, 0, 9]]]),) * 2]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    result, _, _ = measure_objects(arrays[0], labels=arrays[1], cells=arrays[2])
    assert result is arrays[0]
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_views_with_steps_give_the_same_as_their_copies():
    rng = np.random.default_rng(2)
    image, labels = rng.integers(0, 99, (2, 20, 30))[:, ::-1, ::2], rng.integers(0, 5, (1, 30, 20)).swapaxes(1, 2)
    labels = labels[:, :, :15]
    assert_equal(measure(image, labels)[1], measure(image.copy(), labels.copy())[1])


def test_the_tables_are_declared_in_the_order_of_return():
    outputs = declared_outputs(get_function("measure_objects").function)
    assert [name for name, _ in outputs] == ["cell_counts", "objects"]
    assert all([type(option) for option in spec.options] == [CsvOptions, ParquetOptions] for _, spec in outputs)
    assert get_function("measure_objects").accepts == {ImageKind.INTENSITY}
