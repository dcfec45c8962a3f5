"""Writes an output to the files that its spec names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from wellfield.errors import MaterializationError, UnsupportedOperationError, WellfieldError
from wellfield.formats import FORMATS
from wellfield.materialization.output_types import ImagePlace, OutputType
from wellfield.materialization.spec import MaterializationSpec, select
from wellfield.materialization.stale_files import EarlierFiles
from wellfield.storage.backend import Backend
from wellfield.storage.base import ReadableBackend, StorageBackend
from wellfield.storage.filemanager import FileManager

# Suffixes that a path may come with and that the writer's own suffix replaces; the longest first.
_STRIPPED = sorted([*FORMATS, ".pkl", ".zip"], key=len, reverse=True)


_UNKNOWN = ImagePlace()


def base_path(path: str | os.PathLike[str]) -> str:
    """Return *path* without its (compound) suffix; other dots are part of the name: ``a.b.roi.zip`` → ``a.b``."""
    folder, name = os.path.split(os.fspath(path))
    suffix = next((suffix for suffix in _STRIPPED if name.lower().endswith(suffix) and len(name) > len(suffix)), "")
    return os.path.join(folder, name[: len(name) - len(suffix)])


def materialize(
    spec: MaterializationSpec,
    data: Any,
    path: str | os.PathLike[str],
    filemanager: FileManager,
    backends: Sequence[str] = ("disk",),
    *,
    place: ImagePlace = _UNKNOWN,
) -> str:
    """Write the files that *spec* asks for; return the path of the file of its primary option.

    Each option replaces the suffix of *path* by its own: ``out/cells.csv`` and ``out/cells.roi.zip``. Every file is
    written to each of *backends*. Nothing is written unless all of the data fits all of them. Files that an earlier
    spec wrote for the same output and this one does not are removed at the end; see
    :class:`~wellfield.materialization.stale_files.EarlierFiles`.

    Parameters
    ----------
    place:
        The image that the data belongs to, as far as it is known; TIFF files and regions record it.

    Raises
    ------
    MaterializationError
        The data lacks the part or column that an option names, or does not fit its format; or a backend is not allowed
        for this output, or cannot hold its files.
    UnsupportedOperationError
        A backend is read-only.
    """
    names = _checked_backends(spec.options, path, filemanager, backends)
    if spec.allowed_backends and (refused := [name for name in names if name not in spec.allowed_backends]):
        raise MaterializationError(
            f"{os.fspath(path)}: backend {refused[0]!r} is not allowed; allowed: {', '.join(spec.allowed_backends)}"
        )
    contents = [_content(option, data, option.source, path, place) for option in spec.options]
    listing = [name for name in names if _is_storage(filemanager, name) and name != Backend.ZARR]
    earlier = [EarlierFiles(path, base_path(path), filemanager, name) for name in listing]
    targets = [_target(option, path) for option in spec.options]
    for name in names:
        for option, content, target in zip(spec.options, contents, targets, strict=True):
            _save(option, content, target, filemanager, backend=name, place=place)
    for files in earlier:
        files.replace(targets)
    return targets[spec.primary]


def write_option(
    option: OutputType,
    part: Any,
    path: str | os.PathLike[str],
    filemanager: FileManager,
    backends: Sequence[str] = ("disk",),
    *,
    place: ImagePlace = _UNKNOWN,
) -> str:
    """Write the file of one option; return its path. No other file is touched.

    Raises
    ------
    MaterializationError, UnsupportedOperationError
        As for :func:`materialize`.
    """
    names = _checked_backends([option], path, filemanager, backends)
    content, target = _content(option, part, None, path, place), _target(option, path)
    for name in names:
        _save(option, content, target, filemanager, backend=name, place=place)
    return target


def _checked_backends(
    options: Sequence[OutputType], path: str | os.PathLike[str], filemanager: FileManager, backends: Sequence[str]
) -> list[str]:
    """Return the names of *backends*, after checking that each can hold the files of all options."""
    names = [backends] if isinstance(backends, str) else list(dict.fromkeys(map(str, backends)))
    where = os.fspath(path)
    if not names or not os.path.basename(where):
        raise MaterializationError(
            f"cannot write to path {where!r} in backends {names}; expected the path of a file and at least one backend"
        )
    for name in names:
        if isinstance(filemanager.backend(name), ReadableBackend) and not _is_storage(filemanager, name):
            raise UnsupportedOperationError(f"{where}: storage backend {name!r} is read-only")
    if Backend.ZARR in names:
        if other := [option for option in options if not option.in_zarr]:
            raise MaterializationError(
                f"{where}: the zarr backend holds images only, and {type(other[0]).__name__} writes none; write this "
                "output to disk"
            )
        if Backend.DISK in names:
            raise MaterializationError(
                f"{where}: zarr and disk would put a folder and a file at the same path; name one of them"
            )
    return names


def _content(option: OutputType, data: Any, source: str | None, path: str | os.PathLike[str], place: ImagePlace) -> Any:
    """Return the data of one option in the form that its file format takes."""
    try:
        return option.encode(select(data, source), place)
    except WellfieldError as error:
        raise MaterializationError(f"{_target(option, path)}: {error}") from error


def _save(
    option: OutputType, content: Any, target: str, filemanager: FileManager, *, backend: str, place: ImagePlace
) -> None:
    settings = {} if backend == Backend.ZARR else option.save_settings(content, place)
    filemanager.save(content, target, backend, **settings)


def _is_storage(filemanager: FileManager, backend: str) -> bool:
    """Tell whether a backend has files and folders. A viewer, which only takes data, has none."""
    return isinstance(filemanager.backend(backend), StorageBackend)


def _target(option: OutputType, path: str | os.PathLike[str]) -> str:
    return base_path(path) + option.filename_suffix
