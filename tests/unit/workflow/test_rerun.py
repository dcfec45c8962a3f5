"""The command that does wells of a plate again."""

import os

import pytest

from wellfield.cli import main
from wellfield.errors import ConfigError, WellNameError
from wellfield.example import ExamplePlate
from wellfield.pipeline.well_input import PlaneAccount
from wellfield.results.manifest import write_manifest
from wellfield.results.well_jobs import WellJobs, write_jobs
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.rerun import rerun_command

FORCE = ["snakemake", "--cores", "all", "--forcerun"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A plate of six wells that is ingested: A01 to A03 share a job, A04 and A05 another, A06 has its own."""
    root = tmp_path_factory.mktemp("my project")
    wells = tuple(f"A{column:02d}" for column in range(1, 7))
    ExamplePlate(wells=wells, fields=1, channels=1, z=1, size=32).write(root / "raw")
    ingest_plate(str(root / "raw" / "Plate_1"), plate="P", microscope="auto", results=root / "results" / "P")
    (root / "config").mkdir()
    (root / "config" / "config.yaml").write_text("schema_version: 1\nsteps: [{func: max_projection}]\n")
    (root / "config" / "plates.tsv").write_text(f"plate\tfolder\nP\t{root}/raw/Plate_1\nNew\t{root}/raw\n")
    write_jobs(root / "results" / "P", WellJobs({"A01-A03": wells[:3], "A04-A05": wells[3:5]}))
    return root


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)


def manifests(*names):
    return [f"results/P/wells/{name}.json" for name in names]


@pytest.mark.parametrize(
    ("wells", "names"),
    [
        (["A02"], ["A02"]),
        (["a2", "A06"], ["A06", "A02"]),
        (["A02,A01;A06"], ["A06", "A01", "A02"]),
        (["A01-A03"], ["A01-A03"]),
        (["a01-a03", "A04"], ["A01-A03", "A04"]),
        (["A01", "A02", "A03"], ["A01-A03"]),
        ([], ["A01-A03", "A04-A05", "A06"]),
    ],
)
def test_wells_are_named_with_as_few_jobs_as_do_no_other(wells, names):
    assert rerun_command("P", wells) == [*FORCE, *manifests(*names)]


def test_wells_that_the_sheet_leaves_out_are_not_run(project):
    sheet = project / "config" / "plates.tsv"
    text = sheet.read_text()
    try:
        sheet.write_text(f"plate\tfolder\twells\nP\t{project}/raw/Plate_1\tA04,A06\n")
        assert rerun_command("P", []) == [*FORCE, *manifests("A06", "A04")]
        with pytest.raises(ConfigError, match=r"plate P has no well A01 to process; it has A04, A06"):
            rerun_command("P", ["A01"])
    finally:
        sheet.write_text(text)


def test_failed_wells(project):
    folder = project / "results" / "P" / "wells"
    folder.mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match="plate P has no failed well"):
        rerun_command("P", [], failed=True)
    error, planes = {"message": "bad"}, PlaneAccount()
    write_manifest(
        folder / "A02.json",
        plate="P",
        well="A02",
        status="failed",
        error=error,
        planes=planes,
        plan_digest="",
        files=[],
    )
    try:
        assert rerun_command("P", [], failed=True) == [*FORCE, *manifests("A02")]
    finally:
        (folder / "A02.json").unlink()


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["--dry-run"], ["--cores", "all", "--dry-run"]),
        (["--cores", "3"], ["--cores", "3"]),
        (["-c3"], ["-c3"]),
        (["--profile=slurm"], ["--profile=slurm"]),
        (["--profile", "profiles/slurm", "-n"], ["--profile", "profiles/slurm", "-n"]),
    ],
)
def test_further_options_go_to_snakemake(options, start):
    assert rerun_command("P", ["A06"], options=options) == ["snakemake", *start, "--forcerun", *manifests("A06")]


def test_another_configuration_is_named(project):
    (project / "mine.yaml").write_text("results: elsewhere\n")
    with pytest.raises(ConfigError, match=r"no results yet.*snakemake --cores all --configfile mine\.yaml"):
        rerun_command("P", ["A01"], config="mine.yaml")
    assert rerun_command("P", ["A06"], config="config/config.yaml") == [*FORCE, *manifests("A06")]


@pytest.mark.parametrize(
    ("plate", "wells", "error", "message"),
    [
        ("Q", [], ConfigError, "the plate sheet has no plate Q; it has P, New"),
        ("P", ["H12"], ConfigError, "plate P has no well H12 to process; it has A01, A02"),
        ("P", ["A01-A02"], WellNameError, "A01-A02"),
        ("P", ["nonsense"], WellNameError, "nonsense"),
        ("New", ["A01"], ConfigError, "plate New has no results yet.*snakemake --cores all"),
    ],
)
def test_what_cannot_be_done_again_is_named(plate, wells, error, message):
    with pytest.raises(error, match=message):
        rerun_command(plate, wells)


def test_the_command_line_prints_it_for_a_shell(capsys, project):
    (project / "my results.yaml").write_text("memory_margin_mb: 500\n")
    assert main(["rerun", "P", "A06", "--config", "my results.yaml", "--", "--dry-run"]) == 0
    line = "snakemake --cores all --configfile 'my results.yaml' --dry-run --forcerun results/P/wells/A06.json"
    assert capsys.readouterr().out.strip() == line
    assert main(["rerun", "P", "A06", "--failed"]) == 1
    assert "not both" in capsys.readouterr().err


def test_it_runs_it_in_its_own_place(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    assert main(["rerun", "P", "A06", "--run"]) == 0
    assert started[0][1:] == ["-m", *FORCE, *manifests("A06")]
