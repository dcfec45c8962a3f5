"""Convert the tables that functions return to columns, and read and write them as CSV and Parquet.

A table in memory is a mapping from column name to values of equal length, a list of dictionaries or dataclasses, or a
pandas DataFrame. Each is converted to a :class:`pyarrow.Table`.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading, wrap_write_errors

if TYPE_CHECKING:
    import pandas


def to_table(data: Any) -> Any:
    """Return *data* as a :class:`pyarrow.Table`; a mapping with scalars becomes a table of one row.

    Raises
    ------
    UnknownFormatError
        The data is not a table.
    """
    import pyarrow as pa

    pandas = sys.modules.get("pandas")
    if isinstance(data, pa.Table):
        return data
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return pa.Table.from_pandas(data, preserve_index=False)
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        data = dataclasses.asdict(data)
    if isinstance(data, Mapping):
        try:
            columns = {str(name): _column(values) for name, values in data.items()}
            return pa.Table.from_arrays(list(columns.values()), names=list(columns))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            lengths = {name: len(values) for name, values in data.items() if hasattr(values, "__len__")}
            raise UnknownFormatError(f"columns do not make a table: {error}; lengths {lengths}") from error
    if isinstance(data, list | tuple):
        rows = [dataclasses.asdict(row) if dataclasses.is_dataclass(row) else row for row in data]  # type: ignore[arg-type]
        if all(isinstance(row, Mapping) for row in rows):
            # pyarrow would take only the columns of the first row and silently drop all others.
            names = dict.fromkeys(name for row in rows for name in row)
            return to_table({name: [row.get(name) for row in rows] for name in names}) if names else pa.table({})
    raise UnknownFormatError(f"a {type(data).__name__} is not a table; expected columns, rows or a DataFrame")


def _column(values: Any) -> Any:
    """Return one column as an Arrow array; a scalar is a column of one row.

    Arrow imports pandas before it converts Python objects, which takes longer than most tables. So numbers and text are
    passed as buffers, with the same result.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if getattr(values, "ndim", 1) == 0:  # a NumPy scalar or a 0-d array
        values = [values.item()]
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        values = [values]
    items = values if isinstance(values, np.ndarray) else list(values)
    if isinstance(items, list) and items and all(type(item) is str for item in items):
        return text_column(items)
    if isinstance(items, list) and items and all(type(item) is int for item in items):
        items = np.asarray(items)
    if isinstance(items, np.ndarray) and items.dtype.kind == "U":
        return text_column(items.tolist())
    if isinstance(items, np.ndarray) and items.dtype.kind in "iuf" and items.ndim == 1:
        array = np.ascontiguousarray(items, items.dtype.newbyteorder("="))
        return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [None, pa.py_buffer(array)])
    return pa.array(items)


def text_column(items: Sequence[str]) -> Any:
    """Return text as an Arrow array."""
    import numpy as np
    import pyarrow as pa

    encoded = [item.encode() for item in items]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(item) for item in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def read_parquet(path: str | os.PathLike[str]) -> Any:
    """Return a Parquet file as a :class:`pyarrow.Table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(path, "Parquet file", UnknownFormatError), pa.OSFile(os.fspath(path)) as file:  # fails for a folder
        return pq.ParquetFile(file).read()  # read_table would import pandas


def write_parquet(path: str | os.PathLike[str], data: Any) -> None:
    """Write a table as Parquet, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = to_table(data)
    problem = f"Parquet cannot hold these columns ({_types(table)})"
    with atomic_path(path) as part, wrap_write_errors(path, problem, *_unfit(pa)):
        pq.write_table(table, part, compression="zstd")


def read_csv(path: str | os.PathLike[str], *, column_types: Mapping[str, Any] | None = None) -> Any:
    """Return a comma-separated file with a header line as a :class:`pyarrow.Table`; without columns if it is empty.

    CSV has no types: a column with only numbers is read as numbers, so an identifier ``007`` becomes 7. Set
    *column_types* (Arrow types by name) to prevent this; then only an empty value without quotes counts as missing.
    Parquet keeps text as text.
    """
    import pyarrow as pa
    import pyarrow.csv

    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    typed = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}
    convert = pyarrow.csv.ConvertOptions(column_types=column_types, **typed) if column_types else None
    with reading(path, "CSV file", UnknownFormatError):
        try:
            table = pyarrow.csv.read_csv(os.fspath(path), parse_options=options, convert_options=convert)
        except pa.ArrowInvalid:
            if not Path(path).read_bytes().strip():  # a table without columns is written like this
                return pa.table({})
            raise
        if odd := [column.name for column in table.schema if pa.types.is_binary(column.type)]:
            raise ValueError(f"no UTF-8 in columns {', '.join(odd)}")
        return table


def write_csv(path: str | os.PathLike[str], data: Any) -> None:
    """Write a table as comma-separated text with a header line, atomically; a ``str`` is written as it is.

    Text is quoted only if needed. Floats have the shortest form that reads back to the same value.
    """
    import pyarrow as pa
    import pyarrow.csv

    if isinstance(data, str):
        from wellfield.formats.text import write_text

        write_text(path, data)
        return
    table = to_table(data)
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    problem = f"CSV cannot hold these columns ({_types(table)})"
    with atomic_path(path) as part, wrap_write_errors(path, problem, *_unfit(pa)):
        pyarrow.csv.write_csv(table, part, write_options=options)


def write_frame(path: str | os.PathLike[str], frame: pandas.DataFrame) -> None:
    """Write a DataFrame as comma-separated text, atomically; text is quoted if needed and never changed."""
    text = frame.select_dtypes(exclude="number")
    # pandas quotes only values with its own line ending; other line endings need quotes around all text.
    broken = any("\r" in str(value) for name in text for value in text[name])
    with atomic_path(path) as part:
        frame.to_csv(
            part, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if broken else csv.QUOTE_MINIMAL
        )


def _types(table: Any) -> str:
    return ", ".join(f"{column.name} {column.type}" for column in table.schema)


def _unfit(pa: Any) -> tuple[type[Exception], ...]:
    return pa.ArrowInvalid, pa.ArrowNotImplementedError
