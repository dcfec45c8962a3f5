"""Digests of Python source that only what the code does can change: no comment, no docstring, no formatting.

Example: ``def f(x): return x+1`` and the same function with a docstring, spread over three lines, have one digest;
``return x + 2`` has another. The digest does not depend on the version of Python.
"""

from __future__ import annotations

import ast
import hashlib
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wellfield.formats.json_files import read_json, write_json

# Part of every digest: another number reruns everything.
_VERSION = 1

# The cache begins again from the present files when it has more entries than this.
_KEPT = 5000

# Fields that follow from where a node stands, or that no code can see.
_SKIPPED = frozenset({"ctx", "kind", "type_comment"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def source_digest(source: bytes) -> str:
    """Return a digest of what Python source does; of its bytes where it is not Python."""
    try:
        parts: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a text such as "\\d" warns: that is for whoever runs it
            tree = ast.parse(source)
        _describe(tree, parts)
        text = "\0".join(parts).encode(errors="surrogatepass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # who imports it says what is wrong
        text = source
    return _hash(b"%d\0" % _VERSION + text)


def cache_file() -> Path:
    """Return where digests are kept between runs: ``~/.cache/wellfield/source_digests.json``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wellfield", "source_digests.json")


def source_digests(files: Iterable[Path], cache: Path | None = None) -> dict[Path, str]:
    """Return the :func:`source_digest` of each file.

    Parsing the whole package takes about two seconds. So the file *cache*, by default that of :func:`cache_file`, keeps
    each digest by the SHA-256 of its source. A cache that cannot be read or written costs these seconds and no more.
    """
    with suppress(RuntimeError):  # this user has no home
        cache = cache or cache_file()
    known = _read_cache(cache) if cache else {}
    sources = {file: file.read_bytes() for file in files}
    keys = {file: _hash(b"%d\0" % _VERSION + source) for file, source in sources.items()}
    new = {keys[file]: source_digest(source) for file, source in sources.items() if keys[file] not in known}
    found = {key: new.get(key) or known[key] for key in keys.values()}
    if new and cache:
        with suppress(Exception):
            write_json(cache, found if len(known) > _KEPT else {**known, **new}, indent=None)
    return {file: found[key] for file, key in keys.items()}


def _read_cache(cache: Path) -> dict[str, str]:
    with suppress(Exception):
        found = read_json(cache)
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
            return found
    return {}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _describe(node: ast.AST, parts: list[str]) -> None:
    """Append the type and the fields of a node; what a later version of Python adds and this code lacks is empty."""
    parts.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            value = node.body[1:]
        if isinstance(node, ast.JoinedStr):  # Python 3.12 puts empty texts into formats such as {x:>{width}}
            value = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        if value is None or value == [] or name in _SKIPPED:
            continue
        parts.append(f"{name}=")
        _describe_value(value, parts)
    parts.append(")")


def _describe_value(value: object, parts: list[str]) -> None:
    if isinstance(value, ast.AST):
        _describe(value, parts)
    elif isinstance(value, list):
        for item in value:
            _describe_value(item, parts)
    else:
        parts.append(repr(value))
