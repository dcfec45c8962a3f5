"""A plate of no known microscope: PNG files in a folder per well, read by a layout of the configuration."""

import pandas as pd
import pytest

from tests.workflow.project import PLATE_JOBS, SMALL, WELLS, well_jobs
from tests.workflow.promises import promised
from wellfield.formats.png import write_png
from wellfield.plate.index import read_index
from wellfield.workflow.validate import check_results

pytestmark = pytest.mark.workflow

NAMES = ("DAPI", "FITC")
LAYOUT = {
    "pattern": r"(?P<well>[A-H]\d+)/site_(?P<field>\d+)/(?P<channel>\w+)_z(?P<z>\d+)\.png",
    "pixel_size_um": SMALL.pixel_size_um,
    "channels": list(NAMES),
}


def write_plate(folder):
    """The pixels of the small plate; fields and z count from 0."""
    for field in SMALL.field_keys():
        for name, stack in zip(NAMES, SMALL.pixels(field), strict=True):
            for z, plane in enumerate(stack):
                path = folder / f"{field.well[0]}{int(field.well[1:])}" / f"site_{field.field - 1}" / f"{name}_z{z}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, plane)
    (folder / "overview.png").write_bytes(b"")


def test_a_plate_of_png_files_gives_what_the_same_pixels_gave_as_imagexpress(project, finished):
    write_plate(project.root / "raw")
    project.config["layouts"] = {"mine": LAYOUT, "other": LAYOUT}
    project.add("P1", "raw", microscope="mine")
    project.run()
    assert check_results(project.results("P1")) == []
    info, planes = read_index(project.results("P1", "index.parquet"))
    assert (info.microscope, info.channels, info.wells) == ("mine", {1: "DAPI", 2: "FITC"}, WELLS)
    assert {plane.key for plane in planes} == {
        plane.key for plane in read_index(finished[0].results("P1", "index.parquet"))[1]
    }
    objects = [pd.read_parquet(one.results("P1", "objects.parquet")) for one in (project, finished[0])]
    assert len(objects[0]) > 0
    assert objects[0].equals(objects[1][objects[0].columns])  # the other plate has a plate map
    assert "does not match the pattern" in project.results("P1", "ingest_report.json").read_text()

    project.config["layouts"] = {"mine": LAYOUT, "another": LAYOUT | {"pixel_size_um": 2.0}}
    assert project.run().jobs == []

    project.config["layouts"] = {"mine": LAYOUT | {"channels": ["FITC", "DAPI"]}}
    decided = [("compile_plan", ""), *well_jobs(*WELLS), *PLATE_JOBS]  # as the channels are others
    assert project.run().jobs == sorted(promised("layout", WELLS) + decided)
    assert read_index(project.results("P1", "index.parquet"))[0].channels == {1: "FITC", 2: "DAPI"}


def test_mistakes_in_a_layout_stop_the_run_before_any_job(project):
    write_plate(project.root / "raw")
    project.config["layouts"] = {"mine": {"pattern": r"(?P<wel>\w+)\.png"}}
    project.config["on_missing"] = "guess"
    project.add("P1", "raw", microscope="mine")
    text = project.run("--dry-run", succeeds=False).text
    assert "layouts.mine.pattern: unknown group 'wel'; did you mean 'well'?" in text
    assert "on_missing: Input should be" in text


def test_a_colour_image_that_was_not_sampled_fails_its_well_alone(project):
    import numpy as np

    write_plate(project.root / "raw")
    project.config["layouts"] = {"mine": LAYOUT}
    project.add("P1", "raw", microscope="mine")
    odd = project.root / "raw" / "B3" / "site_0" / "DAPI_z1.png"
    write_png(odd, np.zeros((SMALL.size, SMALL.size, 3), "u1"))
    text = project.run(succeeds=False).text
    assert "B3/site_0/DAPI_z1.png" in text
    assert "has several planes or colours (shape [128, 128, 3]); expected one grey plane" in text
    assert project.results("P1", "cell_counts.csv").exists()
