"""What backends of an OMERO server have in common: the planes of one of its plates under canonical names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy.typing as npt

from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.base import ObjectKind, ObjectStatus
from wellfield.storage.indexed import IndexedBackend
from wellfield.storage.paths import PathLike


class OMEROBackend(IndexedBackend):
    """A view of one plate of a server. The paths are made from the plate's structure, so there is no mapping file.

    A backend of a server tells which planes the plate has and gets one of them; paths and listings come from here.
    """

    @abstractmethod
    def _plane_keys(self) -> Iterable[PlaneKey]:
        """Ask the server which planes the plate has; called once."""

    @abstractmethod
    def _load_plane(self, key: PlaneKey) -> npt.NDArray[Any]:
        """Get the pixels ``[Y, X]`` of a plane from the server."""

    def load(self, file_path: PathLike, **kwargs: Any) -> npt.NDArray[Any]:
        """Return a plane ``[Y, X]``.

        Raises
        ------
        DataNotFoundError
            The plate has no such plane.
        """
        return self._load_plane(self._key(file_path))

    def stat(self, path: PathLike) -> ObjectStatus:
        """Tell plane from folder; a server does not tell the stored size."""
        if not self.is_dir(path):
            self._key(path)
            return ObjectStatus(ObjectKind.FILE, None)
        return ObjectStatus(ObjectKind.FOLDER, 0)

    def _key(self, path: PathLike) -> PlaneKey:
        name = self._relative(path)
        if name not in self._keys:
            raise self._missing(name)
        return self._keys[name]

    def _paths(self) -> Mapping[str, PlaneKey]:
        return self._keys

    @cached_property
    def _keys(self) -> Mapping[str, PlaneKey]:
        return {plane_name(key): key for key in self._plane_keys()}
