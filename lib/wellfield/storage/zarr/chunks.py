"""Which planes of an array are stored, and their size, found from the names of its chunk files.

The array is not opened. If chunks share a file (a shard), the index of that file is read. Sources: https://zarr-specs.readthedocs.io/en/latest/v3/core/
and https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wellfield.formats.json_cursor import Checked
from wellfield.formats.json_files import read_json
from wellfield.storage.files import not_found
from wellfield.storage.zarr.shards import ShardIndex, read_index

# Beyond these limits, the metadata of an array counts as damaged: planes of an array, chunks of a shard or a plane;
# pixels of a plane.
LARGEST = 1_000_000
LARGEST_PLANE = 10**10

_V2_DTYPE = re.compile(r"[<>|]?(?:[iu][1248]|f[248]|b1)")
_V3_DTYPES = frozenset(
    ["bool", "float16", "float32", "float64", *(f"{s}int{n}" for s in ("", "u") for n in (8, 16, 32, 64))]
)


class StoredPlane(NamedTuple):
    """What is stored of a plane: bytes (its part of shared chunks), newest time, whether some chunks are missing."""

    size: int
    mtime_ns: int
    partial: bool


@dataclass(frozen=True)
class ArrayLayout:
    """How an array is laid out in files.

    Parameters
    ----------
    shape:
        Lengths of its axes, of which the last two are y and x.
    dtype:
        Its name, without byte order: ``"uint16"``.
    stored:
        Shape of what one file holds.
    chunks:
        Shape of what is compressed as a whole; that of *stored* unless the files are shards.
    key_prefix, separator:
        Spelling of a chunk's path: ``("c/", "/")`` for ``c/0/0``, ``("", ".")`` for ``0.0``.
    index:
        How the index of a shard is stored; ``None`` if the array has no shards, or shards whose inside is not read.
    order:
        Which of the array's axes each axis of a shard is; empty where they are in the same order.
    opaque:
        There are shards that are not looked into: what they lack has the fill value, and counts as stored.
    fill:
        What pixels have where a chunk is not there; 0 where the metadata leaves it open, as every reader has it.
    dimension_names:
        Names of the axes, ``None`` for one without; empty where the metadata names none.
    """

    shape: tuple[int, ...]
    dtype: str
    stored: tuple[int, ...]
    chunks: tuple[int, ...]
    key_prefix: str
    separator: str
    index: ShardIndex | None = None
    order: tuple[int, ...] = ()
    opaque: bool = False
    fill: object = 0
    dimension_names: tuple[str | None, ...] = ()

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """How many chunks the array has along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @cached_property
    def file_grid(self) -> tuple[int, ...]:
        """How many files the array has along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.stored, strict=True))

    @cached_property
    def key(self) -> re.Pattern[str]:
        """What the path of a chunk file, relative to the array, looks like."""
        numbers = [r"(0|[1-9][0-9]{0,17})"] * len(self.shape)
        return re.compile(re.escape(self.key_prefix) + re.escape(self.separator).join(numbers))

    def key_of(self, position: tuple[int, ...]) -> str:
        """Return the path of a chunk file, relative to the array."""
        return self.key_prefix + self.separator.join(map(str, position))

    def files_of(self, plane: tuple[int, ...]) -> Iterator[str]:
        """Give the paths of the files that hold a plane, relative to the array."""
        outer = tuple(at // size for at, size in zip(plane, self.stored, strict=False))
        for inner in product(*map(range, self.file_grid[-2:])):
            yield self.key_of((*outer, *inner))


def parse_layout(metadata: Checked, zarr_format: int) -> ArrayLayout:
    """Return the layout that the metadata of an array tells (``.zarray`` of Zarr v2, ``zarr.json`` of v3).

    Raises
    ------
    MetadataError
        It is damaged, or the array does not hold images: it has fewer than two axes, or values that are not numbers.
    """
    shape = metadata["shape"].each(lambda size: size.whole(1))
    if len(shape) < 2 or math.prod(shape[:-2]) > LARGEST:
        raise metadata["shape"].error(f"two axes or more, and up to {LARGEST:,} planes")
    if math.prod(shape[-2:]) > LARGEST_PLANE:
        raise metadata["shape"].error(f"planes of up to {LARGEST_PLANE:,} pixels")
    given = metadata.get("fill_value")
    fill = 0 if given is None else given.value
    if zarr_format == 2:
        dtype = metadata["dtype"]
        if not isinstance(dtype.value, str) or not _V2_DTYPE.fullmatch(dtype.value):
            raise dtype.error("the dtype of an image, such as <u2")
        separator = _separator(metadata.get("dimension_separator"), ".")
        chunks = _chunk_shape(metadata["chunks"], shape)
        return ArrayLayout(shape, np.dtype(dtype.value).name, chunks, chunks, "", separator, fill=fill)
    dtype = metadata["data_type"]
    if not isinstance(dtype.value, str) or dtype.value not in _V3_DTYPES:
        raise dtype.error("the dtype of an image, such as uint16")
    grid = metadata["chunk_grid"]
    if grid["name"].value != "regular":
        raise grid["name"].error("'regular'")
    stored = _chunk_shape(grid["configuration"]["chunk_shape"], shape)
    prefix, separator = _key_encoding(metadata["chunk_key_encoding"])
    shards = _shards(metadata["codecs"], stored)
    named = metadata.get("dimension_names")
    names = named.each(lambda name: None if name.value is None else name.text()) if named is not None else ()
    return ArrayLayout(
        shape, dtype.value, stored, shards.chunks, prefix, separator, *shards[1:], fill=fill, dimension_names=names
    )


def stored_planes(
    layout: ArrayLayout, folder: Path, files: Iterable[tuple[str, int, int]]
) -> dict[tuple[int, ...], StoredPlane]:
    """Return the planes of which at least one chunk is there, by their index (all axes before y and x).

    Parameters
    ----------
    folder:
        The array; its shards are opened, one by one, for their index. A shard whose index is damaged counts as if it
        held all of its chunks: reading it says what is wrong.
    files:
        Path relative to the array, size and time of its files; files that are not chunks are left out.
    """
    cells: dict[tuple[int, ...], list[int]] = {}  # chunks along the outer axes → number, bytes, newest time
    match, ranks, file_grid = layout.key.fullmatch, len(layout.shape), layout.file_grid
    for path, size, mtime_ns in files:
        found = match(path)
        if found is None:
            continue
        position = tuple(map(int, found.groups()))
        if any(at >= count for at, count in zip(position, file_grid, strict=True)):
            continue
        chunks = [(position, size)] if layout.index is None else _chunks_of_shard(layout, folder / path, position, size)
        for chunk, length in chunks:
            cell = cells.setdefault(chunk[: ranks - 2], [0, 0, 0])
            cell[0] += 1
            cell[1] += length
            cell[2] = max(cell[2], mtime_ns)
    whole = math.prod(layout.grid[-2:])
    planes: dict[tuple[int, ...], StoredPlane] = {}
    for outer, (count, size, mtime_ns) in cells.items():
        axes = [
            range(at * chunk, min((at + 1) * chunk, length))
            for at, chunk, length in zip(outer, layout.chunks, layout.shape, strict=False)
        ]
        stored = StoredPlane(size // math.prod(map(len, axes)), mtime_ns, count < whole)
        planes.update(dict.fromkeys(product(*axes), stored))
    return planes


def read_layout(folder: Path, zarr_format: int) -> ArrayLayout:
    """Return the layout of the array *folder*.

    Raises
    ------
    MetadataError
        The array's metadata is damaged.
    """
    metadata = folder / ("zarr.json" if zarr_format == 3 else ".zarray")
    return parse_layout(Checked(read_json(metadata), str(metadata)), zarr_format)


def stored_now(
    layout: ArrayLayout, folder: Path, planes: Sequence[tuple[int, ...]]
) -> dict[tuple[int, ...], StoredPlane]:
    """Return what is stored now of planes of an array; planes without any chunk are left out.

    Raises
    ------
    DataNotFoundError
        A chunk is a link to nothing.
    """
    files = []
    for path in {path: None for plane in planes for path in layout.files_of(plane)}:
        try:
            status = (folder / path).stat()
        except OSError:
            if (folder / path).is_symlink():
                raise not_found(folder / path) from None
            continue
        files.append((path, status.st_size, status.st_mtime_ns))
    stored = stored_planes(layout, folder, files)
    return {plane: stored[plane] for plane in planes if plane in stored}


def _chunks_of_shard(
    layout: ArrayLayout, file: Path, position: tuple[int, ...], size: int
) -> list[tuple[tuple[int, ...], int]]:
    """Return position and bytes of the chunks that a shard holds, those beyond the array's end left out."""
    inner_grid = tuple(stored // chunk for stored, chunk in zip(layout.stored, layout.chunks, strict=True))
    order = layout.order or tuple(range(len(inner_grid)))
    lengths = read_index(file, [inner_grid[axis] for axis in order], layout.index) if layout.index else None
    if lengths is not None:
        lengths = lengths.transpose(np.argsort(order))
    else:
        lengths = np.full(inner_grid, size // math.prod(inner_grid), np.int64)
    held = np.argwhere(lengths >= 0)
    places = held + np.array(position) * np.array(inner_grid)
    inside = (places < np.array(layout.grid)).all(axis=1)
    sizes = lengths[tuple(held[inside].T)]
    return [(tuple(place), length) for place, length in zip(places[inside].tolist(), sizes.tolist(), strict=True)]


def _separator(given: Checked | None, default: str) -> str:
    if given is None:
        return default
    if given.value not in (".", "/"):
        raise given.error("'.' or '/'")
    return str(given.value)


def _chunk_shape(given: Checked, shape: tuple[int, ...]) -> tuple[int, ...]:
    chunks: tuple[int, ...] = given.each(lambda size: size.whole(1))
    if len(chunks) != len(shape):
        raise given.error(f"{len(shape)} numbers, one for each axis")
    if math.prod(-(-size // chunk) for size, chunk in zip(shape[-2:], chunks[-2:], strict=True)) > LARGEST:
        raise given.error(f"chunks of which a plane has up to {LARGEST:,}")
    return chunks


def _key_encoding(given: Checked) -> tuple[str, str]:
    plain = isinstance(given.value, str)  # a name without configuration
    name = given if plain else given["name"]
    if name.value not in ("default", "v2"):
        raise name.error("'default' or 'v2'")
    configuration = None if plain else given.get("configuration")
    own = "/" if name.value == "default" else "."
    separator = _separator(None if configuration is None else configuration.get("separator"), own)
    return (f"c{separator}" if name.value == "default" else ""), separator


class _Shards(NamedTuple):
    """Chunks, and of shards what :class:`ArrayLayout` says of them."""

    chunks: tuple[int, ...]
    inside: ShardIndex | None = None
    order: tuple[int, ...] = ()
    opaque: bool = False


def _shards(codecs: Checked, stored: tuple[int, ...]) -> _Shards:
    """Return the chunks of shards and how their index is stored.

    Shards in shards, shards that are compressed once more, and those with an index of an unknown kind are opaque.
    """
    listed = codecs.items()
    names = _names(listed)
    if "sharding_indexed" not in names:
        return _Shards(stored)
    if names not in (["sharding_indexed"], ["transpose", "sharding_indexed"]):
        return _Shards(stored, opaque=True)
    order = tuple(range(len(stored)))
    if len(names) > 1:
        given = listed[0]["configuration"]["order"]
        order = given.each(lambda axis: axis.whole())
        if sorted(order) != list(range(len(stored))):
            raise given.error(f"the numbers of the {len(stored)} axes")
    outer = tuple(stored[axis] for axis in order)
    configuration = listed[-1]["configuration"]
    inner = configuration["chunk_shape"].each(lambda size: size.whole(1))
    if len(inner) != len(outer) or any(whole % part for whole, part in zip(outer, inner, strict=True)):
        raise configuration["chunk_shape"].error(f"numbers that divide the shard's {list(outer)}")
    if math.prod(whole // part for whole, part in zip(outer, inner, strict=True)) > LARGEST:
        raise configuration["chunk_shape"].error(f"up to {LARGEST:,} chunks in a shard of {list(outer)}")
    location = configuration.get("index_location")
    index_codecs = configuration["index_codecs"].items()
    nested = "sharding_indexed" in _names(configuration["codecs"].items())
    if nested or _names(index_codecs) not in (["bytes"], ["bytes", "crc32c"]):
        return _Shards(stored, opaque=True)
    options = None if isinstance(index_codecs[0].value, str) else index_codecs[0].get("configuration")
    index = ShardIndex(
        at_start=location is not None and location.value == "start",
        checksum=len(index_codecs) > 1,
        big_endian=options is not None and options["endian"].value == "big",
    )
    chunks = tuple(inner[order.index(axis)] for axis in range(len(stored)))
    return _Shards(chunks, index, order)


def _names(codecs: Sequence[Checked]) -> list[str]:
    return [codec.value if isinstance(codec.value, str) else codec["name"].text() for codec in codecs]
