"""Declare side results: values that a function returns besides its image, or takes from earlier steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from wellfield.errors import PipelineError
from wellfield.materialization.spec import MaterializationSpec

F = TypeVar("F", bound=Callable[..., Any])

_OUTPUT_NAME = re.compile(r"\w[\w -]*")

SPECIAL_OUTPUTS = "__special_outputs__"
SPECIAL_INPUTS = "__special_inputs__"


def special_outputs(*outputs: str | tuple[str, MaterializationSpec]) -> Callable[[F], F]:
    """Declare the values that a function returns after its image, in return order.

    Each is a name (kept in memory for later steps) or a pair of a name and a
    :class:`~wellfield.materialization.MaterializationSpec` (also written).

    Raises
    ------
    PipelineError
        A name is declared twice, or is paired with something other than a spec.

    Examples
    --------
    >>> from wellfield.materialization import CsvOptions, MaterializationSpec
    >>> @special_outputs("positions", ("counts", MaterializationSpec(CsvOptions())))
    ... def count(image):
    ...     return image, [(0, 0)], {"Count": [3]}
    """
    declared: list[tuple[str, MaterializationSpec | None]] = []
    for output in outputs:
        name, given = (output, None) if isinstance(output, str) else output
        check_output_name(name)
        spec: Any = given  # decorators take what anybody writes
        if spec is not None and not isinstance(spec, MaterializationSpec):
            hint = f'("{name}", MaterializationSpec(CsvOptions()))'
            raise PipelineError(f"special output {name!r} is paired with {spec!r}; expected a spec, such as {hint}")
        if name in (seen for seen, _ in declared):
            raise PipelineError(f"special output {name!r} is declared twice")
        declared.append((name, spec))

    def decorate(function: F) -> F:
        setattr(function, SPECIAL_OUTPUTS, tuple(declared))
        return function

    return decorate


def special_inputs(*names: str) -> Callable[[F], F]:
    """Declare keyword arguments of a function that get the special outputs of the same names from earlier steps.

    Examples
    --------
    >>> @special_inputs("positions")
    ... def crop(image, *, positions):
    ...     y, x = positions[0]
    ...     return image[:, y : y + 10, x : x + 10]
    """

    def decorate(function: F) -> F:
        setattr(function, SPECIAL_INPUTS, names)
        return function

    return decorate


def check_output_name(name: Any) -> None:
    """Refuse a name that cannot be a file name.

    Raises
    ------
    PipelineError
        The name is empty, or has characters other than letters, digits, ``_``, ``-`` and spaces.
    """
    if not isinstance(name, str) or not _OUTPUT_NAME.fullmatch(name):
        raise PipelineError(
            f"special output {name!r}: expected a name of letters, digits, '_' and '-', without folder or suffix; "
            "files get their suffix from the options of the spec"
        )


def declared_outputs(function: Callable[..., Any]) -> tuple[tuple[str, MaterializationSpec | None], ...]:
    """Return the special outputs that *function* declares, in order."""
    return getattr(function, SPECIAL_OUTPUTS, ())


def declared_inputs(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the special inputs that *function* declares."""
    return getattr(function, SPECIAL_INPUTS, ())
