"""Reading ``openhcs_metadata.json``: the interchange form of a plate's mapping and metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellfield.errors import MetadataError
from wellfield.formats.json import read_json
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
        raise MetadataError(f"{path}: 'subdirectories' is no object of objects")
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


def primary_backend(entry: Mapping[str, Any], *, source: str) -> Backend:
    """Return the preferred one of a subdirectory's available backends: zarr, then virtual workspace, then disk.

    Raises
    ------
    MetadataError
        None of them is available, or ``available_backends`` is no object of backend to true or false.
    """
    available = entry.get("available_backends", {})
    if not isinstance(available, dict) or not all(isinstance(there, bool) for there in available.values()):
        raise MetadataError(
            f'{source}: available_backends is {available!r}; expected one such as {{"disk": true, "zarr": false}}'
        )
    for backend in BACKEND_PREFERENCE:
        if available.get(str(backend)):
            return backend
    raise MetadataError(f"{source}: no usable entry in available_backends {available}")
