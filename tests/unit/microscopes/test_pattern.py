"""Plates that are read by a pattern for their paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wellfield.errors import ConfigError, DuplicatePlaneError, EmptyPlateError, ImageKindError, WellNameError
from wellfield.formats.png import write_png
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.mismatch import explain_mismatch
from wellfield.microscopes.parsed_plate import ParsedPlate, find_holes
from wellfield.microscopes.pattern import PatternHandler
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.filename_layout import Layout, WellNumbers
from wellfield.plate.index import read_index
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import MAX_COLUMNS, MAX_ROWS, row_name, well_name

SIMPLE = (
    r"(?P<well>[A-Za-z]+[0-9]+)(_s(?P<field>\w+?))?(_c(?P<channel>[^_]+?))?(_z(?P<z>\d+))?(_t(?P<timepoint>\d*))?\.tif"
)
PIXELS = np.arange(12, dtype="u2").reshape(3, 4)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write grey planes under paths below a plate folder, and return that."""

    def fill(*paths: str, **options: Any) -> Path:
        for path in paths:
            target = tmp_path / "plate" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".png"):
                write_png(target, PIXELS)
            else:
                write_tiff(target, PIXELS, **options)
        return tmp_path / "plate"

    return fill


def read(folder: Path, pattern: str = SIMPLE, **options: Any) -> ParsedPlate:
    return PatternHandler(folder, layout=Layout("mine", pattern, **options)).read_plate()


def keyed(contents: ParsedPlate) -> dict[str, PlaneKey]:
    return {plane.path: plane.key for plane in contents.planes}


def read_names(*paths: str, pattern: str = SIMPLE, **options: Any) -> ParsedPlate:
    """Read a plate of which only the names are there."""
    files = [ScannedFile(*path.rpartition("/")[::2], 1, 0) for path in paths]
    handler = PatternHandler("nowhere", layout=Layout("mine", pattern, **options), scan=Scan(Path("nowhere"), files))
    return handler.read_plate()


# --- what is found ------------------------------------------------------------------------------------------------


def test_every_group_gives_its_axis(write: Write) -> None:
    folder = write("b3_s02_c3_z004_t5.tif", "sub/AF48_s1_c1_z1_t1.tif")
    assert keyed(read(folder)) == {
        "b3_s02_c3_z004_t5.tif": PlaneKey("B03", 2, 3, 4, 5),
        "sub/AF48_s1_c1_z1_t1.tif": PlaneKey("AF48", 1, 1, 1, 1),
    }


@pytest.mark.parametrize("name", ["A1", "a01", "A001"])
def test_wells_are_read_in_any_spelling(name: str) -> None:
    assert keyed(read_names(f"{name}.tif")) == {f"{name}.tif": PlaneKey("A01", 1, 1, 1, 1)}


@pytest.mark.parametrize(("row", "well"), [("1", "A07"), ("002", "B07"), ("32", "AF07"), ("c", "C07"), ("AB", "AB07")])
def test_rows_are_letters_or_numbers(row: str, well: str) -> None:
    (key,) = keyed(read_names(f"{row}-7.tif", pattern=r"(?P<row>\w+)-(?P<column>\d+)\.tif")).values()
    assert key.well == well


def test_what_names_do_not_say_has_its_default() -> None:
    contents = read_names("A1.tif", "A2_z3_t.tif", defaults={"field": 7, "channel": 2, "timepoint": 9})
    assert list(keyed(contents).values()) == [PlaneKey("A01", 7, 2, 1, 9), PlaneKey("A02", 7, 2, 3, 9)]
    assert contents.plate.channels == {2: "w2"}


def test_numbers_from_zero_are_raised_on_the_whole_plate_and_noted() -> None:
    contents = read_names("A1_s0_c0_z0_t0.tif", "A1_s3_c1_z0_t1.tif", "B1_s3_c2_z2_t1.tif")
    assert list(keyed(contents).values()) == [
        PlaneKey("A01", 1, 1, 1, 1),
        PlaneKey("A01", 4, 2, 1, 2),
        PlaneKey("B01", 4, 3, 3, 2),
    ]
    assert [note for note in contents.notes if "from 0" in note] == [
        "field: numbers in the names count from 0; each is raised by one (0 to 3)",
        "z: numbers in the names count from 0; each is raised by one (0 to 2)",
        "timepoint: numbers in the names count from 0; each is raised by one (0 to 1)",
        "channel: numbers in the names count from 0; each is raised by one (0 to 2)",
    ]


def test_numbers_from_one_stay() -> None:
    contents = read_names("A1_s1_c2_z2.tif", "A1_s3_c4_z2.tif")
    assert [key[1:4] for key in keyed(contents).values()] == [(1, 2, 2), (3, 4, 2)]
    assert not any("from 0" in note for note in contents.notes)


# --- channels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "channels", "expected"),
    [
        (("1", "2"), None, {1: "w1", 2: "w2"}),
        (("01", "405"), None, {1: "w1", 405: "w405"}),
        (("1", "2"), ("DNA", "Actin", "unused"), {1: "DNA", 2: "Actin"}),
        (("0", "1"), ("DNA", "Actin"), {1: "DNA", 2: "Actin"}),
        (("0", "1"), {"1": "Actin", "0": "DNA"}, {1: "DNA", 2: "Actin"}),
        (("01", "03"), {"1": "DNA", "3": "Actin"}, {1: "DNA", 3: "Actin"}),
        (("GFP", "DAPI"), None, {1: "DAPI", 2: "GFP"}),
        (("ch10", "ch9"), None, {1: "ch9", 2: "ch10"}),
        (("1", "GFP"), None, {1: "1", 2: "GFP"}),
        (("DAPI", "GFP"), ("GFP", "Cy5", "DAPI"), {1: "GFP", 3: "DAPI"}),
        (("DAPI", "GFP"), {"GFP": "Actin", "DAPI": "DNA"}, {1: "Actin", 2: "DNA"}),
    ],
)
def test_channels_get_numbers_and_names(tokens: tuple[str, ...], channels: Any, expected: dict[int, str]) -> None:
    for order in (tokens, tokens[::-1]):
        contents = read_names(*(f"A1_c{token}.tif" for token in order), channels=channels)
        assert contents.plate.channels == expected
        assert {key.channel for key in keyed(contents).values()} == set(expected)
    if channels is None and not any(token.isdigit() for token in tokens):
        assert all(expected[key.channel] in path for path, key in keyed(contents).items())


@pytest.mark.parametrize(
    ("names", "channels", "message"),
    [
        (("A1_c1.tif", "A1_c3.tif"), ("DNA", "Actin"), r"A1_c3\.tif: its channel 3 is not among .*'mine': DNA, Actin"),
        (("A1_c1.tif", "A1_c3.tif"), {"1": "DNA"}, r"A1_c3\.tif: its channel 3 is not among"),
        (("A1_cDAPI.tif", "A1_cGFP.tif"), ("DAPI",), r"A1_cGFP\.tif: its channel GFP is not among"),
        (("A1.tif",), {"2": "DNA"}, r"A1\.tif: its channel 1 is not among"),
        (("A1_cDAPI.tif", "A1_s2.tif"), None, r"A1_s2\.tif: its name has no channel, but other names have one \(DAPI"),
    ],
)
def test_a_channel_that_cannot_be_told_is_an_error_naming_the_file(
    names: tuple[str, ...], channels: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_names(*names, channels=channels)


def test_a_group_that_takes_more_than_the_channel_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the group 'channel' of layout 'mine' takes 300 different texts, such as x0"):
        read_names(*(f"A1_cx{number}.tif" for number in range(300)))


INCELL = r"(?P<row>[A-P]) - (?P<column>\d+)\(fld (?P<field>\d+) wv (?P<channel>.*?)( z (?P<z>\d+))?%s\)\.tif"
TIMES = [f"A - 01(fld 1 wv UV - DAPI z {z} time {t} - {ms}ms).tif" for t, ms in ((1, 0), (2, 2636)) for z in (3, 4)]


def test_a_channel_that_holds_another_axis_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"takes 'UV - DAPI z 3 time 1 - 0ms', which holds 'z 3' and 'time 1'; give"):
        read_names(*TIMES, pattern=INCELL % "")
    contents = read_names(*TIMES, pattern=INCELL % r"( time (?P<timepoint>\d+) - \d+ms)?")
    assert contents.plate.channels == {1: "UV - DAPI"}
    assert {(key.z, key.timepoint) for key in keyed(contents).values()} == {(3, 1), (4, 1), (3, 2), (4, 2)}


@pytest.mark.parametrize(
    "tokens", [("GFP field 2",), ("DAPI_z1", "DAPI_z2"), ("FITC-t1", "FITC-t02"), ("A s1", "A s2")]
)
def test_other_axes_in_a_channel_are_found_by_word_or_by_what_channels_differ_in(tokens: tuple[str, ...]) -> None:
    names = [f"A1_{token}.tif" for token in tokens]
    pattern = r"(?P<well>A1)_(?P<channel>.*)\.tif"
    with pytest.raises(ConfigError, match="give the pattern groups for field, z and timepoint"):
        read_names(*names, pattern=pattern)
    contents = read_names(*names, pattern=pattern, channels={token: f"c{token}" for token in tokens})
    assert len(contents.plate.channels) > 0


@pytest.mark.parametrize("tokens", [("Cy3", "Cy5"), ("DAPI_t1",), ("Alexa 488", "Alexa 568"), ("FITC_z1", "DAPI_z1")])
def test_names_of_channels_with_numbers_stay_channels(tokens: tuple[str, ...]) -> None:
    contents = read_names(*(f"A1_{t}.tif" for t in tokens), pattern=r"(?P<well>A1)_(?P<channel>.*)\.tif")
    assert set(contents.plate.channels.values()) == set(tokens)


@pytest.mark.parametrize(
    ("numbers", "wells"),
    [
        (WellNumbers(8, 12), {1: "A01", 2: "A02", 12: "A12", 13: "B01", 29: "C05", 96: "H12"}),
        (WellNumbers(8, 12, "columns"), {1: "A01", 2: "B01", 8: "H01", 9: "A02", 96: "H12"}),
        (WellNumbers(16, 24), {24: "A24", 29: "B05", 384: "P24"}),
        (WellNumbers(32, 48), {1536: "AF48"}),
        (WellNumbers(2, 3), {4: "B01"}),
    ],
)
def test_wells_may_be_numbered_through_the_plate(numbers: WellNumbers, wells: dict[int, str]) -> None:
    names = {f"W{number:04d}F0001T0001Z001C1.tif": well for number, well in wells.items()}
    pattern = r"W(?P<well>\d+)F(?P<field>\d+)T(?P<timepoint>\d+)Z(?P<z>\d+)C(?P<channel>\d+)\.tif"
    contents = read_names(*names, pattern=pattern, well_numbers=numbers)
    assert {path: key.well for path, key in keyed(contents).items()} == names


@pytest.mark.parametrize("number", ["0000", "0097", "B02", "-1", "9" * 5000])
def test_a_number_outside_of_the_plate_is_an_error(number: str) -> None:
    with pytest.raises(
        WellNameError, match=r"is not a well of a plate of 8 rows and 12 columns; expected .* from 1 to 96"
    ):
        read_names(f"W{number}.tif", pattern=r"W(?P<well>.+)\.tif", well_numbers=WellNumbers(8, 12))


def test_a_number_without_the_size_of_the_plate_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WellNameError, match=r"W0029\.tif: '0029' is a number.*`well_numbers: {rows: 8, columns: 12}`"):
        read_names("W0029.tif", pattern=r"W(?P<well>\d+)\.tif")


# --- where a pattern fits -----------------------------------------------------------------------------------------


def test_a_pattern_without_folders_fits_names_in_any_folder_and_only_whole_names() -> None:
    contents = read_names(
        "x/y/A1.tif", "A2.tif", "A3.tif.tif", "B1_copy.tif", "x A4.tif", pattern=r"(?P<well>\w\d)\.tif"
    )
    assert set(keyed(contents)) == {"x/y/A1.tif", "A2.tif"}
    assert contents.ignored == {"does not match the pattern": ["A3.tif.tif", "B1_copy.tif", "x A4.tif"]}


def test_a_pattern_with_folders_fits_the_end_of_the_path_from_a_folder_on() -> None:
    contents = read_names("A1/f1.tif", "run/x/A2/f1.tif", "xA3/f1.tif", "f1.tif", pattern=r"(?P<well>[A-H]\d)/f1\.tif")
    assert set(keyed(contents)) == {"A1/f1.tif", "run/x/A2/f1.tif"}


def test_a_pattern_with_folders_and_a_beginning_fits_whole_paths_only() -> None:
    contents = read_names("A1/f1.tif", "B1/A2/f1.tif", pattern=r"^(?P<well>[A-H]\d)/f1\.tif")
    assert set(keyed(contents)) == {"A1/f1.tif"}


def test_a_pattern_takes_as_much_of_the_path_as_it_can() -> None:
    pattern = r"(?:t(?P<timepoint>\d+)/)?(?P<well>[A-H]\d)/f1\.tif"
    contents = read_names("data/t2/A1/f1.tif", "A1/f1.tif", pattern=pattern)
    assert [key.timepoint for key in keyed(contents).values()] == [2, 1]


@pytest.mark.parametrize(
    "pattern", [r"^(?P<well>\w\d)\.tif$", r"(?i)(?P<well>a\d)\.TIF", "(?x) (?P<well> A1 ) [.]tif # /"]
)
def test_anchors_and_flags_may_be_used(pattern: str) -> None:
    assert set(keyed(read_names("sub/A1.tif", pattern=pattern))) == {"sub/A1.tif"}


def test_other_files_are_ignored_by_reason(write: Write) -> None:
    folder = write("A1.tif", "overview.tif", "thumb.png")
    for name in ("notes.txt", "A2.jpg", ".DS_Store"):
        (folder / name).write_bytes(b"")
    assert read(folder).ignored == {
        "does not match the pattern": ["overview.tif", "thumb.png"],
        "no image": ["A2.jpg", "notes.txt"],
        "hidden": [".DS_Store"],
    }


axes = st.tuples(
    st.integers(0, MAX_ROWS - 1),
    st.integers(0, MAX_COLUMNS - 1),
    st.integers(1, 30),
    st.sampled_from(["DAPI", "GFP", "Cy5", "ch2", "ch10"]),
    st.integers(1, 12),
    st.integers(1, 200),
)


@given(planes=st.lists(axes, min_size=1, max_size=60, unique=True), data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_plate_and_any_part_of_it_give_the_right_keys_in_any_order(
    planes: list[tuple[int, int, int, str, int, int]], data: st.DataObject
) -> None:
    order = ("DAPI", "ch10", "GFP", "ch2", "Cy5")
    kept = data.draw(st.lists(st.sampled_from(planes), min_size=1, unique=True))
    paths, expected = [], {}
    for row, column, field, channel, z, time in kept:
        path = f"t{time}/{row_name(row)}{column + 1}/pos{field:03d}/{channel}_{z:02d}.tif"
        paths.append(path)
        expected[path] = PlaneKey(well_name(row, column), field, order.index(channel) + 1, z, time)
    pattern = r"t(?P<timepoint>\d+)/(?P<well>[^/]+)/pos(?P<field>\d+)/(?P<channel>\w+)_(?P<z>\d+)\.tif"
    contents = read_names(*data.draw(st.permutations(paths)), pattern=pattern, channels=order)
    assert keyed(contents) == expected
    assert contents.ignored == {}
    assert contents.plate.channels == {
        number: order[number - 1] for number in {key.channel for key in expected.values()}
    }


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pattern", "error", "message"),
    [
        (("A1_sX.tif",), SIMPLE, ConfigError, r"A1_sX\.tif: the group 'field' .* takes 'X', which is not a number"),
        (("A1_s²_c1.tif",), SIMPLE, ConfigError, "takes '²', which is not a number"),
        (("A1_s1_z99999999999.tif",), SIMPLE, ConfigError, "takes '99999999999'"),
        (("A1.tif", "Z99.tif"), SIMPLE, WellNameError, r"^Z99\.tif: column 99 .* takes this for the well"),
        (("QQ1.tif",), SIMPLE, WellNameError, r"^QQ1\.tif: 'QQ1' is not a well name"),
        (
            ("0-1.tif",),
            r"(?P<row>\w+)-(?P<column>\w+)\.tif",
            WellNameError,
            "row 0 is outside a plate; expected 1 to 32",
        ),
        (("33-1.tif",), r"(?P<row>\w+)-(?P<column>\w+)\.tif", WellNameError, "row 33 .* for the row and column"),
        (("A-49.tif",), r"(?P<row>\w+)-(?P<column>\w+)\.tif", WellNameError, "column '49' is outside"),
        (("A-x.tif",), r"(?P<row>\w+)-(?P<column>\w+)\.tif", WellNameError, "column 'x' is outside"),
        (("A-0.tif",), r"(?P<row>\w+)-(?P<column>\w+)\.tif", WellNameError, "column '0' is outside"),
    ],
)
def test_what_a_name_says_wrongly_is_an_error_naming_the_file(
    names: tuple[str, ...], pattern: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_names(*names, pattern=pattern)


def test_two_files_for_one_plane_are_an_error_naming_both() -> None:
    with pytest.raises(DuplicatePlaneError) as caught:
        read_names("A1_s1.tif", "A2.tif", "again/A1_s1.tif", "again/A2.tif")
    for text in (
        "two files are the same plane",
        "A01_s001_w1_z001_t001",
        "A1_s1.tif and again/A1_s1.tif",
        "1 more plane",
    ):
        assert text in str(caught.value)


def test_a_pattern_that_matches_nothing_shows_itself_and_three_paths() -> None:
    paths = [f"run/x_{number:03d}.tif" for number in range(9)]
    with pytest.raises(EmptyPlateError) as caught:
        read_names(*paths, "notes.txt")
    text = str(caught.value)
    assert "matches none of its 9 images" in text
    assert f"pattern: {SIMPLE}" in text
    assert re.findall(r"path: (.*)", text) == ["run/x_000.tif", "run/x_004.tif", "run/x_008.tif"]


def test_a_folder_without_images_says_so() -> None:
    with pytest.raises(EmptyPlateError, match=r"none of its 0 images \(TIFF, PNG\) among 1 files"):
        read_names("A1.nd2")


@pytest.mark.parametrize(
    ("name", "pattern", "message"),
    [
        (
            "r01c02.tif",
            r"r(?P<row>\d+)x(?P<column>\d+)\.tif",
            r"up to 'r01', where the name goes on with 'c02.tif', and",
        ),
        ("A1_fx.tif", r"(?P<well>\w\d)_f(?P<field>\d+)\.tif", r"fails at '(?P<field>\d+)\.tif' (group 'field')"),
        (
            "A1_f1.tif",
            r"(?P<well>\w\d)_f(?P<field>\d+)",
            r"up to 'A1_f1'; the name goes on with '.tif', which the pattern",
        ),
        ("x/A1/f.tif", r"(?P<well>[A-H]\d)/g\.tif", r"up to 'A1/', where the name goes on with 'f.tif'"),
        ("A1b.tif", r"(?P<well>[A-Z][0-9][0-9])\.tif", r"(in group 'well')"),
    ],
)
def test_the_error_says_how_far_the_pattern_gets(name: str, pattern: str, message: str) -> None:
    with pytest.raises(EmptyPlateError) as caught:
        read_names(name, pattern=pattern)
    assert message in str(caught.value)


# --- pixels -------------------------------------------------------------------------------------------------------


def test_calibration_shape_and_dtype_are_those_of_the_files(write: Write) -> None:
    contents = read(write("A1_c1.tif", "A2_c1.tif", "A1_c2.tif", pixel_size_um=0.65, z_spacing_um=2.0))
    assert (contents.plate.shape, contents.plate.dtype) == ((3, 4), "uint16")
    assert contents.plate.pixel_size_um == pytest.approx(0.65)
    assert contents.plate.z_spacing_um == pytest.approx(2.0)
    (note,) = contents.notes
    assert note.startswith("pixel size: 0.65 µm is what the files say; some programs write the camera's own pixel")


def test_the_layouts_calibration_is_followed_and_a_contradiction_noted(write: Write) -> None:
    folder = write("A1.tif", pixel_size_um=0.65)
    contents = read(folder, pixel_size_um=0.325, z_spacing_um=3.0)
    assert (contents.plate.pixel_size_um, contents.plate.z_spacing_um) == (0.325, 3.0)
    assert contents.notes == ["pixel size: the layout says 0.325 µm and is followed; files say 0.65 µm"]
    assert read(folder, pixel_size_um=0.65).notes == []


def test_samples_that_differ_are_noted(write: Write) -> None:
    folder = write("A1.tif", "A2.tif", pixel_size_um=0.5)  # A2 decides between the first and the last
    write_tiff(folder / "A9.tif", np.zeros((5, 5), "u1"), pixel_size_um=1.0)
    assert read(folder).notes[:2] == [
        "planes of different size or dtype among those sampled: [3, 4] uint16 (2), [5, 5] uint8 (1); the rarer are "
        "A9.tif",
        "pixel size differs among the planes sampled: 0.5, 1 µm",
    ]


def test_two_files_per_channel_are_opened(write: Write) -> None:
    folder = write(*(f"{well_name(n // 12, n % 12)}_c{channel}.tif" for n in range(96) for channel in (1, 2)))
    assert read(folder).images_opened == 4


def test_png_files_are_planes(write: Write) -> None:
    contents = read(write("A1.png", "A2.png"), r"(?P<well>\w\d)\.png")
    assert (len(contents.planes), contents.plate.shape, contents.plate.dtype) == (2, (3, 4), "uint16")


def test_an_unreadable_file_is_mapped_and_its_neighbours_are_sampled(write: Write) -> None:
    folder = write("A1.tif", "A2.tif", "A3.tif")
    (folder / "A1.tif").write_bytes(b"")
    contents = read(folder)
    assert len(contents.planes) == 3
    assert contents.plate.shape == (3, 4)
    (note,) = contents.notes
    assert note.startswith("A1.tif was sampled and cannot be read")


def _colour(path: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), "u1")).save(path)


def _palette(path: Path) -> None:
    image = Image.new("P", (4, 3))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(path)


def _stack(path: Path) -> None:
    write_tiff(path, np.zeros((5, 3, 4), "u2"))


def _unlike(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for size in (3, 5):
            file.write(np.zeros((size, 4), "u2"), photometric="minisblack", metadata=None)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("A2.tif", _colour, r"A2\.tif has colours \(shape \[3, 4, 3\]\).*as a grey image of its own"),
        ("A2.png", _colour, r"A2\.png has colours \("),
        ("A2.tif", _palette, r"A2\.tif has a palette.*export it as grey"),
        ("A2.png", _palette, r"A2\.png has a palette"),
        ("A2.tif", _stack, r"A2\.tif has several planes \(shape \[5, 3, 4\]\)"),
        ("A2.tif", _unlike, r"A2\.tif holds 2 images that make no stack"),
    ],
)
def test_what_is_no_grey_plane_is_refused_if_no_other_is_and_else_noted(
    write: Write, name: str, make: Callable[[Path], None], message: str
) -> None:
    folder = write("A3.tif")
    make(folder / name)
    contents = read(folder, r"(?P<well>\w\d)\.(tif|png)")
    assert (contents.plate.shape, contents.plate.dtype) == ((3, 4), "uint16")
    assert any(re.search(f"the well of A2.*will fail: .*{message}", note) for note in contents.notes)
    (folder / "A3.tif").unlink()
    with pytest.raises(ImageKindError, match=message):
        read(folder, r"(?P<well>\w\d)\.(tif|png)")


def test_a_channel_without_a_grey_plane_is_noted_and_others_are_mapped(write: Write) -> None:
    folder = write(*(f"A{column}_c1.tif" for column in range(1, 7)))
    for column in range(1, 7):
        _colour(folder / f"A{column}_c2.tif")
    contents = read(folder)
    assert (contents.plate.shape, contents.plate.dtype, len(contents.planes)) == ((3, 4), "uint16", 12)
    assert sum("will fail: " in note for note in contents.notes) == 3
    assert contents.notes[3] == "the wells of 3 more sampled files will fail too: A6_c2.tif, A5_c2.tif, A4_c2.tif"


def test_grey_planes_between_colours_at_both_ends_are_found(write: Write) -> None:
    folder = write(*(f"A{column}.tif" for column in range(1, 10)))
    for column in (1, 2, 3, 7, 8, 9):
        _colour(folder / f"A{column}.tif")
    assert read(folder).plate.shape == (3, 4)


@pytest.mark.parametrize("odd", ["A1", "A2", "A8"])
def test_one_odd_image_decides_nothing_wherever_it_is(write: Write, odd: str) -> None:
    folder = write(*(f"A{column}.tif" for column in range(1, 9)))
    write_tiff(folder / f"{odd}.tif", np.zeros((5, 5), "f4"))
    contents = read(folder)
    assert (contents.plate.shape, contents.plate.dtype) == ((3, 4), "uint16")
    assert odd == "A2" or f"the rarer are {odd}.tif" in contents.notes[0]


# --- as any microscope --------------------------------------------------------------------------------------------


def test_a_layout_of_the_configuration_is_mapped_as_any_microscope(write: Write, tmp_path: Path) -> None:
    folder = write("A1_s1_cGFP.tif", "A1_s2_cGFP.tif", "B1_s1_cGFP.tif")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))
    layouts = {"mine": Layout("mine", SIMPLE)}
    handler, why = get_microscope_handler(folder, "mine", layouts=layouts)
    assert why == f"pattern {SIMPLE}"
    info = handler.initialize_workspace(tmp_path / "results", plate="P", why=why)
    assert (info.microscope, info.wells, info.channels) == ("mine", ("A01", "B01"), {1: "GFP"})
    assert read_index(tmp_path / "results" / "index.parquet")[0] == info
    report = json.loads((tmp_path / "results" / "ingest_report.json").read_text())
    assert report["missing_planes"] == ["B01_s002_w1_z001_t001.tif"]
    assert before == sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_missing_planes_are_absent_and_known() -> None:
    contents = read_names("A1_s1_c1.tif", "A1_s2_c1.tif", "A1_s1_c2.tif")
    assert find_holes(contents.planes) == [PlaneKey("A01", 2, 2, 1, 1)]


def test_an_unknown_layout_is_an_error_with_the_nearest_name(write: Write) -> None:
    with pytest.raises(ConfigError, match="unknown microscope 'mne'; did you mean 'mine'"):
        get_microscope_handler(write("A1.tif"), "mne", layouts={"mine": Layout("mine", SIMPLE)})


def test_each_beginning_of_a_pattern_is_compiled_once_and_long_patterns_are_not_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = []
    monkeypatch.setattr(
        re, "compile", lambda pattern, compile_=re.compile: compiled.append(pattern) or compile_(pattern)
    )
    pattern = "(?P<well>A[0-9]+)/" + "(?:x[(]y)?" * 20
    deep = ["a/b/c/d/e/f/A01/z.tif", "a/b/c/d/e/f/A02/z.tif"]
    assert "it fits up to 'A02/'" in explain_mismatch(pattern, deep)
    assert len(compiled) <= len(pattern) + 2
    assert explain_mismatch(pattern * 5, deep) == ""
