"""Opera Phenix plates through the whole workflow: synthetic ones against their truth, real ones as far as they go."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.generators.harmony_plate import Version
from tests.generators.phenix_example import write_phenix_example
from tests.workflow.project import Project
from wellfield.example import ExamplePlate
from wellfield.formats.npy import read_npy
from wellfield.plate.flatfield import FlatfieldProfile
from wellfield.plate.index import read_info
from wellfield.processing.flatfield_correction import illumination_of_profile

pytestmark = pytest.mark.workflow

PLATES = {
    "V7": ExamplePlate(wells=("B02", "C04"), size=256),
    "V5": ExamplePlate(wells=("B02", "C04"), fields=9, size=256),
}


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A run on both synthetic plates; each raw folder is named as its version."""
    project = Project(tmp_path_factory.mktemp("phenix") / "project")
    for version, plate in PLATES.items():
        found = write_phenix_example(project.root / version, plate, Version(version))
        project.add(version, found.plate, plate_map=found.plate_map)
    project.run()
    return project


@pytest.mark.parametrize("version", PLATES)
def test_the_shipped_pipeline_recovers_the_truth_field_by_field(synthetic, version):
    counts = pd.read_csv(synthetic.results(version, "cell_counts.csv"))
    seen = counts[counts["Status"] != "field_absent"]  # the row of the missing field has no count
    assert len(counts) == len(seen) + 1
    counts = seen.groupby(["Metadata_Well", "Metadata_Site"])["Count"].sum()
    truth = pd.read_csv(synthetic.root / version / "truth.csv").groupby(["well", "field"])["nuclei"].sum()
    assert list(counts.index) == list(truth.index)
    by_well = (counts.groupby(level=0).sum() / truth.groupby(level=0).sum() - 1).abs()
    assert by_well.max() <= 0.05
    # Fields differ enough in their numbers for a swap of two to show.
    assert np.corrcoef(counts, truth)[0, 1] > 0.98


def test_the_missing_field_is_reported_and_no_other_is_shifted(synthetic):
    report = json.loads(synthetic.results("V7", "ingest_report.json").read_text())
    assert report["missing_planes"]
    assert {name[:8] for name in report["missing_planes"]} == {"C04_s003"}
    assert report["found"]["vendor_fields"] == {"1": 1, "2": 2, "3": 4, "4": 3}
    assert report["image"]["field_grid_rows_columns"] == [2, 2]


def test_fields_lie_in_the_store_where_they_lie_in_the_well(synthetic):
    info = read_info(synthetic.results("V7", "index.parquet"))
    assert (info.microscope, info.stage_y_up, info.grid_dimensions) == ("opera_phenix", True, (2, 2))


def test_the_microscopes_own_flat_fields_are_taken_out_where_the_configuration_says_so(tmp_path):
    project = Project(tmp_path / "project")
    found = write_phenix_example(project.root / "raw", ExamplePlate(wells=("B02",), fields=1, z=1, size=64))
    project.add("P", found.plate)
    project.config["illumination"] = "microscope"
    project.config["steps"].insert(0, {"name": "flat", "func": "correct_illumination", "materialize": ["tiff"]})
    project.run()
    fitted = json.loads(project.results("P", "illumination", "illumination.json").read_text())["channels"]
    assert {entry["method"] for entry in fitted.values()} == {"microscope"}
    info = read_info(project.results("P", "index.parquet"))
    assert isinstance(info.flatfields[1], FlatfieldProfile)
    expected = illumination_of_profile(info.flatfields[1], (64, 64))
    np.testing.assert_array_equal(read_npy(project.results("P", "illumination", "w1.npy")), expected.flatfield)

    index = next(found.plate.rglob("Index*.xml"))
    content = index.read_bytes()
    assert b"Background: {" in content
    index.write_bytes(content.replace(b"Background: {", b"Background: {Mean: 300, "))
    assert ("fit_illumination", "") in project.run().jobs
    fitted = json.loads(project.results("P", "illumination", "illumination.json").read_text())["channels"]
    assert {entry["background"] for entry in fitted.values()} == {300}


@pytest.mark.realdata
def test_the_real_phenix_plate_shows_its_three_nuclei(tmp_path, real_plates):
    project = Project(tmp_path / "project").add("P", real_plates / "opera_phenix" / "phenix_V5_1field_6ch")
    project.config["steps"][1]["channels"] = ["HOECHST 33342"]
    project.run()
    assert pd.read_csv(project.results("P", "cell_counts.csv"))["Count"].tolist() == [3]  # as one sees


@pytest.mark.realdata
def test_the_real_operetta_plate_runs(tmp_path, real_plates):
    project = Project(tmp_path / "project").add("P", real_plates / "opera_phenix" / "operetta_V5_1well_2fields")
    project.run()
    counts = pd.read_csv(project.results("P", "cell_counts.csv"))
    assert counts["Metadata_Well"].tolist() == ["C03", "C03"]
    # Fields full of cells in suspension: many hundreds, too dense to be counted by eye.
    assert counts["Count"].between(500, 1500).all()
