"""An index of virtual paths: their folders and their natural order."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable

from natsort import natsorted

from wellfield.errors import StorageError
from wellfield.storage.base import has_extension


class PathIndex:
    """The folders in a set of relative paths, with everything in natural order.

    Natural order is computed once, at the start; the cost of a listing then depends only on what it returns.

    Parameters
    ----------
    paths:
        Relative paths with ``/`` between their parts.

    Raises
    ------
    StorageError
        A path is below another path.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._files: dict[str, list[str]] = {".": []}  # folder → files in it
        self._folders: dict[str, list[str]] = {".": []}  # folder → folders in it
        files = list(paths)
        for path in files:
            folder = _parent(path)
            self._add_folder(folder)
            self._files[folder].append(path)
        if both := self._files.keys() & set(files):
            raise StorageError(f"{min(both)} is the path of a file and of a folder; expected one of them")
        ordered = natsorted(sorted([*files, *self._files]))  # natural order alone leaves A1 and A01 in any order
        self._rank = {path: number for number, path in enumerate(ordered)}

    def __contains__(self, folder: object) -> bool:
        """Tell whether *folder* is one of the folders; ``"."`` always is."""
        return folder in self._files

    def files(self, folder: str, *, extensions: Collection[str] | None, recursive: bool) -> list[str]:
        """Return the paths of the files in a folder; with *recursive*, also in all folders below it."""
        found = [
            path
            for name in (self._tree(folder) if recursive else [folder])
            for path in self._files[name]
            if has_extension(path, extensions)
        ]
        return sorted(found, key=self._rank.__getitem__)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        paths = sorted(self._files[folder] + self._folders[folder], key=self._rank.__getitem__)
        return [posixpath.basename(path) for path in paths]

    def _add_folder(self, folder: str) -> None:
        missing = []
        while folder not in self._files:
            missing.append(folder)
            folder = _parent(folder)
        for name in reversed(missing):
            self._files[name], self._folders[name] = [], []
            self._folders[_parent(name)].append(name)

    def _tree(self, folder: str) -> list[str]:
        """Return a folder and all folders below it."""
        found = [folder]
        for name in found:  # the list grows during the loop
            found += self._folders[name]
        return found


def _parent(path: str) -> str:
    return posixpath.dirname(path) or "."
