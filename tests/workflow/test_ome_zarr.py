"""OME-Zarr stores through the whole workflow: real samples, and a plate whose chunks change."""

import json
import shutil
import stat

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from tests.unit.microscopes.ngff_plates import Image, write_plate
from tests.workflow.project import PLATE_JOBS, Project, well_jobs
from wellfield.plate.index import read_index

pytestmark = pytest.mark.workflow

SAMPLES = ("hcs", "2d")  # a plate, and an image without one


@pytest.fixture(scope="module")
def samples(tmp_path_factory, real_plates):
    """The real samples in one project, through the shipped pipeline; projections are written as TIFF too."""
    project = Project(tmp_path_factory.mktemp("samples") / "project")
    for name in SAMPLES:
        shutil.copytree(real_plates / "ome_zarr" / f"{name}.zarr", project.root / "raw" / f"{name}.zarr")
        project.add(name, f"raw/{name}.zarr")
    for path in (project.root / "raw").rglob("*"):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    project.config["steps"][0]["materialize"] = ["zarr", "tiff"]
    project.run()
    return project


@pytest.mark.realdata
@pytest.mark.parametrize("name", SAMPLES)
def test_a_real_sample_goes_through_the_workflow_with_its_own_pixels(samples, name):
    info, planes = read_index(samples.results(name, "index.parquet"))
    raw = samples.root / "raw" / f"{name}.zarr"
    for plane in planes:
        array, _, index = plane.path.partition("#")
        truth = zarr.open_array(raw / array, mode="r")[tuple(json.loads(index))]
        (image,) = samples.results(name, "images", plane.key.well, "projected").glob(
            f"*_s{plane.key.field:03d}_w{plane.key.channel}_*"
        )
        assert (tifffile.imread(image) == truth).all()
    for well in info.wells:
        assert json.loads(samples.results(name, "wells", f"{well}.json").read_text())["status"] == "done"
    counted = pd.read_csv(samples.results(name, "cell_counts.csv"))
    fields = {(plane.key.well, plane.key.field) for plane in planes}
    assert set(zip(counted["Metadata_Well"], counted["Metadata_Site"], strict=True)) == fields


def blobs(shape, count):
    """Bright squares on noise, as many as *count*."""
    image = np.random.default_rng(count).integers(90, 110, shape).astype("u2")
    for number in range(count):
        y, x = 12 + 30 * (number // 4), 12 + 30 * (number % 4)
        image[..., y : y + 10, x : x + 10] = 2000
    return image


@pytest.fixture
def plate(tmp_path):
    """A plate of two wells with one field of two channels, and 5 and 7 objects."""
    project = Project(tmp_path / "project")
    image = Image("cyx", {"y": 128, "x": 128}, scale={"y": 0.5, "x": 0.5})
    store = project.root / "raw" / "plate.zarr"
    write_plate(store, {"B/2": {"0": image}, "C/11": {"0": image}}, "0.5")
    for well, count in (("B/2", 5), ("C/11", 7)):
        zarr.open_array(store / well / "0" / "0", mode="r+")[...] = blobs(image.shape, count)
    project.add("P1", "raw/plate.zarr").run()
    return project


def counts(project):
    table = pd.read_csv(project.results("P1", "cell_counts.csv"))
    return dict(zip(table["Metadata_Well"], table["Count"], strict=True))


def test_a_rewritten_chunk_reruns_its_well_and_a_removed_one_is_missing(plate):
    assert counts(plate) == {"B02": 5, "C11": 7}
    array = zarr.open_array(plate.root / "raw" / "plate.zarr" / "C" / "11" / "0" / "0", mode="r+")
    array[...] = blobs(array.shape, 3)
    assert plate.run().jobs == sorted([("ingest_plate", ""), *well_jobs("C11"), *PLATE_JOBS])
    assert counts(plate) == {"B02": 5, "C11": 3}
    chunk = plate.root / "raw" / "plate.zarr" / "B" / "2" / "0" / "0" / "c" / "0" / "1" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:20])
    text = plate.run(succeeds=False).text
    assert "B/2/0/0#[0]" in text
    chunk.write_bytes(whole)
    shutil.rmtree(plate.root / "raw" / "plate.zarr" / "B" / "2" / "0" / "0" / "c" / "1")
    plate.run()
    report = json.loads(plate.results("P1", "ingest_report.json").read_text())
    assert report["missing_planes"] == ["B02_s001_w2_z001_t001.tif"]
    assert counts(plate) == {"B02": 5, "C11": 3}
    # Such a plate cannot be read as files.
    plate.config["vfs"]["read_backend"] = "disk"
    plate.run(succeeds=False)
    (log,) = plate.results("P1", "logs", "compile_plan").rglob("*.log")
    assert "vfs.read_backend: disk cannot read plate P1" in log.read_text()
