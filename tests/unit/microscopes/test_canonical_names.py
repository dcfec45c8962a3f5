"""Raw files whose names say every axis, as Wellfield and OpenHCS name planes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wellfield.errors import MetadataError
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.keys import PlaneKey, Projection

Read = Callable[[Path], ParsedPlate]
WriteFile = Callable[..., Path]

PLANES = {
    "A01_s001_w1_z001_t001.tif": PlaneKey("A01", 1, 1, 1, 1),
    "A01_s001_w1_z002_t001.tif": PlaneKey("A01", 1, 1, 2, 1),
    "A01_s012_w2_z001_t003.TIFF": PlaneKey("A01", 12, 2, 1, 3),
    "AF48_s001_w1_max_t001.tif": PlaneKey("AF48", 1, 1, 0, 1, Projection.MAX),
    "A01_s001_w1_best_focus_t002.tif": PlaneKey("A01", 1, 1, 0, 2, Projection.BEST_FOCUS),
}


@pytest.mark.parametrize("folder", ["", "TimePoint_{t}/ZStep_{z}/", "ZStep_{z}/", "TimePoint_{t}/"])
def test_canonical_names_are_read_in_any_folder_that_agrees(write_file: WriteFile, read: Read, folder: str) -> None:
    for name, key in PLANES.items():
        # by its tags, every file is z 1 of timepoint 1
        root = write_file(folder.format(t=key.timepoint, z=key.z) + name).parents[folder.count("/")]
    contents = read(root)
    assert {plane.path.rpartition("/")[2]: plane.key for plane in contents.planes} == PLANES
    assert contents.ignored == {}
    assert contents.plate.pixel_size_um is not None


@pytest.mark.parametrize(
    "path",
    [
        "TimePoint_2/A01_s001_w1_z001_t001.tif",
        "ZStep_2/A01_s001_w1_z001_t001.tif",
        "TimePoint_1/ZStep_3/A01_s001_w1_max_t001.tif",
        "ZStep_0/A01_s001_w1_z001_t001.tif",
    ],
)
def test_a_folder_that_contradicts_the_name_is_an_error(write_file: WriteFile, read: Read, path: str) -> None:
    file = write_file(path)
    root = next(parent for parent in file.parents if parent.name == "plate")
    with pytest.raises(MetadataError, match=f"the folders of {path} say .*as its name"):
        read(root)


def test_names_of_the_vendor_beside_canonical_ones_keep_their_meaning(write_file: WriteFile, read: Read) -> None:
    write_file("A01_s001_w1_z001_t001.tif")
    root = write_file("P_A02_s1_w1.tif", tagged=False).parent
    assert {plane.key for plane in read(root).planes} == {PlaneKey("A01", 1, 1, 1, 1), PlaneKey("A02", 1, 1, 1, 1)}


@pytest.mark.parametrize(
    "name",
    ["A01_stitched_w1_max_t001.tif", "A01_s000_w1_z001_t001.tif", "A01_s001_w1_z001_t000.tif", "A01_s1_w1_z1.tif"],
)
def test_what_is_no_raw_plane_is_left_out_and_named(write_file: WriteFile, read: Read, name: str) -> None:
    write_file("A01_s001_w1_z001_t001.tif")
    contents = read(write_file(name).parent)
    assert [plane.path for plane in contents.planes] == ["A01_s001_w1_z001_t001.tif"]
    assert contents.ignored == {"name is not of the vendor's form": [name]}


def test_the_microscope_may_be_named_too(write_file: WriteFile) -> None:
    root = write_file("A01_s001_w1_z001_t001.tif").parent
    assert len(get_microscope_handler(root, "imagexpress")[0].read_plate().planes) == 1
