"""Join the tables of all wells to tables of the plate, one well at a time in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.errors import MetadataError, UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.materialization import CsvOptions, ParquetOptions
from wellfield.plate.platemap import WellTreatment
from wellfield.results.columns import KEY_NAMES, KEYS, TREATMENTS, Column, Kind
from wellfield.results.status import WellStatus

if TYPE_CHECKING:
    import pandas as pd

    from wellfield.pipeline.plan import Plan

# What to do about a damaged table of a plate, and of a well.
AGAIN = "Delete it, and the next run joins the plate's tables again"
OF_WELL = "Delete the manifest of its well, and the next run does the well again"


def table_files(plan: Plan) -> dict[str, str]:
    """Return the tables that a pipeline writes for each well: name for the plate → file name.

    If a table is written in several formats, the Parquet file is taken. A suffix of the output belongs to the name:
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


def well_tables(results: Path, manifests: Mapping[str, Mapping[str, Any]], file_name: str) -> dict[str, Path]:
    """Return the table of this name of each well that is done and has it, in the order of the wells."""
    files = {
        well: f"tables/{well}/{file_name}"
        for well, manifest in manifests.items()
        if manifest["status"] == WellStatus.DONE
    }
    return {well: results / path for well, path in files.items() if _entry(manifests[well], path)}


def manifest_columns(manifest: Mapping[str, Any], path: str) -> dict[str, str]:
    """Return the type of each column of a table, as the manifest of its well says; CSV does not keep types."""
    columns: dict[str, str] = _entry(manifest, path).get("columns", {})
    return columns


def _entry(manifest: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return what a manifest says of a file, nothing if it does not list it."""
    return next((entry for entry in manifest["files"] if entry["path"] == path), {})


def join_tables(
    files: Mapping[str, Path],
    treatments: Mapping[str, WellTreatment],
    *,
    types: Mapping[str, Mapping[str, str]] | None = None,
    parquet: str | os.PathLike[str],
    csv: str | os.PathLike[str] | None = None,
) -> None:
    """Join the tables of several wells: Parquet with a row group for each well and, if *csv* is given, CSV.

    Parameters
    ----------
    files:
        Well → its table.
    types:
        Well → types of the columns of its table; CSV does not keep them.
    treatments:
        The plate map; its columns follow the key columns. Empty if the plate has none.

    A column that a well lacks is empty there. Without any table, the result has the key columns and no row.
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


def read_table(path: str | os.PathLike[str], columns: Iterable[Column] = KEYS, *, again: str) -> pd.DataFrame:
    """Return one of Wellfield's own Parquet tables, which must have these *columns*.

    *again* is the last sentence of errors about the table: what to do.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MetadataError
        It is damaged, or a column is missing or holds something else.
    """
    from wellfield.formats.table import read_parquet

    name = os.fspath(path)
    try:
        table = read_parquet(path)
    except UnknownFormatError as error:
        raise MetadataError(f"{str(error).rstrip('.')}. {again}") from error
    if absent := [column.name for column in columns if column.name not in table.column_names]:
        raise MetadataError(
            f"{name} has no column {', '.join(absent)}; it has {', '.join(table.column_names) or 'none'}. {again}"
        )
    for column in columns:
        _check_type(name, column, table.schema.field(column.name).type, again)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_type(name: str, column: Column, kind: Any, again: str) -> None:
    import pyarrow as pa

    kinds = pa.types
    expected = "text" if column.kind == Kind.TEXT else "numbers"
    is_text = kinds.is_string(kind) or kinds.is_large_string(kind)
    is_number = kinds.is_integer(kind) or kinds.is_floating(kind)
    if not kinds.is_null(kind) and not (is_text if expected == "text" else is_number):
        raise MetadataError(f"{name}: column {column.name} holds {kind}; expected {expected}. {again}")


def _read(path: Path, types: Mapping[str, str]) -> Any:
    """Return a table; a CSV file gets the types of columns that the table had before it was written."""
    from wellfield.formats.table import read_csv, read_parquet

    if path.suffix == ".parquet":
        return read_parquet(path)
    known = {name: _type(kind) for name, kind in types.items()}
    return read_csv(path, column_types={name: kind for name, kind in known.items() if kind is not None})


def _type(name: str) -> Any:
    import pyarrow as pa

    try:
        return pa.type_for_alias(name)
    except ValueError:  # a list, for example: CSV cannot hold it
        return None


def _joined_schema(tables: Iterable[Any]) -> Any:
    """Return the columns of all tables. A column that holds numbers in one well and text in another is text.

    Tables without rows do not count, because their columns have no reliable type.
    """
    import pyarrow as pa

    empty: list[Any] = []
    filled: list[Any] = []
    for table in tables:
        (filled if table.num_rows else empty).append(table.schema.remove_metadata())
    keys = pa.schema([(key.name, pa.string() if key.kind == Kind.TEXT else pa.int32()) for key in KEYS])
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
    kinds = {c.name: pa.float64() if c.kind == Kind.NUMBER else pa.string() for c in TREATMENTS.values()}
    fields = [entry for entry in schema if entry.name not in kinds]
    place = max((i + 1 for i, entry in enumerate(fields) if entry.name in KEY_NAMES), default=0)
    return pa.schema([*fields[:place], *(pa.field(name, kind) for name, kind in kinds.items()), *fields[place:]])


def _fitted(table: Any, schema: Any, treatment: WellTreatment | None) -> Any:
    """Return the table of a well with exactly the columns of *schema*."""
    import pyarrow as pa

    # None where the plate map does not list the well.
    of_map = {column.name: getattr(treatment, name, None) for name, column in TREATMENTS.items()}
    columns = []
    for entry in schema:
        if entry.name in of_map:
            columns.append(pa.repeat(pa.scalar(of_map[entry.name], entry.type), table.num_rows))
        elif entry.name in table.column_names:
            columns.append(table[entry.name].cast(entry.type))
        else:
            columns.append(pa.nulls(table.num_rows, entry.type))
    return pa.Table.from_arrays(columns, schema=schema)
