"""What a decorated function is given and what it may return."""

from __future__ import annotations

import functools
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.libraries import ON_CPU, as_type, assert_equal, need
from wellfield.errors import ArrayShapeError, MemoryConversionError, MemoryTypeError
from wellfield.memory import MemoryType, decorators, detect_memory_type, memory_types, to_numpy
from wellfield.memory import numpy as numpy_function
from wellfield.memory.adapters import ADAPTERS

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
    with pytest.raises(ValueError, match="'nunpy' is not a MemoryType; expected one of numpy, cupy, torch"):
        memory_types(input_type="nunpy", output_type="numpy")


def test_an_input_that_is_no_array_is_an_error_naming_function_and_type() -> None:
    for value in ([[1]], None):
        with pytest.raises(MemoryTypeError, match="input of double"):
            double(value)


# --- every library ------------------------------------------------------------------------------------------------

DECORATORS = {name: getattr(decorators, name) for name in ON_CPU}


@pytest.mark.parametrize("given", ON_CPU)
@pytest.mark.parametrize("wanted", ON_CPU)
def test_a_function_gets_its_own_library_whatever_it_is_given(given: str, wanted: str) -> None:
    need(wanted)
    image, labels = np.arange(24, dtype="u2").reshape(2, 3, 4), np.ones((2, 3, 4), "i4")

    @DECORATORS[wanted]
    def look(image: Any, option: str, *, labels: Any) -> Any:
        assert option == "untouched"
        assert detect_memory_type(image) == detect_memory_type(labels) == wanted
        return image, labels

    main, side = look(as_type(image, given), "untouched", labels=as_type(labels, given))
    assert_equal(main, image)
    assert_equal(side, labels)


@pytest.mark.parametrize("wanted", ON_CPU)
def test_decorators_work_with_and_without_arguments_and_keep_the_function(wanted: str) -> None:
    need(wanted)

    def same(image: Any, factor: float = 2.0) -> Any:
        """Docs."""
        return image

    image = as_type(np.ones((1, 2, 2), "f4"), wanted)
    for function in (DECORATORS[wanted](same), DECORATORS[wanted](oom_recovery=False)(same)):
        assert (function.__name__, function.__doc__) == ("same", "Docs.")
        assert list(inspect.signature(function).parameters) == ["image", "factor"]
        assert (function.input_memory_type, function.output_memory_type) == (wanted, wanted)
        assert function(image) is image


@pytest.mark.parametrize("wrong", ON_CPU)
@pytest.mark.parametrize("declared", ON_CPU)
def test_a_result_of_another_library_is_refused_by_name(declared: str, wrong: str) -> None:
    need(declared, wrong)
    if declared == wrong:
        return

    @DECORATORS[declared]
    def mixed(image: Any) -> Any:
        return as_type(np.ones((1, 2, 2), "f4"), wrong)

    with pytest.raises(MemoryTypeError, match=f"mixed returned {wrong}; it declares {declared}"):
        mixed(np.ones((1, 2, 2), "f4"))


@pytest.mark.parametrize("declared", ON_CPU)
def test_ranks_are_checked_before_and_after(declared: str) -> None:
    need(declared)

    @DECORATORS[declared]
    def flat(image: Any) -> Any:
        return image[0]

    with pytest.raises(ArrayShapeError, match=r"input of flat has shape \[2, 2\]"):
        flat(as_type(np.ones((2, 2), "f4"), declared))
    with pytest.raises(ArrayShapeError, match=r"result of flat has shape \[2, 2\]"):
        flat(np.ones((1, 2, 2), "f4"))


def test_one_library_may_go_in_and_another_come_out() -> None:
    need("torch")

    @memory_types(input_type="numpy", output_type="torch")
    def hand_over(image: Any) -> Any:
        import torch

        return torch.from_numpy(image * 2)

    assert (hand_over.input_memory_type, hand_over.output_memory_type) == ("numpy", "torch")
    assert_equal(hand_over(np.ones((1, 2, 2), "f4")), np.full((1, 2, 2), 2, "f4"))


def test_an_error_of_the_function_is_its_own() -> None:
    need("torch")

    @decorators.torch
    def fails(image: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails(np.ones((1, 2, 2)))


def test_an_argument_that_cannot_be_converted_is_refused() -> None:
    need("jax")

    @decorators.jax
    def same(image: Any, *, labels: Any) -> Any:
        return image

    with pytest.raises(MemoryConversionError, match="int64"):
        same(np.ones((1, 2, 2), "f4"), labels=np.ones((1, 2, 2), "i8"))


def test_partial_functions_and_images_given_by_name_work() -> None:
    @numpy_function
    def scaled(stack: Any, factor: float = 1.0) -> Any:
        return stack * factor

    assert scaled(stack=STACK + 1, factor=3).max() == 3
    partial = numpy_function(functools.partial(scaled, factor=2))
    assert partial(STACK + 1).max() == 2
    with pytest.raises(MemoryTypeError, match="input of scaled is a NoneType"):
        scaled(factor=2)


def test_what_is_no_array_of_a_known_library_passes_untouched() -> None:
    import pandas as pd

    seen: list[Any] = []

    @numpy_function
    def look(image: Any, *others: Any) -> Any:
        seen.extend(others)
        return image

    table, number = pd.Series([1, 2]), np.float32(1)
    look(STACK, table, number)
    assert seen[0] is table and seen[1] is number


# --- dtypes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ON_CPU)
def test_compute_dtype_promotes_the_image_and_nothing_else(library: str) -> None:
    need(library)
    seen: list[str] = []

    @DECORATORS[library](compute_dtype="float32")
    def look(image: Any, *, labels: Any) -> Any:
        seen.extend(ADAPTERS[MemoryType(library)].dtype(array) for array in (image, labels))
        return image

    image = np.array([[[0, 65535]]], "u2")
    assert_equal(look(image, labels=np.ones((1, 1, 2), "i4")), image.astype("f4"))
    assert seen == ["float32", "int32"]


def test_torch_has_no_median_of_uint16_and_has_one_of_float32() -> None:
    need("torch")
    import torch

    def median(image: Any) -> Any:
        return torch.median(image, dim=0, keepdim=True)[0]

    image = np.array([[[1]], [[65535]], [[3]]], "u2")
    with pytest.raises(RuntimeError, match="UInt16"):
        decorators.torch(median)(image)
    assert_equal(decorators.torch(compute_dtype="float32")(median)(image), np.array([[[3]]], "f4"))
    assert_equal(
        decorators.torch(compute_dtype="float32", dtype_policy="preserve")(median)(image), np.array([[[3]]], "u2")
    )


@pytest.mark.parametrize("dtype", ["u4", "i4", "f8"])
def test_a_promotion_that_would_lose_values_is_refused(dtype: str) -> None:
    @numpy_function(compute_dtype="float32")
    def same(image: Any) -> Any:
        return image

    with pytest.raises(MemoryTypeError, match="same computes in float32, which does not hold every value"):
        same(np.ones((1, 2, 2), dtype))


@pytest.mark.parametrize(
    ("library", "dtype", "compute_dtype"),
    [
        ("jax", "i4", "float64"),
        ("jax", "u4", "int64"),
        ("pyclesperanto", "i4", "float64"),
        ("pyclesperanto", "u4", "int64"),
        ("pyclesperanto", "u1", "float16"),
    ],
)
def test_a_promotion_to_what_the_library_would_narrow_is_refused(library: str, dtype: str, compute_dtype: str) -> None:
    need(library)
    function = DECORATORS[library](compute_dtype=compute_dtype)(lambda image: image)
    with pytest.raises(MemoryTypeError, match=f"{library} does not hold {compute_dtype} unchanged"):
        function(np.full((1, 1, 1), 3, dtype))


def test_a_compute_dtype_that_nobody_has_is_refused_when_declared() -> None:
    with pytest.raises(
        MemoryTypeError, match=r"compute_dtype='float33' is not a dtype; expected one of bool, complex128"
    ):
        numpy_function(compute_dtype="float33")


# What a function returned, and what uint16 keeps of it: halves to even, the ends of the range, never a new scale.
RETURNED = np.array([[[-1.0, 0.5, 1.5, 500.0], [800.4, 65535.0, 65535.6, 1e9]]], "f4")
KEPT = np.array([[[0, 0, 2, 500], [800, 65535, 65535, 65535]]], "u2")


@pytest.mark.parametrize("library", ON_CPU)
def test_preserve_rounds_and_clips_and_says_how_many(library: str, caplog: pytest.LogCaptureFixture) -> None:
    need(library)

    @DECORATORS[library](dtype_policy="preserve")
    def compute(image: Any) -> Any:
        return as_type(RETURNED, library), "side"

    main, side = compute(np.zeros((1, 2, 4), "u2"))
    assert_equal(main, KEPT)
    assert side == "side"
    assert "compute: 3 pixels outside the range of uint16 were clipped" in caplog.text


@pytest.mark.parametrize("library", ON_CPU)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("found", ["f4", "i4", "u4"])
def test_preserve_keeps_the_limits_of_every_dtype(library: str, dtype: str, found: str) -> None:
    need(library)
    limits, of_found = np.iinfo(dtype), (np.iinfo(found) if found != "f4" else np.finfo("f4"))
    values = [float(of_found.min), float(of_found.max), 0, 1, 77]
    result = np.array([[np.array(values).clip(of_found.min, of_found.max)]]).astype(found)
    expected = np.array([[[max(limits.min, int(of_found.min)), min(limits.max, int(of_found.max)), 0, 1, 77]]], dtype)

    @DECORATORS[library](dtype_policy="preserve")
    def compute(image: Any) -> Any:
        return as_type(result, library)

    assert_equal(compute(np.zeros((1, 1, 5), dtype)), expected)


@pytest.mark.parametrize("library", ON_CPU)
def test_preserve_refuses_nan_and_native_leaves_it(library: str) -> None:
    need(library)
    result = np.array([[[np.nan, 1]]], "f4")

    def compute(image: Any) -> Any:
        return as_type(result, library)

    image = np.zeros((1, 1, 2), "u2")
    with pytest.raises(MemoryTypeError, match="compute: 1 pixels are NaN"):
        DECORATORS[library](dtype_policy="preserve")(compute)(image)
    assert_equal(DECORATORS[library](compute)(image), result)


@pytest.mark.parametrize("library", ON_CPU)
def test_preserve_takes_a_mask_for_0_and_1(library: str) -> None:
    need(library)
    mask = np.array([[[True, False]]])
    found = DECORATORS[library](dtype_policy="preserve")(lambda image: as_type(mask, library))(
        np.zeros((1, 1, 2), "u2")
    )
    assert_equal(found, mask.astype("u2"))


@pytest.mark.parametrize("library", ["numpy", "torch", "tensorflow", "jax"])
def test_preserve_makes_no_mask_of_numbers(library: str) -> None:
    need(library)
    keep = DECORATORS[library](dtype_policy="preserve")
    with pytest.raises(MemoryTypeError, match="its input is a mask, and its result is float32"):
        keep(lambda image: as_type(np.full((1, 1, 1), 0.3, "f4"), library))(np.ones((1, 1, 1), bool))


@pytest.mark.parametrize("library", ["numpy", "torch", "tensorflow", "jax"])
def test_preserve_clips_to_the_range_of_floats_and_leaves_infinities(
    library: str, caplog: pytest.LogCaptureFixture
) -> None:
    need(library)
    result = np.array([[[1e6, -1e6, 0.5, np.inf, np.nan]]], "f4")
    found = DECORATORS[library](dtype_policy="preserve")(lambda image: as_type(result, library))(
        np.zeros((1, 1, 5), "f2")
    )
    assert_equal(found, np.array([[[65504, -65504, 0.5, np.inf, np.nan]]], "f2"))
    assert "2 pixels outside the range of float16 were clipped" in caplog.text


@pytest.mark.parametrize("library", ["torch", "tensorflow", "jax"])
def test_preserve_takes_bfloat16(library: str) -> None:
    need(library)

    @DECORATORS[library](dtype_policy="preserve")
    def compute(image: Any) -> Any:
        return ADAPTERS[MemoryType(library)].cast(as_type(np.array([[[1.5, 300.0]]], "f4"), library), "bfloat16")

    assert_equal(compute(np.zeros((1, 1, 2), "u1")), np.array([[[2, 255]]], "u1"))


@pytest.mark.parametrize("library", ["torch", "tensorflow"])
def test_what_a_library_cannot_clip_is_clipped_on_the_host(library: str) -> None:
    need(library)
    result = np.array([[[-1.0, 2.5, 1e30]]], "f4")
    found = DECORATORS[library](dtype_policy="preserve")(lambda image: as_type(result, library))(
        np.zeros((1, 1, 3), "u8")
    )
    assert_equal(found, np.array([[[0, 2, 2**64 - 1]]], "u8"))


@pytest.mark.parametrize(("target", "dtype"), [("pyclesperanto", "i8"), ("jax", "i8"), ("jax", "f8")])
def test_preserve_refuses_a_dtype_that_the_result_cannot_have(target: str, dtype: str) -> None:
    need(target)

    @memory_types(input_type="numpy", output_type=target, dtype_policy="preserve")
    def hand_over(image: Any) -> Any:
        return as_type(np.full((1, 1, 1), 1.5e12, "f4"), target)

    with pytest.raises(MemoryTypeError, match=f"hand_over: {target} does not hold"):
        hand_over(np.zeros((1, 1, 1), dtype))


def test_preserve_casts_floats_and_refuses_complex_numbers() -> None:
    keep = numpy_function(dtype_policy="preserve")
    assert keep(lambda image: image.astype("f8") / 3)(np.ones((1, 1, 1), "f4")).dtype == np.float32
    with pytest.raises(MemoryTypeError, match="complex"):
        keep(lambda image: image * 1j)(np.ones((1, 1, 1), "f4"))


def test_unknown_policies_and_libraries_are_refused_when_declared() -> None:
    with pytest.raises(ValueError, match="'rescale' is not a DtypePolicy; expected one of native, preserve"):
        numpy_function(dtype_policy="rescale")(lambda image: image)


# --- pyclesperanto-prototype --------------------------------------------------------------------------------------


def prototype() -> Any:
    need("pyclesperanto")
    try:
        return ADAPTERS[MemoryType.PYCLESPERANTO].prototype()  # type: ignore[attr-defined]
    except ImportError as error:
        pytest.skip(f"pyclesperanto-prototype: {error}")


def test_a_function_can_ask_for_arrays_of_the_prototype() -> None:
    cle = prototype()

    @decorators.pyclesperanto(library="prototype")
    def double(image: Any) -> Any:
        assert type(image).__module__.startswith("pyclesperanto_prototype")
        return cle.multiply_image_and_scalar(image, scalar=2)

    found = double(np.array([[[1, 65535]]], "u2"))
    assert detect_memory_type(found) == "pyclesperanto"
    assert_equal(found, np.array([[[2, 131070]]], "f4"))


def test_a_function_that_imports_the_prototype_gets_its_arrays_and_the_next_one_those_of_the_successor() -> None:
    prototype()

    @decorators.pyclesperanto
    def old(image: Any) -> Any:
        import pyclesperanto_prototype as cle

        return cle.multiply_image_and_scalar(image, scalar=2)

    @decorators.pyclesperanto
    def new(image: Any) -> Any:
        import pyclesperanto as cle

        assert isinstance(image, cle.Array)
        return cle.add_image_and_scalar(image, scalar=1)

    assert to_numpy(new(old(np.array([[[1, 2]]], "u2")))).tolist() == [[[3, 5]]]


def test_where_only_the_prototype_is_installed_functions_get_its_arrays() -> None:
    prototype()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, numpy as np; sys.modules['pyclesperanto'] = None\n"
            "from wellfield.memory import convert_memory, pyclesperanto, to_numpy\n"
            "found = pyclesperanto(lambda image: image)(np.array([[[1, 65535]]], 'u2'))\n"
            "print(type(found).__module__.partition('.')[0], to_numpy(found).tolist())",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "pyclesperanto_prototype [[[1.0, 65535.0]]]", done


def test_what_the_prototype_would_round_is_refused() -> None:
    prototype()
    with pytest.raises(MemoryConversionError, match="of the prototype does not hold int32 unchanged"):
        decorators.pyclesperanto(library="prototype")(lambda image: image)(np.ones((1, 2, 2), "i4"))
