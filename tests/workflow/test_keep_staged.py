"""With keep_staged another format of the results writes the wells again and does not compute them."""

import json
import shutil

import pytest
import tifffile

from tests.workflow.project import PLATE_JOBS, SMALL, well_jobs
from tests.workflow.promises import promised
from wellfield.cli import main


@pytest.fixture
def kept(project, small_plate):
    """A finished run with TIFF files and staged wells that were kept."""
    project.config["keep_staged"] = True
    project.config["vfs"]["materialization_backend"] = "disk"
    shutil.copytree(small_plate, project.root / "raw")
    project.add("P1", "raw/Plate_1").run()
    return project


def staged(project):
    files = project.results("P1", ".staging").rglob("*.npy")
    return {path: path.stat().st_mtime_ns for path in files}


def test_another_format_or_compression_writes_the_wells_again_from_what_is_staged(kept):
    before = staged(kept)
    assert {path.relative_to(kept.results("P1", ".staging")).parts[0] for path in before} == set(SMALL.wells)
    kept.config["tiff"]["compression"] = "zstd"
    run = kept.run()
    assert run.jobs == promised("stored, staged wells kept", SMALL.wells)
    assert "results and staged wells take" in run.text
    image = next(kept.results("P1", "images", "B03").rglob("*.tif"))
    with tifffile.TiffFile(image) as tiff:
        assert tiff.pages[0].compression.name == "ZSTD"
    kept.config["vfs"]["materialization_backend"] = "zarr"
    assert kept.run().jobs == promised("stored, staged wells kept", SMALL.wells)
    assert staged(kept) == before
    group = json.loads(kept.results("P1", "plate.zarr", "B", "03", "1", "zarr.json").read_text())
    transforms = group["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert any(entry["type"] == "translation" for entry in transforms)
    assert main(["validate", str(kept.results("P1"))]) == 0
    assert kept.run("--dry-run").jobs == []


def test_a_forced_well_is_computed_and_a_failed_one_keeps_nothing(kept):
    manifest = "results/P1/wells/B03.json"
    assert kept.run("--dry-run", "--forcerun", manifest).jobs == promised("well forced", SMALL.wells, ("B03",))
    plane = next((kept.root / "raw" / "Plate_1").rglob("*_B03_s1_w1.TIF"))
    plane.write_bytes(plane.read_bytes()[:100])
    kept.run(succeeds=False)
    assert sorted(path.name for path in kept.results("P1", ".staging").iterdir() if path.is_dir()) == ["B02", "C04"]
    assert kept.run("--dry-run", "--forcerun", manifest).jobs == promised("well forced", SMALL.wells, ("B03",))


def test_a_step_that_computes_something_else_runs_process_again(kept):
    kept.config["steps"][1]["params"]["sigma"] = 1.5
    kept.run()
    # Without Snakemake's records too, a staged well is used for the plan alone that it is of.
    listed = kept.results("P1", ".staging", "B03", "staged.json")
    listed.write_text(listed.read_text().replace('"processing": "', '"processing": "0'))
    assert kept.run("results/P1/wells/B03.json").jobs == well_jobs("B03")


def test_staged_wells_go_with_their_well_and_may_be_deleted(kept):
    kept.plates[0][-1] = "B02,C04"
    assert kept.run().jobs == sorted(PLATE_JOBS)
    assert sorted(path.name for path in kept.results("P1", ".staging").iterdir() if path.is_dir()) == ["B02", "C04"]
    for path in staged(kept):
        path.unlink()
    assert kept.run("--dry-run").jobs == []
    kept.config["tiff"]["compression"] = "zstd"
    assert kept.run().jobs == promised("stored", ("B02", "C04"))
