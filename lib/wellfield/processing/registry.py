"""Functions by name: what the ``func:`` of a step may say.

A registered function is pure: a stack ``[Z, Y, X]`` and numbers in, a stack (and side results) out. It says what kind
of image it returns, so that the compiler can tell a label image from an intensity image before anything runs.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from wellfield.errors import UnknownFunctionError

F = TypeVar("F", bound=Callable[..., Any])


class ImageKind(StrEnum):
    """What the pixels of an image are."""

    INTENSITY = "intensity"
    MASK = "mask"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A registered function and what it declares.

    Parameters
    ----------
    name:
        The name used in pipelines.
    function:
        The decorated callable.
    returns:
        Kind of the image it returns.
    accepts:
        Kinds of image it takes as its first argument.
    projection:
        Name of the projection along Z that it makes (``"max"``), else ``None``.
    """

    name: str
    function: Callable[..., Any]
    returns: ImageKind
    accepts: frozenset[ImageKind]
    projection: str | None = None


# Which module registers a name: only that one is imported for it.
_MODULES: Mapping[str, str] = {
    "gaussian_filter": "wellfield.processing.filters",
    "median_filter": "wellfield.processing.filters",
    "tophat": "wellfield.processing.filters",
    "max_projection": "wellfield.processing.filters",
    "threshold_otsu": "wellfield.processing.segmentation",
    "label": "wellfield.processing.segmentation",
    "split_touching": "wellfield.processing.segmentation",
    "count_cells": "wellfield.processing.measurement",
}

_REGISTERED: dict[str, FunctionInfo] = {}


def register(
    *,
    returns: ImageKind = ImageKind.INTENSITY,
    accepts: tuple[ImageKind, ...] = tuple(ImageKind),
    projection: str | None = None,
) -> Callable[[F], F]:
    """Enter a decorated function under its own name; the parameters are those of :class:`FunctionInfo`."""

    def decorate(function: F) -> F:
        name = function.__name__
        if name in _REGISTERED and _REGISTERED[name].function.__module__ != function.__module__:
            raise UnknownFunctionError(f"two functions are named {name!r}: one in {function.__module__}")
        _REGISTERED[name] = FunctionInfo(name, function, returns, frozenset(accepts), projection)
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
        No such name; the message suggests the nearest one.
    """
    if name not in _REGISTERED and name in _MODULES:
        importlib.import_module(_MODULES[name])
    try:
        return _REGISTERED[name]
    except KeyError:
        near = difflib.get_close_matches(name, function_names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownFunctionError(
            f"no function is registered as {name!r}{hint} Known: {', '.join(function_names())}"
        ) from None
