"""Tables as columns: what functions return, and how it becomes CSV and Parquet.

A table in memory is a mapping of column name to values of equal length, a list of dictionaries or dataclasses, or a
pandas DataFrame; all become one :class:`pyarrow.Table`.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path


def to_table(data: Any) -> Any:
    """Return *data* as a :class:`pyarrow.Table`; scalars in a mapping stand for a table of one row.

    Raises
    ------
    UnknownFormatError
        The data is no table.
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
        columns = {str(name): _column(values) for name, values in data.items()}
        try:
            return pa.table(columns)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            lengths = {name: len(values) for name, values in columns.items()}
            raise UnknownFormatError(f"columns do not make a table: {error}; lengths {lengths}") from error
    if isinstance(data, list | tuple):
        rows = [dataclasses.asdict(row) if dataclasses.is_dataclass(row) else row for row in data]  # type: ignore[arg-type]
        if all(isinstance(row, Mapping) for row in rows):
            return pa.Table.from_pylist(rows) if rows else pa.table({})
    raise UnknownFormatError(f"a {type(data).__name__} is no table; expected columns, rows or a DataFrame")


def _column(values: Any) -> Any:
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        return [values]
    return values


def read_parquet(path: str | os.PathLike[str]) -> Any:
    """Return a Parquet file as a :class:`pyarrow.Table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(os.fspath(path))
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UnknownFormatError(f"{os.fspath(path)} is no readable Parquet file: {error}") from error


def write_parquet(path: str | os.PathLike[str], data: Any) -> None:
    """Write a table as Parquet, atomically."""
    import pyarrow.parquet as pq

    table = to_table(data)
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_csv(path: str | os.PathLike[str]) -> Any:
    """Return a comma-separated file with a header line as a :class:`pyarrow.Table`."""
    import pyarrow.csv

    return pyarrow.csv.read_csv(os.fspath(path))


def write_csv(path: str | os.PathLike[str], data: Any) -> None:
    """Write a table as comma-separated text with a header line, atomically; a ``str`` is written as it is.

    Text is quoted where it must be, floats have the shortest form that reads back to the same value.
    """
    import pyarrow.csv

    if isinstance(data, str):
        from wellfield.formats.text import write_text

        write_text(path, data)
        return
    table = to_table(data)
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    with atomic_path(path) as part:
        pyarrow.csv.write_csv(table, part, write_options=options)
