from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import PlateNotFoundError
from wellfield.microscopes import scan as scan_module
from wellfield.microscopes.scan import scan_plate


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_every_file_is_listed_with_size_and_time_in_the_order_of_paths(tmp_path: Path) -> None:
    fill(tmp_path, "b/c/z.tif", "b/a.tif", "a.tif", "b/c/y.tif", "ü mit Leerzeichen/x.tif")
    os.utime(tmp_path / "a.tif", ns=(5, 123_456_789))
    scan = scan_plate(tmp_path)
    assert [file.path for file in scan.files] == [
        "a.tif",
        "b/a.tif",
        "b/c/y.tif",
        "b/c/z.tif",
        "ü mit Leerzeichen/x.tif",
    ]
    assert scan.files[0] == ("", "a.tif", 5, 123_456_789)
    assert scan.skipped == {}


def test_hidden_entries_are_left_out_and_reported(tmp_path: Path) -> None:
    fill(tmp_path, "a.tif", ".b.tif", ".snap/c.tif", "d/.DS_Store")
    scan = scan_plate(tmp_path)
    assert [file.path for file in scan.files] == ["a.tif"]
    assert scan.skipped == {"hidden": [".b.tif", ".snap", "d/.DS_Store"]}


def test_metadata_of_zarr_is_not_hidden(tmp_path: Path) -> None:
    fill(tmp_path, ".zattrs", "a/.zarray", "a/.zgroup", ".zmetadata", ".zattrs.swp")
    scan = scan_plate(tmp_path)
    assert [file.path for file in scan.files] == [".zattrs", "a/.zarray", "a/.zgroup"]
    assert scan.skipped == {"hidden": [".zattrs.swp", ".zmetadata"]}


def test_links_are_followed_only_to_files_inside_the_plate(tmp_path: Path) -> None:
    plate = tmp_path / "plate"
    fill(tmp_path, "plate/real.tif", "plate/folder/a.tif", "plate2/outside.tif")
    links = {
        "inside.tif": plate / "real.tif",
        "out.tif": tmp_path / "plate2" / "outside.tif",
        "broken.tif": plate / "nothing.tif",
        "folder-link": plate / "folder",
        "up": tmp_path,
        "loop": plate / "loop",
    }
    for name, target in links.items():
        (plate / name).symlink_to(target)
    scan = scan_plate(plate)
    assert [file.path for file in scan.files] == ["inside.tif", "real.tif", "folder/a.tif"]
    assert scan.skipped == {
        "broken link": ["broken.tif", "loop"],
        "link that leaves the plate folder": ["out.tif"],
        "link to a folder": ["folder-link", "up"],
    }


def test_a_plate_reached_by_a_link_is_scanned(tmp_path: Path) -> None:
    fill(tmp_path, "plate/real.tif")
    (tmp_path / "plate/inside.tif").symlink_to("real.tif")
    (tmp_path / "link").symlink_to("plate")
    assert len(scan_plate(tmp_path / "link").files) == 2


def test_what_is_neither_file_nor_folder_is_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.tif"))
        scan = scan_plate(tmp_path)
    assert scan.skipped == {"neither file nor folder": ["pipe.tif", "s.tif"]}


def test_names_that_no_table_can_hold_are_reported(tmp_path: Path) -> None:
    fill(tmp_path, "a.tif", "µ–名.tif", "b\\c.tif")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif")).write_text("")
    scan = scan_plate(tmp_path)
    assert [file.path for file in scan.files] == ["a.tif", "µ–名.tif"]
    assert scan.skipped == {"name has a backslash": ["b\\c.tif"], "name is not valid UTF-8": ["caf\\udce9.tif"]}


@pytest.fixture
def locked() -> Iterator[Path]:
    """A plate with a folder that may not be read. As root the test drops to another user: root may read everything."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    fill(root, "open/a.tif", "shut/b.tif")
    (root / "shut").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield root
    finally:
        if user == 0:
            os.seteuid(0)
        (root / "shut").chmod(0o755)
        shutil.rmtree(root)


def test_a_folder_without_permission_is_reported_and_the_rest_is_read(locked: Path) -> None:
    scan = scan_plate(locked)
    assert [file.path for file in scan.files] == ["open/a.tif"]
    assert scan.skipped == {"folder cannot be read (Permission denied)": ["shut"]}


def test_a_plate_without_permission_is_an_error_naming_it(locked: Path) -> None:
    with pytest.raises(PlateNotFoundError, match=r"shut cannot be read \(Permission denied\)"):
        scan_plate(locked / "shut")
    with pytest.raises(PlateNotFoundError, match=r"inner cannot be read \(Permission denied\)"):
        scan_plate(locked / "shut" / "inner")


def test_a_file_that_goes_away_meanwhile_does_not_hide_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, *(f"{number}.tif" for number in range(9)))

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.entry = entry

        def __getattr__(self, name: str) -> Any:
            return getattr(self.entry, name)

        def stat(self) -> os.stat_result:
            if self.entry.name == "4.tif":
                raise FileNotFoundError(2, "No such file or directory")
            return self.entry.stat()

    class Entries:
        def __init__(self, path: str) -> None:
            self.entries = scandir(path)

        def __enter__(self) -> Iterator[Entry]:
            return map(Entry, self.entries)

        def __exit__(self, *error: object) -> None:
            self.entries.close()

    scandir = os.scandir
    monkeypatch.setattr(scan_module.os, "scandir", Entries)
    scan = scan_plate(tmp_path)
    assert len(scan.files) == 8
    assert scan.skipped == {"cannot be looked at (No such file or directory)": ["4.tif"]}


@pytest.mark.parametrize(("name", "message"), [("none", "does not exist"), ("file", "is a file, not a folder")])
def test_what_is_no_folder_is_an_error_naming_it(tmp_path: Path, name: str, message: str) -> None:
    fill(tmp_path, "file")
    with pytest.raises(PlateNotFoundError, match=f"{name} {message}"):
        scan_plate(tmp_path / name)


def test_the_digest_sees_names_and_metadata_and_a_new_export_but_not_a_mended_image(tmp_path: Path) -> None:
    fill(tmp_path, "a.tif", "b.tif", "b/x.HTD")
    os.utime(tmp_path / "a.tif", ns=(1_000, 1_000))

    def digest() -> str:
        return scan_plate(tmp_path).names_digest((".htd",))

    first = digest()
    assert digest() == first
    (tmp_path / "b.tif").write_text("mended image")
    assert digest() == first
    os.utime(tmp_path / "a.tif", ns=(2_000, 2_000))  # now every image of the folder is another one
    assert digest() != first
    first = digest()
    os.utime(tmp_path / "b/x.HTD", ns=(1, 1))
    second = digest()
    assert second != first
    fill(tmp_path, "c.tif")
    third = digest()
    assert third != second
    (tmp_path / "c.tif").rename(tmp_path / "d.tif")
    fourth = digest()
    assert fourth not in (first, second, third)
    (tmp_path / "d.tif").rename(tmp_path / "b" / "d.tif")
    assert digest() not in (first, second, third, fourth)


def test_the_garbage_collector_runs_again_afterwards(tmp_path: Path) -> None:
    scan_plate(tmp_path)
    assert gc.isenabled()
    with pytest.raises(PlateNotFoundError):
        scan_plate(tmp_path / "none")
    assert gc.isenabled()
    gc.disable()
    try:
        scan_plate(tmp_path)
        assert not gc.isenabled()
    finally:
        gc.enable()
