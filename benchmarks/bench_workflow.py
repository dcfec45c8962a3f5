"""Overhead of the workflow (SPEC X7): dry-runs, jobs on a cluster, and one whole run of a plate.

Planes are tiny, so that only overhead is left. ``empty`` is :mod:`benchmarks.empty_workflow`: Snakemake with the same
jobs and files and nothing else. A dry-run may take 1.25 times as long. Both run with the same profile, in turn.
``finished`` plates have all results, and Snakemake's own records of them; plates ``to do`` have only the index and the
plan.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.data import cores
from benchmarks.empty_workflow import make_results, write_empty_workflow
from benchmarks.harness import HERE, WORK, Statistics, Table, compare
from benchmarks.process_tree import Ran, alternate, environment, run_tree
from tests.generators.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress
from wellfield.plate.wells import well_name
from wellfield.results.manifest import file_entry
from wellfield.results.paths import WELL_RULES, PlateFile, WellFile, files_of, job_files
from wellfield.results.records import write_record

ROOT = HERE.parent
FOLDER = WORK / "workflow"
COLUMNS = {6: 3, 12: 4, 24: 6, 48: 8, 384: 24, 1536: 48}
FIELDS, CHANNELS, Z, SIDE = 9, 2, 3, 32
STATES = ("to do", "finished")
AT_MOST = 1.25
KINDS = {"process_well": "process", "materialize_well": "materialize"}

# Touching each of 1,536 wells waits a tenth of a second for nothing.
_SNAKEMAKE = (
    "from snakemake.executors import touch; touch.Executor.SLEEPING_TIME = 0; from snakemake.cli import main; main()"
)


@dataclass(frozen=True)
class Project:
    """A folder in which Snakemake runs a Snakefile."""

    folder: Path
    snakefile: Path

    def run(self, *arguments: str, count: int | None = None) -> Ran:
        """Run Snakemake on *count* cores, all by default.

        Raises
        ------
        RuntimeError
            It failed.
        """
        command = [
            sys.executable,
            "-c",
            _SNAKEMAKE,
            "--snakefile",
            str(self.snakefile),
            "--directory",
            str(self.folder),
        ]
        command += ["--profile", str(ROOT / "profiles" / "default"), "--cores", str(count or cores()), "--nocolor"]
        output = self.folder.parent / f"{self.folder.name}.txt"
        return run_tree([*command, *arguments], cores=cores(), folder=self.folder, output=output)


def well_names(wells: int) -> tuple[str, ...]:
    """Return the wells of a plate of a common size, row by row."""
    columns = COLUMNS[wells]
    return tuple(well_name(number // columns, number % columns) for number in range(wells))


def make_plate(wells: int) -> Path:
    """Write a raw plate, once: tiny planes with three spots each."""
    folder = FOLDER / f"raw-{wells}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        plate = ImageXpressPlate(
            name="Plate",
            wells=well_names(wells),
            site_mask=("xxx",) * 3,
            waves=(Wave(name="DAPI"), Wave(name="FITC")),
            z_steps=Z,
            size=(SIDE, SIDE),
            plate_rows=32,
            plate_columns=48,
        )
        pixels = np.random.default_rng(0).poisson(100, (SIDE, SIDE)).astype(np.uint16)
        for row, column in ((4, 4), (4, 20), (20, 12)):
            pixels[row : row + 7, column : column + 7] += 2000
        folder.mkdir(parents=True)
        write_imagexpress(folder, plate, lambda key: pixels)
        (folder / "ready").touch()
    return folder / "Plate"


def make_project(name: str, wells: int, *, plates: int = 1) -> Project:
    """Return a fresh project of the real workflow with the shipped configuration."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "config").mkdir(parents=True)
    shipped = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    # A plate that was written just now would be mapped again as soon as it has come to rest, amid the repeats.
    (folder / "config" / "config.yaml").write_text(f"{shipped}acquisition_minutes: 0\n", encoding="utf-8")
    lines = ["plate\tfolder", *(f"P{number + 1}\t{make_plate(wells)}" for number in range(plates))]
    (folder / "config" / "plates.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Project(folder, ROOT / "Snakefile")


def make_pair(wells: int, state: str) -> dict[str, Project]:
    """Return the real and the empty workflow in one state, and make sure that both see the same jobs.

    Raises
    ------
    RuntimeError
        They do not.
    """
    finished = state == "finished"
    name = f"{wells}-{state.replace(' ', '-')}"
    ours = make_project(f"wellfield-{name}", wells)
    ours.run("results/P1/plan.json")
    empty = Project(FOLDER / f"empty-{name}", FOLDER / f"empty-{name}" / "Snakefile")
    shutil.rmtree(empty.folder, ignore_errors=True)
    write_empty_workflow(empty.folder, well_names(wells), finished=finished)
    if finished:
        results = ours.folder / "results" / "P1"
        make_results(results, well_names(wells), finished=True, mapped=False)
        record_results(results, well_names(wells))
    pair = {"empty": empty, "wellfield": ours}
    # Snakemake keeps records of what it made, and of what it was told to touch.
    empty.run("--touch", "--forceall", *([] if finished else ["results/P1/plan.json"]))
    if finished:
        ours.run("--touch", "--forceall")
    jobs = {name: job_counts(project.run("--dry-run").text) for name, project in pair.items()}
    if jobs["empty"] != jobs["wellfield"] or bool(jobs["empty"]) is finished:
        raise RuntimeError(f"the workflows differ, {wells} wells {state}: {jobs}")
    return pair


def record_results(results: Path, wells: Sequence[str]) -> None:
    """Write the records of a finished plate: without them, its files belong to the user and are not replaced."""
    plan = json.loads((results / PlateFile.MATERIALIZE_DIGEST).read_text(encoding="utf-8"))["digest"]

    def record(rule: str, files: Sequence[str], logs: Sequence[str], of: Mapping[str, object], well: str = "") -> None:
        entries = [file_entry(results, results / file) for file in files]
        write_record(results, rule, [*entries, *({"path": log} for log in logs)], of=of, well=well)

    for well in wells:
        logs = job_files(WELL_RULES, well)
        record(WELL_RULES[-1], [file.of(well) for file in WellFile], logs, {"plan": plan}, well)
    made_of: dict[str, dict[str, object]] = {"aggregate_plate": {"wells": list(wells), "plate_map": ""}}
    for rule in ("aggregate_plate", "report_plate", "check_plate"):
        record(rule, files_of(rule), job_files((rule,), "P1"), made_of.get(rule, {}))


def job_counts(text: str) -> dict[str, int]:
    """Return how many jobs of each rule Snakemake says are to do, but for that of the target."""
    table = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", text, re.MULTILINE)
    rows = (line.split() for line in table[1].splitlines()) if table else ()
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


def dry_runs(sizes: Mapping[int, int], states: Sequence[str]) -> list[Table]:
    """Measure dry-runs of plates in all states, and what a job on a cluster does before its script."""
    runs: dict[str, dict[str, Statistics]] = {"wall": {}, "cpu": {}, "memory": {}}
    baseline = {}
    for wells, repeats in sizes.items():
        cases: dict[str, Callable[[], Ran]] = {}
        for state in states:
            for name, project in make_pair(wells, state).items():
                cases[f"{wells:,} wells {state}: {name}"] = lambda project=project: project.run("--dry-run")  # type: ignore[misc]
                if state == "to do":
                    cases[f"job of {wells:,} wells: {name}"] = lambda project=project: in_job(project)  # type: ignore[misc]
        for quantity, results in alternate(cases, repeats).items():
            runs[quantity] |= results
        baseline |= {name: name.replace(": wellfield", ": empty") for name in cases}
    at_most = {name: AT_MOST for name in baseline if name.endswith("wellfield") and not name.startswith("job")}
    wall = compare(
        "Dry-run, and a cluster job before its script: wall time", runs["wall"], baseline=baseline, at_most=at_most
    )
    wall.notes += [
        f"{FIELDS} fields × {CHANNELS} channels × {Z} z a well; a dry-run asks for size and time of each plane once.",
        "`job of`: the Snakemake that a job on a cluster starts (`--mode remote`), until it would start the script.",
    ]
    cpu = compare(
        "The same: processor time, which other load on the machine changes less", runs["cpu"], baseline=baseline
    )
    memory = compare("The same: peak of the memory", runs["memory"], baseline=baseline, unit="B")
    return [wall, cpu, memory]


def in_job(project: Project) -> Ran:
    """Do what a job of a cluster does before its script, with the arguments that an executor gives it."""
    return project.run(
        *("--target-jobs", "process_well:plate=P1,well=A01", "--allowed-rules", "process_well", "--mode", "remote"),
        *("--force", "--force-use-threads", "--nolock", "--ignore-incomplete", "--attempt", "1", "--dry-run"),
        count=1,
    )


def growth(wells: int, plates: Sequence[int], repeats: int) -> Table:
    """Measure dry-runs of several plates, all wells to do."""
    cases: dict[str, Callable[[], Ran]] = {}
    for number in plates:
        project = make_project(f"plates-{number}", wells, plates=number)
        project.run(*(f"results/P{plate + 1}/plan.json" for plate in range(number)))
        cases[f"{number} × {wells} wells"] = lambda project=project: project.run("--dry-run")  # type: ignore[misc]
    found = alternate(cases, repeats)

    def units(name: str, _: Statistics) -> Mapping[str, str]:
        return {"CPU": f"{found['cpu'][name].median:.1f} s", "memory": f"{found['memory'][name].median / 1e6:.0f} MB"}

    return compare("Dry-run of several plates, all wells to do", found["wall"], baseline=next(iter(cases)), units=units)


def whole_run(wells: int, bare_wells: int, empty_wells: int) -> Table:
    """Run a whole plate and tell where the time of a well job goes."""
    project = make_project("whole", wells)
    ran = project.run()
    results = project.folder / "results" / "P1"
    jobs = {rule: benchmark_seconds(results / "benchmarks" / rule) for rule in KINDS}
    manifests = [path.stat().st_mtime for path in (results / "wells").glob("*.json")]
    span = max(manifests) - (results / "plan.json").stat().st_mtime
    slot = span * cores() / (2 * wells)

    empty = Project(FOLDER / "empty-whole", FOLDER / "empty-whole" / "Snakefile")
    shutil.rmtree(empty.folder, ignore_errors=True)
    write_empty_workflow(empty.folder, well_names(empty_wells))
    empty.run()
    started = [s for rule in KINDS for s in benchmark_seconds(empty.folder / "results/P1/benchmarks" / rule)]

    rows: dict[str, Statistics] = {}
    bare: dict[str, float] = {}
    for rule, stage in KINDS.items():
        out = fresh_folder("bare") if stage == "process" else FOLDER / "bare"
        names = well_names(wells)[:bare_wells]
        answers = [bare_stage(stage, project.folder, out, names)]
        answers += [bare_stage(stage, project.folder, out, names[:3]) for _ in range(4)]
        later = answers[0]["wells"][1:]
        work = Statistics.of(later)
        imported = [answer["import"] + answer["wells"][0] - work.median for answer in answers]
        whole = Statistics.of(jobs[rule])
        bare[rule] = work.median
        rows[f"{rule}: the script's process"] = whole
        rows[f"{rule}: Python and Snakemake's preamble"] = Statistics.of(started)
        rows[f"{rule}: imports"] = Statistics.of(imported)
        rows[f"{rule}: work"] = work
        for part, seconds in answers[0]["parts"].items():
            mean = seconds / len(later)
            rows[f"{rule}: of the work, {part}"] = Statistics(mean, mean, mean, mean, len(later))
    overhead = slot - sum(bare.values()) / 2
    outside = slot - sum(sum(found) for found in jobs.values()) / (2 * wells)
    table = compare(f"A whole run of {wells} wells: seconds per well job", rows, baseline={})
    table.notes += [
        f"The run took {ran.wall:.1f} s on {cores()} cores; the {2 * wells} well jobs {span:.1f} s, "
        f"{slot:.3f} s of a core each.",
        f"The bare work is {sum(bare.values()) / 2:.3f} s a job, so that the overhead is {overhead:.3f} s a job, "
        f"{outside:.3f} s of it outside of the script's process (Snakemake's scheduling, and cores that wait).",
        "Of the work, staging and manifest are means. Jobs of a run share the machine; the others had it alone.",
    ]
    return table


def bare_stage(stage: str, project: Path, out: Path, wells: Sequence[str]) -> dict[str, object]:
    """Do the work of a stage without Snakemake, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_wells", stage, str(project), str(out), *wells]
    done = subprocess.run(command, cwd=project, env=environment(threads=1), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def fresh_folder(name: str) -> Path:
    """Return an empty folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def benchmark_seconds(folder: Path) -> list[float]:
    """Return the wall time of each job of a rule, as Snakemake measured it."""
    found = []
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8") as file:
            found += [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    return found


def run(*, quick: bool = False) -> list[Table]:
    """Measure dry-runs, several plates, and a whole run."""
    tables = dry_runs({24: 1} if quick else {384: 5, 1536: 3}, STATES)
    tables.append(growth(12 if quick else 384, (1, 2) if quick else (1, 4, 10), 1 if quick else 2))
    tables.append(whole_run(12 if quick else 384, 6 if quick else 48, 6 if quick else 48))
    return tables
