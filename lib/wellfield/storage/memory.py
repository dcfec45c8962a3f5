"""The memory backend: any Python object under any path, for as long as the process lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import numpy as np
from natsort import natsorted

from wellfield.errors import DataNotFoundError, StorageError
from wellfield.storage.backend import Backend
from wellfield.storage.base import PathLike, StorageBackend, has_extension


def _normal(path: PathLike) -> str:
    name = os.path.normpath(os.fspath(path))
    return name[1:] if name.startswith("//") else name


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."


class MemoryStorageBackend(StorageBackend):
    """Objects in a dictionary; folders are made by what is saved below them and stay until they are deleted.

    What was saved cannot be changed afterwards through the array that was given or through one that was loaded: NumPy
    arrays are copied on ``save`` and given out read-only. With ``save(…, copy=False)`` the caller hands the array over
    and nothing is copied.
    """

    _backend_type = Backend.MEMORY

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._folders: dict[str, set[str]] = {"/": set(), ".": set()}  # folder → names in it
        self._lock = threading.RLock()

    def save(self, data: Any, identifier: PathLike, *, copy: bool = True, **_: Any) -> None:
        """Keep *data*; with ``copy=False`` a NumPy array itself, which the caller must not touch any more."""
        if isinstance(data, np.ndarray):
            data = data.copy() if copy else data.view()
            data.flags.writeable = False
        path = _normal(identifier)
        with self._lock:
            if path in self._folders:
                raise StorageError(f"memory: {path} is a folder")
            self._enter(path)
            self._objects[path] = data

    def load(self, file_path: PathLike, **_: Any) -> Any:
        """Return the object; a NumPy array as a read-only view."""
        path = _normal(file_path)
        try:
            data = self._objects[path]
        except KeyError:
            if path in self._folders:
                raise StorageError(f"memory: {path} is a folder") from None
            raise DataNotFoundError(f"memory: nothing is stored under {path}") from None
        return data.view() if isinstance(data, np.ndarray) else data

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is an object or a folder."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether an object is stored under *path*."""
        return _normal(path) in self._objects

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        return _normal(path) in self._folders

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in *directory*."""
        with self._lock:
            folder = self._folder(directory)
            below = self._below(folder) if recursive else [os.path.join(folder, name) for name in self._folders[folder]]
            names = [name for name in map(_normal, below) if name in self._objects and has_extension(name, extensions)]
        return natsorted(sorted(names))

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names of objects and folders in *path*."""
        with self._lock:
            return natsorted(sorted(self._folders[self._folder(path)]))

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder and its parents."""
        path = _normal(directory)
        with self._lock:
            if path in self._objects:
                raise StorageError(f"memory: {path} is an object, not a folder")
            self._enter(path)
            self._folders.setdefault(path, set())

    def delete(self, path: PathLike) -> None:
        """Forget one object or one empty folder."""
        name = _normal(path)
        with self._lock:
            if name in self._objects:
                del self._objects[name]
            elif name in self._folders:
                if self._folders[name] or name == _parent(name):
                    raise StorageError(f"memory: folder {name} is not empty")
                del self._folders[name]
            else:
                raise DataNotFoundError(f"memory: nothing is stored under {name}")
            self._folders[_parent(name)].discard(os.path.basename(name))

    def delete_all(self, path: PathLike) -> None:
        """Forget a folder and everything below it."""
        with self._lock:
            folder = self._folder(path)
            for name in self._below(folder):
                self._objects.pop(name, None)
                self._folders.pop(name, None)
            if folder == _parent(folder):
                self._folders[folder].clear()
            else:
                del self._folders[folder]
                self._folders[_parent(folder)].discard(os.path.basename(folder))

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays that are stored."""
        with self._lock:
            return sum(getattr(value, "nbytes", 0) for value in self._objects.values())

    def _folder(self, directory: PathLike) -> str:
        path = _normal(directory)
        if path not in self._folders:
            raise DataNotFoundError(f"memory: no folder {path}")
        return path

    def _below(self, folder: str) -> list[str]:
        """Return every path below a folder."""
        found: list[str] = []
        for name in self._folders[folder]:
            path = _normal(os.path.join(folder, name))
            found.append(path)
            if path in self._folders:
                found += self._below(path)
        return found

    def _enter(self, path: str) -> None:
        """Make the folders above *path* and enter it there."""
        above = [path]
        while above[-1] not in self._folders:
            if above[-1] in self._objects and above[-1] != path:
                raise StorageError(f"memory: {above[-1]} is an object; nothing can be stored below it")
            above.append(_parent(above[-1]))
        for child, folder in pairwise(above):
            self._folders.setdefault(folder, set()).add(os.path.basename(child))
