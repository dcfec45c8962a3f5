"""The files of a plate's results: one line for each. Whatever lists result files takes them from here.

Example: the line ``HEATMAP = "report/heatmap.png", "report_plate", "Heatmap: …"`` makes
``results/P1/report/heatmap.png`` an output of the rule ``report_plate`` and a target of ``rule all``. Records,
refusals and ``wellfield validate`` know the file. ``snakemake --report`` and the page of outputs list it under this
label, the first with the caption ``report/heatmap.rst``, and the summary page shows it. What is left to do is to write
the picture in ``workflow/report_plate.py``.

All paths are relative to the folder of the plate's results, with ``/`` between the parts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self, get_args

from wellfield.materialization.output_types import ResultFolder

# The record of the page of an unfinished plate, which no rule writes.
UNFINISHED = "unfinished"


class PlateFile(StrEnum):
    """A file of a whole plate: its path, the rule that writes it, and its label in ``snakemake --report``, if any.

    The first file of each rule stands for the rule's job: Snakemake is told to make this file again.
    """

    rule: str
    label: str

    def __new__(cls, path: str, rule: str, label: str = "") -> Self:
        """Make a file of its line: path, rule, label."""
        member = str.__new__(cls, path)
        member._value_ = path
        member.rule, member.label = rule, label
        return member

    INDEX = "index.parquet", "ingest_plate"
    METADATA = "openhcs_metadata.json", "ingest_plate"
    INGEST_REPORT = "ingest_report.json", "ingest_plate", "Ingest report"
    PLAN = "plan.json", "compile_plan"
    PROCESS_DIGEST = "digests/process_well.json", "compile_plan"
    MATERIALIZE_DIGEST = "digests/materialize_well.json", "compile_plan"
    ILLUMINATION = "illumination/illumination.json", "fit_illumination"
    COUNTS_CSV = "cell_counts.csv", "aggregate_plate", "Cell counts"
    COUNTS = "cell_counts.parquet", "aggregate_plate"
    OBJECTS = "objects.parquet", "aggregate_plate"
    SUMMARY = "report/summary.html", "report_plate", "Summary: what went wrong, pictures, counts for each well"
    HEATMAP = "report/heatmap.png", "report_plate", "Heatmap: number of objects in each well"
    MONTAGE = "report/montage.png", "report_plate", "Montage: one tile for each well, with outlines of the objects"
    STATISTICS = "report/plate_statistics.csv", "report_plate", "Statistics of the controls: Z′-factor, SSMD"
    DOSE_RESPONSE = "report/dose_response.png", "report_plate", "Dose–response curves with EC50"
    CHECK = "check_plate.json", "check_plate"
    UNFINISHED_PAGE = "report/unfinished.html", UNFINISHED

    @property
    def is_picture(self) -> bool:
        """Whether the file is a picture of the plate, which the summary page shows."""
        return self.endswith(".png")

    @property
    def output(self) -> str:
        """The name of the file among the outputs of its rule: ``heatmap``."""
        return self.name.lower()

    @property
    def caption(self) -> str:
        """The file of its caption, below ``report/`` in the repository: ``heatmap.rst``."""
        return f"{self.rpartition('/')[2].partition('.')[0]}.rst"


class WellFile(StrEnum):
    """A file that every finished well has, written by ``materialize_well``."""

    MANIFEST = "wells/{well}.json"
    THUMBNAIL = "report/thumbnails/{well}.npy"

    def of(self, well: str) -> str:
        """Return the path of the file of a well: ``wells/B02.json``."""
        return self.format(well=well)

    @property
    def folder(self) -> str:
        """The folder that has such a file for each well: ``wells``."""
        return self.rpartition("/")[0]


# All but the page of an unfinished plate.
RULE_FILES = tuple(file for file in PlateFile if file.rule != UNFINISHED)
# The rules of a plate, in their order, and those of a well. Both rules of a well share one record.
PLATE_RULES = tuple(dict.fromkeys(file.rule for file in RULE_FILES))
WELL_RULES = ("process_well", "materialize_well")

# Folders with one folder of files for each well: tables/B02.
WELL_FOLDERS: tuple[ResultFolder, ...] = get_args(ResultFolder)
STORE_NAME = "plate.zarr"
# Tables of all wells joined, other than counts and objects.
PLATE_TABLES = "plate_tables"
RECORDS = "records"
# Wells between process_well and materialize_well.
STAGING = ".staging"


def files_of(rule: str) -> list[PlateFile]:
    """Return the files that a rule of the plate writes."""
    return [file for file in PlateFile if file.rule == rule]


def main_file(rule: str) -> PlateFile:
    """Return the file that stands for the job of a rule of the plate."""
    return files_of(rule)[0]


def job_log(rule: str, name: str) -> str:
    """Return the log of a job; *name* is its well, or the plate for a job of the whole plate."""
    return f"logs/{rule}/{name}.log"


def job_benchmark(rule: str, name: str) -> str:
    """Return the file with time and memory of a job; *name* as in :func:`job_log`."""
    return f"benchmarks/{rule}/{name}.tsv"


def job_files(rules: tuple[str, ...], name: str) -> list[str]:
    """Return log and benchmark of the job of each of these rules."""
    return [path(rule, name) for path in (job_log, job_benchmark) for rule in rules]


# The folders that hold files of Wellfield's, directly below the results of the plate.
WRITTEN_FOLDERS = tuple(
    sorted(
        {path.partition("/")[0] for path in (*PlateFile, *WellFile, *job_files(WELL_RULES, "")) if "/" in path}
        | {*WELL_FOLDERS, STORE_NAME, PLATE_TABLES, RECORDS, STAGING}
    )
)
