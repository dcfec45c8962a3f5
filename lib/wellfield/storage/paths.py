"""What a path may be, for every backend alike."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import Any

from wellfield.errors import ArgumentTypeError, InvalidPathError
from wellfield.formats.atomic import is_part

PathLike = str | os.PathLike[str]


def path_text(path: PathLike) -> str:
    """Return a path as text.

    Raises
    ------
    ArgumentTypeError
        It is neither text nor a ``Path``.
    """
    if isinstance(path, str):
        return path
    text = os.fspath(path) if isinstance(path, os.PathLike) else None
    if not isinstance(text, str):
        raise ArgumentTypeError(f"a path is {path!r}, a {type(path).__name__}; expected a text or a Path")
    return text


def valid_path(path: PathLike) -> str:
    """Return a path as text that the operating system can take.

    Raises
    ------
    InvalidPathError
        It holds a null character, or half of a character.
    """
    text = path_text(path)
    if "\0" in text:
        raise InvalidPathError(f"{text!r} is not a path: it holds a null character", path=text)
    if not text.isascii():
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise InvalidPathError(f"{text!r} is not a path: it holds half of a character", path=text) from None
    return text


def named_path(path: PathLike) -> str:
    """Return a path as text of what is made or removed: the empty text is not the working folder.

    Raises
    ------
    InvalidPathError
        It is empty.
    """
    text = valid_path(path)
    if not text:
        raise InvalidPathError("the path is empty; expected the path of an object or a folder", path=text)
    return text


def new_path(path: PathLike) -> str:
    """Return a path as text under which something may be stored.

    Raises
    ------
    InvalidPathError
        It is empty, or its name is kept for unfinished writes (``.name.0123456789ab.part``), which are listed nowhere.
    """
    text = named_path(path)
    if ".part" in text and is_part(PurePath(text).name):
        raise InvalidPathError(
            f"{text}: names such as .name.0123456789ab.part are kept for unfinished writes", path=text
        )
    return text


def path_list(paths: Sequence[PathLike]) -> list[PathLike]:
    """Return the paths of a batch.

    Raises
    ------
    ArgumentTypeError
        They are one path, have no order, or one of them is not a path.
    """
    listed = batch_list(paths, "paths")
    for path in listed:
        path_text(path)
    return listed


def batch_list(values: Collection[Any], what: str) -> list[Any]:
    """Return the values of a batch. Text and sets are refused."""
    try:
        if not isinstance(values, str | bytes | os.PathLike | set | frozenset):
            return list(values)
    except TypeError:
        pass  # no collection
    raise ArgumentTypeError(f"the {what} of a batch are a {type(values).__name__}; expected a list")
