from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import (
    DataNotFoundError,
    DestinationExistsError,
    DiskSpaceError,
    StorageError,
    UnknownFormatError,
)
from wellfield.formats import atomic
from wellfield.storage import DiskStorageBackend
from wellfield.storage import disk_backend as disk_module
from wellfield.storage import tree as tree_module

disk = DiskStorageBackend()


def tree(folder: Path) -> dict[str, str]:
    """Return what lies in a folder: path → content, target of a link, or "/" for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = f"→ {os.readlink(path)}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b #1 %20 ü.txt").write_text("b")
    (folder / "sub" / "link.txt").symlink_to("../a.txt")
    (folder / "loop").symlink_to(".")
    return folder


@pytest.fixture(params=["no_replace", "check", "other_device"])
def renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways in which a system renames: never onto something, by a check of ours, or not to another file system."""
    if request.param == "check":
        monkeypatch.setattr("wellfield.formats.atomic._renameat2", lambda *_: False)
    if request.param == "other_device":

        def only_hidden(rename: Callable[[Path, Any], Any]) -> Callable[[Path, Any], Any]:
            def move(source: Path, target: Any) -> Any:
                if not source.name.startswith("."):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                return rename(source, target)

            return move

        monkeypatch.setattr(tree_module, "rename_new", only_hidden(tree_module.rename_new))
        monkeypatch.setattr(Path, "replace", only_hidden(Path.replace))
    return str(request.param)


both = pytest.mark.parametrize("operation", [disk.copy, disk.move], ids=["copy", "move"])


def test_a_file_is_copied_to_a_new_folder(source: Path) -> None:
    disk.copy(source / "a.txt", str(source / "new" / "folder" / "c.txt"))
    assert (source / "new" / "folder" / "c.txt").read_text() == "a"
    assert (source / "a.txt").read_text() == "a"
    assert os.listdir(source / "new" / "folder") == ["c.txt"]


def test_a_folder_is_copied_with_everything_in_it(tmp_path: Path, source: Path) -> None:
    disk.copy(source, tmp_path / "copy")
    assert tree(tmp_path / "copy") == tree(source)
    assert sorted(os.listdir(tmp_path)) == ["copy", "source"]


def test_copies_are_new_files_whatever_the_mode_of_the_source(source: Path) -> None:
    (source / "a.txt").chmod(0o400)
    before = os.umask(0o027)
    try:
        disk.copy(source / "a.txt", source / "c.txt")
        disk.copy(source / "sub", source / "copy")
    finally:
        os.umask(before)
    assert (source / "c.txt").stat().st_mode & 0o777 == 0o640
    assert (source / "copy").stat().st_mode & 0o777 == 0o750


def test_a_link_is_followed_when_it_is_copied_and_kept_when_it_is_moved(source: Path) -> None:
    disk.copy(source / "sub" / "link.txt", source / "copy.txt")
    disk.move(source / "sub" / "link.txt", source / "sub" / "moved.txt")
    assert not (source / "copy.txt").is_symlink()
    assert (source / "copy.txt").read_text() == "a"
    assert os.readlink(source / "sub" / "moved.txt") == "../a.txt"


def test_unfinished_writes_are_not_copied(tmp_path: Path, source: Path) -> None:
    (source / ".a.txt.0123456789ab.part").write_text("half")
    (source / ".sub.0123456789ab.part").mkdir()
    disk.copy(source, tmp_path / "copy")
    assert not [name for name in tree(tmp_path / "copy") if name.startswith(".")]


@pytest.mark.usefixtures("renaming")
def test_a_file_a_link_and_a_folder_are_moved(tmp_path: Path, source: Path) -> None:
    before = tree(source)
    disk.move(source, tmp_path / "new" / "place")
    assert tree(tmp_path / "new" / "place") == before
    disk.move(tmp_path / "new" / "place" / "a.txt", tmp_path / "a.txt")
    disk.move(tmp_path / "new" / "place" / "loop", tmp_path / "loop")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "loop", "new"]
    assert os.readlink(tmp_path / "loop") == "."


@both
@pytest.mark.usefixtures("renaming")
@pytest.mark.parametrize("there", ["file", "folder", "full folder", "link", "broken link"])
@pytest.mark.parametrize("what", ["a.txt", "sub"])
def test_nothing_is_overwritten(tmp_path: Path, source: Path, operation: Any, there: str, what: str) -> None:
    target = tmp_path / "there.txt"
    if there == "file":
        target.write_text("kept")
    elif there.endswith("folder"):
        target.mkdir()
        if there == "full folder":
            (target / "x").write_text("x")
    else:
        target.symlink_to(source if there == "link" else "nowhere")
    before = tree(tmp_path)
    with pytest.raises(DestinationExistsError, match=r"there\.txt"):
        operation(source / what, target)
    assert tree(tmp_path) == before


@both
@pytest.mark.usefixtures("renaming")
def test_what_comes_up_at_the_last_moment_is_not_overwritten(
    source: Path, operation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder = disk_module._make_folder

    def make_late(folder: Path) -> None:
        make_folder(folder)
        (source / "c.txt").write_text("of another process")

    monkeypatch.setattr(disk_module, "_make_folder", make_late)
    with pytest.raises(DestinationExistsError, match=r"c\.txt: something is there"):
        operation(source / "a.txt", source / "c.txt")
    assert (source / "c.txt").read_text() == "of another process"
    assert (source / "a.txt").read_text() == "a"
    assert not [name for name in os.listdir(source) if name.endswith(".part")]


def test_the_system_itself_refuses_to_overwrite_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # as if b came up after it was looked for
    if atomic._renameat2(tmp_path / "a", tmp_path / "free", atomic._RENAME_NOREPLACE):
        with pytest.raises(FileExistsError):
            atomic.rename_new(tmp_path / "free", tmp_path / "b")
        assert ((tmp_path / "free").read_text(), (tmp_path / "b").read_text()) == ("a", "b")


@both
def test_nothing_goes_to_itself(source: Path, operation: Any) -> None:
    before = tree(source)
    for path in (source, source / "a.txt", source / "sub" / "link.txt"):
        with pytest.raises(DestinationExistsError):
            operation(path, path)
    for target in (source / "sub" / "new", source / "new" / "sub", source / "loop" / "new"):
        with pytest.raises(StorageError, match="a folder cannot lie in itself"):
            operation(source, target)
    assert tree(source) == before


@both
def test_what_is_not_there_is_not_found(tmp_path: Path, operation: Any) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.txt does not exist"):
        operation(tmp_path / "none.txt", tmp_path / "new" / "a.txt")
    assert not os.listdir(tmp_path)


def test_a_link_to_nothing_is_moved_but_cannot_be_copied(tmp_path: Path) -> None:
    (tmp_path / "l.txt").symlink_to("nowhere")
    with pytest.raises(DataNotFoundError, match=r"l\.txt is a link to nowhere, which does not exist"):
        disk.copy(tmp_path / "l.txt", tmp_path / "c.txt")
    disk.move(tmp_path / "l.txt", tmp_path / "m.txt")
    assert tree(tmp_path) == {"m.txt": "→ nowhere"}


@both
def test_nothing_goes_below_a_file(source: Path, operation: Any) -> None:
    for target in (source / "a.txt" / "b.txt", source / "a.txt" / "b" / "c.txt"):
        with pytest.raises(StorageError, match=r"a\.txt is not a folder"):
            operation(source / "sub" / "link.txt", target)


@both
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.tif", "a.ome.tif"])
def test_a_file_does_not_get_the_name_of_another_format(source: Path, operation: Any, name: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.txt cannot be .* the file stays \.txt"):
        operation(source / "a.txt", source / name)


def test_names_of_one_format_and_of_none_are_free(source: Path) -> None:
    (source / "a.tif").write_text("image")
    disk.copy(source / "a.tif", source / "b.ome.TIFF")
    disk.move(source / "a.tif", source / "a.tif.old")
    disk.move(source / "a.tif.old", source / "a.tiff")
    (source / "LICENCE").write_text("free")
    disk.copy(source / "LICENCE", source / "copy" / "LICENCE")
    assert (source / "b.ome.TIFF").read_text() == (source / "a.tiff").read_text() == "image"
    assert (source / "copy" / "LICENCE").read_text() == "free"


@pytest.mark.usefixtures("renaming")
@pytest.mark.parametrize("what", ["a.txt", "sub", "loop"])
@pytest.mark.parametrize("points_to", ["file", "folder", "nothing"])
def test_a_link_is_replaced_on_request_and_what_it_points_to_stays(
    tmp_path: Path, source: Path, what: str, points_to: str
) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "there").symlink_to(points_to)
    before = tree(source / what) if what == "sub" else None
    disk.move(source / what, tmp_path / "there", replace_symlinks=True)
    assert not os.path.lexists(source / what)
    if what == "loop":
        assert os.readlink(tmp_path / "there") == "."
    else:
        assert not (tmp_path / "there").is_symlink()
        assert tree(tmp_path / "there") == before if before else (tmp_path / "there").read_text() == "a"
    assert ((tmp_path / "file").read_text(), os.listdir(tmp_path / "folder")) == ("kept", [])
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "source", "there"]


@pytest.mark.usefixtures("renaming")
def test_only_a_link_is_replaced_on_request(tmp_path: Path, source: Path) -> None:
    (tmp_path / "f.txt").write_text("kept")
    with pytest.raises(DestinationExistsError):
        disk.move(source / "a.txt", tmp_path / "f.txt", replace_symlinks=True)
    assert (tmp_path / "f.txt").read_text() == "kept"


def failing(code: int, after: int = 0) -> Callable[..., None]:
    copyfile = tree_module.shutil.copyfile
    done = 0

    def copy(first: Any, second: Any) -> None:
        nonlocal done
        done += 1
        if done > after:
            Path(second).write_text("half")
            raise OSError(code, os.strerror(code), os.fspath(second))
        copyfile(first, second)

    return copy


@pytest.mark.parametrize("problem", [(errno.ENOSPC, DiskSpaceError), (errno.EIO, StorageError)], ids=["full", "broken"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_copy_that_fails_leaves_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, problem: tuple[int, type[Exception]], after: int
) -> None:
    code, kind = problem
    before = tree(tmp_path)
    monkeypatch.setattr(tree_module.shutil, "copyfile", failing(code, after))
    with pytest.raises(kind, match=r"source cannot be copied to .*/copy"):
        disk.copy(source, tmp_path / "copy")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("renaming", ["other_device"], indirect=True)
@pytest.mark.usefixtures("renaming")
def test_a_move_to_another_file_system_that_fails_leaves_the_source(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(tmp_path)
    monkeypatch.setattr(tree_module.shutil, "copyfile", failing(errno.ENOSPC, 1))
    with pytest.raises(DiskSpaceError, match=r"source cannot be moved to .*/copy"):
        disk.move(source, tmp_path / "copy")
    assert tree(tmp_path) == before


def test_a_pipe_is_not_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="pipe"):
        disk.copy(tmp_path, tmp_path.parent / "copy")
    assert not (tmp_path.parent / "copy").exists()


def test_a_folder_is_not_copied_into_itself_by_way_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(StorageError, match="cannot lie in itself"):
        disk.copy(tmp_path / "link", tmp_path / "folder" / "sub" / "new")
    assert list((tmp_path / "folder" / "sub").iterdir()) == []
