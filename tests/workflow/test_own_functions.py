"""Functions of a user's own file in the real workflow: run, written under their own names, rerun when they change."""

import re
import shutil
import textwrap

import numpy as np
import pandas as pd
import pytest
from roifile import ImagejRoi

from wellfield.formats.json_files import read_json
from wellfield.formats.roi import read_rois, write_rois
from wellfield.formats.tiff import read_tiff
from wellfield.workflow.resources import RUNNER_MB
from wellfield.workflow.validate import compare_results

from .project import WELLS, Project
from .promises import promised

FUNCTIONS = """
import helper
import numpy as np

from wellfield.materialization import (
    CsvOptions, JsonOptions, MaterializationSpec, ROIOptions, TextOptions, TiffStackOptions,
)
from wellfield.pipeline import special_inputs, special_outputs


@special_outputs(
    ("cell_counts", MaterializationSpec(CsvOptions(filename_suffix="_details.csv"))),
    ("masks", MaterializationSpec(ROIOptions(min_area=21))),
)
def count_cells_with_materialization(image_stack):
    labels = np.zeros(image_stack.shape, np.int32)
    labels[0, 5:10, 5:10] = 70000
    labels[0, 20:22, 30:40] = 3
    return image_stack, [{"object": 70000, "pixels": 25}, {"object": 3, "pixels": 20}], labels


@special_outputs(
    "debug_info",
    ("analysis_results", MaterializationSpec(
        JsonOptions(source="summary", filename_suffix=".json"),
        CsvOptions(source="details", filename_suffix="_details.csv"),
        primary=0,
    )),
    ("note", MaterializationSpec(TextOptions())),
    ("background", MaterializationSpec(TiffStackOptions())),
)
def analyze_with_mixed_outputs(image_stack):
    summary = {"brightest": int(image_stack.max()), "nothing": None}
    details = {"Level": [1.5, float(image_stack.min())]}
    background = np.full(image_stack.shape, 70000, np.uint32)
    return image_stack, object(), {"summary": summary, "details": details}, helper.NOTE, background


@special_inputs("debug_info")
def use(image_stack, *, debug_info):
    assert type(debug_info) is object
    return image_stack
"""


@pytest.fixture(scope="module")
def own(small_plate, tmp_path_factory):
    """A finished run of a pipeline of functions in a file that lies outside of the project."""
    root = tmp_path_factory.mktemp("own")
    file = root / "elsewhere" / "my functions.py"
    file.parent.mkdir()
    file.write_text(textwrap.dedent(FUNCTIONS))
    project = Project(root / "project")
    (project.root / "helper.py").write_text('NOTE = "all good"\n')
    project.add("P1", small_plate / "Plate_1")
    project.config["steps"] = [
        {"name": "projected", "func": "max_projection", "channels": [1], "materialize": ["tiff"], "sub_dir": "mips"},
        {"func": f"{file}:count_cells_with_materialization"},
        {"func": f"{file}:analyze_with_mixed_outputs"},
        {"func": f"{file}:use"},
    ]
    project.run()
    return project, file


def files_of(project, kind, well="B02"):
    folder = project.results("P1", kind, well)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_output_lands_under_its_own_name(own):
    project, _ = own
    assert files_of(project, "tables") == [
        "analysis_results.json",
        "analysis_results_details.csv",
        "cell_counts_details.csv",
        "note_s001_t001.txt",
        "note_s002_t001.txt",
    ]
    assert files_of(project, "rois") == ["masks_s001_t001.roi.zip", "masks_s002_t001.roi.zip"]
    assert files_of(project, "images") == [
        "background_s001_t001.tif",
        "background_s002_t001.tif",
        "mips/B02_s001_w1_max_t001.tif",
        "mips/B02_s002_w1_max_t001.tif",
    ]


def test_what_is_written_is_what_was_returned(own):
    project, _ = own
    folder = project.results("P1")
    details = pd.read_csv(folder / "tables" / "B02" / "cell_counts_details.csv")
    assert details["object"].tolist() == [70000, 3] * 2
    assert details["Metadata_Site"].tolist() == [1, 1, 2, 2]
    regions = ImagejRoi.fromfile(folder / "rois" / "B02" / "masks_s001_t001.roi.zip")
    assert [region.name for region in regions] == ["70000"]
    manifest = read_json(folder / "wells" / "B02.json")
    [entry] = [entry for entry in manifest["files"] if entry["path"] == "rois/B02/masks_s001_t001.roi.zip"]
    assert entry["regions_left_out"] == 1
    values = read_json(folder / "tables" / "B02" / "analysis_results.json")
    projected = read_tiff(folder / "images" / "B02" / "mips" / "B02_s001_w1_max_t001.tif")
    assert values["s001_t001"] == {"brightest": int(projected.max()), "nothing": None}
    assert (folder / "tables" / "B02" / "note_s001_t001.txt").read_text() == "all good"
    background = read_tiff(folder / "images" / "B02" / "background_s001_t001.tif")
    assert (background.dtype, np.unique(background).tolist()) == (np.uint32, [70000])


def test_tables_of_the_plate_have_the_rows_of_all_wells(own):
    project, _ = own
    joined = pd.read_parquet(project.results("P1", "plate_tables", "cell_counts_details.parquet"))
    assert joined["Metadata_Well"].value_counts().to_dict() == {"B02": 4, "B03": 4, "C04": 4}
    assert project.results("P1", "plate_tables", "analysis_results_details.csv").exists()


def test_the_manifest_lists_every_file(own):
    project, _ = own
    manifest = read_json(project.results("P1", "wells", "B02.json"))
    listed = {entry["path"] for entry in manifest["files"]}
    there = {f"{kind}/B02/{name}" for kind in ("tables", "rois", "images") for name in files_of(project, kind)}
    assert listed == there


def test_a_job_asks_for_the_memory_that_its_plan_estimates(own):
    project, _ = own
    plan = read_json(project.results("P1", "plan.json"))
    log = project.results("P1", "logs", "process_well", "B02.log").read_text()
    asked = int(re.search(r"(\d+) MB and 0 GPUs asked for", log)[1])
    assert asked == int(np.ceil(plan["memory_mb"] + project.config["memory_margin_mb"] + RUNNER_MB))


def test_results_that_differ_in_a_region_or_a_table_of_the_plate_are_told_apart(own, tmp_path):
    project, _ = own
    shutil.copytree(project.results("P1"), tmp_path / "other")
    assert compare_results(project.results("P1"), tmp_path / "other") == []
    zipped = tmp_path / "other" / "rois" / "B02" / "masks_s001_t001.roi.zip"
    regions = read_rois(zipped)
    regions[0].name = "4"
    write_rois(zipped, regions)
    table = tmp_path / "other" / "plate_tables" / "cell_counts_details.parquet"
    pd.read_parquet(table).assign(pixels=0).to_parquet(table)
    assert compare_results(project.results("P1"), tmp_path / "other") == [
        "rois/B02/masks_s001_t001.roi.zip: the regions differ",
        "plate_tables/cell_counts_details.parquet: the tables differ",
    ]


def test_editing_a_module_that_the_file_imports_reruns_the_wells_without_snakemakes_records_too(own):
    project, _ = own
    assert project.run("--dry-run").jobs == []
    (project.root / "helper.py").write_text('NOTE = "changed"\n')
    expected = promised("own function", WELLS)
    assert project.run("--dry-run").jobs == expected
    shutil.rmtree(project.root / ".snakemake")
    assert project.run().jobs == expected
    assert project.results("P1", "tables", "C04", "note_s001_t001.txt").read_text() == "changed"


def test_editing_the_file_reruns_the_wells_and_a_comment_in_it_nothing(own):
    project, file = own
    text = file.read_text()
    file.write_text(f"# A comment.\n{text}\n")
    assert project.run("--dry-run").jobs == []
    file.write_text(f"{text}\nADDED = 1\n")
    assert project.run("--dry-run").jobs == promised("own function", WELLS)
