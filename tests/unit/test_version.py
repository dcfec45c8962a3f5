"""The version is written once, in wellfield/__init__.py; what repeats it for readers says the same."""

import re
import tomllib
from pathlib import Path

import yaml

import wellfield

REPOSITORY = Path(__file__).resolve().parents[2]
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
RELEASES = re.findall(r"^## (\d\S*) \((\d{4}-\d\d-\d\d)\)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_project_takes_its_version_from_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "wellfield.__version__"}


def test_the_newest_release_of_the_changelog_and_the_citation_are_this_version():
    version, date = RELEASES[0]
    assert version == CITATION["version"] == wellfield.__version__
    assert date == str(CITATION["date-released"])
