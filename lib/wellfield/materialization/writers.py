"""The writers: one per type of options, chosen by that type."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wellfield.errors import MaterializationError
from wellfield.materialization.spec import CsvOptions, JsonOptions, MaterializationSpec, Options, ParquetOptions, select
from wellfield.storage.filemanager import FileManager

# Suffixes that a path may come with and that the writer's own suffix replaces; the longest first.
_STRIPPED = (
    ".roi.zip",
    ".ome.tiff",
    ".ome.tif",
    ".parquet",
    ".json",
    ".csv",
    ".tiff",
    ".tif",
    ".npy",
    ".pkl",
    ".txt",
    ".zip",
)


def base_path(path: str | os.PathLike[str]) -> str:
    """Return *path* without its (compound) suffix."""
    text = os.fspath(path)
    suffix = next((suffix for suffix in _STRIPPED if text.lower().endswith(suffix)), "")
    return text[: len(text) - len(suffix)]


def _table(data: Any, options: CsvOptions | ParquetOptions) -> Any:
    from wellfield.formats.table import to_table

    table = to_table(data)
    if options.fields is None:
        return table
    missing = [name for name in options.fields if name not in table.column_names]
    if missing:
        raise MaterializationError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    return table.select(list(options.fields))


def _value(data: Any, options: JsonOptions) -> Any:
    return data


_PREPARE: dict[type[Any], Callable[[Any, Any], Any]] = {CsvOptions: _table, ParquetOptions: _table, JsonOptions: _value}


def materialize(
    spec: MaterializationSpec,
    data: Any,
    path: str | os.PathLike[str],
    filemanager: FileManager,
    backends: Sequence[str] = ("disk",),
) -> str:
    """Write *data* as *spec* says, next to *path*; return the path that the primary option wrote.

    The suffix of *path* is replaced by that of each option. Every file is written to each of *backends*.

    Raises
    ------
    MaterializationError
        The data has no such part or column, or a backend is not allowed for this output.
    """
    if spec.allowed_backends is not None and (refused := [b for b in backends if b not in spec.allowed_backends]):
        raise MaterializationError(
            f"{os.fspath(path)}: backend {refused[0]!r} is not allowed; allowed: {spec.allowed_backends}"
        )
    parts = [select(data, option.source) for option in spec.options]
    pairs = zip(spec.options, parts, strict=True)
    targets = [write_option(option, part, path, filemanager, backends) for option, part in pairs]
    return targets[spec.primary]


def write_option(
    option: Options,
    part: Any,
    path: str | os.PathLike[str],
    filemanager: FileManager,
    backends: Sequence[str] = ("disk",),
) -> str:
    """Write the part of an output that one option is about; return the path."""
    target = base_path(path) + option.filename_suffix
    prepared = _PREPARE[type(option)](part, option)
    for backend in backends:
        filemanager.ensure_directory(Path(target).parent, backend)
        filemanager.save(prepared, target, backend, **_save_options(option))
    return target


def _save_options(option: Options) -> dict[str, Any]:
    return {"indent": option.indent} if isinstance(option, JsonOptions) else {}
