"""The virtual workspace: a plate's nested raw files under flat, canonical names, without copying or linking one."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from natsort import natsorted

from wellfield import formats
from wellfield.errors import DataNotFoundError, PathEscapeError, PlateNotFoundError
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.plate.wells import canonical_well
from wellfield.storage.backend import Backend
from wellfield.storage.base import PathLike, VirtualBackend, has_extension

# Absolute, with a drive letter, with a backslash (a separator elsewhere), with "..", or no path at all.
_ESCAPE = re.compile(r"^/|^.:|\\|(?:^|/)\.\.(?:/|$)|^$|\0")


class VirtualWorkspaceBackend(VirtualBackend):
    """Read-only view of one plate.

    Parameters
    ----------
    plate_root:
        Folder of the raw plate.
    mapping:
        Virtual path (``images/A01_s001_w1_z001_t001.tif``) → real path relative to *plate_root*.

    Raises
    ------
    PathEscapeError
        A real path is absolute or has a ``..``: nothing is opened then.
    """

    _backend_type = Backend.VIRTUAL_WORKSPACE
    batch_threads = 4

    def __init__(self, plate_root: PathLike, mapping: Mapping[str, str]) -> None:
        self._root = Path(plate_root)
        self._mapping = dict(mapping)
        for virtual, real in self._mapping.items():
            if _ESCAPE.search(real):
                raise PathEscapeError(
                    f"mapping of {virtual} leads outside the plate: {real!r}; expected a relative path"
                )
        self._folders: dict[str, list[str]] | None = None

    def resolve(self, path: PathLike) -> Path:
        """Return the real file behind a virtual path.

        Raises
        ------
        DataNotFoundError
            The plate has no such plane.
        PathEscapeError
            A symbolic link leads out of the plate folder.
        """
        name = PurePosixPath(os.fspath(path)).as_posix()
        if name not in self._mapping:
            raise DataNotFoundError(f"plate {self._root} has no plane {name}")
        real = self._root / self._mapping[name]
        root = self._root.resolve()
        if not real.resolve().is_relative_to(root):
            raise PathEscapeError(f"{real} is a link that leads outside the plate {root}")
        return real

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read the real file in the format of its suffix."""
        real = self.resolve(file_path)
        try:
            return formats.reader(real)(real, **kwargs)
        except FileNotFoundError as error:
            if not self._root.is_dir():
                raise PlateNotFoundError(f"plate folder {self._root} is gone; is its disk still mounted?") from error
            raise DataNotFoundError(f"{real}, mapped as {os.fspath(file_path)}, does not exist any more") from error

    def save(self, data: Any, identifier: PathLike, **kwargs: Any) -> None:
        """Refuse: raw plates are never written to."""
        raise self._unsupported("save: raw plates are read-only")

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a plane or a virtual folder."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a plane of the plate."""
        return PurePosixPath(os.fspath(path)).as_posix() in self._mapping

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a virtual folder."""
        return PurePosixPath(os.fspath(path)).as_posix() in self._index()

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the virtual paths in a virtual folder."""
        folder = self._folder(directory)
        prefix = "" if folder == "." else f"{folder}/"
        index = self._index()
        below = [name for name in index if recursive and name.startswith(prefix) and name != folder]
        return natsorted(path for name in (folder, *below) for path in index[name] if has_extension(path, extensions))

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a virtual folder."""
        folder = self._folder(path)
        names = [PurePosixPath(file).name for file in self._index()[folder]]
        names += [
            PurePosixPath(name).name
            for name in self._index()
            if name != "." and str(PurePosixPath(name).parent) == folder
        ]
        return natsorted(names)

    def generate_filename(self, metadata: Mapping[str, Any], **kwargs: Any) -> str:
        """Return the canonical name for well, field, channel, z, timepoint and projection (all 1, none by default)."""
        projection = Projection(metadata.get("projection", "none"))
        z = int(metadata.get("z", 1)) if projection == Projection.NONE else 0
        field, channel, timepoint = (int(metadata.get(name, 1)) for name in ("field", "channel", "timepoint"))
        key = PlaneKey(canonical_well(metadata["well"]), field, channel, z, timepoint, projection)
        return plane_name(key)

    def _index(self) -> dict[str, list[str]]:
        if self._folders is None:
            folders: dict[str, list[str]] = defaultdict(list, {".": []})
            for path in self._mapping:
                parent = PurePosixPath(path).parent
                folders[str(parent)].append(path)
                for ancestor in parent.parents:
                    folders[str(ancestor)]
            self._folders = dict(folders)
        return self._folders

    def _folder(self, directory: PathLike) -> str:
        folder = PurePosixPath(os.fspath(directory)).as_posix()
        if folder not in self._index():
            raise DataNotFoundError(f"plate {self._root} has no virtual folder {folder}")
        return folder
