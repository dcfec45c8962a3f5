"""The ingest report as text: what ``wellfield inspect`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wellfield.plate.wells import row_name, split_well

_WIDEST = 24  # columns of a plate that are drawn; of larger ones the wells that differ are listed


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the lines that describe an ingest report (:func:`wellfield.microscopes.ingest_report.ingest_report`)."""
    found, image = report["found"], report["image"]
    size = "unknown" if image["shape"] is None else f"{image['shape'][0]} x {image['shape'][1]} {image['dtype']}"
    empty = report["empty_images"]
    notes = report["notes"]
    rows = [
        *([("EMPTY FILES", notes[0])] if empty else []),
        ("planes", f"{found['planes']} ({found['bytes'] / 1e6:.1f} MB)"),
        *well_rows(found["planes_per_well"]),
        ("fields", shorten(found["fields"]) + _field_facts(report)),
        ("timepoints", shorten(found["timepoints"]) + _interval(image["time_interval_s"])),
        *(
            (f"channel {number}", f"{channel['name']}: {shorten(channel['z_and_projections'])}{_light(channel)}")
            for number, channel in found["channels"].items()
        ),
        (
            "image",
            f"{size}, pixel {image['pixel_size_um'] or 'unknown'} µm, z step {image['z_spacing_um'] or 'unknown'} µm",
        ),
        ("missing", f"{len(report['missing_planes'])}: {shorten(report['missing_planes'])}"),
        *((f"promised {axis}, absent", shorten(names)) for axis, names in report["promised_but_absent"].items()),
        *((f"ignored: {why}", f"{e['count']}: {shorten(e['files'])}") for why, e in report["ignored"].items()),
        *(("note", note) for note in (notes[1:] if empty else notes)),
    ]
    width = min(max(len(name) for name, _ in rows), 48)
    return [f"  {name:<{width}}  {value}".rstrip() for name, value in rows]


def well_rows(planes_per_well: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the wells as rows of a table: their extent, and planes of each well where wells are absent or differ."""
    places = {split_well(well): count for well, count in planes_per_well.items()}
    rows = range(min(row for row, _ in places), max(row for row, _ in places) + 1)
    columns = range(min(column for _, column in places), max(column for _, column in places) + 1)
    counts = Counter(places.values())
    usual, _ = counts.most_common(1)[0]
    extent = f"{len(places)}: {_extent(map(row_name, rows))} x {_extent(column + 1 for column in columns)}"
    full = len(places) == len(rows) * len(columns)
    if len(counts) == 1 and full:
        return [("wells", f"{extent}, planes in each: {usual}")]
    if len(columns) > _WIDEST:
        odd = [f"{well} ({count})" for well, count in planes_per_well.items() if count != usual]
        other = f"; other: {shorten(odd)}" if odd else ""
        return [("wells", f"{extent}{'' if full else ', not all'}, planes in each: {usual}{other}")]
    width = max(len(str(max(counts))), len(str(columns[-1] + 1)))
    grid = [["", *(str(column + 1) for column in columns)]]
    grid += [[row_name(row), *(str(places.get((row, column), ".")) for column in columns)] for row in rows]
    lines = [f"{line[0]:<2} {' '.join(f'{cell:>{width}}' for cell in line[1:])}" for line in grid]
    return [("wells", f"{extent}, planes in each:"), *(("", line) for line in lines)]


def _field_facts(report: Mapping[str, Any]) -> str:
    """Return grid and vendor's numbers of the fields, where they are known."""
    grid = report["image"]["field_grid_rows_columns"]
    facts = [f"on a {grid[0]} x {grid[1]} grid"] if grid else []
    vendor = report["found"].get("vendor_fields", {})
    if any(number != other for number, other in vendor.items()):
        facts.append(f"the vendor's {shorten(list(vendor.values()))}")
    return f" ({'; '.join(facts)})" if facts else ""


def _interval(seconds: float | None) -> str:
    return f" (every {seconds:g} s)" if seconds else ""


def _light(channel: Mapping[str, Any]) -> str:
    """Return wavelengths of a channel, and whether the microscope measured a flat field, where they are known."""
    facts = [f"{name} {channel[f'{name}_nm']:g} nm" for name in ("excitation", "emission") if f"{name}_nm" in channel]
    facts += ["with flat field"] if channel.get("flatfield") else []
    return f" ({', '.join(facts)})" if facts else ""


def shorten(values: Sequence[Any], limit: int = 12) -> str:
    """Return the first values and how many more there are."""
    shown = ", ".join(map(str, values[:limit]))
    return shown if len(values) <= limit else f"{shown}, … and {len(values) - limit} more"


def _extent(values: Iterable[Any]) -> str:
    first, *rest = values
    return f"{first}-{rest[-1]}" if rest else str(first)
