from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions
from wellfield.processing.declarations import declared_outputs
from wellfield.processing.function_registry import ImageKind, get_function
from wellfield.processing.measurement import count_cells

COLUMNS = [
    "Metadata_ObjectNumber",
    "Nuclei_AreaShape_Area",
    "Nuclei_Location_Center_X",
    "Nuclei_Location_Center_Y",
    "Nuclei_Intensity_MeanIntensity_1",
    "Nuclei_Intensity_IntegratedIntensity_1",
]


def measure(image, labels, **options):
    _, counts, objects = count_cells(np.asarray(image), labels=np.asarray(labels), **options)
    return counts, objects


def test_a_hand_computed_field_gives_the_numbers_of_every_object_and_channel():
    labels = [[[0, 5, 5, 0], [0, 5, 0, 2]]]
    image = np.array([[[9, 1, 2, 9], [9, 6, 9, 4]], [[0, 10, 20, 0], [0, 60, 0, 40]]], np.uint16)
    counts, objects = measure(image, labels, channel_names=["DAPI", "GFP"], object_name="Cells")
    assert {name: list(column) for name, column in counts.items()} == {"Object": ["Cells"], "Count": [2]}
    assert {name: column.tolist() for name, column in objects.items()} == {
        "Metadata_ObjectNumber": [2, 5],
        "Cells_AreaShape_Area": [1, 3],
        "Cells_Location_Center_X": [3.0, 4 / 3],
        "Cells_Location_Center_Y": [1.0, 1 / 3],
        "Cells_Intensity_MeanIntensity_DAPI": [4.0, 3.0],
        "Cells_Intensity_IntegratedIntensity_DAPI": [4.0, 9.0],
        "Cells_Intensity_MeanIntensity_GFP": [40.0, 30.0],
        "Cells_Intensity_IntegratedIntensity_GFP": [40.0, 90.0],
    }


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 3),
    height=st.integers(1, 25),
    width=st.integers(1, 25),
    dtypes=st.tuples(
        st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
        st.sampled_from(["uint8", "uint16", "int32", "int64"]),
    ),
)
def test_numbers_agree_with_scikit_image(seed, channels, height, width, dtypes):
    dtype, label_dtype = dtypes
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 3, 4, 100], (1, height, width)).astype(label_dtype)
    image = rng.integers(0, 120, (channels, height, width)).astype(dtype)
    counts, objects = measure(image, labels)
    regions = regionprops(labels[0].astype(int), intensity_image=np.moveaxis(image, 0, -1).astype(float))
    assert counts["Count"].tolist() == [len(regions)]
    assert objects["Metadata_ObjectNumber"].tolist() == [region.label for region in regions]
    for row, region in enumerate(regions):
        assert objects["Nuclei_AreaShape_Area"][row] == region.area
        y, x = region.centroid
        assert objects["Nuclei_Location_Center_X"][row] == pytest.approx(x)
        assert objects["Nuclei_Location_Center_Y"][row] == pytest.approx(y)
        for channel in range(channels):
            mean = region.intensity_mean[channel]
            assert objects[f"Nuclei_Intensity_MeanIntensity_{channel + 1}"][row] == pytest.approx(mean)
            integrated = objects[f"Nuclei_Intensity_IntegratedIntensity_{channel + 1}"][row]
            assert integrated == pytest.approx(mean * region.area)


def test_integrated_intensities_are_exact_beyond_what_float32_and_32_bit_integers_hold():
    image = np.full((1, 512, 512), 65535, np.uint16)
    image[0, 0, 0] = 65534
    _, objects = measure(image, np.ones((1, 512, 512), np.int32))
    assert objects["Nuclei_Intensity_IntegratedIntensity_1"].tolist() == [512 * 512 * 65535 - 1]
    _, objects = measure(np.array([[[2**24 + 1]]], np.int32), [[[1]]])
    assert objects["Nuclei_Intensity_IntegratedIntensity_1"].tolist() == [2**24 + 1]


@pytest.mark.parametrize("number", [65_536, 70_000, 2**31 - 1])
def test_ids_above_16_bits_are_kept_and_cost_no_memory(number):
    labels = np.zeros((1, 4, 4), np.int32)
    labels[0, 1, 1] = number
    labels[0, 2, 2] = number - 65_536 + 1
    counts, objects = measure(np.ones((1, 4, 4)), labels)
    assert counts["Count"].tolist() == [2]
    assert objects["Metadata_ObjectNumber"].tolist() == [number - 65_535, number]


def test_a_field_without_objects_has_the_same_columns_and_dtypes():
    image, labels = np.ones((2, 4, 4), np.uint16), np.zeros((1, 4, 4), np.int32)
    counts, empty = measure(image, labels)
    _, full = measure(image, labels + 1)
    assert counts["Object"] == ["Nuclei"]
    assert counts["Count"].tolist() == [0]
    assert list(empty) == list(full)
    assert {name: column.dtype for name, column in empty.items()} == {n: c.dtype for n, c in full.items()}
    assert {column.shape for column in empty.values()} == {(0,)}


def test_columns_come_in_order_with_channels_numbered_from_one():
    _, objects = measure(np.ones((1, 3, 3)), np.ones((1, 3, 3), int))
    assert list(objects) == COLUMNS
    assert [objects[name].dtype.name for name in COLUMNS] == ["int64", "int64", *["float64"] * 4]


def test_a_nan_pixel_spoils_the_intensities_of_its_own_object_only():
    image = np.array([[[np.nan, 1.0, np.nan]]])
    _, objects = measure(image, [[[1, 2, 0]]])
    np.testing.assert_array_equal(objects["Nuclei_Intensity_MeanIntensity_1"], [np.nan, 1.0])


def test_the_image_is_passed_on_and_nothing_is_modified():
    image, labels = np.arange(8, dtype=np.uint16).reshape(2, 2, 2), np.array([[[0, 7], [7, 9]]])
    before = image.copy(), labels.copy()
    image.setflags(write=False)
    labels.setflags(write=False)
    result, _, _ = count_cells(image, labels=labels)
    assert result is image
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])


def test_views_with_steps_give_the_same_as_their_copies():
    rng = np.random.default_rng(2)
    image, labels = rng.integers(0, 99, (2, 20, 30))[:, ::-1, ::2], rng.integers(0, 5, (1, 30, 20)).swapaxes(1, 2)
    _, objects = measure(image, labels[:, :, :15])
    _, copied = measure(image.copy(), labels[:, :, :15].copy())
    for name in objects:
        np.testing.assert_array_equal(objects[name], copied[name])


@pytest.mark.parametrize("names", [["DAPI"], ["DAPI", "GFP", "RFP"], ["DAPI", "DAPI"], "AB", []])
def test_channel_names_must_be_one_different_name_per_channel(names):
    with pytest.raises(ConfigError, match="expected 2 different names"):
        measure(np.ones((2, 3, 3)), np.ones((1, 3, 3), int), channel_names=names)


def test_an_empty_object_name_is_refused():
    with pytest.raises(ConfigError, match="object_name"):
        measure(np.ones((1, 3, 3)), np.ones((1, 3, 3), int), object_name="")


@pytest.mark.parametrize("dtype", [bool, "float32"])
def test_a_mask_or_image_in_place_of_labels_names_the_step_that_makes_them(dtype):
    with pytest.raises(PipelineError, match=r"label or split_touching"):
        measure(np.ones((1, 3, 3)), np.ones((1, 3, 3), dtype))


def test_negative_labels_are_refused():
    with pytest.raises(PipelineError, match="down to -1"):
        measure(np.ones((1, 1, 2)), [[[-1, 2]]])


@pytest.mark.parametrize("shape", [(2, 3, 3), (3, 3), (1, 3, 4), (1, 4, 3), (1, 9, 1)])
def test_labels_of_another_shape_are_refused(shape):
    with pytest.raises(ArrayShapeError, match=r"expected \[1, 3, 3\]"):
        measure(np.ones((2, 3, 3)), np.ones(shape, int))


def test_the_tables_are_declared_as_csv_in_the_order_of_return():
    outputs = declared_outputs(get_function("count_cells").function)
    assert [name for name, _ in outputs] == ["cell_counts", "objects"]
    assert all(isinstance(spec.options[0], CsvOptions) for _, spec in outputs)
    assert get_function("count_cells").accepts == {ImageKind.INTENSITY}


def test_importing_the_functions_loads_no_scientific_library_beyond_numpy():
    code = (
        "import sys\nfrom wellfield.processing import filters, measurement, segmentation\n"
        "print(*sorted({'scipy', 'skimage', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
