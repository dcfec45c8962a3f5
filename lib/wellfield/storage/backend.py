"""Names of the storage backends and settings of the Zarr backend. Imports no library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wellfield.errors import ConfigError


class Backend(StrEnum):
    """Where data lives. Every :class:`~wellfield.storage.FileManager` call names one; none is guessed from a path.

    OMERO, napari and Fiji have their names but no backend yet.
    """

    MEMORY = "memory"
    DISK = "disk"
    ZARR = "zarr"
    VIRTUAL_WORKSPACE = "virtual_workspace"
    OMERO_LOCAL = "omero_local"
    NAPARI_STREAM = "napari_stream"
    FIJI_STREAM = "fiji_stream"


class ZarrChunkStrategy(StrEnum):
    """How planes are laid out in a Zarr store.

    ``WELL`` and ``FILE`` hold the images of a well in one array ``(field, channel, z, y, x)`` per timepoint: ``WELL``
    as one object (on Zarr v3 a shard of planes), ``FILE`` with an object per plane. ``FIELD`` is the layout that other
    tools understand best, an OME-Zarr HCS plate with one image ``tczyx`` per field, pyramids and labels.
    """

    WELL = "well"
    FILE = "file"
    FIELD = "field"


class ZarrCompressor(StrEnum):
    """Codec of the pixels: Blosc with bit shuffle (zstd or lz4), or none."""

    ZSTD = "zstd"
    LZ4 = "lz4"
    NONE = "none"


NGFF_VERSIONS = ("0.5", "0.4")


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
        Version of the OME-Zarr text that the store follows: ``"0.5"`` on Zarr v3, ``"0.4"`` on Zarr v2, which has no
        shards.

    Raises
    ------
    ConfigError
        A value is not one of these.
    """

    chunk_strategy: ZarrChunkStrategy = ZarrChunkStrategy.WELL
    compressor: ZarrCompressor = ZarrCompressor.ZSTD
    compression_level: int = 1
    ngff_version: str = "0.5"

    def __post_init__(self) -> None:
        for name, kind in (("chunk_strategy", ZarrChunkStrategy), ("compressor", ZarrCompressor)):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(kind)}") from None
        level = self.compression_level
        if not isinstance(level, int) or not 0 <= level <= 9:
            raise ConfigError(f"compression_level is {level!r}; expected a number from 0 to 9")
        if self.ngff_version not in NGFF_VERSIONS:
            raise ConfigError(f"ngff_version is {self.ngff_version!r}; expected one of {', '.join(NGFF_VERSIONS)}")
