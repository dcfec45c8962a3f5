"""Cases measured side by side: interleaved repeats, medians with their spread, ratios within one run.

A :class:`Case` is a name and something to time. :func:`measure` times all cases of a table in turn, one repeat of each
after the other, so that a machine that gets slower for a while slows all of them. A peer with requirements of its own
runs in a virtual environment made for it (:class:`PeerEnvironment`), as a process that prints its own times.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "out"
WORK = HERE / "work"

LIBRARIES = ("wellfield", "numpy", "pyarrow", "zarr", "tifffile", "imagecodecs", "scipy", "scikit-image", "tensorstore")


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Parameters
    ----------
    name:
        What the table calls it.
    run:
        Takes what *setup* returned. If it returns a ``float``, that is taken as its time in seconds (a process that
        timed itself); otherwise the call is timed.
    setup:
        Called before every repeat, not timed.
    """

    name: str
    run: Callable[[Any], Any]
    setup: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Statistics:
    """Times of one case in seconds."""

    median: float
    minimum: float
    q1: float
    q3: float
    repeats: int

    @property
    def iqr(self) -> float:
        """Interquartile range in seconds."""
        return self.q3 - self.q1

    @classmethod
    def of(cls, times: Sequence[float]) -> Statistics:
        """Summarise times; quartiles are interpolated between the times themselves."""
        if not times:
            raise ValueError("no time was measured")
        if len(times) == 1:
            return cls(times[0], times[0], times[0], times[0], 1)
        q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
        return cls(median, min(times), q1, q3, len(times))


@dataclass(frozen=True)
class Row:
    """One line of a table: a case, its times and how it compares."""

    name: str
    statistics: Statistics
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
        Name of the case that all ratios refer to: the floor or the limit.
    notes:
        What a reader must know to judge the numbers.
    """

    title: str
    baseline: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        units = list(dict.fromkeys(unit for row in self.rows for unit in row.units))
        header = ["case", "median", "IQR", "min", *units, f"ratio to {self.baseline}", "target"]
        lines = [f"### {self.title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        for row in self.rows:
            found = row.statistics
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            verdict = {None: "", True: " met", False: " **missed**"}[row.met]
            cells = [row.name, *(duration(value) for value in (found.median, found.iqr, found.minimum))]
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
    return {name: Statistics.of(found) for name, found in times.items()}


def compare(
    title: str,
    results: Mapping[str, Statistics],
    *,
    baseline: str,
    at_most: Mapping[str, float] | None = None,
    units: Callable[[str, Statistics], Mapping[str, str]] = lambda name, found: {},
) -> Table:
    """Make a table of results: ratios of medians to *baseline*, and whether each is *at_most* its target."""
    targets = at_most or {}
    table = Table(title, baseline)
    for name, found in results.items():
        ratio = found.median / results[baseline].median
        target = targets.get(name)
        met = None if target is None else ratio <= target
        text = "" if target is None else f"≤ {target:g} ×"
        table.rows.append(Row(name, found, None if name == baseline else ratio, text, met, units(name, found)))
    return table


@dataclass(frozen=True)
class PeerEnvironment:
    """A virtual environment with pinned requirements, made under ``benchmarks/work`` when it is first needed.

    Parameters
    ----------
    name:
        Name of the peer.
    requirements:
        Pinned requirements (``name==version``).
    """

    name: str
    requirements: tuple[str, ...]

    def __post_init__(self) -> None:
        loose = [requirement for requirement in self.requirements if "==" not in requirement]
        if loose:
            raise ValueError(f"requirements of peer {self.name} are not pinned: {', '.join(loose)}")

    @property
    def folder(self) -> Path:
        """Folder of the environment; another one for other requirements or another Python."""
        key = " ".join([*self.requirements, platform.python_version()])
        return WORK / f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    def python(self) -> Path:
        """Return the interpreter, making the environment if it is not complete."""
        ready = self.folder / "ready"
        if not ready.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            venv.create(self.folder, with_pip=True)
            pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *self.requirements]
            subprocess.run(pip, check=True)
            ready.touch()
        return self.folder / "bin" / "python"

    def run(self, script: str | os.PathLike[str], *arguments: str) -> float:
        """Run a script that prints its time in seconds as the last line; return that time."""
        return run_timed([str(self.python()), os.fspath(script), *arguments])


def run_timed(command: Sequence[str]) -> float:
    """Run a process that prints its own time in seconds as the last line, and return that time."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
    return float(result.stdout.strip().splitlines()[-1])


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, memory, system and versions; nothing that names the host."""
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
    }


def machine_line(found: Mapping[str, Any]) -> str:
    """Return the machine as one line of text."""
    libraries = ", ".join(f"{name} {version}" for name, version in found["libraries"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['system']}, "
        f"Python {found['python']}, {libraries}"
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
