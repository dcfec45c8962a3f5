"""Plates in one parent folder, which must not become one plate."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.generators.harmony_plate import HarmonyPlate
from tests.generators.harmony_writer import write_harmony
from wellfield.errors import DuplicatePlaneError, MetadataError, MicroscopeDetectionError
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.pattern import PatternHandler
from wellfield.plate.filename_layout import Layout


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def fill(*paths: str) -> Path:
        for path in paths:
            (tmp_path / "plates" / path).parent.mkdir(parents=True, exist_ok=True)
            write_tiff(tmp_path / "plates" / path, np.zeros((3, 4), "u2"))
        return tmp_path / "plates"

    return fill


def read(folder: Path) -> ParsedPlate:
    return get_microscope_handler(folder)[0].read_plate()


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["P1/P1_A01_s1_w1.tif", "P2/P2_A01_s2_w1.tif"], ["P1", "P2"]),  # the fields of both would be merged
        (["P1/x_A01_s1_w1.tif", "P2/x_B01_s1_w1.tif"], ["P1", "P2"]),
        (["P1/x_A01_s1_w1.tif", "P2/x_A02_s1_w1.tif", "P3/x_A03_s1_w1.tif"], ["P1", "P2", "P3"]),
        (["day/P1/x_A01_s1_w1.tif", "day/P2/x_A02_s1_w1.tif"], ["day/P1", "day/P2"]),
        (["x_A01_s1_w1.tif", "again/x_A02_s1_w1.tif"], ["the plate folder itself", "again"]),
        (
            ["2024-01-01/1334/x_A01_s1_w1.tif", "2024-01-02/1335/x_A01_s2_w1.tif"],
            ["2024-01-01/1334", "2024-01-02/1335"],
        ),
        (["P1/TimePoint_1/x_A01_s1_w1.tif", "P2/TimePoint_1/x_A01_s2_w1.tif"], ["P1", "P2"]),
        (["A/x_A01_s1_w1.tif", "B/x_A02_s1_w1.tif"], ["A", "B"]),
        (["P1/A01_s001_w1_z001_t001.tif", "P2/A02_s001_w1_z001_t001.tif"], ["P1", "P2"]),
        (["P1/r01c01f01p01-ch1sk1fk1fl1.tiff", "P2/r01c02f01p01-ch1sk1fk1fl1.tiff"], ["P1", "P2"]),
        (["P1/Images/r01c01f01p01-ch1sk1fk1fl1.tiff", "P2/Images/r01c01f02p01-ch1sk1fk1fl1.tiff"], ["P1", "P2"]),
    ],
)
def test_several_plates_are_refused_and_named(
    write: Callable[..., Path], paths: Sequence[str], named: list[str]
) -> None:
    with pytest.raises(MicroscopeDetectionError, match="holds the images of several plates") as caught:
        read(write(*paths))
    assert all(name in str(caught.value) for name in named)


@pytest.mark.parametrize(
    "paths",
    [
        ["TimePoint_1/x_A01_s1_w1.tif", "TimePoint_2/x_A01_s1_w1.tif"],
        ["d/TimePoint_1/ZStep_1/x_A01_s1_w1.tif", "d/TimePoint_2/ZStep_1/x_A01_s1_w1.tif"],
        ["A01/x_A01_s1_w1.tif", "A02/x_A02_s1_w1.tif"],
        ["Well A1/x_A01_s1_w1.tif", "well_a2/x_A02_s1_w1.tif"],
        ["A/x_A01_s1_w1.tif", "A/x_A02_s1_w1.tif", "B/x_B01_s1_w1.tif"],
        ["row A/x_A01_s1_w1.tif", "row B/x_B02_s1_w1.tif"],
        ["A01/s1/x_A01_s1_w1.tif", "A01/s2/x_A01_s2_w1.tif"],
        ["w1/x_A01_s1_w1.tif", "w2/x_A01_s1_w2.tif"],
        ["r01c01/r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c02/r01c02f01p01-ch1sk1fk1fl1.tiff"],
    ],
)
def test_the_folders_of_one_plate_stay_one_plate(write: Callable[..., Path], paths: Sequence[str]) -> None:
    assert len(read(write(*paths)).planes) == len(paths)


def test_two_plates_of_equal_names_are_an_error_naming_both_files(write: Callable[..., Path]) -> None:
    with pytest.raises(DuplicatePlaneError, match=r"P1/x_A01_s1_w1.tif and P2/x_A01_s1_w1.tif"):
        read(write("P1/x_A01_s1_w1.tif", "P2/x_A01_s1_w1.tif"))


def test_a_folder_that_is_named_like_a_well_counts_only_for_that_well(write: Callable[..., Path]) -> None:
    with pytest.raises(MicroscopeDetectionError, match="in A1 and A2"):
        read(write("A1/x_B01_s1_w1.tif", "A2/x_B02_s1_w1.tif"))


# --- patterns, whose names may lie in any folder --------------------------------------------------------------------

PATTERN = r"(?P<well>[A-H]\d\d)_(?P<field>\d)_(?P<channel>\w+)\.tif"


def by_pattern(folder: Path, pattern: str = PATTERN) -> ParsedPlate:
    return PatternHandler(folder, layout=Layout("mine", pattern)).read_plate()


def test_a_pattern_for_names_refuses_folders_that_share_a_well(write: Callable[..., Path]) -> None:
    with pytest.raises(MicroscopeDetectionError, match="in P1 and P2"):
        by_pattern(write("P1/A01_1_DAPI.tif", "P2/A01_2_DAPI.tif"))


def test_a_pattern_for_names_notes_folders_of_different_wells(write: Callable[..., Path]) -> None:
    contents = by_pattern(write("P1/A01_1_DAPI.tif", "P2/A02_1_DAPI.tif"))
    assert contents.notes == ["images in P1 and P2 count as one plate, as no well is in two of them"]


def test_folders_named_like_their_channel_are_one_plate(write: Callable[..., Path]) -> None:
    contents = by_pattern(write("DAPI/A01_1_DAPI.tif", "Channel GFP/A01_1_GFP.tif"))
    assert (len(contents.planes), contents.notes) == (2, [])


def test_a_pattern_of_ones_own_with_folders_decides_itself(write: Callable[..., Path]) -> None:
    folder = write("P1/A01_1_DAPI.tif", "P2/A01_2_DAPI.tif")
    assert len(by_pattern(folder, rf"P\d/{PATTERN}").planes) == 2


def test_the_preset_for_folders_of_wells_refuses_wells_of_two_plates(write: Callable[..., Path]) -> None:
    folder = write("Plate_1/A01/s1_w1.tif", "Plate_2/A02/s1_w1.tif")
    with pytest.raises(MicroscopeDetectionError, match="in Plate_1 and Plate_2"):
        get_microscope_handler(folder, "folder_per_well")[0].read_plate()
    assert len(get_microscope_handler(folder / "Plate_1", "folder_per_well")[0].read_plate().planes) == 1


# --- Harmony's index ----------------------------------------------------------------------------------------------


def harmony(tmp_path: Path, *, second_index: bool) -> Path:
    plate = HarmonyPlate()
    for name in ("P1", "P2"):
        write_harmony(tmp_path / "plates" / name, plate, lambda key: np.zeros(plate.size, "u2"))
    if not second_index:
        for index in (tmp_path / "plates" / "P2").rglob("[iI]ndex*.xml"):
            index.unlink()
    return tmp_path / "plates"


def test_a_plate_without_an_index_beside_one_with_an_index_is_refused(tmp_path: Path) -> None:
    folder = harmony(tmp_path, second_index=False)
    with pytest.raises((MicroscopeDetectionError, DuplicatePlaneError), match=r"P1.* and .*P2"):
        read(folder)


def test_copies_of_some_images_beside_the_index_are_left_out(tmp_path: Path) -> None:
    folder = harmony(tmp_path, second_index=False) / "P1"
    image = next(folder.rglob("*.tif*"))
    (folder / "old").mkdir()
    shutil.copy(image, folder / "old" / image.name)
    ignored = read(folder).ignored["not listed in the index"]
    assert [path.rpartition("/")[2] for path in ignored] == [image.name]


def test_two_indices_are_refused(tmp_path: Path) -> None:
    folder = harmony(tmp_path, second_index=True)
    for index in (folder / "P2").rglob("[iI]ndex*.xml"):
        index.write_text(index.read_text().replace("MeasurementID>", "MeasurementID>2"))
    with pytest.raises((MetadataError, DuplicatePlaneError)):
        read(folder)
