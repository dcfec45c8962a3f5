"""JSON files: UTF-8, written atomically, never replaced by a default when they are corrupt."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from wellfield.errors import MetadataError, UnknownFormatError
from wellfield.formats.atomic import write_bytes


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    MetadataError
        The file is no JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"{os.fspath(path)} is no valid JSON ({error}); mend it or delete it") from error


def write_json(path: str | os.PathLike[str], data: Any, *, indent: int | None = 2, durable: bool = False) -> None:
    """Write *data* atomically; a ``str`` is taken as JSON text and written as it is."""
    if isinstance(data, str):
        text = data
    else:
        try:
            text = json.dumps(data, indent=indent, ensure_ascii=False, default=_plain) + "\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise UnknownFormatError(
                f"{os.fspath(path)}: {error}; JSON holds numbers, text, lists and dictionaries"
            ) from error
    write_bytes(path, text.encode(), durable=durable)


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy number
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def json_value(data: Any) -> Any:
    """Return *data* as plain JSON values.

    Raises
    ------
    UnknownFormatError
        It holds something that JSON cannot.
    """
    try:
        return json.loads(json.dumps(data, default=_plain))
    except (TypeError, ValueError) as error:
        raise UnknownFormatError(f"{error}; JSON holds numbers, text, lists and dictionaries") from error
