from __future__ import annotations

import logging
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import (
    ArgumentTypeError,
    DataNotFoundError,
    DestinationExistsError,
    UnknownBackendError,
    UnsupportedOperationError,
)
from wellfield.storage import (
    Backend,
    DataSink,
    FileManager,
    MemoryStorageBackend,
    VirtualWorkspaceBackend,
    create_storage_registry,
)


class Sink(DataSink):
    """Takes data and gives none; not registered."""

    def __init__(self) -> None:
        self.taken: dict[str, Any] = {}

    def save(self, data: Any, identifier: Any, **kwargs: Any) -> None:
        self.taken[str(identifier)] = data


@pytest.fixture
def manager() -> FileManager:
    return FileManager(create_storage_registry())


@pytest.mark.parametrize("name", [Backend.MEMORY, "memory", Backend.DISK, "disk"])
def test_backends_are_named_by_text_or_member(manager: FileManager, tmp_path: Path, name: str) -> None:
    path = tmp_path / "folder" / "a.npy"
    manager.save(np.arange(3), path, name)
    assert manager.load(str(path), str(name)).tolist() == [0, 1, 2]
    assert manager.exists(path, name)
    assert manager.is_file(path, name)
    assert manager.is_dir(path.parent, name)
    assert manager.list_dir(path.parent, name) == ["a.npy"]
    assert manager.list_files(path.parent, name) == [str(path)]
    manager.ensure_directory(path.parent / "sub", name)
    manager.delete(path, name)
    assert manager.list_dir(path.parent, name) == ["sub"]
    manager.delete_all(path.parent, name)
    assert not manager.exists(path.parent, name)


def test_backends_do_not_see_each_others_data(manager: FileManager, tmp_path: Path) -> None:
    manager.save("x", tmp_path / "a.txt", "memory")
    assert not manager.exists(tmp_path / "a.txt", "disk")


def test_an_unknown_backend_is_an_error_listing_the_known(manager: FileManager) -> None:
    for operation in (
        lambda: manager.load("a", "dsik"),
        lambda: manager.save(1, "a", "dsik"),
        lambda: manager.exists("a", "dsik"),
        lambda: manager.delete("a", "dsik"),
    ):
        with pytest.raises(UnknownBackendError, match=r"no storage backend 'dsik' here; known: disk, memory") as caught:
            operation()
        assert isinstance(caught.value, LookupError)


def test_batches_keep_order(manager: FileManager, tmp_path: Path) -> None:
    for name in ("memory", "disk"):
        paths = [tmp_path / f"{number}.txt" for number in (3, 1, 2)]
        manager.save_batch(["3", "1", "2"], paths, name)
        assert manager.load_batch(paths, name) == ["3", "1", "2"]


def test_image_listings_hold_images_only(manager: FileManager) -> None:
    for name in ("a.tif", "b.TIFF", "c.png", "d.npy", "e.txt", "sub/f.tif"):
        manager.save(0, f"/p/{name}", "memory")
    assert manager.list_image_files("/p", "memory") == ["/p/a.tif", "/p/b.TIFF", "/p/c.png", "/p/d.npy"]
    assert manager.list_image_files("/p", "memory", extensions=[".png"]) == ["/p/c.png"]
    assert len(manager.list_image_files("/p", "memory", recursive=True)) == 5


def test_a_sink_takes_data_and_refuses_to_give_any() -> None:
    sink = Sink()
    manager = FileManager({"sink": sink})
    manager.save_batch([1, 2], ["a", "b"], "sink")
    assert sink.taken == {"a": 1, "b": 2}
    for operation in (
        lambda: manager.load("a", "sink"),
        lambda: manager.list_files("a", "sink"),
        lambda: manager.delete("a", "sink"),
    ):
        with pytest.raises(UnsupportedOperationError, match="'sink'"):
            operation()


def test_two_managers_with_their_own_registries_do_not_mix() -> None:
    first, second = FileManager(create_storage_registry()), FileManager(create_storage_registry())
    first.save(1, "a", "memory")
    assert not second.exists("a", "memory")


def test_the_registry_is_taken_as_it_is_at_that_time() -> None:
    registry = create_storage_registry()
    manager = FileManager(registry)
    registry.clear()
    manager.save(1, "a", "memory")


@pytest.mark.parametrize("name", [Backend.MEMORY, "disk"])
@pytest.mark.parametrize("kind", [str, Path])
def test_objects_and_folders_are_copied_moved_and_looked_at(
    manager: FileManager, tmp_path: Path, name: str, kind: type[Any]
) -> None:
    folder = tmp_path / "folder"
    manager.save_batch(["a", "b"], [kind(folder / "a.txt"), kind(folder / "sub" / "b.txt")], name)
    manager.copy(kind(folder), kind(tmp_path / "copy"), name)
    manager.move(kind(folder / "a.txt"), kind(tmp_path / "moved.txt"), name)
    assert manager.load_batch([tmp_path / "moved.txt", tmp_path / "copy" / "a.txt"], name) == ["a", "a"]
    assert [manager.stat(kind(path), name).kind for path in (folder, tmp_path / "moved.txt")] == ["folder", "file"]
    with pytest.raises(DestinationExistsError, match=r"b\.txt"):
        manager.move(tmp_path / "moved.txt", folder / "sub" / "b.txt", name)
    with pytest.raises(DataNotFoundError, match=r"a\.txt"):
        manager.copy(folder / "a.txt", tmp_path / "new.txt", name)
    with pytest.raises(DataNotFoundError, match=r"a\.txt"):
        manager.stat(folder / "a.txt", name)


def test_links_are_made_mirrored_and_replaced_on_disk(manager: FileManager, tmp_path: Path) -> None:
    manager.save("a", tmp_path / "raw" / "a.txt", "disk")
    manager.create_symlink(tmp_path / "raw" / "a.txt", tmp_path / "l.txt", "disk")
    assert manager.stat(tmp_path / "l.txt", "disk").kind == "symlink"
    assert manager.mirror_directory(tmp_path / "raw", tmp_path / "mirror", "disk") == 1
    (tmp_path / "mirror" / "a.txt").unlink()
    (tmp_path / "mirror" / "a.txt").write_text("own")
    with pytest.raises(DestinationExistsError):
        manager.mirror_directory(tmp_path / "raw", tmp_path / "mirror", "disk", overwrite_symlinks_only=True)
    assert manager.mirror_directory(tmp_path / "raw", tmp_path / "mirror", "disk", overwrite_symlinks_only=False) == 1
    manager.move(tmp_path / "raw" / "a.txt", tmp_path / "l.txt", "disk", replace_symlinks=True)
    assert manager.stat(tmp_path / "l.txt", "disk").kind == "file"
    assert manager.load(tmp_path / "l.txt", "disk") == "a"


CHANGES = [(name, ("a",)) for name in ("ensure_directory", "delete", "delete_all")]
CHANGES += [(name, ("a", "b")) for name in ("copy", "move", "create_symlink", "mirror_directory")]
READS = [
    (name, ("a",)) for name in ("load", "load_batch", "exists", "is_file", "is_dir", "list_files", "list_dir", "stat")
]


@pytest.mark.parametrize(("operation", "arguments"), CHANGES)
def test_what_a_view_cannot_do_is_an_error_naming_backend_and_operation(
    operation: str, arguments: tuple[str, ...]
) -> None:
    manager = FileManager({"view": VirtualWorkspaceBackend("/plate", {"images/a.tif": "a.tif"})})
    with pytest.raises(UnsupportedOperationError, match=f"'view' cannot {operation}: it is read-only"):
        getattr(manager, operation)(*arguments, "view")


@pytest.mark.parametrize(("operation", "arguments"), [*CHANGES, *READS, ("list_image_files", ("a",))])
def test_what_a_sink_cannot_do_is_an_error_naming_backend_and_operation(
    operation: str, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(UnsupportedOperationError, match=f"'sink' cannot {operation}: it only takes data"):
        getattr(FileManager({"sink": Sink()}), operation)(*arguments, "sink")


@pytest.mark.parametrize("operation", ["create_symlink", "mirror_directory"])
def test_what_a_storage_cannot_do_is_an_error_naming_the_backend(manager: FileManager, operation: str) -> None:
    with pytest.raises(UnsupportedOperationError, match="'memory' cannot make symbolic links"):
        getattr(manager, operation)("a", "b", Backend.MEMORY)


def test_no_extension_wanted_is_no_image_found(manager: FileManager) -> None:
    manager.save(0, "/p/a.ome.tif", "memory")
    assert manager.list_image_files("/p", "memory") == ["/p/a.ome.tif"]
    assert manager.list_image_files("/p", "memory", extensions=[".ome.tif"]) == ["/p/a.ome.tif"]
    assert manager.list_image_files("/p", "memory", extensions=[]) == []


@pytest.mark.parametrize("registry", [None, 5, "memory", [Sink()], {"memory": None}, {"memory": Sink}])
def test_what_is_no_registry_is_refused(registry: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r"FileManager is made of|expected a DataSink") as caught:
        FileManager(registry)
    assert isinstance(caught.value, TypeError)


def use_in_worker(manager: FileManager, path: str) -> tuple[list[int], bool]:
    """Load from the disk; try the memory, which is empty here, and use it."""
    there = manager.exists("/kept", "memory")
    manager.save("of the worker", "/kept", "memory")
    return manager.load(path, "disk").tolist(), there


def test_a_manager_goes_to_a_worker_whose_memory_is_empty(
    manager: FileManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager.save(np.arange(3), tmp_path / "a.npy", "disk")
    manager.save("of this process", "/kept", "memory")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(use_in_worker, manager, str(tmp_path / "a.npy")).result() == ([0, 1, 2], False)
    assert manager.load("/kept", "memory") == "of this process"
    assert "1 stored objects stay in their process" in caplog.text


def test_a_pickled_memory_keeps_its_limit_and_an_empty_one_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    copied = pickle.loads(pickle.dumps(FileManager({"memory": MemoryStorageBackend(limit_bytes=10)})))
    assert caplog.text == ""
    with pytest.raises(MemoryError):
        copied.save(np.zeros(11, "u1"), "a", "memory")
    copied.save(np.zeros(10, "u1"), "a", "memory")


ERRORS = [
    (lambda manager: manager.load("/none", "memory"), 2),
    (lambda manager: manager.load("/none", "disk"), 2),
    (lambda manager: manager.load("/none", "zarr"), 2),
    (lambda manager: manager.create_symlink("a", "b", "memory"), 95),
]


@pytest.mark.parametrize(("operation", "number"), ERRORS)
def test_an_error_has_its_number_and_keeps_it_when_it_is_pickled(
    manager: FileManager, operation: Any, number: int
) -> None:
    with pytest.raises(OSError, match=r"none|cannot make symbolic links") as caught:
        operation(manager)
    error = pickle.loads(pickle.dumps(caught.value))
    for one in (caught.value, error):
        assert (one.errno, type(one), str(one)) == (number, type(caught.value), str(caught.value))
        assert one.filename == ("/none" if number == 2 else None)
