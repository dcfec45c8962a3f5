"""Planes of an OME-Zarr plate through the storage backend."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import (
    ArrayShapeError,
    ConfigError,
    DataNotFoundError,
    DuplicatePlaneError,
    MemoryTypeError,
    MissingPlaneError,
    NotAFolderError,
    PathEscapeError,
    StorageError,
    UnreadableImageError,
    UnsupportedOperationError,
    WellNameError,
)
from wellfield.storage.backend import ZarrChunkStrategy, ZarrCompressor, ZarrConfig
from wellfield.storage.backend_registry import STORAGE_BACKENDS
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

backend = ZarrStorageBackend()
FIELD = ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "plate.zarr"


def name(field: int = 1, channel: int = 1, z: int | str = 1, t: int = 1, well: str = "A01") -> str:
    depth = f"z{z:03d}" if isinstance(z, int) else z
    return f"{well}_s{field:03d}_w{channel}_{depth}_t{t:03d}.tif"


def noise(seed: int, shape: tuple[int, int] = (40, 50), dtype: str = "u2") -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(shape).astype(dtype) if dtype[0] == "f" else rng.integers(1, 200, shape).astype(dtype)


def save(store: Path, planes: dict[str, np.ndarray], **kwargs) -> None:
    options = {"zarr_config": FIELD} | kwargs
    backend.save_batch(list(planes.values()), [store / path for path in planes], **options)


def assert_equal(store: Path, planes: dict[str, np.ndarray]) -> None:
    for plane, loaded in zip(planes.values(), backend.load_batch([store / path for path in planes]), strict=True):
        assert loaded.dtype == plane.dtype
        np.testing.assert_array_equal(loaded, plane)


# --- what is saved comes back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4", "f8", "u8"])
@pytest.mark.parametrize("compressor", list(ZarrCompressor))
def test_planes_come_back_bit_exact_with_their_dtype(store: Path, dtype: str, compressor: ZarrCompressor) -> None:
    planes = {name(f, c, z): noise(f * 100 + c * 10 + z, dtype=dtype) for f in (1, 2) for c in (1, 3) for z in (1, 2)}
    save(store, planes, chunk_name="A01", zarr_config=replace(FIELD, compressor=compressor))
    assert_equal(store, planes)
    for path, plane in planes.items():
        np.testing.assert_array_equal(backend.load(str(store / path)), plane)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (257, 1031), (1100, 1100), (2161, 33), (1537, 1601)])
def test_planes_of_any_size_come_back_across_chunk_borders(store: Path, shape: tuple[int, int]) -> None:
    planes = {name(channel=c): noise(c, shape) for c in (1, 2)}
    save(store, planes)
    assert_equal(store, planes)


def test_floats_keep_nan_and_infinity(store: Path) -> None:
    plane = noise(0, dtype="f4")
    plane[0, :3] = np.nan, np.inf, -np.inf
    save(store, {name(): plane})
    assert_equal(store, {name(): plane})


def test_the_order_of_planes_in_a_batch_changes_nothing(store: Path) -> None:
    planes = {
        name(f, c, z, t): noise(f + 2 * c + 4 * z + 8 * t)
        for f in (1, 2)
        for c in (1, 2)
        for z in (1, 2)
        for t in (1, 2)
    }
    shuffled = dict(np.random.default_rng(1).permutation(np.array(list(planes.items()), dtype=object)))
    save(store, planes)
    before = {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}
    save(store, shuffled)
    assert before == {path.relative_to(store): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_memory_mapped_views_and_other_byte_orders_are_taken(store: Path, tmp_path: Path) -> None:
    stack = np.stack([noise(1), noise(2)])
    np.save(tmp_path / "stack.npy", stack)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    save(store, {name(z=1): mapped[0], name(z=2): mapped[1].astype(">u2"), name(z=3): mapped[0].T.copy().T})
    assert_equal(store, {name(z=1): stack[0], name(z=2): stack[1], name(z=3): stack[0]})


def test_projections_are_found_by_their_kind(store: Path) -> None:
    planes = {name(z="max"): noise(1), name(channel=2, z="max"): noise(2)}
    save(store, planes)
    assert_equal(store, planes)
    assert not backend.exists(store / name(z="best_focus"))
    assert not backend.exists(store / name(z=1))


def test_labels_come_back_as_uint32_with_ids_above_65535(store: Path) -> None:
    ids = noise(1, dtype="i8") * 20_000_000
    mask = noise(2, dtype="u1") > 100
    save(store, {name(): noise(3), f"labels/nuclei/{name()}": ids, f"labels/mask-2/{name()}": mask})
    assert_equal(store, {f"labels/nuclei/{name()}": ids.astype("u4"), f"labels/mask-2/{name()}": mask.astype("u4")})


def test_a_well_that_is_saved_again_is_replaced_as_a_whole(store: Path) -> None:
    save(store, {name(1): noise(1), name(2): noise(2), f"labels/nuclei/{name()}": noise(3)})
    save(store, {name(1): noise(4, (60, 60), "u1")})
    assert_equal(store, {name(1): noise(4, (60, 60), "u1")})
    assert backend.list_files(store, recursive=True) == [str(store / name(1))]


# --- missing and black -------------------------------------------------------------------------------------------


def test_a_black_plane_is_stored_and_a_missing_one_is_not(store: Path) -> None:
    black = np.zeros((40, 50), np.uint16)
    planes = {name(c, z=z): noise(c + 10 * z) for c in (1, 2) for z in (1, 2, 3)}
    planes[name(1, z=1)] = black
    del planes[name(2, z=2)]
    save(store, planes)
    assert_equal(store, planes)
    with pytest.raises(MissingPlaneError, match="well A01, field 2, channel 1, z 2, timepoint 1"):
        backend.load(store / name(2, z=2))
    assert backend.list_files(store) == [str(store / path) for path in sorted(planes)]


@pytest.mark.parametrize("gap", [None, 3])
def test_chunks_of_black_planes_are_in_the_shard_and_those_of_missing_ones_are_not(
    store: Path, gap: int | None
) -> None:
    save(store, {name(z=z): np.zeros((40, 50), np.uint16) for z in (1, 2, 3, 4, 5) if z != gap})
    shard = (store / "A/01/1/0/c/0/0/0/0/0").read_bytes()
    index = np.frombuffer(shard[-4 - 5 * 16 : -4], "<u8").reshape(5, 2)  # offset and length, then a checksum
    stored = [z for z, (_, length) in enumerate(index.tolist(), start=1) if length != 2**64 - 1]
    assert stored == [z for z in (1, 2, 3, 4, 5) if z != gap]


def test_a_timepoint_without_planes_of_a_field_has_no_shard(store: Path) -> None:
    save(store, {name(f, t=t): noise(f + t) for f, t in ((1, 1), (1, 2), (2, 1))})
    assert not (store / "A/01/2/0/c/1").exists()
    with pytest.raises(MissingPlaneError):
        backend.load(store / name(2, t=2))


def test_a_missing_plane_shifts_no_other_field_or_z(store: Path) -> None:
    planes = {name(f, z=z): noise(10 * f + z) for f in (1, 2) for z in (1, 2, 4)}
    del planes[name(2, z=1)]
    save(store, planes)
    import zarr

    second = zarr.open_group(store / "A/01/2", mode="r")
    assert second["0"].shape == zarr.open_group(store / "A/01/1", mode="r")["0"].shape == (1, 1, 4, 40, 50)
    np.testing.assert_array_equal(second["0"][0, 0, 1], planes[name(2, z=2)])
    np.testing.assert_array_equal(second["0"][0, 0, 3], planes[name(2, z=4)])
    record = zarr.open_group(store / "A/01", mode="r").attrs["wellfield"]
    assert record["images"]["missing"] == [name(1, z=3), name(2, z=1), name(2, z=3)]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (name(well="B02"), "no well B02"),
        (name(field=9), "no field 9"),
        (name(channel=7), "channel 7"),
        (name(z=9), "z 9"),
        (name(t=9), "timepoint 9"),
        (f"labels/cells/{name()}", "no label 'cells'"),
        ("picture.tif", "names no plane"),
    ],
)
def test_a_plane_that_is_not_there_is_named_in_the_error(store: Path, path: str, what: str) -> None:
    save(store, {name(): noise(1), f"labels/nuclei/{name()}": noise(2)})
    with pytest.raises(DataNotFoundError, match=what) as caught:
        backend.load(store / path)
    assert isinstance(caught.value, MissingPlaneError)
    assert not backend.exists(store / path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_store_that_is_not_there_is_an_error_of_its_own(store: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no store"):
        backend.load(store / name())
    for listing in (backend.list_files, backend.list_dir, backend.delete_all):
        with pytest.raises(DataNotFoundError):
            listing(store)


# --- damage ------------------------------------------------------------------------------------------------------


def test_a_lost_chunk_file_is_an_error_and_not_a_black_plane(store: Path) -> None:
    save(store, {name(): noise(1)})
    (store / "A/01/1/0/c/0/0/0/0/0").unlink()
    with pytest.raises(UnreadableImageError, match="well A01, field 1"):
        backend.load(store / name())


@pytest.mark.parametrize("keep", [0, 1, 0.5])
def test_a_truncated_chunk_file_is_an_error_naming_the_plane(store: Path, keep: float) -> None:
    save(store, {name(): noise(1)})
    shard = store / "A/01/1/0/c/0/0/0/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[: -7 if keep == 1 else int(len(content) * keep)])
    with pytest.raises(UnreadableImageError, match="field 1, channel 1"):
        backend.load(store / name())


def test_a_failed_write_leaves_the_old_well_and_nothing_else(store: Path) -> None:
    planes = {name(): noise(1)}
    save(store, planes)
    with pytest.raises(StorageError, match=r"label 'nuclei' of well A01, field 1 has id -1"):
        save(store, {name(): noise(2), f"labels/nuclei/{name()}": np.full((40, 50), -1)})
    assert_equal(store, planes)
    assert [path.name for path in (store / "A").iterdir()] == ["01"]


# --- what is refused ---------------------------------------------------------------------------------------------


def test_planes_of_unequal_size_are_named_with_both_sizes(store: Path) -> None:
    with pytest.raises(ArrayShapeError, match=r"channel 1.*40×50.*channel 2.*40×51"):
        save(store, {name(): noise(1), name(channel=2): noise(2, (40, 51))})
    assert not store.exists()


def test_planes_of_unequal_dtype_are_named_with_both_dtypes(store: Path) -> None:
    with pytest.raises(StorageError, match=r"channel 1.*uint16.*channel 2.*uint8"):
        save(store, {name(): noise(1), name(channel=2): noise(2, dtype="u1")})
    with pytest.raises(StorageError, match=r"label 'n'.*uint16.*field 2.*uint8"):
        images = {name(): noise(1), name(2): noise(2)}
        save(store, images | {f"labels/n/{name()}": noise(1), f"labels/n/{name(2)}": noise(2, dtype="u1")})


def test_a_label_of_another_size_than_its_image_is_refused(store: Path) -> None:
    with pytest.raises(ArrayShapeError, match=r"'nuclei'.*20×25.*40×50"):
        save(store, {name(): noise(1), f"labels/nuclei/{name()}": noise(2, (20, 25))})


@pytest.mark.parametrize(
    ("paths", "error", "what"),
    [
        ([name(), "other.tif"], StorageError, "mixes plane names with others: 'other.tif'"),
        (["b.tif", "a.tif"], StorageError, "b.tif does not say its well; give chunk_name"),
        (["sub/b.tif"], StorageError, "cannot hold a plane"),
        ([name(), name(well="B01")], StorageError, "planes of A01, B01"),
        ([name(), name()], DuplicatePlaneError, "twice"),
        ([f"labels/nuclei/{name()}"], StorageError, "labels only"),
        ([name(), f"labels/n/{name()}", f"labels/n/{name(channel=2)}"], StorageError, "channels 1 and 2"),
        ([name(), f"labels/n/{name(2)}"], StorageError, "field 2, which has no images"),
        ([name(), name(z="max")], StorageError, "projection max, z planes"),
        (["../" + name()], PathEscapeError, "leads out"),
    ],
)
def test_batches_that_make_no_well_are_refused(
    store: Path, paths: list[str], error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        backend.save_batch([noise(1)] * len(paths), [f"{store}/{path}" for path in paths])
    assert not store.exists()


def test_arrays_that_make_no_plane_are_refused(store: Path) -> None:
    with pytest.raises(ArrayShapeError, match=r"\(2, 40, 50\)"):
        save(store, {name(): np.zeros((2, 40, 50), np.uint8)})
    with pytest.raises(MemoryTypeError, match="list"):
        save(store, {name(): [[1, 2]]})  # type: ignore[dict-item]
    with pytest.raises(StorageError, match="not bool; a mask is a label"):
        save(store, {name(): np.zeros((4, 4), bool)})
    with pytest.raises(StorageError, match="expected integers"):
        save(store, {name(): noise(1), f"labels/n/{name()}": noise(1, dtype="f4")})
    with pytest.raises(StorageError, match="2 paths"):
        backend.save_batch([noise(1)], [store / name(), store / name(2)])


def test_two_stores_in_one_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="several stores"):
        backend.save_batch([noise(1)] * 2, [tmp_path / "a.zarr" / name(), tmp_path / "b.zarr" / name(2)])


@pytest.mark.parametrize("chunk_name", ["A01", "well_A01", "a1"])
def test_the_well_of_a_batch_may_be_named(store: Path, chunk_name: str) -> None:
    save(store, {name(): noise(1)}, chunk_name=chunk_name)
    assert_equal(store, {name(): noise(1)})


def test_a_batch_for_another_well_than_named_is_refused(store: Path) -> None:
    with pytest.raises(StorageError, match="for well B01 holds planes of A01"):
        save(store, {name(): noise(1)}, chunk_name="well_B01")
    with pytest.raises(WellNameError):
        save(store, {name(): noise(1)}, chunk_name="plate")


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"ngff_version": "0.6"}, "0.5, 0.4"),
        ({"chunk_strategy": "plate"}, "well, file, field"),
        ({"compressor": "gzip"}, "zstd, lz4, none"),
        ({"compression_level": 99}, "0 to 9"),
    ],
)
def test_settings_that_mean_nothing_are_refused_with_what_is_allowed(options: dict, allowed: str) -> None:
    ((key, value),) = options.items()
    with pytest.raises(ConfigError, match=f"{key} is {value!r}; expected .*{allowed}"):
        ZarrConfig(**options)
    assert ZarrConfig(chunk_strategy="field").chunk_strategy is ZarrChunkStrategy.FIELD


def test_unknown_options_are_refused(store: Path) -> None:
    with pytest.raises(TypeError, match="overwrite"):
        save(store, {name(): noise(1)}, overwrite=True)


def test_single_planes_can_be_neither_saved_nor_removed(store: Path) -> None:
    with pytest.raises(UnsupportedOperationError, match="save_batch"):
        backend.save(noise(1), store / name())
    save(store, {name(): noise(1)})
    with pytest.raises(UnsupportedOperationError):
        backend.delete(store / name())
    with pytest.raises(NotAFolderError):
        backend.delete_all(store / name())
    assert backend.exists(store / name())


# --- files and folders -------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store: Path) -> Path:
    for well in ("A02", "B10"):
        planes = {name(f, c, well=well): noise(f + c) for f in (1, 2, 10) for c in (1, 2)}
        save(store, planes | {f"labels/nuclei/{name(2, well=well)}": noise(5)})
    return store


def test_listings_are_naturally_sorted_and_load_takes_them(filled: Path) -> None:
    files = backend.list_files(filled)
    assert files == [str(filled / name(f, c, well=w)) for w in ("A02", "B10") for f in (1, 2, 10) for c in (1, 2)]
    assert len(backend.load_batch(files)) == 12
    nuclei = [str(filled / "labels/nuclei" / name(2, well=w)) for w in ("A02", "B10")]
    assert backend.list_files(filled, recursive=True) == files + nuclei
    assert backend.list_files(filled / "labels/nuclei") == nuclei
    assert backend.list_files(filled / "labels") == []
    assert backend.list_files(f"{filled}/labels", recursive=True) == nuclei
    assert backend.list_files(filled, extensions=[".TIF"]) == files
    assert backend.list_files(filled, extensions=".png") == []
    assert backend.list_dir(filled) == [Path(path).name for path in files] + ["labels"]
    assert backend.list_dir(filled / "labels") == ["nuclei"]
    assert backend.list_dir(filled / "labels/nuclei") == [Path(path).name for path in nuclei]


def test_planes_are_files_and_stores_and_labels_are_folders(filled: Path) -> None:
    for folder in ("", "labels", "labels/nuclei"):
        assert backend.is_dir(filled / folder)
        assert not backend.is_file(filled / folder)
    for plane in (name(well="A02"), f"labels/nuclei/{name(2, well='A02')}"):
        assert backend.is_file(filled / plane)
        assert not backend.is_dir(filled / plane)
    for nothing in ("labels/cells", "A", "A/02", "other", f"labels/nuclei/{name(1, well='A02')}"):
        assert not backend.exists(filled / nothing)
    assert not backend.exists(filled.parent / "no store")


def test_a_label_plane_is_found_under_its_own_channel_only(store: Path) -> None:
    save(store, {name(): noise(1), name(channel=2): noise(2), f"labels/nuclei/{name(channel=2)}": noise(3)})
    assert backend.exists(store / "labels/nuclei" / name(channel=2))
    assert not backend.exists(store / "labels/nuclei" / name(channel=1))


def test_an_empty_store_can_be_made_and_removed(store: Path) -> None:
    backend.ensure_directory(store)
    backend.ensure_directory(store / "labels")
    assert backend.is_dir(store)
    assert backend.list_files(store, recursive=True) == []
    assert not backend.is_dir(store / "labels")
    backend.delete(store)
    assert not store.exists()


def test_a_store_with_wells_is_removed_only_as_a_whole(filled: Path) -> None:
    with pytest.raises(StorageError, match="not empty"):
        backend.delete(filled)
    backend.delete_all(filled)
    assert not filled.exists()


# --- cost --------------------------------------------------------------------------------------------------------

_opened: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event in ("open", "os.listdir", "os.scandir"):
        _opened.append(str(arguments[0]))


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect what this process opens or lists, in any thread."""
    global _opened  # noqa: PLW0603
    if not getattr(_watch, "installed", False):
        sys.addaudithook(_watch)  # cannot be taken out again
        _watch.installed = True  # type: ignore[attr-defined]
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


def test_loading_one_plane_opens_the_same_few_files_in_a_plate_of_any_size(store: Path) -> None:
    counts = []
    for wells in (range(1, 2), range(2, 13)):
        for number in wells:
            save(store, {name(f, well=f"B{number:02d}"): noise(number) for f in (1, 2)})
        with opened_files() as opened:
            backend.load(store / name(2, well="B01"))
        touched = [path for path in opened if path.startswith(str(store))]
        assert all(path.startswith(str(store / "B/01")) for path in touched), touched
        counts.append(len(touched))
    assert counts[0] == counts[1] <= 4


def bytes_read() -> int:
    """Return the bytes that the engine has read from files so far."""
    import tensorstore

    (metric,) = tensorstore.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
    return metric["values"][0]["value"]


@pytest.mark.parametrize("strategy", [ZarrChunkStrategy.FIELD, ZarrChunkStrategy.WELL])
def test_loading_one_plane_reads_its_chunk_and_not_the_shard(store: Path, strategy: ZarrChunkStrategy) -> None:
    planes = {name(channel=c, z=z): noise(c + z, (300, 300)) for c in (1, 2) for z in range(1, 11)}
    save(store, planes, zarr_config=ZarrConfig(chunk_strategy=strategy))
    shard = (store / "A/01/1/0/c/0/0/0/0/0").stat().st_size
    before = bytes_read()
    backend.load(store / name(channel=2, z=4))
    assert shard / 40 < bytes_read() - before < shard / 10


def test_a_batch_reads_the_record_of_a_well_once(store: Path) -> None:
    planes = {name(f, c, z): noise(f + c + z) for f in (1, 2) for c in (1, 2) for z in range(1, 6)}
    save(store, planes)
    with opened_files() as opened:
        backend.load_batch([store / path for path in planes])
    assert [path for path in opened if path.startswith(str(store))] == [str(store / "A/01/zarr.json")]


def test_a_batch_reads_whatever_order_stores_and_wells_have(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zarr"
    expected = {}
    for number, (folder, well) in enumerate([(store, "A01"), (store, "B01"), (other, "A01")]):
        planes = {name(f, well=well): noise(10 * number + f) for f in (1, 2)}
        save(folder, planes)
        expected |= {folder / path: plane for path, plane in planes.items()}
    order = sorted(expected, key=lambda path: path.name)
    for path, plane in zip(order, backend.load_batch(order), strict=True):
        np.testing.assert_array_equal(plane, expected[path])
    with pytest.raises(DataNotFoundError, match="field 3"):
        backend.load_batch([*order, store / name(3)])


def test_importing_the_backend_imports_no_zarr_library() -> None:
    code = "import sys, wellfield.storage.zarr.zarr_backend, wellfield.storage.zarr.plate_metadata; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"zarr", "tensorstore", "ome_zarr", "numcodecs", "dask"} & set(output)


@pytest.mark.parametrize("strategy", ["FIELD", "WELL", "FILE"])
@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_writing_a_well_imports_no_zarr_python(store: Path, strategy: str, version: str) -> None:
    code = f"""
import sys
import numpy as np
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

config = ZarrConfig(chunk_strategy=ZarrChunkStrategy.{strategy}, ngff_version="{version}")
path = "{store}/A01_s001_w1_z001_t001.tif"
ZarrStorageBackend().save_batch([np.ones((8, 8), np.uint16)], [path], chunk_name="A01", zarr_config=config)
assert ZarrStorageBackend().load(path).sum() == 64
print(*sys.modules)
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "tensorstore" in output
    assert not {"zarr", "numcodecs", "dask"} & set(output)


def test_the_registry_knows_the_backend() -> None:
    assert STORAGE_BACKENDS["zarr"] is ZarrStorageBackend
