"""Removes the files that an earlier spec wrote for an output and the present one does not."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wellfield.errors import MaterializationError
from wellfield.storage.filemanager import FileManager


class EarlierFiles:
    """The files of one output in one backend, listed in a hidden file next to them: ``.<name>.materialized.json``.

    Only listed files are removed: an image ``A01.tif`` next to a table ``A01.csv`` may belong to somebody else.

    Parameters
    ----------
    path:
        Path of the output as it was given. A file there is never removed.
    base:
        The same without its suffix.

    Raises
    ------
    MaterializationError
        The list is damaged.
    """

    def __init__(self, path: str | os.PathLike[str], base: str, filemanager: FileManager, backend: str) -> None:
        self._given = os.path.normpath(os.fspath(path))
        self._folder, name = os.path.split(base)
        self._list = os.path.join(self._folder, f".{name}.materialized.json")
        self._filemanager = filemanager
        self._backend = backend
        self._names = self._read(name)

    def replace(self, files: Sequence[str]) -> None:
        """Remove the listed files that are not among the new *files*, and list the new ones."""
        new = [os.path.basename(path) for path in files]
        for name in self._names:
            path = os.path.join(self._folder, name)
            is_stale = name not in new and os.path.normpath(path) != self._given
            if is_stale and self._filemanager.is_file(path, self._backend):
                self._filemanager.delete(path, self._backend)
        self._filemanager.save({"files": new}, self._list, self._backend)

    def _read(self, base: str) -> list[str]:
        if not self._filemanager.is_file(self._list, self._backend):
            return []
        found = self._filemanager.load(self._list, self._backend)
        names = found.get("files") if isinstance(found, dict) else None
        if not isinstance(names, list) or any(os.path.basename(n) != n or not n.startswith(base) for n in names):
            raise MaterializationError(f"{self._list} is damaged: it does not list files of {base}; delete it")
        return names
