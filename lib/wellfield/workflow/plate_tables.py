"""The tables of all wells joined to tables of the plate, well by well, so that no more than one well is in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.errors import MetadataError, UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.materialization import CsvOptions, ParquetOptions
from wellfield.plate.platemap import WellTreatment

if TYPE_CHECKING:
    import pandas as pd

    from wellfield.pipeline.plan import Plan

KEY_COLUMNS = ("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint")
COUNT_COLUMNS = (*KEY_COLUMNS, "Object", "Count")
# What to do about a damaged table of a plate, and of a well.
OF_WELL = "Delete the manifest of its well, and the next run does the well again"
AGAIN = "Delete it, and the next run joins the plate's tables again"
TREATMENT_COLUMNS = ("Metadata_Treatment", "Metadata_Concentration", "Metadata_Unit", "Metadata_Control")


def table_files(plan: Plan) -> dict[str, str]:
    """Return the tables that a pipeline writes for each well: name for the plate → file name.

    Parquet is preferred where a table has several files. A suffix of the output's own belongs to the name:
    ``cell_counts_details`` for ``_details.csv``.
    """
    found: dict[str, str] = {}
    for name, output in plan.special_outputs().items():
        for option in output.spec.options if output.spec else ():
            if isinstance(option, CsvOptions | ParquetOptions):
                stem, _, _ = option.filename_suffix.rpartition(".")
                if f"{name}{stem}" not in found or isinstance(option, ParquetOptions):
                    found[f"{name}{stem}"] = f"{name}{option.filename_suffix}"
    return found


def join_tables(
    files: Mapping[str, Path],
    treatments: Mapping[str, WellTreatment],
    *,
    types: Mapping[str, Mapping[str, str]] | None = None,
    parquet: str | os.PathLike[str],
    csv: str | os.PathLike[str] | None = None,
) -> None:
    """Write one table of those of several wells, as Parquet with a row group per well and, if asked for, as CSV.

    Parameters
    ----------
    files:
        Well → its table.
    types:
        Well → types of the columns of its table, for those of CSV.
    treatments:
        What the plate map says of each well, written behind the key columns; none without a plate map.

    A column that a well lacks is empty there. Without any table the result has the key columns and no row.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    def read(well: str) -> Any:
        return _read(files[well], (types or {}).get(well, {}))

    schema = _with_treatment_columns(_joined_schema(map(read, files)), bool(treatments))
    with atomic_path(parquet) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for well in files:
            writer.write_table(_fitted(read(well), schema, treatments.get(well)))
    if csv is not None:
        options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
        with atomic_path(csv) as part, pyarrow.csv.CSVWriter(part, schema, write_options=options) as rows:
            for batch in pq.ParquetFile(parquet).iter_batches():
                rows.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


def read_table(path: str | os.PathLike[str], columns: Iterable[str] = KEY_COLUMNS, *, again: str) -> pd.DataFrame:
    """Return one of Wellfield's own Parquet tables, which must have these *columns*; *again* ends errors about it.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MetadataError
        It is no such table.
    """
    from wellfield.formats.table import read_parquet

    name = os.fspath(path)
    try:
        table = read_parquet(path)
    except UnknownFormatError as error:
        raise MetadataError(f"{str(error).rstrip('.')}. {again}") from error
    if absent := [column for column in columns if column not in table.column_names]:
        raise MetadataError(
            f"{name} has no column {', '.join(absent)}; it has {', '.join(table.column_names) or 'none'}. {again}"
        )
    for column in columns:
        _check_type(name, column, table.schema.field(column).type, again)
    frame: pd.DataFrame = table.to_pandas()
    return frame


# Columns that hold text, and those that hold numbers, wherever they are.
_TEXTS = ("Metadata_Plate", "Metadata_Well", "Object", "Status")
_NUMBERS = ("Metadata_Site", "Metadata_Timepoint", "Count")


def _check_type(name: str, column: str, kind: Any, again: str) -> None:
    import pyarrow as pa

    kinds = pa.types
    text = kinds.is_string(kind) or kinds.is_large_string(kind)
    number = kinds.is_integer(kind) or kinds.is_floating(kind)
    if kinds.is_null(kind) or not ((column in _TEXTS and not text) or (column in _NUMBERS and not number)):
        return
    expected = "text" if column in _TEXTS else "numbers"
    raise MetadataError(f"{name}: column {column} holds {kind}; expected {expected}. {again}")


def _read(path: Path, types: Mapping[str, str]) -> Any:
    """Return a table; one of CSV with the types of columns that it had before it was written."""
    from wellfield.formats.table import read_csv, read_parquet

    if path.suffix == ".parquet":
        return read_parquet(path)
    known = {name: _type(kind) for name, kind in types.items()}
    return read_csv(path, column_types={name: kind for name, kind in known.items() if kind is not None})


def _type(name: str) -> Any:
    import pyarrow as pa

    try:
        return pa.type_for_alias(name)
    except ValueError:  # lists and the like, which CSV has no form for
        return None


def _joined_schema(tables: Iterable[Any]) -> Any:
    """Return the columns of all tables; those without rows say nothing about the type of theirs.

    A column of numbers in one well and text in another is text.
    """
    import pyarrow as pa

    empty: list[Any] = []
    filled: list[Any] = []
    for table in tables:
        (filled if table.num_rows else empty).append(table.schema.remove_metadata())
    keys = pa.schema([*((name, pa.string()) for name in KEY_COLUMNS[:2]), *((n, pa.int32()) for n in KEY_COLUMNS[2:])])
    fields: dict[str, Any] = {}
    for entry in (entry for schema in (filled or empty[:1] or [keys]) for entry in schema):
        known = fields.setdefault(entry.name, entry)
        try:
            [fields[entry.name]] = pa.unify_schemas(
                [pa.schema([known]), pa.schema([entry])], promote_options="permissive"
            )
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            fields[entry.name] = pa.field(entry.name, pa.string())
    return pa.schema(list(fields.values()))


def _with_treatment_columns(schema: Any, wanted: bool) -> Any:
    import pyarrow as pa

    if not wanted:
        return schema
    kinds = dict.fromkeys(TREATMENT_COLUMNS, pa.string()) | {"Metadata_Concentration": pa.float64()}
    fields = [entry for entry in schema if entry.name not in kinds]
    place = max((i + 1 for i, entry in enumerate(fields) if entry.name in KEY_COLUMNS), default=0)
    return pa.schema([*fields[:place], *(pa.field(name, kind) for name, kind in kinds.items()), *fields[place:]])


def _fitted(table: Any, schema: Any, treatment: WellTreatment | None) -> Any:
    """Return a well's table with all columns of *schema*."""
    import pyarrow as pa

    values: dict[str, Any] = {}
    if treatment is not None:
        given = (treatment.treatment, treatment.concentration, treatment.unit, treatment.control)
        values = dict(zip(TREATMENT_COLUMNS, given, strict=True))
    columns = []
    for entry in schema:
        if entry.name in TREATMENT_COLUMNS:
            columns.append(pa.repeat(pa.scalar(values.get(entry.name), entry.type), table.num_rows))
        elif entry.name in table.column_names:
            columns.append(table[entry.name].cast(entry.type))
        else:
            columns.append(pa.nulls(table.num_rows, entry.type))
    return pa.Table.from_arrays(columns, schema=schema)
