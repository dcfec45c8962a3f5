"""Jobs in environments that Snakemake makes for them."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.workflow.project import MESSAGES, REPOSITORY

# What Snakemake asks of conda. An environment is this Python without its packages.
STAND_IN = """#!/bin/sh
case "$*" in
    "info --json") echo '{info}' ;;
    "clean "*) ;;
    --version) echo "conda 25.1.0" ;;
    "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    "env create "*)
        while [ "$1" != --file ]; do shift; done
        mkdir -p "$4/bin" && ln -s "{python}" "$4/bin/python" ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """A stand-in for conda on the path."""
    folder = tmp_path / "conda"
    (folder / "bin").mkdir(parents=True)
    info = json.dumps({"conda_prefix": str(folder), "platform": "linux-64"})
    program = folder / "bin" / "conda"
    program.write_text(STAND_IN.format(info=info, python=os.path.realpath(sys.executable)))
    program.chmod(0o755)
    (folder / "bin" / "activate").write_text('export PATH="$1/bin:$PATH"\n')
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def environments(project, run):
    """Rule → name of the environment that its job ran in, from the log of a run."""
    files = {path.read_text(): path.stem for path in (REPOSITORY / "envs").glob("*.yaml")}
    printed = re.compile(r"^Job \d+: .*: (.*)$|^Activating conda environment: (.*)$", re.MULTILINE)
    found, rule = {}, ""
    for message, folder in printed.findall(run.log):
        if message:
            rule = MESSAGES[message]
        else:
            found[rule] = files[project.root.joinpath(f"{folder}.yaml").read_text()]
    return found


def test_every_job_runs_in_the_environment_of_its_rule_with_the_code_of_the_workflow(project, small_plate, conda):
    project.add("P1", small_plate / "Plate_1", wells="B02")
    project.config["steps"][0]["func"] = "functions.py:project"
    (project.root / "functions.py").write_text("def project(stack):\n    return stack.max(axis=0, keepdims=True)\n")
    run = project.run("--use-conda")
    assert environments(project, run) == {
        "ingest_plate": "base",
        "compile_plan": "libraries",
        "process_well": "libraries",
        "materialize_well": "base",
        "aggregate_plate": "base",
        "report_plate": "report",
        "check_plate": "base",
    }


def test_without_conda_neither_environments_nor_a_container_rerun_anything(copy):
    copy.config["container"] = "docker://example.org/wellfield:1"
    assert copy.run().jobs == []


@pytest.mark.conda
def test_the_workflow_runs_in_environments_that_conda_makes(project, small_plate):
    if shutil.which("conda") is None:
        pytest.skip("conda: not on the path")
    done = subprocess.run(
        ["conda", "search", "--override-channels", "--channel", "conda-forge", "python=3.11"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"conda: reaches no conda-forge: {done.stderr.strip()}")
    project.add("P1", small_plate / "Plate_1", wells="B02")
    run = project.run("--use-conda")
    assert set(environments(project, run).values()) == {"base", "report"}
