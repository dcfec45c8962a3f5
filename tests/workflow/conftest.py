"""Plates and runs that the workflow tests share."""

import shutil
from copy import deepcopy
from pathlib import Path

import pytest

from tests.workflow.project import SMALL, Project


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture(scope="session")
def small_plate(tmp_path_factory):
    """The folder with a synthetic raw plate, its plate map and its truth. Tests copy what they alter."""
    folder = tmp_path_factory.mktemp("raw")
    SMALL.write(folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, small_plate):
    """A finished run on the small plate, and what it printed."""
    project = Project(tmp_path_factory.mktemp("finished") / "project")
    shutil.copytree(small_plate, project.root / "raw")
    project.add("P1", "raw/Plate_1", plate_map="raw/plate_map.csv")
    return project, project.run()


@pytest.fixture(scope="session")
def finished_together(tmp_path_factory, small_plate):
    """The same with wells that share a job: B02, and B03 with C04."""
    project = Project(tmp_path_factory.mktemp("together") / "project")
    shutil.copytree(small_plate, project.root / "raw")
    project.config["wells_per_job"] = 2
    project.add("P1", "raw/Plate_1", plate_map="raw/plate_map.csv")
    return project, project.run()


@pytest.fixture
def project(tmp_path):
    """An empty project."""
    return Project(tmp_path / "project")


@pytest.fixture
def copy(tmp_path, finished):
    """A finished run that the test may alter, with a raw plate of its own."""
    return copied(finished[0], tmp_path / "copy")


@pytest.fixture
def copy_together(tmp_path, finished_together):
    """The same with wells that share a job."""
    return copied(finished_together[0], tmp_path / "copy")


def copied(source, folder):
    project = Project(folder)
    shutil.copytree(source.root, project.root, dirs_exist_ok=True)
    project.config = deepcopy(source.config)
    project.plates = [list(plate) for plate in source.plates]
    return project
