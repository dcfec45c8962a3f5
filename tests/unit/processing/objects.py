"""What tests of measured objects share: how they are measured, and labels to measure."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

from wellfield.processing.objects import measure_objects

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
