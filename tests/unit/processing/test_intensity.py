"""Brightness of objects: against scikit-image, NumPy, SciPy and numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import median_abs_deviation
from skimage.measure import regionprops

from wellfield.processing.measurement import count_cells

from .objects import measure, planes


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
