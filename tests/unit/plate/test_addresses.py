import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellfield.plate.addresses import ArrayPlane, parse_array_plane


@given(st.text(min_size=1), st.lists(st.integers(0, 10**6)).map(tuple))
def test_an_address_is_read_as_it_was_written(array: str, index: tuple[int, ...]) -> None:
    assert parse_array_plane(ArrayPlane(array, index).path) == ArrayPlane(array, index)


@pytest.mark.parametrize(
    "path",
    [
        "a.tif",
        "a#[0].tif",
        "a#[0",
        "a[0]",
        "#[0]",
        "a#[-1]",
        "a#[01]",
        "a#[0,]",
        "a#[,0]",
        "a#[0 ,1]",
        "a#[x]",
        "a#[٣]",
    ],
)
def test_other_paths_are_those_of_files(path: str) -> None:
    assert parse_array_plane(path) is None


def test_spellings() -> None:
    assert ArrayPlane("B/2/0/0", (0, 1, 2)).path == "B/2/0/0#[0,1,2]"
    assert parse_array_plane("x#[1]#[]") == ArrayPlane("x#[1]", ())
