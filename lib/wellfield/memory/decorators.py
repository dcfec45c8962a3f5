"""Decorators by which a function says which array library it works on.

A decorated function takes and returns stacks ``[Z, Y, X]``; one plane is ``[1, Y, X]``. Array arguments are converted
to the declared type before the call, the main result's type and rank are checked after it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

from wellfield.errors import ArrayShapeError, MemoryTypeError
from wellfield.memory.convert import convert_memory, detect_memory_type
from wellfield.memory.types import MemoryType

F = TypeVar("F", bound=Callable[..., Any])


class StackFunction(Protocol):
    """A decorated function: knows the memory types it takes and gives."""

    input_memory_type: MemoryType
    output_memory_type: MemoryType

    def __call__(self, image: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Process a stack ``[Z, Y, X]``."""


def check_stack(array: Any, *, what: str) -> None:
    """Raise :class:`ArrayShapeError` unless *array* is a stack ``[Z, Y, X]``, :class:`MemoryTypeError` if no array."""
    if not hasattr(array, "shape"):
        raise MemoryTypeError(f"{what} is a {type(array).__name__}; expected an array [Z, Y, X]")
    shape = tuple(array.shape)
    if len(shape) != 3:
        raise ArrayShapeError(
            f"{what} has shape {list(shape)}; expected a stack [Z, Y, X] (one plane is [1, Y, X], never [Y, X])"
        )


def memory_types(*, input_type: MemoryType | str, output_type: MemoryType | str) -> Callable[[F], F]:
    """Declare the array library that a function takes and the one that it returns.

    Parameters
    ----------
    input_type, output_type:
        Names or members of :class:`MemoryType`.

    The wrapper converts every positional or keyword argument that is an array and not of *input_type*; other arguments
    pass untouched. A function that returns a tuple gives its image first.

    Raises
    ------
    ArrayShapeError
        The first argument or the main result is not ``[Z, Y, X]``.
    MemoryTypeError
        The first argument is no array, or the main result is not of *output_type*.
    MemoryConversionError
        An argument cannot be converted.
    """
    source, target = MemoryType(input_type), MemoryType(output_type)

    def decorate(function: F) -> F:
        name = function.__name__

        def to_input(value: Any) -> Any:
            if not hasattr(value, "shape") or not hasattr(value, "dtype") or not value.shape:
                return value
            return convert_memory(value, detect_memory_type(value), source)

        @functools.wraps(function)
        def wrapper(image: Any, *args: Any, **kwargs: Any) -> Any:
            image = to_input(image)
            check_stack(image, what=f"input of {name}")
            result = function(image, *map(to_input, args), **{k: to_input(v) for k, v in kwargs.items()})
            main = result[0] if isinstance(result, tuple) else result
            found = detect_memory_type(main) if hasattr(main, "shape") else None
            if found != target:
                raise MemoryTypeError(f"{name} returned {found or type(main).__name__}; it declares {target}")
            check_stack(main, what=f"result of {name}")
            return result

        wrapper.input_memory_type = source  # type: ignore[attr-defined]
        wrapper.output_memory_type = target  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]

    return decorate


@overload
def numpy(function: F) -> F: ...
@overload
def numpy(function: None = None) -> Callable[[F], F]: ...
def numpy(function: F | None = None) -> F | Callable[[F], F]:
    """Declare a function that takes and returns NumPy arrays; with or without parentheses."""
    decorate = memory_types(input_type=MemoryType.NUMPY, output_type=MemoryType.NUMPY)
    return decorate if function is None else decorate(function)
