"""Names of the storage backends and settings of the Zarr backend. Imports no library."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from wellfield.errors import ConfigError
from wellfield.setting_fields import declared, setting


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


NgffVersion = Literal["0.5", "0.4"]


@dataclass(frozen=True, slots=True)
class ZarrConfig:
    """Settings of a Zarr store, such as plate.zarr.

    Raises
    ------
    ConfigError
        A value is not allowed.
    """

    chunk_strategy: ZarrChunkStrategy = setting(
        ZarrChunkStrategy.WELL,
        "An OME-Zarr image per field (field), or one array per well in one object (well) or in an object per plane "
        "(file).",
    )
    compressor: ZarrCompressor = setting(ZarrCompressor.ZSTD, "Codec (Blosc with bit shuffle) of the pixels.")
    compression_level: int = setting(
        1, "Level of the codec; above 1, camera images take much more time and little less space.", ge=0, le=9
    )
    ngff_version: NgffVersion = setting(
        "0.5", "Version of the OME-Zarr metadata: 0.5 on Zarr v3, 0.4 on Zarr v2, which has no shards."
    )

    def __post_init__(self) -> None:
        for name, entry in declared(ZarrConfig).items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, entry.checked(value))
            except ValueError as expected:
                raise ConfigError(f"{name} is {value!r}; expected {expected}") from None
