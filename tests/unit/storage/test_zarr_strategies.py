"""What the layouts FIELD, WELL and FILE put on disk, on both versions of Zarr, and what each of them refuses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zarr

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    DiskSpaceError,
    DuplicatePlaneError,
    ForeignStoreError,
    MetadataError,
    SchemaVersionError,
    StorageError,
    UnreadableImageError,
    UnsupportedOperationError,
)
from wellfield.formats.json_files import read_json, write_json
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor, ZarrConfig
from wellfield.storage.zarr import pixels, writer
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

backend = ZarrStorageBackend()
CONFIGS = [ZarrConfig(strategy, ngff_version=v) for strategy, v in product(ZarrChunkStrategy, ("0.5", "0.4"))]
WELL, FILE = ZarrConfig(), ZarrConfig(ZarrChunkStrategy.FILE)
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.chunk_strategy}-{c.ngff_version}")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "plate.zarr"


def name(field: int = 1, channel: int = 1, z: int = 1, t: int = 1, well: str = "A01") -> str:
    return f"{well}_s{field:03d}_w{channel}_z{z:03d}_t{t:03d}.tif"


def noise(seed: int, shape: tuple[int, int] = (40, 50), dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def save(store: Path, planes: dict[str, np.ndarray], config: ZarrConfig, **options) -> None:
    backend.save_batch(list(planes.values()), [store / path for path in planes], zarr_config=config, **options)


def assert_equal(store: Path, planes: dict[str, np.ndarray], **options) -> None:
    for plane, loaded in zip(planes.values(), backend.load_batch([store / p for p in planes], **options), strict=True):
        assert loaded.dtype == plane.dtype
        np.testing.assert_array_equal(loaded, plane)


def chunk_files(folder: Path) -> list[str]:
    names = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name not in names)


def gaps() -> dict[str, np.ndarray]:
    """Planes of a well with one that is missing, one that is black, and fields that are not 1, 2, 3."""
    planes = {
        name(f, c, z, t): noise(f + 2 * c + 3 * z + 5 * t)
        for f in (2, 7)
        for c in (1, 3)
        for z in (1, 2)
        for t in (1, 2)
    }
    planes[name(2, 1, 1, 1)][:] = 0
    del planes[name(7, 3, 2, 2)]
    return planes


# --- what is on disk ---------------------------------------------------------------------------------------------


def test_the_default_is_one_object_per_well_and_timepoint(store: Path) -> None:
    save(store, gaps(), ZarrConfig())
    for t in (1, 2):
        array = zarr.open_array(store / f"A/01/{t}/0", mode="r")
        assert array.shape == array.shards == (2, 2, 2, 40, 50)
        assert array.chunks == (1, 1, 1, 40, 50)
        assert array.metadata.dimension_names == ("field", "c", "z", "y", "x")
        assert chunk_files(store / f"A/01/{t}/0") == ["c/0/0/0/0/0"]
        assert sorted(path.name for path in (store / f"A/01/{t}").iterdir()) == ["0", "zarr.json"]


def test_file_has_an_object_per_plane_that_is_there(store: Path) -> None:
    save(store, gaps(), FILE)
    array = zarr.open_array(store / "A/01/2/0", mode="r")
    assert (array.shape, array.chunks, array.shards) == ((2, 2, 2, 40, 50), (1, 1, 1, 40, 50), None)
    indices = [(f, c, z) for f, c, z in np.ndindex(2, 2, 2) if (f, c, z) != (1, 1, 1)]
    assert chunk_files(store / "A/01/2/0") == [f"c/{f}/{c}/{z}/0/0" for f, c, z in indices]


@pytest.mark.parametrize(
    ("strategy", "path", "chunks"),
    [
        (ZarrChunkStrategy.WELL, "A/01/1/0", (2, 2, 2, 40, 50)),
        (ZarrChunkStrategy.FILE, "A/01/1/0", (1, 1, 1, 40, 50)),
        (ZarrChunkStrategy.FIELD, "A/01/2/0", (1, 1, 1, 40, 50)),
    ],
)
def test_ngff_04_is_on_zarr_v2_without_shards(
    store: Path, strategy: ZarrChunkStrategy, path: str, chunks: tuple[int, ...]
) -> None:
    save(store, gaps(), ZarrConfig(strategy, ngff_version="0.4"))
    finalize_plate(store, ["A01"], name="P")
    array = zarr.open_array(store / path, mode="r", zarr_format=2)
    assert array.chunks == chunks
    described = read_json(store / path / ".zarray")
    assert described["dimension_separator"] == "/"
    assert {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2}.items() <= described["compressor"].items()
    assert not list(store.rglob("zarr.json"))
    for folder in ("", "A/", "A/01/", f"{path[:6]}/"):
        attributes = zarr.open_group(store / folder, mode="r", zarr_format=2).attrs
        assert "ome" not in attributes
    assert attributes["multiscales"][0]["version"] == attributes["omero"]["version"] == "0.4"
    plate = zarr.open_group(store, mode="r").attrs["plate"]
    assert (plate["version"], [well["path"] for well in plate["wells"]]) == ("0.4", ["A/01"])
    assert plate["field_count"] == 2


@pytest.mark.parametrize("config", [WELL, FILE])
def test_a_well_array_says_where_each_file_name_is(store: Path, config: ZarrConfig) -> None:
    planes = gaps()
    save(store, planes, config, metadata=FieldMetadata(0.5, 2.0, {1: "DAPI"}))
    for t in (1, 2):
        group = zarr.open_group(store / f"A/01/{t}", mode="r")
        filenames = group.attrs["wellfield"]["filenames"]
        assert set(filenames) == {path for path in planes if path.endswith(f"_t{t:03d}.tif")}
        for path, index in filenames.items():
            np.testing.assert_array_equal(group["0"][tuple(index)], planes[path])
        (multiscale,) = group.attrs["ome"]["multiscales"]
        assert [axis["name"] for axis in multiscale["axes"]] == ["field", "c", "z", "y", "x"]
        assert multiscale["datasets"][0]["coordinateTransformations"] == [
            {"type": "scale", "scale": [1, 1, 2.0, 0.5, 0.5]}
        ]
        assert [channel["label"] for channel in group.attrs["ome"]["omero"]["channels"]] == ["DAPI", "w3"]
    images = zarr.open_group(store / "A/01", mode="r").attrs["ome"]["well"]["images"]
    assert [image["path"] for image in images] == ["1", "2"]


@every_config
@pytest.mark.parametrize("compressor", list(ZarrCompressor))
def test_every_layout_gives_every_plane_back(store: Path, config: ZarrConfig, compressor: ZarrCompressor) -> None:
    planes = gaps()
    config = ZarrConfig(config.chunk_strategy, compressor, 3, config.ngff_version)
    save(store, planes, config)
    assert_equal(store, planes)
    assert backend.list_files(store) == sorted(map(str, (store / path for path in planes)))
    missing = name(7, 3, 2, 2)
    assert not backend.exists(store / missing)
    with pytest.raises(DataNotFoundError, match="channel 3, z 2, timepoint 2 was missing when the well was written"):
        backend.load(store / missing)


@every_config
def test_a_well_may_change_its_layout_and_version(store: Path, config: ZarrConfig) -> None:
    for first in CONFIGS:
        save(store, gaps(), first)
        save(store, {name(): noise(1, (8, 8), "u1")}, config)
        assert_equal(store, {name(): noise(1, (8, 8), "u1")})
        assert [path.name for path in (store / "A").iterdir()] == ["01"]


# --- names that are not plane names -----------------------------------------------------------------------------


@every_config
def test_other_names_are_a_stack_in_the_given_order_and_are_kept(tmp_path: Path, config: ZarrConfig) -> None:
    planes = {f"output {n} #%é": noise(n) for n in (10, 2, 1)}
    save(tmp_path, planes, config, chunk_name="well_B02")
    save(tmp_path, {name(well="A01"): noise(7)}, config, chunk_name="A01")
    assert_equal(tmp_path, planes)
    assert_equal(tmp_path, planes, chunk_name="B02")
    stack = zarr.open_array(tmp_path / "B/02/1/0", mode="r")[0, 0]
    np.testing.assert_array_equal(stack, np.stack(list(planes.values())))
    assert backend.list_dir(tmp_path) == [name(well="A01"), *(f"output {n} #%é" for n in (1, 2, 10))]
    assert backend.is_file(tmp_path / "output 2 #%é")
    assert not backend.exists(tmp_path / "output 3")
    with pytest.raises(DataNotFoundError, match="output 3"):
        backend.load(tmp_path / "output 3")
    with pytest.raises(DataNotFoundError, match="A01 has no plane named output 2"):
        backend.load(tmp_path / "output 2 #%é", chunk_name="A01")


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuplicatePlaneError, match="'a' twice"):
        backend.save_batch([noise(1)] * 2, [tmp_path / "a", tmp_path / "a"], chunk_name="A01")


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [WELL, FILE])
def test_layouts_of_images_only_refuse_labels_before_anything_is_written(store: Path, config: ZarrConfig) -> None:
    with pytest.raises(UnsupportedOperationError, match=r"images only, not label 'nuclei'; use chunk_strategy FIELD"):
        save(store, {name(): noise(1), f"labels/nuclei/{name()}": noise(2)}, config)
    assert not store.exists()


def test_a_chunk_that_the_codec_cannot_take_is_refused_with_the_way_out(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LARGEST_CHUNK", 10_000)
    with pytest.raises(StorageError, match=r"use chunk_strategy FIELD or FILE, or ngff_version 0\.5"):
        save(store, gaps(), ZarrConfig(ngff_version="0.4"))
    assert backend.list_files(store.parent, recursive=True) == []
    save(store, gaps(), ZarrConfig())  # in shards, each plane is a chunk
    save(store, gaps(), ZarrConfig(compressor=ZarrCompressor.NONE, ngff_version="0.4"))
    assert_equal(store, gaps())


def test_wells_on_two_versions_of_zarr_are_no_plate(store: Path) -> None:
    save(store, {name(): noise(1)}, WELL)
    save(store, {name(well="B02"): noise(2)}, ZarrConfig(ngff_version="0.4"))
    with pytest.raises(StorageError, match=r"well B02 is on Zarr v2 \(NGFF 0\.4\), well A01 on v3"):
        finalize_plate(store, ["A01", "B02"], name="P")
    assert finalize_plate(store, ["B02"], name="P") == ["B02"]
    assert [path.name for path in sorted(store.iterdir())] == [".zattrs", ".zgroup", "B"]
    save(store, {name(well="B02"): noise(2)}, WELL)
    finalize_plate(store, ["B02"], name="P")
    assert [path.name for path in sorted(store.iterdir())] == ["B", "zarr.json"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_well_of_another_program_is_neither_read_nor_replaced_nor_removed(store: Path, zarr_format: int) -> None:
    zarr.open_group(store / "A/01", mode="w", zarr_format=zarr_format).create_array("0", shape=(2, 2), dtype="u1")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for action in (
        lambda: backend.load(store / name()),
        lambda: save(store, {name(): noise(1)}, WELL),
        lambda: finalize_plate(store, ["A01"], name="P"),
        lambda: finalize_plate(store, [], name="P"),
    ):
        with pytest.raises(ForeignStoreError, match=r"A/01 was not written by Wellfield"):
            action()
    assert before == {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [("version", 1, SchemaVersionError), ("images", {}, MetadataError), ("chunk_strategy", "plate", MetadataError)],
)
def test_an_old_or_damaged_record_is_an_error_that_writing_the_well_again_mends(
    store: Path, key: str, value: object, error: type[Exception]
) -> None:
    save(store, {name(): noise(1)}, WELL)
    content = read_json(store / "A/01/zarr.json")
    content["attributes"]["wellfield"][key] = value
    write_json(store / "A/01/zarr.json", content)
    with pytest.raises(error, match="write the well again"):
        backend.load(store / name())
    save(store, {name(): noise(2)}, WELL)
    assert_equal(store, {name(): noise(2)})


@every_config
def test_a_lost_or_damaged_object_is_an_error_and_not_a_black_plane(store: Path, config: ZarrConfig) -> None:
    save(store, {name(z=z): noise(z) for z in (1, 2)}, config)
    objects = [path for path in (store / "A/01/1/0").rglob("*") if path.is_file() and path.name.isdecimal()]
    content = objects[0].read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\xff" * len(content)):
        objects[0].write_bytes(damaged)
        with pytest.raises(UnreadableImageError, match="field 1, channel 1, z 1"):
            backend.load(store / name(z=1))
    objects[0].unlink()
    with pytest.raises(UnreadableImageError, match="field 1, channel 1, z 1"):
        backend.load(store / name(z=1))


# --- the file system ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("root: needs the right to mount a small tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@every_config
def test_a_full_disk_is_one_error_and_the_old_well_stays(small_disk: Path, config: ZarrConfig) -> None:
    store = small_disk / "plate.zarr"
    old = {name(): noise(1)}
    save(store, old, config)
    rng = np.random.default_rng(0)
    large = {name(f): rng.integers(0, 2**16, (1024, 1024)).astype(np.uint16) for f in (1, 2, 3)}
    with pytest.raises(DiskSpaceError, match=r"no space left: well A01 of .*plate\.zarr cannot be written"):
        save(store, large, config)
    assert_equal(store, old)
    assert [path.name for path in (store / "A").iterdir()] == ["01"]


def test_a_read_only_folder_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("root: needs the right to mount")
    folder = tmp_path / "read-only"
    folder.mkdir()
    save(folder / "plate.zarr", {name(): noise(1)}, WELL)
    subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(folder)], check=True)
    try:
        with pytest.raises(StorageError, match=r"well A01 of .*plate\.zarr cannot be written: .*[Rr]ead-only"):
            save(folder / "plate.zarr", {name(): noise(2)}, WELL)
        with pytest.raises(StorageError, match=r"cannot be written: .*[Rr]ead-only"):
            backend.save(noise(1), folder / "array")
        assert_equal(folder / "plate.zarr", {name(): noise(1)})
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_compression_uses_no_more_threads_than_the_job_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pixels.THREADS_VARIABLE, "1")
    assert pixels.threads() == 1
    monkeypatch.delenv(pixels.THREADS_VARIABLE)
    with monkeypatch.context() as elsewhere:
        elsewhere.delattr(os, "sched_getaffinity", raising=False)
        assert pixels.threads() == os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        assert pixels.threads() == len(os.sched_getaffinity(0))


def test_a_single_array_and_a_plane_of_a_well_cannot_have_one_path(tmp_path: Path) -> None:
    save(tmp_path, {"first": noise(1), "second": noise(2)}, WELL, chunk_name="A01")
    backend.save(noise(3), tmp_path / "array")
    with pytest.raises(UnsupportedOperationError, match="save_batch"):
        backend.save(noise(4), tmp_path / "first")
    with pytest.raises(StorageError, match="array is a single array"):
        save(tmp_path, {"array": noise(4)}, WELL, chunk_name="A02")
    for action in (backend.copy, backend.move):
        with pytest.raises(DestinationExistsError, match="first exists"):
            action(tmp_path / "array", tmp_path / "first")
    assert_equal(tmp_path, {"first": noise(1), "second": noise(2), "array": noise(3)})
