from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellfield import formats
from wellfield.errors import MetadataError, UnknownFormatError
from wellfield.formats.json_files import json_value, read_json, write_json
from wellfield.formats.table import read_csv, read_parquet, to_table, write_csv, write_parquet
from wellfield.formats.text import read_text, write_text

PAIRS = {".csv": (write_csv, read_csv), ".parquet": (write_parquet, read_parquet)}
both = pytest.mark.parametrize("suffix", PAIRS)


@dataclasses.dataclass
class Row:
    well: str
    count: int


# --- tables -------------------------------------------------------------------------------------------------------


@both
def test_columns_come_back_with_non_ascii_names_and_values(tmp_path: Path, suffix: str) -> None:
    write, read = PAIRS[suffix]
    data = {"Größe_µm²": [1.5, 2.25], "名前": ['a,"b"', "ü\nx"], "n": [1, -(2**62)], "ok": [True, False]}
    write(tmp_path / "t", data)
    assert read(tmp_path / "t").to_pydict() == data


@both
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, suffix: str) -> None:
    write, read = PAIRS[suffix]
    write(tmp_path / "t", {"a": np.empty(0), "b": []})
    table = read(tmp_path / "t")
    assert (table.column_names, table.num_rows) == (["a", "b"], 0)


@both
def test_a_table_without_columns_is_a_valid_file(tmp_path: Path, suffix: str) -> None:
    write, read = PAIRS[suffix]
    write(tmp_path / "t", [])
    assert read(tmp_path / "t").shape == (0, 0)


@both
@settings(deadline=None)
@given(
    data=st.dictionaries(
        st.sampled_from("abc"), st.lists(st.floats(allow_nan=False), min_size=3, max_size=3), min_size=1
    )
)
def test_floats_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: dict[str, list[float]]
) -> None:
    write, read = PAIRS[suffix]
    path = tmp_path_factory.mktemp("table") / "t"
    write(path, data)
    assert read(path).to_pydict() == data


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
COLUMNS = {
    "text": TEXT.map(lambda text: f"x{text}"),  # CSV takes what looks like a number for one
    "whole": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "truth": st.booleans(),
}


@both
@settings(deadline=None)
@given(data=st.data(), names=st.lists(TEXT.map(lambda text: f"n{text}"), unique=True, min_size=1, max_size=4))
def test_tables_round_trip(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject, names: list[str]
) -> None:
    write, read = PAIRS[suffix]
    rows = data.draw(st.integers(1, 5))
    kinds = st.sampled_from(list(COLUMNS.values()))
    columns = {name: data.draw(st.lists(data.draw(kinds), min_size=rows, max_size=rows)) for name in names}
    path = tmp_path_factory.mktemp("table") / "t"
    write(path, columns)
    assert read(path).to_pydict() == columns


def test_rows_dataclasses_frames_and_arrow_become_the_same_table() -> None:
    rows = [{"well": "A01", "count": 3}, {"well": "B02", "count": 4}]
    expected = pa.table({"well": ["A01", "B02"], "count": [3, 4]})
    for data in (rows, [Row(**row) for row in rows], tuple(rows), expected, {"well": ["A01", "B02"], "count": [3, 4]}):
        assert to_table(data).equals(expected)
    assert to_table(pd.DataFrame(rows)).to_pydict() == expected.to_pydict()


def test_rows_with_different_keys_lose_none() -> None:
    assert to_table([{"a": 1}, {"b": "x", "a": 2}]).to_pydict() == {"a": [1, 2], "b": [None, "x"]}


@pytest.mark.parametrize("one", [3, np.int64(3), np.array(3)], ids=["int", "number of NumPy", "array without axes"])
def test_scalars_are_a_table_of_one_row(one: Any) -> None:
    assert to_table({"well": "A01", "count": one}).to_pydict() == {"well": ["A01"], "count": [3]}
    assert to_table(Row("A01", 3)).to_pydict() == {"well": ["A01"], "count": [3]}


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8", ">u2", "?", "U3"])
def test_numpy_columns_keep_values_and_type(dtype: str) -> None:
    values = np.arange(6).astype(dtype)[::2]
    column = to_table({"a": values}).column("a")
    assert column.to_pylist() == values.tolist()
    assert column.type == (pa.string() if dtype == "U3" else pa.from_numpy_dtype(values.dtype.newbyteorder("=")))


def test_categories_are_written_as_their_text(tmp_path: Path) -> None:
    write_csv(tmp_path / "t", pd.DataFrame({"w": pd.Categorical(["b", "a", "b"])}))
    assert read_csv(tmp_path / "t").to_pydict() == {"w": ["b", "a", "b"]}


@pytest.mark.parametrize(
    "data",
    [print, "text", 3, [1, 2], {"a": [1, 2], "b": [1]}, {"a": np.zeros((2, 2))}, [{"a": 1}, {"a": "x"}]],
    ids=str,
)
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(UnknownFormatError):
        to_table(data)


def test_csv_refuses_nested_columns_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"t\.csv: CSV cannot hold .*outline"):
        write_csv(tmp_path / "t.csv", {"outline": [[1, 2], [3]]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("suffix", "content"), [(".csv", b"a,b\n1\n"), (".csv", b"a\n\xff\xfe\n"), (".parquet", b"")])
def test_broken_tables_are_errors_naming_the_file(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match="broken"):
        formats.reader(path)(path)
    with pytest.raises(FileNotFoundError):
        formats.reader(path)(tmp_path / f"none{suffix}")


def test_line_ends_inside_values_survive_in_long_tables(tmp_path: Path) -> None:
    data = {"a": ["line\n" * 50] * 20_000}  # several of the blocks that the reader takes at a time
    write_csv(tmp_path / "t.csv", data)
    assert read_csv(tmp_path / "t.csv").to_pydict() == data


def test_csv_has_a_header_commas_and_no_index(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", {"a": [1, 2], "b": [0.1, math.pi]})
    assert (tmp_path / "t.csv").read_text() == '"a","b"\n1,0.1\n2,3.141592653589793\n'


# --- text and JSON ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".json"])
def test_a_str_is_written_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    text = '{"µ": 1}\r\n  tail\n'
    formats.writer(path)(path, text)
    assert path.read_bytes() == text.encode()


def test_text_comes_back_with_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "µ\r\nx\ry\n")
    assert read_text(tmp_path / "a.txt") == "µ\r\nx\ry\n"


def test_text_takes_and_gives_only_text(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"a\.txt"):
        write_text(tmp_path / "a.txt", 3)
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UnknownFormatError, match=r"b\.txt"):
        read_text(tmp_path / "b.txt")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@settings(deadline=None)
@given(json_values.filter(lambda value: not isinstance(value, str)))
def test_json_round_trips(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)
    assert read_json(path) == value


def test_numpy_and_paths_become_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"n": np.uint16(3), "f": np.float32(0.5), "a": np.eye(2), "p": Path("x/y")})
    assert read_json(tmp_path / "a.json") == {"n": 3, "f": 0.5, "a": [[1, 0], [0, 1]], "p": "x/y"}


def test_what_is_no_json_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    loop: list[Any] = []
    loop.append(loop)
    for value in ({"a": object()}, {(1, 2): 3}, loop):
        with pytest.raises(UnknownFormatError, match=r"a\.json"):
            write_json(path, value)
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (math.nan, "the value"),
        ({"a": [1.5, {"µ": -math.inf}]}, r"the value\['a'\]\[1\]\['µ'\]"),
        ({"a": np.array([[1, math.inf]])}, r"the value\['a'\]\[0\]\[1\]"),
        ((1, np.float32("nan")), r"the value\[1\]"),
    ],
    ids=str,
)
def test_nan_is_refused_with_its_place(tmp_path: Path, data: Any, place: str) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(UnknownFormatError, match=rf"a\.json: {place} is NaN or infinite, .* give None"):
        write_json(path, data)
    with pytest.raises(UnknownFormatError, match=rf"^{place} is NaN or infinite"):
        json_value(data)
    assert read_json(path) == {"a": 1}


def test_nan_of_other_programs_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": NaN}')
    assert math.isnan(read_json(tmp_path / "a.json")["a"])


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".json"])
def test_text_that_utf8_cannot_hold_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(UnknownFormatError, match=rf"a\{suffix}: the text cannot be written in UTF-8"):
        formats.writer(path)(path, "\ud800")
    assert not list(tmp_path.iterdir())


def test_a_table_with_text_that_utf8_cannot_hold_or_a_number_beyond_64_bits_is_refused() -> None:
    for value in ("\ud800", 2**70):
        with pytest.raises(UnknownFormatError):
            to_table({"a": [value]})


def test_a_folder_of_parquet_files_is_no_table(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet" / "b.parquet", {"a": [1]})
    with pytest.raises(UnknownFormatError, match=r"a\.parquet is a folder"):
        read_parquet(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b"1" * 5_000, b"{'a': 1}", b'{"a": 1}{}'],
    ids=["empty", "brace", "cut", "bytes", "deep", "digits", "quotes", "two"],
)
def test_corrupt_json_is_an_error_naming_the_file_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "corrupt.json"
    path.write_bytes(content)
    with pytest.raises(MetadataError, match=r"corrupt\.json is not valid JSON"):
        read_json(path)
    assert path.read_bytes() == content


# --- suffixes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.TIF", ".tif"),
        ("a.ome.tiff", ".ome.tiff"),
        ("a.OME.tif", ".ome.tif"),
        ("a.roi.zip", ".roi.zip"),
        ("a.b.csv", ".csv"),
        ("a", ""),
        ("a.pkl", ""),
        ("a.zip", ""),
        ("x.tif/a.md", ""),
    ],
)
def test_the_suffix_decides_the_format(name: str, suffix: str) -> None:
    assert formats.format_suffix(name) == suffix


@pytest.mark.parametrize("name", ["a", "a.pkl", "a.pickle", "a.tif.gz", "a.zip", "roi.zip"])
def test_an_unknown_suffix_is_an_error_listing_the_known(name: str) -> None:
    for find in (formats.reader, formats.writer):
        with pytest.raises(UnknownFormatError, match=r"unknown suffix; expected one of \.tif"):
            find(name)
