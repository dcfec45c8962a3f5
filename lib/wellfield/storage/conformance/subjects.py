"""The backends that come with Wellfield, as subjects of the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from wellfield import formats
from wellfield.plate.keys import PlaneKey, match_plane_name, plane_name
from wellfield.storage.backend import Backend, NgffVersion, ZarrChunkStrategy, ZarrConfig
from wellfield.storage.base import DataSink
from wellfield.storage.conformance.subject import Array, Capability, Files, Subject
from wellfield.storage.disk_backend import DiskStorageBackend
from wellfield.storage.memory_backend import MemoryStorageBackend
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

TREE = (
    Capability.BATCHES
    | Capability.OBJECTS
    | Capability.FOLDERS
    | Capability.TREES
    | Capability.STATUS
    | Capability.FREE_NAMES
    | Capability.NESTED
)


class MemorySubject(Subject):
    """The memory backend."""

    backend_name = Backend.MEMORY
    backend_type: ClassVar[type[MemoryStorageBackend]] = MemoryStorageBackend
    capabilities = TREE | Capability.ANY_OBJECT

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._backend = self.backend_type()

    def make_backend(self) -> DataSink:
        """Return the only instance: it holds the data."""
        return self._backend


class DiskSubject(Subject):
    """The disk backend with TIFF files."""

    backend_name = Backend.DISK
    backend_type: ClassVar[type[DiskStorageBackend]] = DiskStorageBackend
    capabilities = TREE | Capability.SYMLINKS | Capability.PERSISTENT

    def make_backend(self) -> DataSink:
        """Return a new instance."""
        return self.backend_type()


class NpyDiskSubject(DiskSubject):
    """The disk backend with memory-mapped NumPy files."""

    suffix = ".npy"


class ZarrArraySubject(Subject):
    """The Zarr backend without a plate: one array per path."""

    backend_name = Backend.ZARR
    backend_type: ClassVar[type[ZarrStorageBackend]] = ZarrStorageBackend
    capabilities = TREE | Capability.PERSISTENT

    def make_backend(self) -> DataSink:
        """Return a new instance."""
        return self.backend_type()


class ZarrPlateSubject(Subject):
    """The Zarr backend with a plate, in which whole wells are stored.

    Parameters
    ----------
    config:
        Layout and NGFF version of the store.
    """

    backend_name = Backend.ZARR
    backend_type: ClassVar[type[ZarrStorageBackend]] = ZarrStorageBackend
    capabilities = Capability.BATCHES | Capability.TREES | Capability.STATUS | Capability.PERSISTENT

    def __init__(self, root: Path, config: ZarrConfig) -> None:
        super().__init__(root)
        self.config = config

    def make_backend(self) -> DataSink:
        """Return a new instance."""
        return self.backend_type()

    def at(self, root: Path) -> Self:
        """Return a subject with the same settings."""
        return type(self)(root, self.config)

    def beside(self, name: str) -> str:
        """Return the path of a store."""
        return str(self.root / f"{name}.zarr")

    def path(self, number: int, well: str = "A01") -> str:
        """Return the path of a plane; *number* is its field."""
        return f"{self.folder}/{plane_name(PlaneKey(well, number, 1, 1, 1))}"

    def options(self, well: str) -> dict[str, Any]:
        """Return the well and the settings."""
        return {"chunk_name": well, "zarr_config": self.config}

    def mentions(self, message: str, path: str) -> bool:
        """Accept a message with the plane's name, or with its well and field in words."""
        name = path.rpartition("/")[2]
        key = match_plane_name(name)
        return name in message or (key is not None and f"well {key.well}, field {key.field}," in message)


class ZarrStackSubject(ZarrPlateSubject):
    """The Zarr backend with a well whose planes have other names than planes of a plate."""

    capabilities = ZarrPlateSubject.capabilities | Capability.FREE_NAMES

    def path(self, number: int, well: str = "A01") -> str:
        """Return a path that is not the name of a plane of a plate."""
        return f"{self.folder}/{well}_output_{number:03d}{self.suffix}"


class VirtualWorkspaceSubject(Subject):
    """The virtual workspace: raw files in a folder, and a mapping from virtual paths to them."""

    backend_name = Backend.VIRTUAL_WORKSPACE
    backend_type: ClassVar[type[VirtualWorkspaceBackend]] = VirtualWorkspaceBackend
    capabilities = Capability.STATUS | Capability.FREE_NAMES | Capability.NESTED | Capability.PERSISTENT
    raw_name: ClassVar[str] = "TimePoint_1/raw_{}"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._mapping: dict[str, str] = {}

    def make_backend(self) -> DataSink:
        """Return a workspace of the files stored so far."""
        self.root.mkdir(parents=True, exist_ok=True)
        return self.backend_type(self.root, self._mapping)

    def beside(self, name: str) -> str:
        """Return a virtual folder."""
        return name

    def fill(self, values: Mapping[str, Array], well: str = "A01") -> Files:
        """Write the raw files and add them to the mapping."""
        for path, array in values.items():
            raw = self.raw_name.format(len(self._mapping)) + formats.format_suffix(path)
            formats.writer(raw)(self.root / raw, array)
            self._mapping[path] = raw
        return self.open()


def _plate(strategy: ZarrChunkStrategy, version: NgffVersion) -> Callable[[Path], Subject]:
    config = ZarrConfig(chunk_strategy=strategy, ngff_version=version)
    return lambda root: ZarrPlateSubject(root, config)


def _stack(root: Path) -> Subject:
    return ZarrStackSubject(root, ZarrConfig(chunk_strategy=ZarrChunkStrategy.WELL))


PLATES: dict[str, Callable[[Path], Subject]] = {
    f"zarr-{strategy}-{version}": _plate(strategy, version)
    for strategy in ZarrChunkStrategy
    for version in ("0.5", "0.4")
}
TREES: dict[str, Callable[[Path], Subject]] = {
    "memory": MemorySubject,
    "disk": DiskSubject,
    "disk-npy": NpyDiskSubject,
    "zarr-array": ZarrArraySubject,
}
SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    **TREES,
    **PLATES,
    "zarr-stack": _stack,
    "virtual_workspace": VirtualWorkspaceSubject,
}
"""Every kind of storage that comes with Wellfield, by a name for the test's id."""
