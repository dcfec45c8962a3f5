"""What of a step's results is written, and in which form.

A function never writes files. It declares a :class:`MaterializationSpec` for an output, with one object of an output
type (:mod:`wellfield.materialization.output_types`) for each file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wellfield.errors import MaterializationError
from wellfield.materialization.output_types import OUTPUT_TYPES, OutputType


@dataclass(frozen=True, slots=True, init=False)
class MaterializationSpec:
    """How one named output of a function becomes files.

    Parameters
    ----------
    *options:
        One options object per file; at least one.
    primary:
        Index of the option whose path :func:`wellfield.materialization.materialize` returns.
    allowed_backends:
        Names of the backends that may hold the output; any by default.

    Raises
    ------
    MaterializationError
        The spec could never be written: two options with the same suffix, a suffix of another format or with a folder
        in it, *primary* beyond the options, a backend that does not exist.

    Examples
    --------
    >>> from wellfield.materialization import CsvOptions, JsonOptions
    >>> MaterializationSpec(JsonOptions(source="summary"), CsvOptions(source="rows")).primary
    0
    """

    options: tuple[OutputType, ...]
    primary: int
    allowed_backends: tuple[str, ...] | None

    def __init__(self, *options: OutputType, primary: int = 0, allowed_backends: Sequence[str] | None = None) -> None:
        if not options:
            raise MaterializationError("a spec needs at least one option, such as CsvOptions()")
        for option in options:
            _check_option(option)
        suffixes = [option.filename_suffix for option in options]
        if len({suffix.lower() for suffix in suffixes}) < len(suffixes):
            raise MaterializationError(
                f"two options would write the same file: suffixes {suffixes}; give one another filename_suffix, such "
                f"as '_details{suffixes[0]}'"
            )
        if type(primary) is not int or not 0 <= primary < len(options):
            raise MaterializationError(
                f"primary={primary!r} names none of the {len(options)} options; expected 0 to {len(options) - 1}"
            )
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "primary", primary)
        object.__setattr__(self, "allowed_backends", _checked_backends(allowed_backends))


def _check_option(option: Any) -> None:
    if type(option) not in OUTPUT_TYPES.values():
        known = ", ".join(f"{name}()" for name in OUTPUT_TYPES)
        raise MaterializationError(f"{option!r} is not a writer option; expected one of {known}")
    option.check()


def _checked_backends(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or not names:
        raise MaterializationError(f"allowed_backends={names!r}; expected several names such as ('disk',), or None")
    from wellfield.storage.backend import Backend

    known = {str(backend) for backend in Backend}
    if not known.issuperset(names):
        from wellfield.storage.backend_registry import STORAGE_BACKENDS, discover_all_backends

        discover_all_backends()  # other packages bring backends of their own
        known.update(STORAGE_BACKENDS)
    if unknown := [name for name in names if name not in known]:
        raise MaterializationError(
            f"allowed_backends: there is no backend {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    return tuple(str(name) for name in names)


def select(data: Any, source: str | None) -> Any:
    """Return the part of *data* that a dot path names: keys of mappings, attributes, positions in lists.

    Raises
    ------
    MaterializationError
        There is no such part.
    """
    for part in source.split(".") if source else ():
        try:
            if isinstance(data, Mapping):
                data = data[part]
            elif isinstance(data, Sequence) and not isinstance(data, str | bytes) and part.isdigit():
                data = data[int(part)]
            else:
                data = getattr(data, part)
        except (KeyError, IndexError, AttributeError):
            raise MaterializationError(f"source {source!r}: a {type(data).__name__} has no part {part!r}") from None
    return data
