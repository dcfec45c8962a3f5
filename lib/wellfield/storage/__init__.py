"""The virtual file system: one :class:`FileManager` over every place where data can live."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wellfield.storage.backend import Backend, ZarrChunkStrategy, ZarrCompressor, ZarrConfig
from wellfield.storage.backend_registry import (
    STORAGE_BACKENDS,
    StorageBackendMeta,
    create_storage_registry,
    discover_all_backends,
    get_backend_instance,
    storage_registry,
)
from wellfield.storage.base import DataSink, StorageBackend, VirtualBackend
from wellfield.storage.filemanager import FileManager
from wellfield.storage.streaming import StreamingBackend

if TYPE_CHECKING:
    from wellfield.storage.disk_backend import DiskStorageBackend
    from wellfield.storage.memory_backend import MemoryStorageBackend
    from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
    from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

__all__ = [
    "STORAGE_BACKENDS",
    "Backend",
    "DataSink",
    "DiskStorageBackend",
    "FileManager",
    "MemoryStorageBackend",
    "StorageBackend",
    "StorageBackendMeta",
    "StreamingBackend",
    "VirtualBackend",
    "VirtualWorkspaceBackend",
    "ZarrChunkStrategy",
    "ZarrCompressor",
    "ZarrConfig",
    "ZarrStorageBackend",
    "create_storage_registry",
    "discover_all_backends",
    "get_backend_instance",
    "storage_registry",
]

_LAZY = {
    "DiskStorageBackend": "wellfield.storage.disk_backend",
    "MemoryStorageBackend": "wellfield.storage.memory_backend",
    "VirtualWorkspaceBackend": "wellfield.storage.virtual_workspace",
    "ZarrStorageBackend": "wellfield.storage.zarr.zarr_backend",
}


_NOT_YET = ("OMEROLocalBackend", "NapariStreamBackend", "FijiStreamBackend")


def __getattr__(name: str) -> Any:
    """Import a backend class when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _NOT_YET:
        raise AttributeError(f"{name} is not implemented yet")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
