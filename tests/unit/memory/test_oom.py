"""The ladder that is climbed when a device has no memory left, rung by rung, with each library's own error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.libraries import ON_CPU, assert_equal, need
from tests.unit.memory.fakes import FakeAdapter, FakeArray
from wellfield.errors import DeviceMemoryError
from wellfield.memory import MemoryType, decorators, use_gpu
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.types import CPU, Device, DeviceKind

IMAGE = np.arange(5 * 4 * 4, dtype="u2").reshape(5, 4, 4)
LIBRARIES = [name for name in ON_CPU if name != MemoryType.NUMPY]


def torch_error() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def tensorflow_error() -> Exception:
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[5,4,4]")


def jax_error() -> Exception:
    import jax

    return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 2147483648 bytes.")


def pyclesperanto_error() -> Exception:
    return RuntimeError("Error: Failed to allocate memory. OpenCL error: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)")


def cupy_error() -> Exception:
    import cupy

    return cupy.cuda.memory.OutOfMemoryError(2**31, 2**30)


ERRORS: dict[str, Callable[[], Exception]] = {
    "torch": torch_error,
    "tensorflow": tensorflow_error,
    "jax": jax_error,
    "pyclesperanto": pyclesperanto_error,
    "cupy": cupy_error,
}


def scarce(library: str, planes: Callable[[int], bool]) -> tuple[Callable[[Any], Any], list[int]]:
    """A function that has too little memory unless *planes* says of the number of calls that it is enough."""
    calls: list[int] = []

    def brighter(image: Any) -> Any:
        calls.append(len(image))
        if not planes(len(image)):
            raise ERRORS[library]()
        return image

    return brighter, calls


# --- real libraries on the CPU ------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_first_caches_are_freed_and_the_call_is_made_again(
    library: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    need(library)
    adapter = ADAPTERS[MemoryType(library)]
    freed: list[Any] = []
    monkeypatch.setattr(adapter, "free_caches", freed.append)
    function, calls = scarce(library, lambda _: bool(freed))
    assert_equal(getattr(decorators, library)(function)(IMAGE), IMAGE)
    assert calls == [5, 5]
    assert len(freed) == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("brighter: no memory left on ") and "shape (5, 4, 4)" in line and "caches freed" in line


@pytest.mark.parametrize("library", LIBRARIES)
def test_then_a_slice_wise_function_gets_smaller_pieces(library: str, caplog: pytest.LogCaptureFixture) -> None:
    need(library)
    function, calls = scarce(library, lambda planes: planes == 1)
    assert_equal(getattr(decorators, library)(slice_wise=True)(function)(IMAGE), IMAGE)
    assert calls == [5, 5, 2, 1, 1, 3, 1, 2, 1, 1]
    assert "smaller pieces along z" in caplog.text


@pytest.mark.parametrize("library", LIBRARIES)
def test_pieces_of_wide_integers_keep_their_values(library: str) -> None:
    need(library)
    image = np.array([[[2**31 + 1]], [[2**32 - 1]], [[2**24 + 1]]], "u4")
    function, _ = scarce(library, lambda planes: planes == 1)
    stack = ADAPTERS[MemoryType(library)]
    decorated = getattr(decorators, library)(slice_wise=True)(function)
    assert_equal(decorated(image), image)
    assert stack.owns(decorated(image))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("slice_wise", [True, False])
def test_in_the_end_there_is_an_error_naming_function_shape_and_device(library: str, slice_wise: bool) -> None:
    need(library)
    function, calls = scarce(library, lambda _: False)
    with pytest.raises(DeviceMemoryError) as caught:
        getattr(decorators, library)(slice_wise=slice_wise, cpu_fallback=True)(function)(IMAGE)
    error = caught.value
    assert (error.function, error.shape) == ("brighter", (5, 4, 4))
    assert error.device in ("cpu", "opencl:0")
    assert type(error.__cause__) is type(ERRORS[library]())
    assert calls == ([5, 5, 2, 1] if slice_wise else [5, 5])


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_recovery_the_error_of_the_library_comes_through(library: str) -> None:
    need(library)
    function, calls = scarce(library, lambda _: False)
    with pytest.raises(type(ERRORS[library]())):
        getattr(decorators, library)(oom_recovery=False)(function)(IMAGE)
    assert calls == [5]


def test_numpy_recovers_only_when_told_to() -> None:
    calls: list[int] = []

    def greedy(image: Any) -> Any:
        calls.append(len(image))
        if len(image) > 1:
            raise MemoryError
        return image

    with pytest.raises(MemoryError):
        decorators.numpy(greedy)(IMAGE)
    assert calls == [5]
    assert_equal(decorators.numpy(oom_recovery=True, slice_wise=True)(greedy)(IMAGE), IMAGE)


@pytest.mark.parametrize("library", LIBRARIES)
def test_any_other_error_is_not_taken_for_a_lack_of_memory(library: str, caplog: pytest.LogCaptureFixture) -> None:
    need(library)
    calls: list[int] = []

    def broken(image: Any) -> Any:
        calls.append(len(image))
        raise RuntimeError("INVALID_ARGUMENT: a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        getattr(decorators, library)(slice_wise=True)(broken)(IMAGE)
    assert calls == [5]
    assert not caplog.records


def test_another_error_on_the_way_up_ends_the_climb() -> None:
    need("torch")
    calls: list[int] = []

    def broken_when_cut(image: Any) -> Any:
        calls.append(len(image))
        raise torch_error() if len(image) == 5 else ValueError("cannot take two planes")

    with pytest.raises(ValueError, match="two planes"):
        decorators.torch(slice_wise=True)(broken_when_cut)(IMAGE)
    assert calls == [5, 5, 2]


@pytest.mark.parametrize(
    "extra", [{"volumetric": True}, {"labels": np.ones((5, 4, 4), "i4")}], ids=["volume", "labels"]
)
def test_a_stack_is_not_cut_where_planes_belong_together(extra: dict[str, Any]) -> None:
    need("torch")
    calls: list[int] = []

    def whole(image: Any, *, volumetric: bool = False, labels: Any = None) -> Any:
        calls.append(len(image))
        raise torch_error()

    with pytest.raises(DeviceMemoryError):
        decorators.torch(slice_wise=True)(whole)(IMAGE, **extra)
    assert calls == [5, 5]


@pytest.mark.parametrize("library", [MemoryType.NUMPY, *LIBRARIES])
def test_a_function_with_side_results_is_not_cut(library: str) -> None:
    need(library)
    calls: list[int] = []

    def pair(image: Any) -> Any:
        calls.append(len(image))
        if len(image) > 1:
            raise ERRORS.get(library, MemoryError)()
        return image, image

    with pytest.raises(DeviceMemoryError):
        getattr(decorators, library)(slice_wise=True, oom_recovery=True)(pair)(IMAGE)
    assert calls == [5, 5, 2, 1]


def test_the_error_of_the_library_of_the_result_is_recognised_too() -> None:
    need("torch")
    calls: list[int] = []

    @decorators.memory_types(input_type="numpy", output_type="torch", slice_wise=True)
    def infer(image: Any) -> Any:
        import torch

        calls.append(len(image))
        if len(image) > 2:
            raise torch_error()
        return torch.from_numpy((image * 2).astype("i4"))

    assert_equal(infer(IMAGE), (IMAGE * 2).astype("i4"))
    assert calls == [5, 5, 2, 3, 1, 2]


# --- a GPU, by a fake adapter that knows each library's error -------------------------------------------------------


@pytest.fixture(params=["torch", "tensorflow", "jax", "cupy"])
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "cupy":
        pytest.importorskip("cupy", reason="cupy: not installed")
    else:
        need(name)
    return name


def on_gpu(fake: Any, library: str) -> FakeAdapter:
    real = ADAPTERS[MemoryType(library)]
    kinds = (DeviceKind.CUDA,) if library == "cupy" else (DeviceKind.CPU, DeviceKind.CUDA)
    adapter: FakeAdapter = fake(MemoryType(library), kinds=kinds, is_out_of_memory=real.is_out_of_memory)
    return adapter


def test_the_cpu_is_the_third_rung_for_a_function_that_allows_it(
    library: str, fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = on_gpu(fake, library)
    places: list[Device] = []

    def brighter(image: FakeArray) -> FakeArray:
        places.append(image.place)
        if image.place != CPU:
            raise ERRORS[library]()
        return image

    function = getattr(decorators, library)(slice_wise=True, cpu_fallback=True)(brighter)
    with use_gpu(1):
        if library == "cupy":  # which has no arrays on the CPU
            with pytest.raises(DeviceMemoryError, match="cuda:1"):
                function(IMAGE)
            return
        found = function(IMAGE)
    np.testing.assert_array_equal(found.values, IMAGE)
    assert places[:2] == [Device(DeviceKind.CUDA, 1)] * 2 and places[-1] == CPU
    assert "the CPU" in caplog.text
    assert adapter.seen("free_caches") == [Device(DeviceKind.CUDA, 1)] * 4


def test_the_cpu_is_not_used_unless_the_function_allows_it(library: str, fake: Any) -> None:
    on_gpu(fake, library)
    places: list[Device] = []

    def brighter(image: FakeArray) -> FakeArray:
        places.append(image.place)
        raise ERRORS[library]()

    with use_gpu(0), pytest.raises(DeviceMemoryError):
        getattr(decorators, library)(brighter)(IMAGE)
    assert set(places) == {Device(DeviceKind.CUDA, 0)}


def test_an_upload_that_finds_no_memory_climbs_the_same_ladder(
    library: str, fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = on_gpu(fake, library)
    room = 2 * IMAGE[0].nbytes

    def upload(host: Any, device: Device) -> FakeArray:
        if host.nbytes > room:
            raise ERRORS[library]()
        return FakeArray(host.copy(), device)

    adapter.upload = upload  # type: ignore[method-assign]
    function = getattr(decorators, library)(slice_wise=True)(lambda image: image)
    with use_gpu(0), caplog.at_level(logging.WARNING):
        found = function(IMAGE)
    np.testing.assert_array_equal(found.values, IMAGE)
    assert "smaller pieces" in caplog.text


def test_a_failure_to_free_caches_does_not_end_the_climb(library: str, fake: Any) -> None:
    adapter = on_gpu(fake, library)

    def fails(event: str) -> None:
        if event == "free_caches":
            raise RuntimeError("the driver is gone")

    adapter.fails = fails
    calls: list[int] = []

    def second_time(image: FakeArray) -> FakeArray:
        calls.append(1)
        if len(calls) == 1:
            raise ERRORS[library]()
        return image

    with use_gpu(0):
        getattr(decorators, library)(second_time)(IMAGE)
    assert calls == [1, 1]


def test_the_real_errors_are_recognised_by_their_own_library_alone() -> None:
    need("torch", "tensorflow", "jax", "pyclesperanto")
    pytest.importorskip("cupy", reason="cupy: not installed")
    for name, make in ERRORS.items():
        assert ADAPTERS[MemoryType(name)].is_out_of_memory(make()), name
        assert not ADAPTERS[MemoryType(name)].is_out_of_memory(RuntimeError("something else")), name
    assert not ADAPTERS[MemoryType.JAX].is_out_of_memory(pyclesperanto_error())
