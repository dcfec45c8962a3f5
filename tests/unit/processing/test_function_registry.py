from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from wellfield.errors import UnknownFunctionError
from wellfield.memory import MemoryType, jax, numpy, torch
from wellfield.processing import function_registry
from wellfield.processing.function_registry import (
    function_names,
    get_function,
    get_implementation,
    implementations,
    implements,
    register,
)

IMPLEMENTED = [(name, memory_type) for name in function_registry._MODULES for memory_type in implementations(name)]


@pytest.fixture
def own_entries(monkeypatch):
    """Let a test register functions that the next one does not see."""
    for name, memory_type in IMPLEMENTED:  # what is imported during the test would be forgotten after it
        get_implementation(name, memory_type)
    for table in ("_REGISTERED", "_IMPLEMENTED"):
        monkeypatch.setattr(function_registry, table, dict(getattr(function_registry, table)))


def test_the_table_is_what_the_modules_enter():
    table = {}
    for memory_type, (module, names) in function_registry._IMPLEMENTATIONS.items():
        importlib.import_module(module)
        table |= {(name, memory_type): module for name in names}
    assert {key: function.__module__ for key, function in function_registry._IMPLEMENTED.items()} == table


def test_numpy_comes_first_and_is_the_registered_function():
    for name in function_registry._MODULES:
        assert implementations(name)[0] == MemoryType.NUMPY
        assert get_implementation(name, "numpy") is get_function(name).function


def test_smoothing_projection_and_threshold_exist_for_every_library():
    for name in ("gaussian_filter", "max_projection", "threshold_otsu"):
        assert set(implementations(name)) == set(MemoryType)
    for name in ("median_filter", "tophat", "label"):
        assert implementations(name) == (MemoryType.NUMPY, MemoryType.CUPY, MemoryType.PYCLESPERANTO)
    for name in ("split_touching", "count_cells"):
        assert implementations(name) == (MemoryType.NUMPY,)


@pytest.mark.parametrize(("name", "memory_type"), IMPLEMENTED)
def test_an_implementation_has_the_parameters_of_the_reference(name, memory_type):
    def parameters(function):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    function = get_implementation(name, memory_type)
    assert parameters(function) == parameters(get_function(name).function)
    assert function.input_memory_type == function.output_memory_type == memory_type
    assert function.__name__ == name


def test_a_missing_implementation_names_those_that_there_are():
    with pytest.raises(UnknownFunctionError, match="label has no implementation for torch; it has one for numpy, cupy"):
        get_implementation("label", MemoryType.TORCH)


def test_an_unknown_name_suggests_the_nearest():
    for look_up in (implementations, lambda name: get_implementation(name, "torch")):
        with pytest.raises(UnknownFunctionError, match="did you mean 'gaussian_filter'"):
            look_up("gausian_filter")


def test_a_function_of_others_has_its_own_memory_type_alone(own_entries):
    @register()
    @torch
    def sharpen(image): ...

    assert implementations("sharpen") == (MemoryType.TORCH,)
    assert get_implementation("sharpen", "torch") is sharpen
    with pytest.raises(UnknownFunctionError, match="sharpen has no implementation for numpy; it has one for torch"):
        get_implementation("sharpen", "numpy")


def test_others_may_implement_their_functions_for_more_libraries(own_entries):
    @register()
    @numpy
    def sharpen(image): ...

    reference = sharpen

    @implements("sharpen")
    @jax
    def sharpen(image): ...

    assert implementations("sharpen") == (MemoryType.NUMPY, MemoryType.JAX)
    assert get_implementation("sharpen", "jax") is sharpen
    assert get_implementation("sharpen", "numpy") is get_function("sharpen").function is reference


def test_two_implementations_for_one_library_are_refused(own_entries):
    with pytest.raises(UnknownFunctionError, match="two torch functions implement 'gaussian_filter'"):

        @implements("gaussian_filter")
        @torch
        def other(image): ...


def test_names_are_those_of_the_reference_functions():
    assert set(function_registry._MODULES) <= set(function_names())


def test_implementations_are_listed_and_imported_without_their_libraries():
    code = (
        "import sys\nfrom wellfield.processing import function_registry\n"
        "for name in function_registry.function_names(): function_registry.implementations(name)\n"
        "listed = {module for module in sys.modules if module.endswith('_functions')}\n"
        "for name in function_registry.function_names():\n"
        "    for memory_type in function_registry.implementations(name):\n"
        "        function_registry.get_implementation(name, memory_type)\n"
        "heavy = {'torch', 'jax', 'tensorflow', 'cupy', 'pyclesperanto', 'scipy', 'skimage'}\n"
        "print(*sorted(listed | heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_only_the_module_that_is_asked_for_is_imported():
    code = (
        "import sys\nfrom wellfield.processing.function_registry import get_implementation\n"
        "get_implementation('gaussian_filter', 'torch')\n"
        "print(*sorted(module for module in sys.modules if module.endswith('_functions')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "wellfield.processing.torch_functions"
