"""Shapes of objects: against scikit-image and numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from skimage.measure import regionprops

from .objects import REGIONPROPS, measure_shape, planes


@settings(max_examples=80, deadline=None)
@given(labels=planes())
@example(labels=np.array([[0, 0, 1], [0, 2, 0], [0, 1, 1]]))  # no two outline points in one row of half pixels
def test_shapes_agree_with_scikit_image(labels):
    objects = measure_shape(labels)
    regions = regionprops(labels)
    assert objects["Metadata_ObjectNumber"].tolist() == [region.label for region in regions]
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
        "Metadata_ObjectNumber": 1,
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
