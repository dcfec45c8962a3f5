"""Plain text files in UTF-8."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import write_bytes


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file as it is."""
    try:
        return Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise UnknownFormatError(f"{os.fspath(path)} is no text in UTF-8: {error}") from error


def write_text(path: str | os.PathLike[str], data: Any) -> None:
    """Write a ``str`` atomically, as it is."""
    if not isinstance(data, str):
        raise UnknownFormatError(f"{os.fspath(path)}: a text file takes a str, not a {type(data).__name__}")
    write_bytes(path, data.encode())
