"""Shards of Zarr v3, put together from chunks that are already compressed.

An engine keeps all of a shard in memory until it is complete, which for a whole well can be gigabytes. Here the chunks
come as files of a scratch array, in any order, and are appended one by one: memory does not grow with the shard.

Source of the format: the codec ``sharding_indexed`` of the Zarr v3 specification,
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_MISSING = 2**64 - 1
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How a shard's index is stored: offset and length of every chunk, 64 bits each."""

    at_start: bool = False
    checksum: bool = True
    big_endian: bool = False


def read_index(path: Path, grid: Sequence[int], index: ShardIndex) -> npt.NDArray[np.int64] | None:
    """Return the bytes of each chunk of a shard, an array like *grid* with -1 for chunks that are not there.

    ``None`` if the index cannot be read, or is damaged.
    """
    from google_crc32c import value as crc32c

    count = int(np.prod(grid, dtype=np.int64))
    length = 16 * count + (4 if index.checksum else 0)
    try:
        size = path.stat().st_size
        if size < length:
            return None
        with path.open("rb") as file:
            file.seek(0 if index.at_start else size - length)
            content = file.read(length)
    except OSError:
        return None
    entries: npt.NDArray[Any] = np.frombuffer(content[: 16 * count], ">u8" if index.big_endian else "<u8").reshape(
        -1, 2
    )
    if index.checksum and content[16 * count :] != crc32c(content[: 16 * count]).to_bytes(4, "little"):
        return None
    there = entries[:, 0] != _MISSING
    if (entries[there].astype(np.float64).sum(axis=1) > size).any():
        return None
    return np.where(there, entries[:, 1].astype(np.int64), -1).reshape(grid)


class ShardFile:
    """A shard that grows chunk by chunk; written where no reader looks yet.

    Parameters
    ----------
    path:
        The file.
    grid:
        How many chunks the shard has along each axis.
    """

    def __init__(self, path: Path, grid: Sequence[int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self._grid = tuple(grid)
        self._index = np.full((int(np.prod(grid, dtype=np.int64)), 2), _MISSING, "<u8")  # offset and length of a chunk

    def append(self, position: Sequence[int], chunk: Path) -> None:
        """Take in the file of the compressed chunk at *position*, and remove it."""
        start = self._file.tell()
        with chunk.open("rb") as source:
            shutil.copyfileobj(source, self._file, _BLOCK)
        self._index[np.ravel_multi_index(tuple(position), self._grid)] = start, self._file.tell() - start
        chunk.unlink()

    def finish(self) -> None:
        """Write the index, with which the shard is complete."""
        from google_crc32c import value as crc32c

        content = self._index.tobytes()
        self._file.write(content + crc32c(content).to_bytes(4, "little"))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
