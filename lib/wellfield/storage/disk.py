"""The disk backend: files in the format that their suffix names."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted

from wellfield import formats
from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError, UnknownFormatError
from wellfield.formats.atomic import is_part, part_path, rename_new
from wellfield.storage.backend import Backend
from wellfield.storage.base import IMAGE_EXTENSIONS, ObjectKind, ObjectStatus, PathLike, StorageBackend, has_extension
from wellfield.storage.files import file_errors, not_found, read_file
from wellfield.storage.host import host_array
from wellfield.storage.tree import copy_tree, files_in, mirror_tree, remove_tree

ARRAY_SUFFIX = ".npy"
ARCHIVE_SUFFIX = ".npz"


class DiskStorageBackend(StorageBackend):
    """Files and folders of the operating system; writes are atomic, options of ``save`` go to the format's writer.

    A path without a suffix stands for an array in ``<path>.npy``, so that one path serves on disk, in memory and in
    Zarr. If a file or folder has exactly that path, the path means it and not the array. Arrays of any library are
    stored as those of NumPy, see :func:`~wellfield.storage.host.host_array`.
    """

    _backend_type = Backend.DISK
    batch_threads = 4

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Write *data* in the format of the suffix. A link is replaced; what it points to stays.

        Raises
        ------
        StorageError
            A folder is there, or the path cannot be written.
        UnknownFormatError
            The suffix names no format or *data* does not fit it; without a suffix only arrays of numbers do.
        MemoryTypeError
            *data* is an array that cannot be copied to host memory.
        """
        path = _checked(identifier)
        if path.is_dir():
            raise StorageError(f"{path} is a folder; a file cannot take its place")
        target = _array_path(path) if _is_bare(path) else path
        write = formats.writer(target)
        values = _host_values(data, target)
        if target != path:
            _check_bare(path, values)
        if not target.parent.is_dir():
            self.ensure_directory(target.parent)
        write(target, values, **kwargs)

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read a file in the format of its suffix.

        Raises
        ------
        DataNotFoundError
            There is no such file, or it is a link to none.
        StorageError
            It is a folder, damaged, or cannot be read.
        UnknownFormatError
            The suffix names no format.
        """
        path = _found(_checked(file_path))
        if _is_bare(path) and not path.exists():
            raise not_found(path)
        return read_file(path, **kwargs)

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* exists; a link to nothing does not."""
        return os.path.exists(_found(path))

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a file."""
        return os.path.isfile(_found(path))

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        return os.path.isdir(path)

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the files in *directory*, without unfinished writes; no link to a folder is followed."""
        folder = self._folder(directory)
        with file_errors(folder, "be listed"):
            found = [path for path in files_in(folder, recursive=recursive) if has_extension(path, extensions)]
        return natsorted(sorted(found))  # names such as A1 and A01 are equal to the natural order

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a folder, without unfinished writes."""
        folder = self._folder(path)
        with file_errors(folder, "be listed"):
            return natsorted(sorted(name for name in os.listdir(folder) if not is_part(name)))

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return kind, size and time of a path; those of a link itself."""
        target = _present(path)
        with file_errors(target, "be looked at"):
            status = os.lstat(target)
        if stat.S_ISDIR(status.st_mode):
            return ObjectStatus(ObjectKind.FOLDER, 0, status.st_mtime)
        if stat.S_ISLNK(status.st_mode):
            return ObjectStatus(ObjectKind.SYMLINK, 0, status.st_mtime)
        return ObjectStatus(ObjectKind.FILE, status.st_size, status.st_mtime)

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder and its parents."""
        folder = _checked(directory)
        for missing in (folder, *folder.parents):
            if missing.is_dir():
                break
            if os.path.lexists(missing):
                raise StorageError(f"folder {folder} cannot be made: {missing} is no folder")
            if _is_bare(missing) and _array_path(missing).is_file():
                raise StorageError(f"folder {folder} cannot be made: {missing} is an array")
        with file_errors(folder, "be made"):
            folder.mkdir(parents=True, exist_ok=True)

    def delete(self, path: PathLike) -> None:
        """Remove one file, one link (not what it points to) or one empty folder."""
        target = _present(path)
        with file_errors(target, "be removed"):
            if target.is_dir() and not target.is_symlink():
                target.rmdir()
            else:
                target.unlink()

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything in it."""
        folder = self._folder(path)
        if folder.is_symlink():
            raise StorageError(f"{folder} is a link to a folder; delete removes the link")
        with file_errors(folder, "be removed"):
            shutil.rmtree(folder)

    def copy(self, source: PathLike, destination: PathLike) -> None:
        """Copy a file, or a folder with everything in it; complete or not at all.

        A link *source* is followed; links in a folder are copied as they are. Unfinished writes are left out.

        Raises
        ------
        DataNotFoundError
            There is no *source*.
        DestinationExistsError
            Something is at *destination*; it stays as it was.
        StorageError
            A folder goes into itself, or a path cannot be read or written.
        UnknownFormatError
            *destination* names another format than the file has.
        """
        origin = _present(source)
        if not origin.exists():
            raise not_found(origin)
        target = self._free_place(origin, destination, "be copied")
        with file_errors(origin, f"be copied to {target}"):
            self._copy(origin, target)

    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        """Rename a file, link or folder; to another file system, copy it and then remove it.

        Parameters
        ----------
        replace_symlinks:
            A link at *destination* is replaced, and what it points to stays. A file or folder never is.

        Raises
        ------
        DataNotFoundError
            There is no *source*.
        DestinationExistsError
            Something is at *destination*; both stay as they were.
        StorageError
            A folder goes into itself, or a path cannot be read or written.
        UnknownFormatError
            *destination* names another format than the file has.
        """
        origin = _present(source)
        target = self._free_place(origin, destination, "be moved", replace_symlinks=replace_symlinks)
        with file_errors(origin, f"be moved to {target}"):
            try:
                _put(origin, target, replace_symlinks=replace_symlinks)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(origin, target, replace_symlinks=replace_symlinks, keep_link=True)
                remove_tree(origin)

    def create_symlink(self, source: PathLike, link: PathLike) -> None:
        """Make *link* a link to the absolute path of an existing file or folder.

        Raises
        ------
        DataNotFoundError
            There is no *source*.
        DestinationExistsError
            Something is at *link*.
        """
        origin = _present(source)
        target = self._free_place(origin, link, "be linked")
        with file_errors(target, "be made a link"):
            target.symlink_to(os.path.abspath(origin))

    def mirror_directory(self, source: PathLike, destination: PathLike, *, overwrite_symlinks_only: bool = True) -> int:
        """Make *destination* the same tree of folders as *source*, with a link to every file.

        What else is in *destination* stays. See :meth:`StorageBackend.mirror_directory`.
        """
        folder, mirror = self._folder(source), _checked(destination)
        if _is_below(folder, mirror) or _is_below(mirror, folder):
            raise StorageError(f"{folder} cannot be mirrored to {mirror}: one lies in the other")
        with file_errors(folder, f"be mirrored to {mirror}"):
            return mirror_tree(folder, mirror, replace_files=not overwrite_symlinks_only)

    def _place(self, path: PathLike) -> str:
        place = os.path.normpath(os.fspath(path))
        return place + ARRAY_SUFFIX if _is_bare(Path(place)) else place

    def _folder(self, path: PathLike) -> Path:
        folder = _checked(path)
        if not folder.is_dir():
            raise DataNotFoundError(f"{folder} is no folder")
        return folder

    def _copy(self, origin: Path, target: Path, *, replace_symlinks: bool = False, keep_link: bool = False) -> None:
        """Copy to a hidden sibling of *target*, then rename: complete or not at all."""
        part = part_path(target)
        try:
            if keep_link and origin.is_symlink():
                part.symlink_to(os.readlink(origin))
            else:
                copy_tree(origin, part)
            _put(part, target, replace_symlinks=replace_symlinks)
        except BaseException:
            with suppress(OSError):
                remove_tree(part)
            raise

    def _free_place(self, origin: Path, destination: PathLike, action: str, *, replace_symlinks: bool = False) -> Path:
        """Return the path that *origin* gets at *destination*, in a folder that exists."""
        path = _checked(destination)
        target = path if origin.is_dir() else _in_same_format(origin, path, action)
        for taken in {path, target, _array_path(path) if _is_bare(path) else path}:
            if os.path.lexists(taken) and not (replace_symlinks and taken.is_symlink()):
                raise DestinationExistsError(f"{origin} cannot {action} to {path}: {taken} is there")
        if origin.is_dir() and not origin.is_symlink() and _is_below(target, origin):
            raise StorageError(f"{origin} cannot {action} to {target}: a folder cannot lie in itself")
        self.ensure_directory(target.parent)
        return target


def _checked(path: PathLike) -> Path:
    if "\0" in os.fspath(path):
        raise StorageError(f"{os.fspath(path)!r} is no path: it holds a null character")
    return Path(path)


def _is_bare(path: Path) -> bool:
    """Tell whether the last part of *path* has no suffix, known or not."""
    return path.name not in ("", "..") and not os.path.splitext(path.name)[1]


def _array_path(path: Path) -> Path:
    return path.with_name(path.name + ARRAY_SUFFIX)


def _found(path: PathLike) -> Path:
    """Return the file, link or folder that *path* means; *path* itself if there is none."""
    exact = Path(path)
    if _is_bare(exact) and not os.path.lexists(exact) and os.path.isfile(_array_path(exact)):
        return _array_path(exact)
    return exact


def _present(path: PathLike) -> Path:
    found = _found(path)
    if not os.path.lexists(found):
        raise not_found(found)
    return found


def _host_values(data: Any, path: Path) -> Any:
    """Return what the format of *path* is given: arrays of other libraries as NumPy arrays."""
    if has_extension(path.name, IMAGE_EXTENSIONS):
        return host_array(data)
    if isinstance(data, Mapping) and has_extension(path.name, ARCHIVE_SUFFIX):
        return {name: host_array(values) for name, values in data.items()}
    return data


def _check_bare(path: Path, values: Any) -> None:
    if os.path.lexists(path):
        raise UnknownFormatError(f"{path} is a file without a suffix, so its format is unknown; give another path")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufc":
        what = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
        known = ", ".join(formats.FORMATS)
        raise UnknownFormatError(
            f"{path}: without a suffix an array of numbers is expected, not {what}; give it one of {known}"
        )


def _in_same_format(origin: Path, destination: Path, action: str) -> Path:
    """Return the path at which a file keeps its format: an array may go to a path without a suffix."""
    before, after = formats.format_suffix(origin), formats.format_suffix(destination)
    if before == ARRAY_SUFFIX and _is_bare(destination):
        return _array_path(destination)
    if before and after and formats.FORMATS[before] != formats.FORMATS[after]:
        raise UnknownFormatError(
            f"{origin} cannot {action} to {destination}: the file stays {before}; load and save change the format"
        )
    return destination


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _put(source: Path, target: Path, *, replace_symlinks: bool) -> None:
    """Rename to a path where nothing is, or to that of a link that is replaced."""
    if not (replace_symlinks and target.is_symlink()):
        rename_new(source, target)
    elif source.is_symlink() or not source.is_dir():
        source.replace(target)
    else:  # no system renames a folder onto a link
        aside = part_path(target)
        target.rename(aside)
        try:
            rename_new(source, target)
        except OSError:
            aside.rename(target)
            raise
        aside.unlink()
