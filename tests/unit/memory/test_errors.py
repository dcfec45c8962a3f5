"""The errors of the memory types keep what they say, also on the way to another process."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DeviceMemoryError, MemoryConversionError, MemoryTypeError, WellfieldError
from wellfield.memory import MemoryType, convert_memory, detect_memory_type

STACK = np.zeros((2, 4, 5), "u2")


def test_numpy_is_numpy_without_a_copy() -> None:
    assert detect_memory_type(STACK) is MemoryType.NUMPY
    assert convert_memory(STACK, "numpy", MemoryType.NUMPY) is STACK


@pytest.mark.parametrize("value", [[1, 2], 3, None, np.float32(1)], ids=repr)
def test_what_is_no_array_has_no_memory_type(value: Any) -> None:
    with pytest.raises(MemoryTypeError, match="is not an array of a supported memory type"):
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


def test_an_error_of_device_memory_says_what_where_and_how_large() -> None:
    error = DeviceMemoryError("gaussian_filter", (5, 2048, 2048), "cuda:0")
    again = pickle.loads(pickle.dumps(error))
    assert (again.function, again.shape, again.device, str(again)) == (
        "gaussian_filter",
        (5, 2048, 2048),
        "cuda:0",
        str(error),
    )
    assert "gaussian_filter: no memory left on cuda:0 for an array of shape [5, 2048, 2048]" in str(error)
    assert isinstance(error, MemoryError)
    assert isinstance(error, WellfieldError)
