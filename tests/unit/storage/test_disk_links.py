"""Symbolic links on disk: made, mirrored, looked at, and never followed out of a listing or a deletion."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, DestinationExistsError, StorageError
from wellfield.storage import DiskStorageBackend
from wellfield.storage import tree as tree_module
from wellfield.storage.base import ObjectKind

disk = DiskStorageBackend()


def links(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): os.readlink(path) for path in folder.rglob("*") if path.is_symlink()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "TimePoint_1" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "TimePoint_1" / "b ü#.txt").write_text("b")
    (folder / "loop").symlink_to(folder)
    (folder / ".c.txt.0123456789ab.part").write_text("half")
    return folder


def test_a_link_leads_to_a_file_or_a_folder(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    disk.create_symlink("source/a.txt", tmp_path / "new" / "l.txt")
    disk.create_symlink(source, tmp_path / "folder")
    assert disk.load(tmp_path / "new" / "l.txt") == "a"
    assert os.readlink(tmp_path / "new" / "l.txt") == str(source / "a.txt")
    assert disk.list_dir(tmp_path / "folder") == disk.list_dir(source)


def test_a_link_to_an_array_is_found_under_its_logical_path(tmp_path: Path) -> None:
    disk.save(np.arange(3), tmp_path / "x" / "data")
    disk.create_symlink(tmp_path / "x" / "data", tmp_path / "y" / "data")
    assert disk.load(tmp_path / "y" / "data").tolist() == [0, 1, 2]
    assert links(tmp_path) == {"y/data.npy": str(tmp_path / "x" / "data.npy")}


def test_a_link_needs_something_to_lead_to_and_a_free_place(tmp_path: Path, source: Path) -> None:
    (tmp_path / "taken").symlink_to("nowhere")
    with pytest.raises(DataNotFoundError, match=r"none\.txt"):
        disk.create_symlink(source / "none.txt", tmp_path / "l.txt")
    for taken in (source / "TimePoint_1", tmp_path / "taken", source / "a.txt"):
        with pytest.raises(DestinationExistsError, match=taken.name):
            disk.create_symlink(source / "a.txt", taken)
    assert (source / "a.txt").read_text() == "a"


def test_saving_over_a_link_leaves_what_it_points_to(tmp_path: Path, source: Path) -> None:
    disk.create_symlink(source / "a.txt", tmp_path / "l.txt")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "never.txt")
    for path in (tmp_path / "l.txt", tmp_path / "broken.txt"):
        disk.save("new", path)
        assert not path.is_symlink()
        assert disk.load(path) == "new"
    assert (source / "a.txt").read_text() == "a"
    assert not (tmp_path / "never.txt").exists()


def test_a_broken_link_is_told_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "l.txt").symlink_to("nowhere.txt")
    (tmp_path / "bare").symlink_to("nowhere")
    assert not disk.exists(tmp_path / "l.txt")
    for path in (tmp_path / "l.txt", tmp_path / "bare", tmp_path / "l.txt" / "below.txt"):
        with pytest.raises(DataNotFoundError, match=r"(l\.txt|bare|below\.txt) (is a link to nowhere|does not exist)"):
            disk.load(path)
    disk.delete(tmp_path / "l.txt")
    assert os.listdir(tmp_path) == ["bare"]


def test_stat_does_not_follow_a_link(tmp_path: Path, source: Path) -> None:
    disk.create_symlink(source / "a.txt", tmp_path / "l.txt")
    os.utime(source / "a.txt", (1000, 2000.5))
    assert disk.stat(tmp_path / "l.txt").kind is ObjectKind.SYMLINK
    assert (disk.stat(source).kind, disk.stat(source).size) == (ObjectKind.FOLDER, 0)
    status = disk.stat(source / "a.txt")
    assert (status.kind, status.size, status.modified) == (ObjectKind.FILE, 1, 2000.5)


def test_listings_end_at_loops_and_leave_out_what_cannot_be_loaded(tmp_path: Path, source: Path) -> None:
    (source / "self.txt").symlink_to("self.txt")
    (source / "broken.txt").symlink_to("nowhere")
    (source / "good.txt").symlink_to("a.txt")
    os.mkfifo(source / "pipe.txt")
    found = disk.list_files(source, recursive=True)
    assert [os.path.basename(path) for path in found] == ["b ü#.txt", "a.txt", "good.txt"]
    assert disk.load_batch(found) == ["b", "a", "a"]


def test_a_link_to_a_folder_is_removed_alone(tmp_path: Path, source: Path) -> None:
    disk.create_symlink(source, tmp_path / "l")
    with pytest.raises(StorageError, match="l is a link to a folder; delete removes the link"):
        disk.delete_all(tmp_path / "l")
    disk.delete(tmp_path / "l")
    assert os.listdir(tmp_path) == ["source"]
    assert (source / "a.txt").exists()


def test_a_mirror_has_the_folders_and_a_link_to_every_file(tmp_path: Path, source: Path) -> None:
    mirror = tmp_path / "new" / "mirror"
    assert disk.mirror_directory(source, str(mirror)) == 3
    assert links(mirror) == {name: str(source / name) for name in ("a.txt", "loop", "TimePoint_1/b ü#.txt")}
    assert (mirror / "TimePoint_1" / "empty").is_dir()
    assert sorted(os.listdir(mirror)) == ["TimePoint_1", "a.txt", "loop"]
    assert disk.load_batch(disk.list_files(mirror, recursive=True)) == ["b", "a"]


def test_a_mirror_is_brought_up_to_date_and_what_else_is_there_stays(tmp_path: Path, source: Path) -> None:
    mirror = tmp_path / "mirror"
    disk.mirror_directory(source, mirror)
    (mirror / "a.txt").unlink()
    (mirror / "a.txt").symlink_to("elsewhere")
    (mirror / "own.txt").write_text("own")
    (source / "c.txt").write_text("c")
    assert disk.mirror_directory(source, mirror) == 4
    assert os.readlink(mirror / "a.txt") == str(source / "a.txt")
    assert sorted(os.listdir(mirror)) == ["TimePoint_1", "a.txt", "c.txt", "loop", "own.txt"]


def test_only_links_are_replaced_unless_files_may_be_too(tmp_path: Path, source: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "a.txt").write_text("own")
    with pytest.raises(DestinationExistsError, match=r"mirror/a\.txt is in the way"):
        disk.mirror_directory(source, mirror)
    assert os.listdir(mirror) == ["a.txt"]
    disk.mirror_directory(source, mirror, overwrite_symlinks_only=False)
    assert os.readlink(mirror / "a.txt") == str(source / "a.txt")


@pytest.mark.parametrize("only_links", [True, False])
@pytest.mark.parametrize(
    "there", ["a folder for a file", "a file for a folder", "a link for a folder", "a file for all"]
)
def test_a_mirror_takes_the_place_of_no_folder_and_goes_through_no_link(
    tmp_path: Path, source: Path, there: str, only_links: bool
) -> None:
    mirror, raw = tmp_path / "mirror", tmp_path / "raw"
    raw.mkdir()
    if there == "a folder for a file":
        (mirror / "a.txt").mkdir(parents=True)
    elif there == "a file for all":
        mirror.write_text("file")
    else:
        mirror.mkdir()
        if there == "a file for a folder":
            (mirror / "TimePoint_1").write_text("file")
        else:
            (mirror / "TimePoint_1").symlink_to(raw)
    with pytest.raises(DestinationExistsError, match=r"mirror\S* is in the way of the mirror"):
        disk.mirror_directory(source, mirror, overwrite_symlinks_only=only_links)
    assert os.listdir(raw) == []
    assert not mirror.is_dir() or len(os.listdir(mirror)) == 1


def test_source_and_mirror_lie_apart(source: Path) -> None:
    for mirror in (source, source / "mirror", source / "loop" / "mirror", source.parent):
        with pytest.raises(StorageError, match="one lies in the other"):
            disk.mirror_directory(source, mirror)
    with pytest.raises(DataNotFoundError, match="none is not a folder"):
        disk.mirror_directory(source / "none", source.parent / "mirror")


def test_a_link_that_cannot_be_replaced_stays(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "a.txt").symlink_to("old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tree_module.Path, "replace", fail)
    with pytest.raises(StorageError, match=r"source cannot be mirrored to .*mirror: Read-only file system"):
        disk.mirror_directory(source, mirror)
    assert os.readlink(mirror / "a.txt") == "old"
    assert not [name for name in os.listdir(mirror) if name.endswith(".part")]
