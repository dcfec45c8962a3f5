"""Functions by name: the values that the ``func:`` of a step may have.

A registered function is pure: it takes a stack ``[Z, Y, X]`` and numbers, and returns a stack (and side results). It
declares what kind of image it returns, so the compiler can tell a label image from an intensity image before anything
runs.

A name stands for one function with one meaning. The registered function is the reference. Other array libraries may
implement it too; the docstring of an implementation says how closely it agrees with the reference.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from wellfield.errors import UnknownFunctionError
from wellfield.formatting import suggest
from wellfield.memory.types import MemoryType

F = TypeVar("F", bound=Callable[..., Any])


class ImageKind(StrEnum):
    """What the pixels of an image are."""

    INTENSITY = "intensity"
    MASK = "mask"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A registered function and its declaration.

    Parameters
    ----------
    name:
        The name used in pipelines.
    function:
        The decorated callable; the reference if there are several implementations.
    returns:
        Kind of the image it returns; ``None``: the same kind as its input.
    accepts:
        Kinds of image it takes as its first argument.
    projection:
        Name of the projection along Z that it makes (``"max"``), else ``None``.
    needs_fields:
        Its stack has one plane per field of a well: its step must say ``stack: field``.
    merges_fields:
        It merges the fields into one image of the whole well.
    """

    name: str
    function: Callable[..., Any]
    returns: ImageKind | None
    accepts: frozenset[ImageKind]
    projection: str | None = None
    needs_fields: bool = False
    merges_fields: bool = False


# The module that registers each name; only that module is imported.
_MODULES: Mapping[str, str] = {
    "gaussian_filter": "wellfield.processing.filters",
    "median_filter": "wellfield.processing.filters",
    "tophat": "wellfield.processing.filters",
    "normalize_percentile": "wellfield.processing.filters",
    "max_projection": "wellfield.processing.filters",
    "threshold_otsu": "wellfield.processing.segmentation",
    "binary_opening": "wellfield.processing.segmentation",
    "label": "wellfield.processing.segmentation",
    "stored_labels": "wellfield.processing.segmentation",
    "split_touching": "wellfield.processing.segmentation",
    "find_cells": "wellfield.processing.cells",
    "expand_labels": "wellfield.processing.cells",
    "find_cytoplasm": "wellfield.processing.cells",
    "count_cells": "wellfield.processing.measurement",
    "measure_objects": "wellfield.processing.objects",
    "measure_quality": "wellfield.processing.quality",
    "correct_illumination": "wellfield.processing.illumination_model",
    "generate_positions": "wellfield.processing.tile_positions",
    "stitch": "wellfield.processing.stitching",
}

_SMOOTHED_AND_THRESHOLDED = ("gaussian_filter", "max_projection", "threshold_otsu")
_ALL_FILTERS = (*_SMOOTHED_AND_THRESHOLDED, "median_filter", "tophat", "label")

# For each library, the module with its implementations and the names that it implements.
_IMPLEMENTATIONS: Mapping[MemoryType, tuple[str, tuple[str, ...]]] = {
    MemoryType.CUPY: ("wellfield.processing.cupy_functions", _ALL_FILTERS),
    MemoryType.TORCH: ("wellfield.processing.torch_functions", _SMOOTHED_AND_THRESHOLDED),
    MemoryType.TENSORFLOW: ("wellfield.processing.tensorflow_functions", _SMOOTHED_AND_THRESHOLDED),
    MemoryType.JAX: ("wellfield.processing.jax_functions", _SMOOTHED_AND_THRESHOLDED),
    MemoryType.PYCLESPERANTO: ("wellfield.processing.pyclesperanto_functions", _ALL_FILTERS),
}

_REGISTERED: dict[str, FunctionInfo] = {}
_IMPLEMENTED: dict[tuple[str, MemoryType], Callable[..., Any]] = {}


def register(
    *,
    returns: ImageKind | None = ImageKind.INTENSITY,
    accepts: tuple[ImageKind, ...] = tuple(ImageKind),
    projection: str | None = None,
    needs_fields: bool = False,
    merges_fields: bool = False,
) -> Callable[[F], F]:
    """Register a decorated function under its own name; for the parameters see :class:`FunctionInfo`."""

    def decorate(function: F) -> F:
        name = function.__name__
        if name in _REGISTERED and _REGISTERED[name].function.__module__ != function.__module__:
            raise UnknownFunctionError(f"two functions are named {name!r}: one in {function.__module__}")
        _REGISTERED[name] = FunctionInfo(
            name, function, returns, frozenset(accepts), projection, needs_fields or merges_fields, merges_fields
        )
        return function

    return decorate


def implements(name: str) -> Callable[[F], F]:
    """Register a decorated function as the implementation of *name* for its array library.

    It takes the same arguments as the reference and checks them in the same way. Its docstring says how closely its
    result agrees.
    """

    def decorate(function: F) -> F:
        key = name, MemoryType(function.input_memory_type)  # type: ignore[attr-defined]
        if key in _IMPLEMENTED and _IMPLEMENTED[key].__module__ != function.__module__:
            raise UnknownFunctionError(f"two {key[1]} functions implement {name!r}: one in {function.__module__}")
        _IMPLEMENTED[key] = function
        return function

    return decorate


def function_names() -> list[str]:
    """Return all names that :func:`get_function` knows, sorted."""
    return sorted({*_MODULES, *_REGISTERED})


def get_function(name: str) -> FunctionInfo:
    """Return the function registered under *name*; imports its module on first use.

    Raises
    ------
    UnknownFunctionError
        The name is unknown; the message suggests the nearest one.
    """
    if name not in _REGISTERED and name in _MODULES:
        importlib.import_module(_MODULES[name])
    try:
        return _REGISTERED[name]
    except KeyError:
        known = function_names()
        raise UnknownFunctionError(
            f"no function is registered as {name!r}{suggest(name, known) or '.'} Known: {', '.join(known)}"
        ) from None


def implementations(name: str) -> tuple[MemoryType, ...]:
    """Return the array libraries that have an implementation of *name*; the library of the reference comes first.

    Only the module of the reference is imported.

    Raises
    ------
    UnknownFunctionError
        The name is unknown.
    """
    reference = _memory_type(get_function(name))
    others = [memory_type for memory_type, (_, names) in _IMPLEMENTATIONS.items() if name in names]
    others += [memory_type for entered, memory_type in _IMPLEMENTED if entered == name]
    return tuple(dict.fromkeys([reference, *others]))


def get_implementation(name: str, memory_type: MemoryType | str) -> Callable[..., Any]:
    """Return the implementation of *name* for arrays of *memory_type*; imports its module on first use.

    Raises
    ------
    UnknownFunctionError
        The name is unknown, or has no implementation for this library; the message names the libraries that have one.
    """
    info, memory_type = get_function(name), MemoryType(memory_type)
    if memory_type == _memory_type(info):
        return info.function
    module, names = _IMPLEMENTATIONS.get(memory_type, ("", ()))
    if name in names:
        importlib.import_module(module)
    try:
        return _IMPLEMENTED[name, memory_type]
    except KeyError:
        raise UnknownFunctionError(
            f"{name} has no implementation for {memory_type}; it has one for {', '.join(implementations(name))}"
        ) from None


def is_registered(info: FunctionInfo) -> bool:
    """Tell whether *info* is the function registered under its name."""
    return _REGISTERED.get(info.name) is info


def _memory_type(info: FunctionInfo) -> MemoryType:
    return MemoryType(info.function.input_memory_type)  # type: ignore[attr-defined]
