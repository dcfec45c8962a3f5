"""What runs again after what (``docs/reference/reruns.yml``), as jobs."""

import yaml

from tests.workflow.project import REPOSITORY, well_jobs
from wellfield.results.well_jobs import WellJobs

NO_JOBS = WellJobs()

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


def promised(key, wells, its=(), of=NO_JOBS):
    """The jobs that an entry promises, where *its* are the wells that the entry is about.

    *of* are the jobs of the plate: each well has its own unless they say otherwise.
    """
    jobs = []
    for stage in entries()[key]:
        if stage == "wells":
            jobs += well_jobs(*of.names(wells))
        elif stage == "its well":
            jobs += well_jobs(*of.names(its))
        elif stage == "materialize":
            jobs += [("materialize_well", job) for job in of.names(wells)]
        else:
            jobs.append((RULES[stage], ""))
    return sorted(jobs)
