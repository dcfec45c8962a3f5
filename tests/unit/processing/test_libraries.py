"""Implementations for other array libraries, compared with those for NumPy.

Where no tolerance is named they agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.unit.processing.libraries import Library, for_each_library
from tests.unit.processing.test_counted_images import COUNTED, IMAGES
from wellfield.errors import ArrayShapeError, MemoryConversionError, PipelineError, WellfieldError
from wellfield.memory import MemoryType, to_numpy
from wellfield.processing.function_registry import get_function

# Of the largest value of the image: sums of a few dozen float32 products.
GAUSSIAN_TOLERANCE = 1e-6

WITHOUT_64_BITS = (MemoryType.JAX, MemoryType.PYCLESPERANTO)

CASES: list[tuple[str, dict[str, Any]]] = [
    ("gaussian_filter", {}),
    ("gaussian_filter", {"sigma": [0, 2.4]}),
    ("gaussian_filter", {"sigma": 0}),
    ("gaussian_filter", {"sigma": 15}),  # the kernel is larger than the image
    ("gaussian_filter", {"sigma": [0.6, 2.4, 1.2], "volumetric": True}),
    ("max_projection", {}),
    ("threshold_otsu", {}),
    ("threshold_otsu", {"correction": 0.7}),
    ("threshold_otsu", {"correction": 0, "min_contrast": 0}),
    ("threshold_otsu", {"minimum": 70.5}),
    ("threshold_otsu", {"minimum": 1e9}),
    ("threshold_otsu", {"min_contrast": 50}),
    ("threshold_otsu", {"volumetric": True}),
    ("median_filter", {}),
    ("median_filter", {"radius": 3}),
    ("tophat", {"radius": 2}),
    ("tophat", {"radius": 12}),
    ("tophat", {"radius": 60}),  # larger than the image
    ("label", {}),
    ("label", {"min_area": 5}),
    ("label", {"connectivity": 1}),
    ("label", {"connectivity": 2, "min_area": 5}),
    *(("label", {"connectivity": reach, "volumetric": True, "min_area": 2}) for reach in (1, 2, 3)),
    ("label", {"volumetric": True, "min_area": 9}),
]
FUNCTIONS = list(dict.fromkeys(name for name, _ in CASES))

# Refused in the same words.
WRONG: list[tuple[str, np.ndarray, dict[str, Any]]] = [
    ("gaussian_filter", np.ones((1, 4, 4), np.uint8), {"sigma": -1}),
    ("gaussian_filter", np.ones((1, 4, 4), np.uint8), {"sigma": [1, 1, 1]}),
    ("threshold_otsu", np.ones((1, 4, 4), np.uint8), {"correction": -0.1}),
    ("threshold_otsu", np.ones((1, 4, 4), np.uint8), {"min_contrast": float("nan")}),
    ("threshold_otsu", np.full((1, 4, 4), np.nan, np.float32), {}),
    ("threshold_otsu", np.array([[[1, np.inf, 2, -np.inf]]], np.float32), {"volumetric": True}),
    ("median_filter", np.ones((1, 4, 4), np.uint8), {"radius": 0}),
    ("tophat", np.ones((1, 4, 4), np.uint8), {"radius": 0}),
    ("tophat", np.ones((1, 4, 4), np.uint8), {"radius": 251}),
    ("tophat", np.array([[[-30000] * 4, [-30000, 30000, -30000, -30000], [-30000] * 4]], np.int16), {"radius": 1}),
    ("label", np.arange(16, dtype=np.uint8).reshape(1, 4, 4), {}),
    ("label", np.ones((1, 4, 4), np.uint16), {}),
    ("label", np.ones((1, 4, 4), bool), {"connectivity": 3}),
    ("label", np.ones((1, 4, 4), bool), {"connectivity": 0, "volumetric": True}),
    ("label", np.ones((1, 4, 4), np.float32), {}),
]


def cells(dtype: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Bright squares in noise, of another height in each plane; negative background where the dtype has it."""
    rng = np.random.default_rng(4)
    image = rng.normal(30, 4, shape) + 7 * np.arange(shape[0])[:, None, None]
    image[:, 3:11, 5:12] += 60
    image[:, -9:, -7:] += 70
    if np.dtype(dtype).kind == "f":
        return (image - 40.25).astype(dtype)
    return image.clip(0, 127).astype(dtype)


def example(name: str, dtype: str = "uint16", shape: tuple[int, int, int] = (3, 31, 26)) -> np.ndarray:
    """Give an image that a function takes."""
    return cells("float32", shape) > 15 if name == "label" else cells(dtype, shape)


def reference(name: str, image: np.ndarray, **parameters: Any) -> np.ndarray:
    return get_function(name).function(image, **parameters)


def assert_agrees(library: Library, name: str, image: np.ndarray, **parameters: Any) -> None:
    result, expected = library.run(name, image, **parameters), reference(name, image, **parameters)
    if name == "gaussian_filter":
        tolerance = GAUSSIAN_TOLERANCE * np.abs(image.astype(np.float64)).max(initial=0)
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance, strict=True)
    else:
        if name == "threshold_otsu" and library.memory_type == MemoryType.PYCLESPERANTO:
            expected = expected.view(np.uint8)  # which has no bool
        np.testing.assert_array_equal(result, expected, strict=True)


def for_libraries(names: str, cases: Iterable[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize a test that takes a library and the *names* of a case."""
    return pytest.mark.parametrize(f"library, {names}", for_each_library(cases), indirect=["library"], ids=identifier)


def identifier(value: Any) -> str:
    return str(value.dtype if isinstance(value, np.ndarray) else value)


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("uint8", (1, 37, 41)), ("uint16", (3, 31, 26)), ("int16", (1, 37, 41)), ("float32", (3, 31, 26))],
    ids=str,
)
@for_libraries("name, parameters", CASES)
def test_agrees_with_numpy(library, name, parameters, dtype, shape):
    assert_agrees(library, name, example(name, dtype, shape), **parameters)


@for_libraries("name", [(name,) for name in FUNCTIONS])
def test_agrees_with_numpy_on_planes_of_few_pixels(library, name):
    for shape in [(1, 1, 1), (2, 1, 5), (2, 5, 1)]:
        assert_agrees(library, name, example(name, shape=shape))


@for_libraries("name", [(name,) for name in FUNCTIONS])
@pytest.mark.parametrize("dtype", ["int8", "uint32", "int32", "float64", "int64"])
def test_agrees_with_numpy_on_dtypes_that_need_care(library, name, dtype):
    if np.dtype(dtype).itemsize == 8 and library.memory_type in WITHOUT_64_BITS:
        with pytest.raises(MemoryConversionError, match=dtype):
            library.run(name, cells(dtype, (1, 20, 20)))
    elif name != "label":
        large = cells(dtype, (2, 20, 20))
        assert_agrees(library, name, large if dtype == "int8" else large + large.dtype.type(2**24 + 1))


@for_libraries("name", [(name,) for name in FUNCTIONS if name != "max_projection"])
@pytest.mark.parametrize("shape", [(0, 5, 5), (1, 0, 5), (2, 5, 0)])
def test_a_stack_without_pixels_gives_one_without_pixels(library, name, shape):
    if library.memory_type == MemoryType.PYCLESPERANTO:
        with pytest.raises(MemoryConversionError):  # it has no such arrays
            library.run(name, np.zeros(shape, bool if name == "label" else np.uint8))
        return
    assert library.run(name, np.zeros(shape, bool if name == "label" else np.uint8)).shape == shape


@for_libraries("name", [("max_projection",)])
def test_a_projection_of_no_plane_is_refused(library, name):
    if library.memory_type != MemoryType.PYCLESPERANTO:
        with pytest.raises(ArrayShapeError, match="max_projection: the stack has shape"):
            library.run(name, np.zeros((0, 5, 5), np.uint8))


@for_libraries("name", [("threshold_otsu",)])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_thresholds_agree_over_the_whole_range_of_a_dtype(library, name, data):
    wide = () if library.memory_type in WITHOUT_64_BITS else ("int64", "float64")
    dtype = data.draw(st.sampled_from(("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", *wide)))
    finite = (
        {"allow_nan": False, "allow_infinity": False, "allow_subnormal": False} if dtype.startswith("float") else {}
    )
    image = data.draw(hnp.arrays(dtype, (2, 3, 4), elements=hnp.from_dtype(np.dtype(dtype), **finite)))
    parameters = {
        "correction": data.draw(st.sampled_from((0, 0.5, 1, 1.7))),
        "minimum": data.draw(st.none() | st.floats(allow_nan=False)),
        "min_contrast": data.draw(st.sampled_from((0, 2))),
        "volumetric": data.draw(st.booleans()),
    }
    assert_agrees(library, name, image, **parameters)


@pytest.mark.realdata
@pytest.mark.skipif(not COUNTED.is_dir(), reason=f"real plates: none in {COUNTED}; set WELLFIELD_PLATES")
@pytest.mark.parametrize("image", IMAGES)
@for_libraries(
    "name, parameters",
    [
        ("gaussian_filter", {"sigma": 1.0}),
        ("gaussian_filter", {"sigma": 4.2}),
        ("max_projection", {}),
        ("threshold_otsu", {"correction": 0.7}),
        ("median_filter", {"radius": 2}),
        ("tophat", {"radius": 25}),
        ("label", {"min_area": 30}),
    ],
)
def test_agrees_with_numpy_on_real_images(library, name, parameters, image):
    plane = tifffile.imread(COUNTED / IMAGES[image])[None]
    if name == "label":
        plane = reference("threshold_otsu", plane)
    assert_agrees(library, name, plane, **parameters)


# --- contract ----------------------------------------------------------------------------------------------------


@for_libraries("name, parameters", [(name, {"sigma": 0} if name == "gaussian_filter" else {}) for name in FUNCTIONS])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_input_is_neither_modified_nor_part_of_the_result(library, name, parameters, dtype):
    image = example(name, dtype, (1, 31, 26))
    own = library.own(image)
    result = library.function(name)(own, **parameters)
    np.testing.assert_array_equal(to_numpy(own), image)
    if library.array_type in (MemoryType.TORCH, MemoryType.NUMPY):  # the others cannot be written to, or always copy
        assert not np.shares_memory(to_numpy(own), to_numpy(result))


@for_libraries("name", [("gaussian_filter",)])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float32"])
def test_a_gaussian_is_float32(library, name, dtype):
    assert library.run(name, cells(dtype, (1, 20, 20))).dtype == np.float32


@for_libraries("name", [("max_projection",), ("median_filter",), ("tophat",)])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"])
def test_the_dtype_is_kept(library, name, dtype):
    assert library.run(name, cells(dtype, (2, 20, 20))).dtype == dtype


@for_libraries("name", [("threshold_otsu",)])
def test_a_mask_is_a_mask_of_the_library(library, name):
    mask = library.function(name)(library.own(example(name)))
    if library.memory_type == MemoryType.PYCLESPERANTO:
        assert mask.dtype == np.uint8
        assert set(np.unique(to_numpy(mask))) == {0, 1}
    else:
        assert to_numpy(mask).dtype == np.bool_


@for_libraries("name", [("label",)])
def test_the_mask_of_a_library_is_taken_by_its_label(library, name):
    mask = library.function("threshold_otsu")(library.own(example("threshold_otsu")))
    labels = to_numpy(library.function(name)(mask))
    np.testing.assert_array_equal(labels, reference(name, reference("threshold_otsu", example("threshold_otsu"))))
    assert labels.dtype == np.int32


@for_libraries("name, image, parameters", WRONG)
def test_what_numpy_refuses_is_refused_in_the_same_words(library, name, image, parameters):
    with pytest.raises(WellfieldError) as expected:
        reference(name, image, **parameters)
    with pytest.raises(type(expected.value)) as found:
        library.run(name, image, **parameters)
    assert str(found.value) == str(expected.value)


@for_libraries("name", [("threshold_otsu",)])
@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_a_threshold_refuses_what_is_no_intensity(library, name, dtype):
    if library.memory_type == MemoryType.PYCLESPERANTO:  # a bool is uint8 there, complex numbers it has none
        return
    with pytest.raises(PipelineError, match=f"takes an intensity image .* it got {dtype}"):
        library.run(name, np.zeros((1, 4, 4), dtype))


@for_libraries("name", [("max_projection",), ("threshold_otsu",)])
def test_torch_says_that_it_cannot_compare_uint64(library, name):
    if library.memory_type == MemoryType.TORCH:
        with pytest.raises(PipelineError, match=f"{name}: PyTorch cannot compare uint64"):
            library.run(name, np.zeros((1, 4, 4), np.uint64))


@for_libraries("name", [("median_filter",)])
def test_a_disk_larger_than_the_kernel_promises_to_sort_is_right_too(library, name):
    assert_agrees(library, name, cells("uint8", (1, 45, 50)), radius=17)
    assert_agrees(library, name, cells("uint8", (1, 45, 50)), radius=18)


@for_libraries("name", [("label",)])
def test_many_and_tangled_regions_get_the_same_numbers(library, name):
    rng = np.random.default_rng(5)
    tangled, many = rng.random((2, 60, 50)) < 0.4, np.zeros((1, 400, 400), bool)
    many[:, ::2, ::2] = True
    assert_agrees(library, name, tangled, min_area=3)
    assert_agrees(library, name, tangled, volumetric=True)
    for reach in (1, 2, 3):
        assert_agrees(library, name, tangled, connectivity=reach, volumetric=reach == 3, min_area=2)
        assert_agrees(library, name, rng.random((5, 30, 30)) < 0.15, connectivity=reach, volumetric=True)
    assert_agrees(library, name, many)


@for_libraries("name", [(name,) for name in ("gaussian_filter", "max_projection", "median_filter")])
def test_nan_and_infinite_pixels_are_as_in_numpy(library, name):
    image = cells("float32", (3, 31, 26))
    image[0, 4, 5] = image[1, 6, 7] = image[2, 9, 9] = np.nan
    image[1, 20, 3], image[2, 8, 8] = np.inf, -np.inf
    np.testing.assert_allclose(library.run(name, image), reference(name, image), rtol=0, atol=1e-4, strict=True)
