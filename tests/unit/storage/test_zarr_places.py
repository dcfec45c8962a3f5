"""Places where something else is: files, links, arrays, stores of others. None of it is lost, every error says so."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    ForeignStoreError,
    MetadataError,
    PathEscapeError,
    StorageError,
    UnknownFormatError,
    UnreadableImageError,
)
from wellfield.formats import atomic
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

backend = ZarrStorageBackend()
PLANE = np.arange(30, dtype=np.uint16).reshape(5, 6)
NAME = "A01_s001_w1_z001_t001.tif"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "plate.zarr"


def save_well(store: Path, well: str = "A01", plane: np.ndarray = PLANE) -> None:
    backend.save_batch([plane], [store / NAME.replace("A01", well)], chunk_name=well)


# --- files and links ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to a folder", "link to nothing"])
def test_an_array_takes_the_place_of_nothing_but_an_array(tmp_path: Path, kind: str) -> None:
    notes, folder, place = tmp_path / "notes.csv", tmp_path / "folder", tmp_path / "place"
    notes.write_text("precious")
    folder.mkdir()
    if kind == "file":
        place.write_text("precious")
    else:
        place.symlink_to(
            {"file": notes, "folder": folder, "nothing": tmp_path / "nothing"}[kind.rsplit(maxsplit=1)[-1]]
        )
    with pytest.raises(StorageError, match=r"place is (not a Zarr array|a folder)"):
        backend.save(PLANE, place)
    assert notes.read_text() == "precious"
    assert place.read_text() == "precious" if kind == "file" else place.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "notes.csv", "place"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_file_or_link_in_the_place_of_a_well_stays(store: Path, kind: str) -> None:
    save_well(store.with_name("other.zarr"))
    (store / "A").mkdir(parents=True)
    if kind == "file":
        (store / "A/01").write_text("mine")
    else:
        (store / "A/01").symlink_to(store.with_name("other.zarr") / "A/01")
    with pytest.raises(StorageError, match="A/01 is a link or a file"):
        save_well(store, plane=PLANE + 1)
    assert [path.name for path in (store / "A").iterdir()] == ["01"]
    assert backend.load(store.with_name("other.zarr") / NAME).max() == 29


def test_a_folder_never_replaces_a_file_or_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "staged").mkdir()
    for name in ("file", "link"):
        with pytest.raises(FileExistsError, match="not replaced by a folder"):
            atomic.replace_directory(tmp_path / "staged", tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "staged"]


def test_a_row_that_leads_out_of_its_store_is_not_written_through(store: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    store.mkdir()
    (store / "A").symlink_to(tmp_path / "outside")
    with pytest.raises(PathEscapeError, match="leads out of"):
        save_well(store)
    assert list((tmp_path / "outside").iterdir()) == []


def test_links_are_removed_themselves_and_replaced_only_when_asked(store: Path, tmp_path: Path) -> None:
    save_well(store)
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(store)
    with pytest.raises(StorageError, match="one is a link to a folder; delete removes the link"):
        backend.delete_all(tmp_path / "one")
    backend.save(PLANE, tmp_path / "array")
    with pytest.raises(DestinationExistsError):
        backend.move(tmp_path / "array", tmp_path / "two")
    backend.move(tmp_path / "array", tmp_path / "two", replace_symlinks=True)
    np.testing.assert_array_equal(backend.load(tmp_path / "two"), PLANE)
    assert backend.load(store / NAME).max() == 29
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "plate.zarr", "two"]


@pytest.mark.parametrize("below", ["file", "array"])
def test_nothing_is_saved_below_a_file_or_an_array(tmp_path: Path, below: str) -> None:
    if below == "file":
        (tmp_path / "x").write_text("mine")
    else:
        backend.save(PLANE, tmp_path / "x")
    with pytest.raises(StorageError, match=r"x/y lies below .*/x, which is not a folder"):
        backend.save(PLANE, tmp_path / "x/y")


# --- arrays and wells --------------------------------------------------------------------------------------------


def test_a_plate_is_not_put_into_an_array(tmp_path: Path) -> None:
    store, row = tmp_path / "array.zarr", tmp_path / "plate.zarr/B"
    backend.save(PLANE, store)
    backend.save(PLANE, row)
    for action in (
        lambda: save_well(store),
        lambda: save_well(row.parent, "B02"),
        lambda: finalize_plate(store, ["A01"], name="P"),
    ):
        with pytest.raises(StorageError, match="is a single array"):
            action()
    for array in (store, row):
        np.testing.assert_array_equal(backend.load(array), PLANE)


def test_folders_named_like_wells_are_folders_unless_they_are_wells(tmp_path: Path) -> None:
    backend.save(PLANE, tmp_path / "A/01/array")
    save_well(tmp_path / "A/02/plate.zarr")
    assert backend.list_files(tmp_path, recursive=True) == [
        str(tmp_path / "A/01/array"),
        str(tmp_path / "A/02/plate.zarr" / NAME),
    ]
    np.testing.assert_array_equal(backend.load(tmp_path / "A/01/array"), PLANE)
    save_well(tmp_path / "A/02/plate.zarr", plane=PLANE + 1)
    assert backend.is_dir(tmp_path / "A/02/plate.zarr")


def test_two_wells_with_a_plane_of_one_name_are_told_apart_by_chunk_name(tmp_path: Path) -> None:
    for number, well in enumerate(("A01", "B02")):
        backend.save_batch([PLANE + number], [tmp_path / "a.tif"], chunk_name=well)
    with pytest.raises(StorageError, match=r"wells A01 and B02 both have a plane 'a\.tif'; say which by chunk_name"):
        backend.load(tmp_path / "a.tif")
    assert backend.list_files(tmp_path) == [str(tmp_path / "a.tif")]
    assert [backend.load(tmp_path / "a.tif", chunk_name=well).max() for well in ("A01", "B02")] == [29, 30]


def test_a_batch_of_arrays_with_one_path_twice_stores_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="twice"):
        backend.save_batch([PLANE, PLANE + 1], [tmp_path / "a", tmp_path / "a"])
    assert list(tmp_path.iterdir()) == []


# --- what finalizing removes -------------------------------------------------------------------------------------


def test_finalizing_removes_no_folder_that_holds_anything_of_somebody_else(store: Path) -> None:
    save_well(store)
    (store / "QC").mkdir()
    (store / "QC/report.html").write_text("mine")
    finalize_plate(store, ["A01"], name="P")
    assert (store / "QC/report.html").read_text() == "mine"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_root_without_attributes_is_somebodys_all_the_same(store: Path, zarr_format: int) -> None:
    zarr.open_group(store, mode="w", zarr_format=zarr_format).create_array("mask", shape=(2, 2), dtype="u1")
    (store / ".zattrs").unlink(missing_ok=True)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for action in (
        lambda: save_well(store),
        lambda: finalize_plate(store, [], name="P"),
    ):
        with pytest.raises(ForeignStoreError, match=r"plate\.zarr was not written by Wellfield"):
            action()
    assert before == {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_folder_with_files_that_are_no_arrays_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/plane.tif").write_text("mine")
    with pytest.raises(StorageError, match="raw is not empty"):
        backend.delete(tmp_path / "raw")
    assert (tmp_path / "raw/plane.tif").read_text() == "mine"


def test_an_array_in_a_store_of_another_program_is_not_replaced(store: Path) -> None:
    zarr.open_group(store, mode="w", attributes={"theirs": 1}).create_array("0", shape=(2, 2), dtype="u1")
    for name in ("0", "new"):
        with pytest.raises(ForeignStoreError):
            backend.save(PLANE, store / name)
    assert backend.list_dir(store) == ["0"]


def test_listings_do_not_follow_links_to_folders(tmp_path: Path) -> None:
    backend.save(PLANE, tmp_path / "folder/array")
    (tmp_path / "folder/circle").symlink_to(tmp_path)
    assert backend.list_files(tmp_path, recursive=True) == [str(tmp_path / "folder/array")]


# --- damage ------------------------------------------------------------------------------------------------------


def test_a_damaged_root_says_how_it_is_mended(store: Path) -> None:
    save_well(store)
    finalize_plate(store, ["A01"], name="P")
    (store / "zarr.json").write_text("{")
    with pytest.raises(MetadataError, match=r"delete zarr\.json .* finalize the plate again"):
        save_well(store)
    (store / "zarr.json").unlink()
    assert finalize_plate(store, ["A01"], name="P") == ["A01"]


@pytest.mark.parametrize("damage", ["garbage", "a folder"])
def test_a_damaged_well_is_an_error_of_its_own_and_hides_no_other(store: Path, damage: str) -> None:
    for well in ("A01", "B02"):
        save_well(store, well)
    metadata = store / "B/02/zarr.json"
    metadata.unlink()
    if damage == "garbage":
        metadata.write_text("{")
    else:
        metadata.mkdir()
    assert not backend.exists(store / NAME.replace("A01", "B02"))
    assert not backend.exists(store / "foo")
    assert not backend.exists(store / "labels")
    np.testing.assert_array_equal(backend.load(store / NAME), PLANE)
    for read in (lambda: backend.load(store / NAME.replace("A01", "B02")), lambda: backend.list_files(store)):
        with pytest.raises((MetadataError, StorageError), match=r"B/02/zarr\.json"):
            read()


def test_a_store_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    store = tmp_path / "x.zarr"
    store.write_text("mine")
    assert not backend.exists(store / NAME)
    with pytest.raises(DataNotFoundError):
        backend.load(store / NAME)
    for action in (lambda: save_well(store), lambda: finalize_plate(store, ["A01"], name="P")):
        with pytest.raises(StorageError, match=r"x\.zarr"):
            action()
    assert store.read_text() == "mine"


# --- paths -------------------------------------------------------------------------------------------------------


def test_dots_in_a_path_lead_where_they_say(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    backend.save(PLANE, tmp_path / "k/../array")
    save_well(tmp_path / "k/.././plate.zarr")
    np.testing.assert_array_equal(backend.load(tmp_path / "array"), PLANE)
    np.testing.assert_array_equal(backend.load(tmp_path / "k/../array"), PLANE)
    np.testing.assert_array_equal(backend.load(tmp_path / "k/../plate.zarr" / NAME), PLANE)
    assert backend.exists(tmp_path / "k/../plate.zarr" / NAME)


@pytest.mark.parametrize("name", ["nu\0ll", "back\\slash"])
def test_characters_that_no_store_can_have_are_refused(tmp_path: Path, name: str) -> None:
    assert not backend.exists(tmp_path / name)
    for action in (lambda: backend.save(PLANE, tmp_path / name), lambda: backend.load(tmp_path / name)):
        with pytest.raises(StorageError, match=r"null character|a backslash"):
            action()


def test_names_may_be_as_long_as_the_file_system_takes_and_no_longer(tmp_path: Path) -> None:
    backend.save(PLANE, tmp_path / ("n" * 250))
    np.testing.assert_array_equal(backend.load(tmp_path / ("n" * 250)), PLANE)
    assert not backend.exists(tmp_path / ("n" * 300))
    with pytest.raises(StorageError, match="too long"):
        backend.save(PLANE, tmp_path / ("n" * 300))


# --- single arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((5, 1537, 1601), "u2"), ((3_000_000,), "f8"), ((4000, 8, 8), "f8"), ((2, 3, 0), "u1"), ((), "i4")],
)
def test_arrays_of_any_shape_come_back_across_their_chunks(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    backend.save(array, tmp_path / "array")
    loaded = backend.load(tmp_path / "array")
    assert (loaded.shape, loaded.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(loaded, array)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "array", mode="r")[...], array)
    assert sum(path.is_file() for path in (tmp_path / "array").rglob("*")) <= 2


def test_a_lost_chunk_is_an_error_in_our_arrays_and_the_fill_value_in_those_of_others(tmp_path: Path) -> None:
    backend.save(np.zeros((5, 6)), tmp_path / "ours")
    (chunk,) = (path for path in (tmp_path / "ours").rglob("*") if path.is_file() and path.name != "zarr.json")
    chunk.unlink()
    with pytest.raises(UnreadableImageError, match="ours is not a readable Zarr array"):
        backend.load(tmp_path / "ours")
    zarr.create_array(tmp_path / "theirs", shape=(5, 6), dtype="u2", fill_value=7)
    assert (backend.load(tmp_path / "theirs") == 7).all()


@pytest.mark.parametrize("dtype", ["longdouble", "U3", "datetime64[s]"])
def test_values_that_zarr_does_not_hold_are_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnknownFormatError, match="numbers of up to 64 bits"):
        backend.save(np.zeros((2, 2), dtype), tmp_path / "array")
    with pytest.raises(StorageError, match="integers or floats of up to 64 bits"):
        save_well(tmp_path / "plate.zarr", plane=np.zeros((2, 2), dtype))


def test_a_masked_array_is_refused_instead_of_losing_its_mask(tmp_path: Path) -> None:
    masked = np.ma.masked_greater(PLANE, 5)
    for action in (
        lambda: backend.save(masked, tmp_path / "array"),
        lambda: save_well(tmp_path / "p.zarr", plane=masked),
    ):
        with pytest.raises(TypeError, match="has a mask"):
            action()


REWRITER = """
import itertools, sys
import numpy as np
from wellfield.formats import atomic
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend
if sys.argv[2] != "exchange":
    atomic._exchange = lambda first, second: False
for number in range(60):
    shape, dtype = ((40, 40), "u2") if number % 2 else ((7, 9), "f8")
    ZarrStorageBackend().save(np.full(shape, number, dtype), sys.argv[1])
"""


@pytest.mark.parametrize("way", ["exchange", "rename"])
def test_a_reader_finds_one_version_of_an_array_while_it_is_written_again_and_again(tmp_path: Path, way: str) -> None:
    path = tmp_path / "array"
    backend.save(np.zeros((7, 9)), path)
    with subprocess.Popen([sys.executable, "-c", REWRITER, str(path), way]) as writer:
        while writer.poll() is None:
            array = backend.load(path)
            assert len(np.unique(array)) == 1
            assert (array.shape, array.dtype.str) == (((40, 40), "<u2") if array.flat[0] % 2 else ((7, 9), "<f8"))
    assert writer.returncode == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["array"]


def test_an_array_that_a_crash_left_under_its_old_name_is_put_back(tmp_path: Path) -> None:
    backend.save(PLANE, tmp_path / "array")
    for read in (
        lambda: backend.load(tmp_path / "array").max() == 29,
        lambda: backend.exists(tmp_path / "array"),
        lambda: backend.list_dir(tmp_path) == ["array"],
    ):
        (tmp_path / "array").rename(tmp_path / ".array.000000000000.part")
        assert read()


def test_unfinished_wells_are_not_copied_with_a_store(store: Path, tmp_path: Path) -> None:
    save_well(store)
    (store / "A/.02.0123456789ab.part").mkdir()
    backend.copy(store, tmp_path / "copy.zarr")
    assert [path.name for path in (tmp_path / "copy.zarr/A").iterdir()] == ["01"]
    np.testing.assert_array_equal(backend.load(tmp_path / "copy.zarr" / NAME), PLANE)


def test_every_strategy_may_be_given_by_its_name() -> None:
    for strategy, compressor in itertools.product(("well", "file", "field"), ("zstd", "lz4", "none")):
        assert ZarrConfig(strategy, compressor) == ZarrConfig(ZarrChunkStrategy(strategy), compressor)


def test_what_another_program_put_into_a_well_stays_when_the_well_is_written_again(store: Path) -> None:
    save_well(store)
    label = store / "A" / "01" / "1" / "labels" / "by_hand"
    (label / "0" / "c").mkdir(parents=True)
    mine = {label / "zarr.json": "{}", label / "0" / "c" / "0": "chunk", store / "A" / "01" / "notes.txt": "notes"}
    for path, text in mine.items():
        path.write_text(text)
    (store / "A" / "01" / "link").symlink_to("nowhere")
    save_well(store)
    assert {path: path.read_text() for path in mine} == mine
    assert (store / "A" / "01" / "link").is_symlink()
    finalize_plate(store, ["B02"], name="P")
    assert {path: path.read_text() for path in mine} == mine
    assert not (store / "A" / "01" / "1" / "0").exists()
