"""Reading ``openhcs_metadata.json``: the interchange form of a plate's mapping and metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellfield.errors import MetadataError, PathEscapeError
from wellfield.formats import IMAGE_SUFFIXES
from wellfield.formats.json_files import read_json
from wellfield.plate.addresses import parse_array_plane
from wellfield.storage.backend import Backend

METADATA_NAME = "openhcs_metadata.json"

# Where data of a plate is read from when it is available in several places.
BACKEND_PREFERENCE = (Backend.ZARR, Backend.VIRTUAL_WORKSPACE, Backend.DISK)


def read_metadata(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata in *folder*, always in the form with ``subdirectories``.

    Raises
    ------
    FileNotFoundError
        There is no metadata file.
    MetadataError
        The file is corrupt; it is never replaced by a default.
    """
    path = Path(folder) / METADATA_NAME
    data = read_json(path)
    if not isinstance(data, dict):
        raise MetadataError(f"{path}: expected a JSON object, found a {type(data).__name__}")
    if "subdirectories" not in data:
        data = {"subdirectories": {".": {"main": True, **data}}}
    subdirectories = data["subdirectories"]
    if not isinstance(subdirectories, dict) or not all(isinstance(entry, dict) for entry in subdirectories.values()):
        raise MetadataError(f"{path}: 'subdirectories' must be an object of objects")
    return data


def main_subdirectory(metadata: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Return the metadata of the subdirectory marked ``"main": true``.

    Where there is only one subdirectory nothing is to be chosen: it is that one, whatever its mark.

    Raises
    ------
    MetadataError
        Several subdirectories and not exactly one of them is the main one, or there is none at all.
    """
    subdirectories: dict[str, dict[str, Any]] = metadata["subdirectories"]
    if len(subdirectories) == 1:
        return next(iter(subdirectories.values()))
    main = [name for name, entry in subdirectories.items() if entry.get("main") is True]
    if len(main) != 1:
        raise MetadataError(
            f'{source}: {len(main)} of the subdirectories {sorted(subdirectories)} have "main": true; expected one'
        )
    return subdirectories[main[0]]


def available_backends(entry: Mapping[str, Any], *, source: str) -> dict[str, bool]:
    """Return which backends a subdirectory can be read through.

    Metadata without ``available_backends`` tells it by what it lists: ``{"workspace_mapping": …}`` is a virtual
    workspace, ``{"image_files": …}`` are files.

    Raises
    ------
    MetadataError
        ``available_backends`` is not an object of backend to true or false.
    """
    if "available_backends" not in entry:
        told_by = {Backend.VIRTUAL_WORKSPACE: "workspace_mapping", Backend.DISK: "image_files"}
        return {str(backend): True for backend, field in told_by.items() if entry.get(field)}
    available = entry["available_backends"]
    if not isinstance(available, dict) or not all(isinstance(there, bool) for there in available.values()):
        raise MetadataError(
            f'{source}: available_backends is {available!r}; expected one such as {{"disk": true, "zarr": false}}'
        )
    return available


def primary_backend(entry: Mapping[str, Any], *, source: str) -> Backend:
    """Return the preferred one of a subdirectory's available backends: zarr, then virtual workspace, then disk.

    Raises
    ------
    MetadataError
        None of them is available, or ``available_backends`` is not an object of backend to true or false.
    """
    available = available_backends(entry, source=source)
    for backend in BACKEND_PREFERENCE:
        if available.get(str(backend)):
            return backend
    raise MetadataError(f"{source}: no usable entry in available_backends {available}")


def mapped_plate(folder: str | os.PathLike[str]) -> tuple[Path, dict[str, str]]:
    """Return the plate folder and the mapping (virtual path → real path in it) that the metadata in *folder* holds.

    The plate folder is *folder* itself, unless the metadata names another as ``plate_path``, as that in results does.

    Raises
    ------
    MetadataError
        The main subdirectory has no mapping, or maps a path to something other than a file.
    PathEscapeError
        A file of the mapping lies elsewhere, or ``plate_path`` leads out of *folder* and a file is not an image: a
        mapping may not open other files of the machine.
    """
    file, here = Path(folder) / METADATA_NAME, os.path.abspath(folder)
    entry = main_subdirectory(read_metadata(folder), source=os.fspath(file))
    mapping, named = entry.get("workspace_mapping"), entry.get("plate_path", ".")
    if not isinstance(mapping, dict) or not mapping:
        raise MetadataError(f"{file}: the main subdirectory has no 'workspace_mapping' with the planes")
    if not isinstance(named, str) or "\0" in named:
        raise MetadataError(f"{file}: plate_path is {named!r}; expected the path of the plate folder")
    root = os.path.normpath(os.path.join(here, named))
    paths = {name: _mapped_path(name, value, root, file) for name, value in mapping.items()}
    if root != here:
        for name, path in paths.items():
            if parse_array_plane(path) is None and not path.lower().endswith(IMAGE_SUFFIXES):
                raise PathEscapeError(f"{file}: {name} is mapped to {path} of {root}, which is not an image")
    return Path(root), paths


def _mapped_path(name: str, value: Any, root: str, file: Path) -> str:
    """Return the path that a value of a mapping gives: the value, or the address in an object of OpenHCS."""
    if isinstance(value, dict) and value.get("backend") == Backend.DISK and not value.get("source_axis_indices"):
        value = value.get("backend_address")
        if isinstance(value, str) and value.startswith(root + os.sep):
            value = value.removeprefix(root + os.sep)
    if not isinstance(value, str):
        raise MetadataError(
            f"{file}: {name} is mapped to {value!r}; expected the path of a file of one plane, or an object with the "
            "backend 'disk' and its 'backend_address'"
        )
    return value
