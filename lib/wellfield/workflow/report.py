"""Stage 5: the pictures and the page of a plate's report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from wellfield.formats.json import read_json
from wellfield.formats.npy import read_npy
from wellfield.pipeline.stage import DONE
from wellfield.plate.index import read_info
from wellfield.workflow.aggregate import read_manifests, read_treatments


def report_plate(
    results: str | os.PathLike[str],
    index: str | os.PathLike[str],
    wells: Sequence[str],
    *,
    plate_map: str | None,
    heatmap: str,
    montage: str,
    summary: str,
) -> None:
    """Write heatmap, montage and summary of a plate."""
    import pandas as pd

    from wellfield.report.heatmap import plate_heatmap
    from wellfield.report.montage import plate_montage
    from wellfield.report.summary import write_summary

    folder = Path(results)
    info = read_info(index)
    manifests = read_manifests(folder / "wells", wells)
    treatments = read_treatments(plate_map)
    counts = pd.read_parquet(folder / "cell_counts.parquet")
    failed = [well for well, manifest in manifests.items() if manifest["status"] != DONE]
    counted = counts.dropna(subset=["Count"])
    # The heatmap shows one class of objects: the first that the pipeline counted.
    name = next(iter(counted["Object"]), "")
    sums = counted[counted["Object"] == name].groupby("Metadata_Well")["Count"].sum()
    plate_heatmap(
        {well: float(sums[well]) if well in sums else None for well in wells},
        heatmap,
        title=info.plate,
        label=f"{name or 'objects'} per well",
        controls={well: entry.control for well, entry in treatments.items() if entry.control and well in manifests},
        failed=failed,
    )
    thumbnails = {}
    for well in wells:
        thumbnail = read_npy(folder / "report" / "thumbnails" / f"{well}.npy")
        if thumbnail.size:
            thumbnails[well] = thumbnail
    plate_montage(thumbnails, montage, wells_expected=list(wells), title=info.plate, failed=failed)
    ingest = read_json(folder / "ingest_report.json")
    write_summary(summary, info=info, ingest=ingest, manifests=manifests, counts=counts, treatments=treatments)
