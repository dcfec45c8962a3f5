"""Names of the storage backends and settings of the Zarr backend. Imports no library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Backend(StrEnum):
    """Where data lives. Every :class:`~wellfield.storage.FileManager` call names one; none is guessed from a path."""

    MEMORY = "memory"
    DISK = "disk"
    ZARR = "zarr"
    VIRTUAL_WORKSPACE = "virtual_workspace"


class ZarrChunkStrategy(StrEnum):
    """How planes are laid out in a Zarr store.

    ``FIELD`` is an OME-Zarr HCS plate: one image ``tczyx`` per field.
    """

    FIELD = "field"


class ZarrCompressor(StrEnum):
    """Codec of the pixels: Blosc with bit shuffle (zstd or lz4), or none."""

    ZSTD = "zstd"
    LZ4 = "lz4"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ZarrConfig:
    """Settings of the Zarr backend.

    Parameters
    ----------
    chunk_strategy:
        Layout of the planes.
    compressor, compression_level:
        Codec and its level; levels above 1 cost much time for little space on camera images.
    ngff_version:
        Version of the OME-Zarr text that the store follows.
    """

    chunk_strategy: ZarrChunkStrategy = ZarrChunkStrategy.FIELD
    compressor: ZarrCompressor = ZarrCompressor.ZSTD
    compression_level: int = 1
    ngff_version: str = "0.5"
