"""Dtypes around a function: the dtype it computes in, and the dtype of its result."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from wellfield.errors import MemoryTypeError
from wellfield.memory.adapters.adapter import Adapter
from wellfield.memory.adapters.arithmetic import fit_numbers
from wellfield.memory.convert import holds, to_device
from wellfield.memory.rules import NUMBERS
from wellfield.memory.types import Name

_logger = logging.getLogger(__name__)


class DtypePolicy(Name):
    """Dtype of a result.

    ``NATIVE`` keeps what the function returned. ``PRESERVE`` rounds and clips to the input's dtype, never rescales.
    """

    NATIVE = "native"
    PRESERVE = "preserve"


def check_compute_dtype(dtype: str | None) -> None:
    """Refuse a dtype that no library has.

    Raises
    ------
    MemoryTypeError
        The dtype is unknown.
    """
    if dtype is not None and dtype not in NUMBERS | {"bfloat16"}:
        raise MemoryTypeError(
            f"compute_dtype={dtype!r} is not a dtype; expected one of {', '.join(sorted(NUMBERS))}, bfloat16"
        )


def promote(image: Any, dtype: str, adapter: Adapter, *, function: str) -> Any:
    """Return an image in the dtype that a function computes in; no value changes.

    Raises
    ------
    MemoryTypeError
        *dtype* cannot hold every value of the image's dtype, or the library cannot hold *dtype*.
    """
    found = adapter.dtype(image)
    if found == dtype:
        return image
    if not _promotes_exactly(found, dtype):
        raise MemoryTypeError(
            f"{function} computes in {dtype}, which does not hold every value of its {found} input; convert the image "
            "in an earlier step"
        )
    _require(adapter, dtype, image, function=function)
    return adapter.cast(image, dtype)


def preserve_dtype(result: Any, dtype: str, adapter: Adapter, *, function: str) -> Any:
    """Return a result in the dtype of the input: rounded to nearest (halves to even), clipped, never rescaled.

    The number of clipped pixels is logged. Infinities stay infinite in floats and are clipped in integers.

    Raises
    ------
    MemoryTypeError
        A complex result has a real input; a result with NaN pixels has an integer input; the input was a mask and the
        result is not; the library cannot hold *dtype*.
    """
    found = adapter.dtype(result)
    if found == dtype:
        return result
    hint = "use dtype_policy='native'"
    if dtype == "bool":
        raise MemoryTypeError(f"{function}: its input is a mask, and its result is {found}; return a mask, or {hint}")
    if found.startswith("complex") and not dtype.startswith("complex"):
        raise MemoryTypeError(f"{function}: a complex result has no counterpart in {dtype}; {hint}")
    _require(adapter, dtype, result, function=function)
    if found == "bool" or dtype not in NUMBERS or dtype.startswith("complex"):
        return adapter.cast(result, dtype)
    if found in ("float16", "bfloat16"):
        result = adapter.cast(result, "float32")
    if np.dtype(dtype).kind in "iu" and found.startswith(("float", "bfloat")):
        undefined = int(np.count_nonzero(np.isnan(adapter.to_host(result))))
        if undefined:
            raise MemoryTypeError(f"{function}: {undefined} pixels are NaN, for which {dtype} has no value")
    fitted, clipped = _fit(result, dtype, adapter)
    if clipped:
        _logger.warning("%s: %d pixels outside the range of %s were clipped", function, clipped, dtype)
    return fitted


def _fit(result: Any, dtype: str, adapter: Adapter) -> tuple[Any, int]:
    try:
        return adapter.fit(result, dtype)
    except MemoryTypeError:  # the library cannot do this with these dtypes: do it in host memory
        fitted, clipped = fit_numbers(np, adapter.to_host(result), dtype)
        return to_device(fitted, adapter, adapter.device(result)), clipped


def _require(adapter: Adapter, dtype: str, image: Any, *, function: str) -> None:
    if not holds(adapter, dtype, adapter.device(image)):
        raise MemoryTypeError(f"{function}: {adapter.memory_type} does not hold {dtype} unchanged")


def _promotes_exactly(dtype: str, compute_dtype: str) -> bool:
    """Tell whether *compute_dtype* can hold every value of *dtype*."""
    if "bfloat16" in (dtype, compute_dtype):
        return (dtype, compute_dtype) in (("bfloat16", "float32"), ("bfloat16", "float64")) or dtype in (
            "uint8",
            "int8",
        )
    return dtype in NUMBERS and np.can_cast(dtype, compute_dtype, "safe")
