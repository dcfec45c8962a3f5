"""Finding the function that ``func:`` names, and the facts that it declares."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from wellfield.errors import UnknownFunctionError
from wellfield.faults import error_text
from wellfield.memory import MemoryType, memory_types
from wellfield.processing.function_registry import FunctionInfo, ImageKind, get_function


def resolve_function(func: str | Callable[..., Any]) -> FunctionInfo:
    """Return the function that ``func:`` names, with its facts.

    *func* is a registered name, ``"package.module:function"``, ``"path/to/file.py:function"`` or a callable. A function
    that is not registered accepts every image; one without memory type runs on NumPy.

    Raises
    ------
    UnknownFunctionError
        There is no such function, its module cannot be imported, or its parameters are not known.
    """
    if isinstance(func, str):
        if ":" not in func:
            return get_function(func)
        place, _, name = func.rpartition(":")
        try:
            function = getattr(_import(place), name)
        except (Exception, SystemExit) as error:  # importing runs anybody's code
            reason = error_text(error, None if isinstance(error, ImportError | AttributeError) else _import)
            raise UnknownFunctionError(f"{func!r} cannot be imported: {reason}") from error
    else:
        function, name = func, getattr(func, "__name__", "function")
    registered = _registered(function)
    if registered is not None:
        return registered
    if not callable(function):
        raise UnknownFunctionError(f"{func!r} is not a function")
    try:
        inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UnknownFunctionError(
            f"{func!r} cannot be used: Python does not know which parameters it takes ({error}). Name a function of "
            "your own that calls it"
        ) from error
    if not hasattr(function, "input_memory_type"):
        plain = function
        function = memory_types(input_type=MemoryType.NUMPY, output_type=MemoryType.NUMPY)(plain)
        function.plain = plain
    return FunctionInfo(name, function, ImageKind.INTENSITY, frozenset(ImageKind))


def plain_function(info: FunctionInfo) -> Callable[..., Any] | None:
    """Return the plain function if it declares no array library, else ``None``."""
    return getattr(info.function, "plain", None)


def is_file(place: str) -> bool:
    """Tell whether the part of ``func:`` before the colon is a file, not a module."""
    return place.endswith(".py")


def _import(place: str) -> ModuleType:
    """Return a module by its dotted name, or by its file, which is read once."""
    if not is_file(place):
        return importlib.import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        raise ImportError(f"no file {path}")
    name = f"wellfield_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _registered(function: Any) -> FunctionInfo | None:
    try:
        info = get_function(getattr(function, "__name__", ""))
    except UnknownFunctionError:
        return None
    return info if info.function is function else None
