"""Measure cases side by side: interleaved repeats, medians with their spread, ratios within one run.

A :class:`Case` is a name and something to time. :func:`measure` times all cases of a table in turn, one repeat of each
at a time, so that a machine that is slow for a while slows all of them. Peers with their own requirements run in
processes that :mod:`benchmarks.processes` starts.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "out"
WORK = HERE / "work"

# What of the repository a number depends on.
MEASURED = ("lib", "rules", "scripts", "Snakefile", "benchmarks")

LIBRARIES = (
    "wellfield",
    "numpy",
    "pyarrow",
    "zarr",
    "tifffile",
    "imagecodecs",
    "numcodecs",
    "scipy",
    "scikit-image",
    "tensorstore",
    "torch",
    "jax",
    "tensorflow-cpu",
    "pyclesperanto",
)


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Parameters
    ----------
    name:
        What the table calls it.
    run:
        Takes what *setup* returned. If it returns a ``float``, that is what was measured: its time in seconds (a
        process that timed itself), or bytes in a table of memory. Otherwise the call is timed; freeing its result is
        not.
    setup:
        Called before every repeat, not timed.
    """

    name: str
    run: Callable[[Any], Any]
    setup: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Statistics:
    """Measurements of one case: times in seconds, or bytes."""

    median: float
    minimum: float
    q1: float
    q3: float
    repeats: int

    @property
    def iqr(self) -> float:
        """Interquartile range."""
        return self.q3 - self.q1

    def plus(self, amount: float) -> Statistics:
        """Return the statistics of what is larger by a fixed amount."""
        return Statistics(self.median + amount, self.minimum + amount, self.q1 + amount, self.q3 + amount, self.repeats)

    @classmethod
    def of(cls, times: Sequence[float]) -> Statistics:
        """Summarise measurements; quartiles are interpolated between those that were taken."""
        if not times:
            raise ValueError("no time was measured")
        if len(times) == 1:
            return cls(times[0], times[0], times[0], times[0], 1)
        q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
        return cls(median, min(times), q1, q3, len(times))


@dataclass(frozen=True)
class Row:
    """One line of a table: a case, its times and how it compares with the case *against*."""

    name: str
    statistics: Statistics
    against: str
    ratio: float | None
    target: str
    met: bool | None
    units: Mapping[str, str]


@dataclass
class Table:
    """Cases measured together.

    Parameters
    ----------
    title:
        What was measured, sizes included.
    baseline:
        Name of the case that all ratios refer to: the floor or the limit. ``None`` if rows have their own, which is
        then named beside each ratio.
    unit:
        ``"s"`` for times, ``"B"`` for bytes.
    notes:
        What a reader must know to judge the numbers.
    """

    title: str
    baseline: str | None
    unit: str = "s"
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Table:
        """Return the table that a report holds."""
        rows = [Row(**{**row, "statistics": Statistics(**row["statistics"])}) for row in data["rows"]]
        return cls(**{**data, "rows": rows})

    def markdown(self) -> str:
        """Return the table as Markdown."""
        units = list(dict.fromkeys(unit for row in self.rows for unit in row.units))
        quantity = QUANTITIES[self.unit]
        ratios = "ratio" if self.baseline is None else f"ratio to {self.baseline}"
        header = ["case", "median", "IQR", "min", *units, ratios, "target"]
        lines = [f"### {self.title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        for row in self.rows:
            found = row.statistics
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            if self.baseline is None and ratio:
                ratio += f" × {row.against}"
            verdict = {None: "", True: " met", False: " **missed**"}[row.met]
            cells = [row.name, *(quantity(value) for value in (found.median, found.iqr, found.minimum))]
            cells += [*(row.units.get(unit, "") for unit in units), ratio, f"{row.target}{verdict}"]
            lines.append("| " + " | ".join(cells) + " |")
        repeats = sorted({row.statistics.repeats for row in self.rows})
        lines += ["", f"Medians of {'/'.join(map(str, repeats))} interleaved repeats.", *self.notes, ""]
        return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def size(number: float) -> str:
    """Return a number of bytes with three digits and its unit, 1 MB being 10⁶ bytes."""
    for limit, factor, unit in ((1e3, 1.0, "B"), (1e6, 1e-3, "kB"), (1e9, 1e-6, "MB")):
        if abs(number) < limit:
            return f"{number * factor:.3g} {unit}"
    return f"{number / 1e9:.3g} GB"


QUANTITIES: Mapping[str, Callable[[float], str]] = {"s": duration, "B": size}


def measure(cases: Sequence[Case], repeats: int, *, warm_up: int = 1) -> dict[str, Statistics]:
    """Time every case *repeats* times, interleaved, after *warm_up* rounds that do not count."""
    if len({case.name for case in cases}) != len(cases):
        raise ValueError(f"cases share a name: {[case.name for case in cases]}")
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for number in range(warm_up + repeats):
        # Every other round goes backwards, so that no case always follows the same one.
        for case in cases if number % 2 == 0 else reversed(cases):
            prepared = case.setup()
            gc.collect()
            start = time.perf_counter()
            result = case.run(prepared)
            elapsed = time.perf_counter() - start
            if number >= warm_up:
                times[case.name].append(result if isinstance(result, float) else elapsed)
            del prepared, result  # gigabytes take time to free: not in that of the next case
    return {name: Statistics.of(found) for name, found in times.items()}


def compare(
    title: str,
    results: Mapping[str, Statistics],
    *,
    baseline: str | Mapping[str, str],
    at_most: Mapping[str, float] | None = None,
    units: Callable[[str, Statistics], Mapping[str, str]] = lambda name, found: {},
    unit: str = "s",
) -> Table:
    """Make a table of results: ratios of medians to *baseline*, and whether each is *at_most* its target.

    Parameters
    ----------
    baseline:
        One case that all are compared with, or for each case the one that it is compared with; a case without one has
        no ratio.
    units:
        Further columns of a row.
    unit:
        ``"s"`` or ``"B"``, see :class:`Table`.
    """
    targets = at_most or {}
    table = Table(title, baseline if isinstance(baseline, str) else None, unit)
    for name, found in results.items():
        against = baseline if isinstance(baseline, str) else baseline.get(name, name)
        ratio = None if name == against else found.median / results[against].median
        target = targets.get(name)
        if target is not None and ratio is None:
            raise ValueError(f"case {name!r} has a target and nothing to compare it with")
        met = None if target is None or ratio is None else ratio <= target
        text = "" if target is None else f"≤ {target:.3g} ×"
        table.rows.append(Row(name, found, against, ratio, text, met, units(name, found)))
    return table


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: machine, system, versions and code; nothing that names the host."""
    cpu = platform.machine()
    memory = None
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": versions,
        "code": code_version(),
    }


def code_version() -> str:
    """Return the last commit that changed what is measured, and whether it has been changed since."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments, "--", *MEASURED]
        return subprocess.run(command, cwd=HERE.parent, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("log", "-1", "--format=%h") + (" with changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"


def machine_line(found: Mapping[str, Any]) -> str:
    """Return the machine as one line of text."""
    libraries = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['system']}, "
        f"Python {found['python']}, {libraries}; code of commit {found['code']}"
    )


def write_report(name: str, tables: Sequence[Table], *, command: str | None = None) -> Path:
    """Write ``benchmarks/out/{name}.md`` and ``.json`` and return the former."""
    found = machine()
    command = command or " ".join(["python", "-m", "benchmarks", *sys.argv[1:]])
    OUT.mkdir(parents=True, exist_ok=True)
    head = f"## {name}\n\n{machine_line(found)}\n\n`{command}`\n\n"
    path = OUT / f"{name}.md"
    path.write_text(head + "\n".join(table.markdown() for table in tables), encoding="utf-8")
    content = {"machine": found, "command": command, "tables": [asdict(table) for table in tables]}
    (OUT / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
