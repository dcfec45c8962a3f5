"""Stage 5: pictures, statistics and the page of a plate's report."""

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
from wellfield.results.records import read_record
from wellfield.results.removal import remove_unfinished_writes
from wellfield.results.staged_well import DONE
from wellfield.workflow.aggregate_plate import read_manifests, read_treatments
from wellfield.workflow.job_logs import failure_logs
from wellfield.workflow.plate_tables import AGAIN, COUNT_COLUMNS, KEY_COLUMNS, read_table
from wellfield.workflow.vanished import in_plate_order

if TYPE_CHECKING:
    import pandas as pd

    from wellfield.report.statistics import Place


def report_plate(
    results: str | os.PathLike[str],
    index: str | os.PathLike[str],
    wells: Sequence[str],
    *,
    vanished: Sequence[str] = (),
    plate_map: str | None,
    heatmap: str,
    montage: str,
    statistics: str,
    dose_response: str,
    summary: str,
) -> None:
    """Write heatmap, montage, statistics, dose–response and summary of a plate.

    The report is of *wells* and of those that *vanished*: their raw files are gone, their results stay. What a killed
    job left in the folder goes first; nobody else writes directly in there.
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
    info = read_info(index)
    wells = in_plate_order({*wells, *vanished})
    manifests = read_manifests(folder / "wells", wells)
    treatments = read_treatments(plate_map)
    counts = read_table(folder / "cell_counts.parquet", COUNT_COLUMNS, again=AGAIN)
    failed = [well for well, manifest in manifests.items() if manifest["status"] != DONE]
    per_field, label = heatmap_values(counts)
    controls = {well: entry.control for well, entry in treatments.items() if entry.control and well in manifests}
    plate_heatmap(
        {well: per_field.get(well) for well in wells},
        heatmap,
        title=info.name,
        label=label,
        controls=controls,
        failed=failed,
    )
    thumbnails = {}
    for well in wells:
        thumbnail = read_npy(folder / "report" / "thumbnails" / f"{well}.npy")
        if thumbnail.size:
            thumbnails[well] = thumbnail
    plate_montage(thumbnails, montage, wells_expected=list(wells), title=info.name, failed=failed)
    left_out = fields_left_out(counts)
    values = pd.concat([count_values(counts), read_object_values(folder, left_out)], ignore_index=True)
    table = plate_statistics(values, controls, plate=info.name, left_out=left_out)
    write_frame(statistics, table)
    responses, note = dose_responses(values, treatments)
    plot_dose_responses(responses, dose_response, title=info.name, note=note)
    write_summary(
        summary,
        info=info,
        ingest=read_report(folder / "ingest_report.json"),
        manifests=manifests,
        vanished=vanished,
        logs=failure_logs(folder, manifests),
        counts=counts,
        treatments=treatments,
        statistics=table,
        responses=responses,
        responses_note=note,
        plate_map_notes=compare_wells(treatments, {*info.wells, *vanished}, processed=wells),
    )


def heatmap_values(counts: pd.DataFrame) -> tuple[dict[str, float], str]:
    """Return the number of each well that the heatmap shows, and what it is.

    It is one class of objects, the first that the pipeline counted, at the first timepoint: the mean over the fields
    that were counted, so that a field that is lacking makes no well look empty.
    """
    from wellfield.report.statistics import SITE, TIMEPOINT, WELL, seen_counts
    from wellfield.report.well_summary import class_names, first_timepoint

    counted = seen_counts(counts)
    if counted.empty:
        return {}, "objects per field"
    names = class_names(counted)
    shown = counted[names == names.iloc[0]]
    label = f"{names.iloc[0]} per {'field' if shown[SITE].notna().any() else 'well'}"
    if counts[TIMEPOINT].nunique() > 1:
        label += f", time point {first_timepoint(shown)}"
    means = shown[shown[TIMEPOINT] == first_timepoint(shown)].groupby(WELL)["Count"].mean()
    return {str(well): float(value) for well, value in means.items()}, label


def read_object_values(results: str | os.PathLike[str], left_out: Collection[Place] = ()) -> pd.DataFrame:
    """Return the readouts of a plate's tables of objects, of which no more than one well's are in memory.

    Objects of fields that are *left_out* do not count.

    A readout that several tables have is taken from the first of ``objects.parquet`` and ``plate_tables/``, by name.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    from wellfield.report.statistics import SITE, TIMEPOINT, WELL, feature_columns, no_values, object_values

    folder = Path(results)
    found = [no_values()]
    taken: set[str] = set()
    for path in [folder / "objects.parquet", *_plate_tables(folder)]:
        with reading(path, "Parquet table", MetadataError), pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            features = [name for name in feature_columns(names) if name not in taken]
            if features and {WELL, TIMEPOINT} <= set(names):
                keys = [WELL, TIMEPOINT, *([SITE] if SITE in names else [])]
                found.append(object_values(_by_well(file, [*keys, *features]), left_out))
                taken |= set(features)
    return pd.concat(found, ignore_index=True)


def _plate_tables(results: Path) -> list[Path]:
    """Return the tables of the plate that are ours, by name: the user's own may lie beside them."""
    record = read_record(results, "aggregate_plate")
    listed = None if record is None else record.paths()
    tables = sorted((results / "plate_tables").glob("*.parquet"))
    return [path for path in tables if listed is None or path.relative_to(results).as_posix() in listed]


def _by_well(file: Any, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield a table of the plate well by well: the rows of a well follow each other, in row groups of their own."""
    import pyarrow as pa

    parts: list[Any] = []
    for number in range(file.num_row_groups):
        part = file.read_row_group(number, columns)
        if parts and part.num_rows and part[KEY_COLUMNS[1]][0] != parts[0][KEY_COLUMNS[1]][0]:
            yield pa.concat_tables(parts).to_pandas()
            parts = []
        parts += [part] if part.num_rows else []
    if parts:
        yield pa.concat_tables(parts).to_pandas()
