"""Measured objects as a whole: compartments, odd input, many objects, what does not depend on others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions, ParquetOptions
from wellfield.processing.declarations import declared_outputs
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.objects import measure_objects

from .objects import TEXTURES, WHOLE, assert_equal, measure, without

# --- cells and cytoplasm ------------------------------------------------------------------------------------------


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
    assert objects["Metadata_ObjectNumber"].tolist() == [7, 31, 500, 900_000]
    assert objects["Cells_AreaShape_Area"].tolist() == pytest.approx([84, np.nan, 84, 84], nan_ok=True)
    assert objects["Cytoplasm_AreaShape_Area"].tolist() == pytest.approx([68, np.nan, 68, 68], nan_ok=True)
    for name, labels in (("Nuclei", nuclei), ("Cells", cells), ("Cytoplasm", cytoplasm)):
        _, alone = measure(image, labels, object_name=name)
        rows = np.searchsorted(objects["Metadata_ObjectNumber"], alone.pop("Metadata_ObjectNumber"))
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


# --- CellProfiler -------------------------------------------------------------------------------------------------

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
    compared = [name for name in found if name in theirs and name not in (*box, "Metadata_ObjectNumber")]
    assert len(compared) > 30
    for name in compared:
        if not name.startswith(CELLPROFILER_DIFFERS):
            np.testing.assert_allclose(both[name], both[f"{name}_theirs"], rtol=1e-5, atol=1e-7, err_msg=name)
    both = both[both["AreaShape_Orientation"].abs() != 45]  # whose sign scikit-image had wrong at the time
    turned = both["AreaShape_Orientation"] - np.degrees(both["AreaShape_Orientation_theirs"])
    np.testing.assert_allclose((turned + 90) % 180, 90, atol=1e-6)


# --- any objects --------------------------------------------------------------------------------------------------


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
    whole = {"Metadata_ObjectNumber", *(f"Nuclei_AreaShape_{feature}" for feature in WHOLE)}
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
    np.testing.assert_array_equal(objects["Metadata_ObjectNumber"], labels.flat[1:])
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
    assert objects["Metadata_ObjectNumber"].tolist() == sorted(ids)
    rows = np.searchsorted(objects["Metadata_ObjectNumber"], ids)
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
    assert len(together["Metadata_ObjectNumber"]) > 5
    for row, number in enumerate(together["Metadata_ObjectNumber"]):
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
