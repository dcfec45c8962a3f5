"""JSON files that Wellfield wrote itself, checked for their shape when they are read.

Whatever is wrong with such a file is one error that names it, the place in it, and what to do.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wellfield.errors import MetadataError, SchemaVersionError, WellfieldError
from wellfield.formats.reading import reading
from wellfield.formatting import size_text

# What a value must be: a type (float takes whole numbers too), [shape] for a list, {"name": shape} for an object that
# has these entries and maybe others ("name?": it may lack), {str: shape} for an object of any names, a tuple of shapes
# for one of them, None for null. Example: {"plate": str, "files": [{"path": str}], "error": (dict, None)}
Shape = Any


class InnerPath(str):
    """In a shape: a relative path, in its one spelling, that stays in the folder that it is relative to."""

    __slots__ = ()


# No file that Wellfield writes is this large: a plate of 1,536 wells × 100,000 planes has some 100 MB of metadata.
MOST_BYTES = 1 << 30

_NAMES = {
    InnerPath: "a path that stays in the folder of the results",
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    None: "null",
}


@dataclass(frozen=True)
class OwnJson:
    """A kind of JSON file that Wellfield writes.

    Parameters
    ----------
    what:
        What the file is, as errors say it: ``"plan"``.
    version:
        The ``schema_version`` that this program writes; ``None`` for files that have none.
    shape:
        What the file holds, see :data:`Shape`.
    again:
        How to get a sound file, as the end of an error: ``"delete it, and the next run compiles it again"``.
    """

    what: str
    version: int | None
    shape: Shape
    again: str

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return what such a file holds.

        Raises
        ------
        DataNotFoundError
            The file does not exist.
        MetadataError
            It is not JSON, or not of the shape.
        SchemaVersionError
            Another version of Wellfield wrote it.
        """
        with reading(path, f"{self.what}, a JSON file", MetadataError):
            size = os.stat(path).st_size
            if size > MOST_BYTES:
                raise self._error(path, f"it has {size_text(size)}")
            content = Path(path).read_bytes()
        return self.parse(content, source=path)

    def parse(self, content: str | bytes, *, source: str | os.PathLike[str]) -> dict[str, Any]:
        """Return what the text of such a file says; errors as :meth:`read`."""
        if not content.strip():
            raise self._error(source, "it is empty")
        try:
            data = json.loads(content, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise self._error(source, f"it is not valid JSON: {error}") from error
        return self.check(data, source=source)

    def check(self, data: Any, *, source: str | os.PathLike[str]) -> dict[str, Any]:
        """Return *data*, which was read from such a file; errors as :meth:`read`."""
        if not isinstance(data, dict):
            raise self._error(source, f"the content is {_shown(data)}; expected an object")
        if self.version is not None:
            check_schema_version(data.get("schema_version"), self.version, source=os.fspath(source))
        if problem := shape_problem(data, self.shape):
            raise self._error(source, problem)
        return data

    @contextmanager
    def parsing(self, source: str | os.PathLike[str]) -> Iterator[None]:
        """Turn what goes wrong in the block, which makes objects of checked values, into the file's one error."""
        try:
            yield
        except WellfieldError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            reason = f"{error!r} is not known" if isinstance(error, KeyError) else str(error)
            raise self._error(source, reason or type(error).__name__) from error

    def _error(self, source: str | os.PathLike[str], problem: str) -> MetadataError:
        return MetadataError(f"{os.fspath(source)} is not a valid {self.what}: {problem}. {self.again}")


def check_schema_version(found: Any, expected: int, *, source: str) -> None:
    """Raise :class:`SchemaVersionError` unless a file has the schema version that this program writes."""
    if found != expected or isinstance(found, bool):
        raise SchemaVersionError(
            f"{source} has schema version {_shown(found)}; this version of Wellfield reads {expected}. "
            "Use the version that wrote it, or move these results away and run again"
        )


def shape_problem(value: Any, shape: Shape, place: str = "") -> str | None:
    """Return the first place where a JSON value is not of a shape, and what it is; ``None`` if it is."""
    if isinstance(shape, tuple):
        problems = [shape_problem(value, one, place) for one in shape]
        return None if None in problems else problems[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, list, place)
        if isinstance(shape[0], type) and all(_is(item, shape[0]) for item in value):  # long lists of names
            return None
        found = (shape_problem(item, shape[0], f"{place}[{number}]") for number, item in enumerate(value))
        return next(filter(None, found), None)
    if isinstance(shape, dict):
        return _object_problem(value, shape, place)
    return None if _is(value, shape) else _wrong(value, shape, place)


def _object_problem(value: Any, shape: dict[Any, Shape], place: str) -> str | None:
    if not isinstance(value, dict):
        return _wrong(value, dict, place)
    if str in shape:
        found = (shape_problem(entry, shape[str], f"{place}[{_shown(name)}]") for name, entry in value.items())
        return next(filter(None, found), None)
    for key, one in shape.items():
        name = key.removesuffix("?")
        if name not in value:
            if name == key:
                return f"{place or 'the content'} has no {name!r}"
        elif problem := shape_problem(value[name], one, f"{place}.{name}" if place else name):
            return problem
    return None


def _is(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:  # of what numpy, Arrow and file systems hold
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind is InnerPath:
        return is_inner(value)
    return isinstance(value, kind)


def is_inner(path: Any) -> bool:
    """Tell whether a path is relative, in its one spelling, and stays in its folder; a folder ends with a slash."""
    if not isinstance(path, str) or "\0" in path:
        return False
    return not {"", ".", ".."} & set(path.removesuffix("/").split("/"))


def _wrong(value: Any, kind: Any, place: str) -> str:
    expected = _NAMES.get(kind) or ("a whole number" if kind is int else "a number")
    return f"{place or 'the content'} is {_shown(value)}; expected {expected}"


def _shown(value: Any) -> str:
    """Return the start of a value on one line."""
    if isinstance(value, int | float | None):
        text = "null" if value is None else json.dumps(value) if isinstance(value, bool) else repr(value)
    elif isinstance(value, str):
        text = json.dumps(value[:80])
    else:
        text = f"a list of {len(value)}" if isinstance(value, list) else "an object" if value else "an empty object"
    return text if len(text) <= 60 else f"{text[:56]}…"


def _refuse_constant(name: str) -> Callable[..., Any]:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise ValueError(f"an object has the key {_shown(names.most_common(1)[0][0])} twice")
    return found
