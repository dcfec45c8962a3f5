from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

from wellfield.errors import ArrayShapeError, MemoryConversionError, MemoryTypeError, WellfieldError
from wellfield.memory import (
    MemoryType,
    convert_memory,
    detect_memory_type,
    memory_types,
    stack_slices,
    unstack_slices,
)
from wellfield.memory import numpy as numpy_function

STACK = np.zeros((2, 4, 5), "u2")


@numpy_function
def double(image: Any, factor: float = 2.0, *, mask: Any = None) -> Any:
    """Multiply."""
    return image * factor


# --- decorators ---------------------------------------------------------------------------------------------------


def test_name_docs_module_and_signature_are_kept() -> None:
    assert (double.__name__, double.__doc__, double.__module__) == ("double", "Multiply.", __name__)
    assert list(inspect.signature(double).parameters) == ["image", "factor", "mask"]


def test_the_memory_types_can_be_read_from_the_function() -> None:
    assert (double.input_memory_type, double.output_memory_type) == (MemoryType.NUMPY, MemoryType.NUMPY)


def test_it_works_with_and_without_parentheses() -> None:
    @numpy_function()
    def same(image: Any) -> Any:
        return image

    assert same(STACK) is STACK
    assert double(STACK + 1, 3).max() == 3


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (1, 2, 4, 5)], ids=str)
def test_an_input_of_another_rank_is_refused_by_name_and_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises((ArrayShapeError, MemoryTypeError), match="input of double") as caught:
        double(np.zeros(shape))
    assert str(list(shape)) in str(caught.value)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (1, 2, 4, 5)], ids=str)
def test_a_result_of_another_rank_is_refused_by_name(shape: tuple[int, ...]) -> None:
    @numpy_function
    def wrong(image: Any) -> Any:
        return np.zeros(shape), "side result"

    with pytest.raises(ArrayShapeError, match="result of wrong"):
        wrong(STACK)


@pytest.mark.parametrize("result", [None, 3, [1], "text"], ids=str)
def test_a_result_that_is_no_array_is_refused_by_name(result: Any) -> None:
    @numpy_function
    def wrong(image: Any) -> Any:
        return result

    with pytest.raises(MemoryTypeError, match=r"wrong returned .*; it declares numpy"):
        wrong(STACK)


def test_side_results_pass_untouched() -> None:
    side = object()

    @numpy_function
    def pair(image: Any) -> Any:
        return image, side, np.zeros(3)

    assert pair(STACK)[1] is side


def test_arrays_pass_without_a_copy_and_other_arguments_untouched() -> None:
    seen: list[Any] = []

    @numpy_function
    def look(image: Any, *args: Any, **kwargs: Any) -> Any:
        seen.extend([image, *args, kwargs["labels"]])
        return image

    labels, options = np.ones((2, 4, 5)), {"a": 1}
    look(STACK, options, np.float32(2), labels=labels)
    assert all(found is given for found, given in zip(seen, [STACK, options, seen[2], labels], strict=True))
    assert seen[2] == 2


def test_unknown_memory_types_are_refused_when_declared() -> None:
    with pytest.raises(ValueError, match="nunpy"):
        memory_types(input_type="nunpy", output_type="numpy")


def test_an_input_that_is_no_array_is_an_error_naming_function_and_type() -> None:
    for value in ([[1]], None):
        with pytest.raises(MemoryTypeError, match="input of double"):
            double(value)


# --- stacks -------------------------------------------------------------------------------------------------------


def test_stack_and_unstack_are_inverse() -> None:
    planes = [np.full((4, 5), number, ">u2") for number in range(3)]
    stack = stack_slices(planes, MemoryType.NUMPY)
    assert (stack.shape, stack.dtype) == ((3, 4, 5), np.dtype("=u2"))
    for found, plane in zip(unstack_slices(stack, "numpy", gpu_id=7), planes, strict=True):
        np.testing.assert_array_equal(found, plane)


def test_a_stack_does_not_share_memory_with_its_slices_but_its_planes_do() -> None:
    plane = np.zeros((4, 5))
    stack = stack_slices([plane], "numpy", gpu_id=3)
    plane[:] = 1
    assert stack.sum() == 0
    assert np.shares_memory(unstack_slices(stack, "numpy")[0], stack)


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ([], "no plane to stack"),
        ([np.zeros(5)], r"\[5\] float64"),
        ([np.zeros((1, 4, 5))], r"\[1, 4, 5\] float64"),
        ([np.zeros((4, 5)), np.zeros((5, 4))], r"\[4, 5\] float64, \[5, 4\] float64"),
        ([np.zeros((4, 5), "u1"), np.zeros((4, 5), "u2")], r"\[4, 5\] uint8, \[4, 5\] uint16"),
    ],
)
def test_slices_that_do_not_fit_are_an_error_showing_them(slices: list[Any], message: str) -> None:
    with pytest.raises(ArrayShapeError, match=message):
        stack_slices(slices, "numpy")


@pytest.mark.parametrize("shape", [(5,), (4, 5), (1, 2, 4, 5)], ids=str)
def test_only_stacks_are_unstacked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArrayShapeError, match="array to unstack"):
        unstack_slices(np.zeros(shape), "numpy")


# --- conversion ---------------------------------------------------------------------------------------------------


def test_numpy_is_numpy_without_a_copy() -> None:
    assert detect_memory_type(STACK) is MemoryType.NUMPY
    assert convert_memory(STACK, "numpy", MemoryType.NUMPY) is STACK


@pytest.mark.parametrize("value", [[1, 2], 3, None, np.float32(1)], ids=repr)
def test_what_is_no_array_has_no_memory_type(value: Any) -> None:
    with pytest.raises(MemoryTypeError, match="no array of a supported memory type"):
        detect_memory_type(value)


def test_a_wrong_source_type_is_an_error_with_all_fields() -> None:
    with pytest.raises(MemoryConversionError) as caught:
        convert_memory(STACK, "torch", "numpy")
    error = caught.value
    assert (error.source_type, error.target_type, error.method) == ("torch", "numpy", "detection")
    assert str(error) == f"Failed to convert torch → numpy via detection: {error.reason}"
    assert isinstance(error, WellfieldError)
    assert isinstance(error, RuntimeError)


def test_conversion_errors_cross_processes() -> None:
    error = MemoryConversionError("numpy", "cupy", "dlpack", "no device")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.method, again.reason) == (str(error), "dlpack", "no device")


def test_an_unknown_target_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="nunpy"):
        convert_memory(STACK, "numpy", "nunpy")
