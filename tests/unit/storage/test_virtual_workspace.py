from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.errors import (
    DataNotFoundError,
    DuplicatePlaneError,
    IsFolderError,
    MetadataError,
    PathEscapeError,
    PlateNotFoundError,
    StorageError,
    UnreadableImageError,
    UnsupportedOperationError,
    WellNameError,
)
from wellfield.formats.tiff import write_tiff
from wellfield.storage import Backend, DiskStorageBackend, FileManager, VirtualWorkspaceBackend, path_index

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
    for path in ("TimePoint_1/ZStep_1/x_A01_s1_w1.TIF", root / "notes.txt", "images/../other/deep/notes.txt"):
        with pytest.raises(DataNotFoundError):
            plate.load(path)
    with pytest.raises(IsFolderError, match="images is a virtual folder"):
        plate.load("images")


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


SPELLINGS = (
    "images/{}",
    "./images/{}",
    "images//{}",
    "images/./{}",
    "images/{}/",
    "{root}/images/{}",
    "/{root}//images/{}",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_all_spellings_of_a_path_are_one_path(plate: VirtualWorkspaceBackend, root: Path, spelling: str) -> None:
    name = "A01_s010_w1_z001_t001.tif"
    path = spelling.format(name, root=root)
    assert (plate.exists(path), plate.is_file(path), plate.is_dir(path)) == (True, True, False)
    assert plate.load(path)[0, 0] == 10
    assert plate.resolve(path) == root / MAPPING[f"images/{name}"]
    folder = spelling.format("", root=root)
    assert plate.is_dir(folder)
    assert plate.list_files(folder) == plate.list_files("images")
    assert plate.list_dir(folder) == plate.list_dir("images")


@pytest.mark.parametrize("spelling", [".", "", "./", "{root}", "{root}/", "{root}/."])
def test_all_spellings_of_the_root_are_the_root(plate: VirtualWorkspaceBackend, root: Path, spelling: str) -> None:
    assert plate.list_dir(spelling.format(root=root)) == ["images", "other"]
    assert not plate.is_file(spelling.format(root=root))


def test_keys_of_the_mapping_may_be_spelt_in_any_way_but_not_differ(root: Path) -> None:
    plate = VirtualWorkspaceBackend(root, {"./images//n.txt": "notes.txt", "images/n.txt": "notes.txt"})
    assert plate.list_files("images") == ["images/n.txt"]
    assert plate.load("images/n.txt") == "notes"
    with pytest.raises(DuplicatePlaneError, match=r"images/n\.txt is mapped to both notes\.txt and other\.txt"):
        VirtualWorkspaceBackend(root, {"./images/n.txt": "notes.txt", "images/n.txt": "other.txt"})


@pytest.mark.parametrize(
    "virtual", ["/images/a.tif", "../a.tif", "images/../../a.tif", "..", "", "images\\a.tif", "a\0b"]
)
def test_a_virtual_path_that_leaves_the_plate_is_refused(tmp_path: Path, virtual: str) -> None:
    with pytest.raises(PathEscapeError, match="leads outside the plate"):
        VirtualWorkspaceBackend(tmp_path, {virtual: "a.tif"})


@pytest.mark.parametrize("real", [None, 5, ["a.tif"]])
def test_a_mapping_to_what_is_no_path_is_refused(tmp_path: Path, real: Any) -> None:
    with pytest.raises(PathEscapeError, match="images/a"):
        VirtualWorkspaceBackend(tmp_path, {"images/a.tif": real})


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "images/..", "/", "//", "/etc/passwd", "x" * 5000, "images/x/y", " ", "~", "images\\x"],
)
def test_odd_paths_are_nowhere_and_raise_nothing_until_they_are_loaded(
    plate: VirtualWorkspaceBackend, path: str
) -> None:
    assert (plate.exists(path), plate.is_file(path), plate.is_dir(path)) == (False, False, False)
    for operation in (plate.load, plate.resolve, plate.stat, plate.list_files, plate.list_dir):
        with pytest.raises(DataNotFoundError, match="has no"):
            operation(path)


def test_a_link_out_and_in_again_and_a_loop_are_judged_by_where_they_end(tmp_path: Path, root: Path) -> None:
    (tmp_path / "outside").symlink_to(root)
    (root / "in.txt").symlink_to(tmp_path / "outside" / "notes.txt")
    (root / "loop.txt").symlink_to("loop.txt")
    (root / "up").symlink_to("..")
    mapping = {"in.txt": "in.txt", "loop.txt": "loop.txt", "up.txt": "up/plate/notes.txt", "out.txt": "up/other/x.txt"}
    plate = VirtualWorkspaceBackend(root, mapping)
    assert plate.load_batch(["in.txt", "up.txt"]) == ["notes", "notes"]
    with pytest.raises(PathEscapeError, match=r"up/other/x\.txt is a link"):
        plate.load("out.txt")
    with pytest.raises(StorageError, match=r"loop\.txt cannot be read: Too many levels of symbolic links"):
        plate.load("loop.txt")


def test_a_link_is_judged_before_its_target_is_opened(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (root / "l.txt").symlink_to(tmp_path / "secret.txt")
    plate = VirtualWorkspaceBackend(root, {"a.txt": "l.txt"})
    monkeypatch.setattr("wellfield.formats.reader", lambda path: pytest.fail(f"{path} was opened"))
    for operation in (plate.load, plate.stat, plate.resolve):
        with pytest.raises(PathEscapeError):
            operation("a.txt")


def test_stat_tells_what_the_real_file_is(plate: VirtualWorkspaceBackend, root: Path) -> None:
    os.utime(root / "notes.txt", (1000, 2000.5))
    status = plate.stat("other/deep/notes.txt")
    assert (status.kind, status.size, status.modified) == ("file", 5, 2000.5)
    assert (plate.stat("other").kind, plate.stat(".").size) == ("folder", 0)
    (root / "notes.txt").unlink()
    with pytest.raises(DataNotFoundError, match="mapped as"):
        plate.stat("other/deep/notes.txt")


def test_a_plate_that_is_gone_is_told_from_a_file_that_is_gone(plate: VirtualWorkspaceBackend, root: Path) -> None:
    root.rename(root.parent / "elsewhere")
    for operation in (plate.load, plate.stat):
        with pytest.raises(PlateNotFoundError, match="plate is gone; is its disk still mounted"):
            operation("other/deep/notes.txt")


def test_a_folder_where_a_file_should_be_is_an_error(root: Path) -> None:
    (root / "f.tif").mkdir()
    with pytest.raises(StorageError, match=r"f\.tif is a folder"):
        VirtualWorkspaceBackend(root, {"a.tif": "f.tif"}).load("a.tif")


def test_a_relative_root_stays_where_it_was(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plate = VirtualWorkspaceBackend("plate", MAPPING)
    monkeypatch.chdir("/")
    assert plate.load(root / "other" / "deep" / "notes.txt") == "notes"


def test_a_path_is_a_file_or_a_folder(root: Path) -> None:
    plate = VirtualWorkspaceBackend(root, {"a": "notes.txt", "a/b": "notes.txt"})
    with pytest.raises(StorageError, match="a is the path of a file and of a folder"):
        plate.list_files(".")


def test_a_batch_names_the_first_path_that_fails(plate: VirtualWorkspaceBackend) -> None:
    names = plate.list_files("images")
    for _ in range(5):
        with pytest.raises(DataNotFoundError, match=r"no plane none_1\.tif"):
            plate.load_batch([names[0], "none_1.tif", names[1], "none_2.tif"])


def test_listings_sort_and_index_a_plate_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_numbers: list[int] = []
    natsorted = path_index.natsorted

    def count(names: Any) -> Any:
        names = list(names)
        sorted_numbers.append(len(names))
        return natsorted(names)

    monkeypatch.setattr(path_index, "natsorted", count)
    mapping = {f"w{well}/f{field}.tif": "x.tif" for well in range(20) for field in range(20)}
    plate = VirtualWorkspaceBackend(tmp_path, mapping)
    for _ in range(3):
        assert len(plate.list_files(".", recursive=True)) == 400
        assert plate.list_files("w2")[2] == "w2/f2.tif"
        assert plate.list_dir(".")[10] == "w10"
        assert len(plate.list_dir("w3")) == 20
    assert sorted_numbers == [400 + 20 + 1]  # with the folders and the root


def test_a_listing_is_the_callers_own(plate: VirtualWorkspaceBackend) -> None:
    for listing in (plate.list_files, plate.list_dir):
        listing("images").clear()
        assert len(listing("images")) == 3


def test_recursive_listings_are_in_the_order_of_a_real_folder(tmp_path: Path) -> None:
    names = ["b2.txt", "b10.txt", "a/x.txt", "a/b/y.txt", "a.txt", "b/z10.txt", "b/z9.txt", "A1.txt", "A01.txt"]
    disk = DiskStorageBackend()
    disk.save_batch(names, [tmp_path / name for name in names])
    plate = VirtualWorkspaceBackend(tmp_path, {name: name for name in names})
    on_disk = [os.path.relpath(path, tmp_path) for path in disk.list_files(tmp_path, recursive=True)]
    assert plate.list_files(".", recursive=True) == on_disk
    assert plate.list_dir(".") == disk.list_dir(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"field": 0},
        {"field": -1},
        {"channel": 1.5},
        {"z": True},
        {"z": "x"},
        {"z": "²"},
        {"timepoint": None},
        {"projection": "mean"},
        {"site": 3},
    ],
)
def test_metadata_that_is_no_plane_gets_no_file_name(plate: VirtualWorkspaceBackend, changes: dict[str, Any]) -> None:
    with pytest.raises(MetadataError, match=next(iter(changes))):
        plate.generate_filename({"well": "A01", **changes})


def test_a_file_name_needs_a_well_and_takes_no_options(plate: VirtualWorkspaceBackend) -> None:
    with pytest.raises(MetadataError, match="expected well"):
        plate.generate_filename({"field": 1})
    with pytest.raises(WellNameError):
        plate.generate_filename({"well": "ZZ99"})
    with pytest.raises(TypeError, match="no option suffix"):
        plate.generate_filename({"well": "A01"}, suffix=".png")
    assert plate.generate_filename({"well": "A1", "z": np.int64(12)}) == "A01_s001_w1_z012_t001.tif"
