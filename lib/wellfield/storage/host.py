"""The host copy: an array of any library as a NumPy array, so that files do not depend on where an array lived.

No array library is imported here. Arrays of the known memory types are converted by :mod:`wellfield.memory`, which is
imported when one comes; for other libraries a conversion can be registered, and without one they are taken through
DLPack or ``__array__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.errors import MemoryTypeError

_DLPACK_CPU = 1  # kDLCPU of dlpack.h
_ADVICE = "convert it to a NumPy array before it is stored, or give register_host_copy a conversion for its library"
_CONVERTERS: dict[str, Callable[[Any], Any]] = {}


def register_host_copy(module_root: str, converter: Callable[[Any], Any]) -> None:
    """Register *converter* for the arrays of a library; a later one replaces an earlier one.

    Parameters
    ----------
    module_root:
        Top-level module of the arrays' type, such as ``"cupy"``.
    converter:
        Takes an array, returns it as a NumPy array with equal values and dtype.
    """
    _CONVERTERS[module_root] = converter


def is_array(data: Any) -> bool:
    """Tell whether *data* is an array of NumPy or of another library, not a single number or a table."""
    if isinstance(data, np.ndarray):
        return True
    if isinstance(data, np.generic | type) or not (hasattr(data, "shape") and hasattr(data, "dtype")):
        return False
    ways = ("__dlpack__", "__array__", "__cuda_array_interface__")
    return _module_root(data) in _CONVERTERS or any(hasattr(data, way) for way in ways)


def host_array(data: Any) -> Any:
    """Return an array of any library as a NumPy array, if possible without a copy; anything else unchanged.

    Raises
    ------
    MemoryTypeError
        The array cannot be copied to host memory, NumPy has no equal dtype, or it has a mask.
    """
    if isinstance(data, np.ma.MaskedArray):
        raise MemoryTypeError(f"{_describe(data)} has a mask, which no file holds; fill it, or store the mask as well")
    if isinstance(data, np.ndarray) or not is_array(data):
        return data
    try:
        array = _convert(data)
    except Exception as error:  # each library refuses in its own way
        raise MemoryTypeError(f"{_describe(data)} cannot be copied to host memory: {error}; {_ADVICE}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise MemoryTypeError(f"{_describe(data)} becomes {found}, no NumPy array of numbers; {_ADVICE}")
    return array


def _convert(data: Any) -> npt.NDArray[Any]:
    converter = _CONVERTERS.get(_module_root(data))
    if converter is not None:
        array: npt.NDArray[Any] = converter(data)
        return array
    from wellfield.memory import detect_memory_type, to_numpy

    try:
        detect_memory_type(data)
    except MemoryTypeError:
        return _through_protocols(data)
    array = to_numpy(data)
    return array


def _through_protocols(data: Any) -> npt.NDArray[Any]:
    try:
        if data.__dlpack_device__()[0] == _DLPACK_CPU:
            return np.from_dlpack(data)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
        if not hasattr(data, "__array__"):  # which may know what DLPack cannot tell, such as a dtype
            raise
    return np.asarray(data)


def _module_root(data: Any) -> str:
    return type(data).__module__.partition(".")[0]


def _describe(data: Any) -> str:
    kind = type(data)
    return f"an array of type {kind.__module__}.{kind.__qualname__} ({data.dtype}, shape {tuple(data.shape)})"
