"""aggregate: join the tables of all wells, write the store's shared metadata, remove results of wells that left."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.errors import ValidationError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.table import write_frame
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_fields, read_info
from wellfield.plate.keys import FieldKey
from wellfield.plate.platemap import WellTreatment, compare_wells, plate_map_digest, read_plate_map
from wellfield.plate.wells import is_well
from wellfield.results.columns import KEYS, SITE, TIMEPOINT, TREATMENTS, WELL, Kind
from wellfield.results.manifest import file_entry, read_manifests
from wellfield.results.paths import PLATE_TABLES, STAGING, STORE_NAME, WRITTEN_FOLDERS, PlateFile, WellFile, files_of
from wellfield.results.records import (
    EARLIER,
    announce,
    read_record,
    recorded_jobs,
    recorded_wells,
    store_files,
    write_plate_record,
)
from wellfield.results.removal import remove_page, remove_stale, remove_unfinished_writes, remove_well
from wellfield.results.staged_well import remove_stage
from wellfield.results.well_jobs import read_jobs
from wellfield.workflow.cell_counts import absent_fields, cell_counts, expected_planes, read_counts
from wellfield.workflow.plate_tables import join_tables, manifest_columns, table_files, well_tables
from wellfield.workflow.vanished import in_plate_order

if TYPE_CHECKING:
    import pandas as pd

_RULE = "aggregate_plate"

_logger = logging.getLogger(__name__)


def read_treatments(plate_map: str | os.PathLike[str] | None) -> dict[str, WellTreatment]:
    """Return the plate map, empty where the plate has none."""
    return read_plate_map(plate_map) if plate_map else {}


def check_tables(results: Path, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise if the table of a well is not the file that its manifest lists.

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
            what = "was altered after it was written" if path.is_file() else "is missing"
            raise ValidationError(
                f"{path} {what}, so its well must be done again: delete {results / WellFile.MANIFEST.of(well)} and run "
                "the same command again"
            )


def with_treatments(table: pd.DataFrame, treatments: Mapping[str, WellTreatment]) -> pd.DataFrame:
    """Return a table with the columns of the plate map after the key columns."""
    import pandas as pd

    if not treatments:
        return table
    wells = table[WELL]
    table = table.copy()
    for position, (attribute, column) in enumerate(TREATMENTS.items(), start=len(KEYS)):
        values = wells.map({well: getattr(entry, attribute) for well, entry in treatments.items()})
        table.insert(position, column.name, pd.to_numeric(values) if column.kind == Kind.NUMBER else values)
    return table


def aggregate_plate(
    results: str | os.PathLike[str],
    wells: Sequence[str],
    *,
    vanished: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    plate_map: str | None,
) -> None:
    """Write the plate's tables and the metadata of its store; remove the results of wells that are not *wanted*.

    The tables hold *wells* and the wells that *vanished*, whose raw files are gone and whose results stay.
    """
    folder = Path(results)
    info, fields = read_info(folder / PlateFile.INDEX), read_fields(folder / PlateFile.INDEX)
    everything = in_plate_order({*wells, *vanished})
    manifests = read_manifests(folder, everything)
    compiled = Plan.read(folder / PlateFile.PLAN)
    absent = {key: expected_planes(compiled, key.timepoint) for key in absent_fields(fields)}
    check_tables(folder, manifests)
    of_map = plate_map_digest(plate_map)  # before the map is read: a later edit makes the tables again
    treatments = read_treatments(plate_map)
    for note in compare_wells(treatments, {*info.wells, *vanished}, processed=everything):
        _logger.warning("plate map: %s", note)
    found = read_counts(folder, manifests)
    for well in vanished:
        fields[well] = sorted(_fields_of_record(folder, well, found))
    older = [well for well in vanished if manifests[well]["plan_digest"] != compiled.digest()]
    counts = cell_counts(found, manifests, fields, info.name, absent, other_pipeline=older)
    counts = with_treatments(counts, treatments)
    write_frame(folder / PlateFile.COUNTS_CSV, counts)
    with atomic_path(folder / PlateFile.COUNTS) as part:
        counts.to_parquet(part, index=False)
    names = table_files(compiled)
    objects = names.pop("objects", "objects.parquet")
    join_tables(well_tables(folder, manifests, objects), treatments, parquet=folder / PlateFile.OBJECTS)
    if len(found):
        names.pop("cell_counts", None)
    others = folder / PLATE_TABLES
    written = [folder / file for file in files_of(_RULE)]
    written += [others / f"{name}{suffix}" for name in names for suffix in (".parquet", ".csv")]
    announce(folder, _RULE, [path.relative_to(folder).as_posix() for path in written])
    others.mkdir(parents=True, exist_ok=True)
    for name, file_name in names.items():
        files = well_tables(folder, manifests, file_name)
        types = {well: manifest_columns(manifests[well], f"tables/{well}/{file_name}") for well in files}
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
        remove_stale(folder, rule, kept, folders=(PLATE_TABLES, STORE_NAME))
    write_plate_record(folder, _RULE, written, of={"wells": everything, "plate_map": of_map})


def _fields_of_record(results: Path, well: str, counts: pd.DataFrame) -> set[FieldKey]:
    """Return the fields of a well that is no longer in the index: from its record, or else from its counts."""
    record = read_record(results, "", well)
    numbers = list(record.of.get("fields", ())) if record is not None else []
    if not numbers and len(counts):
        rows = counts[counts[WELL] == well].dropna(subset=[SITE])
        numbers = list(zip(rows[SITE], rows[TIMEPOINT], strict=True))
    return {FieldKey(well, int(field), int(timepoint)) for field, timepoint in numbers}


def _has_store(manifest: Mapping[str, Any]) -> bool:
    return any(entry["path"].startswith(f"{STORE_NAME}/") for entry in manifest["files"])


def prune(results: Path, wanted: Collection[str] | None) -> None:
    """Remove the results of wells that are not *wanted* (``None``: all are), and what killed jobs left.

    The page of an unfinished plate is removed, too. Files that no record lists stay. No other job may write there.
    """
    remove_page(results)
    for well in recorded_wells(results):
        if wanted is not None and well not in wanted:
            remove_well(results, well)
    jobs = read_jobs(results)
    for name in recorded_jobs(results):
        if not set(jobs.wells(name)).intersection(recorded_wells(results)):
            remove_well(results, name)
    stages = results / STAGING
    for stage in sorted(stages.iterdir()) if stages.is_dir() else ():
        if wanted is not None and stage.name not in wanted and is_well(stage.name):
            remove_stage(stage)
    remove_unfinished_writes(results, WRITTEN_FOLDERS)
