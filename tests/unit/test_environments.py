"""The environments of the workflow hold what the project says it needs."""

import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_pins_what_the_project_pins(path):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    *conda, pip = yaml.safe_load(path.read_text())["dependencies"]
    assert all("=" in package for package in conda)
    assert pip == {"pip": project["dependencies"]}
    assert all("==" in requirement for requirement in project["dependencies"])
