from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import DataNotFoundError, PathEscapeError, UnreadableImageError, UnsupportedOperationError
from wellfield.formats.tiff import write_tiff
from wellfield.storage import Backend, FileManager, VirtualWorkspaceBackend

MAPPING = {
    "images/A01_s001_w1_z001_t001.tif": "TimePoint_1/ZStep_1/x_A01_s1_w1.TIF",
    "images/A01_s010_w1_z001_t001.tif": "TimePoint_1/ZStep_1/x_A01_s10_w1.TIF",
    "images/A01_s002_w1_z001_t001.tif": "TimePoint_1/ZStep_1/x_A01_s2_w1.TIF",
    "other/deep/notes.txt": "notes.txt",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    for number in (1, 10, 2):
        name = f"TimePoint_1/ZStep_1/x_A01_s{number}_w1.TIF"
        write_tiff(folder / name, np.full((4, 5), number, "u2"))
    (folder / "notes.txt").write_text("notes")
    return folder


@pytest.fixture
def plate(root: Path) -> VirtualWorkspaceBackend:
    return VirtualWorkspaceBackend(root, MAPPING)


def test_virtual_paths_lead_to_the_real_pixels(plate: VirtualWorkspaceBackend) -> None:
    names = plate.list_files("images")
    assert names == sorted(names)
    assert [array[0, 0] for array in plate.load_batch(names)] == [1, 2, 10]
    assert plate.load(Path("images") / "A01_s010_w1_z001_t001.tif")[0, 0] == 10


def test_listings_know_virtual_folders(plate: VirtualWorkspaceBackend) -> None:
    assert plate.list_dir(".") == ["images", "other"]
    assert plate.list_dir("other") == ["deep"]
    assert plate.list_files(".") == []
    assert plate.list_files("other", recursive=True) == ["other/deep/notes.txt"]
    assert len(plate.list_files(".", recursive=True)) == 4
    assert plate.list_files(".", recursive=True, extensions=[".TXT"]) == ["other/deep/notes.txt"]
    assert plate.is_dir("images")
    assert plate.is_dir("other")
    assert not plate.is_dir("image")
    assert plate.is_file("other/deep/notes.txt")
    assert not plate.is_file("other/deep")
    assert plate.exists("other/deep")
    with pytest.raises(DataNotFoundError, match="no virtual folder nowhere"):
        plate.list_files("nowhere")


def test_real_paths_and_unknown_planes_are_no_virtual_paths(plate: VirtualWorkspaceBackend, root: Path) -> None:
    for path in ("TimePoint_1/ZStep_1/x_A01_s1_w1.TIF", root / "notes.txt", "images/../other/deep/notes.txt", "images"):
        with pytest.raises(DataNotFoundError):
            plate.load(path)


@pytest.mark.parametrize(
    "real",
    [
        "/etc/passwd",
        "../x.tif",
        "a/../../x.tif",
        "a/..",
        "..",
        "..\\x.tif",
        "a\\b.tif",
        "C:/x.tif",
        "C:x.tif",
        "",
        "a\0b",
    ],
)
def test_a_mapping_that_leaves_the_plate_is_refused_before_anything_is_opened(tmp_path: Path, real: str) -> None:
    with pytest.raises(PathEscapeError, match="leads outside the plate"):
        VirtualWorkspaceBackend(tmp_path / "not even there", {"images/a.tif": real})


@pytest.mark.parametrize("real", ["a..b.tif", "..a/x.tif", "a/...tif", ".hidden/x.tif", "a b/ü:x.tif"])
def test_harmless_dots_are_no_escape(tmp_path: Path, real: str) -> None:
    assert VirtualWorkspaceBackend(tmp_path, {"images/a.tif": real}).is_file("images/a.tif")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leaves_the_plate_is_refused(tmp_path: Path, root: Path, link: str) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s.txt").write_text("secret")
    (root / "l").symlink_to(secret / "s.txt" if link == "file" else secret)
    plate = VirtualWorkspaceBackend(root, {"images/a.txt": "l" if link == "file" else "l/s.txt"})
    with pytest.raises(PathEscapeError, match="leads outside the plate"):
        plate.load("images/a.txt")


def test_links_inside_the_plate_and_to_the_plate_are_followed(tmp_path: Path, root: Path) -> None:
    (root / "l.txt").symlink_to(root / "notes.txt")
    (tmp_path / "link").symlink_to(root)
    assert VirtualWorkspaceBackend(tmp_path / "link", {"images/a.txt": "l.txt"}).load("images/a.txt") == "notes"


def test_it_is_read_only(plate: VirtualWorkspaceBackend, root: Path) -> None:
    manager = FileManager({"virtual_workspace": plate})
    before = sorted(os.listdir(root))
    for operation in (
        lambda: plate.save("x", "images/new.txt"),
        lambda: plate.save_batch(["x"], ["images/new.txt"]),
        lambda: manager.save("x", "images/new.txt", Backend.VIRTUAL_WORKSPACE),
        lambda: manager.delete("other/deep/notes.txt", Backend.VIRTUAL_WORKSPACE),
        lambda: manager.delete_all("images", Backend.VIRTUAL_WORKSPACE),
        lambda: manager.ensure_directory("images/new", Backend.VIRTUAL_WORKSPACE),
    ):
        with pytest.raises(UnsupportedOperationError, match=r"virtual_workspace.*read-only"):
            operation()
    assert sorted(os.listdir(root)) == before


def test_a_vanished_or_broken_file_is_an_error_naming_it(plate: VirtualWorkspaceBackend, root: Path) -> None:
    (root / "notes.txt").unlink()
    with pytest.raises(DataNotFoundError, match=r"notes\.txt, mapped as other/deep/notes\.txt, does not exist"):
        plate.load("other/deep/notes.txt")
    (root / MAPPING["images/A01_s001_w1_z001_t001.tif"]).write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"x_A01_s1_w1\.TIF"):
        plate.load("images/A01_s001_w1_z001_t001.tif")


def test_the_mapping_is_the_plates_own(root: Path) -> None:
    mapping = dict(MAPPING)
    plate = VirtualWorkspaceBackend(root, mapping)
    mapping.clear()
    assert len(plate.list_files("images")) == 3


def test_file_names_come_from_metadata(plate: VirtualWorkspaceBackend) -> None:
    values = {"well": "b3", "field": 2, "channel": "4", "z": 5, "timepoint": 6}
    assert plate.generate_filename(values) == "B03_s002_w4_z005_t006.tif"
    assert plate.generate_filename({"well": "AF48"}) == "AF48_s001_w1_z001_t001.tif"
    assert plate.generate_filename({**values, "projection": "max"}) == "B03_s002_w4_max_t006.tif"
