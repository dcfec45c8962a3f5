"""The table ``cell_counts`` of a plate: one row for each well, field, timepoint and class of objects.

:data:`COLUMNS` has one entry for each column: its name, what it holds, its meaning, and how its value is made.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wellfield.formatting import counted
from wellfield.pipeline.plan import Plan
from wellfield.plate.keys import WHOLE_WELL, FieldKey, Projection, parse_plane_name
from wellfield.results.columns import CHANNEL, KEY_NAMES, KEYS, SITE, TIMEPOINT, WELL, Column, Kind
from wellfield.results.status import FieldStatus, WellStatus
from wellfield.workflow.plate_tables import OF_WELL, read_table, well_tables

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)

# What may become of a plane without being used, as manifests name it.
_PLANES = ("missing", "skipped", "blanked")

# Where fields are numbered through the whole plate (1 to 4 in A01, 5 to 8 in A02), no well has the fields of another.
# This is assumed if at least this part of all fields would be absent.
_MOST_ABSENT = 0.5


class CountRow(NamedTuple):
    """What a row of ``cell_counts`` is made of.

    Parameters
    ----------
    key:
        Well, field and timepoint; field 0 stands for the whole well.
    kind, channel:
        Class of objects; their channel, if the pipeline counts in several.
    count:
        Number of objects; ``None`` if they were not counted.
    planes:
        How many planes of the field or well are missing, were skipped, were blanked.
    """

    plate: str
    key: FieldKey
    kind: str
    channel: int | None
    count: Any
    planes: Mapping[str, int]
    status: FieldStatus
    note: str


OBJECT = Column("Object", Kind.TEXT, "Class of objects that were counted, such as `Nuclei`.")
COUNT = Column("Count", Kind.WHOLE_NUMBER, "Number of objects; empty if they were not counted.")

# In the order of the table. The columns of the plate map follow the keys.
COLUMNS: Mapping[Column, Callable[[CountRow], Any]] = {
    KEYS[0]: lambda row: row.plate,
    KEYS[1]: lambda row: row.key.well,
    KEYS[2]: lambda row: row.key.field or None,
    KEYS[3]: lambda row: row.key.timepoint,
    OBJECT: lambda row: row.kind,
    Column(CHANNEL, Kind.WHOLE_NUMBER, "Channel, if the pipeline counts in several."): lambda row: row.channel,
    COUNT: lambda row: row.count,
    Column(
        "Planes_Missing", Kind.WHOLE_NUMBER, "Planes that the field lacks and other wells or fields have."
    ): lambda row: row.planes["missing"],
    Column(
        "Planes_Skipped", Kind.WHOLE_NUMBER, "Planes that could not be read, so that their field was left out."
    ): lambda row: row.planes["skipped"],
    Column("Planes_Blanked", Kind.WHOLE_NUMBER, "Planes that could not be read and were taken as black."): lambda row: (
        row.planes["blanked"]
    ),
    Column("Status", Kind.TEXT, "What became of the field."): lambda row: str(row.status),
    Column("Note", Kind.TEXT, "Why, if the status is not `ok`."): lambda row: row.note,
}

# What a table needs to be read as counts.
REQUIRED = (*KEYS, OBJECT, COUNT)


class _Fate(NamedTuple):
    """What became of a field, and why."""

    status: FieldStatus
    note: str = ""


def read_counts(results: Path, manifests: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the counts of all wells; no row if the pipeline counts nothing.

    A pipeline may use the name ``cell_counts`` for something else: counts are whole numbers, one for each field and
    class of objects. Any other table of this name is not read here. It becomes one of ``plate_tables``.
    """
    import pandas as pd

    files = well_tables(results, manifests, "cell_counts.parquet").values()
    parts = [read_table(file, (), again=OF_WELL) for file in files]
    parts = [part for part in parts if {OBJECT.name, COUNT.name} <= set(part.columns)]
    counts = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(KEY_NAMES))
    if reason := _no_counts(counts):
        _logger.warning("cell_counts: %s, so it is not used as a count; the table is in plate_tables", reason)
        return counts.iloc[:0]
    return counts


def _no_counts(counts: pd.DataFrame) -> str:
    """Return why a table does not say how many objects of each class a field has; nothing if it does."""
    import pandas as pd

    if counts.empty:
        return ""
    values = counts[COUNT.name].dropna()
    if not pd.api.types.is_numeric_dtype(values) or not (values % 1 == 0).all():
        return f"its column {COUNT.name} has other values than whole numbers"
    keys = [name for name in (*KEY_NAMES, OBJECT.name, CHANNEL) if name in counts]
    twice = counts[keys].duplicated()
    return f"it has several counts of {counts[OBJECT.name][twice].iloc[0]!r} in one field" if twice.any() else ""


def cell_counts(
    counts: pd.DataFrame,
    manifests: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Sequence[FieldKey]],
    plate: str,
    absent: Mapping[FieldKey, int] | None = None,
    *,
    other_pipeline: Collection[str] = (),
) -> pd.DataFrame:
    """Return the table of :data:`COLUMNS`; fields without a count have an empty one.

    Only counts with the status ``ok`` can be compared. The count of a blanked field stays in the table, but nobody saw
    what the black plane showed. A stitched well that lacks a field was not counted as a whole.

    Parameters
    ----------
    counts:
        The counts that the pipeline returned (``Object``, ``Count`` and the key columns).
    manifests:
        Manifest of every well.
    fields:
        All fields of every well that have a plane.
    absent:
        Fields without any plane, and how many planes each lacks.
    other_pipeline:
        Wells whose results another pipeline made.
    """
    import pandas as pd

    found = _found(counts)
    classes = list(dict.fromkeys(key[3:] for key in found))
    # Counted on stitched images: one row per well and timepoint.
    whole = {key[3:] for key in found if key[1] == WHOLE_WELL}
    rows = []
    for well, manifest in manifests.items():
        planes = {kind: _per_field(manifest["planes"][kind]) for kind in _PLANES}
        lacking = Counter({key: count for key, count in (absent or {}).items() if key.well == well})
        planes["missing"] += lacking
        keys = sorted({*fields[well], *lacking})
        fates = {key: _fate(key, manifest, planes, lacking) for key in keys}
        for key in [*keys, *(_whole_wells(keys) if whole else ())]:
            covered = [key] if key.field else [k for k in keys if k.timepoint == key.timepoint]
            numbers = {kind: sum(by_field[k] for k in covered) for kind, by_field in planes.items()}
            fate = fates[key] if key.field else _fate_of_all([fates[k] for k in covered])
            for kind in classes or [("", None)]:
                if (kind in whole) != (key.field == WHOLE_WELL):
                    continue
                count = found.get((*key, *kind))
                status, note = fate
                if status == FieldStatus.OK and count is None and classes:
                    status, note = FieldStatus.FIELD_SKIPPED, "it was not counted"
                elif status == FieldStatus.OK and well in other_pipeline:
                    status, note = FieldStatus.OTHER_PIPELINE, "raw files gone; made by another pipeline"
                rows.append(CountRow(plate, key, kind[0], kind[1], count, numbers, status, note))
    columns = {c: value for c, value in COLUMNS.items() if c.name != CHANNEL or CHANNEL in counts}
    table = pd.DataFrame(
        [[value(row) for value in columns.values()] for row in rows], columns=[column.name for column in columns]
    )
    return table.astype({column.name: "Int64" for column in columns if column.kind == Kind.WHOLE_NUMBER})


def _found(counts: pd.DataFrame) -> dict[tuple[Any, ...], Any]:
    """Return the counts by well, field (0: the whole well), timepoint, class of objects and channel, if any."""
    if not len(counts):
        return {}
    sites = counts[SITE].fillna(WHOLE_WELL).astype(int)
    channels = counts[CHANNEL] if CHANNEL in counts else [None] * len(counts)
    keys = zip(counts[WELL], sites, counts[TIMEPOINT], counts[OBJECT.name], channels, strict=True)
    return dict(zip(keys, counts[COUNT.name], strict=True))


def _fate(
    key: FieldKey, manifest: Mapping[str, Any], planes: Mapping[str, Counter[FieldKey]], absent: Collection[FieldKey]
) -> _Fate:
    if manifest["status"] != WellStatus.DONE:
        return _Fate(FieldStatus.WELL_FAILED)
    if key in absent:
        return _Fate(FieldStatus.FIELD_ABSENT, "no image; other wells have this field")
    if reason := manifest["planes"].get("skipped_fields", {}).get(f"{key.well}_{key.name}"):
        # The manifest has the rest: what the error of the file says, with its path.
        before, unreadable, _ = reason.partition(" cannot be read")
        return _Fate(FieldStatus.FIELD_SKIPPED, " ".join((before + unreadable).split()))
    if planes["skipped"][key]:
        return _Fate(FieldStatus.FIELD_SKIPPED)
    if blanked := planes["blanked"][key]:
        return _Fate(FieldStatus.FIELD_BLANKED, f"{counted(blanked, 'plane')} could not be read; taken as black")
    return _Fate(FieldStatus.OK)


def _fate_of_all(fates: Sequence[_Fate]) -> _Fate:
    """Return what became of a whole well: the worst of what became of its fields."""
    worst = max((fate.status for fate in fates), key=list(FieldStatus).index, default=FieldStatus.OK)
    number = sum(fate.status == worst for fate in fates)
    return _Fate(worst, "" if worst == FieldStatus.OK else f"{number} of {counted(len(fates), 'field')}")


def _whole_wells(keys: Sequence[FieldKey]) -> list[FieldKey]:
    """Return the whole well at each timepoint."""
    return list(dict.fromkeys(key._replace(field=WHOLE_WELL) for key in keys))


def _per_field(entries: Iterable[Any]) -> Counter[FieldKey]:
    names = [entry if isinstance(entry, str) else entry["plane"] for entry in entries]
    return Counter(parse_plane_name(name).field_key for name in names)


def absent_fields(fields: Mapping[str, Sequence[FieldKey]]) -> list[FieldKey]:
    """Return the fields, by timepoint, that a well should have but has no plane of.

    Every well should have the fields that any well of the plate has. If half of all fields were absent by this rule, as
    when fields are numbered through the whole plate, then each well has its own fields, and none is absent.

    Parameters
    ----------
    fields:
        The fields of every well of the plate that have a plane.
    """
    expected = sorted({key[1:] for keys in fields.values() for key in keys})
    present = {key for keys in fields.values() for key in keys}
    total = len(fields) * len(expected)
    if total - len(present) >= _MOST_ABSENT * total:
        return []
    wanted = (FieldKey(well, *place) for well in fields for place in expected)
    return [key for key in wanted if key not in present]


def expected_planes(plan: Plan, timepoint: int) -> int:
    """Return how many planes the pipeline would read of a field that has them all."""
    layers = [plan.sources[channel] for channel in plan.start_channels]
    acquired = [entry for entry in layers if not entry.timepoints or timepoint in entry.timepoints]
    return sum(len(entry.z) if entry.projection == Projection.NONE else 1 for entry in acquired)
