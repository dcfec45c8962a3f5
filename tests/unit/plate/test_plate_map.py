from __future__ import annotations

from pathlib import Path

import pytest

from wellfield.errors import ConfigError
from wellfield.plate.platemap import WellTreatment, read_plate_map

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
        (HEADER + "\n\nQ,x,1,uM,\n", "line 4: 'Q' is no well name"),
        (HEADER + "A01,x,many,uM,\n", "line 2: concentration 'many'"),
        (HEADER + "A01,x,nan,uM,\n", "concentration 'nan'"),
        (HEADER + "A01,x,-1,uM,\n", "concentration '-1'"),
        (HEADER + "A01,x,1,uM,Negative\n", "control 'Negative' is unknown; expected negative, positive, empty"),
        (HEADER + "A01,x,0,5,,negative\n", "line 2: more values than columns"),
        (HEADER.encode() + b"A01,caf\xe9,1,uM,\n", "cannot be read"),
    ],
)
def test_mistakes_are_errors_that_say_where_and_what(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=r"map\.csv") as caught:
        read_plate_map(write(tmp_path, text))
    assert message in str(caught.value)


def test_a_missing_map_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read"):
        read_plate_map(tmp_path / "none.csv")
