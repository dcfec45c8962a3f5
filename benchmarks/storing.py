"""The ways to store a well through the file manager, and the cases that are measured for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import WELL_NAME, Well, fresh
from benchmarks.harness import Case, Statistics
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage import Backend, FileManager, create_storage_registry
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor, ZarrConfig

PLANES_READ = 20


@dataclass(frozen=True)
class Layout:
    """A way of storing a well through the file manager.

    Parameters
    ----------
    name:
        What the tables call it.
    backend:
        Name of the backend.
    options:
        What ``save_batch`` is given besides planes and paths.
    """

    name: str
    backend: Backend
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def zarr(cls, strategy: ZarrChunkStrategy, compressor: ZarrCompressor = ZarrCompressor.ZSTD) -> Layout:
        """Return a layout of the Zarr backend, codec level 1."""
        config = ZarrConfig(chunk_strategy=strategy, compressor=compressor, compression_level=1)
        name = f"{strategy.name} {compressor.name.lower()}"
        return cls(name, Backend.ZARR, {"chunk_name": WELL_NAME, "zarr_config": config})

    @classmethod
    def tiff(cls, compression: str | None) -> Layout:
        """Return a TIFF per plane."""
        return cls(f"TIFF {compression or 'none'}", Backend.DISK, {"compression": compression} if compression else {})

    def paths(self, folder: Path, keys: Sequence[PlaneKey]) -> list[str]:
        """Return the paths of planes stored in *folder*."""
        root = folder / "plate.zarr" if self.backend == Backend.ZARR else folder
        return [str(root / plane_name(key)) for key in keys]

    def save(self, planes: Sequence[npt.NDArray[Any]], folder: Path, keys: Sequence[PlaneKey]) -> None:
        """Store planes."""
        manager().save_batch(planes, self.paths(folder, keys), self.backend, **self.options)

    def load(self, folder: Path, keys: Sequence[PlaneKey]) -> list[npt.NDArray[Any]]:
        """Return planes."""
        return manager().load_batch(self.paths(folder, keys), self.backend)


@cache
def manager() -> FileManager:
    """Return the file manager of the run: a job has one, too."""
    return FileManager(create_storage_registry())


WELL, FILE, FIELD = map(Layout.zarr, (ZarrChunkStrategy.WELL, ZarrChunkStrategy.FILE, ZarrChunkStrategy.FIELD))
TIFFS = tuple(map(Layout.tiff, (None, "zlib", "zstd", "lzw")))


class Bench:
    """A well in memory, and the cases of storing it.

    Parameters
    ----------
    well:
        What is stored.
    repeats:
        Repeats of each case; slow tables take fewer.
    """

    def __init__(self, well: Well, repeats: int) -> None:
        self.well, self.repeats = well, repeats
        self.pixels, self.keys = well.pixels(), well.keys
        self.planes = [self.pixels[index] for index in np.ndindex(self.pixels.shape[:3])]
        step = max(1, len(self.keys) // PLANES_READ)
        self.chosen = list(range(0, len(self.keys), step))
        self._stored: dict[str, Path] = {}

    def stored(self, layout: Layout) -> Path:
        """Return a folder that holds the well, written once and compared."""
        if layout.name not in self._stored:
            folder = fresh(f"read {layout.name}")
            layout.save(self.planes, folder, self.keys)
            if not all(map(np.array_equal, layout.load(folder, self.keys), self.planes)):
                raise RuntimeError(f"{layout.name} gave other pixels back")
            self._stored[layout.name] = folder
        return self._stored[layout.name]

    def write(self, layout: Layout, name: str | None = None) -> Case:
        """Return the case of writing the well into a new folder."""
        return Case(
            name or layout.name,
            lambda folder: layout.save(self.planes, folder, self.keys),
            lambda: fresh(f"write {layout.name}"),
        )

    def read(self, layout: Layout, name: str | None = None) -> Case:
        """Return the case of reading the well."""
        folder = self.stored(layout)
        return Case(name or layout.name, lambda _: layout.load(folder, self.keys))

    def one_plane(self, layout: Layout, name: str | None = None, folder: Path | None = None) -> Case:
        """Return the case of reading one plane, the mean of several from all over the well."""
        found = folder or self.stored(layout)
        keys = [self.keys[number] for number in self.chosen]
        return Case(
            name or layout.name, lambda _: timed(lambda: [layout.load(found, [key]) for key in keys], len(keys))
        )

    def speed(self, name: str, found: Statistics) -> Mapping[str, str]:
        """Return a column with MB/s of pixels."""
        return {"MB/s": f"{self.well.nbytes / found.median / 1e6:,.0f}"}


def timed(run: Callable[[], Any], count: int) -> float:
    """Return the seconds that each of *count* things takes in a call."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / count
