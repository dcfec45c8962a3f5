from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from natsort import natsorted

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    MemoryLimitError,
    PathEscapeError,
    StorageError,
    UnsupportedOperationError,
)
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


def test_threads_that_save_copy_move_and_delete_leave_the_size_right(memory: MemoryStorageBackend) -> None:
    def work(number: int) -> None:
        for index in range(50):
            memory.save(np.zeros(10, "u1"), f"/t{number}/{index}/a")
            memory.copy(f"/t{number}/{index}", f"/copies/{number}/{index}")
            memory.move(f"/t{number}/{index}/a", f"/moved/{number}_{index}")
            if index % 2:
                memory.delete_all(f"/copies/{number}/{index}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(memory.list_files("/moved")) == 400
    assert memory.nbytes == 10 * (400 + 200)


def test_a_path_that_leaves_its_root_is_refused_and_names_nothing(memory: MemoryStorageBackend) -> None:
    memory.save(1, "a")
    for path in ("../x", "..", "a/../../x"):
        assert not memory.exists(path)
        with pytest.raises(DataNotFoundError):
            memory.load(path)
        for operation in (
            lambda path=path: memory.save(1, path),
            lambda path=path: memory.ensure_directory(path),
            lambda path=path: memory.copy("a", path),
            lambda path=path: memory.move("a", path),
        ):
            with pytest.raises(PathEscapeError, match=r"\.\."):
                operation()
    assert memory.list_dir(".") == ["a"]


class Sized:
    """A stand-in for an array of another library, or on a device."""

    def __init__(self, nbytes: Any) -> None:
        self.nbytes = nbytes


def test_anything_that_tells_its_size_is_counted(memory: MemoryStorageBackend) -> None:
    device_array = Sized(np.int64(40))
    memory.save(device_array, "a")
    memory.save(np.zeros(10, "u1"), "b", copy=False)
    memory.save(Sized("large"), "c")
    assert memory.nbytes == 50
    assert memory.load("a") is device_array
    device_array.nbytes = 1
    memory.delete("a")
    assert memory.nbytes == 10


def test_the_limit_is_the_most_that_may_be_held() -> None:
    memory = MemoryStorageBackend(limit_bytes=100)
    memory.save(np.zeros(60, "u1"), "a/1")
    memory.save(np.zeros(40, "u1"), "a/2")
    for operation in (
        lambda: memory.save(np.zeros(1, "u1"), "b/3"),
        lambda: memory.save(np.zeros(1, "u1"), "b/3", copy=False),
        lambda: memory.save(Sized(1), "b/3"),
        lambda: memory.save(np.zeros(61, "u1"), "a/1"),
        lambda: memory.copy("a/2", "b/3"),
        lambda: memory.copy("a", "b"),
    ):
        with pytest.raises(
            MemoryLimitError, match=r"memory: \S+ of \d+ bytes does not fit: 100 bytes are held and 100"
        ):
            operation()
    assert (memory.list_dir("."), memory.nbytes, memory.load("a/1").size) == (["a"], 100, 60)
    memory.save(None, "no array")
    memory.move("a/1", "c")
    memory.save(np.zeros(50, "u1"), "c")
    memory.save(np.zeros(10, "u1"), "d")
    assert memory.nbytes == 100
    assert isinstance(MemoryLimitError("x"), MemoryError)


def test_a_refused_array_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uncopied(np.ndarray):
        def copy(self, order: Any = "C") -> Any:
            raise AssertionError("copied")

    memory = MemoryStorageBackend(limit_bytes=5)
    with pytest.raises(MemoryLimitError):
        memory.save(np.zeros(6, "u1").view(Uncopied), "a")


def test_a_copy_is_independent_of_what_happens_to_the_other(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros(3), "x/a")
    memory.save(None, "x/sub/b")
    memory.ensure_directory("x/empty")
    memory.copy("x", "y/z")
    memory.save(np.ones(3), "x/a")
    memory.delete_all("x/sub")
    memory.save(1, "x/new")
    assert memory.load("y/z/a").sum() == 0
    assert memory.load("y/z/sub/b") is None
    assert memory.list_dir("y/z") == ["a", "empty", "sub"]
    assert memory.nbytes == 48


def test_a_move_takes_everything_along(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros(3), "/x/a")
    memory.save(None, "/x/sub/b")
    memory.move("/x", "y")
    assert (memory.list_dir("/"), memory.list_dir("y"), memory.list_dir("y/sub")) == ([], ["a", "sub"], ["b"])
    memory.move("y/sub/b", Path("/b"))
    assert memory.load("/b") is None
    assert not memory.exists("y/sub/b")
    assert memory.nbytes == 24


@pytest.mark.parametrize("operation", ["copy", "move"])
def test_nothing_is_overwritten_and_no_folder_goes_into_itself(memory: MemoryStorageBackend, operation: str) -> None:
    memory.save(1, "x/a")
    memory.save(2, "y/b")
    run = getattr(memory, operation)
    for source, target in (("x/a", "y/b"), ("x/a", "y"), ("x", "y"), ("x", "y/b"), ("x", "x"), ("x/a", "./x//a")):
        with pytest.raises(DestinationExistsError, match=f"memory: {source} cannot be .* to"):
            run(source, target)
    for source, target in (("x", "x/sub/x"), (".", "z"), ("/", "/z")):
        with pytest.raises(StorageError, match="a folder cannot lie in itself"):
            run(source, target)
    with pytest.raises(StorageError, match="x/a is an object"):
        run("y/b", "x/a/b")
    with pytest.raises(DataNotFoundError, match="none"):
        run("none", "z")
    assert memory.list_files(".", recursive=True) == ["x/a", "y/b"]


def test_the_roots_can_be_copied_but_not_moved(memory: MemoryStorageBackend) -> None:
    memory.save(1, "a")
    memory.copy(".", "/all")
    assert memory.load("/all/a") == 1
    with pytest.raises(StorageError):
        memory.move(".", "/moved")
    assert memory.load("a") == 1


def test_stat_tells_objects_from_folders(memory: MemoryStorageBackend) -> None:
    memory.save(np.zeros(3), "x/a")
    memory.save("text", "x/b")
    assert [memory.stat(path).kind for path in ("x", "x/a", "x/b")] == ["folder", "file", "file"]
    assert [memory.stat(path).size for path in ("x", "x/a", "x/b")] == [0, 24, 0]
    assert memory.stat("x/a").modified is None
    with pytest.raises(DataNotFoundError, match="none"):
        memory.stat("none")


def test_there_are_no_links_in_memory(memory: MemoryStorageBackend) -> None:
    memory.save(1, "x/a")
    for operation in (lambda: memory.create_symlink("x/a", "b"), lambda: memory.mirror_directory("x", "y")):
        with pytest.raises(UnsupportedOperationError, match="'memory' cannot make symbolic links"):
            operation()


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
operations = st.sampled_from(["save", "save array", "mkdir", "delete", "delete_all", "copy", "move"])
steps = st.lists(st.tuples(operations, paths, paths), max_size=20)


def outcome(backend: StorageBackend, operation: str, path: str, other: str) -> type[Exception] | None:
    try:
        {
            "save": lambda: backend.save("x", path + ".txt"),
            "save array": lambda: backend.save(np.zeros(3), path),
            "mkdir": lambda: backend.ensure_directory(path),
            "delete": lambda: backend.delete(path),
            "delete_all": lambda: backend.delete_all(path),
            "copy": lambda: backend.copy(path, other),
            "move": lambda: backend.move(path, other),
        }[operation]()
    except StorageError as error:
        kinds = (DataNotFoundError, DestinationExistsError)
        return next((kind for kind in kinds if isinstance(error, kind)), StorageError)
    return None


@given(steps)
def test_memory_and_disk_agree_on_what_is_where(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    root = str(tmp_path_factory.mktemp("root"))
    memory, disk = MemoryStorageBackend(), DiskStorageBackend()
    memory.ensure_directory(root)
    for operation, name, other in steps:
        path, target = os.path.join(root, name), os.path.join(root, other)
        assert outcome(memory, operation, path, target) == outcome(disk, operation, path, target), (operation, path)
        on_disk = [name.removesuffix(".npy") for name in disk.list_files(root, recursive=True)]
        assert memory.list_files(root, recursive=True) == natsorted(sorted(on_disk))
        for check in ("exists", "is_file", "is_dir"):
            assert getattr(memory, check)(path) == getattr(disk, check)(path)
        if memory.exists(path):
            assert memory.stat(path).kind == disk.stat(path).kind
    assert memory.nbytes == sum(memory.stat(name).size for name in memory.list_files(root, recursive=True))
