"""Stage 4: the tables of a plate, its shared Zarr metadata, and the removal of what no longer belongs to it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.formats.atomic import atomic_path, remove_parts
from wellfield.materialization.manifest import read_manifest
from wellfield.materialization.well import STORE_NAME
from wellfield.pipeline.stage import DONE
from wellfield.plate.index import read_index
from wellfield.plate.keys import FieldKey, parse_plane_name
from wellfield.plate.platemap import WellTreatment, read_plate_map

if TYPE_CHECKING:
    import pandas as pd

KEY_COLUMNS = ("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint")
TREATMENT_COLUMNS = ("Metadata_Treatment", "Metadata_Concentration", "Metadata_Unit", "Metadata_Control")
PLANE_COLUMNS = ("Planes_Missing", "Planes_Skipped", "Planes_Blanked")

# Fields without a count: why.
STATUS_OK, STATUS_FIELD_SKIPPED, STATUS_WELL_FAILED = "ok", "field_skipped", "well_failed"


def read_manifests(folder: str | os.PathLike[str], wells: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the manifest of each well."""
    return {well: read_manifest(Path(folder) / f"{well}.json") for well in wells}


def read_treatments(plate_map: str | os.PathLike[str] | None) -> dict[str, WellTreatment]:
    """Return the plate map, empty where the plate has none."""
    return read_plate_map(plate_map) if plate_map else {}


def collect_table(results: Path, manifests: Mapping[str, Mapping[str, Any]], name: str) -> pd.DataFrame:
    """Return the per-well Parquet tables *name* of all wells that are done, in the order of the wells."""
    import pandas as pd

    files = [results / "tables" / well / f"{name}.parquet" for well, m in manifests.items() if m["status"] == DONE]
    parts = [pd.read_parquet(file) for file in files if file.exists()]
    if not parts:
        return pd.DataFrame({column: pd.Series(dtype="object") for column in KEY_COLUMNS})
    # Tables without rows say nothing about the dtype of their columns.
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def cell_counts(
    counts: pd.DataFrame,
    manifests: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Sequence[FieldKey]],
    plate: str,
) -> pd.DataFrame:
    """Return one row per well, field, timepoint and object class; fields without a count have an empty one.

    Parameters
    ----------
    counts:
        The counts that the pipeline returned (``Object``, ``Count`` and the key columns).
    manifests:
        Manifest of every well.
    fields:
        All fields of every well.
    """
    import pandas as pd

    objects = list(dict.fromkeys(counts["Object"])) if "Object" in counts else []
    found = (
        {
            (row.Metadata_Well, row.Metadata_Site, row.Metadata_Timepoint, row.Object): row.Count
            for row in counts.itertuples(index=False)
        }
        if objects
        else {}
    )
    rows = []
    for well, manifest in manifests.items():
        planes = {column: _per_field(manifest["planes"][column[7:].lower()]) for column in PLANE_COLUMNS}
        for key in fields[well]:
            for name in objects or [""]:
                count = found.get((well, key.field, key.timepoint, name))
                status = STATUS_OK if manifest["status"] == DONE else STATUS_WELL_FAILED
                if status == STATUS_OK and count is None and objects:
                    status = STATUS_FIELD_SKIPPED
                values = {column: planes[column][key] for column in PLANE_COLUMNS}
                rows.append([plate, well, key.field, key.timepoint, name, count, *values.values(), status])
    columns = [*KEY_COLUMNS, "Object", "Count", *PLANE_COLUMNS, "Status"]
    table = pd.DataFrame(rows, columns=columns)
    whole = ["Metadata_Site", "Metadata_Timepoint", "Count", *PLANE_COLUMNS]
    return table.astype(dict.fromkeys(whole, "Int64"))


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
    wells: Sequence[str],
    *,
    plate_map: str | None,
    counts_csv: str,
    counts_parquet: str,
    objects_parquet: str,
) -> None:
    """Write the plate's tables and shared Zarr metadata; remove the results of wells that are not in *wells*."""
    folder = Path(results)
    info, planes = read_index(index, wells)
    manifests = read_manifests(folder / "wells", wells)
    fields: dict[str, set[FieldKey]] = {well: set() for well in wells}
    for plane in planes:
        fields[plane.key.well].add(plane.key.field_key)
    treatments = read_treatments(plate_map)
    counts = cell_counts(
        collect_table(folder, manifests, "cell_counts"),
        manifests,
        {well: sorted(keys) for well, keys in fields.items()},
        info.plate,
    )
    counts = with_treatments(counts, treatments)
    objects = with_treatments(collect_table(folder, manifests, "objects"), treatments)
    with atomic_path(counts_csv) as part:
        counts.to_csv(part, index=False, lineterminator="\n")
    with atomic_path(counts_parquet) as part:
        counts.to_parquet(part, index=False)
    with atomic_path(objects_parquet) as part:
        objects.to_parquet(part, index=False)
    stored = [well for well, manifest in manifests.items() if _has_store(manifest)]
    prune(folder, set(wells))
    if stored:
        from wellfield.storage.zarr.plate import finalize_plate

        finalize_plate(folder / STORE_NAME, stored, name=info.plate)
    elif (folder / STORE_NAME).exists():
        shutil.rmtree(folder / STORE_NAME)


def _has_store(manifest: Mapping[str, Any]) -> bool:
    return any(entry["path"].startswith(f"{STORE_NAME}/") for entry in manifest["files"])


def prune(results: Path, wells: set[str]) -> None:
    """Remove what wells outside *wells*, and killed jobs, left below the results; nobody else writes there now."""
    kinds = [("wells", ".json"), ("report/thumbnails", ".npy"), ("images", ""), ("tables", ""), (".staging", "")]
    for rule in ("process_well", "materialize_well"):
        kinds += [(f"logs/{rule}", ".log"), (f"benchmarks/{rule}", ".tsv")]
    for kind, suffix in kinds:
        parent = results / kind
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            if path.name.removesuffix(suffix) not in wells:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    remove_parts(results)
