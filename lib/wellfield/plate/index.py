"""The plate index: one Parquet table per plate, written by the microscopes and read by every later stage.

It has one row per plane, keyed by well, field, channel, z, timepoint and projection, and one row group per well, so
that the job of a well reads its own rows only. The facts of the plate (:class:`~wellfield.plate.plate.Plate`) are JSON
in the schema's metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from wellfield.errors import (
    DataNotFoundError,
    MetadataError,
    MissingPlaneError,
    SchemaVersionError,
    StorageError,
    WellfieldError,
)
from wellfield.formats.atomic import atomic_path
from wellfield.formats.checked_json import OwnJson
from wellfield.formats.dataclass_json import DataclassJson
from wellfield.formats.table import text_column
from wellfield.plate.keys import FieldKey, PlaneKey, Projection
from wellfield.plate.plate import Plate

SCHEMA_VERSION = 3
AGAIN = "Delete it, and the next run ingests the plate again"
_METADATA_KEY = b"wellfield"

_METADATA = OwnJson("plate index", SCHEMA_VERSION, {}, AGAIN)
_JSON = DataclassJson({})

NAN = float("nan")


class PlaneRecord(NamedTuple):
    """One plane of a plate.

    ``path`` is relative to the plate folder, with forward slashes. ``size`` is in bytes, ``mtime_ns`` in nanoseconds.
    Stage positions are in µm, and ``nan`` where the plane's metadata was not read or has none. x rises to the right of
    the image, y downwards, or upwards where the plate is ``stage_y_up``.
    """

    key: PlaneKey
    path: str
    size: int
    mtime_ns: int
    stage_x_um: float = NAN
    stage_y_um: float = NAN
    stage_z_um: float = NAN
    pixel_size_um: float = NAN
    z_spacing_um: float = NAN


def plate_json(plate: Plate) -> str:
    """Return the facts of a plate as JSON text, with the schema version."""
    facts = {"schema_version": SCHEMA_VERSION, **_JSON.encode(plate)}
    try:
        return json.dumps(facts, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise MetadataError(
            f"plate {plate.name}: a fact is NaN or infinite; expected None where it is unknown"
        ) from error


def plate_of_json(text: str | bytes, *, source: str) -> Plate:
    """Read what :func:`plate_json` wrote; *source* names the file in errors.

    Raises
    ------
    MetadataError
        The text is damaged.
    SchemaVersionError
        Another version of Wellfield wrote it.
    """
    values = _METADATA.parse(text, source=source)
    del values["schema_version"]
    with _METADATA.parsing(source):
        plate: Plate = _JSON.decode(Plate, values)
    return plate


def _fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    return [
        ("well", pa.string()),
        ("field", pa.int32()),
        ("channel", pa.int32()),
        ("z", pa.int32()),
        ("timepoint", pa.int32()),
        ("projection", pa.string()),
        ("path", pa.string()),
        ("stage_x_um", pa.float64()),
        ("stage_y_um", pa.float64()),
        ("stage_z_um", pa.float64()),
        ("pixel_size_um", pa.float64()),
        ("z_spacing_um", pa.float64()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]


def _schema(plate: Plate) -> Any:
    import pyarrow as pa

    return pa.schema(_fields(), metadata={_METADATA_KEY: plate_json(plate).encode()})


def write_index(path: str | os.PathLike[str], planes: Sequence[PlaneRecord], plate: Plate) -> None:
    """Write the index of a plate atomically; *planes* are grouped by well in the order of ``plate.wells``.

    Raises
    ------
    ValueError
        The wells of *planes* are not those of *plate*.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(plate)
    groups: dict[str, list[PlaneRecord]] = {well: [] for well in plate.wells}
    for plane in planes:
        groups.setdefault(plane.key.well, []).append(plane)
    if len(groups) > len(plate.wells) or not all(groups.values()):
        raise ValueError(f"planes of wells {sorted(groups)} do not make the wells {list(plate.wells)} of the plate")
    rows = [plane for group in groups.values() for plane in group]
    keys = [row.key for row in rows]
    columns: list[list[Any]] = [list(map(itemgetter(column), keys)) for column in range(6)]
    columns[5] = [str.__str__(projection) for projection in columns[5]]
    columns += [list(map(itemgetter(column), rows)) for column in (1, 4, 5, 6, 7, 8, 2, 3)]
    arrays = [_array(column, entry.type) for column, entry in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    # Groups are small: dictionaries, statistics and zstd's set-up cost three times what writing does.
    options: dict[str, Any] = {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
    with atomic_path(path) as part, pq.ParquetWriter(part, schema, **options) as writer:
        start = 0
        for group in groups.values():
            writer.write_table(table.slice(start, len(group)), row_group_size=len(group))
            start += len(group)


def _array(values: Sequence[Any], kind: Any) -> Any:
    """Return a column by its buffers; making one from Python objects would import pandas."""
    import pyarrow as pa

    if pa.types.is_string(kind):
        return text_column(values)
    numbers = np.array(values, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError as error:
        raise DataNotFoundError(
            f"plate index {os.fspath(path)} does not exist; the plate was not ingested yet"
        ) from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, WellfieldError):
            raise
        raise StorageError(f"{os.fspath(path)} is not a plate index: {error}. {AGAIN}") from error


def _plate(file: Any, path: str | os.PathLike[str]) -> Plate:
    source = os.fspath(path)
    schema = file.schema_arrow
    metadata = schema.metadata or {}
    if _METADATA_KEY not in metadata:
        raise SchemaVersionError(f"{source} was not written by Wellfield; move it away and run again")
    plate = plate_of_json(metadata[_METADATA_KEY], source=source)
    if list(zip(schema.names, schema.types, strict=True)) != _fields() or file.num_row_groups != len(plate.wells):
        raise MetadataError(
            f"{source} is damaged: it has the columns {', '.join(schema.names)} in {file.num_row_groups} row groups "
            f"for {len(plate.wells)} wells, which is not what Wellfield writes. {AGAIN}"
        )
    return plate


def read_info(path: str | os.PathLike[str]) -> Plate:
    """Return the plate without reading a row of the table."""
    with _open(path) as file:
        return _plate(file, path)


def read_index(path: str | os.PathLike[str], wells: Iterable[str] | None = None) -> tuple[Plate, list[PlaneRecord]]:
    """Return the plate and its planes. With *wells*, only the row groups of these wells are read.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    MissingPlaneError
        The plate has no plane of one of *wells*.
    """
    plate, table = _read_rows(path, wells, [*_KEY, *_REST])
    return plate, list(map(PlaneRecord, _keys(table), *(table[name] for name in _REST)))


def read_paths(
    path: str | os.PathLike[str], wells: Iterable[str] | None = None
) -> dict[str, list[tuple[PlaneKey, str]]]:
    """Return keys and paths of the planes by well, in a third of the time of :func:`read_index`.

    Raises
    ------
    DataNotFoundError, MissingPlaneError
        As for :func:`read_index`.
    """
    _, table = _read_rows(path, wells, [*_KEY, "path"])
    by_well: dict[str, list[tuple[PlaneKey, str]]] = {}
    for plane in zip(_keys(table), table["path"], strict=True):
        by_well.setdefault(plane[0].well, []).append(plane)
    return by_well


def read_place_digests(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return, for each well, a digest of the sizes and positions that its results state.

    If planes do not state their own sizes, a plane without one counts with the plate's size, and positions do not
    count: they are read from the images with the pixels.
    """
    with _open(path) as file:
        plate = _plate(file, path)
        columns = _PLACE if plate.sizes_per_plane else _SIZES
        table = file.read(columns=list(columns))
        counts = [file.metadata.row_group(number).num_rows for number in range(len(plate.wells))]
    values = {name: table[name].to_numpy() for name in columns}
    if not plate.sizes_per_plane:
        usual = {"pixel_size_um": plate.pixel_size_um, "z_spacing_um": plate.z_spacing_um}
        values = {
            name: np.where(np.isnan(values[name]), NAN if size is None else size, values[name])
            for name, size in usual.items()
        }
    digests, start = {}, 0
    for well, count in zip(plate.wells, counts, strict=True):
        own = b"".join(column[start : start + count].tobytes() for column in values.values())
        digests[well] = hashlib.sha256(own).hexdigest()[:16]
        start += count
    return digests


def read_fields(path: str | os.PathLike[str]) -> dict[str, list[FieldKey]]:
    """Return the fields and timepoints of each well that have a plane.

    Raises
    ------
    DataNotFoundError
        There is no such file.
    """
    plate, table = _read_rows(path, None, ["well", "field", "timepoint"])
    fields: dict[str, list[FieldKey]] = {well: [] for well in plate.wells}
    for key in sorted(set(map(FieldKey, table["well"], table["field"], table["timepoint"]))):
        fields[key.well].append(key)
    return fields


_PROJECTIONS = {kind.value: kind for kind in Projection}
_KEY = ("well", "field", "channel", "z", "timepoint", "projection")
_SIZES = ("pixel_size_um", "z_spacing_um")
_PLACE = ("stage_x_um", "stage_y_um", "stage_z_um", *_SIZES)
_REST = ("path", "size", "mtime_ns", *_PLACE)


def _read_rows(
    path: str | os.PathLike[str], wells: Iterable[str] | None, columns: Sequence[str]
) -> tuple[Plate, dict[str, list[Any]]]:
    with _open(path) as file:
        plate = _plate(file, path)
        numbers = {well: number for number, well in enumerate(plate.wells)}
        wanted = plate.wells if wells is None else tuple(wells)
        if absent := [well for well in wanted if well not in numbers]:
            raise MissingPlaneError(
                f"plate {plate.name} has no plane of well {', '.join(absent)}; it has {', '.join(plate.wells)}"
            )
        table = file.read_row_groups([numbers[well] for well in wanted], columns=list(columns))
    rows = table.to_pydict()
    counts = Counter(rows["well"])
    known = plate.planes_per_well
    whole = set(counts) == set(wanted) and all(known.get(well, count) == count for well, count in counts.items())
    unknown = set(rows.get("projection", ())) - set(_PROJECTIONS)
    if not whole or unknown or any(column.null_count for column in table.columns):
        raise MetadataError(
            f"{os.fspath(path)} is damaged: its rows are not the planes that its metadata count. {AGAIN}"
        )
    return plate, rows


def _keys(table: Mapping[str, list[Any]]) -> Iterator[PlaneKey]:
    *numbers, projections = (table[name] for name in _KEY)
    return map(PlaneKey, *numbers, map(_PROJECTIONS.__getitem__, projections))
