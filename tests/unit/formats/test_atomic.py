from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.formats.samples import SAMPLES
from wellfield.errors import DiskSpaceError, StorageError
from wellfield.formats import atomic, writer
from wellfield.formats.atomic import (
    atomic_path,
    part_path,
    remove_parts,
    replace_directory,
    restore_directory,
    write_bytes,
)

KILLED_WRITER = """
import os, signal, sys
from wellfield.formats.atomic import atomic_path
with atomic_path(sys.argv[1], durable=sys.argv[2] == "durable") as part:
    part.write_bytes(b"half of the new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.txt"
    write_bytes(target, b"old")
    write_bytes(target, b"new", durable=True)
    assert (target.read_bytes(), names(target.parent)) == (b"new", ["a.txt"])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_raises_leaves_the_old_file_and_no_part(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    with pytest.raises(error), atomic_path(target) as part:
        part.write_bytes(b"half")
        assert target.read_bytes() == b"old"
        raise error
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a.txt"])


@pytest.mark.parametrize("mode", ["durable", "plain"])
def test_a_killed_writer_leaves_the_old_file_and_a_part_that_can_be_told(tmp_path: Path, mode: str) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    result = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(target), mode], check=False)
    assert result.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    (left,) = set(names(tmp_path)) - {"a.txt"}
    assert atomic.is_part(left)
    remove_parts(tmp_path)
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o027, 0o640), (0o077, 0o600)])
@pytest.mark.parametrize("suffix", SAMPLES)
def test_every_format_honours_the_umask(tmp_path: Path, suffix: str, umask: int, mode: int) -> None:
    target = tmp_path / f"a{suffix}"
    before = os.umask(umask)
    try:
        writer(target)(target, SAMPLES[suffix])
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_naming_the_file(tmp_path: Path, code: int) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    with pytest.raises(DiskSpaceError, match=r"no space left to write .*a\.txt"), atomic_path(target):
        raise OSError(code, os.strerror(code))
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a.txt"])


def test_other_refusals_of_the_system_are_errors_naming_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"file/a\.txt cannot be written"):
        write_bytes(tmp_path / "file" / "a.txt", b"data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="folder cannot be written"):
        write_bytes(tmp_path / "folder", b"data")
    assert names(tmp_path) == ["file", "folder"]


def test_own_errors_pass_unchanged(tmp_path: Path) -> None:
    error = StorageError("what the writer says")
    with pytest.raises(StorageError) as caught, atomic_path(tmp_path / "a.txt"):
        raise error
    assert caught.value is error


@pytest.fixture(params=["exchange", "rename"])
def swap(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "rename":
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    else:
        (tmp_path / "x").mkdir()
        (tmp_path / "y").mkdir()
        if not atomic._exchange(tmp_path / "x", tmp_path / "y"):
            pytest.skip("the file system of the tests cannot exchange folders")
        (tmp_path / "x").rmdir()
        (tmp_path / "y").rmdir()
    return str(request.param)


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / content).write_text(content)
    return path


@pytest.mark.usefixtures("swap")
def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    final = folder(tmp_path / "A01", "old")
    replace_directory(folder(part_path(final), "new"), final)
    assert (names(final), names(tmp_path)) == (["new"], ["A01"])


@pytest.mark.usefixtures("swap")
def test_a_folder_takes_a_free_place(tmp_path: Path) -> None:
    final = tmp_path / "plate" / "A01"
    replace_directory(folder(tmp_path / "staged", "new"), final)
    assert (names(final), names(tmp_path)) == (["new"], ["plate"])


def test_exchange_swaps_two_full_folders_in_one_step(tmp_path: Path, swap: str) -> None:
    if swap == "rename":
        assert not atomic._exchange(tmp_path, tmp_path)
        return
    first, second = folder(tmp_path / "a", "one"), folder(tmp_path / "b", "two")
    assert atomic._exchange(first, second)
    assert (names(first), names(second)) == (["two"], ["one"])


def crash_between_the_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    final = folder(tmp_path / "A01", "old")
    staged = folder(part_path(final), "new")
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    rename = Path.rename

    def crash(self: Path, target: Path) -> Path:
        if self == staged:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        replace_directory(staged, final)
    monkeypatch.setattr(Path, "rename", rename)
    assert not final.exists()
    return final


def test_a_folder_that_a_crash_left_under_its_old_name_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = crash_between_the_renames(tmp_path, monkeypatch)
    restore_directory(final)
    assert names(final) == ["old"]


def test_restore_leaves_a_folder_alone_that_is_there(tmp_path: Path) -> None:
    final = folder(tmp_path / "A01", "new")
    folder(tmp_path / ".A01.000000000000.part", "old")
    restore_directory(final)
    assert names(final) == ["new"]


def test_removing_parts_never_removes_the_only_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = crash_between_the_renames(tmp_path, monkeypatch)
    (final.parent / ".half.123456789abc.part").write_text("rest")
    remove_parts(tmp_path)
    assert (names(tmp_path), names(final)) == (["A01"], ["old"])


def test_removing_parts_removes_them_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    keep = tmp_path / "a" / "b"
    keep.mkdir(parents=True)
    for name in ("image.tif", ".hidden", "x.part"):
        (keep / name).write_text("")
    (keep / ".image.tif.0123456789ab.part").write_text("")
    folder(keep / ".A01.0123456789ab.part", "inner")
    folder(tmp_path / "A01", "new")
    folder(tmp_path / ".A01.000000000000.part", "old")
    remove_parts(tmp_path)
    assert (names(keep), names(tmp_path)) == ([".hidden", "image.tif", "x.part"], ["A01", "a"])
    assert names(tmp_path / "A01") == ["new"]
