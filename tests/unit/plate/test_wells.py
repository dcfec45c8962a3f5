from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.errors import WellfieldError, WellNameError
from wellfield.plate.wells import canonical_well, plate_shape, row_name, row_number, split_well, well_name

rows, columns = st.integers(0, 31), st.integers(0, 47)


@given(rows, columns)
def test_name_and_position_round_trip(row: int, column: int) -> None:
    assert split_well(well_name(row, column)) == (row, column)


def test_every_well_of_a_1536_well_plate_has_its_own_name() -> None:
    names = [well_name(row, column) for row in range(32) for column in range(48)]
    assert (names[0], names[26 * 48], names[-1], len(set(names))) == ("A01", "AA01", "AF48", 1536)


@given(rows, columns, st.booleans(), st.integers(0, 3), st.sampled_from(["", " ", "\t"]))
def test_usual_spellings_mean_the_same_well(row: int, column: int, lower: bool, zeros: int, space: str) -> None:
    letters = row_name(row).lower() if lower else row_name(row)
    assert canonical_well(f"{space}{letters}{'0' * zeros}{column + 1}{space}") == well_name(row, column)


@pytest.mark.parametrize(
    "name", ["", "A", "1", "A0", "A00", "A49", "AG01", "BA01", "ZZ1", "A1B", "A-1", "A 1", "A1.5", "Ä1", "A١", "A100"]
)
def test_what_is_no_well_is_an_error_that_shows_the_name(name: str) -> None:
    with pytest.raises(WellNameError, match=r"well name|outside a plate") as caught:
        canonical_well(name)
    assert name in str(caught.value)
    assert isinstance(caught.value, WellfieldError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (32, 0), (0, -1), (0, 48)])
def test_positions_outside_a_plate_are_refused(row: int, column: int) -> None:
    with pytest.raises(WellNameError):
        well_name(row, column)


@pytest.mark.parametrize("letters", ["", "AAA", "1", "AG", "Ä", "ß"])
def test_letters_that_are_no_row_are_refused(letters: str) -> None:
    with pytest.raises(WellNameError):
        row_number(letters)


@pytest.mark.parametrize(
    ("wells", "shape"),
    [([], (2, 3)), (["A01"], (2, 3)), (["B04"], (3, 4)), (["H12"], (8, 12)), (["A13"], (16, 24)), (["AF48"], (32, 48))],
)
def test_plate_shape_is_the_smallest_standard_plate_that_holds_all_wells(
    wells: list[str], shape: tuple[int, int]
) -> None:
    assert plate_shape(wells) == shape
