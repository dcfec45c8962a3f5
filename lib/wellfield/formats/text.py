"""Plain text files in UTF-8."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import write_bytes
from wellfield.formats.reading import reading, wrap_write_errors


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file as it is."""
    with reading(path, "UTF-8 text", UnknownFormatError):
        return Path(path).read_bytes().decode()


def write_text(path: str | os.PathLike[str], data: Any, *, durable: bool = False) -> None:
    """Write a ``str`` atomically, as it is."""
    if not isinstance(data, str):
        raise UnknownFormatError(f"{os.fspath(path)}: a text file takes a str, not a {type(data).__name__}")
    with wrap_write_errors(path, "the text cannot be written in UTF-8", UnicodeEncodeError):
        content = data.encode()
    write_bytes(path, content, durable=durable)
