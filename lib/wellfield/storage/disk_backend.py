"""The disk backend: files whose suffix decides their format."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted

from wellfield import formats
from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    NotAFolderError,
    StorageError,
    UnknownFormatError,
)
from wellfield.formats.atomic import part_path
from wellfield.storage.backend import Backend
from wellfield.storage.base import ObjectKind, ObjectStatus, StorageBackend, has_extension
from wellfield.storage.disk_paths import (
    ARRAY_SUFFIX,
    array_path,
    found_path,
    is_bare,
    is_zarr_array,
    path_in_same_format,
    present_path,
)
from wellfield.storage.files import (
    file_errors,
    is_a_folder,
    known_options,
    link_status,
    not_found,
    read_file,
    refuse_working_folder,
)
from wellfield.storage.host import host_array
from wellfield.storage.paths import PathLike, named_path, new_path, path_text, valid_path
from wellfield.storage.tree import copy_tree, files_in, mirror_tree, put, remove_tree, visible_entries


class DiskStorageBackend(StorageBackend):
    """Files and folders of the operating system. Writes are atomic; options of ``save`` go to the format's writer.

    A path without a suffix stands for an array in ``<path>.npy``, so that the same path can be used on disk, in memory
    and in Zarr. If a file or folder has exactly this path, the path means that file or folder and not the array. The
    folder of a Zarr array is an exception: it belongs to the Zarr backend and is neither seen nor changed here, so both
    backends can keep an array under one path. Arrays of any library are stored as NumPy arrays, see
    :func:`~wellfield.storage.host.host_array`.
    """

    _backend_type = Backend.DISK
    batch_threads = 4

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Write *data* in the format of the suffix. A link is replaced; its target stays.

        Raises
        ------
        IsFolderError
            A folder is at the path.
        NotAFolderError
            The path is below a file.
        StorageError
            The file cannot be written.
        UnknownFormatError
            The suffix belongs to no known format, or *data* does not fit the format; without a suffix, only arrays
            of numbers fit.
        MemoryTypeError
            *data* is an array that cannot be copied to host memory.
        """
        path = Path(new_path(identifier))
        if is_bare(path) and os.path.isdir(path) and not is_zarr_array(path):
            raise is_a_folder(path)  # with a suffix, the rename at the end of the write raises the error
        target = array_path(path) if is_bare(path) else path
        write = formats.writer(target)
        values = _host_values(data, target)
        if target != path:
            _check_bare(path, values)
        folder = target.parent
        if not os.path.isdir(folder) or (os.path.exists(folder / "zarr.json") and is_zarr_array(folder)):
            _make_folder(folder)
        with known_options(write, target, values, **kwargs):
            write(target, values, **kwargs)

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read a file in the format of its suffix.

        Raises
        ------
        DataNotFoundError
            The file does not exist, or is a link to a file that does not exist.
        IsFolderError
            The path is a folder.
        StorageError
            The file is damaged, or cannot be read.
        UnknownFormatError
            The suffix belongs to no known format.
        """
        path = found_path(valid_path(file_path))
        if is_bare(path) and not os.path.exists(path):
            raise not_found(path)
        return read_file(path, **kwargs)

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* exists; a link whose target is gone does not."""
        return os.path.exists(found_path(path_text(path)))

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a file."""
        return os.path.isfile(found_path(path_text(path)))

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a folder."""
        return os.path.isdir(path_text(path)) and not is_zarr_array(Path(path))

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the paths of the files in *directory*, without unfinished writes; folder links are not followed."""
        folder = self._folder(directory)
        with file_errors(folder, "be listed"):
            found = [path for path in files_in(folder, recursive=recursive) if has_extension(path, extensions)]
        return natsorted(sorted(found))  # natural order alone does not order names such as A1 and A01

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a folder, without unfinished writes."""
        folder = self._folder(path)
        with file_errors(folder, "be listed"):
            return natsorted(sorted(entry.name for entry in visible_entries(folder)))

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return kind, size and time of a path; for a link also its target."""
        found = present_path(path)
        with file_errors(found, "be looked at"):
            status = os.lstat(found)
        if not stat.S_ISLNK(status.st_mode):
            return _status(status)
        try:
            target = _status(os.stat(found))
        except OSError:  # the target is gone, or the link points to itself
            target = None
        return link_status(found, status.st_mtime, target)

    def ensure_directory(self, directory: PathLike) -> None:
        """Make a folder and its parents."""
        _make_folder(Path(named_path(directory)))

    def delete(self, path: PathLike) -> None:
        """Remove one file, one link (not its target) or one empty folder."""
        target = present_path(named_path(path))
        with file_errors(target, "be removed"):
            if os.path.isdir(target) and not os.path.islink(target):
                target.rmdir()
            else:
                target.unlink()

    def delete_all(self, path: PathLike) -> None:
        """Remove a folder and everything in it."""
        folder = self._folder(named_path(path))
        if os.path.islink(folder):
            raise NotAFolderError(f"{folder} is a link to a folder; delete removes the link", path=folder)
        refuse_working_folder(folder)
        with file_errors(folder, "be removed"):
            shutil.rmtree(folder)

    def copy(self, source: PathLike, destination: PathLike) -> None:
        """Copy a file, or a folder with everything in it: completely, or not at all.

        If *source* is a link, its target is copied. Links in a folder are copied as links. Unfinished writes are left
        out.

        Raises
        ------
        DataNotFoundError
            *source* does not exist.
        DestinationExistsError
            Something is at *destination*; it stays as it was.
        StorageError
            A folder would be copied into itself, or a path cannot be read or written.
        UnknownFormatError
            The suffix of *destination* stands for another format than the file's.
        """
        origin = present_path(source)
        if not os.path.exists(origin):
            raise not_found(origin)
        target = self._free_place(Path(os.path.realpath(origin)), destination, "be copied")
        with file_errors(origin, f"be copied to {target}"):
            self._copy(origin, target)

    def move(self, source: PathLike, destination: PathLike, *, replace_symlinks: bool = False) -> None:
        """Rename a file, link or folder. If *destination* is on another file system, copy it and then remove it.

        Parameters
        ----------
        replace_symlinks:
            Replace a link at *destination*; its target stays. A file or folder is never replaced.

        Raises
        ------
        DataNotFoundError
            *source* does not exist.
        DestinationExistsError
            Something is at *destination*; both stay as they were.
        StorageError
            A folder would be moved into itself, or a path cannot be read or written.
        UnknownFormatError
            The suffix of *destination* stands for another format than the file's.
        """
        origin = present_path(source)
        target = self._free_place(origin, destination, "be moved", replace_symlinks=replace_symlinks)
        with file_errors(origin, f"be moved to {target}"):
            try:
                put(origin, target, replace_symlinks=replace_symlinks)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(origin, target, replace_symlinks=replace_symlinks, keep_link=True)
                remove_tree(origin)

    def create_symlink(self, source: PathLike, link: PathLike) -> None:
        """Make *link* a symbolic link to the absolute path of an existing file or folder.

        Raises
        ------
        DataNotFoundError
            *source* does not exist.
        DestinationExistsError
            Something is at *link*.
        """
        origin = present_path(source)
        target = self._free_place(origin, link, "be linked")
        with file_errors(target, "be made a link"):
            target.symlink_to(os.path.abspath(origin))

    def mirror_directory(self, source: PathLike, destination: PathLike, *, overwrite_symlinks_only: bool = True) -> int:
        """Make the folders of *source* in *destination*, with a link to every file.

        Other contents of *destination* stay. See :meth:`StorageBackend.mirror_directory`.
        """
        folder, mirror = self._folder(source), Path(new_path(destination))
        if _is_below(folder, mirror) or _is_below(mirror, folder):
            raise StorageError(
                f"{folder} cannot be mirrored to {mirror}: one lies in the other", path=folder, code=errno.EINVAL
            )
        with file_errors(folder, f"be mirrored to {mirror}"):
            return mirror_tree(folder, mirror, replace_files=not overwrite_symlinks_only)

    def _place(self, path: PathLike) -> str:
        place = super()._place(path)
        return place + ARRAY_SUFFIX if is_bare(Path(place)) else place

    def _folder(self, path: PathLike) -> Path:
        folder = Path(valid_path(path))
        if self.is_dir(folder):
            return folder
        if self.exists(folder):
            raise NotAFolderError(f"{folder} is not a folder", path=folder)
        raise DataNotFoundError(f"{folder} is not a folder", path=folder)

    def _copy(self, origin: Path, target: Path, *, replace_symlinks: bool = False, keep_link: bool = False) -> None:
        """Copy to a hidden sibling of *target*, then rename it: completely, or not at all."""
        part = part_path(target)
        try:
            if keep_link and os.path.islink(origin):
                part.symlink_to(os.readlink(origin))
            else:
                copy_tree(origin, part)
            put(part, target, replace_symlinks=replace_symlinks)
        except BaseException:
            with suppress(OSError):
                remove_tree(part)
            raise

    def _free_place(self, origin: Path, destination: PathLike, action: str, *, replace_symlinks: bool = False) -> Path:
        """Return the path of *origin* at *destination*; nothing may be there, and its folder is made."""
        path = Path(new_path(destination))
        target = path if os.path.isdir(origin) else path_in_same_format(origin, path, action)
        places = {path, target, array_path(path) if is_bare(path) else path}
        if target != path and is_zarr_array(path):
            places.remove(path)
        for taken in places:
            if os.path.lexists(taken) and not (replace_symlinks and os.path.islink(taken)):
                raise DestinationExistsError(f"{origin} cannot {action} to {path}: {taken} is there", path=taken)
        if os.path.isdir(origin) and not os.path.islink(origin) and _is_below(target, origin):
            message = f"{origin} cannot {action} to {target}: a folder cannot lie in itself"
            raise StorageError(message, path=target, code=errno.EINVAL)
        _make_folder(target.parent)
        return target


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, with any names."""
    for missing in (folder, *folder.parents):
        if os.path.lexists(missing):  # another thread may have made it just now
            if os.path.isdir(missing) and not is_zarr_array(missing):
                break
            raise NotAFolderError(f"folder {folder} cannot be made: {missing} is not a folder", path=missing)
        if is_bare(missing) and os.path.isfile(array_path(missing)):
            raise NotAFolderError(f"folder {folder} cannot be made: {missing} is an array", path=missing)
    with file_errors(folder, "be made"):
        folder.mkdir(parents=True, exist_ok=True)


def _host_values(data: Any, path: Path) -> Any:
    """Return *data* for the writer of *path*: for an image format, an array of any library as a NumPy array."""
    if has_extension(path.name, formats.IMAGE_SUFFIXES):
        return host_array(data)
    return data


def _check_bare(path: Path, values: Any) -> None:
    if os.path.lexists(path) and not is_zarr_array(path):
        raise UnknownFormatError(f"{path} is a file without a suffix, so its format is unknown; give another path")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biufc":
        what = f"an array of {values.dtype}" if isinstance(values, np.ndarray) else f"a {type(values).__name__}"
        known = ", ".join(formats.FORMATS)
        raise UnknownFormatError(
            f"{path}: without a suffix an array of numbers is expected, not {what}; give it one of {known}"
        )


def _status(status: os.stat_result) -> ObjectStatus:
    if stat.S_ISDIR(status.st_mode):
        return ObjectStatus(ObjectKind.FOLDER, 0, status.st_mtime)
    return ObjectStatus(ObjectKind.FILE, status.st_size, status.st_mtime)


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
