"""One interface to every storage backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wellfield.errors import ArgumentTypeError, UnknownBackendError, UnsupportedOperationError
from wellfield.formats import IMAGE_SUFFIXES
from wellfield.storage.base import DataSink, ObjectStatus, ReadableBackend, StorageBackend
from wellfield.storage.paths import PathLike


class FileManager:
    """Storage by name of backend: the same call works wherever the data lives.

    What the operations promise is said at the backends: :class:`~wellfield.storage.StorageBackend`. One that a backend
    cannot do raises :class:`~wellfield.errors.UnsupportedOperationError`.

    Parameters
    ----------
    storage_registry:
        Backends by name, as :func:`wellfield.storage.create_storage_registry` returns them. A plate's virtual
        workspace belongs into the registry of that plate's own manager.

    Raises
    ------
    ArgumentTypeError
        It is not a mapping of names to backends.

    Notes
    -----
    A manager can be pickled, as for a worker process. What its memory backend holds stays behind: the worker's memory
    is empty. Hand data over on disk or in Zarr.

    Examples
    --------
    >>> from wellfield.storage import Backend, create_storage_registry
    >>> manager = FileManager(create_storage_registry())
    >>> manager.save([1, 2], "/plate/note", Backend.MEMORY)
    >>> manager.load("/plate/note", "memory")
    [1, 2]
    """

    def __init__(self, storage_registry: Mapping[str, DataSink]) -> None:
        if not isinstance(storage_registry, Mapping):
            raise ArgumentTypeError(
                f"a FileManager is made of {storage_registry!r}; expected a mapping of names to backends, such as "
                "create_storage_registry()"
            )
        for name, backend in storage_registry.items():
            if not isinstance(backend, DataSink):
                raise ArgumentTypeError(f"storage backend {str(name)!r} is {backend!r}; expected a DataSink")
        self._registry = {str(name): backend for name, backend in storage_registry.items()}

    def backend(self, name: str) -> DataSink:
        """Return the backend *name*.

        Raises
        ------
        UnknownBackendError
            This manager has no such backend.
        """
        try:
            return self._registry[str(name)]
        except KeyError:
            raise UnknownBackendError(
                f"no storage backend {str(name)!r} here; known: {', '.join(sorted(self._registry))}"
            ) from None

    def _readable(self, name: str, operation: str) -> ReadableBackend:
        backend = self.backend(name)
        if not isinstance(backend, ReadableBackend):
            raise UnsupportedOperationError(
                f"storage backend {str(name)!r} cannot {operation}: it only takes data and gives none back"
            )
        return backend

    def _storage(self, name: str, operation: str) -> StorageBackend:
        backend = self._readable(name, operation)
        if not isinstance(backend, StorageBackend):
            raise UnsupportedOperationError(f"storage backend {str(name)!r} cannot {operation}: it is read-only")
        return backend

    def save(self, data: Any, path: PathLike, backend: str, **kwargs: Any) -> None:
        """Store one object."""
        self.backend(backend).save(data, path, **kwargs)

    def load(self, path: PathLike, backend: str, **kwargs: Any) -> Any:
        """Return one object."""
        return self._readable(backend, "load").load(path, **kwargs)

    def save_batch(self, data_list: Sequence[Any], paths: Sequence[PathLike], backend: str, **kwargs: Any) -> None:
        """Store several objects in the backend's best way."""
        self.backend(backend).save_batch(data_list, paths, **kwargs)

    def load_batch(self, paths: Sequence[PathLike], backend: str, **kwargs: Any) -> list[Any]:
        """Return several objects in the order of *paths*."""
        return self._readable(backend, "load_batch").load_batch(paths, **kwargs)

    def exists(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is an object or a folder."""
        return self._readable(backend, "exists").exists(path)

    def is_file(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is an object."""
        return self._readable(backend, "is_file").is_file(path)

    def is_dir(self, path: PathLike, backend: str) -> bool:
        """Tell whether *path* is a folder."""
        return self._readable(backend, "is_dir").is_dir(path)

    def list_files(
        self, directory: PathLike, backend: str, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in a folder, naturally sorted, as :meth:`load` takes them."""
        return self._readable(backend, "list_files").list_files(directory, extensions=extensions, recursive=recursive)

    def list_image_files(
        self, directory: PathLike, backend: str, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the images in a folder, naturally sorted; *extensions* instead of those of all images."""
        suffixes = IMAGE_SUFFIXES if extensions is None else extensions
        return self._readable(backend, "list_image_files").list_files(
            directory, extensions=suffixes, recursive=recursive
        )

    def list_dir(self, path: PathLike, backend: str) -> list[str]:
        """Return the names in a folder, naturally sorted."""
        return self._readable(backend, "list_dir").list_dir(path)

    def ensure_directory(self, directory: PathLike, backend: str) -> None:
        """Make a folder and its parents unless they exist."""
        self._storage(backend, "ensure_directory").ensure_directory(directory)

    def delete(self, path: PathLike, backend: str) -> None:
        """Remove one object or one empty folder."""
        self._storage(backend, "delete").delete(path)

    def delete_all(self, path: PathLike, backend: str) -> None:
        """Remove a folder and everything in it."""
        self._storage(backend, "delete_all").delete_all(path)

    def copy(self, source: PathLike, destination: PathLike, backend: str) -> None:
        """Copy one object, or a folder with everything in it; nothing is overwritten."""
        self._storage(backend, "copy").copy(source, destination)

    def move(self, source: PathLike, destination: PathLike, backend: str, *, replace_symlinks: bool = False) -> None:
        """Give an object or a folder another path; nothing is overwritten but, if so asked, a symbolic link."""
        self._storage(backend, "move").move(source, destination, replace_symlinks=replace_symlinks)

    def create_symlink(self, source: PathLike, link: PathLike, backend: str) -> None:
        """Make *link* a symbolic link to *source*."""
        self._storage(backend, "create_symlink").create_symlink(source, link)

    def mirror_directory(
        self, source: PathLike, destination: PathLike, backend: str, *, overwrite_symlinks_only: bool = True
    ) -> int:
        """Make *destination* the same tree as *source*, with a symbolic link to every file; return their number."""
        return self._storage(backend, "mirror_directory").mirror_directory(
            source, destination, overwrite_symlinks_only=overwrite_symlinks_only
        )

    def stat(self, path: PathLike, backend: str) -> ObjectStatus:
        """Return kind, size and time of a path."""
        return self._readable(backend, "stat").stat(path)
