"""An empty workflow with the same jobs and files as Wellfield's: it shows what Snakemake itself needs for a plate.

It has the rules, inputs, outputs, logs and benchmark files of ``rules/``; the wells are listed in the Snakefile. It has
nothing else: no checkpoint, no configuration, no functions, no params, no environments, no messages; every script only
makes its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wellfield.results.paths import files_of

# What is there once a plate is mapped and its pipeline compiled.
MAPPED = (*files_of("ingest_plate"), *files_of("compile_plan"))

_SCRIPT = """\
from pathlib import Path

for output in map(Path, snakemake.output):
    if output.suffix:
        output.touch()
    else:
        output.mkdir(exist_ok=True)
"""

_SNAKEFILE = """\
WELLS = {wells}
R = "results/{{plate}}/"
MANIFESTS = expand(R + "wells/{{well}}.json", well=WELLS, allow_missing=True)
THUMBNAILS = expand(R + "report/thumbnails/{{well}}.npy", well=WELLS, allow_missing=True)


rule all:
    default_target: True
    input:
        "results/P1/check_plate.json",
        "results/P1/cell_counts.csv",
        "results/P1/report/summary.html",
"""

_RULE = """\

rule {name}:
    input:
        {inputs}
    output:
        {outputs}
    log:
        R + "logs/{name}/{{{wildcard}}}.log"
    benchmark:
        R + "benchmarks/{name}/{{{wildcard}}}.tsv"
    threads: 1
    resources:
        mem_mb=1200,
        runtime=30,
    script:
        "empty.py"

"""


def write_empty_workflow(folder: Path, wells: Sequence[str], *, finished: bool = False) -> None:
    """Write the workflow to an empty folder, with the results of a plate that is mapped, or *finished*."""
    folder.mkdir(parents=True)
    index, plan = 'ancient(R + "index.parquet")', 'R + "plan.json"'
    staged = 'R + ".staging/{well}"'
    counts = 'R + "cell_counts.csv"'
    tables = 'R + "cell_counts.parquet", R + "objects.parquet"'
    rules = [
        ("ingest_plate", "", _files(files_of("ingest_plate")), "plate"),
        ("compile_plan", index, _files(files_of("compile_plan")), "plate"),
        ("process_well", f"{index}, {plan}", f"temp(directory({staged}))", "well"),
        (
            "materialize_well",
            f"{staged}, {plan}, {index}",
            'R + "wells/{well}.json", R + "report/thumbnails/{well}.npy"',
            "well",
        ),
        ("aggregate_plate", f"{index}, {plan}, MANIFESTS", _files(files_of("aggregate_plate")), "plate"),
        (
            "report_plate",
            f'{index}, R + "ingest_report.json", {tables}, MANIFESTS, ancient(THUMBNAILS)',
            _files(files_of("report_plate")),
            "plate",
        ),
        ("check_plate", f'{counts}, R + "report/summary.html", MANIFESTS', _files(files_of("check_plate")), "plate"),
    ]
    text = _SNAKEFILE.format(wells=list(wells)) + "".join(
        _RULE.format(name=name, inputs=inputs or "[]", outputs=outputs, wildcard=wildcard)
        for name, inputs, outputs, wildcard in rules
    )
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    (folder / "empty.py").write_text(_SCRIPT, encoding="utf-8")
    make_results(folder / "results" / "P1", wells, finished=finished)


def make_results(results: Path, wells: Sequence[str], *, finished: bool, mapped: bool = True) -> None:
    """Make empty files in the place of a plate's results, in the order in which a run makes them."""
    names = list(MAPPED) if mapped else []
    if finished:
        names += [f"wells/{well}.json" for well in wells] + [f"report/thumbnails/{well}.npy" for well in wells]
        names += [name for rule in ("aggregate_plate", "report_plate", "check_plate") for name in files_of(rule)]
    for name in names:
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _files(names: Sequence[str]) -> str:
    return ", ".join(f'R + "{name}"' for name in names)
