from __future__ import annotations

from pathlib import Path

import pytest

from wellfield.errors import ConfigError
from wellfield.plate.platemap import WellTreatment, compare_wells, read_plate_map

HEADER = "well,treatment,concentration,unit,control\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "map.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_well_gets_its_treatment_under_its_canonical_name(tmp_path: Path) -> None:
    text = HEADER + 'a1,DMSO,0,µM,negative\nB02,"Drug, 5-é",1e-3,nM,\n\nAF48,,,,empty\n'
    assert read_plate_map(write(tmp_path, text)) == {
        "A01": WellTreatment("A01", "DMSO", 0.0, "µM", "negative"),
        "B02": WellTreatment("B02", "Drug, 5-é", 0.001, "nM", ""),
        "AF48": WellTreatment("AF48", "", None, "", "empty"),
    }


def test_a_byte_order_mark_other_column_order_and_line_ends_are_fine(tmp_path: Path) -> None:
    text = "\ufeffcontrol,unit,well,treatment,concentration\r\npositive,uM,C3,X,2\r\n"
    assert read_plate_map(write(tmp_path, text)) == {"C03": WellTreatment("C03", "X", 2.0, "uM", "positive")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'well', 'treatment', 'concentration', 'unit', 'control'"),
        ("well;treatment;concentration;unit;control\nA01;x;1;uM;\n", "separated by commas"),
        ("well,treatment,concentration,unit\nA01,x,1,uM\n", "no column 'control'"),
        (HEADER + "A01,x,1,uM,\nA1,y,2,uM,\n", "line 3: well A01 is listed twice"),
        (HEADER + "A99,x,1,uM,\n", "line 2: column 99"),
        (HEADER + "\n\nQ,x,1,uM,\n", "line 4: 'Q' is not a well name"),
        (HEADER + "A01,x,many,uM,\n", "line 2: concentration 'many'"),
        (HEADER + "A01,x,nan,uM,\n", "concentration 'nan'"),
        (HEADER + "A01,x,-1,uM,\n", "concentration '-1'"),
        (HEADER + "A01,x,1,uM,Negative\n", "control 'Negative' is unknown; expected negative, positive, empty"),
        (HEADER + "A01,x,0,5,,negative\n", "line 2: more cells than columns, 6 for 5"),
        (HEADER + "A01,X,0,5,\n", "line 2: unit '5' is not a unit"),
        (HEADER + "A01,X,0,5 uM,\n", "line 2: unit '5 uM' is not a unit"),
        (HEADER + 'A01,X,"0,5",uM,\n', "line 2: concentration '0,5'"),
        (HEADER + "A01,X,,negative,\n", "line 2: unit 'negative' is not a unit"),
        (HEADER + "A01,X,0\n", "line 2: it ends before column 'unit'"),
        (HEADER + "A01,X,1_000,uM,\n", "line 2: concentration '1_000'"),
        (HEADER + "A01,X,1_0,uM,\n", "line 2: concentration '1_0'"),
        (HEADER + "A01,X,\u0661,uM,\n", "line 2: concentration"),
        (HEADER + "A01,X,inf,uM,\n", "line 2: concentration 'inf'"),
        (HEADER + "A01,X,1e999,uM,\n", "line 2: concentration '1e999'"),
        (HEADER + "A01,X,1e-999,uM,\n", "line 2: concentration '1e-999'"),
        (HEADER + "A\u0661,X,1,uM,\n", "line 2: 'A\u0661' is not a well name"),
        (
            HEADER + "A01,DMSO\u200b,1,uM,\n",
            "line 2: 'DMSO\\u200b' has a line break or a character that cannot be seen",
        ),
        (HEADER + 'A01,"X\nA02",1,uM,\n', "line 2: 'X\\nA02' has a line break"),
        (HEADER + 'A01,"X" y,1,uM,\n', "is a quote missing"),
        (HEADER + 'A01,"X,1,uM,\nA02,X,1,uM,\n', "is a quote missing"),
        (HEADER.strip() + ",concentration\nA01,X,1,uM,,100\n", "line 1: column 'concentration' is there twice"),
        ("well," + HEADER + "A1,B1,x,1,uM,\n", "line 1: column 'well' is there twice"),
        (HEADER.strip() + ",Control\nA1,x,1,uM,,negative\n", "line 1: unknown column 'Control'"),
        (HEADER, "it lists no well"),
        (HEADER.encode() + b"A01,caf\xe9,1,uM,\n", "cannot be read"),
    ],
)
def test_mistakes_are_errors_that_say_where_and_what(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=r"map\.csv") as caught:
        read_plate_map(write(tmp_path, text))
    assert message in str(caught.value)


def test_every_wrong_line_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_plate_map(write(tmp_path, HEADER + "A01,X,many,uM,\nA02,X,1,uM,\nA03,X,1,uM,maybe\nA02,Y,1,uM,\n"))
    assert [line.split(": ")[0].rpartition(" ")[2] for line in str(caught.value).splitlines()] == ["2", "4", "5"]


def test_blank_rows_and_spaces_around_cells_are_left_out(tmp_path: Path) -> None:
    text = HEADER + ",,,,\n  ,, ,,\n A1 , X , 1e3 , uM ,\r\n\n"
    assert read_plate_map(write(tmp_path, text)) == {"A01": WellTreatment("A01", "X", 1000.0, "uM", "")}


@pytest.mark.parametrize(
    "spellings", [("uM", "\u00b5M", "\u03bcM"), ("\u03bcM", "micromolar", "\u00b5 M"), ("ug/ml", "\u00b5g/ml")]
)
def test_all_wells_have_the_first_spelling_of_a_unit(tmp_path: Path, spellings: tuple[str, ...]) -> None:
    rows = "".join(f"A{number:02d},X,1,{unit},\n" for number, unit in enumerate(spellings, start=1))
    assert {entry.unit for entry in read_plate_map(write(tmp_path, HEADER + rows)).values()} == {spellings[0]}


def test_units_that_differ_stay_apart(tmp_path: Path) -> None:
    units = ["uM", "nM", "nm", "mM", "M", "unit", "%", ""]
    rows = "".join(f"A{number:02d},X,1,{unit},\n" for number, unit in enumerate(units, start=1))
    assert [entry.unit for entry in read_plate_map(write(tmp_path, HEADER + rows)).values()] == units


def test_a_treatment_is_one_however_its_accents_are_encoded(tmp_path: Path) -> None:
    found = read_plate_map(write(tmp_path, HEADER + "A01,\u00e9,1,uM,\nA02,e\u0301,1,uM,\n"))
    assert {entry.treatment for entry in found.values()} == {"\u00e9"}


def treatments(*wells: str) -> dict[str, WellTreatment]:
    return {well: WellTreatment(well, "X", None, "", "") for well in wells}


def test_a_map_of_another_plate_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"0 of 3 wells of the plate map are on the plate; the map has B01, B02, B03"):
        compare_wells(treatments("B01", "B02", "B03"), ["A01", "A02"])


def test_wells_that_map_or_plate_lack_are_named() -> None:
    assert compare_wells(treatments("A01", "B01"), ["A01", "A02", "A03"], processed=["A01", "A02"]) == [
        "1 of 2 wells of the plate map are not on the plate: B01.",
        "1 of 2 wells are not in the plate map: A02.",
    ]
    assert compare_wells(treatments("A01"), ["A01"]) == compare_wells({}, ["A01"]) == []


def test_a_treatment_in_several_units_is_named() -> None:
    def entry(well: str, unit: str, control: str = "") -> WellTreatment:
        return WellTreatment(well, "X", 1.0, unit, control)

    mixed = {"A01": entry("A01", "nM"), "A02": entry("A02", "µM"), "A03": entry("A03", "")}
    [note] = compare_wells(mixed, list(mixed))
    assert note.startswith("Treatment 'X' has concentrations in several units (nM, µM, none)")
    assert compare_wells({"A01": entry("A01", "nM"), "A02": entry("A02", "µM", "positive")}, ["A01", "A02"]) == []


def test_a_missing_map_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read"):
        read_plate_map(tmp_path / "none.csv")
