"""Pixels in and out of Zarr arrays, by TensorStore: the fastest of the engines that ``make bench`` compares.

Structure and metadata are zarr-python's; this is the only module that a change of the engine would touch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from wellfield.errors import StorageError
from wellfield.storage.backend import ZarrCompressor, ZarrConfig

if TYPE_CHECKING:
    import tensorstore
    import zarr

T = TypeVar("T")

ZARR_FORMATS = {"0.5": 3, "0.4": 2}
THREADS_VARIABLE = "WELLFIELD_THREADS"
CHUNK_SIDE = 1024

_READ_TOGETHER = 16
_BLOSC_LARGEST = 2**31 - 1 - 16


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array to create.

    Parameters
    ----------
    shape, axes:
        Lengths and names of its axes, of which the last two are y and x.
    chunks:
        Shape of what is compressed, and read, as a whole.
    one_object:
        Keep all chunks of one index of the first *outer* axes in one object: a shard on Zarr v3. Zarr v2 has none.
    outer:
        How many axes are split over objects then.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[str, ...]
    chunks: tuple[int, ...]
    one_object: bool = False
    outer: int = 0


def chunk_side(size: int) -> int:
    """Return the length of chunks near 1,024 that cover *size* pixels evenly: 2,160 → 1,080."""
    return -(-size // max(1, round(size / CHUNK_SIDE))) or 1


def create_array(group: zarr.Group, path: str, spec: ArraySpec, config: ZarrConfig) -> PixelWriter:
    """Create an array in *group*, on the Zarr version of the group, and return what writes its planes.

    Raises
    ------
    StorageError
        A chunk is larger than the codec takes.
    """
    zarr_format = group.metadata.zarr_format
    size = int(np.prod(spec.chunks, dtype=np.int64)) * spec.dtype.itemsize
    if size > _BLOSC_LARGEST and config.compressor != ZarrCompressor.NONE:
        raise StorageError(
            f"{group.store_path}/{path}: a chunk of {size / 1e9:.1f} GB is larger than the codec takes (2.1 GB); use "
            "chunk_strategy FIELD or FILE, or ngff_version 0.5, which divides it"
        )
    options: dict[str, Any] = {
        "shape": spec.shape,
        "dtype": spec.dtype,
        "chunks": spec.chunks,
        "compressors": _compressor(spec.dtype, config, zarr_format),
        "fill_value": False if spec.dtype.kind == "b" else 0,
    }
    if zarr_format == 2:
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    else:
        options["dimension_names"] = list(spec.axes) or None
        if spec.one_object:
            inner = zip(spec.shape[spec.outer :], spec.chunks[spec.outer :], strict=True)
            options["shards"] = (*spec.chunks[: spec.outer], *(-(-size // chunk) * chunk for size, chunk in inner))
    group.create_array(path, **options)
    folder = Path(str(group.store.root), group.path, path)  # type: ignore[attr-defined]
    return PixelWriter(folder, zarr_format, whole=spec.one_object or spec.chunks == spec.shape)


class PixelWriter:
    """Writes planes of one array.

    Parameters
    ----------
    folder:
        The array.
    zarr_format:
        2 or 3.
    whole:
        Planes that are written together share an object and reach it in one step.
    """

    def __init__(self, folder: Path, zarr_format: int, *, whole: bool) -> None:
        self._array = open_array(folder, zarr_format, write=True)
        self._whole = whole

    def begin(self, planes: Iterable[tuple[tuple[int, ...], npt.NDArray[Any]]]) -> Writing:
        """Start to write planes at their indices and return at once.

        Nothing is copied: the planes must not change until the writing is finished. A chunk is stored even if it is all
        zero, so that a black plane is there and a missing one is not.
        """
        import tensorstore

        if not self._whole:
            return Writing(
                [
                    self._array[index].write(plane, can_reference_source_data_indefinitely=True)
                    for index, plane in planes
                ]
            )
        transaction = tensorstore.Transaction()
        array = self._array.with_transaction(transaction)
        taken = [array[index].write(plane, can_reference_source_data_indefinitely=True) for index, plane in planes]
        for future in taken:
            future.copy.result()
        transaction.commit_async()
        return Writing([transaction.future])


class Writing:
    """Planes on their way into an array."""

    def __init__(self, futures: Sequence[Any]) -> None:
        self._futures = futures

    def finish(self) -> None:
        """Wait until nothing of them is being written any more.

        Raises
        ------
        OSError
            The file system refused; the message is that of the system.
        """
        failed = None
        for future in self._futures:
            try:
                future.result()
            except ValueError as error:  # by which TensorStore reports what the file system said
                failed = failed or error
        if failed is not None:
            raise _os_error(failed) from failed


def open_array(folder: Path, zarr_format: int, *, write: bool = False) -> tensorstore.TensorStore:
    """Open an array. A chunk that is not there is an error when it is read, never zeros."""
    import tensorstore

    spec = {
        "driver": "zarr" if zarr_format == 2 else "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": write,
    }
    return tensorstore.open(spec, read=not write, write=write, open=True, context=_context(threads())).result()


class UnreadablePlaneError(Exception):
    """A plane could not be read: its *number* in the request, and the *reason*."""

    def __init__(self, number: int, reason: Exception) -> None:
        super().__init__(number, reason)
        self.number = number
        self.reason = reason


def read_planes(array: tensorstore.TensorStore, indices: Iterable[tuple[int, ...]]) -> list[npt.NDArray[Any]]:
    """Read planes, several at once; only their own chunks leave an object.

    Raises
    ------
    UnreadablePlaneError
        A chunk is missing or damaged.
    """
    import tensorstore

    planes: list[npt.NDArray[Any]] = []
    futures = []
    for together in _batched(indices, _READ_TOGETHER):
        with tensorstore.Batch() as batch:  # what is read together opens an object once
            for index in together:
                source = array[index]
                # NumPy's memory comes in large pages, which are much faster to fill than TensorStore's own.
                planes.append(np.empty(source.shape, source.dtype.numpy_dtype))
                futures.append(tensorstore.array(planes[-1]).write(source, batch=batch))
    failed = None
    for number, future in enumerate(futures):
        try:
            future.result()
        except Exception as error:  # a codec meets damaged bytes with any kind of error
            failed = failed or UnreadablePlaneError(number, error)
    if failed is not None:
        raise failed
    return planes


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def threads() -> int:
    """Return how many threads may compress at once: ``WELLFIELD_THREADS``, or the cores this process may use."""
    given = os.environ.get(THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))


@cache
def _context(threads: int) -> tensorstore.Context:
    import tensorstore

    # No sync: a well gets its name when it is complete, and a power cut is no more than a killed job.
    return tensorstore.Context(
        {
            "cache_pool": {"total_bytes_limit": 0},
            "data_copy_concurrency": {"limit": threads},
            "file_io_concurrency": {"limit": max(4, threads)},
            "file_io_sync": False,
        }
    )


def _compressor(dtype: np.dtype[Any], config: ZarrConfig, zarr_format: int) -> Any:
    if config.compressor == ZarrCompressor.NONE:
        return None
    if zarr_format == 2:
        from numcodecs import Blosc

        return Blosc(str(config.compressor), clevel=config.compression_level, shuffle=Blosc.BITSHUFFLE)
    from zarr.codecs import BloscCodec

    return BloscCodec(
        cname=str(config.compressor),  # type: ignore[arg-type]
        clevel=config.compression_level,
        shuffle="bitshuffle",
        typesize=dtype.itemsize,
    )


def _os_error(error: ValueError) -> OSError:
    """Return TensorStore's error as the system's, with its number where the message has one."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return OSError(int(number[1]), str(error)) if number else OSError(str(error))
