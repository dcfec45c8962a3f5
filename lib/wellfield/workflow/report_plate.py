"""report: pictures, statistics and the summary page of a plate."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.errors import MetadataError
from wellfield.formats.npy import read_npy
from wellfield.formats.reading import reading
from wellfield.formats.table import write_frame
from wellfield.microscopes.ingest_report import read_report
from wellfield.plate.index import read_info
from wellfield.plate.platemap import compare_wells
from wellfield.results.columns import SITE, TIMEPOINT, WELL
from wellfield.results.manifest import read_manifests
from wellfield.results.paths import PLATE_TABLES, PlateFile, WellFile, files_of
from wellfield.results.records import read_record
from wellfield.results.removal import remove_unfinished_writes
from wellfield.results.status import failed_wells, failure_logs
from wellfield.workflow.aggregate_plate import read_treatments
from wellfield.workflow.cell_counts import REQUIRED
from wellfield.workflow.plate_tables import AGAIN, read_table
from wellfield.workflow.vanished import in_plate_order

if TYPE_CHECKING:
    import pandas as pd

    from wellfield.report.statistics import Place


def report_plate(
    results: str | os.PathLike[str],
    wells: Sequence[str],
    *,
    vanished: Sequence[str] = (),
    plate_map: str | None,
) -> None:
    """Write the files of ``report/``: heatmap, montage, statistics, dose–response and summary.

    The report shows *wells* and the wells that *vanished*, whose raw files are gone and whose results stay. Unfinished
    writes of a killed job are removed first; no other job writes directly into ``report/``.
    """
    import pandas as pd

    from wellfield.report.dose_plot import plot_dose_responses
    from wellfield.report.dose_response import dose_responses
    from wellfield.report.heatmap import plate_heatmap
    from wellfield.report.montage import plate_montage
    from wellfield.report.statistics import count_values, fields_left_out, plate_statistics
    from wellfield.report.summary import write_summary

    folder = Path(results)
    remove_unfinished_writes(folder, ["report"])
    info = read_info(folder / PlateFile.INDEX)
    wells = in_plate_order({*wells, *vanished})
    manifests = read_manifests(folder, wells)
    treatments = read_treatments(plate_map)
    counts = read_table(folder / PlateFile.COUNTS, REQUIRED, again=AGAIN)
    failed = list(failed_wells(manifests))
    per_field, label = heatmap_values(counts)
    controls = {well: entry.control for well, entry in treatments.items() if entry.control and well in manifests}
    plate_heatmap(
        {well: per_field.get(well) for well in wells},
        folder / PlateFile.HEATMAP,
        title=info.name,
        label=label,
        controls=controls,
        failed=failed,
    )
    thumbnails = {}
    for well in wells:
        thumbnail = read_npy(folder / WellFile.THUMBNAIL.of(well))
        if thumbnail.size:
            thumbnails[well] = thumbnail
    plate_montage(thumbnails, folder / PlateFile.MONTAGE, wells_expected=list(wells), title=info.name, failed=failed)
    left_out = fields_left_out(counts)
    values = pd.concat([count_values(counts), read_object_values(folder, left_out)], ignore_index=True)
    table = plate_statistics(values, controls, plate=info.name, left_out=left_out)
    write_frame(folder / PlateFile.STATISTICS, table)
    responses, note = dose_responses(values, treatments)
    plot_dose_responses(responses, folder / PlateFile.DOSE_RESPONSE, title=info.name, note=note)
    write_summary(
        folder / PlateFile.SUMMARY,
        info=info,
        ingest=read_report(folder / PlateFile.INGEST_REPORT),
        manifests=manifests,
        vanished=vanished,
        logs=failure_logs(folder, manifests),
        counts=counts,
        treatments=treatments,
        statistics=table,
        responses=responses,
        responses_note=note,
        pictures={file.label: folder / file for file in files_of("report_plate") if file.is_picture},
        plate_map_notes=compare_wells(treatments, {*info.wells, *vanished}, processed=wells),
    )


def heatmap_values(counts: pd.DataFrame) -> tuple[dict[str, float], str]:
    """Return the number that the heatmap shows for each well, and its label.

    It is the mean number of objects per counted field, for the first class that the pipeline counted, at the first
    timepoint. A mean over counted fields does not make a well with an absent field look empty.
    """
    from wellfield.report.statistics import seen_counts
    from wellfield.report.well_summary import class_names, first_timepoint

    counted = seen_counts(counts)
    if counted.empty:
        return {}, "objects per field"
    names = class_names(counted)
    shown = counted[names == names.iloc[0]]
    label = f"{names.iloc[0]} per {'field' if shown[SITE].notna().any() else 'well'}"
    if counts[TIMEPOINT].nunique() > 1:
        label += f", timepoint {first_timepoint(shown)}"
    means = shown[shown[TIMEPOINT] == first_timepoint(shown)].groupby(WELL)["Count"].mean()
    return {str(well): float(value) for well, value in means.items()}, label


def read_object_values(results: str | os.PathLike[str], left_out: Collection[Place] = ()) -> pd.DataFrame:
    """Return the readouts of a plate's tables of objects, without the fields that are *left_out*.

    One well at a time is in memory. If several tables have a readout, it is taken from the first of
    ``objects.parquet`` and then ``plate_tables/`` in alphabetical order.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    from wellfield.report.statistics import feature_columns, no_values, object_values

    folder = Path(results)
    found = [no_values()]
    taken: set[str] = set()
    for path in [folder / PlateFile.OBJECTS, *_plate_tables(folder)]:
        with reading(path, "Parquet table", MetadataError), pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            features = [name for name in feature_columns(names) if name not in taken]
            if features and {WELL, TIMEPOINT} <= set(names):
                keys = [WELL, TIMEPOINT, *([SITE] if SITE in names else [])]
                found.append(object_values(_by_well(file, [*keys, *features]), left_out))
                taken |= set(features)
    return pd.concat(found, ignore_index=True)


def _plate_tables(results: Path) -> list[Path]:
    """Return the tables of ``plate_tables/`` that Wellfield wrote, in alphabetical order."""
    record = read_record(results, "aggregate_plate")
    listed = None if record is None else record.paths()
    tables = sorted((results / PLATE_TABLES).glob("*.parquet"))
    return [path for path in tables if listed is None or path.relative_to(results).as_posix() in listed]


def _by_well(file: Any, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield a table of the plate well by well. The rows of a well are together, in row groups of their own."""
    import pyarrow as pa

    parts: list[Any] = []
    for number in range(file.num_row_groups):
        part = file.read_row_group(number, columns)
        if parts and part.num_rows and part[WELL][0] != parts[0][WELL][0]:
            yield pa.concat_tables(parts).to_pandas()
            parts = []
        parts += [part] if part.num_rows else []
    if parts:
        yield pa.concat_tables(parts).to_pandas()
