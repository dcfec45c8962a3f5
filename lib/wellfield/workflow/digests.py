"""Digests that tell Snakemake what a stage's results depend on: its code, its part of the configuration, its planes."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from wellfield.plate.index import PlaneRecord

_PACKAGE = Path(__file__).resolve().parent.parent

_GROUND = ("errors.py", "plate", "formats")

# What each stage's results depend on. A stage that gains an import gets it here; a test compares the two.
STAGE_CODE: Mapping[str, tuple[str, ...]] = {
    "ingest": (*_GROUND, "microscopes", "storage/backend.py", "workflow/ingest.py"),
    "process": (
        *_GROUND,
        "config",
        "materialization/spec.py",
        "materialization/__init__.py",
        "memory",
        "microscopes/paths.py",
        "pipeline",
        "processing",
        "storage",
        "workflow/compile.py",
        "workflow/process.py",
    ),
    "materialize": (
        *_GROUND,
        "materialization",
        "pipeline",
        "processing/registry.py",
        "report/thumbnails.py",
        "storage",
        "workflow/materialize.py",
    ),
    "aggregate": (
        *_GROUND,
        "materialization",
        "report",
        "storage",
        "workflow/aggregate.py",
        "workflow/report.py",
        "workflow/check.py",
    ),
}


def digest_of(value: Any) -> str:
    """Return a short digest of any JSON value."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_digest(stage: str) -> str:
    """Return a digest over all source files that the results of a stage depend on."""
    digest = hashlib.sha256()
    for entry in STAGE_CODE[stage]:
        path = _PACKAGE / entry
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(_PACKAGE).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def function_digest(functions: Iterable[str]) -> str:
    """Return a digest over the source files of functions given as ``package.module:function``."""
    digest = hashlib.sha256()
    for function in sorted({name for name in functions if ":" in name}):
        module = function.partition(":")[0]
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            spec = None
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        digest.update(function.encode())
        if origin is not None and origin.is_file():
            digest.update(origin.read_bytes())
    return digest.hexdigest()[:16]


def planes_digest(planes: Sequence[PlaneRecord], now: Mapping[str, tuple[int, int]]) -> str:
    """Return a digest over keys, paths and present size and time of a well's planes.

    *now* maps a path relative to the plate folder to size and modification time in nanoseconds; a file that is gone
    counts as such.
    """
    return digest_of([[*plane.key, plane.path, *now.get(plane.path, (-1, -1))] for plane in planes])
