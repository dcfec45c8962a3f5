"""What runs again after what (``docs/reference/reruns.yml``), as jobs."""

import yaml

from tests.workflow.project import REPOSITORY, well_jobs

RULES = {
    "ingest": "ingest_plate",
    "fit": "fit_illumination",
    "plan": "compile_plan",
    "aggregate": "aggregate_plate",
    "report": "report_plate",
    "check": "check_plate",
}


def entries():
    """Key of each entry → what runs."""
    groups = yaml.safe_load((REPOSITORY / "docs" / "reference" / "reruns.yml").read_text(encoding="utf-8"))
    listed = [entry for group in groups for entry in group["entries"]]
    found = {entry["key"]: entry["runs"] for entry in listed}
    assert len(found) == len(listed)
    return found


def promised(key, wells, its=()):
    """The jobs that an entry promises, where *its* are the wells that the entry is about."""
    jobs = []
    for stage in entries()[key]:
        if stage == "wells":
            jobs += well_jobs(*wells)
        elif stage == "its well":
            jobs += well_jobs(*its)
        elif stage == "materialize":
            jobs += [("materialize_well", well) for well in wells]
        else:
            jobs.append((RULES[stage], ""))
    return sorted(jobs)
