"""polystore writes and reads the well: ``polystore_wells.py WELL.npy FOLDER``, where the well is ``[F, C, Z, Y, X]``.

A field is one image of polystore's plate, as its layout for plates has it; strategy ``WELL`` makes one chunk of it and
``FILE`` one of each plane.
"""

from __future__ import annotations

import os
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np
from answer import answer, seconds
from polystore.config import ZarrChunkStrategy, ZarrCompressor, ZarrConfig
from polystore.zarr import ZarrStorageBackend
from polystore.zarr_batch import ZarrBatchAxis, ZarrBatchAxisRole, ZarrBatchLayout

WELL = np.load(sys.argv[1])
FOLDER = Path(sys.argv[2])
INDICES = list(product(*map(range, WELL.shape[:3])))
PLANES = [WELL[index] for index in INDICES]
LAYOUT = ZarrBatchLayout(
    axes=tuple(
        ZarrBatchAxis(name, tuple(str(number + 1) for number in range(length)), role)
        for name, length, role in zip(
            ("field", "c", "z"),
            WELL.shape[:3],
            (ZarrBatchAxisRole.HCS_IMAGE, ZarrBatchAxisRole.ARRAY, ZarrBatchAxisRole.ARRAY),
            strict=True,
        )
    ),
    item_coordinates=tuple(INDICES),
)


def backend(strategy: str, compressor: str) -> ZarrStorageBackend:
    """Return polystore's backend with codec level 1."""
    return ZarrStorageBackend(ZarrConfig(ZarrCompressor[compressor], 1, ZarrChunkStrategy[strategy]))


def paths(store: Path) -> list[Path]:
    """Return a path for each plane."""
    return [store / f"A01_s{f + 1:03d}_w{c + 1}_z{z + 1:03d}_t001.tif" for f, c, z in INDICES]


def save(store: Path, strategy: str, compressor: str) -> float:
    """Write the well into a new folder."""
    shutil.rmtree(store, ignore_errors=True)
    os.sync()
    options = {"chunk_name": "A01", "batch_layout": LAYOUT, "row": "A", "col": "01"}
    return seconds(lambda: backend(strategy, compressor).save_batch(PLANES, paths(store), **options))


def prepare(strategy: str, compressor: str) -> float:
    """Write the well for reading unless it is there, and see that it comes back as it was."""
    store = FOLDER / f"read-{strategy}-{compressor}.zarr"
    if store.exists():
        return 0.0
    elapsed = save(store, strategy, compressor)
    loaded = backend(strategy, compressor).load_batch(paths(store))
    if not all(map(np.array_equal, loaded, PLANES)):
        raise RuntimeError(f"polystore {strategy} {compressor} gave other pixels back")
    os.sync()
    return elapsed


def write(strategy: str, compressor: str) -> float:
    """Write the well."""
    return save(FOLDER / f"write-{strategy}-{compressor}.zarr", strategy, compressor)


def read(strategy: str, compressor: str) -> float:
    """Read the well."""
    store = FOLDER / f"read-{strategy}-{compressor}.zarr"
    return seconds(lambda: backend(strategy, compressor).load_batch(paths(store)))


def plane(strategy: str, compressor: str, count: int) -> float:
    """Read single planes, spread over the well; return the time of one."""
    store = FOLDER / f"read-{strategy}-{compressor}.zarr"
    chosen = paths(store)[:: max(1, len(PLANES) // count)]
    return seconds(lambda: [backend(strategy, compressor).load(path) for path in chosen]) / len(chosen)


if __name__ == "__main__":
    answer({"prepare": prepare, "write": write, "read": read, "plane": plane})
