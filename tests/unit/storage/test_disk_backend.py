from __future__ import annotations

import errno
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, StorageError, UnknownFormatError, UnreadableImageError, WellfieldError
from wellfield.formats.tiff import read_calibration
from wellfield.storage import DiskStorageBackend

disk = DiskStorageBackend()


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".TIF", ".png", ".npy"])
def test_an_image_comes_back_in_the_format_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    array = np.arange(20, dtype="u2").reshape(4, 5) * 3000
    path = tmp_path / "new" / f"a{suffix}"
    disk.save(array, str(path))
    np.testing.assert_array_equal(disk.load(path), array, strict=True)
    assert (disk.is_file(path), disk.is_dir(path), disk.exists(path)) == (True, False, True)


@pytest.mark.parametrize(("name", "value"), [("a.json", {"a": [1, "µ"]}), ("a.txt", "µ\r\n")])
def test_other_values_come_back(tmp_path: Path, name: str, value: Any) -> None:
    disk.save(value, tmp_path / name)
    assert disk.load(tmp_path / name) == value


def test_options_go_to_the_writer_of_the_format(tmp_path: Path) -> None:
    disk.save(np.zeros((4, 5), "u2"), tmp_path / "a.tif", pixel_size_um=0.65)
    assert read_calibration(tmp_path / "a.tif").pixel_size_um == pytest.approx(0.65)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.zip", "a"])
def test_pickles_and_unknown_suffixes_are_refused_both_ways(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(UnknownFormatError):
        disk.save({"a": 1}, path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UnknownFormatError):
        disk.load(path)


def test_what_is_not_there_is_an_error_naming_the_path(tmp_path: Path) -> None:
    for operation in (disk.load, disk.delete, disk.delete_all, disk.list_files, disk.list_dir):
        with pytest.raises(DataNotFoundError, match=r"none\.tif"):
            operation(tmp_path / "none.tif")


def test_a_file_never_replaces_a_folder_nor_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "file.txt").write_text("kept")
    for operation in (
        lambda: disk.save("x", tmp_path / "folder.txt"),
        lambda: disk.load(tmp_path / "folder.txt"),
        lambda: disk.ensure_directory(tmp_path / "file.txt"),
        lambda: disk.ensure_directory(tmp_path / "file.txt" / "sub"),
        lambda: disk.save("x", tmp_path / "file.txt" / "a.txt"),
    ):
        with pytest.raises(StorageError, match=r"(folder|file)\.txt"):
            operation()
    assert (tmp_path / "file.txt").read_text() == "kept"


def test_deleting_takes_one_file_one_empty_folder_or_all(tmp_path: Path) -> None:
    disk.save("x", tmp_path / "a" / "b" / "c.txt")
    with pytest.raises(StorageError, match="cannot be removed"):
        disk.delete(tmp_path / "a")
    disk.delete(tmp_path / "a" / "b" / "c.txt")
    disk.delete(tmp_path / "a" / "b")
    disk.save("x", tmp_path / "a" / "b" / "c.txt")
    disk.delete_all(tmp_path / "a")
    assert not os.listdir(tmp_path)


def test_deleting_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    disk.delete(tmp_path / "link")
    assert os.listdir(tmp_path) == ["real"]


def test_listings_are_natural_skip_unfinished_writes_and_load_takes_them(tmp_path: Path) -> None:
    for name in (
        "s10.txt",
        "s2.txt",
        "s02.txt",
        "S1.TXT",
        "sub/s3.txt",
        ".x.0123456789ab.part",
        ".y.0123456789ab.part/s4.txt",
        "a.tif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = disk.list_files(tmp_path, extensions=[".txt"])
    assert [os.path.basename(path) for path in found] == ["S1.TXT", "s02.txt", "s2.txt", "s10.txt"]
    assert disk.list_files(str(tmp_path), extensions=".txt") == found
    assert disk.load_batch(found) == ["S1.TXT", "s02.txt", "s2.txt", "s10.txt"]
    assert len(disk.list_files(tmp_path)) == 5
    below = disk.list_files(tmp_path, extensions=(".txt",), recursive=True)
    assert set(below) - set(found) == {str(tmp_path / "sub" / "s3.txt")}
    assert disk.list_dir(tmp_path) == ["S1.TXT", "a.tif", "s02.txt", "s2.txt", "s10.txt", "sub"]


def test_a_batch_keeps_order_and_names_what_cannot_be_read(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.npy" for name in "dcba"]
    disk.save_batch([np.full(3, number) for number in range(4)], paths)
    assert [array[0] for array in disk.load_batch(paths)] == [0, 1, 2, 3]
    paths[2].write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"b\.npy"):
        disk.load_batch(paths)
    with pytest.raises(StorageError, match="1 objects was given 2 paths"):
        disk.save_batch([1], paths[:2])


@pytest.mark.parametrize(
    "name", ["a b.txt", "#1.txt", "100%25.txt", "Zürich–µ.txt", "-rf.txt", "a\nb.txt", "~.txt", "*.txt"]
)
def test_any_name_that_the_system_takes_is_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name.removesuffix(".txt") / name
    disk.save(name, path)
    disk.copy(path, f"{path.parent}/c{name}")
    disk.move(path.parent, tmp_path / f"moved {name}")
    assert disk.list_dir(tmp_path) == [f"moved {name}"]
    assert disk.load_batch(disk.list_files(tmp_path, recursive=True)) == [name, name]


def test_two_dots_are_a_part_of_a_path_as_anywhere_on_disk(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    disk.save("x", tmp_path / "sub" / ".." / "a.txt")
    assert disk.list_files(tmp_path / "sub" / "..") == [str(tmp_path / "sub" / ".." / "a.txt")]
    assert disk.list_dir(f"{tmp_path}/sub/../") == ["a.txt", "sub"]


@pytest.mark.parametrize("name", ["n\0ll.txt", "n\0ll", "x" * 300 + ".txt", "x" * 300])
def test_what_cannot_be_a_path_is_nowhere_and_a_clear_error(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"
    assert (disk.exists(path), disk.is_file(path), disk.is_dir(path)) == (False, False, False)
    disk.save("x", tmp_path / "a.txt")
    for operation in (
        lambda: disk.load(path),
        lambda: disk.save(np.zeros(3), path),
        lambda: disk.delete(path),
        lambda: disk.stat(path),
        lambda: disk.list_files(path),
        lambda: disk.delete_all(path),
        lambda: disk.ensure_directory(path),
        lambda: disk.copy(tmp_path / "a.txt", path),
        lambda: disk.move(path, tmp_path / "b.txt"),
        lambda: disk.create_symlink(tmp_path / "a.txt", path),
    ):
        with pytest.raises(WellfieldError, match=r"n\\x00ll|xxx"):
            operation()
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_an_error_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk.save("x", tmp_path / "locked" / "a.txt")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if os.path.basename(path) == "locked":
            raise OSError(code, os.strerror(code), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StorageError, match=f"cannot be listed: {os.strerror(code)}"):
        disk.list_files(tmp_path, recursive=True)
    assert disk.list_files(tmp_path) == []


def test_a_file_that_cannot_be_read_is_not_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.save({"a": 1}, tmp_path / "a.json")

    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"a\.json cannot be read: Permission denied") as caught:
        disk.load(tmp_path / "a.json")
    assert not isinstance(caught.value, FileNotFoundError)


def test_a_failing_batch_names_the_first_bad_path_and_leaves_no_half_file(tmp_path: Path) -> None:
    good, bad = np.zeros((2, 2)), {"no": "array"}
    paths = [tmp_path / f"{name}.tif" for name in "abcdefgh"]
    disk.save(np.full((2, 2), 7, "u2"), paths[2])
    for _ in range(5):
        with pytest.raises(UnknownFormatError, match=r"c\.tif"):
            disk.save_batch([good, good, bad, bad, good, bad, bad, bad], paths)
        assert disk.load(paths[2]).max() == 7
    assert not [name for name in os.listdir(tmp_path) if not name.endswith(".tif")]


def test_a_batch_gives_each_object_a_path_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"a batch gives .*b\.txt twice"):
        disk.save_batch(["1", "2", "3"], [tmp_path / "b.txt", tmp_path / "a.txt", f"{tmp_path}//b.txt"])
    assert not os.listdir(tmp_path)


def test_batches_go_through_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4, timeout=30)
    paths = [tmp_path / f"{number}.txt" for number in range(4)]

    def meet(path: Any) -> Any:
        """Give functions that go on when four threads are in them."""
        return lambda *_: together.wait()

    monkeypatch.setattr("wellfield.formats.writer", meet)
    monkeypatch.setattr("wellfield.formats.reader", meet)
    disk.save_batch(list("abcd"), paths)
    assert sorted(disk.load_batch(paths)) == [0, 1, 2, 3]
