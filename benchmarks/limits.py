"""Limits that no storage can beat: copying memory, plain files, and the codec alone, in memory, on all cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import cores
from wellfield.storage.zarr.pixels import chunk_side

Array = npt.NDArray[Any]


def blosc() -> Any:
    """Return the codec that the Zarr backend uses: Blosc level 1 with bit shuffle, one thread a chunk."""
    from numcodecs import Blosc, blosc

    blosc.use_threads = False  # the chunks are spread over the cores, as the engines do it
    return Blosc(cname="zstd", clevel=1, shuffle=Blosc.BITSHUFFLE)


def tiles(plane: Array) -> list[Array]:
    """Return a plane cut into the chunks of FIELD."""
    height, width = map(chunk_side, plane.shape)
    return [
        np.ascontiguousarray(plane[y : y + height, x : x + width])
        for y in range(0, plane.shape[0], height)
        for x in range(0, plane.shape[1], width)
    ]


class Codec:
    """The codec on chunks in memory.

    Parameters
    ----------
    chunks:
        Pixels, cut into chunks before anything is timed.
    threads:
        Chunks at a time; all cores by default.
    """

    def __init__(self, chunks: Sequence[Array], threads: int | None = None) -> None:
        self._codec = blosc()
        self._pool = ThreadPoolExecutor(threads or cores())
        self._chunks = chunks
        self._encoded = self.encode()
        self._reused = [np.empty_like(chunk) for chunk in chunks]
        if not all(map(np.array_equal, self.decode_into(self._reused), chunks)):
            raise RuntimeError("the codec gave other pixels back")

    @property
    def nbytes(self) -> int:
        """Size of the encoded chunks."""
        return sum(map(len, self._encoded))

    def encode(self) -> list[bytes]:
        """Encode all chunks."""
        return list(self._pool.map(self._codec.encode, self._chunks))

    def decode_into(self, buffers: Sequence[Array]) -> Sequence[Array]:
        """Decode all chunks into arrays that are there."""
        list(self._pool.map(self._codec.decode, self._encoded, buffers))
        return buffers

    def decode_reused(self) -> Sequence[Array]:
        """Decode all chunks into memory that has been used before."""
        return self.decode_into(self._reused)

    def decode_fresh(self) -> list[Array]:
        """Decode each chunk into a new array."""

        def decode(encoded: bytes, like: Array) -> Array:
            chunk = np.empty_like(like)
            self._codec.decode(encoded, chunk)
            return chunk

        return list(self._pool.map(decode, self._encoded, self._chunks))

    def decode_block(self) -> Array:
        """Decode all chunks into one new array."""
        block = np.empty((len(self._chunks), *self._chunks[0].shape), self._chunks[0].dtype)
        self.decode_into(block)  # type: ignore[arg-type]
        return block


def save(path: Path, pixels: Array, *, sync: bool) -> None:
    """Write a ``.npy`` file, and with *sync* wait until it is on the disk."""
    with path.open("wb") as file:
        np.save(file, pixels)
        if sync:
            file.flush()
            os.fsync(file.fileno())
