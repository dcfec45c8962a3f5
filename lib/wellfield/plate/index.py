"""The plate index: one table per plate, the seam between the microscopes and everything else.

One row per plane, keyed by well, field, channel, z, timepoint and projection. On disk it is Parquet with one row group
per well, so that the job of a well reads its own rows and nothing else; what holds for the whole plate is in the
schema's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from wellfield.errors import SchemaVersionError, StorageError
from wellfield.formats.atomic import atomic_path
from wellfield.plate.keys import PlaneKey, Projection

SCHEMA_VERSION = 1
_METADATA_KEY = b"wellfield"

NAN = float("nan")


class PlaneRecord(NamedTuple):
    """One plane of a plate.

    ``path`` is relative to the plate folder, with forward slashes. Stage positions are in µm, ``nan`` where the
    microscope's metadata of this plane was not read or does not say; ``size`` is in bytes, ``mtime_ns`` in nanoseconds.
    """

    key: PlaneKey
    path: str
    size: int
    mtime_ns: int
    stage_x_um: float = NAN
    stage_y_um: float = NAN
    stage_z_um: float = NAN
    pixel_size_um: float = NAN


@dataclass(frozen=True)
class PlateInfo:
    """What holds for the whole plate.

    Parameters
    ----------
    plate:
        Name of the plate.
    plate_path:
        Folder of the raw plate as the configuration spells it.
    microscope:
        Name of the handler that read the plate.
    wells:
        Canonical names of the wells that have planes, row by row.
    channels:
        Name of each channel number.
    shape, dtype:
        ``(Y, X)`` and dtype of the planes that were sampled; ``None`` where no plane could be opened.
    pixel_size_um, z_spacing_um:
        Calibration; ``None`` where unknown.
    """

    plate: str
    plate_path: str
    microscope: str
    wells: tuple[str, ...]
    channels: Mapping[int, str]
    shape: tuple[int, int] | None = None
    dtype: str | None = None
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    grid_dimensions: tuple[int, int] | None = None
    planes_per_well: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the metadata as JSON text, schema version included."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str) -> PlateInfo:
        """Read what :meth:`to_json` wrote; *source* names the file in errors.

        Raises
        ------
        SchemaVersionError
            The text was written by another version.
        """
        values = json.loads(text)
        check_schema_version(values.pop("schema_version", None), SCHEMA_VERSION, source=source)
        values["wells"] = tuple(values["wells"])
        values["channels"] = {int(number): name for number, name in values["channels"].items()}
        for name in ("shape", "grid_dimensions"):
            values[name] = tuple(values[name]) if values[name] else None
        return cls(**values)


def check_schema_version(found: Any, expected: int, *, source: str) -> None:
    """Raise :class:`SchemaVersionError` unless a file has the schema version that this program writes."""
    if found != expected:
        raise SchemaVersionError(
            f"{source} has schema version {found}; this version of Wellfield reads {expected}. "
            "Use the version that wrote it, or move these results away and run again"
        )


def _schema(info: PlateInfo) -> Any:
    import pyarrow as pa

    text = pa.dictionary(pa.int16(), pa.string())
    fields = [
        ("well", text),
        ("field", pa.int32()),
        ("channel", pa.int32()),
        ("z", pa.int32()),
        ("timepoint", pa.int32()),
        ("projection", text),
        ("path", pa.string()),
        ("stage_x_um", pa.float64()),
        ("stage_y_um", pa.float64()),
        ("stage_z_um", pa.float64()),
        ("pixel_size_um", pa.float64()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]
    return pa.schema(fields, metadata={_METADATA_KEY: info.to_json().encode()})


def write_index(path: str | os.PathLike[str], planes: Sequence[PlaneRecord], info: PlateInfo) -> None:
    """Write the index of a plate atomically; *planes* are grouped by well in the order of ``info.wells``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(info)
    groups: dict[str, list[PlaneRecord]] = {well: [] for well in info.wells}
    for plane in planes:
        groups[plane.key.well].append(plane)
    with atomic_path(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for well, rows in groups.items():
            keys, paths, sizes, mtimes, xs, ys, zs, pixels = zip(*rows, strict=True)
            _, fields, channels, z, timepoints, projections = zip(*keys, strict=True)
            columns = [[well] * len(rows), fields, channels, z, timepoints, [str(p) for p in projections], paths]
            columns += [xs, ys, zs, pixels, sizes, mtimes]
            arrays = [pa.array(column, type_.type) for column, type_ in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=len(rows))


def _open(path: str | os.PathLike[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise StorageError(
            f"{os.fspath(path)} is no plate index: {error}. Delete it to have the plate read again"
        ) from error


def _info(file: Any, path: str | os.PathLike[str]) -> PlateInfo:
    source = os.fspath(path)
    metadata = file.schema_arrow.metadata or {}
    if _METADATA_KEY not in metadata:
        raise SchemaVersionError(f"{source} was not written by Wellfield; move it away and run again")
    return PlateInfo.from_json(metadata[_METADATA_KEY], source=source)


def read_info(path: str | os.PathLike[str]) -> PlateInfo:
    """Return the plate's metadata without reading a row."""
    with _open(path) as file:
        return _info(file, path)


def read_index(path: str | os.PathLike[str], wells: Iterable[str] | None = None) -> tuple[PlateInfo, list[PlaneRecord]]:
    """Return the plate's metadata and its planes; those of *wells* only, if given, reading no other row group."""
    with _open(path) as file:
        info = _info(file, path)
        groups = [info.wells.index(well) for well in (info.wells if wells is None else wells)]
        table = file.read_row_groups(groups).to_pydict()
    keys = zip(
        table["well"],
        table["field"],
        table["channel"],
        table["z"],
        table["timepoint"],
        table["projection"],
        strict=True,
    )
    rest = (
        table[name] for name in ("path", "size", "mtime_ns", "stage_x_um", "stage_y_um", "stage_z_um", "pixel_size_um")
    )
    return info, [
        PlaneRecord(PlaneKey(*key[:5], Projection(key[5])), *row) for key, *row in zip(keys, *rest, strict=True)
    ]
