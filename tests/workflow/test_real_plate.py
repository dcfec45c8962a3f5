"""A real ImageXpress plate through the whole workflow, and its results in other people's readers."""

import json
import shutil
import stat

import pandas as pd
import pytest
import tifffile
import zarr

from tests.interop.imagej import run_macro
from tests.workflow.project import Project
from wellfield.cli import main
from wellfield.plate.index import read_index

pytestmark = [pytest.mark.workflow, pytest.mark.realdata]

PIXEL_SIZE_UM = 1.3672


@pytest.fixture(scope="module")
def real(tmp_path_factory, real_plates):
    """The plate run with one step written as TIFF too; nuclei are in wave 1."""
    project = Project(tmp_path_factory.mktemp("real") / "project")
    shutil.copytree(real_plates / "imagexpress" / "9987_Plate_3434", project.root / "raw")
    for path in [project.root / "raw", *(project.root / "raw").rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    project.config["steps"][0]["materialize"] = ["zarr", "tiff"]
    project.config["steps"][3]["materialize"] = ["zarr", "tiff"]
    project.add("9987", "raw").run()
    return project


def test_the_plate_table_has_the_planes_that_the_tags_name(real):
    info, planes = read_index(real.results("9987", "index.parquet"))
    layers = {(p.key.channel, p.key.z, str(p.key.projection)) for p in planes}
    assert layers == {(1, 1, "none"), (1, 2, "none"), (1, 0, "max"), (2, 0, "max"), (3, 1, "none")}
    assert len(planes) == 5 * 2 * 2
    assert info.channels == {1: "DAPI", 2: "FITC", 3: "Texas Red"}


def test_fillers_and_the_fourth_wave_are_reported(real):
    report = json.loads(real.results("9987", "ingest_report.json").read_text())
    assert report["promised_but_absent"]["channels"] == ["4 (Cy5)"]
    (fillers,) = (entry for reason, entry in report["ignored"].items() if "filled" in reason)
    assert fillers["count"] == 16
    summary = real.results("9987", "report", "summary.html").read_text()
    assert "Cy5" in summary


def test_the_counts_are_plausible(real):
    counts = pd.read_csv(real.results("9987", "cell_counts.csv")).set_index(["Metadata_Well", "Metadata_Site"])["Count"]
    assert len(counts) == 4
    # Counted by eye on outlines drawn over the projection; the clusters of B03 leave room for opinion.
    by_eye = {("B02", 1): (15, 3), ("B02", 2): (29, 3), ("B03", 1): (50, 6), ("B03", 2): (74, 8)}
    assert {key: abs(counts[key] - seen) <= margin for key, (seen, margin) in by_eye.items()} == dict.fromkeys(
        by_eye, True
    )


# ome-zarr-py 0.18 evaluates a default argument of its own deprecated class when its modules are imported.
@pytest.mark.filterwarnings("ignore:Call to deprecated class Scaler:DeprecationWarning")
def test_the_store_is_valid_for_the_checkers_and_opens_in_other_readers(real):
    import yaozarrs
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader
    from ome_zarr_models.v05 import HCS

    store = real.results("9987", "plate.zarr")
    assert main(["validate", str(real.results("9987"))]) == 0
    yaozarrs.validate_zarr_store(str(store))
    plate = HCS.from_zarr(zarr.open_group(store, mode="r")).ome_attributes.plate
    assert [well.path for well in plate.wells] == ["B/02", "B/03"]
    image, *_ = Reader(parse_url(store / "B" / "03" / "2"))()
    assert image.metadata["channel_names"] == ["DAPI", "FITC", "Texas Red"]
    (scale,) = (t["scale"] for t in image.metadata["coordinateTransformations"][0] if t["type"] == "scale")
    assert scale[-2:] == [PIXEL_SIZE_UM, PIXEL_SIZE_UM]
    projection = tifffile.imread(next(real.results("9987", "images", "B03", "projected").glob("*s002_w1_*")))
    assert (image.data[0][0, 0, 0] == projection).all()


def test_tiffs_carry_the_pixel_size_in_tifffile(real):
    for path in real.results("9987", "images").rglob("*.tif"):
        with tifffile.TiffFile(path) as file:
            assert file.imagej_metadata["unit"] == "um"
            numerator, denominator = file.pages.first.tags["XResolution"].value
            assert denominator / numerator == pytest.approx(PIXEL_SIZE_UM, rel=1e-6)


def test_tiffs_carry_the_pixel_size_in_imagej(real, tmp_path):
    macro = """
    open(getArgument()); getPixelSize(unit, width, height); getStatistics(area, mean, low, high);
    print("RESULT", d2s(width, 4), unit, bitDepth(), high);
    """
    image = next(real.results("9987", "images", "B03", "projected").iterdir())
    expected = [f"{PIXEL_SIZE_UM:.4f}", "µm", "16", str(tifffile.imread(image).max())]
    assert run_macro(macro, tmp_path, image) == [expected]
