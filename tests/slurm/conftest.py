"""A cluster, and projects whose jobs run on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import PACKAGES, Cluster, missing_commands
from tests.workflow.project import REPOSITORY, Project, Run
from wellfield.example import ExamplePlate

# `make slurm-test` runs everything at full size, other runs a small part of it.
FULL = bool(os.environ.get("WELLFIELD_SLURM"))
WELLS = tuple(f"{row}{column:02d}" for row in "BCD" for column in range(2, 10)) if FULL else ("B02", "C02")
PLATE = ExamplePlate(wells=WELLS, fields=2, channels=2, z=2, size=128)

# What the cluster here differs in from most: no accounting, and wells that take seconds.
SITE = [
    *("--slurm-status-command", "squeue", "--latency-wait", "10"),
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2"),
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that take minutes to the full run."""
    long = [] if FULL else [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A SLURM of two nodes, or three, with two GPUs each, of which nothing is left afterwards."""
    if missing := missing_commands():
        pytest.skip(f"SLURM: {', '.join(missing)} not found; Debian packages: {PACKAGES}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(folder, nodes=3 if FULL else 2, cpus=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


class SlurmProject(Project):
    """A working directory whose jobs run on a cluster, by the command as typed but for its waiting."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        super().__init__(root)
        self.cluster = cluster

    def command(self, *arguments: str) -> list[str]:
        self.write()
        snakemake = [sys.executable, str(Path(__file__).with_name("impatient_snakemake.py"))]
        return [*snakemake, "--profile", "slurm", "--directory", str(self.root), "--nocolor", *SITE, *arguments]

    def start(self, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
        """Start a run that prints into a file."""
        with output.open("wb") as opened:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=REPOSITORY,
                env=self.cluster.environment,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *arguments: str, succeeds: bool = True) -> Run:
        before = self.logs()
        done = subprocess.run(
            self.command(*arguments),
            check=False,
            cwd=REPOSITORY,
            env=self.cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode == 0) is succeeds, done.stdout
        return Run(done.returncode, done.stdout, log=self.new_log(before))

    def run_here(self, *arguments: str) -> Run:
        """Run without the cluster."""
        return Project.run(_Local(self), *arguments)


class _Local(Project):
    def __init__(self, project: Project) -> None:
        vars(self).update(vars(project))


def submitted(run: Run) -> dict[str, list[str]]:
    """Return the ids of the SLURM jobs of a run by what they did: rule, plate and well, as in their logs' folders."""
    found: dict[str, list[str]] = {}
    for job, path in re.findall(r"SLURM jobid (\d+) \(log: (?:.*?)/slurm_logs/(.*)/\d+\.log\)", run.log):
        found.setdefault(path, []).append(job)
    return found


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw plate with its map."""
    folder = tmp_path_factory.mktemp("raw")
    PLATE.write(folder)
    return folder


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, raw: Path) -> Project:
    """The plate processed on this machine, to which other runs must be equal."""
    project = Project(tmp_path_factory.mktemp("local") / "project")
    project.add("P1", raw / "Plate_1", plate_map=raw / "plate_map.csv")
    project.run()
    return project


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster, local: Project) -> SlurmProject:
    """A copy of the finished project whose next jobs run on the cluster."""
    project = SlurmProject(tmp_path / "project", cluster)
    shutil.copytree(local.root, project.root, dirs_exist_ok=True)
    project.plates = [list(plate) for plate in local.plates]
    return project
