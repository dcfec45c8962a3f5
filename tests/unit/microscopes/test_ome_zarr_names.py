"""Wells and fields of OME-Zarr plates by their names: the whole list says how they are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.unit.microscopes.ngff_plates import VERSIONS, Image, write_plate
from wellfield.errors import MetadataError
from wellfield.microscopes.parsed_plate import ParsedPlate

Read = Callable[[Path], ParsedPlate]
Fields = dict[str, set[int]]
ONE = {"0": Image("yx")}


def numbers(count: int, first: int = 0, digits: int = 1) -> list[str]:
    return [f"{number:0{digits}}" for number in range(first, first + count)]


def write_wells(
    store: Path,
    wells: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    indices: Sequence[tuple[int, int]] | None = None,
    version: str = "0.4",
) -> None:
    """Write wells of one field; their indices are places in the lists unless they are given."""
    places = [(rows.index(w.split("/")[0]), columns.index(w.split("/")[1])) for w in wells if indices is None]
    listed = [
        {"path": well, "rowIndex": row, "columnIndex": column}
        for well, (row, column) in zip(wells, indices or places, strict=True)
    ]
    named = {"rows": [{"name": name} for name in rows], "columns": [{"name": name} for name in columns]}
    write_plate(store, dict.fromkeys(wells, ONE), version, plate={**named, "wells": listed})


# --- wells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("wells", "rows", "columns", "expected", "note"),
    [
        (["0/0", "0/2"], ["0"], numbers(3), ["A01", "A03"], "rows are numbers, counted from 0 and columns are numbers"),
        (["4/11", "5/11"], numbers(16), numbers(24), ["E12", "F12"], "rows are numbers, counted from 0"),
        (["04/11"], numbers(16, 0, 2), numbers(24, 0, 2), ["E12"], "rows are numbers, counted from 0"),
        (["A/3", "C/5"], "ABCDEFGH", numbers(12), ["A04", "C06"], "columns are numbers, counted from 0"),
        (["A/00", "H/11"], "ABCDEFGH", numbers(12, 0, 2), ["A01", "H12"], "columns are numbers, counted from 0"),
        (["2/3"], numbers(8, 1), numbers(12, 1), ["B03"], "rows are numbers, counted from 1"),
        (["3/2", "5/4"], ["3", "5"], ["2", "4"], ["C02", "E04"], "rows are numbers, counted from 1"),
        (["0/1", "0/2"], ["0"], ["1", "2"], ["A02", "A03"], "columns are numbers, counted from 0"),
        (["A/3", "C/5"], ["A", "C"], ["3", "5"], ["A03", "C05"], None),
    ],
)
def test_numbers_count_from_0_where_a_row_or_column_is_named_0(
    tmp_path: Path,
    read: Read,
    *,
    wells: list[str],
    rows: list[str],
    columns: list[str],
    expected: list[str],
    note: str | None,
    version: str,
) -> None:
    write_wells(tmp_path / "p", wells, list(rows), columns, version=version)
    contents = read(tmp_path / "p")
    assert {plane.path.split("/0/0#")[0]: plane.key.well for plane in contents.planes} == dict(
        zip(wells, expected, strict=True)
    )
    assert len(contents.notes) == (note is not None)
    assert note is None or note in contents.notes[0]


def test_indices_on_the_plate_say_that_numbers_count_from_0(tmp_path: Path, read: Read) -> None:
    write_wells(tmp_path / "p", ["A/3", "C/5"], ["A", "C"], ["3", "5"], indices=[(0, 3), (2, 5)])
    contents = read(tmp_path / "p")
    assert {plane.key.well for plane in contents.planes} == {"A04", "C06"}
    assert contents.notes == ["2 wells, such as A/3 (A04): columns are numbers, counted from 0, as their indices say"]


def test_letters_and_digits_in_one_list_are_told_by_the_indices(tmp_path: Path, read: Read) -> None:
    write_wells(tmp_path / "p", ["A/1", "2/1"], ["A", "2"], ["1"])
    contents = read(tmp_path / "p")
    assert {plane.path[:3]: plane.key.well for plane in contents.planes} == {"A/1": "A01", "2/1": "B01"}
    assert "rowIndex and columnIndex tell the well" in contents.notes[0]


@pytest.mark.parametrize(
    ("wells", "rows", "columns", "indices", "message"),
    [
        (["4/11"], numbers(16), numbers(24), [(3, 11)], "the path 4/11, but rowIndex 3, .* is '3'; expected '4'"),
        (["A/3"], ["A"], numbers(12), [(0, 2)], "columnIndex 2, .* is '2'; expected '3'"),
        (["left/1"], ["left", "right"], ["1"], [(1, 0)], "rowIndex 1, .* is 'right'; expected 'left'"),
        (["0/1"], ["0"], numbers(12, 1), None, "rows are named by numbers from 0 on and its columns from 1 to 12"),
        (["1/0"], numbers(8, 1), ["0"], None, "columns are named by numbers from 0 on and its rows from 1 to 8"),
        (["0/48"], ["0"], ["48"], None, "column 48 is outside a plate"),
    ],
)
def test_names_and_indices_that_do_not_fit_are_an_error(
    tmp_path: Path,
    read: Read,
    *,
    wells: list[str],
    rows: list[str],
    columns: list[str],
    indices: list[tuple[int, int]] | None,
    message: str,
) -> None:
    write_wells(tmp_path / "p", wells, rows, columns, indices=indices)
    with pytest.raises(MetadataError, match=message):
        read(tmp_path / "p")


# --- fields -------------------------------------------------------------------------------------------------------


def fields(contents: ParsedPlate) -> Fields:
    found: Fields = {}
    for plane in contents.planes:
        found.setdefault(plane.key.well, set()).add(plane.key.field)
    return found


def write_fields(store: Path, *wells: Sequence[str], acquisitions: dict[str, int] | None = None) -> None:
    """Write wells A/1, A/2, … that list images of these names."""
    images = {f"A/{number}": dict.fromkeys(names, Image("yx")) for number, names in enumerate(wells, start=1)}
    write_plate(store, images, acquisitions=acquisitions)


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["000", "001", "002", "003"], None),
        (["01", "2", "03", "4"], None),
        (["FOV_0", "FOV_1", "FOV_2", "FOV_3"], "the number in the name is the field's"),
        (["0_corr", "1_corr", "2_corr", "3_corr"], "the number in the name is the field's"),
        (["north", "east", "south", "west"], "fields are numbered by their positions in the wells' lists, of A/1"),
    ],
)
def test_an_image_that_a_well_lacks_moves_no_other(
    tmp_path: Path, read: Read, names: list[str], note: str | None
) -> None:
    write_fields(tmp_path / "p", names, [names[0], *names[2:]])
    contents = read(tmp_path / "p")
    assert fields(contents) == {"A01": {1, 2, 3, 4}, "A02": {1, 3, 4}}
    assert len(contents.notes) == (note is not None)
    assert note is None or note in contents.notes[0]


def test_two_images_of_one_number_are_an_error(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["1", "2", "01"])
    with pytest.raises(MetadataError, match="images 1 and 01 of well A/1 are both field 1"):
        read(tmp_path / "p")


@pytest.mark.parametrize(
    "derived", ["0_illum_corr", "0-registered", "0.mip", "0_illum_corr_mip", "mip_0", "illum_corr_0"]
)
def test_an_image_that_was_made_of_another_is_no_field(tmp_path: Path, read: Read, derived: str) -> None:
    names = ["0", derived, "1"]
    write_fields(tmp_path / "p", names, names, acquisitions=dict.fromkeys(names, 0))
    contents = read(tmp_path / "p")
    assert {plane.path: plane.key.field for plane in contents.planes if plane.key.well == "A01"} == {
        "A/1/0/0#[]": 1,
        "A/1/1/0#[]": 2,
    }
    assert contents.ignored == {
        "image that a program made of another one of its well and acquisition": [f"A/1/{derived}", f"A/2/{derived}"]
    }
    assert contents.notes == []


def test_that_one_place_may_be_there_twice_is_said(tmp_path: Path, read: Read) -> None:
    names = ["raw_0", "deconv_0"]
    write_fields(tmp_path / "p", names, names, acquisitions=dict.fromkeys(names, 0))
    [note] = read(tmp_path / "p").notes
    assert "some end in the same number: if they show one place, it is counted more than once" in note


def test_a_well_that_has_only_a_derived_image_lacks_the_field(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["0", "0_illum_corr"], ["0_illum_corr"])
    contents = read(tmp_path / "p")
    assert fields(contents) == {"A01": {1}}
    assert contents.notes[0].startswith("well A/2 has only images that a program made of others")


def test_images_of_other_acquisitions_and_numbers_with_numbers_are_fields(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["0", "0_second"], acquisitions={"0": 0, "0_second": 1})
    assert fields(read(tmp_path / "p")) == {"A01": {1, 2}}
    write_fields(tmp_path / "q", ["0", "0_1", "0_2"])
    assert fields(read(tmp_path / "q")) == {"A01": {1, 2, 3}}


def test_names_that_begin_otherwise_in_each_well_are_told_by_their_number(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["scan7_0", "scan7_1", "scan7_2"], ["scan8_0", "scan8_2"])
    assert fields(read(tmp_path / "p")) == {"A01": {1, 2, 3}, "A02": {1, 3}}


def test_a_number_that_counts_through_the_plate_is_not_the_fields(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["img_1", "img_2"], ["img_3", "img_4"])
    contents = read(tmp_path / "p")
    assert fields(contents) == {"A01": {1, 2}, "A02": {1, 2}}
    assert "fields are numbered by their positions in the wells' lists" in contents.notes[0]


def test_the_end_of_a_long_number_is_not_the_fields(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["1230000007", "1230000009"], ["1230000009"])
    assert fields(read(tmp_path / "p")) == {"A01": {1, 2}, "A02": {2}}


def test_a_well_without_an_image_is_listed_and_said(tmp_path: Path, read: Read) -> None:
    write_fields(tmp_path / "p", ["0"], [])
    contents = read(tmp_path / "p")
    assert (contents.notes, contents.ignored) == (["well A/2 lists no image"], {})
