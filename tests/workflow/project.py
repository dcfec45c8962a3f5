"""Projects to run the real workflow in: a working directory of its own, with configuration and a small raw plate."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from wellfield.example import ExamplePlate

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ExamplePlate(wells=("B02", "B03", "C04"), fields=2, channels=2, z=2, size=128)
WELLS = SMALL.wells

# What each rule says of its job, after the plate (and the well).
MESSAGES = {
    "ingesting the plate": "ingest_plate",
    "fitting the illumination": "fit_illumination",
    "compiling the pipeline": "compile_plan",
    "running the pipeline": "process_well",
    "writing results": "materialize_well",
    "joining the tables of all wells": "aggregate_plate",
    "drawing the report": "report_plate",
    "checking that every well is done": "check_plate",
}

PLATE_JOBS = [("aggregate_plate", ""), ("check_plate", ""), ("report_plate", "")]


@dataclass
class Run:
    """One call of snakemake: exit code, everything it printed, and the jobs it started as (rule, well).

    ``times`` says when each line was printed, in seconds after the start. ``log`` is what Snakemake wrote of a real run
    into its own log file, where the jobs are.
    """

    code: int
    text: str
    times: list[float] = field(default_factory=list)
    log: str = ""

    @property
    def jobs(self):
        return sorted(self._started().values())

    @property
    def plates(self):
        """The plates whose jobs it started."""
        return {
            place.removesuffix(f" {well(place)}") for place in re.findall(r"^Job \d+: (.*): ", self._own, re.MULTILINE)
        }

    @property
    def finished(self):
        """The jobs that it said to have finished."""
        started = self._started()
        numbers = re.findall(r"^Finished jobid: (\d+) ", self._own, re.MULTILINE)
        return sorted(started[number] for number in numbers if number in started)

    @property
    def _own(self):
        """What Snakemake says of jobs: in its log, or on the terminal in a dry run."""
        return self.log or self.text

    def _started(self):
        found = re.findall(r"^Job (\d+): (.*): (.*)$", self._own, re.MULTILINE)
        assert all(message in MESSAGES for *_, message in found), found
        return {number: (MESSAGES[message], well(place)) for number, place, message in found}


def well(place):
    """The well in 'PLATE WELL' or the wells in 'PLATE A01-A12', '' for a job of the whole plate."""
    match = re.search(r" ([A-Z]{1,2}\d{2}(-[A-Z]{1,2}\d{2})?)$", place)
    return match[1] if match else ""


def well_jobs(*wells):
    """The jobs of each well."""
    return [(rule, well) for rule in ("materialize_well", "process_well") for well in wells]


class Project:
    """A working directory."""

    def __init__(self, root: Path, repository: Path = REPOSITORY):
        self.root = root
        self.repository = repository
        (root / "config").mkdir(parents=True)
        self.config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
        self.config["acquisition_minutes"] = 0  # real plates may be as young as the checkout that they came with
        self.plates = []

    def add(self, plate, folder, *, microscope="auto", plate_map="", wells=""):
        self.plates.append([plate, str(folder), microscope, str(plate_map), wells])
        return self

    def results(self, *parts):
        return self.root.joinpath("results", *parts)

    def write(self):
        (self.root / "config" / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        lines = [["plate", "folder", "microscope", "plate_map", "wells"], *self.plates]
        (self.root / "config" / "plates.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))

    def command(self, *arguments):
        self.write()
        command = [sys.executable, "-m", "snakemake", "--directory", self.root]
        command += ["--snakefile", self.repository / "Snakefile"]
        return [str(part) for part in [*command, "--cores", "2", "--nocolor", *arguments]]

    def start(self, *arguments):
        """Start snakemake as the leader of a process group of its own, and return the process."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
            start_new_session=True,
        )

    def run(self, *arguments, succeeds=True):
        lines, times, before = [], [], self.logs()
        start = time.monotonic()
        with self.start(*arguments) as process:
            for line in process.stdout:
                lines.append(line)
                times.append(time.monotonic() - start)
        text = "".join(lines)
        assert (process.returncode == 0) is succeeds, text
        return Run(process.returncode, text, times, self.new_log(before))

    def logs(self):
        """Snakemake's own logs."""
        return sorted(self.root.glob(".snakemake/log/*.log"))

    def new_log(self, before):
        """The text of the logs that were not there before."""
        return "".join(path.read_text() for path in self.logs() if path not in before)


def environment():
    """The environment of a user: nothing that the test runner set."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
