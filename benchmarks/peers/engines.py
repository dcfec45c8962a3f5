"""Bare Zarr engines on the well: ``engines.py WELL.npy FOLDER``, where the well is ``[F, C, Z, Y, X]``.

Arrays are made by zarr-python; what is timed is the pixels through zarr-python's own codec pipeline, through that of
zarrs, or through tensorstore. ``FIELD`` is an array and a shard per field with chunks of 1024², ``WELL`` one array and
one shard with chunks of a plane; Blosc zstd level 1 with bit shuffle.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import zarr
from answer import answer, seconds
from zarr.codecs import BloscCodec

WELL = np.load(sys.argv[1])
FOLDER = Path(sys.argv[2])
CONTEXT = tensorstore.Context({"file_io_sync": False})  # as the others: nobody waits for the disk
SIDE = min(1024, *WELL.shape[-2:])
PIPELINES = {
    "zarr-python": "zarr.core.codec_pipeline.BatchedCodecPipeline",
    "zarrs": "zarrs.ZarrsCodecPipeline",
}


def blocks(layout: str) -> list[np.ndarray[Any, Any]]:
    """Return what each array of a layout holds."""
    return list(WELL) if layout == "FIELD" else [WELL]


def create(store: Path, layout: str) -> list[Path]:
    """Make the empty arrays."""
    shutil.rmtree(store, ignore_errors=True)
    root = zarr.open_group(store, mode="w", zarr_format=3)
    found = []
    for number, block in enumerate(blocks(layout)):
        side = (SIDE, SIDE) if layout == "FIELD" else block.shape[-2:]
        root.create_array(
            str(number),
            shape=block.shape,
            dtype=block.dtype,
            chunks=(*(1 for _ in block.shape[:-2]), *side),
            shards=block.shape,
            compressors=BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=block.dtype.itemsize),
            config={"write_empty_chunks": True},
        )
        found.append(store / str(number))
    return found


def open_array(engine: str, path: Path) -> Any:
    """Open an array with an engine."""
    if engine == "tensorstore":
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
        return tensorstore.open(spec, context=CONTEXT).result()
    with zarr.config.set({"codec_pipeline.path": PIPELINES[engine]}):
        return zarr.open_array(path, mode="r+")


def fill(engine: str, paths: list[Path], contents: list[np.ndarray[Any, Any]]) -> None:
    """Write all arrays."""
    for path, block in zip(paths, contents, strict=True):
        array = open_array(engine, path)
        if engine == "tensorstore":
            array.write(block).result()
        else:
            array[...] = block


def load(engine: str, paths: list[Path]) -> list[Any]:
    """Read all arrays."""
    opened = [open_array(engine, path) for path in paths]
    if engine == "tensorstore":
        return [array.read().result() for array in opened]
    return [array[...] for array in opened]


def prepare(engine: str, layout: str) -> float:
    """Write the well for reading, and see that it comes back as it was."""
    paths = create(FOLDER / f"read-{engine}-{layout}.zarr", layout)
    elapsed = seconds(lambda: fill(engine, paths, blocks(layout)))
    if not all(map(np.array_equal, load(engine, paths), blocks(layout))):
        raise RuntimeError(f"{engine} {layout} gave other pixels back")
    os.sync()
    return elapsed


def write(engine: str, layout: str) -> float:
    """Write the well into new arrays."""
    paths = create(FOLDER / f"write-{engine}-{layout}.zarr", layout)
    os.sync()
    return seconds(lambda: fill(engine, paths, blocks(layout)))


def read(engine: str, layout: str) -> float:
    """Read the well."""
    store = FOLDER / f"read-{engine}-{layout}.zarr"
    paths = [store / str(number) for number in range(len(blocks(layout)))]
    return seconds(lambda: load(engine, paths))


def plane(engine: str, layout: str, count: int) -> float:
    """Read single planes, spread over the well; return the time of one. The arrays are opened before."""
    store = FOLDER / f"read-{engine}-{layout}.zarr"
    opened = [open_array(engine, store / str(number)) for number in range(len(blocks(layout)))]
    indices = list(np.ndindex(WELL.shape[:3]))
    chosen = indices[:: max(1, len(indices) // count)]

    def one(index: tuple[int, ...]) -> Any:
        array, inner = (opened[index[0]], index[1:]) if layout == "FIELD" else (opened[0], index)
        return array[inner].read().result() if engine == "tensorstore" else array[inner]

    return seconds(lambda: [one(index) for index in chosen]) / len(chosen)


if __name__ == "__main__":
    answer({"prepare": prepare, "write": write, "read": read, "plane": plane})
