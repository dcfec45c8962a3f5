"""The virtual workspace: a plate's nested raw files under flat, canonical names, without copying or linking one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from wellfield.errors import DataNotFoundError, DuplicatePlaneError, PathEscapeError, PlateNotFoundError, WellfieldError
from wellfield.storage.backend import Backend
from wellfield.storage.base import ObjectKind, ObjectStatus, PathLike
from wellfield.storage.files import file_errors, read_file
from wellfield.storage.indexed import IndexedBackend, plain_path

# Absolute, with a drive letter, with a backslash (a separator elsewhere), with "..", or no path at all.
_ESCAPE = re.compile(r"^/|^.:|\\|(?:^|/)\.\.(?:/|$)|^$|\0")


class VirtualWorkspaceBackend(IndexedBackend):
    """Read-only view of one plate.

    A path may also be given as one below the plate's folder: ``<plate_root>/images/A01_s001_w1_z001_t001.tif``.

    Parameters
    ----------
    plate_root:
        Folder of the raw plate.
    mapping:
        Virtual path (``images/A01_s001_w1_z001_t001.tif``) → real path relative to *plate_root*.

    Raises
    ------
    PathEscapeError
        A path of the mapping is absolute or has a ``..``: nothing is opened then.
    DuplicatePlaneError
        Two spellings of one virtual path lead to different files.
    """

    _backend_type = Backend.VIRTUAL_WORKSPACE
    batch_threads = 4

    def __init__(self, plate_root: PathLike, mapping: Mapping[str, str]) -> None:
        self._root = Path(os.path.abspath(plate_root))
        self._real_root = os.path.realpath(plate_root)
        self._mapping: dict[str, str] = {}
        for virtual, real in mapping.items():
            for path in (virtual, real):
                if not isinstance(path, str) or _ESCAPE.search(path):
                    raise PathEscapeError(
                        f"mapping of {virtual!r} leads outside the plate: {path!r}; expected a relative path"
                    )
            other = self._mapping.setdefault(plain_path(virtual), real)
            if other != real:
                raise DuplicatePlaneError(f"plate {self._root}: {virtual} is mapped to both {other} and {real}")

    def resolve(self, path: PathLike) -> Path:
        """Return the real file behind a virtual path.

        Raises
        ------
        DataNotFoundError
            The plate has no such plane.
        PathEscapeError
            A symbolic link, of the file or of a folder above it, leads out of the plate folder.
        """
        name = self._relative(path)
        if name not in self._mapping:
            raise self._missing(name)
        real = self._root / self._mapping[name]
        if not Path(os.path.realpath(real)).is_relative_to(self._real_root):
            raise PathEscapeError(f"{real} is a link that leads outside the plate {self._root}")
        return real

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read the real file in the format of its suffix."""
        real = self.resolve(file_path)
        try:
            return read_file(real, **kwargs)
        except DataNotFoundError as error:
            raise self._vanished(real, file_path) from error

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return the status of the real file; a virtual folder has no size and no time."""
        if self.is_dir(path):
            return ObjectStatus(ObjectKind.FOLDER, 0)
        real = self.resolve(path)
        try:
            with file_errors(real, "be looked at"):
                status = real.stat()
        except DataNotFoundError as error:
            raise self._vanished(real, path) from error
        return ObjectStatus(ObjectKind.FILE, status.st_size, status.st_mtime)

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Refuse: raw plates are never written to."""
        raise self._unsupported("save: raw plates are read-only")

    def _paths(self) -> Collection[str]:
        return self._mapping

    def _title(self) -> str:
        return f"plate {self._root}"

    def _relative(self, path: PathLike) -> str:
        name = super()._relative(path)
        if not name.startswith("/"):
            return name
        return Path(name).relative_to(self._root).as_posix() if Path(name).is_relative_to(self._root) else name

    def _vanished(self, real: Path, path: PathLike) -> WellfieldError:
        if not self._root.is_dir():
            return PlateNotFoundError(f"plate folder {self._root} is gone; is its disk still mounted?")
        return DataNotFoundError(f"{real}, mapped as {os.fspath(path)}, does not exist any more")
