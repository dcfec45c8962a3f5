"""The page of a plate: what went wrong, what was counted, what was found on disk. One HTML file, needing no other."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.formatting import counted, size_text
from wellfield.plate.keys import match_plane_name
from wellfield.plate.plate import Plate
from wellfield.plate.platemap import WellTreatment
from wellfield.plate.wells import canonical_well, split_well
from wellfield.report.dose_response import DoseResponse
from wellfield.report.failures import cleaned, find_failures
from wellfield.report.redact import PathCleaner
from wellfield.report.render import FileList, measured, number_text, wells_of, write_page
from wellfield.report.statistics import KINDS, STATISTICS
from wellfield.report.well_summary import WellSummary, summarise_wells

if TYPE_CHECKING:
    import pandas as pd

# Statistics of more readouts and timepoints are cut; all are in plate_statistics.csv.
LISTED_STATISTICS = 200


def write_summary(
    path: str | os.PathLike[str],
    *,
    info: Plate,
    ingest: Mapping[str, Any],
    manifests: Mapping[str, Mapping[str, Any]],
    logs: Mapping[str, Path],
    counts: pd.DataFrame,
    treatments: Mapping[str, WellTreatment],
    statistics: pd.DataFrame,
    responses: Sequence[DoseResponse],
    responses_note: str,
    pictures: Mapping[str, Path] | None = None,
    vanished: Sequence[str] = (),
    plate_map_notes: Sequence[str] = (),
) -> None:
    """Write the page of a plate as one HTML file, which holds its pictures.

    Absolute paths in messages lose their folders. With every well done, nothing on the page depends on when, where or
    how often it is written; the last lines of a failed well's log say what its job was given, which may differ.

    Parameters
    ----------
    info:
        The plate's own metadata.
    ingest:
        Content of the plate's ``ingest_report.json``.
    manifests:
        Manifest of every well that was processed, by well.
    logs:
        The log that recorded the failure of each well that failed; its last lines are shown.
    counts:
        The plate's ``cell_counts`` table; may have no row.
    treatments:
        The plate map, by well; wells that were not processed are left out.
    statistics:
        The plate's table of statistics; without a row where no control is named.
    responses, responses_note:
        The dose–responses that were drawn, and what is to be said of those that were not.
    pictures:
        PNG files of the plate, by what they show.
    vanished:
        The wells of which no raw image is left; their results are of an earlier run.
    plate_map_notes:
        What plate and plate map do not agree about.
    """
    clean = PathCleaner(info.path)
    by_well = {
        canonical_well(well): manifests[well] for well in sorted(manifests, key=lambda well: split_well(well.strip()))
    }
    wells = summarise_wells(by_well, counts, _missing_at_ingest(ingest))
    plate_map = {canonical_well(well): entry for well, entry in treatments.items()}
    plate_map = {well: entry for well, entry in plate_map.items() if well in wells}
    failed = find_failures(by_well, {canonical_well(well): log for well, log in logs.items()}, clean)
    lost = _lost(wells, clean)
    write_page(
        path,
        "summary.html",
        title=info.name,
        clean=clean,
        facts=_facts(info, ingest, len(by_well), len({*info.wells, *by_well})),
        processed=len(by_well),
        wrong=bool(failed.rows or vanished or any(lost.values())),
        all_good=_all_good(len(by_well)),
        vanished=vanished,
        failed=failed,
        **lost,
        plate_map_notes=plate_map_notes,
        pictures={label: _data_url(picture) for label, picture in (pictures or {}).items()},
        statistics=_statistics(statistics),
        no_statistics=_no_statistics(plate_map),
        responses=[_dose_response(response) for response in responses],
        responses_timepoint=responses[0].timepoint if responses else None,
        responses_note=responses_note,
        counts=_counts(wells, plate_map),
        found=_found(info, ingest),
    )


def _data_url(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"


def _missing_at_ingest(ingest: Mapping[str, Any]) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for name in ingest.get("missing_planes") or ():
        key = match_plane_name(name)
        if key is not None:
            missing.setdefault(key.well, []).append(name)
    return missing


def _facts(info: Plate, ingest: Mapping[str, Any], processed: int, wells: int) -> list[str]:
    found = ingest.get("found") or {}
    facts = [info.microscope, f"{wells_of(processed, wells)} processed"]
    for name, noun in (("fields", "field"), ("timepoints", "timepoint")):
        if found.get(name):
            facts.append(counted(len(found[name]), noun))
    facts.append(f"{counted(len(info.channels), 'channel')} ({', '.join(info.channels.values())})")
    if info.shape is not None:
        facts.append(f"{info.shape[0]} × {info.shape[1]} pixels" + (f" {info.dtype}" if info.dtype else ""))
    facts.append("pixel size unknown" if info.pixel_size_um is None else f"{info.pixel_size_um:g} µm per pixel")
    if info.z_spacing_um is not None:
        facts.append(f"z step {info.z_spacing_um:g} µm")
    if found.get("planes") is not None:
        facts.append(counted(found["planes"], "plane"))
    return facts


def _all_good(wells: int) -> str:
    if not wells:
        return "No well was processed."
    done = "The well was" if wells == 1 else f"All {counted(wells, 'well')} were"
    return f"{done} processed; no plane was missing, skipped or blanked."


def _lost(wells: Mapping[str, WellSummary], clean: PathCleaner) -> dict[str, list[Any]]:
    """Return what the wells lack: planes that were left out, fields that were skipped or absent, missing planes."""
    left_out = [_left_out(well, *entry) for well, summary in wells.items() for entry in summary.left_out]
    skipped = [
        [well, *_place(name), why] for well, entry in wells.items() for name, why in entry.skipped_fields.items()
    ]
    absent = [[well, *_place(name)] for well, entry in wells.items() for name in entry.absent]
    missing = [
        FileList(well, len(entry.missing), entry.missing, f"wells/{well}.json")
        for well, entry in wells.items()
        if entry.missing
    ]
    return {
        "left_out": cleaned(left_out, clean),
        "skipped": cleaned(skipped, clean),
        "absent": cleaned(absent, clean),
        "missing": missing,
    }


def _place(name: str) -> tuple[Any, Any]:
    """Return field and timepoint of a name such as ``s002_t001``; of ``stitched_t001`` and others the name."""
    field, _, timepoint = name.rpartition("_t")
    return (int(field[1:]), int(timepoint)) if field[1:].isdecimal() and timepoint.isdecimal() else (name, None)


def _left_out(well: str, kind: str, entry: Mapping[str, Any]) -> list[Any]:
    key = match_plane_name(str(entry.get("plane") or ""))
    field, channel = (key.field, key.channel) if key else (None, None)
    return [well, field, channel, entry.get("plane"), kind, entry.get("file"), entry.get("reason")]


def _no_statistics(treatments: Mapping[str, WellTreatment]) -> str:
    """Return why there are no statistics."""
    if any(entry.control in KINDS for entry in treatments.values()):
        return "Nothing was counted or measured."
    return "No statistics: these wells have no plate map that names a positive or negative control."


def _statistics(statistics: pd.DataFrame) -> dict[str, Any] | None:
    if statistics.empty:
        return None
    rows = [
        [
            row["Readout"],
            row["Metadata_Timepoint"],
            *(_group(*(row[f"{kind.capitalize()}_{what}"] for what in ("Mean", "SD", "Wells"))) for kind in KINDS),
            *(measured(row[statistic.column], 3) for statistic in STATISTICS),
            row["Note"],
        ]
        for row in statistics.iloc[:LISTED_STATISTICS].to_dict("records")
    ]
    head = ["Readout", "Timepoint", "Positive", "Negative", *(s.heading for s in STATISTICS), "Note"]
    return {"head": head, "rows": rows, "total": len(statistics)}


def _group(mean: float, sd: float, wells: int) -> str:
    spread = "" if math.isnan(sd) else f" ± {measured(sd, 3)}"
    return f"{measured(mean, 4)}{spread} ({wells})"


def _dose_response(response: DoseResponse) -> list[Any]:
    row: list[Any] = [response.treatment, response.unit, response.readout]
    curve = response.fit.curve
    if curve is None:
        return [*row, *[None] * 5, response.fit.reason]
    interval = " to ".join(measured(end, 3) for end in curve.interval)
    plateaus = measured(curve.start, 4), measured(curve.end, 4)
    return [*row, measured(curve.ec50, 3), interval, measured(curve.slope, 3), *plateaus, ""]


def _counts(wells: Mapping[str, WellSummary], treatments: Mapping[str, WellTreatment]) -> dict[str, Any]:
    classes = sorted({name for entry in wells.values() for name in entry.counts})
    head = ["Well"]
    if treatments:
        head += ["Treatment", "Concentration", "Control"]
    first = len(head)
    head += [*classes, "Fields", "Planes missing", "Planes skipped", "Planes blanked"]
    rows, kinds = [], []
    for well, entry in wells.items():
        row: list[Any] = [well]
        if treatments:
            row += _treatment(treatments.get(well))
        row += [number_text(entry.counts.get(name)) for name in classes]
        fields = f"{entry.counted_fields} of {entry.fields}" if entry.counted_fields < entry.fields else entry.fields
        row += [fields, len(entry.missing), entry.skipped, entry.blanked]
        rows.append(row)
        attention = entry.missing or entry.skipped or entry.blanked or entry.counted_fields < entry.fields
        kinds.append("failed" if entry.failed else "attention" if attention else "")
    note = "Objects of each class, summed over the fields of a well that were counted"
    if any(entry.timepoints > 1 for entry in wells.values()):
        note += f", at timepoint {max(entry.timepoint for entry in wells.values())}; cell_counts.csv has all timepoints"
    note += ". “–” stands for no count, which is not a count of 0."
    note = note if classes else "No objects were counted."
    return {"head": head, "rows": rows, "kinds": kinds, "first_number": first, "note": note}


def _treatment(entry: WellTreatment | None) -> list[str]:
    if entry is None:
        return ["", "", ""]
    dose = "" if entry.concentration is None else f"{entry.concentration:g} {entry.unit}".strip()
    return [entry.treatment, dose, entry.control]


def _found(info: Plate, ingest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ingest report says."""
    found = ingest.get("found") or {}
    microscope = ingest.get("microscope") or {}
    layers = {
        number: channel.get("z_and_projections") or [] for number, channel in (found.get("channels") or {}).items()
    }
    complete = "ingest_report.json"
    size = None
    if found.get("bytes") is not None:
        planes, wells = counted(found.get("planes") or 0, "plane"), counted(len(info.wells), "well")
        size = f"{planes} of {wells}, {size_text(found['bytes'])}."
    return {
        "microscope": microscope.get("name"),
        "why": microscope.get("why"),
        "channels": [
            [number, name, ", ".join(map(str, layers.get(str(number), ()))) or "–"]
            for number, name in info.channels.items()
        ],
        "size": size,
        "notes": ingest.get("notes") or (),
        "promised": [
            FileList(axis, len(values), values, complete)
            for axis, values in (ingest.get("promised_but_absent") or {}).items()
            if values
        ],
        "ignored": [
            FileList(reason, entry.get("count", 0), entry.get("files") or (), complete)
            for reason, entry in (ingest.get("ignored") or {}).items()
        ],
    }
