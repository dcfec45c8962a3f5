"""Arrays under paths without a suffix, which disk keeps as ``.npy``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError, UnknownFormatError
from wellfield.storage import Backend, DiskStorageBackend, FileManager, create_storage_registry

disk = DiskStorageBackend()
ARRAY = np.arange(12, dtype=">u2").reshape(3, 4)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "x" / "data"
    disk.save(ARRAY, path)
    return path


@pytest.mark.parametrize("backend", [Backend.MEMORY, Backend.DISK])
def test_one_logical_path_works_on_every_backend(tmp_path: Path, backend: Backend) -> None:
    manager = FileManager(create_storage_registry())
    first, second = tmp_path / "step 1" / "stack", tmp_path / "step 2" / "stack"
    manager.save(ARRAY, first, backend)
    np.testing.assert_array_equal(manager.load(str(first), backend), ARRAY, strict=True)
    assert manager.exists(first, backend)
    assert manager.is_file(first, backend)
    assert not manager.is_dir(first, backend)
    manager.copy(first, second, backend)
    manager.move(second, tmp_path / "moved", backend)
    assert not manager.exists(second, backend)
    np.testing.assert_array_equal(manager.load(tmp_path / "moved", backend), ARRAY)
    (listed,) = manager.list_files(first.parent, backend)
    np.testing.assert_array_equal(manager.load(listed, backend), ARRAY)
    assert manager.stat(first, backend).kind == "file"
    manager.delete(first, backend)
    assert not manager.exists(first, backend)


def test_the_array_is_a_real_file_that_other_programs_open(data: Path) -> None:
    assert os.listdir(data.parent) == ["data.npy"]
    np.testing.assert_array_equal(np.load(f"{data}.npy"), ARRAY)
    assert disk.list_files(data.parent) == [f"{data}.npy"]
    assert disk.stat(data).size == os.path.getsize(f"{data}.npy")


@pytest.mark.parametrize(
    "value",
    ["text", {"a": 1}, [1, 2], None, 5, np.float32(5), np.array(["a"]), np.array([None]), np.array([], "M8[s]")],
)
def test_only_arrays_of_numbers_need_no_suffix(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UnknownFormatError, match=r"data: without a suffix an array of numbers"):
        disk.save(value, tmp_path / "data")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["data.v2", "data.", "data.pkl", "data.zip"])
def test_an_unknown_suffix_is_no_missing_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownFormatError, match="unknown suffix"):
        disk.save(ARRAY, tmp_path / name)
    assert not os.listdir(tmp_path)


def test_a_real_file_of_that_name_is_meant_and_not_the_array(data: Path) -> None:
    data.write_bytes(b"something else")
    with pytest.raises(UnknownFormatError, match="data: unknown suffix"):
        disk.load(data)
    with pytest.raises(UnknownFormatError, match="data is a file without a suffix"):
        disk.save(ARRAY, data)
    disk.delete(data)
    np.testing.assert_array_equal(disk.load(data), ARRAY)


def test_an_array_and_a_folder_never_share_a_path(data: Path) -> None:
    for operation in (
        lambda: disk.ensure_directory(data),
        lambda: disk.ensure_directory(data / "sub"),
        lambda: disk.save(ARRAY, data / "sub" / "more"),
        lambda: disk.save("x", data / "a.txt"),
    ):
        with pytest.raises(StorageError, match="x/data is an array"):
            operation()
    with pytest.raises(StorageError, match="x is a folder"):
        disk.save(ARRAY, data.parent)
    with pytest.raises(StorageError, match="x is a folder"):
        disk.load(data.parent)
    assert os.listdir(data.parent.parent) == ["x"]


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    for operation in (disk.load, disk.delete, disk.stat):
        with pytest.raises(DataNotFoundError, match="none"):
            operation(tmp_path / "none")


def test_an_array_keeps_its_format_when_it_is_copied_or_moved(data: Path) -> None:
    disk.copy(f"{data}.npy", data.parent / "copy")
    disk.copy(data, data.parent / "named.npy")
    for operation in (disk.copy, disk.move):
        with pytest.raises(UnknownFormatError, match=r"the file stays \.npy"):
            operation(data, data.parent / "a.tif")
        with pytest.raises(DestinationExistsError, match=r"copy\.npy is there"):
            operation(data, data.parent / "copy")
    assert sorted(os.listdir(data.parent)) == ["copy.npy", "data.npy", "named.npy"]


def test_a_folder_does_not_go_where_an_array_is(data: Path) -> None:
    (data.parent / "folder").mkdir()
    for operation in (disk.copy, disk.move):
        with pytest.raises(DestinationExistsError, match=r"data\.npy"):
            operation(data.parent / "folder", data)


def test_a_batch_with_both_names_of_an_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a batch gives .*b/\.\./a\.npy twice"):
        disk.save_batch([ARRAY, ARRAY], [tmp_path / "a", tmp_path / "b" / ".." / "a.npy"])
    assert not os.listdir(tmp_path)
