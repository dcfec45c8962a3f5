"""A small plate with known pixels in every layout, version and dtype, for the tests of other people's readers."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

Array = npt.NDArray[Any]

WELLS = {"A01": (1, 2), "B12": (1, 10)}
CHANNELS, Z, TIMEPOINTS = (1, 3), (1, 2, 3), (1, 2)
SHAPE = (131, 520)
LEVELS = ((131, 520), (66, 260), (33, 130))
MISSING = PlaneKey("B12", 10, 3, 2, 1)
BLACK = PlaneKey("A01", 1, 1, 2, 2)
CHANNEL_NAMES = ["DAPI", "Tubulin"]
METADATA = FieldMetadata(0.65, 2.5, dict(zip(CHANNELS, CHANNEL_NAMES, strict=True)), {3: "00FF00"})

VERSIONS = ("0.5", "0.4")
DTYPES = ("uint8", "uint16", "uint32", "int16", "float32")


@dataclass(frozen=True)
class WrittenPlate:
    """What a plate on disk must read as.

    Parameters
    ----------
    labelled:
        Whether the first field of every well has the label ``nuclei``.
    """

    store: Path
    strategy: ZarrChunkStrategy
    version: str = "0.5"
    dtype: str = "uint16"
    labelled: bool = False

    @property
    def well_paths(self) -> list[str]:
        """Paths of the wells, in plate order."""
        return [f"{well[0]}/{well[1:]}" for well in WELLS]

    @cached_property
    def images(self) -> dict[str, Array]:
        """Level 0 of every image, by its path in the plate."""
        found = {}
        for well, path in zip(WELLS, self.well_paths, strict=True):
            if self.strategy == ZarrChunkStrategy.FIELD:
                found |= {f"{path}/{field}": self.field(well, field) for field in WELLS[well]}
            else:
                found |= {f"{path}/{t}": self.timepoint(well, t) for t in TIMEPOINTS}
        return found

    @cached_property
    def labels(self) -> dict[str, Array]:
        """Level 0 ``tzyx`` of every label ``nuclei``, by the path of its image."""
        if not self.labelled:
            return {}
        firsts = {f"{path}/{WELLS[well][0]}": well for well, path in zip(WELLS, self.well_paths, strict=True)}
        shape = (len(TIMEPOINTS), len(Z), *SHAPE)
        return {path: np.broadcast_to(ids(WELLS[well][0]), shape) for path, well in firsts.items()}

    def field(self, well: str, field: int) -> Array:
        """Return the image ``tczyx`` of a field; what is missing is zero."""
        planes = [
            [[self.plane(PlaneKey(well, field, channel, z, t)) for z in Z] for channel in CHANNELS] for t in TIMEPOINTS
        ]
        return np.array(planes, self.dtype)

    def timepoint(self, well: str, timepoint: int) -> Array:
        """Return the image ``(field, c, z, y, x)`` of a timepoint; what is missing is zero."""
        position = TIMEPOINTS.index(timepoint)
        return np.stack([self.field(well, field)[position] for field in WELLS[well]])

    def plane(self, key: PlaneKey) -> Array:
        """Return the pixels of one plane: noise over the range of the dtype, both ends included."""
        if key in (MISSING, BLACK):
            return np.zeros(SHAPE, self.dtype)
        noise = np.random.default_rng([key.well == "A01", *key[1:5]]).random(SHAPE)
        if self.dtype == "float32":
            plane = (noise * 2e4 - 1e4).astype(np.float32)
            plane[0, 0] = np.nan
            return plane
        limits = np.iinfo(self.dtype)
        plane = (noise * (int(limits.max) - int(limits.min)) + int(limits.min)).astype(self.dtype)
        plane[0, :2] = limits.min, limits.max
        return plane


# What the fixture ``plate_of`` is: takes strategy, version and dtype.
PlateOf = Callable[..., WrittenPlate]


def write_plate(store: Path, strategy: ZarrChunkStrategy, version: str = "0.5", dtype: str = "uint16") -> WrittenPlate:
    """Write a plate well by well and return what it must read as; ``FIELD`` with labels."""
    plate = WrittenPlate(store, strategy, version, dtype, labelled=strategy == ZarrChunkStrategy.FIELD)
    config = ZarrConfig(chunk_strategy=strategy, ngff_version=version)
    for well, fields in WELLS.items():
        planes: dict[str, Array] = {}
        for key in _keys(well):
            if key != MISSING:
                planes[plane_name(key)] = plate.plane(key)
            if plate.labelled and key.channel == CHANNELS[0] and key.field == fields[0]:
                planes[f"labels/nuclei/{plane_name(key)}"] = ids(key.field)
        ZarrStorageBackend().save_batch(
            list(planes.values()),
            [store / name for name in planes],
            chunk_name=f"well_{well}",
            zarr_config=config,
            metadata=METADATA,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert finalize_plate(store, [*WELLS, "C01"], name="Interop") == list(WELLS)
    return plate


def ids(field: int) -> Array:
    """Return the label of a field: blocks of ids far beyond 65,535, the largest id there is among them."""
    blocks = np.arange(12, dtype=np.uint32).reshape(3, 4) * 70_000 + field
    blocks[-1, -1] = 2**32 - 1
    return np.kron(blocks, np.ones((44, 130), np.uint32))[: SHAPE[0]]


def digest(array: Array) -> str:
    """Return the SHA-256 of an array's little-endian bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _keys(well: str) -> Iterator[PlaneKey]:
    for field in WELLS[well]:
        for channel in CHANNELS:
            for z in Z:
                for timepoint in TIMEPOINTS:
                    yield PlaneKey(well, field, channel, z, timepoint)
