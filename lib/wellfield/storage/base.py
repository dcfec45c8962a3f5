"""What a storage backend is: the classes that all of them specialise."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from wellfield.errors import ArgumentTypeError, BatchError, UnsupportedOperationError
from wellfield.storage.backend_registry import StorageBackendMeta
from wellfield.storage.paths import PathLike, batch_list, path_list, path_text


class ObjectKind(StrEnum):
    """What a path of a backend is."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """What :meth:`ReadableBackend.stat` tells of a path.

    Parameters
    ----------
    kind:
        File, folder, or symbolic link (which is not followed).
    size:
        Stored bytes of a file, compressed as it is; 0 for a folder; ``None`` where it is unknown, as for a plane
        that shares an object with others.
    modified:
        Time of the last change in seconds since the epoch; ``None`` where a backend keeps none. Of a link its own.
    target:
        Of a link, the path that it leads to in the end, there or not; *size* is that of what is there. ``None`` for
        anything else.
    target_kind:
        What is there; ``None`` for a link to nothing, and for what is not a link.
    """

    kind: ObjectKind
    size: int | None
    modified: float | None = None
    target: str | None = None
    target_kind: ObjectKind | None = None


class DataSink(metaclass=StorageBackendMeta):
    """Anything that data can be sent to."""

    _backend_type: ClassVar[str | None] = None

    @abstractmethod
    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Store *data* under *identifier*; what was there is replaced in one step."""

    def save_batch(self, data_list: Sequence[Any], identifiers: Sequence[PathLike], **kwargs: Any) -> None:
        """Store several objects; a failure names the identifier it happened at."""
        for data, identifier in zip(*self._batch(data_list, identifiers), strict=True):
            self.save(data, identifier, **kwargs)

    @staticmethod
    def _batch(data_list: Sequence[Any], identifiers: Sequence[PathLike]) -> tuple[list[Any], list[PathLike]]:
        """Return objects and paths, as many of the one as of the other."""
        objects, paths = batch_list(data_list, "objects"), path_list(identifiers)
        if len(objects) != len(paths):
            raise BatchError(f"a batch of {len(objects)} objects was given {len(paths)} paths")
        return objects, paths

    def _unsupported(self, operation: str) -> UnsupportedOperationError:
        name = str(self._backend_type or type(self).__name__)
        return UnsupportedOperationError(f"storage backend {name!r} cannot {operation}")


class ReadableBackend(DataSink):
    """A sink that gives data back. Shared by storage and virtual backends.

    Whatever a backend does not define says that the backend cannot do it.
    """

    batch_threads: ClassVar[int] = 1

    @abstractmethod
    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Return what is stored under *file_path*.

        Raises
        ------
        DataNotFoundError
            Nothing is stored there.
        IsFolderError
            It is a folder.
        """

    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[Any]:
        """Return what is stored under each path, in their order."""
        return self._in_threads(lambda path: self.load(path, **kwargs), path_list(file_paths))

    def _in_threads(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """Return what *function* gives for each of the arguments, in their order.

        If several fail, the first error in that order is raised; what has not begun by then is skipped.
        """
        count = len(arguments[0])
        if self.batch_threads == 1 or count < 2:
            return [function(*values) for values in zip(*arguments, strict=True)]
        with ThreadPoolExecutor(min(self.batch_threads, count)) as pool:
            futures = [pool.submit(function, *values) for values in zip(*arguments, strict=True)]
            try:
                return [future.result() for future in futures]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored object or a folder."""
        raise self._unsupported("tell what exists")

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a stored object."""
        raise self._unsupported("tell files")

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        raise self._unsupported("tell folders")

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in *directory*, naturally sorted, as :meth:`load` takes them.

        *extensions* (``".tif"``) keeps those that end with one of them, in any case of letters.

        Raises
        ------
        DataNotFoundError
            There is no such folder.
        NotAFolderError
            *directory* is an object.
        """
        raise self._unsupported("list files")

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in *path*, naturally sorted; errors as of :meth:`list_files`."""
        raise self._unsupported("list folders")

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return kind, size and time of a path.

        Raises
        ------
        DataNotFoundError
            There is no such path.
        """
        raise self._unsupported("tell kind and size")


class StorageBackend(ReadableBackend):
    """Storage with files and folders that can be read and written."""

    def save_batch(self, data_list: Sequence[Any], identifiers: Sequence[PathLike], **kwargs: Any) -> None:
        """Store several objects; a failure names the first path, in their order, that it happened at.

        Raises
        ------
        BatchError
            The numbers of objects and paths differ, or one path is given twice: nothing is stored then.
        """
        objects, paths = self._batch(data_list, identifiers)
        seen: set[str] = set()
        for path in paths:
            place = self._place(path)
            if place in seen:
                raise BatchError(
                    f"a batch gives {os.fspath(path)} twice; each object needs a path of its own", path=path
                )
            seen.add(place)
        self._in_threads(lambda data, path: self.save(data, path, **kwargs), objects, paths)

    def _place(self, path: PathLike) -> str:
        """Return what all spellings of a path have in common."""
        return os.path.normpath(path_text(path))

    def ensure_directory(self, directory: PathLike) -> None:
        """Make *directory* and its parents unless they exist.

        Raises
        ------
        NotAFolderError
            *directory*, or one above it, is an object.
        """
        raise self._unsupported("make folders")

    def delete(self, path: PathLike) -> None:
        """Remove one object or one empty folder.

        Raises
        ------
        DataNotFoundError
            Nothing is there.
        FolderNotEmptyError
            It is a folder that holds something.
        """
        raise self._unsupported("delete")

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything in it. A link in it is removed, and what it leads to stays.

        Raises
        ------
        DataNotFoundError
            There is no such folder.
        NotAFolderError
            *path* is an object, or a link: :meth:`delete` removes it.
        """
        raise self._unsupported("remove folders")

    def copy(self, source: PathLike, destination: PathLike) -> None:
        """Copy one object, or a folder with everything in it; complete or not at all.

        Raises
        ------
        DataNotFoundError
            There is no *source*.
        DestinationExistsError
            Something is at *destination*; it stays as it was.
        NotAFolderError
            *destination* lies below an object.
        """
        raise self._unsupported("copy")

    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        """Give an object or a folder another path; in one step where both are on one file system.

        Parameters
        ----------
        replace_symlinks:
            A symbolic link at *destination* is replaced. A file or folder never is.

        Raises
        ------
        DataNotFoundError
            There is no *source*.
        DestinationExistsError
            Something is at *destination*; both stay as they were.
        NotAFolderError
            *destination* lies below an object.
        """
        raise self._unsupported("move")

    def create_symlink(self, source: PathLike, link: PathLike) -> None:
        """Make *link* a symbolic link to the existing object *source*."""
        raise self._unsupported("make symbolic links")

    def mirror_directory(self, source: PathLike, destination: PathLike, *, overwrite_symlinks_only: bool = True) -> int:
        """Make *destination* the same tree of folders as *source*, with a symbolic link to every file.

        Parameters
        ----------
        overwrite_symlinks_only:
            Links that are there are replaced, and a file in the place of a link is an error, found before anything is
            changed. With ``False`` such files are replaced too.

        Returns
        -------
        int
            The number of links.
        """
        raise self._unsupported("make symbolic links")


class VirtualBackend(ReadableBackend):
    """A backend that makes its paths from metadata instead of keeping files of its own.

    It must be able to ``save`` (or to refuse that), to list files and to name them; anything else is its choice.
    """

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Return what is stored under *file_path*."""
        raise self._unsupported("load")

    @abstractmethod
    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the objects in *directory*, as :meth:`ReadableBackend.list_files` does."""

    @abstractmethod
    def generate_filename(self, metadata: Mapping[str, Any], **kwargs: Any) -> str:
        """Return the file name that *metadata* (well, field, channel, z, timepoint, projection) stands for."""


def has_extension(name: str, extensions: Collection[str] | None) -> bool:
    """Tell whether *name* ends with one of *extensions* in any case of letters; ``None`` takes every name."""
    if extensions is None:
        return True
    wanted = (extensions,) if isinstance(extensions, str) else extensions
    try:
        return name.lower().endswith(tuple(extension.lower() for extension in wanted))
    except (AttributeError, TypeError):
        raise ArgumentTypeError(f"extensions are {extensions!r}; expected texts such as '.tif'") from None
