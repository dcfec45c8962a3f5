"""Groups and arrays of a Zarr hierarchy: folders with a small JSON file, or two on Zarr v2.

Sources: https://zarr-specs.readthedocs.io/en/latest/v3/core/ and
https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html. A writer of wells needs no more of zarr-python than this, and
importing it takes longer than a small well takes to write. Members that may be left out are written all the same, as
some readers need them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wellfield.storage.backend import ZarrCompressor, ZarrConfig

# The files that hold the metadata of a group, by the version of Zarr. Of two the attributes come first: a group of ours
# has them at every moment.
GROUP_FILES = {3: ("zarr.json",), 2: (".zattrs", ".zgroup")}

_BITSHUFFLE = 2  # in the numbering of Blosc
_BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
_FILL_VALUES = {"b": False, "c": [0.0, 0.0]}  # by the kind of a dtype; 0 of all others


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array to create.

    Parameters
    ----------
    shape, axes:
        Lengths and names of its axes, of which the last two are y and x.
    chunks:
        Shape of what is compressed, and read, as a whole.
    shards:
        Whether chunks share objects (Zarr v3), one for each index of the first *outer* axes.

    The engine is quickest if it makes a shard in memory, as it does for those of one field and timepoint. The one shard
    of a whole array may be too large for that, and is put together from files.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[str, ...]
    chunks: tuple[int, ...]
    shards: bool = False
    outer: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shard_grid(self) -> tuple[int, ...]:
        """How many chunks a shard has along each axis."""
        inner = zip(self.shape[self.outer :], self.chunks[self.outer :], strict=True)
        return (*(1 for _ in range(self.outer)), *(-(-size // chunk) for size, chunk in inner))


def group_files(zarr_format: int, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a group by their names, in the order of :data:`GROUP_FILES`."""
    contents: list[Mapping[str, Any]]
    if zarr_format == 3:
        contents = [{"zarr_format": 3, "node_type": "group", "attributes": attributes}]
    else:
        contents = [attributes, {"zarr_format": 2}]
    return {name: _encoded(content) for name, content in zip(GROUP_FILES[zarr_format], contents, strict=True)}


def array_files(zarr_format: int, spec: ArraySpec, config: ZarrConfig) -> dict[str, bytes]:
    """Return the files of an array's metadata by their names."""
    if zarr_format == 3:
        return {"zarr.json": _encoded(_array_v3(spec, config))}
    return {".zarray": _encoded(_array_v2(spec, config))}


def write_node(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a group or array into a folder that is not yet at its place; it is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _encoded(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=2, allow_nan=False).encode()


def _array_v3(spec: ArraySpec, config: ZarrConfig) -> dict[str, Any]:
    stored, codecs = spec.chunks, [_BYTES]
    if config.compressor != ZarrCompressor.NONE:
        blosc = {**_blosc(config), "shuffle": "bitshuffle", "typesize": spec.dtype.itemsize}
        codecs.append({"name": "blosc", "configuration": blosc})
    if spec.shards:
        stored = tuple(count * chunk for count, chunk in zip(spec.shard_grid, spec.chunks, strict=True))
        sharding = {
            "chunk_shape": spec.chunks,
            "codecs": codecs,
            "index_codecs": [_BYTES, {"name": "crc32c"}],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": spec.shape,
        "data_type": spec.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _FILL_VALUES.get(spec.dtype.kind, 0),
        "codecs": codecs,
        "attributes": spec.attributes,
        **({"dimension_names": spec.axes} if spec.axes else {}),
    }


def _array_v2(spec: ArraySpec, config: ZarrConfig) -> dict[str, Any]:
    blosc = {"id": "blosc", **_blosc(config), "shuffle": _BITSHUFFLE}
    return {
        "zarr_format": 2,
        "shape": spec.shape,
        "chunks": spec.chunks,
        "dtype": spec.dtype.newbyteorder("<").str,
        "compressor": None if config.compressor == ZarrCompressor.NONE else blosc,
        "fill_value": _FILL_VALUES.get(spec.dtype.kind, 0),
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _blosc(config: ZarrConfig) -> dict[str, Any]:
    return {"cname": str(config.compressor), "clevel": config.compression_level, "blocksize": 0}
