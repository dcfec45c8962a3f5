"""Bad input: one clear error each, nothing lost, nothing invented."""

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.generators.imagexpress_writer import ImageXpressPlate, write_imagexpress
from wellfield.workflow.process_well import process_well

pytestmark = pytest.mark.workflow


def plane_of(copy, pattern):
    return next((copy.root / "raw").rglob(pattern))


def truncate(plane):
    data = plane.read_bytes()
    plane.write_bytes(data[: len(data) // 2])


def failed_runs(copy, plane):
    """Run, expect well B03 to fail because of *plane* and everything else to be there."""
    run = copy.run(succeeds=False)
    results = copy.results("P1")
    manifests = {path.stem: json.loads(path.read_text()) for path in results.joinpath("wells").iterdir()}
    assert {well: manifest["status"] for well, manifest in manifests.items()} == {
        "B02": "done",
        "B03": "failed",
        "C04": "done",
    }
    error = manifests["B03"]["error"]
    assert error["file"] == plane.relative_to(copy.root / "raw" / "Plate_1").as_posix()
    assert "1 of 3 wells failed" in run.text
    assert error["file"] in run.text
    summary = (results / "report" / "summary.html").read_text()
    assert "What went wrong" in summary
    assert error["file"] in summary
    assert "B03: last lines of <code>logs/process_well/B03.log</code>" in summary
    assert "INFO wellfield.workflow.process_well: well B03: failed, " in summary
    assert re.search(r" P1 B03: failed: .*" + re.escape(error["file"]), run.text, re.MULTILINE)
    assert "P1: 2 of 3 wells done, 1 failed (B03), 0 planes skipped; this run: " in run.text
    assert not (results / "report" / "unfinished.html").exists()
    counts = pd.read_csv(results / "cell_counts.csv")
    assert counts[counts["Metadata_Well"] == "B03"]["Count"].isna().all()
    assert counts[counts["Metadata_Well"] != "B03"]["Count"].notna().all()
    assert not (results / "plate.zarr" / "B" / "03").exists()
    return run


@pytest.mark.quick
def test_a_truncated_plane_fails_its_well_alone(copy):
    plane = plane_of(copy, "*_B03_s2_w1.TIF")
    truncate(plane)
    assert {well for _, well in failed_runs(copy, plane).jobs} == {"B03", ""}


def eight_bits(plane):
    tifffile.imwrite(plane, (tifffile.imread(plane) // 16).astype(np.uint8))


NO_IMAGES = {
    "zero-byte": (lambda plane: plane.write_bytes(b""), "(0 bytes)"),
    "non-image": (lambda plane: plane.write_bytes(b"this is no image" * 20), "TIFF"),
    "unequal size": (lambda plane: tifffile.imwrite(plane, np.zeros((130, 128), np.uint16)), "130"),
    "8 bits": (eight_bits, "the image has dtype uint8; expected uint16"),
    "mask": (lambda plane: tifffile.imwrite(plane, tifffile.imread(plane) > 300, photometric="minisblack"), "bool"),
}


@pytest.mark.parametrize(("spoil", "said"), NO_IMAGES.values(), ids=NO_IMAGES)
def test_a_plane_that_is_no_image_of_the_plate_fails_its_well(copy, monkeypatch, spoil, said):
    plane = plane_of(copy, "*_B03_s2_w1.TIF")
    spoil(plane)
    assert_well_fails(copy, monkeypatch, plane, said)


def test_a_whole_well_of_another_bit_depth_fails_and_is_not_measured_like_the_others(copy, monkeypatch):
    planes = sorted((copy.root / "raw").rglob("*_B03_*.TIF"))
    for plane in planes:
        eight_bits(plane)
    assert_well_fails(copy, monkeypatch, planes[0], "the image has dtype uint8; expected uint16")


def assert_well_fails(copy, monkeypatch, plane, said):
    """Process well B03 without Snakemake."""
    monkeypatch.chdir(copy.root)
    index, plan = copy.results("P1", "index.parquet"), copy.results("P1", "plan.json")
    staged = process_well(index, plan, "B03", copy.root / "staged")
    assert staged.status == "failed"
    assert staged.error["file"] == plane.relative_to(copy.root / "raw" / "Plate_1").as_posix()
    assert said in staged.error["message"]


def test_masks_instead_of_images_fail_their_wells_and_not_the_plate(project):
    (project.root / "raw").mkdir()
    image = np.random.default_rng(0).normal(300, 20, (64, 64)).astype(np.uint16)
    for well in ("A01", "A02"):
        tifffile.imwrite(project.root / "raw" / f"{well}_s1_w1.tif", image > 300, photometric="minisblack")
    project.config["steps"] = [{"name": "projected", "func": "max_projection", "materialize": ["zarr"]}]
    run = project.add("P1", "raw").run(succeeds=False)
    assert "2 of 2 wells failed" in run.text
    assert "not bool; a mask is a label" in run.text
    assert project.results("P1", "cell_counts.csv").exists()
    summary = project.results("P1", "report", "summary.html").read_text()
    assert "A01: last lines of <code>logs/materialize_well/A01.log</code>" in summary


def test_an_unreadable_plane_can_leave_out_its_field(copy):
    truncate(plane_of(copy, "*_B03_s2_w1.TIF"))
    copy.config["on_unreadable"] = "skip_field"
    copy.run()
    counts = pd.read_csv(copy.results("P1", "cell_counts.csv")).set_index(["Metadata_Well", "Metadata_Site"])
    assert counts.loc[("B03", 2), "Status"] == "field_skipped"
    assert counts.loc[("B03", 2), "Planes_Skipped"] == 1
    assert counts.loc[("B03", 1), "Status"] == "ok"


def test_a_blanked_field_is_in_no_statistic_and_no_picture(copy):
    truncate(plane_of(copy, "*_B03_s2_w1.TIF"))
    copy.config["on_unreadable"] = "blank"
    copy.run()
    counts = pd.read_csv(copy.results("P1", "cell_counts.csv")).set_index(["Metadata_Well", "Metadata_Site"])
    assert counts.loc[("B03", 2), "Status"] == "field_blanked"
    assert counts.loc[("B03", 2), "Note"] == "1 plane could not be read; taken as black"
    assert counts.loc[("B03", 1), "Status"] == "ok"
    images = {well: np.load(copy.results("P1", "report", "thumbnails", f"{well}.npy"))[0] for well in ("B02", "B03")}
    assert np.isfinite(images["B02"]).all()
    assert np.isnan(images["B03"]).mean() == 0.5
    page = copy.results("P1", "report", "summary.html").read_text()
    assert "1 of 2" in page


def refused(project, *messages):
    run = project.run(succeeds=False)
    for message in messages:
        assert message in run.text, run.text
    assert "Traceback" not in run.text
    assert not list(project.results().glob("*/wells/*.json"))
    return run


def test_a_missing_plate_folder_is_named_before_any_job(project):
    run = refused(project.add("P1", "nowhere"), "line 2 (P1): its folder nowhere does not exist")
    assert run.jobs == []


def test_an_empty_plate_folder_is_named(project):
    (project.root / "empty").mkdir()
    refused(project.add("P1", "empty"), "plate folder empty has no file")


def test_a_plate_with_metadata_but_no_image_says_what_was_promised(project, real_plates):
    folder = real_plates / "imagexpress" / "HTD_only_3x3mask"
    refused(project.add("P1", folder), "has no imagexpress image", "z steps: 26")


def test_two_files_for_one_plane_are_both_named(project):
    write_imagexpress(project.root / "raw", ImageXpressPlate(), lambda key: np.full((64, 64), 100, np.uint16))
    first = next((project.root / "raw").rglob("*_B02_s1_w1.TIF"))
    shutil.copy(first, first.with_name(first.name.replace("Plate_1_", "Other_")))
    run = refused(project.add("P1", "raw/Plate_1"), "two files are the same plane", first.name, "Other_B02_s1_w1.TIF")
    assert "\nP1: not mapped; see results/P1/logs/ingest_plate/P1.log\n" in run.text
    assert not project.results("P1", "report").exists()


def test_plate_names_with_spaces_signs_and_other_letters_work(project, small_plate):
    name = "Plättchen № 5+6 (µ) [d]"
    raw = project.root / "raw" / name
    shutil.copytree(small_plate / "Plate_1", raw)
    project.add(name, raw, wells="B02").run()
    assert project.results(name, "wells", "B02.json").exists()
    assert project.run("--dry-run").jobs == []


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"sauce": "planes"}, ["sauce: unknown key; did you mean 'source'?"]),
        ({"steps": [{"func": "max_projektion"}]}, ["no function is registered as 'max_projektion'", "max_projection"]),
        ({"steps": [{"func": "max_projection", "channels": ["Cy7"]}]}, ["the plate has no channel 'Cy7'", "1 DAPI"]),
    ],
    ids=["typo", "function", "channel"],
)
def test_a_mistake_in_the_configuration_is_explained_before_a_well_runs(project, small_plate, change, messages):
    project.config |= change
    run = refused(project.add("P1", small_plate / "Plate_1"), *messages)
    assert not {rule for rule, _ in run.jobs} & {"process_well", "materialize_well"}


def test_wells_that_the_plate_does_not_have_are_named(project, small_plate):
    refused(project.add("P1", small_plate / "Plate_1", wells="B02,H12"), "asks for wells H12", "B02, B03, C04")


def test_an_unknown_microscope_is_refused_with_those_that_are_known(project, small_plate):
    refused(project.add("P1", small_plate / "Plate_1", microscope="imagexpres"), "unknown microscope", "imagexpress")


def test_results_of_another_schema_version_are_refused(copy):
    path = copy.results("P1", "wells", "B03.json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"schema_version": 99}))
    run = copy.run("--forcerun", "results/P1/wells/B02.json", succeeds=False)
    assert "B03.json has schema version 99; this version of Wellfield reads 1" in run.text
    assert run.text.endswith("\nNothing was run.\n")


def test_an_own_file_where_a_result_goes_stops_the_job_and_loses_nothing(copy):
    mine = copy.results("P1", "images", "B02", "projected", "B02_s001_w1_max_t001.tif")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    stored = copy.results("P1", "plate.zarr", "B", "02", "zarr.json").read_bytes()
    copy.config["steps"][0]["materialize"] = ["zarr", "tiff"]
    run = copy.run(succeeds=False)
    assert "B02_s001_w1_max_t001.tif was not written by Wellfield, and a result goes there" in run.text
    assert mine.read_text() == "mine"
    assert copy.results("P1", "plate.zarr", "B", "02", "zarr.json").read_bytes() == stored
    assert (copy.results("P1", "tables", "B02")).is_dir()
    mine.unlink()
    copy.run("results/P1/wells/B02.json")
    assert json.loads(copy.results("P1", "wells", "B02.json").read_text())["status"] == "done"
    assert mine.stat().st_size > 1000


def test_results_in_the_raw_plate_are_refused_before_anything_is_written(project, small_plate):
    shutil.copytree(small_plate, project.root / "raw")
    before = sorted((project.root / "raw").rglob("*"))
    project.config["results"] = "raw/Plate_1/out"
    run = project.add("P1", "raw/Plate_1").run(succeeds=False)
    assert "lies in the raw plate raw/Plate_1, which is never written" in run.text
    assert sorted((project.root / "raw").rglob("*")) == before


def test_a_result_that_cannot_be_stored_fails_its_well_and_keeps_the_report(project, small_plate):
    (project.root / "bad.py").write_text(
        "from wellfield.materialization import CsvOptions, MaterializationSpec\n"
        "from wellfield.pipeline import special_outputs\n"
        '@special_outputs(("odd", MaterializationSpec(CsvOptions())))\n'
        "def odd(image):\n"
        '    return image, {"a": [1, 2], "b": [1, 2, 3]}\n'
    )
    project.config["steps"].append({"name": "odd", "func": "bad:odd", "input": "projected", "channels": [1]})
    run = project.add("P1", small_plate / "Plate_1", wells="B02").run(succeeds=False)
    assert "columns do not make a table" in run.text
    assert json.loads(project.results("P1", "wells", "B02.json").read_text())["status"] == "failed"
    summary = project.results("P1", "report", "summary.html").read_text()
    assert re.search(r"<code>logs/process_well/B02.log</code></summary><pre>[^<]*columns do not make a table", summary)


@contextmanager
def small_disk(folder, size):
    """A file system of that size in *folder* while the block runs."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("root: needs the right to mount a small tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_no_half_written_file(project, small_plate):
    small = project.root / "results"
    with small_disk(small, "400k"):  # room for what a well takes at least
        run = project.add("P1", small_plate / "Plate_1", wells="B02").run(succeeds=False)
        assert "no space left" in run.text.lower()
        assert not list(small.rglob("*.part"))
        assert not (small / "P1" / "wells" / "B02.json").exists()
        assert "\nP1: 0 of 1 well done, 0 failed, 1 died (B02 " in run.text


def test_too_little_space_for_any_well_is_an_error_before_one_runs(project, small_plate):
    project.config["vfs"]["materialization_backend"] = "disk"
    project.add("P1", small_plate / "Plate_1")
    with small_disk(project.results(), "400k"):  # a well takes 197 kB as TIFF, and 263 kB between its two jobs
        run = refused(project, "P1: the smallest of 3 wells to do takes at least 460 kB in results", "free some space")
        assert "\nSee why compile_plan stopped: results/P1/logs/compile_plan/P1.log\n" in run.text
        assert "Too little memory" not in run.text
        assert not {rule for rule, _ in run.jobs} & {"process_well", "materialize_well"}


def test_too_little_space_for_all_wells_of_a_plate_is_a_warning(project, small_plate):
    project.config["vfs"]["materialization_backend"] = "disk"
    project.add("P1", small_plate / "Plate_1")
    with small_disk(project.results(), "850k"):
        run = project.run("results/P1/plan.json")
        assert "P1: 3 wells to do; results take 590" in run.text
        assert "warning: that is too little for all of them" in run.text


def test_a_run_that_goes_on_without_the_space_that_it_needs_stops_before_its_first_job(copy):
    results, kept = copy.results(), copy.root / "kept"
    results.rename(kept)
    with small_disk(results, "64m"):
        shutil.copytree(kept, results, dirs_exist_ok=True)
        (results / "ballast").write_bytes(bytes(shutil.disk_usage(results).free - 200_000))
        run = copy.run("--forcerun", "results/P1/wells/B03.json", succeeds=False)
        assert "P1: 1 well to do take at least 263 kB in results" in run.text
        assert "Traceback" not in run.text
        assert run.jobs == []
