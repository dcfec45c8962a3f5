"""The memory backend: any Python object under any path, for as long as the process lives."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Collection
from itertools import pairwise
from typing import Any, SupportsIndex

import numpy as np
from natsort import natsorted

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    FolderNotEmptyError,
    IsFolderError,
    MemoryLimitError,
    NotAFolderError,
    PathEscapeError,
    StorageError,
)
from wellfield.storage.backend import Backend
from wellfield.storage.base import ObjectKind, ObjectStatus, StorageBackend, has_extension
from wellfield.storage.paths import PathLike, named_path, new_path, path_text, valid_path

_LOG = logging.getLogger(__name__)


def _normal(path: str) -> str:
    name = os.path.normpath(path)
    return name[1:] if name.startswith("//") else name


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."


def _is_below(path: str, folder: str) -> bool:
    if folder == ".":
        return not path.startswith("/")
    return path.startswith(folder if folder == "/" else f"{folder}/")


def _rebased(path: str, old: str, new: str) -> str:
    """Return the path of *path* after *old* is renamed to *new*; *path* is *old* or below it."""
    if path == old:
        return new
    return os.path.join(new, path if old == "." else path[len(old) :].lstrip("/"))


def _nbytes(data: Any) -> int:
    size = getattr(data, "nbytes", 0)
    return int(size) if isinstance(size, SupportsIndex) else 0


def _not_found(path: str) -> DataNotFoundError:
    return DataNotFoundError(f"memory: nothing is stored under {path}", path=path)


class MemoryStorageBackend(StorageBackend):
    """Objects in a dictionary. Saving an object makes its folders, which stay until they are deleted.

    A stored NumPy array cannot be changed later, neither through the saved array nor through a loaded one: ``save``
    copies it, and ``load`` returns it read-only. With ``save(…, copy=False)`` the caller hands the array over and
    nothing is copied. Any other object, such as an array on a device, is stored and returned itself.

    Stored objects stay in their process: the backend can be pickled for a worker process, but is empty there.

    Parameters
    ----------
    limit_bytes:
        Limit for the total size of the stored arrays; without it, only the machine's memory limits them.
    """

    _backend_type = Backend.MEMORY

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._objects: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}  # sizes of the objects when they were stored
        self._folders: dict[str, set[str]] = {"/": set(), ".": set()}  # folder → names in it
        self._limit = limit_bytes
        self._held = 0
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings: the objects stay in this process."""
        if self._objects:
            _LOG.warning(
                "memory: %d stored objects stay in their process; the copy of the backend is empty", len(self._objects)
            )
        return type(self), (self._limit,)

    def save(self, data: Any, identifier: PathLike, *, copy: bool = True, **_: Any) -> None:
        """Store *data*. With ``copy=False`` a NumPy array is not copied, and the caller must not use it any more.

        Raises
        ------
        MemoryLimitError
            The limit would be exceeded; the old object under the path stays.
        IsFolderError
            The path is a folder.
        NotAFolderError
            The path is below an object.
        PathEscapeError
            A relative path leads out of the folder in which it starts.
        """
        path, size = _normal(new_path(identifier)), _nbytes(data)
        with self._lock:
            self._check_room(path, size)  # before the copy, which takes the memory
        if isinstance(data, np.ndarray):
            data = data.copy() if copy else data.view()
            data.flags.writeable = False
        with self._lock:
            if path in self._folders:
                raise IsFolderError(f"memory: {path} is a folder", path=path)
            self._check_room(path, size)
            self._enter(path)
            self._put(path, data, size)

    def load(self, file_path: PathLike, **_: Any) -> Any:
        """Return the object; a NumPy array is returned as a read-only view."""
        path = _normal(valid_path(file_path))
        try:
            data = self._objects[path]
        except KeyError:
            if path in self._folders:
                raise IsFolderError(f"memory: {path} is a folder", path=path) from None
            raise _not_found(path) from None
        if isinstance(data, np.ma.MaskedArray):
            return data.copy()  # a view would share the mask, which cannot be made read-only
        return data.view() if isinstance(data, np.ndarray) else data

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is an object or a folder."""
        with self._lock:
            return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether an object is stored under *path*."""
        return _normal(path_text(path)) in self._objects

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        return _normal(path_text(path)) in self._folders

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

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return kind and size of a path; times are not recorded."""
        name = _normal(valid_path(path))
        with self._lock:
            if name in self._objects:
                return ObjectStatus(ObjectKind.FILE, self._sizes[name])
            if name in self._folders:
                return ObjectStatus(ObjectKind.FOLDER, 0)
        raise _not_found(name)

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder and its parents."""
        path = _normal(named_path(directory))
        with self._lock:
            if path in self._objects:
                raise NotAFolderError(f"memory: {path} is an object, not a folder", path=path)
            self._enter(path)
            self._folders.setdefault(path, set())

    def delete(self, path: PathLike) -> None:
        """Remove one object or one empty folder."""
        name = _normal(named_path(path))
        with self._lock:
            if name in self._objects:
                self._drop(name)
            elif name in self._folders:
                if self._folders[name]:
                    raise FolderNotEmptyError(f"memory: folder {name} is not empty", path=name)
                if name == _parent(name):
                    raise StorageError(f"memory: {name} is where paths start, and stays", path=name, code=errno.EBUSY)
                del self._folders[name]
            else:
                raise _not_found(name)
            self._folders[_parent(name)].discard(os.path.basename(name))

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything below it."""
        with self._lock:
            folder = self._folder(named_path(path))
            for name in self._below(folder):
                self._drop(name)
            if folder == _parent(folder):
                self._folders[folder].clear()
            else:
                self._drop(folder)
                self._folders[_parent(folder)].discard(os.path.basename(folder))

    def copy(self, source: PathLike, destination: PathLike) -> None:
        """Give an object, or the objects of a folder, a second path; bytes are shared, but count for both paths.

        Raises
        ------
        DataNotFoundError
            *source* does not exist.
        DestinationExistsError
            Something is at *destination*; it stays as it was.
        NotAFolderError
            *destination* is below an object.
        StorageError
            A folder would be copied into itself.
        MemoryLimitError
            The limit would be exceeded.
        """
        old, new = _normal(valid_path(source)), _normal(new_path(destination))
        with self._lock:
            paths = self._movable(old, new, "copied")
            self._check_room(new, sum(self._sizes.get(path, 0) for path in paths))
            self._enter(new)
            for path in paths:
                target = _rebased(path, old, new)
                if path in self._objects:
                    self._put(target, self._objects[path], self._sizes[path])
                else:
                    self._folders[target] = set(self._folders[path])

    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        """Give an object or a folder another path. *replace_symlinks* has no effect: there are no links in memory.

        Raises
        ------
        DataNotFoundError
            *source* does not exist.
        DestinationExistsError
            Something is at *destination*; both stay as they were.
        NotAFolderError
            *destination* is below an object.
        StorageError
            A folder would be moved into itself.
        """
        old, new = _normal(valid_path(source)), _normal(new_path(destination))
        with self._lock:
            paths = self._movable(old, new, "moved")
            self._enter(new)
            for path in paths:
                target = _rebased(path, old, new)
                if path in self._objects:
                    self._put(target, self._objects[path], self._sizes[path])
                else:
                    self._folders[target] = self._folders[path]
                self._drop(path)
            self._folders[_parent(old)].discard(os.path.basename(old))

    @property
    def nbytes(self) -> int:
        """Bytes held by the stored arrays and by other objects with ``nbytes``."""
        return self._held

    def _check_room(self, path: str, size: int) -> None:
        total = self._held - self._sizes.get(path, 0) + size
        if self._limit is not None and total > self._limit:
            raise MemoryLimitError(
                f"memory: {path} of {size} bytes does not fit: {self._held} bytes are held and {self._limit} allowed; "
                "delete what is no longer needed, or raise limit_bytes",
                path=path,
            )

    def _put(self, path: str, data: Any, size: int) -> None:
        self._held += size - self._sizes.get(path, 0)
        self._objects[path], self._sizes[path] = data, size

    def _drop(self, path: str) -> None:
        """Remove an object or a folder from the dictionaries; its name stays in the folder above."""
        self._held -= self._sizes.pop(path, 0)
        self._objects.pop(path, None)
        self._folders.pop(path, None)

    def _movable(self, old: str, new: str, done: str) -> list[str]:
        """Return *old* and all paths below it; raise if they cannot be copied or moved to *new*."""
        if old not in self._objects and old not in self._folders:
            raise _not_found(old)
        if new in self._objects or new in self._folders:
            raise DestinationExistsError(f"memory: {old} cannot be {done} to {new}: something is there", path=new)
        if old not in self._folders:
            return [old]
        if _is_below(new, old) or (done == "moved" and old == _parent(old)):
            message = f"memory: {old} cannot be {done} to {new}: a folder cannot lie in itself"
            raise StorageError(message, path=new, code=errno.EINVAL)
        return [old, *self._below(old)]

    def _folder(self, directory: PathLike) -> str:
        path = _normal(valid_path(directory))
        if path in self._objects:
            raise NotAFolderError(f"memory: {path} is an object, not a folder", path=path)
        if path not in self._folders:
            raise DataNotFoundError(f"memory: no folder {path}", path=path)
        return path

    def _below(self, folder: str) -> list[str]:
        """Return every path below a folder."""
        found: list[str] = []
        pending = [folder]
        while pending:
            above = pending.pop()
            paths = [_normal(os.path.join(above, name)) for name in self._folders[above]]
            found += paths
            pending += [path for path in paths if path in self._folders]
        return found

    def _enter(self, path: str) -> None:
        """Make the folders above *path* and add it to its folder."""
        if path == ".." or path.startswith("../"):
            raise PathEscapeError(f"memory: {path} leads out of the folder that relative paths start in")
        above = [path]
        while above[-1] not in self._folders:
            if above[-1] in self._objects and above[-1] != path:
                raise NotAFolderError(
                    f"memory: {above[-1]} is an object; nothing can be stored below it", path=above[-1]
                )
            above.append(_parent(above[-1]))
        for child, folder in pairwise(above):
            self._folders.setdefault(folder, set()).add(os.path.basename(child))
