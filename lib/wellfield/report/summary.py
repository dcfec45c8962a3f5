"""The page of a plate: what went wrong, what was counted, what was found on disk. One HTML file, needing no other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from wellfield.formats.text import write_text
from wellfield.plate.index import PlateInfo
from wellfield.plate.keys import match_plane_name
from wellfield.plate.platemap import WellTreatment
from wellfield.plate.wells import canonical_well, split_well
from wellfield.report.paths import PathCleaner
from wellfield.report.wells import WellSummary, summarise_wells

if TYPE_CHECKING:
    import pandas as pd

# Longer lists of files are cut; the complete ones are in the manifests and in ingest_report.json.
LISTED_FILES = 200

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2328; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.facts, .note { color: #59636e; margin: .2rem 0; }
.good { background: #e9f7ee; border-left: 4px solid #1a7f37; padding: .6rem 1rem; margin: 1.2rem 0; }
.wrong { background: #fdf1f0; border-left: 4px solid #b42318; padding: .1rem 1rem 1rem; margin: 1.2rem 0; }
.wrong h2 { margin-top: .8rem; color: #b42318; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid #d8dee4; }
th { font-weight: 600; border-bottom: 2px solid #afb8c1; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.failed td { background: #fdf1f0; }
tr.attention td { background: #fff8e5; }
summary { cursor: pointer; }
code { font-size: .92em; overflow-wrap: anywhere; }
"""


def write_summary(
    path: str | os.PathLike[str],
    *,
    info: PlateInfo,
    ingest: Mapping[str, Any],
    manifests: Mapping[str, Mapping[str, Any]],
    counts: pd.DataFrame,
    treatments: Mapping[str, WellTreatment],
) -> None:
    """Write the page of a plate as one small HTML file.

    Nothing on it depends on when, where or how often it is written: absolute paths in messages lose their folders.

    Parameters
    ----------
    info:
        The plate's own metadata.
    ingest:
        Content of the plate's ``ingest_report.json``.
    manifests:
        Manifest of every well that was processed, by well.
    counts:
        The plate's ``cell_counts`` table; may have no row.
    treatments:
        The plate map, by well; wells that were not processed are left out.
    """
    clean = PathCleaner(info.plate_path)
    by_well = {
        canonical_well(well): manifests[well] for well in sorted(manifests, key=lambda well: split_well(well.strip()))
    }
    wells = summarise_wells(by_well, counts, _missing_at_ingest(ingest))
    parts = [
        f"<h1>{_text(info.plate)}</h1>",
        f'<p class="facts">{_facts(info, ingest, len(by_well))}</p>',
        _what_went_wrong(info, by_well, wells, clean),
        _counts(wells, {canonical_well(well): entry for well, entry in treatments.items()}),
        _what_was_found(info, ingest, clean),
    ]
    write_text(
        path,
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(info.plate)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n",
    )


def _missing_at_ingest(ingest: Mapping[str, Any]) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for name in ingest.get("missing_planes") or ():
        key = match_plane_name(name)
        if key is not None:
            missing.setdefault(key.well, []).append(name)
    return missing


# --- sections ----------------------------------------------------------------------------------------------------


def _facts(info: PlateInfo, ingest: Mapping[str, Any], processed: int) -> str:
    found = ingest.get("found") or {}
    facts = [info.microscope, f"{_of(processed, len(info.wells))} processed"]
    for name, noun in (("fields", "field"), ("timepoints", "time point")):
        if found.get(name):
            facts.append(_count(len(found[name]), noun))
    facts.append(f"{_count(len(info.channels), 'channel')} ({', '.join(info.channels.values())})")
    if info.shape is not None:
        facts.append(f"{info.shape[0]} × {info.shape[1]} pixels" + (f" {info.dtype}" if info.dtype else ""))
    facts.append("pixel size unknown" if info.pixel_size_um is None else f"{info.pixel_size_um:g} µm per pixel")
    if info.z_spacing_um is not None:
        facts.append(f"z step {info.z_spacing_um:g} µm")
    if found.get("planes") is not None:
        facts.append(f"{_count(found['planes'], 'plane')}")
    return " · ".join(_text(fact) for fact in facts)


def _of(part: int, whole: int) -> str:
    return _count(whole, "well") if part == whole else f"{part:,} of {_count(whole, 'well')}"


def _what_went_wrong(
    info: PlateInfo,
    manifests: Mapping[str, Mapping[str, Any]],
    wells: Mapping[str, WellSummary],
    clean: PathCleaner,
) -> str:
    failed = [
        [well, *(error.get(name) for name in ("step", "field", "channel", "file", "message"))]
        for well, manifest in manifests.items()
        if manifest.get("status") == "failed"
        for error in [manifest.get("error") or {"message": "no reason was recorded"}]
    ]
    left_out = [_left_out(well, *entry) for well, summary in wells.items() for entry in summary.left_out]
    missing = {well: entry.missing for well, entry in wells.items() if entry.missing}
    if not (failed or left_out or missing):
        done = f"All {_count(len(manifests), 'well')}" if len(manifests) != 1 else "The well"
        verb = "were" if len(manifests) != 1 else "was"
        message = f"{done} {verb} processed; no plane was missing, skipped or blanked."
        return f'<p class="good">{_text(message if manifests else "No well was processed.")}</p>'
    parts = ["<h2>What went wrong</h2>"]
    if failed:
        parts.append(f"<h3>{_of(len(failed), len(manifests))} failed</h3>")
        parts.append(_table(("Well", "Step", "Field", "Channel", "File", "Reason"), failed, clean=clean))
    if left_out:
        parts.append(f"<h3>{_count(len(left_out), 'plane')} skipped or blanked</h3>")
        parts.append('<p class="note">A field with a skipped plane is left out; a blanked plane is taken as black.</p>')
        parts.append(_table(("Well", "Field", "Channel", "Plane", "What", "File", "Reason"), left_out, clean=clean))
    if missing:
        total = sum(map(len, missing.values()))
        parts.append(f"<h3>{_count(total, 'plane')} missing in {_count(len(missing), 'well')}</h3>")
        parts.append('<p class="note">Other wells or fields of the plate have these planes.</p>')
        rows = [
            [well, len(names), _Html(_files(names, clean, f"wells/{well}.json"))] for well, names in missing.items()
        ]
        parts.append(_table(("Well", "Planes", "Names"), rows, numbers={1}, clean=clean))
    return f'<section class="wrong">\n{"".join(part + chr(10) for part in parts)}</section>'


def _left_out(well: str, kind: str, entry: Mapping[str, Any]) -> list[Any]:
    key = match_plane_name(str(entry.get("plane") or ""))
    field, channel = (key.field, key.channel) if key else (None, None)
    return [well, field, channel, entry.get("plane"), kind, entry.get("file"), entry.get("reason")]


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
        row += [_number(entry.counts.get(name)) for name in classes]
        fields = f"{entry.counted_fields} of {entry.fields}" if entry.counted_fields < entry.fields else entry.fields
        row += [fields, len(entry.missing), entry.skipped, entry.blanked]
        rows.append(row)
        attention = entry.missing or entry.skipped or entry.blanked or entry.counted_fields < entry.fields
        kinds.append("failed" if entry.failed else "attention" if attention else "")
    note = "Objects of each class, summed over the fields"
    if any(entry.timepoints > 1 for entry in wells.values()):
        note += " and time points"
    note += " of a well. “–” stands for no count, which is not a count of 0."
    note = note if classes else "No objects were counted."
    table = _table(head, rows, numbers=set(range(first, len(head))), kinds=kinds)
    return f'<h2>Counts per well</h2>\n<p class="note">{_text(note)}</p>\n{table}'


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
        parts.append(f"<p>Read as {_text(microscope.get('name'))}: {_text(clean(str(microscope['why'])))}</p>")
    layers = {
        number: channel.get("z_and_projections") or [] for number, channel in (found.get("channels") or {}).items()
    }
    channels = [
        [number, name, ", ".join(map(str, layers.get(str(number), ()))) or "–"]
        for number, name in info.channels.items()
    ]
    parts.append(_table(("Channel", "Name", "z and projections"), channels))
    if found.get("bytes") is not None:
        planes = _count(found.get("planes") or 0, "plane")
        parts.append(f'<p class="note">{planes} of {_count(len(info.wells), "well")}, {_size(found["bytes"])}.</p>')
    notes = "".join(f"<li>{_text(clean(str(note)))}</li>" for note in ingest.get("notes") or ())
    parts.append(f"<h3>Notes</h3>\n<ul>{notes}</ul>" if notes else "")
    promised = {axis: values for axis, values in (ingest.get("promised_but_absent") or {}).items() if values}
    if promised:
        parts.append("<h3>Promised by the microscope's metadata, but absent</h3>")
        rows = [
            [axis, len(values), _Html(_files(values, clean, "ingest_report.json"))] for axis, values in promised.items()
        ]
        parts.append(_table(("What", "Number", "Names"), rows, numbers={1}))
    ignored = ingest.get("ignored") or {}
    if ignored:
        parts.append("<h3>Files left out</h3>")
        rows = [
            [
                clean(reason),
                entry.get("count", 0),
                _Html(_files(entry.get("files") or (), clean, "ingest_report.json")),
            ]
            for reason, entry in ignored.items()
        ]
        parts.append(_table(("Reason", "Files", "Names"), rows, numbers={1}))
    return "\n".join(part for part in parts if part)


# --- pieces of HTML ----------------------------------------------------------------------------------------------


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _text(value: Any) -> str:
    """Return a value as HTML text; what no HTML file can hold (controls, halves of surrogate pairs) is replaced."""
    visible = (
        character if character.isprintable() or character in " \n\t\xa0" else "\ufffd" for character in str(value)
    )
    return escape("".join(visible))


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Iterable[int] = (),
    kinds: Sequence[str] = (),
    clean: PathCleaner | None = None,
) -> str:
    """Return a table; *numbers* are the columns to align right, *kinds* the CSS class of each row."""
    right = set(numbers)
    css = [' class="number"' if column in right else "" for column in range(len(head))]
    lines = ["<tr>" + "".join(f"<th{css[n]}>{_text(name)}</th>" for n, name in enumerate(head)) + "</tr>"]
    for number, row in enumerate(rows):
        cells = []
        for n, value in enumerate(row):
            shown = "–" if value is None else clean(value) if clean and type(value) is str else value
            cells.append(f"<td{css[n]}>{shown if isinstance(shown, _Html) else _text(shown)}</td>")
        kind = kinds[number] if kinds else ""
        lines.append((f'<tr class="{kind}">' if kind else "<tr>") + "".join(cells) + "</tr>")
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _files(names: Sequence[Any], clean: PathCleaner, complete: str) -> str:
    """Return a list of names; one that is long is folded away, one that is very long is cut."""
    shown = ", ".join(f"<code>{_text(clean(str(name)))}</code>" for name in names[:LISTED_FILES])
    if len(names) > LISTED_FILES:
        shown += f" and {len(names) - LISTED_FILES:,} more, see <code>{_text(complete)}</code>"
    return shown if len(names) <= 3 else f"<details><summary>show</summary>{shown}</details>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _size(size: int) -> str:
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:.3g} {unit}"
    return f"{size} bytes"
