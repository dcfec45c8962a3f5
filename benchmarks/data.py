"""The well that the storage benchmarks write, and the folders that they write to."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import WORK
from wellfield.example import ExamplePlate
from wellfield.plate.keys import FieldKey, PlaneKey

WELL_NAME = "B03"


@dataclass(frozen=True)
class Well:
    """A well of the synthetic plate: photon noise on a background, with nuclei; uint16, the same bytes every time."""

    fields: int
    channels: int
    z: int
    side: int

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Lengths of the axes field, channel, z, y, x."""
        return self.fields, self.channels, self.z, self.side, self.side

    @property
    def nbytes(self) -> int:
        """Size of the pixels."""
        return int(np.prod(self.shape)) * 2

    @property
    def keys(self) -> list[PlaneKey]:
        """Keys of the planes, in the order of the array."""
        return [PlaneKey(WELL_NAME, f + 1, c + 1, z + 1, 1) for f, c, z in np.ndindex(self.shape[:3])]

    def __str__(self) -> str:
        return (
            f"a well of {self.fields} fields × {self.channels} channels × {self.z} z × {self.side}² uint16, "
            f"{self.nbytes / 1e6:.0f} MB"
        )

    def file(self) -> Path:
        """Return the ``.npy`` file of the pixels, ``[F, C, Z, Y, X]``, made when it is first needed."""
        path = WORK / f"well-{'x'.join(map(str, self.shape))}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            pixels = np.lib.format.open_memmap(part, "w+", np.dtype(np.uint16), self.shape)
            with ThreadPoolExecutor(min(cores(), self.fields)) as pool:
                for number, planes in enumerate(pool.map(self._field, range(1, self.fields + 1))):
                    pixels[number] = planes
            pixels.flush()
            part.replace(path)
        return path

    def pixels(self) -> npt.NDArray[np.uint16]:
        """Return the pixels, in memory."""
        return np.load(self.file())  # type: ignore[no-any-return]

    def _field(self, number: int) -> npt.NDArray[np.uint16]:
        plate = ExamplePlate(wells=(WELL_NAME,), fields=self.fields, channels=self.channels, z=self.z, size=self.side)
        return plate.pixels(FieldKey(WELL_NAME, number, 1))


FULL = Well(fields=9, channels=2, z=5, side=2048)
QUICK = Well(fields=2, channels=2, z=2, side=2048)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fresh(name: str) -> Path:
    """Return a new empty folder, after all that was written before has reached the disk."""
    folder = WORK / "storage" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    return folder


def footprint(folder: Path) -> tuple[int, int]:
    """Return bytes and number of the files below *folder*."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files)
