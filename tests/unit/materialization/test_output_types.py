"""Every writer with every kind of data: what a file holds, or why there is none."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tifffile

from tests.libraries import ON_CPU, as_type
from tests.unit.materialization.regions import draw
from wellfield.errors import MaterializationError
from wellfield.formats.tiff import COMPRESSIONS, Calibration, read_calibration
from wellfield.materialization import (
    CsvOptions,
    ImagePlace,
    JsonOptions,
    MaterializationSpec,
    ParquetOptions,
    ROIOptions,
    TextOptions,
    TiffStackOptions,
    materialize,
)
from wellfield.storage import FileManager

TABLES = [CsvOptions, ParquetOptions]
ALL = [*TABLES, JsonOptions, ROIOptions, TiffStackOptions, TextOptions]
LABELS = np.array([[[0, 1, 1], [2, 2, 0]], [[3, 3, 3], [3, 0, 3]]], np.int32)


@dataclass
class Cell:
    well: str
    area: float


@dataclass
class Counts:
    cells: int = 2
    areas: list[float] = field(default_factory=lambda: [1.5, 2.5])
    rows: list[Cell] = field(default_factory=lambda: [Cell("A01", 1.5), Cell("A02", 2.5)])


def written(option: Any, data: Any, folder: Path, files: FileManager, place: ImagePlace | None = None) -> Any:
    """Write with one option, and return what the file holds; tables as columns."""
    path = materialize(MaterializationSpec(option), data, folder / "out", files, place=place or ImagePlace())
    found = files.load(path, "disk")
    return found.to_pydict() if isinstance(found, pa.Table) else found


# --- tables -------------------------------------------------------------------------------------------------------

ROWS = [{"well": "A01", "area": 1.5}, {"well": "A02", "area": 2.5}]
COLUMNS = {"well": ["A01", "A02"], "area": [1.5, 2.5]}


@pytest.mark.parametrize("option", TABLES)
@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS).iloc[::-1].sort_index(),
        pd.DataFrame(COLUMNS).set_index("well"),
        pa.table(COLUMNS),
        COLUMNS,
        {"well": np.array(["A01", "A02"]), "area": np.array([1.5, 2.5])},
        ROWS,
        tuple(ROWS),
        [Cell("A01", 1.5), Cell("A02", 2.5)],
    ],
    ids=[
        "DataFrame",
        "sorted DataFrame",
        "DataFrame by well",
        "Arrow",
        "columns",
        "arrays",
        "rows",
        "tuple",
        "dataclasses",
    ],
)
def test_whatever_holds_rows_becomes_a_table(option: Any, data: Any, tmp_path: Path, files: FileManager) -> None:
    assert written(option(), data, tmp_path, files) == COLUMNS


@pytest.mark.parametrize("option", TABLES)
def test_a_dataclass_or_numbers_by_name_are_one_row(option: Any, tmp_path: Path, files: FileManager) -> None:
    for data in (Cell("A01", 1.5), {"well": "A01", "area": 1.5}, {"well": "A01", "area": np.float64(1.5)}):
        assert written(option(), data, tmp_path, files) == {"well": ["A01"], "area": [1.5]}


@pytest.mark.parametrize("memory_type", ON_CPU)
def test_columns_of_any_library_are_taken(memory_type: str, tmp_path: Path, files: FileManager) -> None:
    column = as_type(np.array([1.5, 2.5], np.float32), memory_type)
    assert written(CsvOptions(), {"area": column}, tmp_path, files) == {"area": [1.5, 2.5]}


@pytest.mark.parametrize("option", TABLES)
def test_fields_choose_columns_and_their_order(option: Any, tmp_path: Path, files: FileManager) -> None:
    data = {"a": [1], "b": [2], "c": [3]}
    assert list(written(option(fields=["c", "a"]), data, tmp_path, files).items()) == [("c", [3]), ("a", [1])]


@pytest.mark.parametrize("option", TABLES)
@pytest.mark.parametrize("data", [None, [], {}, ()], ids=repr)
def test_no_rows_are_a_valid_file_with_the_columns_that_are_known(
    option: Any, data: Any, tmp_path: Path, files: FileManager
) -> None:
    assert written(option(), data, tmp_path, files) == {}
    assert written(option(fields=("well", "area")), data, tmp_path, files) == {"well": [], "area": []}


@pytest.mark.parametrize("option", TABLES)
@pytest.mark.parametrize("data", [{"well": [], "area": []}, pd.DataFrame(columns=["well", "area"])], ids=["dict", "df"])
def test_an_empty_table_keeps_its_header(option: Any, data: Any, tmp_path: Path, files: FileManager) -> None:
    assert written(option(), data, tmp_path, files) == {"well": [], "area": []}


def test_the_header_of_an_empty_csv_is_its_first_line(tmp_path: Path, files: FileManager) -> None:
    written(CsvOptions(fields=("well", "area")), [], tmp_path, files)
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["well", "area"]]


@pytest.mark.parametrize("option", TABLES)
@pytest.mark.parametrize(
    "data",
    ["text", 3, LABELS, [1, 2], [LABELS], {"a": [1, 2], "b": [1, 2, 3]}, pd.DataFrame({"a": [1, "x"]})],
    ids=["text", "number", "labels", "numbers", "list of labels", "ragged", "mixed"],
)
def test_what_is_no_table_is_refused(option: Any, data: Any, tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(
        MaterializationError, match=rf"out\{option().filename_suffix}: .*(not a table|not make a table)"
    ):
        written(option(), data, tmp_path, files)
    assert not list(tmp_path.iterdir())


def test_a_missing_column_is_named(tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match=r"out\.csv: the table has no column x, y; it has well, area"):
        written(CsvOptions(fields=("x", "well", "y")), ROWS, tmp_path, files)


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"a": [1, 2.5, None, True, "µ"]}, {"a": [1, 2.5, None, True, "µ"]}),
        (ROWS, ROWS),
        (Counts(), {"cells": 2, "areas": [1.5, 2.5], "rows": ROWS}),
        ({"cells": [Cell("A01", 1.5)]}, {"cells": [{"well": "A01", "area": 1.5}]}),
        (pd.DataFrame(COLUMNS), ROWS),
        ({"rows": pa.table(COLUMNS)}, {"rows": ROWS}),
        ({"column": pd.Series([1, 2])}, {"column": [1, 2]}),
        (LABELS, LABELS.tolist()),
        ({np.int64(7): np.float32(0.5), 8: (1, 2)}, {"7": 0.5, "8": [1, 2]}),
        (np.uint16(3), 3),
        (2.5, 2.5),
        ("text µ", "text µ"),
        ("3", "3"),
        (None, None),
        ([], []),
        ({}, {}),
    ],
    ids=repr,
)
def test_json_holds_values_dataclasses_tables_and_arrays(
    data: Any, expected: Any, tmp_path: Path, files: FileManager
) -> None:
    assert written(JsonOptions(), data, tmp_path, files) == expected


@pytest.mark.parametrize("memory_type", ON_CPU)
def test_arrays_of_any_library_are_lists_in_json(memory_type: str, tmp_path: Path, files: FileManager) -> None:
    found = written(JsonOptions(), {"x": as_type(np.array([1.5, 2], np.float32), memory_type)}, tmp_path, files)
    assert found == {"x": [1.5, 2.0]}


def test_a_missing_value_of_a_dataframe_is_null(tmp_path: Path, files: FileManager) -> None:
    assert written(JsonOptions(), pd.DataFrame({"a": [1.5, None]}), tmp_path, files) == [{"a": 1.5}, {"a": None}]


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": object()}, {1, 2}], ids=["NaN", "object", "set"])
def test_what_json_cannot_hold_is_refused(data: Any, tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match=r"out\.json: "):
        written(JsonOptions(), data, tmp_path, files)
    assert not list(tmp_path.iterdir())


def test_the_indent_of_json_can_be_chosen(tmp_path: Path, files: FileManager) -> None:
    written(JsonOptions(indent=None), {"a": [1]}, tmp_path, files)
    assert (tmp_path / "out.json").read_text() == '{"a": [1]}\n'


# --- text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("text µ\r\n", "text µ\r\n"),
        (3, "3\n"),
        (2.5, "2.5\n"),
        (np.float64(2.5), "2.5\n"),
        (np.array(7), "7\n"),
        (True, "True\n"),
        (["a", 1], "a\n1\n"),
        (None, ""),
        ([], ""),
        ("", ""),
    ],
    ids=repr,
)
def test_text_is_kept_and_numbers_are_lines(data: Any, expected: str, tmp_path: Path, files: FileManager) -> None:
    assert written(TextOptions(), data, tmp_path, files) == expected


@pytest.mark.parametrize("data", [pd.DataFrame(COLUMNS), COLUMNS, {}, ROWS, Cell("A01", 1.5), LABELS, b"x"], ids=repr)
def test_what_is_no_text_is_refused_with_what_to_write_instead(data: Any, tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match=r"out\.txt: a text file takes text, .* CsvOptions, .* JsonOptions"):
        written(TextOptions(), data, tmp_path, files)


# --- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)], ids=str)
def test_images_keep_values_and_dtype(dtype: str, shape: tuple[int, ...], tmp_path: Path, files: FileManager) -> None:
    image = (np.arange(np.prod(shape)).reshape(shape) % 3).astype(dtype)
    np.testing.assert_array_equal(written(TiffStackOptions(), image, tmp_path, files), image, strict=True)


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8"])
@pytest.mark.parametrize(
    ("highest", "stored"), [(65_535, "u2"), (65_536, "u4"), (2**31 - 1, "u4"), (2**32 - 1, "u4"), (2**32, None)]
)
def test_labels_get_the_narrowest_type_that_holds_every_id(
    dtype: str, highest: int, stored: str | None, tmp_path: Path, files: FileManager
) -> None:
    if highest > np.iinfo(dtype).max:
        return
    labels = np.array([[0, 1], [2, highest]], dtype)
    expected = labels.astype(stored or dtype)
    np.testing.assert_array_equal(written(TiffStackOptions(), labels, tmp_path, files), expected, strict=True)


def test_whole_numbers_below_zero_keep_their_dtype(tmp_path: Path, files: FileManager) -> None:
    image = np.array([[-1, 5]], np.int32)
    np.testing.assert_array_equal(written(TiffStackOptions(), image, tmp_path, files), image, strict=True)


def test_no_object_is_an_image_of_background(tmp_path: Path, files: FileManager) -> None:
    found = written(TiffStackOptions(), np.zeros((2, 3, 4), np.int64), tmp_path, files)
    np.testing.assert_array_equal(found, np.zeros((2, 3, 4), np.uint16), strict=True)


def test_planes_of_a_list_become_a_stack(tmp_path: Path, files: FileManager) -> None:
    found = written(TiffStackOptions(), list(LABELS), tmp_path, files)
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compression_and_calibration_are_in_the_file(
    compression: str | None, tmp_path: Path, files: FileManager
) -> None:
    place = ImagePlace(pixel_size_um=0.5, z_spacing_um=2.0)
    written(TiffStackOptions(compression=compression), np.zeros((3, 64, 64), np.uint16), tmp_path, files, place)
    assert read_calibration(tmp_path / "out.tif") == Calibration(0.5, 2.0, "ZYX")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        names = {None: "NONE", "none": "NONE", "zlib": "ADOBE_DEFLATE", "zstd": "ZSTD", "lzw": "LZW"}
        assert file.pages.first.compression.name == names[compression]


def test_a_plane_has_no_spacing_and_what_is_unknown_is_not_invented(tmp_path: Path, files: FileManager) -> None:
    plane = np.zeros((4, 5), np.uint16)
    written(TiffStackOptions(), plane, tmp_path, files, ImagePlace(pixel_size_um=0.5, z_spacing_um=2.0))
    assert read_calibration(tmp_path / "out.tif") == Calibration(0.5, None, "YX")
    written(TiffStackOptions(), plane, tmp_path, files)
    assert read_calibration(tmp_path / "out.tif") == Calibration(None, None, "YX")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pd.DataFrame(COLUMNS), "not a DataFrame"),
        (COLUMNS, "not a dict"),
        (ROWS, "not a list"),
        ([], "not a list"),
        (Cell("A01", 1.5), "not a Cell"),
        ("text", "not a str"),
        (3, "not a int"),
        (None, "not a NoneType"),
        (np.zeros(3), r"shape \[3\]"),
        (np.zeros((1, 2, 3, 4)), r"shape \[1, 2, 3, 4\]"),
        (np.zeros((0, 4)), r"shape \[0, 4\]"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], r"float64 \[2, 2\] and float64 \[2, 3\]; expected planes"),
        ([np.zeros((2, 2), "u2"), np.zeros((2, 2), "i8")], r"int64 \[2, 2\] and uint16 \[2, 2\]; expected planes"),
        ([LABELS, LABELS], "expected planes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_image_is_refused(data: Any, reason: str, tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match=rf"out\.tif: .*{reason}"):
        written(TiffStackOptions(), data, tmp_path, files)
    assert not list(tmp_path.iterdir())


# --- regions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [LABELS, list(LABELS), LABELS.astype(">u2")], ids=["stack", "planes", "big-endian"])
def test_labels_become_regions(data: Any, tmp_path: Path, files: FileManager) -> None:
    np.testing.assert_array_equal(draw(written(ROIOptions(), data, tmp_path, files), LABELS), LABELS)


def test_regions_tell_where_their_image_is(tmp_path: Path, files: FileManager) -> None:
    found = written(ROIOptions(), LABELS, tmp_path, files, ImagePlace(channel=2, z=(4, 6), timepoint=3))
    positions = [(roi.name, roi.c_position, roi.z_position, roi.t_position) for roi in found]
    assert positions == [("1", 2, 4, 3), ("2", 2, 4, 3), ("3", 2, 6, 3)]


@pytest.mark.parametrize("data", [None, [], (), np.zeros((3, 4, 5), int), np.zeros((4, 5), np.uint8)], ids=type)
def test_no_object_is_an_empty_archive(data: Any, tmp_path: Path, files: FileManager) -> None:
    assert written(ROIOptions(), data, tmp_path, files) == []


@pytest.mark.parametrize(
    "data",
    [pd.DataFrame(COLUMNS), COLUMNS, ROWS, Cell("A01", 1.5), "text", 3, np.ones((2, 2), bool), np.ones(3, int)],
    ids=type,
)
def test_what_holds_no_labels_is_refused(data: Any, tmp_path: Path, files: FileManager) -> None:
    with pytest.raises(MaterializationError, match=r"out\.roi\.zip: "):
        written(ROIOptions(), data, tmp_path, files)
    assert not list(tmp_path.iterdir())


# --- all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory_type", ON_CPU)
@pytest.mark.parametrize("option", [ROIOptions, TiffStackOptions])
def test_labels_of_any_library_are_written(option: Any, memory_type: str, tmp_path: Path, files: FileManager) -> None:
    found = written(option(), as_type(LABELS, memory_type), tmp_path, files)
    np.testing.assert_array_equal(draw(found, LABELS) if option is ROIOptions else found, LABELS)


@pytest.mark.parametrize("option", ALL)
def test_every_writer_takes_a_part_of_the_data(option: Any, tmp_path: Path, files: FileManager) -> None:
    parts = {ROIOptions: LABELS, TiffStackOptions: LABELS, TextOptions: "text", JsonOptions: COLUMNS}
    data = {"parts": [None, {"this": parts.get(option, COLUMNS)}]}
    found = written(option(source="parts.1.this"), data, tmp_path, files)
    expected = written(option(), parts.get(option, COLUMNS), tmp_path, files)
    np.testing.assert_equal(found, expected)
    with pytest.raises(MaterializationError, match=rf"out\{option().filename_suffix}: source 'parts\.2'"):
        written(option(source="parts.2"), data, tmp_path, files)


@pytest.mark.parametrize("option", ALL)
def test_writing_again_gives_the_same_bytes(option: Any, tmp_path: Path, files: FileManager) -> None:
    data = {ROIOptions: LABELS, TiffStackOptions: LABELS, TextOptions: "text"}.get(option, COLUMNS)
    suffix, contents = option().filename_suffix, []
    for name in ("a", "b"):
        materialize(MaterializationSpec(option()), data, tmp_path / name, files)
        contents.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert contents[0] == contents[1]
