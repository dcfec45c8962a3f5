"""Pixels in and out of a Zarr array. The only module that a change of the engine would touch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wellfield.storage.backend import ZarrCompressor, ZarrConfig

if TYPE_CHECKING:
    import zarr

CHUNK_SIDE = 1024


def chunk_side(size: int) -> int:
    """Return the length of chunks near 1,024 that cover *size* pixels evenly: 2,160 → 1,080."""
    return -(-size // max(1, round(size / CHUNK_SIDE)))


def create_level(
    group: zarr.Group,
    path: str,
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axes: Sequence[str],
    config: ZarrConfig,
) -> zarr.Array[Any]:
    """Create the array of one pyramid level, ``(t, …, y, x)``, with one shard per timepoint.

    A chunk is written even if it is all zero, so that a black plane is there and a missing one is not.
    """
    inner = tuple(map(chunk_side, shape[-2:]))
    covered = (-(-size // side) * side for size, side in zip(shape[-2:], inner, strict=True))
    array: zarr.Array[Any] = group.create_array(
        path,
        shape=shape,
        dtype=dtype,
        chunks=(*(1 for _ in shape[:-2]), *inner),
        shards=(1, *shape[1:-2], *covered),
        compressors=_compressors(dtype, config),
        fill_value=0,
        dimension_names=list(axes),
        config={"write_empty_chunks": True},
    )
    return array


def write_timepoint(array: zarr.Array[Any], t: int, block: npt.NDArray[Any], present: npt.NDArray[np.bool_]) -> None:
    """Write one timepoint ``(…, y, x)``: the planes that *present* marks, in one assignment if that is all of them."""
    if present.all():
        array[t] = block
        return
    for box in _boxes(present):
        array[(t, *box)] = block[box]


def read_plane(array: zarr.Array[Any], index: tuple[int, ...]) -> npt.NDArray[Any]:
    """Read one plane; only its own chunks leave the shard."""
    return np.asarray(array[index])


def _compressors(dtype: np.dtype[Any], config: ZarrConfig) -> Any:
    if config.compressor == ZarrCompressor.NONE:
        return None
    from zarr.codecs import BloscCodec

    return BloscCodec(
        cname=str(config.compressor),  # type: ignore[arg-type]
        clevel=config.compression_level,
        shuffle="bitshuffle",
        typesize=dtype.itemsize,
    )


def _boxes(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[Any, ...]]:
    """Give rectangles that together cover what *mask* marks: as few writes of a shard as gaps allow."""
    flat = mask.reshape(len(mask), -1)
    edges = np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(mask)], strict=True):
        if mask.ndim == 1:
            if mask[start]:
                yield (slice(start, stop),)
        else:
            for rest in _boxes(mask[start]):
                yield (slice(start, stop), *rest)
