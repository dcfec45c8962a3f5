"""Check that a function gets and returns stacks ``[Z, Y, X]``."""

from __future__ import annotations

from typing import Any

from wellfield.errors import ArrayShapeError, MemoryTypeError


def check_stack(array: Any, *, what: str) -> None:
    """Check that *array* is a stack ``[Z, Y, X]``.

    Raises
    ------
    MemoryTypeError
        *array* has no shape.
    ArrayShapeError
        *array* does not have three axes.
    """
    shape = getattr(array, "shape", None)
    if shape is None:
        raise MemoryTypeError(f"{what} is a {type(array).__name__}; expected an array [Z, Y, X]")
    if len(shape) != 3:
        raise ArrayShapeError(
            f"{what} has shape {list(shape)}; expected a stack [Z, Y, X] (one plane is [1, Y, X], never [Y, X])"
        )
