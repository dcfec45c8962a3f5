"""One logical path serves in memory, on disk and in Zarr: in every order, and for every operation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    FolderNotEmptyError,
    IsFolderError,
    NotAFolderError,
)
from wellfield.storage import FileManager, create_storage_registry

BACKENDS = ("memory", "disk", "zarr")
ORDERS = list(permutations(BACKENDS))


def array(backend: str, plus: int = 0) -> np.ndarray:
    """Return an array of which each backend has another."""
    return np.arange(12, dtype="u2").reshape(3, 4) + 100 * BACKENDS.index(backend) + plus


@pytest.fixture
def files() -> FileManager:
    return FileManager(create_storage_registry())


@pytest.fixture
def fill(files: FileManager, tmp_path: Path) -> Callable[[tuple[str, ...]], str]:
    """Give a function that saves an array under one path in each backend, in an order, and returns the path."""

    def fill(order: tuple[str, ...]) -> str:
        path = str(tmp_path / "p" / "d")
        for backend in order:
            files.save(array(backend), path, backend)
        return path

    return fill


def check(files: FileManager, path: str, backend: str) -> None:
    """Check that the path is the backend's array to every question."""
    folder = path.rpartition("/")[0]
    np.testing.assert_array_equal(files.load(path, backend), array(backend))
    np.testing.assert_array_equal(files.load_batch([path], backend)[0], array(backend))
    kinds = [getattr(files, question)(path, backend) for question in ("exists", "is_file", "is_dir")]
    assert kinds == [True, True, False]
    assert files.stat(path, backend).kind == "file"
    for recursive in (False, True):
        (listed,) = files.list_files(folder, backend, recursive=recursive)
        np.testing.assert_array_equal(files.load(listed, backend), array(backend))
    assert files.list_dir(folder, backend) == [listed.rpartition("/")[2]]
    for operation in ("list_files", "list_dir", "delete_all", "ensure_directory"):
        with pytest.raises(NotAFolderError):
            getattr(files, operation)(path, backend)
    with pytest.raises(NotAFolderError):
        files.save(array(backend), f"{path}/below", backend)


def check_gone(files: FileManager, path: str, backend: str) -> None:
    assert [getattr(files, question)(path, backend) for question in ("exists", "is_file", "is_dir")] == [False] * 3
    for operation in ("load", "stat", "delete", "list_files", "delete_all"):
        with pytest.raises(DataNotFoundError):
            getattr(files, operation)(path, backend)


@pytest.mark.parametrize("order", ORDERS)
def test_each_backend_has_its_own_array_under_one_path(
    files: FileManager, fill: Callable[..., str], order: tuple[str, ...]
) -> None:
    path = fill(order)
    for backend in BACKENDS:
        check(files, path, backend)
    fill(order[::-1])  # again, over what is there
    for backend in BACKENDS:
        check(files, path, backend)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_one_backend_deletes_the_others_keep(
    files: FileManager, fill: Callable[..., str], order: tuple[str, ...], backend: str
) -> None:
    path = fill(order)
    files.delete(path, backend)
    check_gone(files, path, backend)
    for other in BACKENDS:
        if other != backend:
            check(files, path, other)
    files.save(array(backend), path, backend)
    check(files, path, backend)


@pytest.mark.parametrize("order", ORDERS[::2])
@pytest.mark.parametrize(("operation", "backend"), [(name, b) for name in ("copy", "move") for b in BACKENDS])
def test_an_array_goes_to_a_path_that_another_backend_uses(
    files: FileManager, fill: Callable[..., str], order: tuple[str, ...], operation: str, backend: str
) -> None:
    path = fill(order)
    new = path.replace("/p/d", "/q/e")
    others = [other for other in BACKENDS if other != backend]
    for other in others:
        files.save(array(other), new, other)
    getattr(files, operation)(path, new, backend)
    for place in BACKENDS:
        check(files, new, place)
    for other in others:
        check(files, path, other)
    if operation == "move":
        check_gone(files, path, backend)
    else:
        check(files, path, backend)
    with pytest.raises(DestinationExistsError):
        getattr(files, operation)(new, new, backend)


def test_a_folder_and_an_array_do_not_take_each_others_path_on_disk(files: FileManager, tmp_path: Path) -> None:
    files.ensure_directory(tmp_path / "d", "disk")
    for backend in ("disk", "zarr"):
        with pytest.raises(IsFolderError):
            files.save(array(backend), tmp_path / "d", backend)
    files.delete(tmp_path / "d", "disk")
    files.save(array("zarr"), tmp_path / "d", "zarr")
    for operation in ("ensure_directory", "delete_all", "delete", "list_dir"):
        with pytest.raises((NotAFolderError, DataNotFoundError)):
            getattr(files, operation)(tmp_path / "d", "disk")
    files.save(array("disk"), tmp_path / "f" / "a", "disk")
    with pytest.raises(DestinationExistsError):
        files.copy(tmp_path / "f", tmp_path / "d", "disk")
    np.testing.assert_array_equal(files.load(tmp_path / "d", "zarr"), array("zarr"))


def test_a_folder_that_holds_an_array_of_zarr_is_not_deleted_as_an_empty_one(
    files: FileManager, tmp_path: Path
) -> None:
    files.save(array("zarr"), tmp_path / "f" / "d", "zarr")
    assert files.list_dir(tmp_path / "f", "disk") == []
    with pytest.raises(FolderNotEmptyError):
        files.delete(tmp_path / "f", "disk")
    np.testing.assert_array_equal(files.load(tmp_path / "f" / "d", "zarr"), array("zarr"))


def test_a_link_to_an_array_of_zarr_is_a_link_on_disk(files: FileManager, tmp_path: Path) -> None:
    files.save(array("zarr"), tmp_path / "d", "zarr")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    assert files.stat(tmp_path / "link", "disk").kind == "symlink"
    files.delete(tmp_path / "link", "disk")
    assert not (tmp_path / "link").is_symlink()
    np.testing.assert_array_equal(files.load(tmp_path / "d", "zarr"), array("zarr"))


@pytest.mark.parametrize("change", ["save", "delete"])
def test_an_array_of_zarr_that_holds_a_file_of_somebody_else_is_neither_replaced_nor_removed(
    files: FileManager, tmp_path: Path, change: str
) -> None:
    files.save(array("zarr"), tmp_path / "d", "zarr")
    (tmp_path / "d" / "notes.txt").write_text("mine")
    with pytest.raises(FolderNotEmptyError, match=r"holds notes\.txt"):
        if change == "save":
            files.save(array("zarr", 1), tmp_path / "d", "zarr")
        else:
            files.delete(tmp_path / "d", "zarr")
    assert (tmp_path / "d" / "notes.txt").read_text() == "mine"
    np.testing.assert_array_equal(files.load(tmp_path / "d", "zarr"), array("zarr"))
