"""What only a CUDA device can show; skipped, with the reason, where there is none."""

from __future__ import annotations

import threading
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from tests.libraries import assert_equal, need
from wellfield import memory
from wellfield.errors import DeviceMemoryError
from wellfield.memory import MemoryType, convert_memory, count_conversions, decorators, explain_conversion, stack_slices
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.convert import device_of
from wellfield.memory.types import CPU, Device, DeviceKind

pytestmark = pytest.mark.gpu

GPU = Device(DeviceKind.CUDA, 0)
ON_CUDA = ("cupy", "torch", "tensorflow", "jax")
IMAGE = np.random.default_rng(0).integers(0, 65536, (3, 64, 64), "u2")


def need_cuda(*names: str) -> None:
    for name in names:
        need(*(() if name == "cupy" else (name,)))
        try:
            count = ADAPTERS[MemoryType(name)].gpu_count()
        except ImportError as error:
            pytest.skip(f"{name}: {error}")
        if not count:
            pytest.skip(f"GPU: {name} sees no CUDA device")


def on_gpu(name: str, image: Any = IMAGE) -> Any:
    need_cuda(name)
    return convert_memory(image, "numpy", name, 0)


@pytest.mark.parametrize("name", ON_CUDA)
def test_to_the_gpu_and_back(name: str) -> None:
    data = on_gpu(name)
    assert device_of(data) == GPU
    assert_equal(data, IMAGE)


@pytest.mark.parametrize(("source", "target"), list(permutations(ON_CUDA, 2)))
def test_between_libraries_on_one_gpu(source: str, target: str) -> None:
    data = on_gpu(source)
    need_cuda(target)
    with count_conversions() as counted:
        found = convert_memory(data, source, target)
    assert device_of(found) == GPU
    assert counted == {(source, target, "DLPack"): 1}, explain_conversion(data, source, target)
    assert_equal(found, IMAGE)


@pytest.mark.parametrize(("source", "target"), [("jax", "torch"), ("tensorflow", "torch"), ("jax", "cupy")])
def test_immutable_arrays_are_not_written_through_mutable_ones(source: str, target: str) -> None:
    data = on_gpu(source)
    need_cuda(target)
    found = convert_memory(data, source, target)
    found[...] = 0
    assert_equal(data, IMAGE)


def test_torch_and_cupy_share_the_memory_of_the_gpu() -> None:
    data = on_gpu("torch")
    need_cuda("cupy")
    found = convert_memory(data, "torch", "cupy")
    assert found.data.ptr == data.data_ptr()
    shared = ADAPTERS[MemoryType.CUPY].from_cuda_array(data, GPU)
    assert shared.data.ptr == data.data_ptr()
    assert ADAPTERS[MemoryType.TORCH].from_cuda_array(found, GPU).data_ptr() == data.data_ptr()


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_planes_are_stacked_on_the_gpu(name: str) -> None:
    planes = list(on_gpu(name))
    with count_conversions() as counted:
        stack = stack_slices(planes, name)
    assert not counted
    assert_equal(stack, IMAGE)


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_every_thread_has_a_stream_of_its_own(name: str) -> None:
    need_cuda(name)
    seen: dict[str, int] = {}

    def stream_of_now() -> int:
        library = ADAPTERS[MemoryType(name)].library()
        return int(
            library.cuda.current_stream().cuda_stream if name == "torch" else library.cuda.get_current_stream().ptr
        )

    @getattr(decorators, name)
    def look(image: Any) -> Any:
        seen.setdefault(threading.current_thread().name, stream_of_now())
        return image + image.astype("int32") if name == "cupy" else image.int() * 2

    def work() -> None:
        with memory.use_gpu(0):
            for _ in range(3):
                assert_equal(look(IMAGE), IMAGE.astype("i4") * 2)

    threads = [threading.Thread(target=work, name=str(number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen.values())) == 4
    assert 0 not in seen.values()


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_a_real_lack_of_memory_ends_in_smaller_pieces_or_in_the_error(name: str) -> None:
    need_cuda(name)
    library = ADAPTERS[MemoryType(name)].library()
    free, _ = library.cuda.mem_get_info() if name == "torch" else library.cuda.runtime.memGetInfo()
    planes: list[int] = []

    @getattr(decorators, name)(slice_wise=True)
    def greedy(image: Any) -> Any:
        planes.append(len(image))
        scratch = library.empty((len(image), int(free * 0.4)), dtype=library.uint8)
        del scratch
        return image

    with memory.use_gpu(0):
        assert_equal(greedy(IMAGE), IMAGE)
    assert max(planes[-2:]) < 3

    @getattr(decorators, name)(slice_wise=True)
    def hopeless(image: Any) -> Any:
        return library.empty((len(image), free * 2), dtype=library.uint8)

    with memory.use_gpu(0), pytest.raises(DeviceMemoryError, match="hopeless: no memory left on cuda:0"):
        hopeless(IMAGE)


@pytest.mark.parametrize("name", ["torch", "cupy"])
def test_cleanup_gives_the_memory_back(name: str) -> None:
    data = on_gpu(name, np.zeros((64, 1024, 1024), "u2"))
    library = ADAPTERS[MemoryType(name)].library()

    def held() -> int:
        pool = library.get_default_memory_pool() if name == "cupy" else None
        return int(pool.total_bytes() if pool else library.cuda.memory_reserved())

    before = held()
    del data
    memory.cleanup_all_gpu_frameworks(0)
    assert held() <= before - 2 * 64 * 1024 * 1024


def test_what_is_on_no_gpu_stays_in_host_memory() -> None:
    need_cuda("torch", "jax")
    for name in ("torch", "jax"):
        assert device_of(convert_memory(IMAGE, "numpy", name)) == CPU


@pytest.mark.parametrize("name", ON_CUDA)
def test_new_arrays_inside_a_function_are_on_its_gpu(name: str) -> None:
    need_cuda(name)
    places: list[Device] = []

    @getattr(decorators, name)
    def make(image: Any) -> Any:
        library = ADAPTERS[MemoryType(name)].library()
        made = library.numpy.zeros(3) if name == "jax" else library.zeros(3)
        places.append(device_of(made))
        return image

    with memory.use_gpu(0):
        make(IMAGE)
    assert places == [GPU]


def test_a_function_on_the_cpu_stays_there_although_there_is_a_gpu() -> None:
    need_cuda("tensorflow")
    found = decorators.tensorflow(compute_dtype="float32")(lambda image: image)(IMAGE)
    assert device_of(found) == CPU


@pytest.mark.parametrize("target", ["tensorflow", "cupy", "jax"])
def test_work_that_is_still_under_way_is_waited_for(target: str) -> None:
    need_cuda("torch", target)
    import torch

    for _ in range(20):
        big = torch.ones((1, 4096, 4096), device="cuda")
        late = (big @ big)[:, :64, :64].contiguous()
        assert_equal(convert_memory(late, "torch", target), np.full((1, 64, 64), 4096, "f4"))


def test_bfloat16_moves_to_the_gpu() -> None:
    need_cuda("torch")
    import torch

    found = convert_memory(torch.ones((1, 2, 2), dtype=torch.bfloat16), "torch", "torch", 0)
    assert (device_of(found), found.dtype) == (GPU, torch.bfloat16)
