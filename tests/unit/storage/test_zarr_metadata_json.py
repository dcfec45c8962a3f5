"""Metadata of groups and arrays, as zarr-python reads and would write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from wellfield.storage.backend import ZarrCompressor, ZarrConfig
from wellfield.storage.zarr.metadata_json import ArraySpec, array_files, group_files, write_node

NUMBERS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32"]
DTYPES = [*NUMBERS, "float64", "complex64", "complex128"]
SHAPE, CHUNKS = (2, 3, 64, 48), (1, 1, 32, 48)


def spec(dtype: str = "uint16", **options: Any) -> ArraySpec:
    return ArraySpec(SHAPE, np.dtype(dtype), ("c", "z", "y", "x"), CHUNKS, **options)


def stored(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name).read_bytes())  # type: ignore[no-any-return]


@pytest.mark.parametrize("compressor", list(ZarrCompressor))
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_v3_is_what_zarr_python_would_make(
    tmp_path: Path, dtype: str, sharded: bool, compressor: ZarrCompressor
) -> None:
    config = ZarrConfig(compressor=compressor, compression_level=3)
    write_node(tmp_path / "ours", array_files(3, spec(dtype, shards=sharded, outer=1, attributes={"a": 1}), config))
    itemsize = np.dtype(dtype).itemsize
    made = zarr.create_array(
        tmp_path / "theirs",
        shape=SHAPE,
        dtype=dtype,
        chunks=CHUNKS,
        shards=(1, 3, 64, 48) if sharded else None,
        compressors=None
        if compressor == ZarrCompressor.NONE
        else BloscCodec(cname=str(compressor), clevel=3, shuffle="bitshuffle", typesize=itemsize),  # type: ignore[arg-type]
        fill_value=0,
        attributes={"a": 1},
        dimension_names=["c", "z", "y", "x"],
        zarr_format=3,
    )
    assert zarr.open_array(tmp_path / "ours", mode="r").metadata == made.metadata


@pytest.mark.parametrize("compressor", list(ZarrCompressor))
@pytest.mark.parametrize("dtype", NUMBERS)
def test_an_array_of_v2_is_what_zarr_python_would_make(tmp_path: Path, dtype: str, compressor: ZarrCompressor) -> None:
    config = ZarrConfig(compressor=compressor, compression_level=3, ngff_version="0.4")
    write_node(tmp_path / "ours", array_files(2, spec(dtype), config))
    codec = Blosc(str(compressor), clevel=3, shuffle=Blosc.BITSHUFFLE)
    made = zarr.create_array(
        tmp_path / "theirs",
        shape=SHAPE,
        dtype=dtype,
        chunks=CHUNKS,
        compressors=None if compressor == ZarrCompressor.NONE else codec,
        fill_value=0,
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    assert zarr.open_array(tmp_path / "ours", mode="r").metadata == made.metadata


def test_what_may_be_left_out_is_written_for_readers_that_need_it(tmp_path: Path) -> None:
    write_node(tmp_path, array_files(3, spec(shards=True, outer=1), ZarrConfig()))
    content = stored(tmp_path, "zarr.json")
    assert content["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
    [sharding] = content["codecs"]
    assert sharding["configuration"]["index_location"] == "end"
    assert sharding["configuration"]["codecs"][0] == {"name": "bytes", "configuration": {"endian": "little"}}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_has_its_attributes(tmp_path: Path, zarr_format: int) -> None:
    write_node(tmp_path / "g", group_files(zarr_format, {"ome": {"name": "Zellen µ"}}))
    group = zarr.open_group(tmp_path / "g", mode="r")
    assert (group.metadata.zarr_format, dict(group.attrs)) == (zarr_format, {"ome": {"name": "Zellen µ"}})


def test_attributes_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        group_files(3, {"a": float("nan")})
