"""The table of all targets, which the documentation shows from the last ``make bench``.

``docs/benchmarks.json`` is that table as data. ``docs/benchmarks.md`` has the table and every report of the run between
two marks, the README has five of its rows, and ``docs/well.png`` is the picture of a well job. All of them are written
together, so that they always come from the same run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import HERE, OUT, machine_line

ROOT = HERE.parent
BEGIN, END = "<!-- begin benchmarks -->", "<!-- end benchmarks -->"

# What requirement of the project a benchmark measures.
REQUIREMENTS = {
    "ingest": "X1",
    "storage": "X2, X3, X8",
    "conversions": "X4",
    "imports": "X5",
    "end_to_end": "X6",
    "workflow": "X7",
}

# Rows of the README: beginning of a table's title → what it says in the README.
README_ROWS = {
    "From TIFF to images and tables on 2 cores": "Time from TIFF to OME-Zarr and tables, 8 wells on 2 cores",
    "The same against OpenHCS on 2 cores": "Time of the same, to TIFF and tables",
    "The same on 2 cores: peak of the memory": "Peak memory of the same, to TIFF and tables",
    "Ingest of 99,997 files of an ImageXpress": "Time of ingest, 99,997 files (floor: list, match names, write JSON)",
    "Dry-run": "Time of a dry run (empty: the same jobs without Wellfield)",
}


def targets(name: str, report: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Return a line for each table of a benchmark that has targets: how many are met, and the row that is worst."""
    for table in report["tables"]:
        rows = [row for row in table["rows"] if row["met"] is not None]
        if not rows:
            continue
        worst = max(rows, key=lambda row: row["ratio"] / limit(row["target"]))
        yield {
            "requirement": REQUIREMENTS.get(name, ""),
            "benchmark": name,
            "measured": table["title"],
            "met": sum(row["met"] for row in rows),
            "of": len(rows),
            "worst": worst["name"],
            "against": worst["against"],
            "ratio": round(worst["ratio"], 3),
            "target": worst["target"],
        }


def limit(target: str) -> float:
    """Return the number of a target such as ``≤ 1.25 ×``."""
    return float(target.removeprefix("≤ ").removesuffix(" ×"))


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the table of all targets."""
    lines = ["| | measured | targets met | tightest case | ratio | target |", "|---|---|---|---|---|---|"]
    for line in summary["targets"]:
        lines.append(
            f"| {line['requirement']} | {line['measured']} | {line['met']} of {line['of']} | {line['worst']}, compared "
            f"with {line['against']} | {_ratio(line)} |"
        )
    return "\n".join([*lines, "", f"Measured on {summary['machine']}."])


def readme_rows(summary: Mapping[str, Any]) -> str:
    """Return the few rows that the README shows."""
    lines = ["| measured | divided by that of | ratio | target |", "|---|---|---|---|"]
    for beginning, words in README_ROWS.items():
        for line in summary["targets"]:
            if line["measured"].startswith(beginning):
                lines.append(f"| {words} | {line['against']} | {_ratio(line)} |")
    return "\n".join(lines)


def _ratio(line: Mapping[str, Any]) -> str:
    missed = "" if line["met"] == line["of"] else " **missed**"
    return f"{line['ratio']:.2f} | {line['target']}{missed}"


def read_reports(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the last report of each benchmark.

    Raises
    ------
    FileNotFoundError
        One has not been run.
    """
    return {name: json.loads((OUT / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def summarise(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the machine, and all targets of some benchmarks by their requirements."""
    found = [line for name, report in reports.items() for line in targets(name, report)]
    return {
        "machine": machine_line(next(iter(reports.values()))["machine"]),
        "targets": sorted(found, key=lambda line: (not line["requirement"], line["requirement"])),
    }


def publish(names: Iterable[str], folder: Path = ROOT) -> None:
    """Write the reports of all benchmarks, run one after the other or together, into ``docs`` and the README.

    Raises
    ------
    FileNotFoundError
        One has not been run.
    ValueError
        One was run with ``--quick``, they are of different machines, libraries or code, or a page has lost its marks;
        nothing is written then.
    """
    reports = read_reports(names)
    summary = summarise(reports)
    if quick := [name for name, report in reports.items() if "--quick" in report["command"]]:
        raise ValueError(f"small sizes are not published; run {', '.join(quick)} without --quick first")
    ran_on = {machine_line(report["machine"]): name for name, report in reports.items()}
    if len(ran_on) > 1:
        listed = "\n".join(f"  {name}: {line}" for line, name in ran_on.items())
        raise ValueError(f"run all benchmarks with the same code on one machine; these differ:\n{listed}")
    everything = [(OUT / f"{name}.md").read_text(encoding="utf-8").strip() for name in reports]
    tables = {"README.md": readme_rows(summary), "docs/benchmarks.md": "\n\n".join([markdown(summary), *everything])}
    pages = {folder / page: included(folder / page, content) for page, content in tables.items()}
    data = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    for path, text in (pages | {folder / "docs" / "benchmarks.json": data}).items():
        path.write_text(text, encoding="utf-8")
    if "well" in reports:
        shutil.copyfile(OUT / "well.png", folder / "docs" / "well.png")


def included(page: Path, content: str) -> str:
    """Return the text of a page with *content* between its marks."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no {BEGIN} … {END}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
