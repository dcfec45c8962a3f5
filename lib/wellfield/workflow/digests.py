"""Digests that tell Snakemake what a stage's results depend on: its code, its part of the configuration, its planes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from wellfield.microscopes.scan import ScannedFile
from wellfield.plate.addresses import ARRAY_METADATA, parse_array_plane
from wellfield.plate.keys import PlaneKey
from wellfield.workflow.source_digest import source_digest, source_digests
from wellfield.workflow.user_code import source_files

_PACKAGE = Path(__file__).resolve().parent.parent
_SCRIPTS = _PACKAGE.parent.parent / "scripts"

# Where each stage's code starts: its scripts, and the packages of which modules are imported by name at run time.
STAGES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest": (("ingest_plate",), ("microscopes",)),
    "plan": (("compile_plan",), ("processing",)),
    "process": (("process_well",), ("processing", "formats", "microscopes")),
    "materialize": (("materialize_well",), ("storage", "formats")),
    "check": (("check_plate",), ()),
    "aggregate": (("aggregate_plate", "report_plate"), ("formats", "report")),
}

# Modules that scripts import and that decide nothing of a result, only what is said before it, or which files are ours:
# no stage depends on them, nor on what they import.
NOT_DECIDING = (
    _PACKAGE / "workflow" / "space.py",
    _PACKAGE / "results" / "paths.py",
    _PACKAGE / "results" / "records.py",
    _PACKAGE / "results" / "removal.py",
)

# Source files: modules, and templates of pages.
_KINDS = ("*.py", "*.html")

State = tuple[int | str, ...]

_IMPORT = re.compile(r"^\s*from (wellfield[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def digest_of(value: Any) -> str:
    """Return a short digest of any JSON value."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def stage_files(stage: str) -> tuple[Path, ...]:
    """Return the source files that the results of a stage depend on: all that its code imports, however deep.

    Not followed are those of :data:`NOT_DECIDING`.
    """
    scripts, packages = STAGES[stage]
    pending = [_SCRIPTS / f"{script}.py" for script in scripts]
    pending += [file for package in packages for kind in _KINDS for file in (_PACKAGE / package).rglob(kind)]
    found = set(pending)
    while pending:
        imported = _imported_files(pending.pop()).difference(found, NOT_DECIDING)
        found |= imported
        pending += imported
    return tuple(sorted(found))


@cache
def _imported_files(file: Path) -> frozenset[Path]:
    """Return the files of this package that a file imports, at its top or inside a function."""
    modules = set()
    for module, names in _IMPORT.findall(file.read_text(encoding="utf-8")):
        modules |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))}
    paths = [_PACKAGE.joinpath(*module.split(".")[1:]) for module in modules]
    files = {path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths}
    return frozenset(path for path in files if path.is_file())


@cache
def _stage_sources() -> dict[Path, str]:
    return source_digests({file for stage in STAGES for file in stage_files(stage)})


@cache
def code_digest(stage: str) -> str:
    """Return a digest of what the code does that the results of a stage depend on.

    Comments, docstrings and formatting do not change it, see :mod:`wellfield.workflow.source_digest`.
    """
    sources = _stage_sources()
    root = _PACKAGE.parent.parent
    return digest_of([[file.relative_to(root).as_posix(), sources[file]] for file in stage_files(stage)])


def function_digest(functions: Iterable[str]) -> str:
    """Return a digest of what functions do, given as ``package.module:function`` or ``file.py:function``.

    It covers the whole files that they are in, and modules of the user's own that these import
    (:mod:`wellfield.workflow.user_code`). Comments, docstrings and formatting do not change it.
    """
    found = []
    for function in sorted({name for name in functions if ":" in name}):
        files = sorted(source_files(function.rpartition(":")[0]).items())
        found.append([function, *([name, file.name, source_digest(file.read_bytes())] for name, file in files)])
    return digest_of(found)


def present_state(files: Iterable[ScannedFile]) -> dict[str, State]:
    """Return what is there of a plate: size and time in nanoseconds of a file by its path, a digest of a Zarr array.

    That of an array changes when any file below its folder does: in name, size or time.
    """
    listed = list(files)
    state: dict[str, State] = {file.path: (file.size, file.mtime_ns) for file in listed}
    arrays: dict[str, str | None] = {file.folder: file.folder for file in listed if file.name in ARRAY_METADATA}
    digests: defaultdict[str, Any] = defaultdict(hashlib.sha256)
    for file in listed if arrays else ():
        array = _array_above(file.folder, arrays)
        if array is not None:
            name = file.path[len(array) :].encode(errors="surrogateescape")
            digests[array].update(name + b"\0%d %d\0" % (file.size, file.mtime_ns))
    return state | {array: (digest.hexdigest(),) for array, digest in digests.items()}


def _array_above(folder: str, known: dict[str, str | None]) -> str | None:
    """Return the array that a folder belongs to; *known* takes every folder on the way."""
    if folder not in known:
        known[folder] = _array_above(folder.rpartition("/")[0], known) if folder else None
    return known[folder]


def planes_digest(planes: Iterable[tuple[PlaneKey, str]], now: Mapping[str, State]) -> str:
    """Return a digest over keys, paths and present size and time of a well's planes, given as pairs of key and path.

    *now* is what :func:`present_state` gives: for a plane in an array the state of the array counts; what is gone
    counts as such.
    """
    digest = hashlib.sha256()
    for (well, field, channel, z, timepoint, projection), path in planes:
        address = parse_array_plane(path)
        state = now.get(address.array if address else path, (-1, -1))
        line = f"{well} {field} {channel} {z} {timepoint} {projection} {state} {path}\0"  # a path has no NUL
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
