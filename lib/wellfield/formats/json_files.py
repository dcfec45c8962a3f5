"""JSON files: UTF-8, written atomically, never replaced by a default when they are corrupt.

NaN and infinity are not JSON: other programs refuse a file that has them, so they are refused when written. Files of
other programs that have them are read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellfield.errors import MetadataError, UnknownFormatError
from wellfield.formats.reading import reading
from wellfield.formats.text import write_text


def read_json(path: str | os.PathLike[str]) -> Any:
    """Return what a JSON file holds.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    MetadataError
        The file is not JSON.
    """
    with reading(path, "JSON file", MetadataError):
        content = Path(path).read_bytes()
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise MetadataError(f"{os.fspath(path)} is not valid JSON ({error}); repair it or delete it") from error


def write_json(path: str | os.PathLike[str], data: Any, *, indent: int | None = 2, durable: bool = False) -> None:
    """Write *data* atomically; a ``str`` is taken as JSON text and written as it is.

    Raises
    ------
    UnknownFormatError
        *data* holds something that JSON cannot, such as NaN.
    """
    if not isinstance(data, str):
        try:
            data = _dumps(data, indent) + "\n"
        except UnknownFormatError as error:
            raise UnknownFormatError(f"{os.fspath(path)}: {error}") from error
    write_text(path, data, durable=durable)


def json_value(data: Any) -> Any:
    """Return *data* as plain JSON values.

    Raises
    ------
    UnknownFormatError
        It holds something that JSON cannot, such as NaN.
    """
    return json.loads(_dumps(data, None))


def _dumps(data: Any, indent: int | None) -> str:
    try:
        return json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        if "JSON compliant" in str(error) and (place := _not_finite(data)):
            raise UnknownFormatError(
                f"{place} is NaN or infinite, which JSON cannot hold; give None where there is no value"
            ) from error
        raise UnknownFormatError(f"{error}; JSON holds numbers, text, lists and dictionaries") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy number
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a {type(value).__name__} is not a JSON value")


def _not_finite(data: Any, place: str = "the value") -> str | None:
    """Return where the first NaN or infinity is, such as ``the value['area'][2]``."""
    if hasattr(data, "tolist"):
        data = data.tolist()
    if isinstance(data, float):
        return None if math.isfinite(data) else place
    items = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    return next((found for key, item in items if (found := _not_finite(item, f"{place}[{key!r}]"))), None)
