"""All targets in one table: what the README shows of the last ``make bench``.

``docs/benchmarks.json`` is that table as data and ``docs/benchmarks.md`` holds every table of the run; the README has
the part between two marks, with a few tables as they are; ``docs/well.png`` is the picture of a well job. All are
written together, so that no claim outlives the run that it came from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import HERE, OUT, Table, machine_line

ROOT = HERE.parent
BEGIN, END = "<!-- make bench -->", "<!-- end of make bench -->"

# What requirement of the project a benchmark measures.
REQUIREMENTS = {
    "ingest": "X1",
    "storage": "X2, X3, X8",
    "conversions": "X4",
    "imports": "X5",
    "end_to_end": "X6",
    "workflow": "X7",
}

# Tables that the README has as they are, by the beginning of their titles.
SHOWN = {"end_to_end": "From TIFF", "storage": "Layouts"}


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
    lines = [
        "| | measured | targets met | of these the nearest to its limit, or furthest beyond | ratio | target |",
        "|---|---|---|---|---|---|",
    ]
    for line in summary["targets"]:
        missed = "" if line["met"] == line["of"] else " **missed**"
        lines.append(
            f"| {line['requirement']} | {line['measured']} | {line['met']} of {line['of']} | {line['worst']}, compared "
            f"with {line['against']} | {line['ratio']:.2f} | {line['target']}{missed} |"
        )
    return "\n".join([*lines, "", f"Measured on {summary['machine']}."])


def read_reports(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the last report of each benchmark.

    Raises
    ------
    FileNotFoundError
        One has not been run.
    """
    return {name: json.loads((OUT / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def summarise(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the machine, all targets of some benchmarks by their requirements, and the tables that are shown."""
    found = [line for name, report in reports.items() for line in targets(name, report)]
    return {
        "machine": machine_line(next(iter(reports.values()))["machine"]),
        "targets": sorted(found, key=lambda line: (not line["requirement"], line["requirement"])),
        "shown": [
            Table.from_json(table).markdown().strip()
            for name, beginning in SHOWN.items()
            for table in (reports[name]["tables"] if name in reports else ())
            if table["title"].startswith(beginning)
        ],
    }


def publish(names: Iterable[str], folder: Path = ROOT) -> None:
    """Write the reports of all benchmarks, run one after the other or together, into ``docs`` and the README.

    Raises
    ------
    FileNotFoundError
        One has not been run.
    ValueError
        One was run with ``--quick``, they are of different machines, libraries or code, or the README has lost its
        marks; nothing is written then.
    """
    reports = read_reports(names)
    summary = summarise(reports)
    if quick := [name for name, report in reports.items() if "--quick" in report["command"]]:
        raise ValueError(f"small sizes are not published; run {', '.join(quick)} without --quick first")
    ran_on = {machine_line(report["machine"]): name for name, report in reports.items()}
    if len(ran_on) > 1:
        listed = "\n".join(f"  {name}: {line}" for line, name in ran_on.items())
        raise ValueError(f"run all benchmarks with the same code on one machine; these differ:\n{listed}")
    readme = folder / "README.md"
    text = included(readme.read_text(encoding="utf-8"), summary)
    (folder / "docs" / "benchmarks.json").write_text(
        json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    everything = [(OUT / f"{name}.md").read_text(encoding="utf-8") for name in reports]
    head = "# All tables of `make bench`\n\nWhat counts are the ratios within one run.\n\n"
    (folder / "docs" / "benchmarks.md").write_text(head + "\n".join(everything), encoding="utf-8")
    if "well" in reports:
        shutil.copyfile(OUT / "well.png", folder / "docs" / "well.png")
    readme.write_text(text, encoding="utf-8")


def included(readme: str, summary: Mapping[str, Any]) -> str:
    """Return the README with the table of all targets, and the tables that are shown, between its marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no {BEGIN} … {END}")
    tables = "\n\n".join([markdown(summary), *(f"#{text}" for text in summary["shown"])])
    return f"{before}{begin}\n{tables}\n{end}{after}"
