"""What of a step's results is written, and in which form.

A function never writes files. It declares a :class:`MaterializationSpec` for an output; the type of each options object
chooses the writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wellfield.errors import MaterializationError


@dataclass(frozen=True, slots=True)
class _Options:
    """What all writers share.

    Parameters
    ----------
    source:
        Dot path to the part of the data that is written (``"summary.rows"``); all of it by default.
    filename_suffix:
        Appended to the output's own name, suffix of the format included.
    """

    source: str | None = None
    filename_suffix: str = ""


@dataclass(frozen=True, slots=True)
class CsvOptions(_Options):
    """Write a table as UTF-8, comma-separated text with a header line.

    Parameters
    ----------
    fields:
        Columns to write, in this order; all by default.
    """

    filename_suffix: str = ".csv"
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ParquetOptions(_Options):
    """Write a table as Parquet; *fields* as in :class:`CsvOptions`."""

    filename_suffix: str = ".parquet"
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class JsonOptions(_Options):
    """Write numbers, text, lists and dictionaries as JSON."""

    filename_suffix: str = ".json"
    indent: int | None = 2


Options = CsvOptions | ParquetOptions | JsonOptions


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

    Examples
    --------
    >>> MaterializationSpec(JsonOptions(source="summary"), CsvOptions(source="rows")).primary
    0
    """

    options: tuple[Options, ...]
    primary: int
    allowed_backends: tuple[str, ...] | None

    def __init__(self, *options: Options, primary: int = 0, allowed_backends: tuple[str, ...] | None = None) -> None:
        for option in options:
            if not isinstance(option, _Options) or type(option) is _Options:
                raise MaterializationError(
                    f"{option!r} is no writer option; expected CsvOptions(…), JsonOptions(…) or ParquetOptions(…)"
                )
        if not 0 <= primary < len(options):
            raise MaterializationError(f"primary={primary} names none of the {len(options)} options")
        suffixes = [option.filename_suffix for option in options]
        if len(set(suffixes)) < len(suffixes):
            raise MaterializationError(f"two options would write the same file: suffixes {suffixes}")
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "primary", primary)
        object.__setattr__(self, "allowed_backends", allowed_backends)


def select(data: Any, source: str | None) -> Any:
    """Return the part of *data* that a dot path names: keys of mappings, attributes, positions in lists.

    Raises
    ------
    MaterializationError
        There is no such part.
    """
    for part in (source or "").split(".") if source else ():
        try:
            if isinstance(data, Mapping):
                data = data[part]
            elif isinstance(data, Sequence) and part.isdigit():
                data = data[int(part)]
            else:
                data = getattr(data, part)
        except (KeyError, IndexError, AttributeError):
            raise MaterializationError(f"source {source!r}: a {type(data).__name__} has no part {part!r}") from None
    return data
