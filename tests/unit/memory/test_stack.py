"""Planes to stacks and back, in every library."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.libraries import ON_CPU, address_of, as_type, assert_equal, need
from wellfield.errors import ArrayShapeError, MemoryConversionError, MemoryTypeError
from wellfield.memory import (
    MemoryType,
    convert_memory,
    count_conversions,
    detect_memory_type,
    stack_slices,
    unstack_slices,
)
from wellfield.memory.buffers import ALIGNMENT


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


@pytest.mark.parametrize("target", ON_CPU)
@pytest.mark.parametrize("source", ON_CPU)
def test_planes_of_any_library_become_a_stack_of_any_other_and_planes_again(source: str, target: str) -> None:
    need(source, target)
    planes = [np.array([[number, 65535], [2**24 + number, 2**32 - 1]], "u4") for number in range(3)]
    stack = stack_slices([as_type(plane, source) for plane in planes], target)
    assert detect_memory_type(stack) == target
    assert_equal(stack, np.stack(planes))
    for found, plane in zip(unstack_slices(stack, source), planes, strict=True):
        assert detect_memory_type(found) == source
        assert_equal(found, plane)


@pytest.mark.parametrize("target", ON_CPU)
def test_planes_of_different_libraries_and_byte_orders_may_be_mixed(target: str) -> None:
    need(*ON_CPU)
    plane = np.array([[1, 65535]], "u2")
    mixed = [*(as_type(plane, name) for name in ON_CPU), plane.astype(">u2"), plane[:, ::-1][:, ::-1]]
    assert_equal(stack_slices(mixed, target), np.stack([plane] * len(mixed)))


@pytest.mark.parametrize("target", [name for name in ON_CPU if name != MemoryType.PYCLESPERANTO])
def test_a_stack_starts_at_a_multiple_of_64_bytes_so_that_every_library_shares_it(target: str) -> None:
    need(target)
    with count_conversions() as counted:
        stacks = [stack_slices([np.ones((5, 7 + size), "u2")] * 3, target) for size in range(50)]
    assert {address_of(stack) % ALIGNMENT for stack in stacks} == {0}
    assert set(counted) == ({("numpy", target, "same buffer")} if target != "numpy" else set())
    stack = stacks[0]
    for other in (name for name in ON_CPU if name != MemoryType.PYCLESPERANTO):
        need(other)
        if target in ("numpy", "torch") or other != "torch":
            assert address_of(convert_memory(stack, target, other)) == address_of(stack)


def test_stacking_takes_one_allocation_of_the_size_of_the_stack() -> None:
    planes = [np.ones((512, 512), "u2") for _ in range(8)]
    tracemalloc.start()
    stack = stack_slices(planes, "numpy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stack.nbytes <= peak < stack.nbytes * 1.02


def test_numpy_planes_are_shared_with_a_library_that_takes_them_where_they_are() -> None:
    need("torch", "jax")
    stack = stack_slices([np.full((8, 64), number, "u2") for number in range(2)], "numpy")
    for target in ("torch", "jax"):
        found = unstack_slices(stack, target)
        assert [address_of(plane) for plane in found] == [address_of(plane) for plane in stack]


@pytest.mark.parametrize("value", [[[1, 2]], None, "plane"], ids=repr)
def test_planes_must_be_arrays(value: Any) -> None:
    with pytest.raises(MemoryTypeError):
        stack_slices([value], "numpy")


@pytest.mark.parametrize("memory_type", ["torch", "jax", "tensorflow", "pyclesperanto"])
def test_a_device_that_is_not_there_is_an_error(memory_type: str) -> None:
    need(memory_type)
    plane = np.ones((2, 2), "u2")
    with pytest.raises(MemoryConversionError, match="gpu_id 99"):
        stack_slices([plane], memory_type, gpu_id=99)
    with pytest.raises(MemoryConversionError, match="gpu_id 99"):
        unstack_slices(plane[None], memory_type, gpu_id=99)


def test_bfloat16_planes_are_stacked_by_their_own_library() -> None:
    need("torch")
    import torch

    planes = [torch.full((2, 2), 1.5, dtype=torch.bfloat16)] * 2
    stack = stack_slices(planes, "torch")
    assert (stack.dtype, stack.shape) == (torch.bfloat16, (2, 2, 2))


@pytest.mark.parametrize("target", ["torch", "jax", "tensorflow"])
def test_bfloat16_planes_go_to_the_libraries_that_have_it(target: str) -> None:
    need("torch", target)
    import torch

    planes = [torch.full((2, 2), 1.5, dtype=torch.bfloat16)] * 2
    assert "bfloat16" in str(stack_slices(planes, target).dtype)


@pytest.mark.parametrize("target", ON_CPU)
@pytest.mark.parametrize(
    "plane",
    [
        np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2)),
        np.array([["a"]]),
        np.array([[None]]),
        np.zeros((1, 1), "u1,u1"),
    ],
    ids=["masked", "text", "object", "records"],
)
def test_planes_that_no_library_holds_are_refused(plane: Any, target: str) -> None:
    need(target)
    with pytest.raises(MemoryConversionError, match=f"numpy → {target} via dtype: {target} does not hold"):
        stack_slices([plane], target)
