"""What earlier specs wrote for an output: removed when it is stale, while nothing else is ever touched."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wellfield.errors import MaterializationError
from wellfield.storage.filemanager import FileManager


class EarlierFiles:
    """The files of one output in one backend, as a hidden file beside them lists them: ``.<name>.materialized.json``.

    Only what is listed there is ever removed: an image ``A01.tif`` beside a table ``A01.csv`` may be anybody's.

    Parameters
    ----------
    path:
        Path of the output as it was given. The file there stays, whoever wrote it.
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
        """Remove what is not among the new *files*, and list these instead."""
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
            raise MaterializationError(f"{self._list} does not list the files of {base}; delete it")
        return names
