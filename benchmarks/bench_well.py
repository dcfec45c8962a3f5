"""Where each second of one realistic well goes, through its two jobs, with the shipped pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.bench_end_to_end import FOLDER, ROOT, Plate
from benchmarks.data import cores, footprint
from benchmarks.harness import OUT, Case, Statistics, Table, compare, measure, size
from benchmarks.process_tree import environment
from benchmarks.profiled_well import REST

WELL = "A01"
STAGES = ("process", "materialize")
START = "start of Python, Snakemake's preamble"

# Parts of less than this of the longer job are drawn as one.
SEEN = 0.01

# What a script does that Snakemake starts, before its own first line.
_PREAMBLE = "from snakemake import script"


def make_project(plate: Path) -> Path:
    """Return a fresh project with the shipped configuration, whose plan is made."""
    project = FOLDER / "profile"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(ROOT / "config", project / "config")
    (project / "config" / "plates.tsv").write_text(f"plate\tfolder\nP1\t{plate}\n", encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(project)]
    command += ["--cores", str(cores()), "results/P1/plan.json", "--config", "acquisition_minutes=0"]
    subprocess.run(command, check=True, capture_output=True, env=environment(threads=1))
    return project


def profile(project: Path, repeats: int) -> dict[str, dict[str, Statistics]]:
    """Run both jobs of the well again and again; return the time of each part, and the peak of the memory."""
    seen: dict[str, dict[str, list[float]]] = {stage: {} for stage in STAGES}
    for _ in range(repeats):
        for stage in STAGES:
            command = [
                sys.executable,
                "-m",
                "benchmarks.profiled_well",
                stage,
                str(project),
                str(project / "out"),
                WELL,
            ]
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment(threads=1), cwd=ROOT, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
            answer = json.loads(done.stdout.splitlines()[-1])
            for part, seconds in {**answer["parts"], "peak": answer["peak"]}.items():
                seen[stage].setdefault(part, []).append(seconds)
    return {stage: {part: Statistics.of(found) for part, found in parts.items()} for stage, parts in seen.items()}


def preamble(repeats: int) -> Statistics:
    """Return the time that a script takes before its own first line."""
    command = [sys.executable, "-c", _PREAMBLE]
    return measure([Case("", lambda _: subprocess.run(command, check=True))], repeats)[""]


def draw(parts: Mapping[str, Mapping[str, Statistics]], path: Path) -> None:
    """Draw a stacked bar for each job on one scale: seconds, from the largest part to the smallest that is seen."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import colormaps, pyplot

    medians = {stage: {part: found.median for part, found in of_stage.items()} for stage, of_stage in parts.items()}
    longest = max(sum(found.values()) for found in medians.values())
    figure, axes = pyplot.subplots(len(parts), 1, figsize=(9, 2.2 * len(parts)), layout="constrained", sharex=True)
    for axis, (stage, found) in zip(axes, medians.items(), strict=True):
        total, left = sum(found.values()), 0.0
        large = [part for part, seconds in found.items() if seconds >= SEEN * longest and part != REST]
        shown = {part: found[part] for part in sorted(large, key=found.__getitem__, reverse=True)}
        shown[REST] = total - sum(shown.values())
        for (part, seconds), color in zip(shown.items(), colormaps["tab20"].colors, strict=False):  # type: ignore[attr-defined]
            axis.barh(0, seconds, left=left, label=f"{part}: {seconds:.2f} s", color=color, edgecolor="white")
            left += seconds
        axis.set(title=f"{stage}_well: {total:.1f} s", yticks=[], xlim=(0, longest))
        axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[-1].set_xlabel("seconds of one core")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def run(*, quick: bool = False) -> list[Table]:
    """Profile both jobs."""
    plate = Plate(1, fields=2, side=512) if quick else Plate(1)
    project = make_project(plate.folder())
    found = profile(project, 1 if quick else 5)
    started = preamble(3 if quick else 7)
    peaks = {stage: parts.pop("peak") for stage, parts in found.items()}
    parts = {stage: {START: started, **of_stage} for stage, of_stage in found.items()}
    draw(parts, OUT / "well.png")
    staged = footprint(project / "out" / "staging")[0]
    written, files = footprint(project / "out" / "results")
    moved = {
        "process": f"reads {size(plate.nbytes)} of TIFF and stages {size(staged)}",
        "materialize": f"reads what was staged and writes {size(written)} in {files} files",
    }
    tables = []
    for stage, rows in parts.items():
        total = sum(row.median for row in rows.values())
        ordered = dict(sorted(rows.items(), key=lambda item: -item[1].median))
        shares = {name: f"{row.median / total:.1%}" for name, row in ordered.items()}
        table = compare(
            f"{stage}_well of {plate}: {total:.2f} s",
            ordered,
            baseline={},
            units=lambda name, _, shares=shares: {"share": shares[name]},  # type: ignore[misc]
        )
        table.notes += [
            f"The job {moved[stage]}; its memory peaks at {size(peaks[stage].median)}. One core and one thread; files "
            "are in the page cache.",
        ]
        tables.append(table)
    return tables
