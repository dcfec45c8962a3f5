"""The table in the README of what runs again, as jobs."""

import re

from tests.workflow.project import REPOSITORY, well_jobs

HEADER = "| what happened | what runs |"
RULES = {
    "mapping": "ingest_plate",
    "fit": "fit_illumination",
    "plan": "compile_plan",
    "tables": "aggregate_plate",
    "report": "report_plate",
    "check": "check_plate",
}


def table():
    """What happened → what runs, in the README's words."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    lines = text.partition(f"{HEADER}\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines]
    assert rows
    assert all(len(row) == 2 for row in rows)
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def promised(line, wells, its=()):
    """The jobs that the README promises for a line of its table, where *its* are the wells that the line is about."""
    jobs = []
    for word in re.sub(r" \(.*", "", table()[line]).split(", "):
        if word == "all wells":
            jobs += well_jobs(*wells)
        elif word == "its well":
            jobs += well_jobs(*its)
        elif word != "nothing":
            jobs.append((RULES[word], ""))
    return sorted(jobs)
