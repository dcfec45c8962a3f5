"""Devices, streams and cleanup: what is asked of a library with GPUs, by a fake adapter in its place."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.libraries import need
from tests.unit.memory.fakes import FakeAdapter, FakeArray
from wellfield import memory
from wellfield.memory import (
    MemoryConversionError,
    MemoryType,
    convert_memory,
    count_conversions,
    decorators,
    explain_conversion,
    stack_slices,
    unstack_slices,
    use_cpu,
    use_gpu,
)
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.devices import DeviceChoice, on_device
from wellfield.memory.routes import choose_route
from wellfield.memory.types import CPU, ArrayFacts, Device, DeviceKind
from wellfield.pipeline.array_placement import open_libraries

IMAGE = np.arange(24, dtype="u2").reshape(2, 3, 4)
GPU0, GPU1 = (Device(DeviceKind.CUDA, number) for number in (0, 1))


@pytest.fixture
def torch(fake: Any) -> FakeAdapter:
    adapter: FakeAdapter = fake(MemoryType.TORCH)
    return adapter


# --- placement ----------------------------------------------------------------------------------------------------


def test_a_gpu_is_used_if_it_is_named_or_if_the_thread_works_on_one(torch: FakeAdapter) -> None:
    assert convert_memory(IMAGE, "numpy", "torch").place == CPU
    assert convert_memory(IMAGE, "numpy", "torch", 1).place == GPU1
    with use_gpu(1):
        assert convert_memory(IMAGE, "numpy", "torch").place == GPU1
        assert convert_memory(IMAGE, "numpy", "torch", 0).place == GPU0
        with use_cpu():
            assert convert_memory(IMAGE, "numpy", "torch").place == CPU
        assert convert_memory(IMAGE, "numpy", "torch").place == GPU1
    assert convert_memory(IMAGE, "numpy", "torch").place == CPU


def test_an_array_stays_on_its_device_and_moves_if_another_is_named(torch: FakeAdapter) -> None:
    on_gpu = FakeArray(IMAGE, GPU1)
    assert convert_memory(on_gpu, "torch", "torch") is on_gpu
    with count_conversions() as counted:
        assert convert_memory(on_gpu, "torch", "torch", 0).place == GPU0
    assert counted == {("torch", "torch", "device move"): 1}
    assert torch.seen("move") == [GPU0]


def test_the_placement_of_a_thread_is_its_own(torch: FakeAdapter) -> None:
    places: dict[str, Device] = {}
    both = threading.Barrier(2)

    def work(name: str, gpu_id: int) -> None:
        with use_gpu(gpu_id):
            both.wait()
            places[name] = convert_memory(IMAGE, "numpy", "torch").place
            both.wait()

    threads = [threading.Thread(target=work, args=(f"thread {number}", number)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == {"thread 0": GPU0, "thread 1": GPU1}


@pytest.mark.parametrize("gpu_id", [-1, 2, 99])
def test_a_gpu_out_of_range_is_an_error_that_says_what_is_there(torch: FakeAdapter, gpu_id: int) -> None:
    for call in (
        lambda: convert_memory(IMAGE, "numpy", "torch", gpu_id),
        lambda: explain_conversion(IMAGE, "numpy", "torch", gpu_id),
        lambda: stack_slices(list(IMAGE), "torch", gpu_id),
        lambda: unstack_slices(IMAGE, "torch", gpu_id),
    ):
        with pytest.raises(MemoryConversionError) as caught:
            call()
        assert caught.value.method == "device"
        assert caught.value.reason == f"gpu_id {gpu_id}: torch sees 2 CUDA devices (gpu_id 0 to 1)"


def test_what_a_configuration_says_is_the_first_gpu_or_the_cpu(torch: FakeAdapter) -> None:
    with on_device(MemoryType.TORCH, DeviceChoice.GPU):
        assert convert_memory(IMAGE, "numpy", "torch").place == GPU0
    with use_gpu(1), on_device(MemoryType.TORCH, DeviceChoice.CPU):
        assert convert_memory(IMAGE, "numpy", "torch").place == CPU
    torch.gpus = 0
    with (
        pytest.raises(MemoryConversionError, match="torch sees no CUDA device"),
        on_device(MemoryType.TORCH, DeviceChoice.GPU),
    ):
        pass


def test_a_configuration_that_allows_it_falls_back_to_the_cpu_and_says_so(
    torch: FakeAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    with on_device(MemoryType.TORCH, DeviceChoice.GPU_OR_CPU):
        assert convert_memory(IMAGE, "numpy", "torch").place == GPU0
    open_libraries([MemoryType.TORCH], DeviceChoice.GPU_OR_CPU)
    assert caplog.text == ""
    torch.gpus = 0
    with on_device(MemoryType.TORCH, DeviceChoice.GPU_OR_CPU):
        assert convert_memory(IMAGE, "numpy", "torch").place == CPU
    open_libraries([MemoryType.TORCH], DeviceChoice.GPU_OR_CPU)
    assert "torch sees no CUDA device: its steps run on the CPU" in caplog.text


def test_pyclesperanto_is_placed_on_an_opencl_device_of_the_sort_that_is_asked_for() -> None:
    need("pyclesperanto")
    library = ADAPTERS[MemoryType.PYCLESPERANTO].library()
    names = library.list_available_devices("cpu")
    if not names:
        pytest.skip("pocl-opencl-icd: no OpenCL device that is a CPU")
    with on_device(MemoryType.PYCLESPERANTO, DeviceChoice.CPU):
        assert convert_memory(IMAGE, "numpy", "pyclesperanto").device.name == names[0]
    adapter = ADAPTERS[MemoryType.PYCLESPERANTO]
    if adapter.gpu_count() == len(names):
        with (
            pytest.raises(MemoryConversionError, match="no OpenCL GPU"),
            on_device(MemoryType.PYCLESPERANTO, DeviceChoice.GPU),
        ):
            pass


# --- routes on devices --------------------------------------------------------------------------------------------


@pytest.fixture
def pair(fake: Any) -> Iterator[tuple[FakeAdapter, FakeAdapter]]:
    """Two libraries with arrays on GPUs, whose arrays are told apart by their class."""
    cupy = fake(MemoryType.CUPY, kinds=(DeviceKind.CUDA,))
    torch = fake(MemoryType.TORCH)

    class CupyArray(FakeArray):
        pass

    cupy.owns = lambda data: isinstance(data, CupyArray)
    torch.owns = lambda data: type(data) is FakeArray
    cupy.upload = lambda host, device: CupyArray(host.copy(), device)
    cupy.from_dlpack = lambda data: (cupy.note("from_dlpack"), CupyArray(data.values, data.place))[1]
    cupy.from_cuda_array = lambda data, device: (cupy.note("from_cuda_array"), CupyArray(data.values, data.place))[1]
    yield cupy, torch


def test_on_one_gpu_nothing_is_copied(pair: tuple[FakeAdapter, FakeAdapter]) -> None:
    cupy, torch = pair
    data = FakeArray(IMAGE, GPU1)
    with count_conversions() as counted:
        found = convert_memory(data, "torch", "cupy")
        back = convert_memory(found, "cupy", "torch")
    assert found.values is data.values and back.place == GPU1
    assert counted == {("torch", "cupy", "DLPack"): 1, ("cupy", "torch", "DLPack"): 1}
    assert not torch.seen("to_host") and not cupy.seen("to_host")


def test_the_cuda_array_interface_and_then_the_host_follow_where_dlpack_fails(
    pair: tuple[FakeAdapter, FakeAdapter],
) -> None:
    cupy, torch = pair
    broken = {"from_dlpack"}

    def fails(event: str) -> None:
        if event in broken:
            raise RuntimeError(f"{event} is broken")

    cupy.fails = fails
    data = FakeArray(IMAGE, GPU0)
    with count_conversions() as counted:
        convert_memory(data, "torch", "cupy")
        broken.add("from_cuda_array")
        found = convert_memory(data, "torch", "cupy")
    assert counted == {("torch", "cupy", "CUDA array interface"): 1, ("torch", "cupy", "host copy"): 1}
    np.testing.assert_array_equal(found.values, IMAGE)
    assert torch.seen("to_host") == [GPU0]


def test_an_exchange_on_a_gpu_is_made_with_that_gpu_current(pair: tuple[FakeAdapter, FakeAdapter]) -> None:
    cupy, torch = pair
    convert_memory(FakeArray(IMAGE, GPU1), "torch", "cupy")
    assert cupy.seen("enter") == torch.seen("enter") == [(GPU1, None)]


@pytest.mark.parametrize("end", ["source", "target"])
def test_tensorflow_which_exchanges_no_streams_is_waited_for(end: str, fake: Any) -> None:
    tensorflow, torch = fake(MemoryType.TENSORFLOW), fake(MemoryType.TORCH)

    class Tensor(FakeArray):
        pass

    torch.owns = lambda data: isinstance(data, Tensor)
    tensorflow.owns = lambda data: type(data) is FakeArray
    torch.from_dlpack = lambda data: Tensor(data.values, data.place)
    torch.copy = lambda data: data
    source, target = (tensorflow, torch) if end == "source" else (torch, tensorflow)
    data = (FakeArray if end == "source" else Tensor)(IMAGE, GPU0)
    waited: list[Any] = []
    source.wait = waited.append
    convert_memory(data, source.memory_type, target.memory_type)
    assert waited == [data]


def test_a_result_on_another_device_than_wanted_is_found_out(pair: tuple[FakeAdapter, FakeAdapter]) -> None:
    cupy, _ = pair
    cupy.from_dlpack = lambda data: convert_memory(data.values, "numpy", "cupy", 0)  # type: ignore[method-assign]
    with pytest.raises(MemoryConversionError, match="the result is on cuda:0; expected cuda:1"):
        convert_memory(FakeArray(IMAGE, GPU1), "torch", "cupy")


def test_bfloat16_moves_within_its_library() -> None:
    facts = ArrayFacts("bfloat16", 3, False, CPU)
    found = choose_route(MemoryType.TORCH, MemoryType.TORCH, facts, GPU0)
    assert (found.refusal, found.methods) == (None, ("device move",))
    assert choose_route(MemoryType.TORCH, MemoryType.JAX, facts, GPU0).refusal is not None


@pytest.mark.usefixtures("pair")
def test_from_one_gpu_to_another_it_goes_through_the_host() -> None:
    with count_conversions() as counted:
        found = convert_memory(FakeArray(IMAGE, GPU0), "torch", "cupy", 1)
    assert found.place == GPU1
    assert counted == {("torch", "cupy", "host copy"): 1}


def test_planes_on_one_gpu_are_stacked_there(torch: FakeAdapter) -> None:
    planes = [FakeArray(plane, GPU1) for plane in IMAGE]
    stack = stack_slices(planes, "torch")
    assert (stack.place, torch.seen("to_host")) == (GPU1, [])
    np.testing.assert_array_equal(stack.values, IMAGE)


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_function_runs_in_a_stream_that_its_thread_keeps(torch: FakeAdapter) -> None:
    function = decorators.torch(lambda image: image)
    with use_gpu(1):
        function(IMAGE)
        function(IMAGE)
    (stream,) = torch.seen("new_stream")
    assert torch.seen("enter") == torch.seen("leave") == [(GPU1, stream)] * 2
    order = [name for name, _ in torch.events if name in ("enter", "finish", "leave")]
    assert order == ["enter", "finish", "leave"] * 2
    assert torch.seen("finish") == [stream] * 2


def test_threads_have_streams_of_their_own(torch: FakeAdapter) -> None:
    function = decorators.torch(lambda image: image)

    def work() -> None:
        with use_gpu(0):
            function(IMAGE)

    for number in range(3):
        thread = threading.Thread(target=work, name=f"thread {number}")
        thread.start()
        thread.join()
    streams = torch.seen("new_stream")
    assert len(set(streams)) == 3
    assert [stream for _, stream in torch.seen("enter")] == streams


def test_in_host_memory_there_is_no_stream_and_nothing_to_wait_for(torch: FakeAdapter) -> None:
    decorators.torch(lambda image: image)(IMAGE)
    assert not torch.seen("new_stream") and not torch.seen("finish")


def test_the_stream_is_left_also_when_the_function_fails(torch: FakeAdapter) -> None:
    left: list[Any] = []

    class Scope:
        def __enter__(self) -> None:
            return None

        def __exit__(self, *error: Any) -> None:
            left.append(error[0])

    torch.scope = lambda device, stream: Scope()  # type: ignore[method-assign, assignment]

    def fails(image: Any) -> Any:
        raise KeyError

    with use_gpu(0), pytest.raises(KeyError):
        decorators.torch(fails)(IMAGE)
    assert left == [KeyError]


# --- cleanup ------------------------------------------------------------------------------------------------------


def test_cleanup_frees_the_caches_of_what_is_imported(fake: Any) -> None:
    torch, jax = fake(MemoryType.TORCH), fake(MemoryType.JAX)
    jax.loaded = lambda: None
    memory.cleanup_all_gpu_frameworks(device_id=1)
    memory.cleanup_pytorch_gpu()
    memory.cleanup_jax_gpu()
    assert torch.seen("free_caches") == [GPU1, None]
    assert jax.seen("free_caches") == []


@pytest.mark.parametrize(
    ("function", "memory_type"),
    [
        (memory.cleanup_pytorch_gpu, MemoryType.TORCH),
        (memory.cleanup_cupy_gpu, MemoryType.CUPY),
        (memory.cleanup_tensorflow_gpu, MemoryType.TENSORFLOW),
        (memory.cleanup_jax_gpu, MemoryType.JAX),
        (memory.cleanup_pyclesperanto_gpu, MemoryType.PYCLESPERANTO),
    ],
)
def test_each_library_has_a_cleanup_of_its_own(function: Any, memory_type: MemoryType, fake: Any) -> None:
    mine = fake(memory_type)
    other = fake(MemoryType.TORCH if memory_type != MemoryType.TORCH else MemoryType.JAX)
    function(0)
    memory.cleanup_gpu_memory_by_framework(str(memory_type))
    assert [None if place is None else place.number for place in mine.seen("free_caches")] == [0, None]
    assert not other.seen("free_caches")


def test_a_library_that_fails_to_free_is_logged_and_fails_nothing(fake: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fails(event: str) -> None:
        raise RuntimeError("the driver is gone")

    fake(MemoryType.TORCH).fails = fails
    memory.cleanup_all_gpu_frameworks()
    assert "torch: caches could not be freed: the driver is gone" in caplog.text


@pytest.mark.parametrize("name", ["torch", "jax", "tensorflow", "pyclesperanto", "cupy", "numpy"])
def test_cleanup_runs_with_the_real_libraries(name: str) -> None:
    if name != "cupy":
        need(name)
    memory.cleanup_gpu_memory_by_framework(name)
    memory.cleanup_gpu_memory_by_framework(name, 0)


def test_cleanup_of_an_unknown_library_is_an_error() -> None:
    with pytest.raises(ValueError, match="pytorch"):
        memory.cleanup_gpu_memory_by_framework("pytorch")


def test_a_function_on_another_opencl_device_makes_its_arrays_there() -> None:
    need("pyclesperanto")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import numpy as np\n"
            "from wellfield.memory import pyclesperanto, use_gpu\n"
            "import pyclesperanto as cle\n"
            "assert len(cle.list_available_devices()) == 2\n"
            "before = cle.get_device().index\n"
            "@pyclesperanto\n"
            "def double(image): return cle.multiply_images(image, cle.push(np.full(image.shape, 2, 'f4')))\n"
            "for number in (0, 1):\n"
            "    with use_gpu(number): print(double(np.ones((1, 2, 2), 'f4')).device.index, end=' ')\n"
            "print(cle.get_device().index == before)",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "POCL_DEVICES": "basic pthread"},
    )
    assert done.stdout.strip() == "0 1 True", done
