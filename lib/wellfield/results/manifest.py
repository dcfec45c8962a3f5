"""The manifest of a well: its status, what became of its planes, and every file of its results. Written last."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wellfield import __version__
from wellfield.formats.checked_json import InnerPath, OwnJson
from wellfield.formats.json_files import write_json
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.results.paths import WellFile

MANIFEST_SCHEMA_VERSION = 1

_LEFT_OUT = [{"plane": str, "reason?": str}]
MANIFEST = OwnJson(
    "manifest of a well",
    MANIFEST_SCHEMA_VERSION,
    {
        "plate": str,
        "well": str,
        "status": str,
        "error": ({"message": str}, None),
        "planes": {
            "used": int,
            "missing": [str],
            "skipped": _LEFT_OUT,
            "blanked": _LEFT_OUT,
            "skipped_fields": {str: str},
        },
        "plan_digest": str,
        "files": [{"path": InnerPath, "size": int, "sha256": str, "columns?": {str: str}}],
    },
    "Delete it, and the next run does the well again",
)

_LIBRARIES = ("numpy", "scipy", "scikit-image", "tifffile", "zarr", "pyarrow")


def file_entry(root: Path, path: Path, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the entry of one file: path relative to *root*, size, SHA-256 and further *facts*."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": path.relative_to(root).as_posix(), "size": path.stat().st_size, "sha256": digest, **(facts or {})}


def folder_names(path: Path) -> list[str]:
    """Return the paths of all files below a folder, relative to the folder."""
    return [file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file()]


def folder_entry(
    root: Path, path: Path, facts: Mapping[str, Any] | None = None, *, names: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return the entry of a folder (a well of a Zarr store): one digest over the names and bytes of its files.

    With *names*, only these files count; the others belong to the user.
    """
    digest, size, count = hashlib.sha256(), 0, 0
    for name in sorted(path / name for name in (folder_names(path) if names is None else names)):
        entry = file_entry(path, name)
        digest.update(f"{entry['path']}\0{entry['sha256']}\0".encode())
        size, count = size + entry["size"], count + 1
    relative = path.relative_to(root).as_posix()
    return {"path": f"{relative}/", "size": size, "files": count, "sha256": digest.hexdigest(), **(facts or {})}


def write_manifest(
    path: str | os.PathLike[str],
    *,
    plate: str,
    well: str,
    status: str,
    error: Mapping[str, Any] | None,
    planes: PlaneAccount,
    plan_digest: str,
    files: Iterable[Mapping[str, Any]],
) -> None:
    """Write the manifest of a well durably. Only its block ``run`` depends on the machine."""
    data = {
        "schema_version": MANIFEST_SCHEMA_VERSION,
        "plate": plate,
        "well": well,
        "status": status,
        "error": error,
        "planes": asdict(planes),
        "plan_digest": plan_digest,
        "files": sorted(files, key=lambda entry: str(entry["path"])),
        "run": {
            "python": ".".join(map(str, sys.version_info[:3])),
            "wellfield": __version__,
            **_versions(),
        },
    }
    write_json(path, data, durable=True)


@cache
def _versions() -> Mapping[str, str]:
    """Return the versions of the libraries that results depend on; looked up once for all wells of a job."""
    return {name: version(name) for name in _LIBRARIES}


def read_manifests(results: str | os.PathLike[str], wells: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the manifest of each of these wells; errors as :func:`read_manifest`."""
    return {well: read_manifest(Path(results, WellFile.MANIFEST.of(well))) for well in wells}


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a manifest.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MetadataError
        The file is damaged.
    SchemaVersionError
        Another version of Wellfield wrote it.
    """
    return MANIFEST.read(path)
