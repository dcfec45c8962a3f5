"""The page of a plate: what went wrong, what was counted, what was found on disk. One HTML file, needing no other."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.formatting import counted, size_text
from wellfield.plate.index import PlateInfo
from wellfield.plate.keys import match_plane_name
from wellfield.plate.platemap import WellTreatment
from wellfield.plate.wells import canonical_well, split_well
from wellfield.report.dose_response import DoseResponse
from wellfield.report.failures import html_failed
from wellfield.report.markup import html_files, html_table, html_text, measured, number_text
from wellfield.report.page import write_page
from wellfield.report.redact import PathCleaner
from wellfield.report.statistics import KINDS, STATISTICS
from wellfield.report.well_summary import WellSummary, summarise_wells

if TYPE_CHECKING:
    import pandas as pd

# Statistics of more readouts and timepoints are cut; all are in plate_statistics.csv.
LISTED_STATISTICS = 200


def write_summary(
    path: str | os.PathLike[str],
    *,
    info: PlateInfo,
    ingest: Mapping[str, Any],
    manifests: Mapping[str, Mapping[str, Any]],
    logs: Mapping[str, Path],
    counts: pd.DataFrame,
    treatments: Mapping[str, WellTreatment],
    statistics: pd.DataFrame,
    responses: Sequence[DoseResponse],
    responses_note: str,
    vanished: Sequence[str] = (),
    plate_map_notes: Sequence[str] = (),
) -> None:
    """Write the page of a plate as one small HTML file.

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
    vanished:
        The wells of which no raw image is left; their results are of an earlier run.
    plate_map_notes:
        What plate and plate map do not agree about.
    """
    clean = PathCleaner(info.plate_path)
    by_well = {
        canonical_well(well): manifests[well] for well in sorted(manifests, key=lambda well: split_well(well.strip()))
    }
    wells = summarise_wells(by_well, counts, _missing_at_ingest(ingest))
    plate_map = {canonical_well(well): entry for well, entry in treatments.items()}
    plate_map = {well: entry for well, entry in plate_map.items() if well in wells}
    parts = [
        f"<h1>{html_text(info.plate)}</h1>",
        f'<p class="facts">{_facts(info, ingest, len(by_well), len({*info.wells, *by_well}))}</p>',
        _what_went_wrong(by_well, {canonical_well(well): log for well, log in logs.items()}, wells, clean, vanished),
        *(f'<p class="note">{html_text(note)}</p>' for note in plate_map_notes),
        _statistics(statistics, plate_map),
        _dose_responses(responses, responses_note),
        _counts(wells, plate_map),
        _what_was_found(info, ingest, clean),
    ]
    write_page(path, info.plate, parts)


def _missing_at_ingest(ingest: Mapping[str, Any]) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for name in ingest.get("missing_planes") or ():
        key = match_plane_name(name)
        if key is not None:
            missing.setdefault(key.well, []).append(name)
    return missing


def _facts(info: PlateInfo, ingest: Mapping[str, Any], processed: int, wells: int) -> str:
    found = ingest.get("found") or {}
    facts = [info.microscope, f"{_of(processed, wells)} processed"]
    for name, noun in (("fields", "field"), ("timepoints", "time point")):
        if found.get(name):
            facts.append(counted(len(found[name]), noun))
    facts.append(f"{counted(len(info.channels), 'channel')} ({', '.join(info.channels.values())})")
    if info.shape is not None:
        facts.append(f"{info.shape[0]} × {info.shape[1]} pixels" + (f" {info.dtype}" if info.dtype else ""))
    facts.append("pixel size unknown" if info.pixel_size_um is None else f"{info.pixel_size_um:g} µm per pixel")
    if info.z_spacing_um is not None:
        facts.append(f"z step {info.z_spacing_um:g} µm")
    if found.get("planes") is not None:
        facts.append(f"{counted(found['planes'], 'plane')}")
    return " · ".join(html_text(fact) for fact in facts)


def _of(part: int, whole: int) -> str:
    return counted(whole, "well") if part == whole else f"{part:,} of {counted(whole, 'well')}"


def _what_went_wrong(
    manifests: Mapping[str, Mapping[str, Any]],
    logs: Mapping[str, Path],
    wells: Mapping[str, WellSummary],
    clean: PathCleaner,
    vanished: Sequence[str],
) -> str:
    failed, failures = html_failed(manifests, logs, clean)
    left_out = [_left_out(well, *entry) for well, summary in wells.items() for entry in summary.left_out]
    missing = {well: entry.missing for well, entry in wells.items() if entry.missing}
    skipped = [
        [well, *_place(name), why] for well, entry in wells.items() for name, why in entry.skipped_fields.items()
    ]
    absent = [[well, *_place(name)] for well, entry in wells.items() for name in entry.absent]
    if not (failed or left_out or missing or skipped or absent or vanished):
        done = f"All {counted(len(manifests), 'well')}" if len(manifests) != 1 else "The well"
        verb = "were" if len(manifests) != 1 else "was"
        message = f"{done} {verb} processed; no plane was missing, skipped or blanked."
        return f'<p class="good">{html_text(message if manifests else "No well was processed.")}</p>'
    parts = ["<h2>What went wrong</h2>"]
    if vanished:
        parts.append(f"<h3>Raw files of {counted(len(vanished), 'well')} gone</h3>")
        parts.append('<p class="note">Their results stay and are of an earlier run.</p>')
        parts.append(f"<p>{html_text(', '.join(vanished))}</p>")
    if failed:
        parts += [f"<h3>{_of(failed, len(manifests))} failed</h3>", failures]
    if left_out:
        parts.append(f"<h3>{counted(len(left_out), 'plane')} skipped or blanked</h3>")
        note = (
            "A field with a skipped plane is left out. A blanked plane is taken as black; the counts of its field are "
            "in cell_counts.csv, but in no statistic and no picture."
        )
        parts.append(f'<p class="note">{note}</p>')
        parts.append(html_table(("Well", "Field", "Channel", "Plane", "What", "File", "Reason"), left_out, clean=clean))
    if skipped:
        parts.append(f"<h3>{counted(len(skipped), 'field')} skipped</h3>")
        parts.append(html_table(("Well", "Field skipped", "Time point", "Reason"), skipped, clean=clean))
    if absent:
        parts.append(f"<h3>{counted(len(absent), 'field')} without an image</h3>")
        parts.append('<p class="note">Other wells of the plate have these fields.</p>')
        parts.append(html_table(("Well", "Field without an image", "Time point"), absent, clean=clean))
    if missing:
        total = sum(map(len, missing.values()))
        parts.append(f"<h3>{counted(total, 'plane')} missing in {counted(len(missing), 'well')}</h3>")
        parts.append('<p class="note">Other wells or fields of the plate have these planes.</p>')
        rows = [[well, len(names), html_files(names, clean, f"wells/{well}.json")] for well, names in missing.items()]
        parts.append(html_table(("Well", "Planes", "Names"), rows, numbers={1}, clean=clean))
    return f'<section class="wrong">\n{"".join(part + chr(10) for part in parts)}</section>'


def _place(name: str) -> tuple[Any, Any]:
    """Return field and timepoint of a name such as ``s002_t001``; of ``stitched_t001`` and others the name."""
    field, _, timepoint = name.rpartition("_t")
    return (int(field[1:]), int(timepoint)) if field[1:].isdecimal() and timepoint.isdecimal() else (name, None)


def _left_out(well: str, kind: str, entry: Mapping[str, Any]) -> list[Any]:
    key = match_plane_name(str(entry.get("plane") or ""))
    field, channel = (key.field, key.channel) if key else (None, None)
    return [well, field, channel, entry.get("plane"), kind, entry.get("file"), entry.get("reason")]


def _statistics(statistics: pd.DataFrame, treatments: Mapping[str, WellTreatment]) -> str:
    if statistics.empty:
        reason = "Nothing was counted or measured."
        if not any(entry.control in KINDS for entry in treatments.values()):
            reason = "No statistics: these wells have no plate map that names a positive or negative control."
        return f'<h2>Controls</h2>\n<p class="note">{html_text(reason)}</p>'
    note = (
        "Mean ± standard deviation over wells (number of wells). The value of a well is its number of objects per "
        "field, or the median of a feature over its objects."
    )
    shown = statistics.iloc[:LISTED_STATISTICS]
    if len(shown) < len(statistics):
        note += f" The first {len(shown):,} of {len(statistics):,} rows; all are in plate_statistics.csv."
    head = ["Readout", "Time point", "Positive", "Negative", *(s.heading for s in STATISTICS), "Note"]
    rows = [
        [
            row["Readout"],
            row["Metadata_Timepoint"],
            *(_group(*(row[f"{kind.capitalize()}_{what}"] for what in ("Mean", "SD", "Wells"))) for kind in KINDS),
            *(measured(row[statistic.column], 3) for statistic in STATISTICS),
            row["Note"],
        ]
        for row in shown.to_dict("records")
    ]
    table = html_table(head, rows, numbers=range(1, len(head) - 1))
    return f'<h2>Controls</h2>\n<p class="note">{html_text(note)}</p>\n{table}'


def _group(mean: float, sd: float, wells: int) -> str:
    spread = "" if math.isnan(sd) else f" ± {measured(sd, 3)}"
    return f"{measured(mean, 4)}{spread} ({wells})"


def _dose_responses(responses: Sequence[DoseResponse], note: str) -> str:
    if not responses:
        return ""
    rows = []
    for response in responses:
        row: list[Any] = [response.treatment, response.unit, response.readout]
        curve = response.fit.curve
        if curve is None:
            rows.append([*row, *[None] * 5, response.fit.reason])
            continue
        interval = " to ".join(measured(end, 3) for end in curve.interval)
        plateaus = measured(curve.start, 4), measured(curve.end, 4)
        rows.append([*row, measured(curve.ec50, 3), interval, measured(curve.slope, 3), *plateaus, ""])
    head = ("Treatment", "Unit", "Readout", "EC50", "95 % interval", "Slope", "Start", "End", "Note")
    table = html_table(head, rows, numbers=range(3, 8))
    said = f"Four-parameter logistic curves at time point {responses[0].timepoint}. {note}".strip()
    return f'<h2>Dose–response</h2>\n<p class="note">{html_text(said)}</p>\n{table}'


def _counts(wells: Mapping[str, WellSummary], treatments: Mapping[str, WellTreatment]) -> str:
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
        note += (
            f", at time point {max(entry.timepoint for entry in wells.values())}; cell_counts.csv has all time points"
        )
    note += ". “–” stands for no count, which is not a count of 0."
    note = note if classes else "No objects were counted."
    table = html_table(head, rows, numbers=set(range(first, len(head))), kinds=kinds)
    return f'<h2>Counts per well</h2>\n<p class="note">{html_text(note)}</p>\n{table}'


def _treatment(entry: WellTreatment | None) -> list[str]:
    if entry is None:
        return ["", "", ""]
    dose = "" if entry.concentration is None else f"{entry.concentration:g} {entry.unit}".strip()
    return [entry.treatment, dose, entry.control]


def _what_was_found(info: PlateInfo, ingest: Mapping[str, Any], clean: PathCleaner) -> str:
    found = ingest.get("found") or {}
    microscope = ingest.get("microscope") or {}
    parts = ["<h2>What ingest found</h2>"]
    if microscope.get("why"):
        parts.append(f"<p>Read as {html_text(microscope.get('name'))}: {html_text(clean(str(microscope['why'])))}</p>")
    layers = {
        number: channel.get("z_and_projections") or [] for number, channel in (found.get("channels") or {}).items()
    }
    channels = [
        [number, name, ", ".join(map(str, layers.get(str(number), ()))) or "–"]
        for number, name in info.channels.items()
    ]
    parts.append(html_table(("Channel", "Name", "z and projections"), channels))
    if found.get("bytes") is not None:
        planes = counted(found.get("planes") or 0, "plane")
        parts.append(
            f'<p class="note">{planes} of {counted(len(info.wells), "well")}, {size_text(found["bytes"])}.</p>'
        )
    notes = "".join(f"<li>{html_text(clean(str(note)))}</li>" for note in ingest.get("notes") or ())
    parts.append(f"<h3>Notes</h3>\n<ul>{notes}</ul>" if notes else "")
    promised = {axis: values for axis, values in (ingest.get("promised_but_absent") or {}).items() if values}
    if promised:
        parts.append("<h3>Promised by the microscope's metadata, but absent</h3>")
        rows = [
            [axis, len(values), html_files(values, clean, "ingest_report.json")] for axis, values in promised.items()
        ]
        parts.append(html_table(("What", "Number", "Names"), rows, numbers={1}))
    ignored = ingest.get("ignored") or {}
    if ignored:
        parts.append("<h3>Files left out</h3>")
        rows = [
            [
                clean(reason),
                entry.get("count", 0),
                html_files(entry.get("files") or (), clean, "ingest_report.json"),
            ]
            for reason, entry in ignored.items()
        ]
        parts.append(html_table(("Reason", "Files", "Names"), rows, numbers={1}))
    return "\n".join(part for part in parts if part)
