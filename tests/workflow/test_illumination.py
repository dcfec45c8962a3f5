"""Illumination in the real workflow: fitted once, used by every well, fitted again only on demand."""

import json

import numpy as np
import pytest

from tests.workflow.project import Project
from tests.workflow.promises import promised
from wellfield.example import ExamplePlate
from wellfield.formats.tiff import read_tiff
from wellfield.workflow.fit_illumination import read_illumination

PLATE = ExamplePlate(wells=("B02", "C03"), fields=6, channels=1, z=1, size=64)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    root = tmp_path_factory.mktemp("corrected")
    PLATE.write(root)
    project = Project(root / "project").add("P1", root / "Plate_1")
    project.config["steps"] = [
        {"name": "raw", "func": "max_projection", "materialize": ["tiff"]},
        {"name": "even", "func": "correct_illumination", "materialize": ["tiff"]},
    ]
    return project, project.run()


def plane(project, step, well="C03"):
    return read_tiff(next(project.results("P1", "images", well, step).glob("*_s002_*.tif")))


def test_every_well_is_corrected_by_the_fit_of_the_plate(corrected):
    project, run = corrected
    assert run.jobs.count(("fit_illumination", "")) == 1
    fitted = read_illumination(project.results("P1", "illumination"), 1)
    expected = (plane(project, "raw").astype(np.float32) - np.float32(fitted.background)) / fitted.flatfield
    np.testing.assert_allclose(plane(project, "even"), expected, rtol=1e-5, atol=1e-3)


def test_it_is_fitted_again_on_demand_only(corrected):
    project, _ = corrected
    project.config["steps"].append({"name": "smooth", "func": "gaussian_filter"})
    assert "fit_illumination" not in {rule for rule, _ in project.run().jobs}
    assert "fit_illumination" in {rule for rule, _ in project.run("--forcerun", "fit_illumination", "--dry-run").jobs}


def test_it_is_fitted_again_once_a_plate_has_come_to_rest_on_a_part_of_which_it_was_fitted(corrected):
    project, _ = corrected
    report = project.results("P1", "ingest_report.json")
    noted = json.loads(report.read_text()) | {"acquisition": {"minutes": 1e-9, "files": 12, "young": 1}}
    report.write_text(json.dumps(noted))  # as if it had been mapped in the meantime
    assert project.run().jobs == promised("acquisition ended, illumination", PLATE.wells)
    assert project.run("--dry-run").jobs == []


def test_it_is_fitted_again_when_the_configuration_says_of_what(corrected):
    project, _ = corrected
    project.config["illumination"] = "microscope"
    assert project.run("--dry-run").jobs == promised("illumination", PLATE.wells)
