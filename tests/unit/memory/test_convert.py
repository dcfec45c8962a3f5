"""Conversions between libraries: what is shared, what is protected, what is refused, and how it is said."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.libraries import ON_CPU, address_of, as_type, assert_equal, need
from wellfield.memory import (
    DeviceMemoryError,
    MemoryConversionError,
    MemoryType,
    Method,
    convert_memory,
    count_conversions,
    detect_memory_type,
    explain_conversion,
    prepare,
    to_numpy,
)
from wellfield.memory.adapters import ADAPTERS
from wellfield.memory.buffers import ALIGNMENT, address, aligned_copy, aligned_empty
from wellfield.memory.rules import LIBRARIES

HOST = tuple(name for name in ON_CPU if name != MemoryType.PYCLESPERANTO)
PAIRS = list(permutations(ON_CPU, 2))
# Pairs that share memory when the source is compact and aligned, and nothing has to be protected.
SHARED = [
    (source, target)
    for source, target in permutations(HOST, 2)
    if LIBRARIES[target].immutable or target == MemoryType.NUMPY or not LIBRARIES[source].immutable
]


def in_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


# --- values -------------------------------------------------------------------------------------------------------

DTYPES = [
    np.dtype(name)
    for name in (
        "bool",
        "u1",
        "i1",
        "u2",
        "i2",
        ">u2",
        ">i4",
        "u4",
        "i4",
        "u8",
        "i8",
        "f2",
        "f4",
        ">f4",
        "f8",
        "c8",
        "c16",
    )
]


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """Arrays of every dtype, small, of up to four dimensions, in many layouts."""
    array = draw(
        hnp.arrays(draw(st.sampled_from(DTYPES)), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    )
    layout = draw(st.sampled_from(["as it is", "backwards", "every second", "transposed", "read-only", "aligned"]))
    if layout == "backwards" and array.ndim:
        array = array[..., ::-1]
    elif layout == "every second" and array.ndim:
        array = array[..., ::2]
    elif layout == "transposed":
        array = array.T
    elif layout == "read-only":
        array.flags.writeable = False
    elif layout == "aligned":
        array = aligned_copy(array)
    return array


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(array=arrays(), chain=st.lists(st.sampled_from(ON_CPU), min_size=1, max_size=5))
def test_a_chain_of_conversions_gives_equal_bytes_back_or_a_declared_error(array: Any, chain: list[MemoryType]) -> None:
    need(*ON_CPU)
    data: Any = array
    held = [data]
    before = array.tobytes()
    for target in chain:
        source = detect_memory_type(data)
        if explain_conversion(data, source, target).refusal:
            with pytest.raises(MemoryConversionError):
                convert_memory(data, source, target)
            return
        data = convert_memory(data, source, target)
        assert detect_memory_type(data) == target
        held.append(data)
    found = to_numpy(data)
    back = found.astype(found.dtype.newbyteorder("="))  # NumPy to NumPy keeps the byte order
    expected = array.astype(array.dtype.newbyteorder("="))
    assert back.shape == array.shape
    assert back.dtype == expected.dtype or (expected.dtype == bool and back.dtype == np.uint8)
    assert back.tobytes() == expected.tobytes()
    assert array.tobytes() == before


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_labels_at_the_limits_of_their_dtype_survive(source: str, target: str) -> None:
    need(target)
    labels = np.array([[[0, 2**24 + 1, 2**31 - 1, 2**32 - 1]]], np.uint32)
    assert_equal(convert_memory(as_type(labels, source), source, target), labels)


@pytest.mark.parametrize("target", [name for name in ON_CPU if name != MemoryType.NUMPY])
def test_big_endian_pixels_arrive_in_this_machines_order_with_equal_values(target: str) -> None:
    need(target)
    image = np.array([[[1, 256, 65535]]], ">u2")
    assert_equal(convert_memory(image, "numpy", target), image.astype("=u2"))
    assert image.dtype == ">u2"


def test_numpy_keeps_an_array_of_any_byte_order_as_it_is() -> None:
    image = np.zeros((1, 2, 2), ">u2")
    assert convert_memory(image, "numpy", "numpy") is image


def test_a_mask_becomes_bytes_of_0_and_1_in_opencl() -> None:
    need("pyclesperanto")
    mask = np.array([[[True, False, True]]])
    found = convert_memory(mask, "numpy", "pyclesperanto")
    assert explain_conversion(mask, "numpy", "pyclesperanto").target_dtype == "uint8"
    assert_equal(found, mask.astype(np.uint8))


def test_jax_takes_64_bits_where_it_keeps_them() -> None:
    need("jax")
    import jax

    values = np.array([[[2**40 + 1]]])
    with pytest.raises(MemoryConversionError, match="does not hold int64 unchanged"):
        convert_memory(values, "numpy", "jax")
    jax.config.update("jax_enable_x64", True)
    try:
        assert_equal(convert_memory(values, "numpy", "jax"), values)
    finally:
        jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("source", ["torch", "jax", "tensorflow"])
def test_bfloat16_goes_between_the_libraries_that_have_it_and_nowhere_else(source: str) -> None:
    data = ADAPTERS[MemoryType(source)].cast(as_type(np.array([[[1.5, -2.0]]], "f4"), source), "bfloat16")
    for target in ("torch", "jax", "tensorflow"):
        need(target)
        found = convert_memory(data, source, target)
        assert_equal(ADAPTERS[MemoryType(target)].cast(found, "float32"), np.array([[[1.5, -2.0]]], "f4"))
    for target in ("numpy", "pyclesperanto"):
        need(target)
        with pytest.raises(MemoryConversionError, match="bfloat16"):
            convert_memory(data, source, target)


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_mb", [1, 100])
@pytest.mark.parametrize(("source", "target"), SHARED)
def test_compact_aligned_arrays_are_shared_at_any_size(source: str, target: str, size_mb: int) -> None:
    need(source, target)
    image = aligned_empty((size_mb, 500, 1000), np.uint16)
    image[:, 0, :3] = (1, 2, 65535)
    data = convert_memory(image, "numpy", source)
    with count_conversions() as counted:
        found = convert_memory(data, source, target)
    assert address_of(found) == address_of(data) == address(image)
    assert sum(counted.values()) == 1
    assert explain_conversion(data, source, target).copies == 0


@pytest.mark.parametrize("target", ["jax", "tensorflow"])
@pytest.mark.parametrize("source", ["numpy", "torch"])
def test_a_buffer_that_they_cannot_share_is_copied_into_one_that_they_can(source: str, target: str) -> None:
    """TensorFlow aborts the process on such a buffer as soon as it computes with it."""
    need(source, target)
    block = aligned_empty((25,), np.uint16)
    image = block[1:].reshape(2, 3, 4)
    image[...] = np.arange(24).reshape(2, 3, 4)
    data = convert_memory(image, "numpy", source)
    found = convert_memory(data, source, target)
    assert address_of(found) % ALIGNMENT == 0
    assert_equal(found, image)
    assert "64 bytes" in str(explain_conversion(data, source, target))


@pytest.mark.parametrize("source", ["jax", "tensorflow"])
def test_an_immutable_source_is_not_written_through_torch(source: str) -> None:
    need("torch")
    data = as_type(np.arange(24, dtype=np.uint16).reshape(2, 3, 4), source)
    tensor = convert_memory(data, source, "torch")
    tensor.zero_()
    assert_equal(data, np.arange(24, dtype=np.uint16).reshape(2, 3, 4))


@pytest.mark.parametrize("source", ["jax", "tensorflow"])
def test_an_immutable_source_is_a_read_only_numpy_array(source: str) -> None:
    found = to_numpy(as_type(np.arange(24, dtype=np.uint16).reshape(2, 3, 4), source))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize("writable_base", [True, False])
def test_a_read_only_array_is_not_written_through_torch(writable_base: bool, tmp_path: Any) -> None:
    need("torch")
    image: Any = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    if not writable_base:
        np.save(tmp_path / "image.npy", image)
        image = np.load(tmp_path / "image.npy", mmap_mode="r")
    view = image.view()
    view.flags.writeable = False
    convert_memory(view, "numpy", "torch").zero_()
    assert image.ravel().tolist() == list(range(24))


@pytest.mark.parametrize("target", ["jax", "tensorflow"])
def test_a_read_only_array_is_shared_with_a_library_that_cannot_write_it(target: str) -> None:
    need(target)
    image = aligned_copy(np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    image.flags.writeable = False
    found = convert_memory(image, "numpy", target)
    assert address_of(found) == address(image)
    assert not image.flags.writeable


def test_the_result_keeps_the_memory_of_its_source_alive() -> None:
    need("torch", "jax", "tensorflow")
    expected = np.arange(2**16, dtype=np.uint16).reshape(1, 256, 256)
    results = []
    for target in ("torch", "jax", "tensorflow"):
        source = aligned_copy(expected)
        source.flags.writeable = target == "torch"
        results.append(convert_memory(source, "numpy", target))
        del source
    rubbish = [aligned_empty((1, 256, 256), np.uint16) for _ in range(20)]
    for array in rubbish:
        array[...] = 7
    for result in results:
        assert_equal(result, expected)


def test_torch_gradients_are_left_behind_and_lazy_conjugates_are_computed() -> None:
    need("torch", "jax")
    import torch

    assert_equal(to_numpy(torch.ones((1, 2, 2), requires_grad=True)), np.ones((1, 2, 2), "f4"))
    assert_equal(convert_memory(torch.ones((1, 2, 2), requires_grad=True), "torch", "jax"), np.ones((1, 2, 2), "f4"))
    lazy = torch.tensor([[[1 + 2j]]], dtype=torch.complex64).conj()
    assert_equal(to_numpy(lazy), np.array([[[1 - 2j]]], "c8"))
    assert_equal(convert_memory(lazy, "torch", "jax"), np.array([[[1 - 2j]]], "c8"))


# --- errors -------------------------------------------------------------------------------------------------------


def refused(data: Any, source: str, target: str, gpu_id: int | None = None) -> MemoryConversionError:
    with pytest.raises(MemoryConversionError) as caught:
        convert_memory(data, source, target, gpu_id)
    error = caught.value
    assert (error.source_type, error.target_type) == (source, target)
    assert error.method and error.reason
    return error


@pytest.mark.parametrize("target", ["torch", "jax", "tensorflow", "pyclesperanto"])
@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.array(["a"]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "u1,f4"),
        np.ma.masked_array([1, 2], [0, 1]),
        np.zeros(2, np.longdouble),
    ],
    ids=["object", "text", "dates", "records", "masked", "long double"],
)
def test_what_has_no_counterpart_is_refused_by_name(array: Any, target: str) -> None:
    need(target)
    assert "does not hold" in refused(array, "numpy", target).reason


def test_sparse_tensors_tracers_and_symbols_are_refused() -> None:
    need("torch", "jax", "tensorflow")
    import jax
    import tensorflow as tf
    import torch

    assert "layout" in refused(torch.eye(2).to_sparse(), "torch", "numpy").reason
    with pytest.raises(MemoryConversionError, match="tracing"):
        jax.jit(lambda x: convert_memory(x, "jax", "numpy"))(jax.numpy.ones(2))
    with pytest.raises(MemoryConversionError, match=r"tf\.function"):
        tf.function(lambda x: convert_memory(x, "tensorflow", "numpy"), autograph=False)(tf.ones(2))


@pytest.mark.parametrize("target", ["torch", "jax", "tensorflow", "cupy"])
def test_a_gpu_that_is_not_there_is_an_error_that_says_how_many_are(target: str) -> None:
    need(target) if target != "cupy" else None
    error = refused(np.zeros((1, 2, 2), np.uint16), "numpy", target, 99)
    assert error.method in ("device", "import")
    assert "gpu_id 99" in error.reason or "cupy" in error.reason


def test_an_opencl_device_is_named_by_its_number() -> None:
    need("pyclesperanto")
    image = np.zeros((1, 2, 2), np.uint16)
    assert_equal(convert_memory(image, "numpy", "pyclesperanto", 0), image)
    assert "gpu_id 99: pyclesperanto sees" in refused(image, "numpy", "pyclesperanto", 99).reason
    assert "gpu_id -1" in refused(image, "numpy", "pyclesperanto", -1).reason


def test_numpy_ignores_the_gpu() -> None:
    need("torch")
    assert_equal(convert_memory(as_type(np.ones((1, 2, 2)), "torch"), "torch", "numpy", 99), np.ones((1, 2, 2)))


@pytest.mark.parametrize("name", ["torch", "jax", "cupy", "pyclesperanto"])
def test_a_missing_library_is_an_error_that_says_how_to_install_it(name: str) -> None:
    done = in_new_process(
        "import sys, numpy as np\n"
        f"sys.modules[{name!r}] = sys.modules['pyclesperanto_prototype'] = None\n"
        "from wellfield.memory import convert_memory, MemoryConversionError\n"
        f"try: convert_memory(np.zeros((1, 2, 2)), 'numpy', {name!r})\n"
        "except MemoryConversionError as error: print(error.method, error.reason)"
    )
    assert done.stdout.startswith("import ") and f"pip install 'wellfield[{name}]'" in done.stdout, done


def test_without_an_opencl_device_pyclesperanto_is_an_error_that_says_so() -> None:
    need("pyclesperanto")
    done = in_new_process(
        "import numpy as np\n"
        "from wellfield.memory import convert_memory, MemoryConversionError\n"
        "try: convert_memory(np.zeros((1, 2, 2), 'f4'), 'numpy', 'pyclesperanto')\n"
        "except MemoryConversionError as error: print(error.method, error.reason)",
        OCL_ICD_VENDORS="/nonexistent",
    )
    assert "no OpenCL" in done.stdout and "pocl-opencl-icd" in done.stdout, done


def test_tensorflow_before_opencl_is_an_error_and_not_a_crash() -> None:
    need("pyclesperanto", "tensorflow")
    done = in_new_process(
        "import warnings; warnings.simplefilter('ignore')\n"
        "import tensorflow, numpy as np\n"
        "from wellfield.memory import convert_memory, MemoryConversionError\n"
        "try: convert_memory(np.zeros((1, 2, 2), 'f4'), 'numpy', 'pyclesperanto')\n"
        "except MemoryConversionError as error: print(error.reason)"
    )
    assert "TensorFlow was imported before" in done.stdout, done


def test_prepare_opens_opencl_before_tensorflow_in_whatever_order_they_are_named() -> None:
    need("pyclesperanto", "tensorflow")
    done = in_new_process(
        "import warnings; warnings.simplefilter('ignore')\n"
        "import numpy as np\n"
        "from wellfield.memory import convert_memory, prepare, to_numpy\n"
        "prepare(['tensorflow', 'numpy', 'pyclesperanto'])\n"
        "image = convert_memory(np.full((1, 2, 2), 7, 'f4'), 'numpy', 'tensorflow')\n"
        "print(to_numpy(convert_memory(image, 'tensorflow', 'pyclesperanto')).sum())"
    )
    assert done.stdout.strip() == "28.0", done


# --- routes -------------------------------------------------------------------------------------------------------


def test_a_route_that_fails_is_followed_by_the_host_copy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    need("jax", "tensorflow")
    data = as_type(np.arange(4, dtype=np.uint16).reshape(1, 2, 2), "jax")

    def broken(_: Any) -> Any:
        raise RuntimeError("no DLPack today")

    monkeypatch.setattr(ADAPTERS[MemoryType.TENSORFLOW], "from_dlpack", broken)
    with count_conversions() as counted, caplog.at_level("INFO"):
        found = convert_memory(data, "jax", "tensorflow")
    assert_equal(found, to_numpy(data))
    assert counted[MemoryType.JAX, MemoryType.TENSORFLOW, Method.HOST_COPY] == 1
    assert "jax → tensorflow via DLPack failed: no DLPack today" in caplog.text


def test_when_every_route_fails_the_error_tells_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    need("jax", "tensorflow")
    data = as_type(np.zeros((1, 2, 2), np.uint16), "jax")
    adapter = ADAPTERS[MemoryType.TENSORFLOW]

    def broken(_: Any) -> Any:
        raise RuntimeError("broken today")

    monkeypatch.setattr(adapter, "from_dlpack", broken)
    monkeypatch.setattr(adapter, "share", broken)
    error = refused(data, "jax", "tensorflow")
    assert error.method == "host copy"
    assert "DLPack: RuntimeError: broken today" in error.reason and "host copy: RuntimeError" in error.reason


def test_a_library_that_changes_the_dtype_on_the_way_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")
    import torch

    monkeypatch.setattr(ADAPTERS[MemoryType.TORCH], "share", lambda buffer: torch.from_numpy(buffer).to(torch.int32))
    with pytest.raises(MemoryConversionError, match="uint16 became a Tensor"):
        convert_memory(np.zeros((1, 2, 2), np.uint16), "numpy", "torch")


def test_conversions_are_counted_by_route() -> None:
    need("torch")
    with count_conversions() as counted:
        tensor = convert_memory(np.zeros((1, 2, 2)), "numpy", "torch")
        convert_memory(tensor, "torch", "torch")
        to_numpy(tensor)
    assert counted == {("numpy", "torch", "same buffer"): 1, ("torch", "numpy", "same buffer"): 1}


def test_explaining_converts_nothing() -> None:
    need("torch")
    with count_conversions() as counted:
        text = str(explain_conversion(np.zeros((1, 2, 2), ">u2"), "numpy", "torch"))
    assert not counted
    assert text.startswith("numpy uint16 → torch by host copy (copied: its bytes are not in this machine's order")


# --- imports and threads ------------------------------------------------------------------------------------------

HEAVY = (
    "{'torch', 'jax', 'tensorflow', 'cupy', 'pyclesperanto', 'pyclesperanto_prototype', 'scipy', 'skimage', 'pandas'}"
)


def test_importing_the_package_imports_no_array_library() -> None:
    done = in_new_process(f"import wellfield.memory, sys; print(sorted({HEAVY} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done


def test_a_numpy_pipeline_imports_no_array_library() -> None:
    done = in_new_process(
        "import numpy as np, sys\n"
        "from wellfield.pipeline import FunctionStep, run_pipeline\n"
        "steps = [FunctionStep('max_projection'), FunctionStep('gaussian_filter'), FunctionStep('threshold_otsu'),"
        " FunctionStep('label'), FunctionStep('count_cells', input='max_projection', inputs={'labels': 'label'},"
        " stack='channel')]\n"
        "run_pipeline(steps, np.zeros((2, 64, 64), np.uint16))\n"
        f"print(sorted(({HEAVY} - {{'scipy', 'skimage'}}) & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done


def test_detecting_and_cleaning_up_import_nothing() -> None:
    done = in_new_process(
        "import numpy as np, sys\n"
        "from wellfield.memory import detect_memory_type, cleanup_all_gpu_frameworks\n"
        "detect_memory_type(np.zeros(2)); cleanup_all_gpu_frameworks()\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done


def test_threads_convert_at_the_same_time() -> None:
    need(*ON_CPU)
    image = np.arange(2 * 64 * 64, dtype=np.uint16).reshape(2, 64, 64)
    failures: list[str] = []

    def work(number: int) -> None:
        for source, target in PAIRS:
            expected = image + number
            found = to_numpy(convert_memory(convert_memory(expected, "numpy", source), source, target))
            if not np.array_equal(found, expected):
                failures.append(f"{source} → {target}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    with count_conversions() as counted:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert counted[MemoryType.TORCH, MemoryType.NUMPY, Method.SAME_BUFFER] >= 4


def test_prepare_names_what_is_missing() -> None:
    pytest.importorskip("cupy", reason="cupy: not installed")
    adapter = ADAPTERS[MemoryType.CUPY]
    if adapter.library().cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(MemoryConversionError, match="cupy sees no CUDA device"):
        prepare(["cupy"])


@pytest.mark.parametrize("library", [name for name in ON_CPU if name != MemoryType.NUMPY])
def test_the_first_conversions_of_a_process_may_come_from_many_threads(library: str) -> None:
    need(library)
    done = in_new_process(
        "import warnings; warnings.simplefilter('ignore')\n"
        "import threading, numpy as np\n"
        "from wellfield.memory import convert_memory, to_numpy\n"
        "image, start, failures = np.arange(24, dtype='u2').reshape(2, 3, 4), threading.Barrier(4), []\n"
        "def work():\n"
        "    start.wait()\n"
        "    try:\n"
        f"        assert (to_numpy(convert_memory(image, 'numpy', '{library}')) == image).all()\n"
        "    except BaseException as error: failures.append(repr(error))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(failures)"
    )
    assert done.stdout.strip() == "[]", done


def test_a_negated_tensor_is_computed_wherever_it_goes() -> None:
    need("torch", "pyclesperanto")
    import torch

    negated = torch.tensor([[[1 + 2j, 3 - 4j]]]).conj().imag
    assert negated.is_neg()
    for target in ("numpy", "jax", "pyclesperanto"):
        need(target)
        assert_equal(convert_memory(negated, "torch", target), np.array([[[-2, 4]]], "f4"))


class Full(MemoryError):
    """What a library says whose device is full."""


def test_a_conversion_without_memory_is_tried_again_and_then_an_error(
    fake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = fake(MemoryType.TORCH)
    image = np.ones((1, 2, 2), "u2")
    full = [True]

    def fails(event: str) -> None:
        if event == "free_caches":
            full.pop()
            raise RuntimeError("the driver is gone")
        if event == "upload" and full:
            raise Full

    adapter.fails = fails
    assert convert_memory(image, "numpy", "torch", 0).place.number == 0
    assert "torch has no memory left on cuda:0; freeing its caches" in caplog.text
    full[:] = [True, True]
    with pytest.raises(DeviceMemoryError, match=r"conversion numpy → torch: no memory left on cuda:0") as caught:
        convert_memory(image, "numpy", "torch", 0)
    assert caught.value.shape == (1, 2, 2)
    assert isinstance(caught.value.__cause__, Full)


def test_another_error_after_a_lack_of_memory_is_not_one_of_memory(fake: Any) -> None:
    adapter = fake(MemoryType.TORCH)
    calls: list[str] = []

    def fails(event: str) -> None:
        if event == "upload":
            calls.append(event)
            raise Full if len(calls) == 1 else TypeError("a mistake")

    adapter.fails = fails
    with pytest.raises(MemoryConversionError, match="TypeError: a mistake"):
        convert_memory(np.ones((1, 2, 2), "u2"), "numpy", "torch", 0)


def test_an_unknown_memory_type_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(ValueError, match="'nunpy' is not a MemoryType; expected one of numpy, cupy, torch, tensorflow"):
        convert_memory(np.ones(2), "numpy", "nunpy")
