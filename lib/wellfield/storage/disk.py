"""The disk backend: files in the format that their suffix names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from natsort import natsorted

from wellfield import formats
from wellfield.errors import DataNotFoundError, StorageError
from wellfield.formats.atomic import is_part
from wellfield.storage.backend import Backend
from wellfield.storage.base import PathLike, StorageBackend, has_extension


class DiskStorageBackend(StorageBackend):
    """Files and folders of the operating system; writes are atomic, options of ``save`` go to the format's writer."""

    _backend_type = Backend.DISK
    batch_threads = 4

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Write *data* in the format of the suffix."""
        path = Path(identifier)
        if path.is_dir():
            raise StorageError(f"{path} is a folder; a file cannot take its place")
        formats.writer(path)(path, data, **kwargs)

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read a file in the format of its suffix."""
        path = Path(file_path)
        if path.is_dir():
            raise StorageError(f"{path} is a folder; expected a file")
        try:
            return formats.reader(path)(path, **kwargs)
        except FileNotFoundError as error:
            raise DataNotFoundError(f"{path} does not exist") from error

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* exists."""
        return Path(path).exists()

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a file."""
        return Path(path).is_file()

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        return Path(path).is_dir()

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the files in *directory*, without unfinished writes."""
        found: list[str] = []
        for root, folders, names in os.walk(self._folder(directory)):
            found += [
                os.path.join(root, name) for name in names if has_extension(name, extensions) and not is_part(name)
            ]
            folders[:] = [name for name in folders if recursive and not is_part(name)]
        return natsorted(sorted(found))  # names such as A1 and A01 are equal to the natural order

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a folder, without unfinished writes."""
        return natsorted(sorted(name for name in os.listdir(self._folder(path)) if not is_part(name)))

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder and its parents."""
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"folder {os.fspath(directory)} cannot be made: {error.strerror}") from error

    def delete(self, path: PathLike) -> None:
        """Remove one file or one empty folder."""
        target = Path(path)
        try:
            if target.is_dir() and not target.is_symlink():
                target.rmdir()
            else:
                target.unlink()
        except FileNotFoundError as error:
            raise DataNotFoundError(f"{target} does not exist") from error
        except OSError as error:
            raise StorageError(f"{target} cannot be removed: {error.strerror}") from error

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything in it."""
        folder = self._folder(path)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(f"{folder} cannot be removed: {error.strerror or error}") from error

    def _folder(self, path: PathLike) -> Path:
        folder = Path(path)
        if not folder.is_dir():
            raise DataNotFoundError(f"{folder} is no folder")
        return folder
