"""One interface to every storage backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wellfield.errors import StorageError, UnsupportedOperationError
from wellfield.storage.base import IMAGE_EXTENSIONS, DataSink, PathLike, ReadableBackend, StorageBackend


class FileManager:
    """Storage by name of backend: the same call works wherever the data lives.

    Parameters
    ----------
    storage_registry:
        Backends by name, as :func:`wellfield.storage.create_storage_registry` returns them. A plate's virtual
        workspace belongs into the registry of that plate's own manager.

    Examples
    --------
    >>> from wellfield.storage import Backend, create_storage_registry
    >>> manager = FileManager(create_storage_registry())
    >>> manager.save([1, 2], "/plate/note", Backend.MEMORY)
    >>> manager.load("/plate/note", "memory")
    [1, 2]
    """

    def __init__(self, storage_registry: Mapping[str, DataSink]) -> None:
        self._registry = dict(storage_registry)

    def backend(self, name: str) -> DataSink:
        """Return the backend *name*.

        Raises
        ------
        StorageError
            This manager has no such backend.
        """
        try:
            return self._registry[str(name)]
        except KeyError:
            raise StorageError(
                f"no storage backend {str(name)!r} here; known: {', '.join(sorted(self._registry))}"
            ) from None

    def _readable(self, name: str) -> ReadableBackend:
        backend = self.backend(name)
        if not isinstance(backend, ReadableBackend):
            raise UnsupportedOperationError(f"storage backend {str(name)!r} only takes data, it gives none back")
        return backend

    def _storage(self, name: str) -> StorageBackend:
        backend = self.backend(name)
        if not isinstance(backend, StorageBackend):
            raise UnsupportedOperationError(f"storage backend {str(name)!r} cannot be changed: it is read-only")
        return backend

    def save(self, data: Any, path: PathLike, backend: str, **kwargs: Any) -> None:
        """Store one object."""
        self.backend(backend).save(data, path, **kwargs)

    def load(self, path: PathLike, backend: str, **kwargs: Any) -> Any:
        """Return one object."""
        return self._readable(backend).load(path, **kwargs)

    def save_batch(self, data_list: Sequence[Any], paths: Sequence[PathLike], backend: str, **kwargs: Any) -> None:
        """Store several objects in the backend's best way."""
        self.backend(backend).save_batch(data_list, paths, **kwargs)

    def load_batch(self, paths: Sequence[PathLike], backend: str, **kwargs: Any) -> list[Any]:
        """Return several objects in the order of *paths*."""
        return self._readable(backend).load_batch(paths, **kwargs)

    def exists(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is an object or a folder."""
        return self._readable(backend).exists(path)

    def is_file(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is an object."""
        return self._readable(backend).is_file(path)

    def is_dir(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is a folder."""
        return self._readable(backend).is_dir(path)

    def list_files(
        self, directory: PathLike, backend: str, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in a folder, naturally sorted, as :meth:`load` takes them."""
        return self._readable(backend).list_files(directory, extensions=extensions, recursive=recursive)

    def list_image_files(
        self, directory: PathLike, backend: str, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the images in a folder, naturally sorted."""
        return self.list_files(directory, backend, extensions=extensions or IMAGE_EXTENSIONS, recursive=recursive)

    def list_dir(self, path: PathLike, backend: str) -> list[str]:
        """Return the names in a folder, naturally sorted."""
        return self._readable(backend).list_dir(path)

    def ensure_directory(self, directory: PathLike, backend: str) -> None:
        """Make a folder and its parents unless they exist."""
        self._storage(backend).ensure_directory(directory)

    def delete(self, path: PathLike, backend: str) -> None:
        """Remove one object or one empty folder."""
        self._storage(backend).delete(path)

    def delete_all(self, path: PathLike, backend: str) -> None:
        """Remove a folder and everything in it."""
        self._storage(backend).delete_all(path)
