"""File formats by suffix. Which suffix means which format is data; the reader and writer are imported on first use."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from wellfield.errors import UnknownFormatError

# suffix → (module, reader, writer); compound suffixes are matched before their last part
FORMATS: dict[str, tuple[str, str, str]] = {
    ".tif": ("wellfield.formats.tiff", "read_tiff", "write_tiff"),
    ".tiff": ("wellfield.formats.tiff", "read_tiff", "write_tiff"),
    ".ome.tif": ("wellfield.formats.tiff", "read_tiff", "write_tiff"),
    ".ome.tiff": ("wellfield.formats.tiff", "read_tiff", "write_tiff"),
    ".png": ("wellfield.formats.png", "read_png", "write_png"),
    ".npy": ("wellfield.formats.npy", "read_npy", "write_npy"),
    ".csv": ("wellfield.formats.table", "read_csv", "write_csv"),
    ".parquet": ("wellfield.formats.table", "read_parquet", "write_parquet"),
    ".json": ("wellfield.formats.json_files", "read_json", "write_json"),
    ".txt": ("wellfield.formats.text", "read_text", "write_text"),
    ".roi.zip": ("wellfield.formats.roi", "read_rois", "write_rois"),
}

# The formats of one array each; names that end with a compound suffix end with one of these too.
IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".npy")


def format_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix that decides the format of *path*, in lower case, or ``""``."""
    name = os.path.basename(os.fspath(path)).lower()
    matches = [suffix for suffix in FORMATS if name.endswith(suffix)]
    return max(matches, key=len, default="")


def _lookup(path: str | os.PathLike[str], position: int) -> Callable[..., Any]:
    suffix = format_suffix(path)
    if not suffix:
        raise UnknownFormatError(f"{os.fspath(path)}: unknown suffix; expected one of {', '.join(FORMATS)}")
    entry = FORMATS[suffix]
    function: Callable[..., Any] = getattr(importlib.import_module(entry[0]), entry[position])
    return function


def reader(path: str | os.PathLike[str]) -> Callable[..., Any]:
    """Return the function that reads the format of *path*."""
    return _lookup(path, 1)


def writer(path: str | os.PathLike[str]) -> Callable[..., Any]:
    """Return the function that writes the format of *path*."""
    return _lookup(path, 2)
