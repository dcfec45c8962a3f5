"""Stitched wells in the real workflow: one image per well, with labels, counts and positions."""

import shutil
import stat

import numpy as np
import pandas as pd
import pytest
from roifile import ImagejRoi

from tests.interop.imagej import run_macro
from tests.workflow.project import Project
from wellfield.formats.tiff import read_calibration, read_tiff
from wellfield.workflow.validate import check_results

pytestmark = [pytest.mark.workflow, pytest.mark.realdata]

STEPS = [
    {"name": "projected", "func": "max_projection", "channels": [1]},
    {"name": "placed", "func": "generate_positions", "stack": "field"},
    {"name": "stitched", "func": "stitch", "input": "projected", "stack": "field", "materialize": ["zarr", "tiff"]},
    {"name": "mask", "func": ["gaussian_filter", "threshold_otsu"]},
    {"name": "nuclei", "func": "split_touching", "materialize": ["zarr", "tiff", "roi"]},
    {"func": "count_cells", "input": "stitched", "inputs": {"labels": "nuclei"}, "stack": "channel"},
]


@pytest.fixture(scope="module")
def stitched(tmp_path_factory, real_plates):
    project = Project(tmp_path_factory.mktemp("stitched") / "project")
    shutil.copytree(real_plates / "imagexpress" / "9987_Plate_3434", project.root / "raw")
    for path in [project.root / "raw", *(project.root / "raw").rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    project.config["steps"] = STEPS
    project.add("9987", "raw").run()
    return project


def table(project, name):
    return pd.read_parquet(project.results("9987", "plate_tables", f"{name}.parquet"))


def test_the_overlap_follows_the_content_where_there_is_some_and_the_stage_elsewhere(stitched):
    edges = table(stitched, "position_edges").set_index("Metadata_Well")
    assert edges.loc["B03", "measured_overlap_px"] == pytest.approx(24, abs=1)
    assert bool(edges.loc["B03", "used"])
    assert edges.loc["B03", "predicted_overlap_px"] == pytest.approx(25.6, abs=0.1)
    assert not edges.loc["B02", "used"]
    assert edges.loc["B02", "reason"]
    positions = table(stitched, "positions")
    by_well = positions.groupby("Metadata_Well")["algorithm"].agg(set)
    assert by_well.to_dict() == {"B02": {"stage"}, "B03": {"phase_correlation"}}
    assert positions["Metadata_Site"].tolist() == [1, 2, 1, 2]


def test_the_image_of_a_well_has_the_size_of_its_fields_without_their_overlap(stitched):
    image = read_tiff(stitched.results("9987", "images", "B03", "stitched", "B03_stitched_w1_max_t001.tif"))
    assert image.dtype == np.uint16
    assert sorted(image.shape)[0] in range(256, 262)
    assert sorted(image.shape)[1] == pytest.approx(2 * 256 - 24, abs=1)
    calibration = read_calibration(
        stitched.results("9987", "images", "B03", "stitched", "B03_stitched_w1_max_t001.tif")
    )
    assert calibration.pixel_size_um == pytest.approx(1.3672)


def test_nuclei_of_a_stitched_well_are_counted_once(stitched):
    counts = pd.read_csv(stitched.results("9987", "cell_counts.csv")).set_index("Metadata_Well")
    assert counts["Metadata_Site"].isna().all()
    labels = read_tiff(stitched.results("9987", "images", "B03", "nuclei", "B03_stitched_w1_max_t001.tif"))
    assert counts.loc["B03", "Count"] == len(np.unique(labels)) - 1
    assert counts.loc["B02", "Count"] == pytest.approx(14 + 29, abs=6)  # the fields alone, see test_real_plate
    regions = ImagejRoi.fromfile(stitched.results("9987", "rois", "B03", "nuclei", "B03_stitched_w1_t001.roi.zip"))
    assert len(regions) == counts.loc["B03", "Count"]


def test_the_results_are_valid_and_open_as_one_image_per_well(stitched):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    assert check_results(stitched.results("9987")) == []
    image = read_tiff(stitched.results("9987", "images", "B03", "stitched", "B03_stitched_w1_max_t001.tif"))
    store = stitched.results("9987", "plate.zarr", "B", "03", "0")
    nodes = list(Reader(parse_url(store))())
    np.testing.assert_array_equal(np.asarray(nodes[0].data[0]).squeeze(), image)
    labels = read_tiff(stitched.results("9987", "images", "B03", "nuclei", "B03_stitched_w1_max_t001.tif"))
    [drawn] = [node for node in nodes[1:] if "nuclei" in str(node.zarr)]
    np.testing.assert_array_equal(np.asarray(drawn.data[0]).squeeze(), labels)


def test_the_image_of_a_well_opens_in_imagej(stitched, tmp_path):
    path = stitched.results("9987", "images", "B03", "stitched", "B03_stitched_w1_max_t001.tif")
    macro = """
    open(getArgument()); getStatistics(area, mean, low, high);
    print("RESULT", getWidth(), getHeight(), bitDepth(), high);
    """
    image = read_tiff(path)
    assert run_macro(macro, tmp_path, path) == [[str(n) for n in (image.shape[1], image.shape[0], 16, image.max())]]
