from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import DataNotFoundError, StorageError
from wellfield.storage import DiskStorageBackend, MemoryStorageBackend, StorageBackend


@pytest.fixture
def memory() -> MemoryStorageBackend:
    return MemoryStorageBackend()


def test_changing_the_source_after_save_changes_nothing_stored(memory: MemoryStorageBackend) -> None:
    source = np.zeros((2, 3), "u2")
    memory.save(source, "a")
    source[:] = 7
    assert memory.load("a").tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_loaded_array_cannot_change_what_is_stored(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros((2, 3)), "a")
    loaded = memory.load("a")
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        loaded.flags.writeable = True
    loaded.dtype = np.int64
    assert (memory.load("a").dtype, memory.load("a").sum()) == (np.float64, 0)


def test_copy_false_hands_the_array_over_without_copying(memory: MemoryStorageBackend) -> None:
    source = np.zeros(3)
    memory.save(source, "a", copy=False)
    loaded = memory.load("a")
    assert np.shares_memory(loaded, source)
    assert not loaded.flags.writeable
    assert source.flags.writeable


def test_loading_does_not_copy(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros(3), "a")
    assert np.shares_memory(memory.load("a"), memory.load("a"))


@pytest.mark.parametrize("value", [None, 0, "text", {"a": [1]}, object()], ids=["None", "0", "text", "dict", "object"])
def test_any_object_is_a_value(memory: MemoryStorageBackend, value: Any) -> None:
    memory.save(value, Path("/plate/x"))
    assert memory.load("/plate/x") is value
    assert memory.exists("/plate/x")


def test_spellings_of_a_path_are_one_path(memory: MemoryStorageBackend) -> None:
    memory.save(1, "/a//b/./c")
    for path in ("/a/b/c", Path("/a/b/c"), "/a/x/../b/c", "//a/b/c"):
        assert memory.load(path) == 1


def test_what_is_not_there_is_an_error_naming_the_path(memory: MemoryStorageBackend) -> None:
    for operation in (memory.load, memory.delete, memory.delete_all, memory.list_files, memory.list_dir):
        with pytest.raises(DataNotFoundError, match="nowhere/x"):
            operation("nowhere/x")


def test_a_path_is_an_object_or_a_folder_never_both(memory: MemoryStorageBackend) -> None:
    memory.save(1, "a/b")
    for operation in (
        lambda: memory.save(2, "a"),
        lambda: memory.save(2, "a/b/c"),
        lambda: memory.save(2, "a/b/c/d"),
        lambda: memory.ensure_directory("a/b"),
        lambda: memory.ensure_directory("a/b/c"),
        lambda: memory.load("a"),
        lambda: memory.delete("a"),
    ):
        with pytest.raises(StorageError):
            operation()
    assert (memory.load("a/b"), memory.list_dir("a"), memory.list_dir(".")) == (1, ["b"], ["a"])


def test_listings_are_in_natural_order_and_load_takes_them(memory: MemoryStorageBackend) -> None:
    for name in ("z10.tif", "z2.tif", "z1.npy", "Z3.TIF", "sub/z0.tif", "sub/deep/z4.tif"):
        memory.save(name, f"/p/{name}")
    memory.ensure_directory("/p/empty")
    assert memory.list_files("/p") == ["/p/Z3.TIF", "/p/z1.npy", "/p/z2.tif", "/p/z10.tif"]
    assert memory.list_files("/p", extensions=[".tif"]) == ["/p/Z3.TIF", "/p/z2.tif", "/p/z10.tif"]
    assert memory.list_files("/p", extensions=".npy") == ["/p/z1.npy"]
    found = memory.list_files("/p", extensions=(".tif",), recursive=True)
    assert sorted(memory.load_batch(found)) == ["Z3.TIF", "sub/deep/z4.tif", "sub/z0.tif", "z10.tif", "z2.tif"]
    assert memory.list_dir("/p") == ["Z3.TIF", "empty", "sub", "z1.npy", "z2.tif", "z10.tif"]
    assert memory.list_dir("/") == ["p"]


def test_a_batch_keeps_order_and_names_what_is_missing(memory: MemoryStorageBackend) -> None:
    memory.save_batch([3, 1, 2], ["c", "a", "b"])
    assert memory.load_batch(["a", "b", "c"]) == [1, 2, 3]
    with pytest.raises(DataNotFoundError, match="under d"):
        memory.load_batch(["a", "d"])
    with pytest.raises(StorageError, match="2 objects was given 1 paths"):
        memory.save_batch([1, 2], ["a"])


def test_size_counts_the_arrays_that_are_stored(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros(10, "u2"), "a/1")
    memory.save(np.zeros(5, "u1"), "a/2")
    memory.save(np.zeros(5, "u1"), "a/2")
    memory.save("text", "a/3")
    assert memory.nbytes == 25
    memory.delete("a/2")
    assert memory.nbytes == 20
    memory.delete_all("a")
    assert memory.nbytes == 0


def test_many_threads_may_use_it(memory: MemoryStorageBackend) -> None:
    def work(number: int) -> None:
        for index in range(50):
            path = f"/well{number % 3}/t{number}/{index}"
            memory.save(number, path)
            memory.list_files(f"/well{number % 3}", recursive=True)
            assert memory.load(path) == number
            if index % 2:
                memory.delete(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(memory.list_files("/", recursive=True)) == 8 * 25


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
steps = st.lists(st.tuples(st.sampled_from(["save", "mkdir", "delete", "delete_all"]), paths), max_size=20)


def outcome(backend: StorageBackend, operation: str, path: str) -> type[Exception] | None:
    try:
        {
            "save": lambda: backend.save("x", path + ".txt"),
            "mkdir": lambda: backend.ensure_directory(path),
            "delete": lambda: backend.delete(path),
            "delete_all": lambda: backend.delete_all(path),
        }[operation]()
    except StorageError as error:
        return DataNotFoundError if isinstance(error, DataNotFoundError) else StorageError
    return None


@given(steps)
def test_memory_and_disk_agree_on_what_is_where(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    root = str(tmp_path_factory.mktemp("root"))
    memory, disk = MemoryStorageBackend(), DiskStorageBackend()
    memory.ensure_directory(root)
    for operation, name in steps:
        path = os.path.join(root, name)
        assert outcome(memory, operation, path) == outcome(disk, operation, path), (operation, path)
        assert memory.list_files(root, recursive=True) == disk.list_files(root, recursive=True)
        assert memory.list_dir(root) == disk.list_dir(root)
        for check in ("exists", "is_file", "is_dir"):
            assert getattr(memory, check)(path) == getattr(disk, check)(path)
