"""The memory backend: any Python object under any path, for as long as the process lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from natsort import natsorted

from wellfield.errors import DataNotFoundError, StorageError
from wellfield.storage.backend import Backend
from wellfield.storage.base import PathLike, StorageBackend, has_extension


def _normal(path: PathLike) -> str:
    return os.path.normpath(os.fspath(path))


class MemoryStorageBackend(StorageBackend):
    """Objects in a dictionary; folders exist where something lies below them or where they were made.

    What was saved cannot be changed afterwards through the array that was given or through one that was loaded: NumPy
    arrays are copied on ``save`` and given out read-only. With ``save(…, copy=False)`` the caller hands the array over
    and nothing is copied.
    """

    _backend_type = Backend.MEMORY

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}
        self._folders: set[str] = set()
        self._lock = threading.RLock()

    def save(self, data: Any, identifier: PathLike, *, copy: bool = True, **_: Any) -> None:
        """Keep *data*; with ``copy=False`` a NumPy array itself, which the caller must not touch any more."""
        if isinstance(data, np.ndarray):
            data = data.copy() if copy else data.view()
            data.flags.writeable = False
        path = _normal(identifier)
        with self._lock:
            if self.is_dir(path):
                raise StorageError(f"memory: {path} is a folder")
            self._objects[path] = data

    def load(self, file_path: PathLike, **_: Any) -> Any:
        """Return the object; a NumPy array as a read-only view."""
        path = _normal(file_path)
        try:
            return self._objects[path]
        except KeyError:
            raise DataNotFoundError(f"memory: nothing is stored under {path}") from None

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is an object or a folder."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether an object is stored under *path*."""
        return _normal(path) in self._objects

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* was made as a folder or something lies below it."""
        folder = _normal(path)
        prefix = folder.rstrip("/") + "/"
        with self._lock:
            return folder in self._folders or any(name.startswith(prefix) for name in (*self._objects, *self._folders))

    def list_files(
        self, directory: PathLike, *, extensions: Iterable[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in *directory*."""
        prefix = self._prefix(directory)
        with self._lock:
            names = [name for name in self._objects if name.startswith(prefix) and has_extension(name, extensions)]
        return natsorted(name for name in names if recursive or "/" not in name[len(prefix) :])

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names of objects and folders in *path*."""
        prefix = self._prefix(path)
        with self._lock:
            below = [name[len(prefix) :] for name in (*self._objects, *self._folders) if name.startswith(prefix)]
        return natsorted({name.split("/", 1)[0] for name in below})

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder."""
        path = _normal(directory)
        with self._lock:
            if path in self._objects:
                raise StorageError(f"memory: {path} is an object, not a folder")
            self._folders.add(path)

    def delete(self, path: PathLike) -> None:
        """Forget one object or one empty folder."""
        name = _normal(path)
        with self._lock:
            if name in self._objects:
                del self._objects[name]
            elif self.is_dir(name):
                if self.list_dir(name):
                    raise StorageError(f"memory: folder {name} is not empty")
                self._folders.discard(name)
            else:
                raise DataNotFoundError(f"memory: nothing is stored under {name}")

    def delete_all(self, path: PathLike) -> None:
        """Forget a folder and everything below it."""
        prefix = self._prefix(path)
        with self._lock:
            self._objects = {name: value for name, value in self._objects.items() if not name.startswith(prefix)}
            self._folders = {name for name in self._folders if not f"{name}/".startswith(prefix)}

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays that are stored."""
        with self._lock:
            return sum(getattr(value, "nbytes", 0) for value in self._objects.values())

    def _prefix(self, directory: PathLike) -> str:
        path = _normal(directory)
        if not self.is_dir(path):
            raise DataNotFoundError(f"memory: no folder {path}")
        return path.rstrip("/") + "/"
