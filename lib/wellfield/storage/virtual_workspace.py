"""The virtual workspace: the nested raw files of a plate, or planes of its arrays, under flat, canonical names.

Nothing is copied or linked.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    DuplicatePlaneError,
    PathEscapeError,
    PlateNotFoundError,
    WellfieldError,
)
from wellfield.plate.addresses import ArrayPlane, parse_array_plane
from wellfield.storage.backend import Backend
from wellfield.storage.base import ObjectKind, ObjectStatus
from wellfield.storage.files import file_errors, read_file
from wellfield.storage.indexed import IndexedBackend, plain_path
from wellfield.storage.paths import PathLike, path_list, valid_path

# Absolute, with a drive letter, with a backslash (a separator elsewhere), with "..", or no path at all.
_ESCAPE = re.compile(r"^/|^.:|\\|(?:^|/)\.\.(?:/|$)|^$|\0")


class VirtualWorkspaceBackend(IndexedBackend):
    """Read-only view of one plate.

    A path may also be given as one below the plate's folder: ``<plate_root>/images/A01_s001_w1_z001_t001.tif``.

    Parameters
    ----------
    plate_root:
        Folder of the raw plate; without *mapping*, any folder with ``openhcs_metadata.json``, such as the results of
        the plate. That file gives the mapping, and as ``plate_path`` the plate's folder if it is another one.
    mapping:
        Virtual path (``images/A01_s001_w1_z001_t001.tif``) → real path relative to *plate_root*: of a file, or of a
        Zarr array with the index of a plane (``B/2/0/0#[0,1,2]``, see :mod:`wellfield.plate.addresses`).

    Raises
    ------
    DataNotFoundError
        There is neither a mapping nor metadata.
    MetadataError
        The metadata is corrupt, or its main subdirectory has no mapping.
    PathEscapeError
        A path of the mapping is absolute or has a ``..``: nothing is opened then.
    DuplicatePlaneError
        Two spellings of one virtual path lead to different files.
    """

    _backend_type = Backend.VIRTUAL_WORKSPACE
    batch_threads = 4

    def __init__(self, plate_root: PathLike, mapping: Mapping[str, str] | None = None) -> None:
        self._opened = root = Path(os.path.abspath(valid_path(plate_root)))
        if mapping is None:
            from wellfield.storage.workspace_metadata import mapped_plate  # which imports all microscopes

            root, mapping = mapped_plate(root)
        if not isinstance(mapping, Mapping):
            raise ArgumentTypeError(
                f"the mapping of {root} is {mapping!r}; expected virtual paths and their real paths"
            )
        self._root = root
        self._real_root = os.path.realpath(root)
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
        """Return the real file behind a virtual path; of a plane in an array, the array's folder.

        Raises
        ------
        DataNotFoundError
            The plate has no such plane.
        PathEscapeError
            A symbolic link, of the file or of a folder above it, leads out of the plate folder.
        """
        return self._real(self._mapped(path)[0])

    def load(self, file_path: PathLike, **kwargs: Any) -> Any:
        """Read the real file in the format of its suffix, or a plane ``[Y, X]`` of an array, which has no options."""
        mapped, plane = self._mapped(file_path)
        if plane is not None:
            return self.load_batch([file_path], **kwargs)[0]
        real = self._real(mapped)
        try:
            return read_file(real, **kwargs)
        except DataNotFoundError as error:
            raise self._vanished(real, file_path) from error

    def load_batch(self, file_paths: Sequence[PathLike], **kwargs: Any) -> list[Any]:
        """Return what is stored under each path, in their order; every array is opened once."""
        file_paths = path_list(file_paths)
        arrays: defaultdict[str, list[tuple[int, ArrayPlane]]] = defaultdict(list)
        for number, path in enumerate(file_paths):
            array, plane = self._mapped(path)
            if plane is not None:
                arrays[array].append((number, plane))
        if not arrays:
            return super().load_batch(file_paths, **kwargs)
        if kwargs:
            raise ArgumentTypeError(f"planes of arrays have no options; got {', '.join(sorted(kwargs))}")
        from wellfield.storage.zarr.foreign_arrays import load_array_planes

        in_arrays = {number for planes in arrays.values() for number, _ in planes}
        files = [number for number in range(len(file_paths)) if number not in in_arrays]
        loaded = dict(zip(files, super().load_batch([file_paths[number] for number in files]), strict=True))
        for array, planes in arrays.items():
            folder = self._real(array)
            try:
                found = load_array_planes(
                    folder,
                    [plane.at for _, plane in planes],
                    self._refuse_escapes,
                    background={plane.at for _, plane in planes if plane.background},
                )
            except DataNotFoundError as error:
                if folder.is_dir():
                    raise
                raise self._vanished(folder, file_paths[planes[0][0]]) from error
            loaded |= zip((number for number, _ in planes), found, strict=True)
        return [loaded[number] for number in range(len(file_paths))]

    def stat(self, path: PathLike) -> ObjectStatus:
        """Return the status of the real file; a virtual folder has no size and no time.

        Of a plane in an array: the bytes of its chunks, of shared ones its part, and the time of the newest.
        """
        if self.is_dir(path):
            return ObjectStatus(ObjectKind.FOLDER, 0)
        mapped, plane = self._mapped(path)
        real = self._real(mapped)
        if plane is not None:
            from wellfield.storage.zarr.foreign_arrays import stat_array_plane

            size, seconds = stat_array_plane(real, plane.at, self._refuse_escapes, background=plane.background)
            return ObjectStatus(ObjectKind.FILE, size, seconds)
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
        for root in (self._root, self._opened):
            if Path(name).is_relative_to(root):
                return Path(name).relative_to(root).as_posix()
        return name

    def _mapped(self, path: PathLike) -> tuple[str, ArrayPlane | None]:
        """Return the real path behind a virtual one, relative to the plate; for a plane of an array, both of them."""
        name = self._relative(path)
        real = self._mapping.get(name)
        if real is None:
            raise self._missing(name)
        plane = parse_array_plane(real)
        return (real, None) if plane is None else (plane.array, plane)

    def _real(self, mapped: str) -> Path:
        """Return where a real path is; it stays inside the plate."""
        real = self._root / mapped
        self._refuse_escape(real)
        return real

    def _refuse_escape(self, real: Path) -> None:
        if not Path(os.path.realpath(real)).is_relative_to(self._real_root):
            raise PathEscapeError(f"{real} is a link that leads outside the plate {self._root}")

    def _refuse_escapes(self, files: Iterable[Path]) -> None:
        """Raise if one of an array's files, or a folder above it, is a link that leads outside the plate."""
        folders = set[Path]()
        for file in files:
            if file.parent not in folders:
                self._refuse_escape(file.parent)
                folders.add(file.parent)
            if file.is_symlink():
                self._refuse_escape(file)

    def _vanished(self, real: Path, path: PathLike) -> WellfieldError:
        if not self._root.is_dir():
            return PlateNotFoundError(f"plate folder {self._root} is gone; is its disk still mounted?", path=self._root)
        return DataNotFoundError(f"{real}, mapped as {os.fspath(path)}, does not exist any more", path=real)
