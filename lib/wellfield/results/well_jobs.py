"""Which wells share a job. Example: on a plate of small wells, one job does ``A01`` to ``A12`` one after another.

A job of one well has the name of the well, ``B03``; a job of several has the names of the first and the last,
``A01-A12``. Snakemake knows the job by this name: ``wells/A01-A12.json`` is written once all of its wells have their
manifests.

``records/jobs.json`` holds the jobs of a plate. A well that it does not list has a job of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from wellfield.formats.checked_json import OwnJson
from wellfield.formats.json_files import write_json
from wellfield.results.paths import RECORDS

JOBS_SCHEMA_VERSION = 1
# What a name of a job is, as a wildcard of Snakemake has it.
JOB_PATTERN = "[A-Z]{1,2}[0-9]{2}(-[A-Z]{1,2}[0-9]{2})?"
JOB_NAME = re.compile(JOB_PATTERN)

# Begins the section of a well in the log of a job.
BEGINS = "well %s begins"

_JOBS = OwnJson(
    "list of jobs",
    JOBS_SCHEMA_VERSION,
    {"asked": dict, "jobs": {str: [str]}, "left_out": [str], "apart": [str]},
    "Delete it, and wells that are not done get other jobs",
)
_JOB = OwnJson("list of a job's wells", JOBS_SCHEMA_VERSION, {"wells": [str]}, "Delete it, and the job runs again")


@dataclass(frozen=True)
class WellJobs:
    """The jobs of a plate.

    Parameters
    ----------
    jobs:
        The wells of each job, by its name.
    left_out:
        Wells of these jobs that the plate sheet leaves out, or that have no raw images any more.
    apart:
        Wells that were done by these jobs and got jobs of their own since.
    asked:
        The settings that the jobs were made by.
    """

    jobs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    asked: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _job_of(self) -> dict[str, str]:
        job_of = {well: name for name, wells in self.jobs.items() for well in wells}
        return job_of | {well: well for well in self.apart}

    def of(self, well: str) -> str:
        """Return the name of a well's job."""
        return self._job_of.get(well, well)

    def wells(self, name: str) -> list[str]:
        """Return the wells that a job does."""
        return [well for well in self.jobs.get(name, (name,)) if well not in self.left_out and self.of(well) == name]

    def all_wells(self, name: str) -> list[str]:
        """Return the wells of a job, with those that are left out or apart."""
        return list(self.jobs.get(name, (name,)))

    def names(self, wells: Iterable[str]) -> list[str]:
        """Return the jobs of these wells, in the order of the wells."""
        return list(dict.fromkeys(map(self.of, wells)))

    def listed(self) -> list[str]:
        """Return all wells that are listed."""
        return list(self._job_of)

    def covers(self, wells: Iterable[str]) -> bool:
        """Tell whether each of these wells is listed."""
        return all(well in self._job_of for well in wells)

    def recut(self, wells: Sequence[str], most: int, is_begun: Callable[[str], bool]) -> WellJobs:
        """Return the jobs of all *wells* of a plate, which are in its order, with at most *most* wells in a new job.

        A job that *is_begun*, because its results are there, stays as it is. So nothing that is done runs again because
        the plate grew or the settings changed.
        """
        kept = {name: list(held) for name, held in self.jobs.items() if is_begun(name)}
        held = {well for job in kept.values() for well in job}
        kept |= {well: [well] for well in wells if well not in held and is_begun(well)}
        free = [well for well in wells if well not in held and well not in kept]
        new = {job_name(part): part for part in cut(free, most)}
        return replace(self, jobs=kept | new, apart=self.apart & held)

    def without(self, wells: Iterable[str], is_begun: Callable[[str], bool]) -> WellJobs:
        """Return the jobs where each of these wells has a job of its own.

        A job that *is_begun* still lists the well, as one that is :attr:`apart`: the job is the same, so that its other
        wells do not run again.
        """
        alone = {well for well in wells if self.of(well) != well}
        apart = {well for well in alone if is_begun(self.of(well))}
        alone -= apart
        rest = {name: [well for well in held if well not in alone] for name, held in self.jobs.items()}
        jobs = {name: held for name, held in rest.items() if held} | {well: [well] for well in sorted(alone)}
        return replace(self, jobs=jobs, apart=self.apart | apart)


def cut(wells: Sequence[str], most: int) -> list[list[str]]:
    """Cut wells into runs of at most *most* wells and of nearly equal length."""
    parts = -(-len(wells) // most)
    bounds = [len(wells) * number // parts for number in range(parts + 1)] if parts else []
    return [list(wells[start:end]) for start, end in pairwise(bounds)]


def job_name(wells: Sequence[str]) -> str:
    """Return the name of the job of these wells: ``"B03"``, ``"A01-A12"``."""
    return wells[0] if len(wells) == 1 else f"{wells[0]}-{wells[-1]}"


def jobs_path(results: str | os.PathLike[str]) -> Path:
    """Return the path of the list of jobs of a plate."""
    return Path(results, RECORDS, "jobs.json")


def read_jobs(results: str | os.PathLike[str]) -> WellJobs:
    """Return the jobs of a plate by the folder of its results.

    Raises
    ------
    MetadataError, SchemaVersionError
        The list is damaged, or another version of Wellfield wrote it.
    """
    path = jobs_path(results)
    if not os.path.lexists(path):
        return WellJobs()
    data = _JOBS.read(path)
    return WellJobs(data["jobs"], frozenset(data["left_out"]), frozenset(data["apart"]), data["asked"])


def write_jobs(results: str | os.PathLike[str], jobs: WellJobs) -> None:
    """Write the list of jobs of a plate."""
    data = {
        "schema_version": JOBS_SCHEMA_VERSION,
        "asked": jobs.asked,
        "jobs": jobs.jobs,
        "left_out": sorted(jobs.left_out),
        "apart": sorted(jobs.apart),
    }
    write_json(jobs_path(results), data, durable=True)


def write_job(path: str | os.PathLike[str], wells: Sequence[str]) -> None:
    """Write the file that stands for a job which did or staged these wells."""
    write_json(path, {"schema_version": JOBS_SCHEMA_VERSION, "wells": list(wells)}, durable=True)


def read_job(path: str | os.PathLike[str]) -> list[str]:
    """Return the wells that a job did or staged; errors as :func:`read_jobs`, DataNotFoundError without the file."""
    return list(_JOB.read(path)["wells"])
