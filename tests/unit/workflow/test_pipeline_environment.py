"""Which environment the pipeline is compiled and run in."""

import pytest

from wellfield.config.load import load_config
from wellfield.workflow.environments import pipeline_environment


def environment(*steps, **settings):
    return pipeline_environment(load_config({"steps": list(steps), **settings}))


PROJECTED = {"func": "max_projection"}
OWN = {"func": "my/functions.py:spots"}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("settings", [{}, {"memory_type": "numpy"}])
def test_a_pipeline_that_runs_on_numpy_needs_no_other_library(device, settings):
    assert environment(PROJECTED, device=device, **settings) == "base"


@pytest.mark.parametrize(
    ("steps", "settings"),
    [
        ([PROJECTED], {"memory_type": "torch"}),
        ([PROJECTED, {"name": "b", "func": "gaussian_filter", "memory_type": "jax"}], {"memory_type": "numpy"}),
        ([PROJECTED, {"name": "b", "func": {1: ["tophat", "skimage.filters:gaussian"]}}], {}),
        ([OWN], {"memory_type": "numpy"}),
    ],
    ids=["all steps", "one step", "a function of a package", "a function of a file"],
)
def test_array_libraries_and_functions_that_may_use_them_need_the_libraries(steps, settings):
    assert environment(*steps, **settings) == "libraries"
    assert environment(*steps, **settings, device="gpu") == "gpu"


def test_tensorflow_has_an_environment_of_its_own_on_a_gpu():
    assert environment(PROJECTED, memory_type="tensorflow", device="gpu") == "gpu_tensorflow"
    others = [{"name": name, "func": "gaussian_filter", "memory_type": name} for name in ("jax", "cupy")]
    assert environment(PROJECTED, *others, memory_type="tensorflow", device="gpu") == "gpu_tensorflow"
    assert environment(PROJECTED, memory_type="tensorflow", device="cpu") == "libraries"


def test_with_pytorch_beside_tensorflow_the_environment_is_that_of_pytorch():
    steps = [{"name": name, "func": "gaussian_filter", "memory_type": name} for name in ("torch", "tensorflow")]
    assert environment(*steps, device="gpu") == "gpu"
