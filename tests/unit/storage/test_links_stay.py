"""Links that somebody made, on disk and in Zarr: looked at, removed, and never followed by what removes or moves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, InvalidPathError, NotAFolderError, StorageError
from wellfield.storage import FileManager, create_storage_registry

BACKENDS = pytest.mark.parametrize("backend", ["disk", "zarr"])


@pytest.fixture
def files() -> FileManager:
    return FileManager(create_storage_registry())


@pytest.fixture
def outside(files: FileManager, tmp_path: Path) -> Iterator[Path]:
    """Give a folder with an array of both backends, which is the same after the test."""
    folder = tmp_path / "outside"
    for backend in ("disk", "zarr"):
        files.save(np.arange(6), folder / "a", backend)
    yield folder
    for backend in ("disk", "zarr"):
        np.testing.assert_array_equal(files.load(folder / "a", backend), np.arange(6))


@BACKENDS
def test_a_link_to_a_folder_is_looked_at_and_removed_alone(
    files: FileManager, tmp_path: Path, outside: Path, backend: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(outside)
    status = files.stat(link, backend)
    assert (status.kind, status.target, status.target_kind) == ("symlink", str(outside), "folder")
    for spelling in (str(link), f"{link}/", f"{link}/."):
        with pytest.raises(NotAFolderError):
            files.delete_all(spelling, backend)
    files.delete(link, backend)
    assert not os.path.lexists(link)


@BACKENDS
def test_a_link_to_an_array_is_looked_at_and_removed_alone(
    files: FileManager, tmp_path: Path, outside: Path, backend: str
) -> None:
    real = outside / ("a.npy" if backend == "disk" else "a")
    link = tmp_path / real.name
    link.symlink_to(real)
    status = files.stat(link, backend)
    assert (status.kind, status.target, status.target_kind) == ("symlink", str(real), "file")
    assert status.size == files.stat(real, backend).size
    files.delete(link, backend)
    assert not os.path.lexists(link)


@BACKENDS
def test_a_link_to_nothing_says_where_it_leads(files: FileManager, tmp_path: Path, backend: str) -> None:
    link = tmp_path / "link.tif"
    link.symlink_to("nowhere.tif")
    status = files.stat(link, backend)
    assert (status.kind, status.target, status.target_kind, status.size) == (
        "symlink",
        str(tmp_path / "nowhere.tif"),
        None,
        None,
    )
    with pytest.raises(DataNotFoundError):
        files.load(link, backend)


@BACKENDS
@pytest.mark.parametrize("operation", ["delete_all", "copy", "move"])
def test_links_in_a_folder_are_not_followed(
    files: FileManager, tmp_path: Path, outside: Path, backend: str, operation: str
) -> None:
    folder = tmp_path / "folder"
    files.ensure_directory(folder / "sub", backend)
    (folder / "sub" / "link").symlink_to(outside)
    (folder / "up").symlink_to("..")
    if operation == "delete_all":
        files.delete_all(folder, backend)
        assert not folder.exists()
        return
    getattr(files, operation)(folder, tmp_path / "new", backend)
    assert (tmp_path / "new" / "sub" / "link").is_symlink()
    assert (tmp_path / "new" / "up").is_symlink()
    assert folder.exists() is (operation == "copy")


@BACKENDS
@pytest.mark.parametrize("path", [".", "..", "{cwd}", "{cwd}/..", "./", "{cwd}/sub/..", "{cwd}/../link/..", "link"])
def test_the_working_folder_and_those_above_it_are_never_removed(
    files: FileManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, backend: str
) -> None:
    working = tmp_path / "work"
    (working / "sub").mkdir(parents=True)
    (working / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(working / "sub")
    (working / "link").symlink_to(working)
    monkeypatch.chdir(working)
    with pytest.raises(StorageError):
        files.delete_all(path.format(cwd=working), backend)
    if path != "link":
        with pytest.raises(StorageError):
            files.delete(path.format(cwd=working), backend)
    assert (working / "notes.txt").read_text() == "mine"
    assert (working / "sub").is_dir()


@BACKENDS
@pytest.mark.parametrize("path", ["/", "//", "/.", "/tmp/.."])
def test_the_root_folder_is_not_even_tried(
    files: FileManager, monkeypatch: pytest.MonkeyPatch, path: str, backend: str
) -> None:
    def tried(*_: object, **__: object) -> None:
        raise AssertionError("something was removed or renamed")

    for module, name in ((shutil, "rmtree"), (os, "rename"), (os, "rmdir"), (os, "unlink"), (Path, "rename")):
        monkeypatch.setattr(module, name, tried)
    with pytest.raises(StorageError, match="is not removed: the working folder"):
        files.delete_all(path, backend)


@pytest.mark.parametrize("backend", ["memory", "disk", "zarr"])
@pytest.mark.parametrize("operation", ["delete_all", "delete", "ensure_directory"])
def test_an_empty_text_is_not_the_working_folder(
    files: FileManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, operation: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files.save(np.arange(3), "kept", backend)
    with pytest.raises(InvalidPathError, match="empty"):
        getattr(files, operation)("", backend)
    np.testing.assert_array_equal(files.load("kept", backend), np.arange(3))
