"""The decorator examples of the architecture document, as they are spelled there, with our import root.

Two of them do not run in their own library as they stand, whatever decorates them, and the tests say how: torch has no
median of uint16 (``compute_dtype`` promotes), and its ``conv3d`` wants a channel axis.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.libraries import assert_equal, need
from wellfield.memory.decorators import cupy, jax, memory_types, numpy, pyclesperanto, torch

IMAGE = np.random.default_rng(0).integers(0, 65536, (3, 16, 16), "u2")


@numpy
def process_cpu(image_stack: Any) -> Any:
    import numpy as np

    return np.median(image_stack, axis=0, keepdims=True)


@cupy
def process_gpu_cupy(image_stack: Any) -> Any:
    import cupy as cp

    return cp.median(image_stack, axis=0, keepdims=True)


@torch(oom_recovery=True)
def process_gpu_torch(image_stack: Any) -> Any:
    import torch

    return torch.median(image_stack, dim=0, keepdim=True)[0]


@jax
def process_jax(image_stack: Any) -> Any:
    import jax.numpy as jnp

    return jnp.median(image_stack, axis=0, keepdims=True)


@pyclesperanto(oom_recovery=True)
def process_gpu_opencl(image_stack: Any) -> Any:
    import pyclesperanto_prototype as cle

    return cle.median_sphere(image_stack, radius_x=1, radius_y=1, radius_z=0)


@memory_types(input_type="numpy", output_type="torch")
def neural_network_inference(image_stack: Any) -> Any:
    import torch

    model = torch.load("model.pt")
    return model(image_stack)


@torch(input_type="torch", output_type="torch", oom_recovery=True)
def memory_intensive_operation(image_stack: Any, kernel: Any) -> Any:
    import torch

    return torch.nn.functional.conv3d(image_stack, kernel)


class Doubler:
    """A model: takes a NumPy stack, gives a tensor."""

    def __call__(self, image: Any) -> Any:
        import torch

        return torch.from_numpy(image.astype("f4") * 2)


def test_numpy_and_jax_medians() -> None:
    need("jax")
    expected = np.median(IMAGE, axis=0, keepdims=True)
    assert_equal(process_cpu(IMAGE), expected)
    assert_equal(process_jax(IMAGE), expected.astype("f4"))


def test_torch_median_of_float32_and_with_compute_dtype_of_uint16() -> None:
    need("torch")
    expected = np.median(IMAGE, axis=0, keepdims=True).astype("f4")
    assert_equal(process_gpu_torch(IMAGE.astype("f4")), expected)
    with pytest.raises(RuntimeError, match="not implemented for 'UInt16'"):
        process_gpu_torch(IMAGE)
    promoted = torch(oom_recovery=True, compute_dtype="float32")(process_gpu_torch.__wrapped__)  # type: ignore[attr-defined]
    assert_equal(promoted(IMAGE), expected)


def test_inference_takes_numpy_and_gives_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("torch")
    import torch as library

    monkeypatch.chdir(tmp_path)
    library.save(Doubler(), "model.pt")
    with library.serialization.safe_globals([Doubler]):  # torch loads no class that it was not told to trust
        assert_equal(neural_network_inference(IMAGE), IMAGE.astype("f4") * 2)


def test_conv3d_wants_a_channel_axis_which_a_stack_has_not() -> None:
    need("torch")
    import torch as library

    kernel = np.ones((1, 1, 1, 1, 1), "f4")
    with pytest.raises(RuntimeError, match="conv3d"):
        memory_intensive_operation(IMAGE.astype("f4"), kernel)

    @torch(input_type="torch", output_type="torch", oom_recovery=True)
    def with_a_channel_axis(image_stack: Any, kernel: Any) -> Any:
        return library.nn.functional.conv3d(image_stack[None], kernel)[0]

    assert_equal(with_a_channel_axis(IMAGE.astype("f4"), kernel), IMAGE.astype("f4"))


@pytest.mark.gpu
def test_cupy_median() -> None:
    cupy_library = pytest.importorskip("cupy", reason="cupy: not installed")
    if not cupy_library.is_available():
        pytest.skip("GPU: no CUDA device")
    assert_equal(process_gpu_cupy(IMAGE), np.median(IMAGE, axis=0, keepdims=True))


def test_the_prototype_median_in_a_process_with_a_larger_stack() -> None:
    """``median_sphere`` of the prototype can overflow PoCL's 8 MB stack, which would end the tests."""
    need("pyclesperanto")
    pytest.importorskip("pyclesperanto_prototype", reason="pyclesperanto-prototype: not installed")
    done = subprocess.run(
        ["bash", "-c", f"ulimit -s 65536; exec {sys.executable} -m tests.unit.memory.test_reference_examples"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["pyclesperanto_prototype equal"]), done


if __name__ == "__main__":
    from scipy import ndimage

    from wellfield.memory import to_numpy

    found = process_gpu_opencl(IMAGE)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    expected = np.stack([ndimage.median_filter(plane, footprint=cross) for plane in IMAGE])
    same = np.array_equal(to_numpy(found)[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1])
    print(type(found).__module__.partition(".")[0], "equal" if same else "different")
