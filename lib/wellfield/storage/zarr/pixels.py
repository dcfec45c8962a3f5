"""Reads and writes pixels of Zarr arrays with TensorStore, the fastest engine that ``make bench`` compares.

Another engine would change this module only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from wellfield.storage.backend import ZarrConfig
from wellfield.storage.zarr.metadata_json import ArraySpec, array_files, write_node
from wellfield.storage.zarr.shards import ShardFile

if TYPE_CHECKING:
    import tensorstore

T = TypeVar("T")

ZARR_FORMATS = {"0.5": 3, "0.4": 2}
THREADS_VARIABLE = "WELLFIELD_THREADS"
CHUNK_SIDE = 1024
SCRATCH = ".scratch"

_READ_TOGETHER = 8
LARGEST_CHUNK = 2**31 - 1 - 16  # bytes that Blosc takes


def chunk_side(size: int) -> int:
    """Return the length of chunks near 1,024 that cover *size* pixels evenly: 2,160 → 1,080."""
    return -(-size // max(1, round(size / CHUNK_SIDE))) or 1


def create_array(folder: Path, spec: ArraySpec, config: ZarrConfig, zarr_format: int) -> PixelWriter:
    """Create the array *folder*, which is not there yet, and return what writes its planes."""
    write_node(folder, array_files(zarr_format, spec, config))
    if not spec.shards:
        return PixelWriter(folder, zarr_format, whole=spec.chunks == spec.shape)
    if spec.outer:
        return PixelWriter(folder, zarr_format, whole=True)
    scratch = folder.with_name(SCRATCH) / folder.name
    write_node(scratch, array_files(zarr_format, replace(spec, shards=False), config))
    return ShardWriter(folder, scratch, spec)


class PixelWriter:
    """Writes planes of one array.

    Parameters
    ----------
    folder:
        The array.
    zarr_format:
        2 or 3.
    whole:
        Whether planes that are written together go into one file in one step.
    """

    def __init__(self, folder: Path, zarr_format: int, *, whole: bool = False) -> None:
        self._array = open_array(folder, zarr_format, write=True)
        self._whole = whole

    def begin(self, planes: Iterable[tuple[tuple[int, ...], npt.NDArray[Any]]]) -> Writing:
        """Start to write planes at their indices and return at once.

        Nothing is copied, so the planes must not change until the writing is finished. All-zero chunks are stored too:
        a black plane differs from a missing one.
        """
        import tensorstore

        if not self._whole:
            return Writing([(index, self._write(self._array, index, plane)) for index, plane in planes])
        transaction = tensorstore.Transaction()
        array = self._array.with_transaction(transaction)
        for taken in [self._write(array, index, plane) for index, plane in planes]:
            taken.copy.result()
        transaction.commit_async()
        return Writing([((), transaction.future)])

    @staticmethod
    def _write(array: tensorstore.TensorStore, index: tuple[int, ...], plane: npt.NDArray[Any]) -> Any:
        return array[index].write(plane, can_reference_source_data_indefinitely=True)


class ShardWriter(PixelWriter):
    """Writes the planes of an array that is one shard: compressed into a scratch array, then moved into the shard.

    Parameters
    ----------
    folder, scratch:
        The array, and one without shards that only this writer uses.
    """

    def __init__(self, folder: Path, scratch: Path, spec: ArraySpec) -> None:
        super().__init__(scratch, zarr_format=3)
        self._folder = folder
        self._scratch = scratch
        self._spec = spec

    def begin(self, planes: Iterable[tuple[tuple[int, ...], npt.NDArray[Any]]]) -> Writing:
        """Start to write all planes of one shard."""
        writing = super().begin(sorted(planes, key=itemgetter(0)))
        return ShardWriting(writing, self._folder, self._scratch, self._spec)


class Writing:
    """Planes on their way into an array."""

    def __init__(self, started: Sequence[tuple[tuple[int, ...], Any]]) -> None:
        self._started = started

    def finish(self) -> None:
        """Wait until nothing of them is being written any more.

        Raises
        ------
        OSError
            The file system refused; the message is the system's.
        """
        for _ in self.done():
            pass

    def done(self) -> Generator[tuple[int, ...], None, None]:
        """Yield the index of each plane once it is written. On a failure, wait for the others, then raise it."""
        remaining = iter(self._started)
        try:
            for index, future in remaining:
                future.result()
                yield index
        except ValueError as error:  # by which TensorStore reports what the file system said
            raise _os_error(error) from error
        finally:
            for _, future in remaining:
                with suppress(ValueError):
                    future.result()


class ShardWriting(Writing):
    """Planes on their way into a shard."""

    def __init__(self, writing: Writing, folder: Path, scratch: Path, spec: ArraySpec) -> None:
        super().__init__(writing._started)
        self._folder = folder
        self._scratch = scratch
        self._spec = spec

    def finish(self) -> None:
        """Move the chunks of each plane into the shard as soon as they are there."""
        grid = self._spec.shard_grid
        with (
            ShardFile(self._folder / "c" / "/".join("0" for _ in grid), grid) as shard,
            closing(self.done()) as done,  # whatever fails here, the others are waited for
        ):
            for index in done:
                for rest in np.ndindex(grid[len(index) :]):
                    position = (*index, *rest)
                    shard.append(position, self._scratch / "c" / "/".join(map(str, position)))
            shard.finish()


def open_array(folder: Path, zarr_format: int, *, write: bool = False, sparse: bool = False) -> tensorstore.TensorStore:
    """Open an array. Reading a chunk that is not there is an error, never zeros, unless the array is *sparse*."""
    import tensorstore

    spec = {
        "driver": "zarr" if zarr_format == 2 else "zarr3",
        "kvstore": {"driver": "file", "path": f"{_accepted_path(folder)}/"},
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": write or sparse,
    }
    return tensorstore.open(spec, read=not write, write=write, open=True, context=_context(threads())).result()


def _accepted_path(folder: Path) -> str:
    """Return the path of a folder as TensorStore takes it, which refuses ``..``."""
    return os.path.realpath(folder) if ".." in folder.parts else os.fspath(folder)


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
    if given.isdecimal() and int(given):
        return int(given)
    # macOS does not restrict a process to some cores.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _context(threads: int) -> tensorstore.Context:
    import tensorstore

    # No sync: a well gets its final name when it is complete, so a power cut does no more harm than a killed job.
    return tensorstore.Context(
        {
            "cache_pool": {"total_bytes_limit": 0},
            "data_copy_concurrency": {"limit": threads},
            "file_io_concurrency": {"limit": max(4, threads)},
            "file_io_sync": False,
        }
    )


def _os_error(error: ValueError) -> OSError:
    """Return TensorStore's error as the system's, with its number where the message has one."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return OSError(int(number[1]), str(error)) if number else OSError(str(error))
