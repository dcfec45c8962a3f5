"""What a storage backend is: the classes that all of them specialise."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from wellfield.errors import StorageError, UnsupportedOperationError
from wellfield.storage.registry import StorageBackendMeta

PathLike = str | os.PathLike[str]

IMAGE_EXTENSIONS = (".tif", ".tiff", ".png", ".npy")


class DataSink(metaclass=StorageBackendMeta):
    """Anything that data can be sent to."""

    _backend_type: ClassVar[str | None] = None

    @abstractmethod
    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Store *data* under *identifier*; what was there is replaced in one step."""

    def save_batch(self, data_list: Sequence[Any], identifiers: Sequence[PathLike], **kwargs: Any) -> None:
        """Store several objects; a failure names the identifier it happened at."""
        self._check_batch(data_list, identifiers)
        for data, identifier in zip(data_list, identifiers, strict=True):
            self.save(data, identifier, **kwargs)

    @staticmethod
    def _check_batch(data_list: Sequence[Any], identifiers: Sequence[PathLike]) -> None:
        if len(data_list) != len(identifiers):
            raise StorageError(f"a batch of {len(data_list)} objects was given {len(identifiers)} paths")

    def _unsupported(self, operation: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(f"storage backend {self._backend_type!r} cannot {operation}")


class ReadableBackend(DataSink):
    """A sink that gives data back. Shared by storage and virtual backends."""

    batch_threads: ClassVar[int] = 1

    @abstractmethod
    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Return what is stored under *file_path*.

        Raises
        ------
        DataNotFoundError
            Nothing is stored there.
        """

    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[Any]:
        """Return what is stored under each path, in their order."""
        if self.batch_threads == 1 or len(file_paths) < 2:
            return [self.load(path, **kwargs) for path in file_paths]
        with ThreadPoolExecutor(min(self.batch_threads, len(file_paths))) as pool:
            return list(pool.map(lambda path: self.load(path, **kwargs), file_paths))

    @abstractmethod
    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored object or a folder."""

    @abstractmethod
    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored object."""

    @abstractmethod
    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""

    @abstractmethod
    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in *directory*, naturally sorted, as :meth:`load` takes them.

        *extensions* (``".tif"``) keeps those that end with one of them, in any case of letters.
        """

    @abstractmethod
    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in *path*, naturally sorted."""


class StorageBackend(ReadableBackend):
    """Storage with files and folders that can be read and written."""

    @abstractmethod
    def ensure_directory(self, directory: PathLike) -> None:
        """Make *directory* and its parents unless they exist."""

    @abstractmethod
    def delete(self, path: PathLike) -> None:
        """Remove one object or one empty folder."""

    @abstractmethod
    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything in it."""


class VirtualBackend(ReadableBackend):
    """A backend that makes its paths from metadata instead of keeping files of its own."""

    @abstractmethod
    def generate_filename(self, metadata: Mapping[str, Any], **kwargs: Any) -> str:
        """Return the file name that *metadata* (well, field, channel, z, timepoint, projection) stands for."""


def has_extension(name: str, extensions: Collection[str] | None) -> bool:
    """Tell whether *name* ends with one of *extensions* in any case of letters; ``None`` takes every name."""
    if extensions is None:
        return True
    wanted = (extensions,) if isinstance(extensions, str) else extensions
    return name.lower().endswith(tuple(extension.lower() for extension in wanted))
