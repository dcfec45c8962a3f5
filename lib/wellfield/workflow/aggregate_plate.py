"""Stage 4: the tables of a plate, its shared Zarr metadata, and the removal of what no longer belongs to it."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wellfield.errors import ValidationError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.table import write_frame
from wellfield.formatting import counted
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_fields, read_info
from wellfield.plate.keys import WHOLE_WELL, FieldKey, Projection, parse_plane_name
from wellfield.plate.platemap import WellTreatment, compare_wells, plate_map_digest, read_plate_map
from wellfield.plate.wells import is_well
from wellfield.report.statistics import Status
from wellfield.results.manifest import file_entry, read_manifest
from wellfield.results.records import (
    EARLIER,
    STORE_NAME,
    WRITTEN_FOLDERS,
    announce,
    read_record,
    recorded_wells,
    store_files,
    write_plate_record,
)
from wellfield.results.removal import remove_page, remove_stale, remove_unfinished_writes, remove_well
from wellfield.results.staged_well import DONE, remove_stage
from wellfield.workflow.plate_tables import (
    KEY_COLUMNS,
    OF_WELL,
    TREATMENT_COLUMNS,
    join_tables,
    read_table,
    table_files,
)
from wellfield.workflow.vanished import in_plate_order

if TYPE_CHECKING:
    import pandas as pd

_RULE = "aggregate_plate"

_logger = logging.getLogger(__name__)

PLANE_COLUMNS = ("Planes_Missing", "Planes_Skipped", "Planes_Blanked")

# Where numbers go on through the whole plate (1 to 4 in A01, 5 to 8 in A02), no well has the fields of another. It is
# so where at least this part of all would be absent.
_MOST_ABSENT = 0.5


class _Fate(NamedTuple):
    """What became of a field, and why."""

    status: Status
    note: str = ""


def read_manifests(folder: str | os.PathLike[str], wells: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the manifest of each well."""
    return {well: read_manifest(Path(folder) / f"{well}.json") for well in wells}


def read_treatments(plate_map: str | os.PathLike[str] | None) -> dict[str, WellTreatment]:
    """Return the plate map, empty where the plate has none."""
    return read_plate_map(plate_map) if plate_map else {}


def well_tables(results: Path, manifests: Mapping[str, Mapping[str, Any]], file_name: str) -> dict[str, Path]:
    """Return the table of this name of each well that is done and has it, in the order of the wells."""
    files = {well: f"tables/{well}/{file_name}" for well, manifest in manifests.items() if manifest["status"] == DONE}
    return {well: results / path for well, path in files.items() if _entry(manifests[well], path)}


def check_tables(results: Path, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse tables of wells that are not as their manifests say.

    Raises
    ------
    ValidationError
        A table is missing or was altered.
    """
    for well, manifest in manifests.items():
        for entry in manifest["files"]:
            path = results / entry["path"]
            if not entry["path"].startswith("tables/"):
                continue
            if path.is_file() and file_entry(results, path)["sha256"] == entry["sha256"]:
                continue
            what = "is not what was written" if path.is_file() else "is missing"
            raise ValidationError(
                f"{path} {what}; its well has to be done again: delete {results / 'wells' / f'{well}.json'} and run "
                "the same command again"
            )


def read_counts(results: Path, manifests: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the counts of all wells, no rows if the pipeline counts nothing.

    It may also mean something else by the name: counts are whole numbers, one for each field and class of objects. Any
    other table stays what it is, one of ``plate_tables``.
    """
    import pandas as pd

    files = well_tables(results, manifests, "cell_counts.parquet").values()
    parts = [read_table(file, (), again=OF_WELL) for file in files]
    parts = [part for part in parts if {"Object", "Count"} <= set(part.columns)]
    counts = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(KEY_COLUMNS))
    if reason := _no_counts(counts):
        _logger.warning("cell_counts: %s; the table is in plate_tables, and nothing is counted by it", reason)
        return counts.iloc[:0]
    return counts


def _no_counts(counts: pd.DataFrame) -> str:
    """Return why a table does not say how many objects of each class a field has; nothing if it does."""
    import pandas as pd

    if counts.empty:
        return ""
    values = counts["Count"].dropna()
    if not pd.api.types.is_numeric_dtype(values) or not (values % 1 == 0).all():
        return "its column Count has other values than whole numbers"
    keys = [*KEY_COLUMNS, "Object", *(["Metadata_Channel"] if "Metadata_Channel" in counts else [])]
    twice = counts[[name for name in keys if name in counts]].duplicated()
    return f"it has several counts of {counts['Object'][twice].iloc[0]!r} in one field" if twice.any() else ""


def cell_counts(
    counts: pd.DataFrame,
    manifests: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Sequence[FieldKey]],
    plate: str,
    absent: Mapping[FieldKey, int] | None = None,
) -> pd.DataFrame:
    """Return one row per well, field, timepoint and object class; fields without a count have an empty one.

    ``Status`` says what became of the field (:class:`~wellfield.report.statistics.Status`), ``Note`` why. Only counts
    that are ``ok`` can be compared: the count of a blanked field stays in the table, but what was black there was not
    seen, and in a stitched well of which a field is lacking not all of it was.

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
    """
    import pandas as pd

    names = [name for name in ("Object", "Metadata_Channel") if name in counts]
    found = _found(counts, names)
    classes = list(dict.fromkeys(tuple(row) for row in counts[names].itertuples(index=False))) if found else []
    # Counted on stitched images: one row per well and timepoint.
    whole = {key[3:] for key in found if key[1] == WHOLE_WELL}
    rows = []
    for well, manifest in manifests.items():
        planes = {column: _per_field(manifest["planes"][column[7:].lower()]) for column in PLANE_COLUMNS}
        lacking = Counter({key: count for key, count in (absent or {}).items() if key.well == well})
        planes["Planes_Missing"] += lacking
        keys = sorted({*fields[well], *lacking})
        fates = {key: _fate(key, manifest, planes, lacking) for key in keys}
        for key in [*keys, *(_whole_wells(keys) if whole else ())]:
            covered = [key] if key.field else [k for k in keys if k.timepoint == key.timepoint]
            values = [sum(planes[column][k] for k in covered) for column in PLANE_COLUMNS]
            fate = fates[key] if key.field else _fate_of_all([fates[k] for k in covered])
            for kind in classes or [("", None)[: max(len(names), 1)]]:
                if (kind in whole) != (key.field == WHOLE_WELL):
                    continue
                count = found.get((well, key.field, key.timepoint, *kind))
                nothing = fate.status == Status.OK and count is None and bool(classes)
                status, note = (Status.FIELD_SKIPPED, "it was not counted") if nothing else fate
                rows.append([plate, well, key.field or None, key.timepoint, *kind, count, *values, str(status), note])
    columns = [*KEY_COLUMNS, *(names or ["Object"]), "Count", *PLANE_COLUMNS, "Status", "Note"]
    whole_numbers = ["Metadata_Site", "Metadata_Timepoint", "Count", *PLANE_COLUMNS, *names[1:]]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(whole_numbers, "Int64"))


def _fate(
    key: FieldKey, manifest: Mapping[str, Any], planes: Mapping[str, Counter[FieldKey]], absent: Collection[FieldKey]
) -> _Fate:
    if manifest["status"] != DONE:
        return _Fate(Status.WELL_FAILED)
    if key in absent:
        return _Fate(Status.FIELD_ABSENT, "no image; other wells have this field")
    if reason := manifest["planes"].get("skipped_fields", {}).get(f"{key.well}_{key.name}"):
        # What the error of a file says behind it, paths among it, is in the manifest.
        before, unreadable, _ = reason.partition(" cannot be read")
        return _Fate(Status.FIELD_SKIPPED, " ".join((before + unreadable).split()))
    if planes["Planes_Skipped"][key]:
        return _Fate(Status.FIELD_SKIPPED)
    if blanked := planes["Planes_Blanked"][key]:
        return _Fate(Status.FIELD_BLANKED, f"{counted(blanked, 'plane')} could not be read; black in the place")
    return _Fate(Status.OK)


def _fate_of_all(fates: Sequence[_Fate]) -> _Fate:
    """Return what became of a whole well, by its fields."""
    for status in (Status.WELL_FAILED, Status.FIELD_ABSENT, Status.FIELD_SKIPPED, Status.FIELD_BLANKED):
        if number := sum(fate.status == status for fate in fates):
            return _Fate(status, f"{number} of {counted(len(fates), 'field')}")
    return _Fate(Status.OK)


def absent_fields(fields: Mapping[str, Sequence[FieldKey]]) -> list[FieldKey]:
    """Return the fields, by timepoint, that a well should have but has no plane of.

    Every well should have the fields that any well of the plate has. Where that would make half of all fields absent,
    as when their numbers go on through the whole plate, each well should have its own and nothing is absent.

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


def _expected_planes(plan: Plan, timepoint: int) -> int:
    """Return how many planes the pipeline would read of a field that has them all."""
    layers = [plan.sources[channel] for channel in plan.start_channels]
    acquired = [entry for entry in layers if not entry.timepoints or timepoint in entry.timepoints]
    return sum(len(entry.z) if entry.projection == Projection.NONE else 1 for entry in acquired)


def _found(counts: pd.DataFrame, names: Sequence[str]) -> dict[tuple[Any, ...], Any]:
    """Return the counts by well, field (0: the whole well), timepoint and object class."""
    if not len(counts):
        return {}
    sites = counts["Metadata_Site"].fillna(WHOLE_WELL).astype(int)
    keys = [counts["Metadata_Well"], sites, counts["Metadata_Timepoint"], *(counts[name] for name in names)]
    return dict(zip(zip(*keys, strict=True), counts["Count"], strict=True))


def _whole_wells(keys: Sequence[FieldKey]) -> list[FieldKey]:
    """Return the whole well at each timepoint."""
    return list(dict.fromkeys(key._replace(field=WHOLE_WELL) for key in keys))


def _per_field(entries: Iterable[Any]) -> Counter[FieldKey]:
    names = [entry if isinstance(entry, str) else entry["plane"] for entry in entries]
    return Counter(parse_plane_name(name).field_key for name in names)


def with_treatments(table: pd.DataFrame, treatments: Mapping[str, WellTreatment]) -> pd.DataFrame:
    """Return a table with what the plate map says of each well, behind the key columns."""
    import pandas as pd

    if not treatments:
        return table
    wells = table["Metadata_Well"]
    names = ("treatment", "concentration", "unit", "control")
    columns = {
        column: wells.map({well: getattr(entry, name) for well, entry in treatments.items()})
        for column, name in zip(TREATMENT_COLUMNS, names, strict=True)
    }
    columns["Metadata_Concentration"] = pd.to_numeric(columns["Metadata_Concentration"])
    table = table.copy()
    for position, (column, values) in enumerate(columns.items(), start=len(KEY_COLUMNS)):
        table.insert(position, column, values)
    return table


def aggregate_plate(
    results: str | os.PathLike[str],
    index: str | os.PathLike[str],
    plan: str | os.PathLike[str],
    wells: Sequence[str],
    *,
    vanished: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    plate_map: str | None,
    counts_csv: str,
    counts_parquet: str,
    objects_parquet: str,
    tables: str,
) -> None:
    """Write the plate's tables and shared Zarr metadata; remove the results of wells that are not *wanted* any more.

    The tables are of *wells* and of those that *vanished*: their raw files are gone, their results stay.

    *tables* is the folder of the tables that are neither counts nor objects; files in it that are not the plate's stay.
    """
    folder = Path(results)
    info, fields = read_info(index), read_fields(index)
    everything = in_plate_order({*wells, *vanished})
    manifests = read_manifests(folder / "wells", everything)
    compiled = Plan.read(plan)
    absent = {key: _expected_planes(compiled, key.timepoint) for key in absent_fields(fields)}
    check_tables(folder, manifests)
    of_map = plate_map_digest(plate_map)  # before it is read: an edit behind this makes the tables again
    treatments = read_treatments(plate_map)
    for note in compare_wells(treatments, {*info.wells, *vanished}, processed=everything):
        _logger.warning("plate map: %s", note)
    found = read_counts(folder, manifests)
    for well in vanished:
        fields[well] = sorted(_fields_of_record(folder, well, found))
    counts = cell_counts(found, manifests, fields, info.name, absent)
    older = [well for well in vanished if manifests[well]["plan_digest"] != compiled.digest()]
    of_older = counts["Metadata_Well"].isin(older) & (counts["Status"] == Status.OK)
    counts.loc[of_older, ["Status", "Note"]] = [str(Status.OTHER_PIPELINE), "raw files gone; made by another pipeline"]
    counts = with_treatments(counts, treatments)
    write_frame(counts_csv, counts)
    with atomic_path(counts_parquet) as part:
        counts.to_parquet(part, index=False)
    names = table_files(compiled)
    objects = names.pop("objects", "objects.parquet")
    join_tables(well_tables(folder, manifests, objects), treatments, parquet=objects_parquet)
    if len(found):
        names.pop("cell_counts", None)
    others = Path(tables)
    written = [Path(counts_csv), Path(counts_parquet), Path(objects_parquet)]
    written += [others / f"{name}{suffix}" for name in names for suffix in (".parquet", ".csv")]
    announce(folder, _RULE, [path.relative_to(folder).as_posix() for path in written])
    others.mkdir(parents=True, exist_ok=True)
    for name, file_name in names.items():
        files = well_tables(folder, manifests, file_name)
        types = {well: _columns(manifests[well], f"tables/{well}/{file_name}") for well in files}
        join_tables(files, treatments, types=types, parquet=others / f"{name}.parquet", csv=others / f"{name}.csv")
    stored = [well for well, manifest in manifests.items() if _has_store(manifest)]
    prune(folder, wanted)
    if stored:
        from wellfield.storage.zarr.plate_metadata import finalize_plate

        announce(folder, _RULE, store_files(stored))
        finalize_plate(folder / STORE_NAME, stored, name=info.name, remove_others=False)
        written += [path for name in store_files(stored) if (path := folder / name).is_file()]
    kept = [path.relative_to(folder).as_posix() for path in written]
    for rule in (_RULE, EARLIER):
        remove_stale(folder, rule, kept, folders=("plate_tables", STORE_NAME))
    write_plate_record(folder, _RULE, written, of={"wells": everything, "plate_map": of_map})


def _fields_of_record(results: Path, well: str, counts: pd.DataFrame) -> set[FieldKey]:
    """Return the fields of a well by its record, which the index has no more; by its counts where that says nothing."""
    record = read_record(results, "", well)
    numbers = list(record.of.get("fields", ())) if record is not None else []
    if not numbers and len(counts):
        rows = counts[counts["Metadata_Well"] == well].dropna(subset=["Metadata_Site"])
        numbers = list(zip(rows["Metadata_Site"], rows["Metadata_Timepoint"], strict=True))
    return {FieldKey(well, int(field), int(timepoint)) for field, timepoint in numbers}


def _columns(manifest: Mapping[str, Any], path: str) -> dict[str, str]:
    columns: dict[str, str] = _entry(manifest, path).get("columns", {})
    return columns


def _entry(manifest: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return what a manifest says of a file, nothing if it does not list it."""
    return next((entry for entry in manifest["files"] if entry["path"] == path), {})


def _has_store(manifest: Mapping[str, Any]) -> bool:
    return any(entry["path"].startswith(f"{STORE_NAME}/") for entry in manifest["files"])


def prune(results: Path, wanted: Collection[str] | None) -> None:
    """Remove what Wellfield wrote of wells that are not *wanted*, and what killed jobs left; nobody else writes there.

    ``None`` for a plate of which all wells are wanted. The page of a plate that is not finished goes too. What no
    record lists stays.
    """
    remove_page(results)
    for well in recorded_wells(results):
        if wanted is not None and well not in wanted:
            remove_well(results, well)
    stages = results / ".staging"
    for stage in sorted(stages.iterdir()) if stages.is_dir() else ():
        if wanted is not None and stage.name not in wanted and is_well(stage.name):
            remove_stage(stage)
    remove_unfinished_writes(results, WRITTEN_FOLDERS)
