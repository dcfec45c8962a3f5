"""Virtual backends that know all their paths, from which folders, listings and file names are derived."""

from __future__ import annotations

import operator
import re
from abc import abstractmethod
from collections.abc import Collection, Container, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    InvalidPathError,
    IsFolderError,
    MetadataError,
    NotAFolderError,
    StorageError,
)
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.plate.wells import canonical_well
from wellfield.storage.base import VirtualBackend
from wellfield.storage.path_index import PathIndex
from wellfield.storage.paths import PathLike, valid_path

# Matches a path that is not spelt plainly: it has an empty part, a "." or a "/" at the end.
_SPELLING = re.compile(r"//|(?:^|/)\.(?:/|$)|/$|^$")


class IndexedBackend(VirtualBackend):
    """A virtual backend over a set of relative paths; the set must not change after the first listing."""

    @abstractmethod
    def _paths(self) -> Collection[str]:
        """Return every path, with ``/`` between its parts. Return a dictionary or its keys: this is called often."""

    @abstractmethod
    def _title(self) -> str:
        """Return the name of the backend's data for messages, such as ``"plate /data/P1"``."""

    def exists(self, path: PathLike) -> bool:
        """Tell whether *path* is a plane or a virtual folder."""
        return self.is_file(path) or self.is_dir(path)

    def is_file(self, path: PathLike) -> bool:
        """Tell whether *path* is a plane of the plate."""
        return self._known(path, self._paths())

    def is_dir(self, path: PathLike) -> bool:
        """Tell whether *path* is a virtual folder."""
        return self._known(path, self._index)

    def _known(self, path: PathLike, paths: Container[str]) -> bool:
        try:
            return self._relative(path) in paths
        except InvalidPathError:
            return False

    def list_files(
        self, directory: PathLike, *, extensions: Collection[str] | None = None, recursive: bool = False
    ) -> list[str]:
        """Return the virtual paths in a virtual folder, naturally sorted."""
        return self._index.files(self._folder(directory), extensions=extensions, recursive=recursive)

    def list_dir(self, path: PathLike) -> list[str]:
        """Return the names in a virtual folder, naturally sorted."""
        return self._index.names(self._folder(path))

    def generate_filename(self, metadata: Mapping[str, Any], **kwargs: Any) -> str:
        """Return the canonical file name of a plane.

        *metadata* has ``well``, and any of ``field``, ``channel``, ``z``, ``timepoint`` (1 by default) and
        ``projection`` (none by default).

        Raises
        ------
        WellNameError
            The name of the well is wrong.
        MetadataError
            The well is missing, a number is not a whole number of 1 or more, or the projection or another name is
            unknown.
        """
        if kwargs:
            raise ArgumentTypeError(f"file names have no option {', '.join(sorted(kwargs))}")
        unknown = metadata.keys() - {"well", "field", "channel", "z", "timepoint", "projection"}
        if unknown or "well" not in metadata:
            raise MetadataError(
                f"no file name for {dict(metadata)}: expected well and any of field, channel, z, timepoint, projection"
            )
        projection = _projection(metadata.get("projection", Projection.NONE))
        z = _number(metadata, "z") if projection == Projection.NONE else 0
        field, channel, timepoint = (_number(metadata, name) for name in ("field", "channel", "timepoint"))
        return plane_name(PlaneKey(canonical_well(str(metadata["well"])), field, channel, z, timepoint, projection))

    @cached_property
    def _index(self) -> PathIndex:
        return PathIndex(self._paths())

    def _relative(self, path: PathLike) -> str:
        """Return *path* in its plain spelling. A ``..`` is kept, so such a path is never found."""
        return plain_path(valid_path(path))

    def _folder(self, directory: PathLike) -> str:
        folder = self._relative(directory)
        if folder not in self._index:
            if folder in self._paths():
                raise NotAFolderError(f"{self._title()}: {folder} is a plane, not a folder", path=folder)
            raise DataNotFoundError(f"{self._title()} has no virtual folder {folder}", path=folder)
        return folder

    def _missing(self, path: str) -> StorageError:
        """Return the error for a path that is not a plane."""
        if path in self._index:
            return IsFolderError(f"{self._title()}: {path} is a virtual folder; expected a plane", path=path)
        return DataNotFoundError(f"{self._title()} has no plane {path}", path=path)


def plain_path(name: str) -> str:
    """Return a path without empty parts, ``.`` and trailing ``/``; ``"."`` if nothing is left."""
    if not _SPELLING.search(name):
        return name
    return PurePosixPath("/" + name.lstrip("/") if name.startswith("/") else name).as_posix()


def _projection(value: Any) -> Projection:
    try:
        return Projection(value)
    except ValueError:
        raise MetadataError(f"projection {value!r} is unknown; expected one of {', '.join(Projection)}") from None


def _number(metadata: Mapping[str, Any], name: str) -> int:
    value = metadata.get(name, 1)
    try:
        number = int(value) if isinstance(value, str) and value.isdecimal() else operator.index(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(value, bool):
        raise MetadataError(f"{name} {value!r} is not a whole number of 1 or more")
    return number
