"""From what ``func:`` says to a function and what it declares."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from wellfield.errors import UnknownFunctionError
from wellfield.memory import MemoryType, memory_types
from wellfield.processing.registry import FunctionInfo, ImageKind, get_function


def resolve_function(func: str | Callable[..., Any]) -> FunctionInfo:
    """Return what ``func:`` means: a registered function, ``"package.module:function"`` or a callable, with its facts.

    A function that is not registered is taken to work on intensity, and one without memory type to work on NumPy.

    Raises
    ------
    UnknownFunctionError
        There is no such function.
    """
    if isinstance(func, str):
        if ":" not in func:
            return get_function(func)
        module_name, _, attribute = func.partition(":")
        try:
            function = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError, ValueError, TypeError) as error:
            raise UnknownFunctionError(f"{func!r} cannot be imported: {error}") from error
        name = attribute
    else:
        function, name = func, getattr(func, "__name__", "function")
    registered = _registered(function)
    if registered is not None:
        return registered
    if not callable(function):
        raise UnknownFunctionError(f"{func!r} is no function")
    if not hasattr(function, "input_memory_type"):
        function = memory_types(input_type=MemoryType.NUMPY, output_type=MemoryType.NUMPY)(function)
    return FunctionInfo(name, function, ImageKind.INTENSITY, frozenset(ImageKind))


def _registered(function: Any) -> FunctionInfo | None:
    try:
        info = get_function(getattr(function, "__name__", ""))
    except UnknownFunctionError:
        return None
    return info if info.function is function else None
