from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.formats.samples import SAMPLES, UNFIT, roi, same
from wellfield.errors import DataNotFoundError, DiskSpaceError, StorageError, UnreadableImageError, WellfieldError
from wellfield.formats import FORMATS, reader, writer
from wellfield.formats.plane_files import read_plane_header
from wellfield.formats.reading import reading
from wellfield.storage.files import read_file

every = pytest.mark.parametrize("suffix", FORMATS)
TEXT = (".csv", ".txt")  # any text without an end of its own is whole
PIXELS = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".png", ".npy", ".roi.zip")


def write(folder: Path, suffix: str, name: str = "a") -> Path:
    path = folder / f"{name}{suffix}"
    writer(path)(path, SAMPLES[suffix])
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_there_is_a_sample_of_every_format() -> None:
    assert set(SAMPLES) == set(UNFIT) == set(FORMATS)


@every
@pytest.mark.parametrize("name", ["a b", "a#1", "50%", "a%20b", "ü名前", "s3:x", "a?*[1]", "-a", "'a'", "a\\b"])
def test_a_file_of_any_name_comes_back(tmp_path: Path, suffix: str, name: str) -> None:
    path = write(tmp_path / f"in {name}", suffix, name)
    assert names(path.parent) == [f"{name}{suffix}"]
    assert same(reader(path)(path), SAMPLES[suffix])


@every
def test_a_suffix_in_capitals_is_the_same_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"A{suffix.upper()}"
    writer(path)(path, SAMPLES[suffix])
    assert same(reader(str(path))(str(path)), SAMPLES[suffix])


@every
def test_a_file_that_is_not_there_is_an_error_naming_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    with pytest.raises(DataNotFoundError, match=r"none.* does not exist"):
        reader(path)(path)


@every
def test_a_folder_in_place_of_a_file_is_an_error_naming_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"folder{suffix}"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(WellfieldError, match=r"folder.* is a folder; expected a "):
        reader(path)(path)
    with pytest.raises(StorageError, match=r"folder.* cannot be written: Is a directory"):
        writer(path)(path, SAMPLES[suffix])
    assert (names(tmp_path), names(path)) == ([path.name], ["kept"])


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - set(TEXT)))
@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 5_000, b"GIF89a", b"\xff\xfe\xfd" * 999, b"PK\x03\x04 none"])
def test_garbage_is_an_error_naming_the_file_and_its_size(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        WellfieldError, match=rf"garbage\{suffix} is not (a readable .* \({len(content)} bytes\)|valid )"
    ) as caught:
        reader(path)(path)
    assert isinstance(caught.value, UnreadableImageError) == (suffix in PIXELS)
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", TEXT)
def test_bytes_that_are_no_text_are_an_error_naming_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(b"a\n\xff\xfe\xfd\n")
    with pytest.raises(WellfieldError, match=r"garbage.* is not a readable .*UTF-8"):
        reader(path)(path)


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - set(TEXT)))
def test_a_cut_file_is_an_error_or_whole_never_less(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix)
    content = path.read_bytes()
    for size in [*range(0, len(content), 1 + len(content) // 40), *range(len(content) - 12, len(content))]:
        path.write_bytes(content[:size])
        try:
            found = reader(path)(path)
        except WellfieldError as error:
            assert path.name in str(error)
        else:
            assert same(found, SAMPLES[suffix])
            assert size > len(content) / 2  # only what comes after the data may be cut


@every
@settings(deadline=None)
@given(position=st.integers(0, 2_000), value=st.integers(0, 255))
def test_a_wrong_byte_gives_data_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, position: int, value: int
) -> None:
    path = write(tmp_path_factory.mktemp("wrong"), suffix)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        reader(path)(path)
    except WellfieldError as error:
        assert path.name in str(error)


@every
def test_data_that_does_not_fit_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix)
    content = path.read_bytes()
    with pytest.raises(WellfieldError):
        writer(path)(path, UNFIT[suffix])
    assert (names(tmp_path), path.read_bytes()) == ([path.name], content)


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """Take the right to read and write *path*: from root by being nobody for a while."""
    if os.geteuid() == 0:
        path.parent.chmod(0o700)
        os.seteuid(65_534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        path.parent.chmod(0)
        try:
            yield
        finally:
            path.parent.chmod(0o700)


@every
def test_no_permission_is_an_error_naming_the_file(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "locked", suffix)
    read, store = reader(path), writer(path)
    assert same(read(path), SAMPLES[suffix])  # and everything is imported
    caught: list[BaseException] = []
    with without_rights(path):
        for operation in (lambda: read(path), lambda: store(path, SAMPLES[suffix])):
            try:
                operation()
            except BaseException as error:
                caught.append(error)
    reads, writes = caught
    assert isinstance(reads, StorageError) and "a" + suffix + " cannot be read: " in str(reads)
    assert isinstance(writes, StorageError) and "a" + suffix + " cannot be written: " in str(writes)
    assert "ermission denied" in str(reads) and "ermission denied" in str(writes)
    assert names(path.parent) == [path.name]


IMAGES = (".tif", ".png")


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """End a block that waits for ever."""

    def late(*_: Any) -> None:
        pytest.fail("the block waits")  # no Exception, which a reader would take for its own

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("suffix", IMAGES)
@pytest.mark.parametrize("make", [_pipe, _device, _socket, _circle, Path.mkdir])
def test_what_is_no_file_is_an_unreadable_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    make(Path(f"a{suffix}"))
    for read in (reader(f"a{suffix}"), read_plane_header, read_file):
        with no_longer_than(20), pytest.raises(UnreadableImageError, match=rf"a\{suffix} "):
            read(f"a{suffix}")


@pytest.mark.parametrize("suffix", IMAGES)
def test_an_image_without_permission_is_an_unreadable_image(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix)
    for read in (reader(path), read_plane_header, read_file):
        read(path)  # and everything is imported
        with without_rights(tmp_path), pytest.raises(UnreadableImageError) as caught:
            read(path)
        assert isinstance(caught.value, PermissionError)
        assert f"a{suffix} cannot be read: Permission denied; allow yourself" in str(caught.value)


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EMFILE])
def test_trouble_of_the_system_is_not_blamed_on_the_file(tmp_path: Path, code: int) -> None:
    with pytest.raises(StorageError, match=r"a\.tif cannot be read") as caught, reading(tmp_path / "a.tif", "TIFF"):
        raise OSError(code, os.strerror(code))
    assert not isinstance(caught.value, UnreadableImageError)


def test_full_memory_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(MemoryError) as caught, reading(tmp_path / "a.tif", "TIFF"):
        raise MemoryError
    assert not isinstance(caught.value, WellfieldError)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path_factory.mktemp("small")
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("root: needs the right to mount a small tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


BIG = np.random.default_rng(0).integers(0, 60_000, (256, 512), "u2")
BIG_SAMPLES: dict[str, Any] = {
    ".csv": {"a": BIG.ravel()},
    ".parquet": {"a": BIG.ravel()},
    ".json": BIG,
    ".txt": BIG.tobytes().hex(),
    ".roi.zip": [roi(str(number)) for number in range(2_000)],
}


@every
def test_a_full_disk_is_one_error_and_leaves_the_old_file(small_disk: Path, suffix: str) -> None:
    path = write(small_disk, suffix)
    content = path.read_bytes()
    try:
        with pytest.raises(DiskSpaceError, match=rf"no space left to write .*a\{suffix}; free some space"):
            writer(path)(path, BIG_SAMPLES.get(suffix, BIG))
        assert (names(small_disk), path.read_bytes()) == ([path.name], content)
    finally:
        path.unlink()
