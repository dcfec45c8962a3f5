"""An index of paths: folders and natural order of paths that no file system lists."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable

from natsort import natsorted

from wellfield.errors import StorageError
from wellfield.storage.base import has_extension


class PathIndex:
    """The folders that a set of relative paths makes, with everything in natural order.

    Sorted once, when it is made: a listing then costs what it returns.

    Parameters
    ----------
    paths:
        Relative paths with ``/`` between their parts.

    Raises
    ------
    StorageError
        A path lies below another one.
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
        ordered = natsorted(sorted([*files, *self._files]))  # names such as A1 and A01 are equal to the natural order
        self._rank = {path: number for number, path in enumerate(ordered)}

    def __contains__(self, folder: object) -> bool:
        """Tell whether there is a folder of this path; ``"."`` always is one."""
        return folder in self._files

    def files(self, folder: str, *, extensions: Collection[str] | None, recursive: bool) -> list[str]:
        """Return the paths in a folder, with *recursive* also those in its folders."""
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
        for name in found:  # which grows on the way
            found += self._folders[name]
        return found


def _parent(path: str) -> str:
    return posixpath.dirname(path) or "."
