"""A whole run, and what runs again after it."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import tifffile
import zarr

from wellfield.cli import main
from wellfield.plate.index import read_index
from wellfield.workflow.validate import compare_results

pytestmark = pytest.mark.workflow

PLATE_JOBS = [("aggregate_plate", ""), ("check_plate", ""), ("report_plate", "")]
WELLS = ("B02", "B03", "C04")


def well_jobs(*wells):
    return [(rule, well) for rule in ("materialize_well", "process_well") for well in wells]


def listing(folder):
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in Path(folder).rglob("*")}


def test_a_run_makes_every_result_that_it_promises(finished):
    project, run = finished
    assert Counter(rule for rule, _ in run.jobs) == {
        "ingest_plate": 1,
        "compile_plan": 1,
        "process_well": 3,
        "materialize_well": 3,
        "aggregate_plate": 1,
        "report_plate": 1,
        "check_plate": 1,
    }
    for name in ("openhcs_metadata.json", "index.parquet", "ingest_report.json", "plan.json", "cell_counts.csv"):
        assert project.results("P1", name).stat().st_size > 0
    for name in ("objects.parquet", "report/heatmap.png", "report/montage.png", "report/summary.html"):
        assert project.results("P1", name).stat().st_size > 0
    assert sorted(path.stem for path in project.results("P1", "wells").iterdir()) == list(WELLS)
    assert not project.results("P1", ".staging").exists() or not any(project.results("P1", ".staging").iterdir())
    assert main(["validate", str(project.results("P1"))]) == 0


def test_tables_hold_the_keys_the_treatment_and_the_counts_of_every_field(finished, small_plate):
    project, _ = finished
    counts = pd.read_csv(project.results("P1", "cell_counts.csv"))
    assert list(counts.columns[:4]) == ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint"]
    assert len(counts) == 6
    assert set(counts["Metadata_Control"].dropna()) == {"negative"}
    objects = pd.read_parquet(project.results("P1", "objects.parquet"))
    assert objects.groupby(["Metadata_Well", "Metadata_Site"]).size().to_dict() == {
        (row.Metadata_Well, row.Metadata_Site): row.Count for row in counts.itertuples()
    }
    for channel in ("DAPI", "FITC"):
        mean = objects[f"Nuclei_Intensity_MeanIntensity_{channel}"]
        total = objects[f"Nuclei_Intensity_IntegratedIntensity_{channel}"]
        assert (mean * objects["Nuclei_AreaShape_Area"] - total).abs().max() < 1e-6 * total.max()


def test_the_stored_image_is_the_projection_of_the_raw_planes(finished):
    project, _ = finished
    _, planes = read_index(project.results("P1", "index.parquet"), ["B03"])
    wanted = [plane for plane in planes if (plane.key.field, plane.key.channel) == (2, 2)]
    raw = [tifffile.imread(project.root / "raw" / "Plate_1" / plane.path) for plane in wanted]
    stored = zarr.open_array(project.results("P1", "plate.zarr", "B", "03", "2", "0"), mode="r")
    assert (stored[0, 1, 0] == raw[0].clip(raw[1])).all()


def test_the_raw_folder_is_never_written(small_plate, project):
    before = listing(small_plate)
    project.add("P1", small_plate / "Plate_1", wells="B02").run()
    assert listing(small_plate) == before


def test_a_second_run_has_nothing_to_do(copy):
    assert copy.run().jobs == []


def test_forcing_a_well_redoes_it_and_the_aggregates_and_nothing_else(copy):
    run = copy.run("--forcerun", "results/P1/wells/B03.json")
    assert run.jobs == sorted([*well_jobs("B03"), *PLATE_JOBS])


def test_with_the_well_as_target_only_the_well_is_redone_and_nothing_is_left_to_do(copy):
    target = "results/P1/wells/B03.json"
    assert copy.run(target, "--forcerun", target).jobs == well_jobs("B03")
    assert copy.run().jobs == []


def test_editing_a_step_redoes_every_well(copy):
    copy.config["steps"][1]["params"]["sigma"] = 1.5
    run = copy.run()
    assert run.jobs == sorted([("compile_plan", ""), *well_jobs(*WELLS), *PLATE_JOBS])


def test_editing_memory_redoes_nothing(copy):
    copy.config["memory_margin_mb"] = 700
    assert copy.run().jobs == []


def test_a_changed_plane_redoes_its_well_and_the_aggregates(copy):
    plane = next((copy.root / "raw").rglob("*_C04_s1_w1.TIF"))
    later = plane.stat().st_mtime_ns + 1_000_000_000
    os.utime(plane, ns=(later, later))
    assert copy.run().jobs == sorted([*well_jobs("C04"), *PLATE_JOBS])


def test_a_plate_exported_anew_in_its_place_is_mapped_again(copy):
    for plane in (copy.root / "raw").rglob("*.TIF"):
        plane.write_bytes(plane.read_bytes().replace(b'value="0.65"', b'value="0.32"'))
    run = copy.run()
    assert ("ingest_plate", "") in run.jobs
    assert read_index(copy.results("P1", "index.parquet"))[0].pixel_size_um == 0.32
    assert json.loads(copy.results("P1", "plan.json").read_text())["pixel_size_um"] == 0.32


def test_a_new_file_that_is_ignored_gets_into_the_report_and_redoes_no_well(copy):
    (copy.root / "raw" / "Plate_1" / "strange file.tif").write_bytes(b"?")
    run = copy.run()
    assert run.jobs == [("check_plate", ""), ("ingest_plate", ""), ("report_plate", "")]
    assert "name is not of the vendor" in copy.results("P1", "report", "summary.html").read_text()


def test_a_function_in_a_file_of_the_users_own_works_with_the_command_as_documented(project, small_plate):
    (project.root / "mine.py").write_text("def double(image):\n    return image * 2\n")
    project.config["steps"].insert(1, {"name": "doubled", "func": "mine:double", "input": "start", "channels": [1]})
    project.config["steps"][2]["input"] = "projected"
    project.add("P1", small_plate / "Plate_1", wells="B02").write()
    command = [Path(sys.executable).with_name("snakemake"), *project.command()[3:]]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert project.results("P1", "wells", "B02.json").exists()


def test_validate_finds_what_was_taken_away_or_altered(copy, capsys):
    results = copy.results("P1")
    results.joinpath("wells", "B03.json").unlink()
    results.joinpath("plan.json").unlink()
    table = results / "tables" / "B02" / "objects.csv"
    table.write_text(table.read_text() + "x")
    assert main(["validate", str(results)]) == 1
    text = capsys.readouterr().out
    assert "plan.json is missing" in text
    assert "well B03: in cell_counts.parquet, but without a manifest" in text
    assert "tables/B02/objects.csv is not what was written" in text


def test_validate_finds_pixels_that_differ(copy, finished, capsys):
    other, _ = finished
    array = zarr.open_array(copy.results("P1", "plate.zarr", "B", "03", "1", "0"), mode="r+")
    array[0, 0, 0, 5, 5] += 1
    assert main(["validate", str(copy.results("P1")), "--against", str(other.results("P1"))]) == 1
    assert "1/0: pixels differ" in capsys.readouterr().out


def test_a_new_plane_has_the_plate_mapped_again_and_its_well_redone(copy):
    gone = next((copy.root / "raw").rglob("*_C04_s1_w1.TIF"))
    gone.rename(copy.root / "elsewhere.tif")
    run = copy.run()
    assert run.jobs == sorted([("ingest_plate", ""), *well_jobs("C04"), *PLATE_JOBS])
    manifest = json.loads(copy.results("P1", "wells", "C04.json").read_text())
    assert len(manifest["planes"]["missing"]) == 1


def test_a_well_taken_out_of_the_sheet_leaves_nothing_behind(copy):
    copy.plates[0][-1] = "B02,C04"
    run = copy.run()
    assert run.jobs == PLATE_JOBS
    left = [path for path in copy.results("P1").rglob("*") if re.search(r"B03|B/03", str(path))]
    assert left == []
    assert set(pd.read_csv(copy.results("P1", "cell_counts.csv"))["Metadata_Well"]) == {"B02", "C04"}


# Lines of Snakemake's output after which it is killed: in ingest, between wells, while the tables are made.
MOMENTS = random.Random(7).sample(range(40, 125), 30) if os.environ.get("WELLFIELD_STRESS") else [85]


@pytest.mark.stress
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_is_finished_by_the_same_command_with_equal_results(finished, tmp_path, small_plate, moment):
    undisturbed, _ = finished
    project = type(undisturbed)(tmp_path / "killed")
    shutil.copytree(small_plate, project.root / "raw")
    project.add("P1", "raw/Plate_1", plate_map="raw/plate_map.csv")
    process = subprocess.Popen(
        project.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    with process, process.stdout:
        for _ in zip(range(moment), process.stdout, strict=False):
            pass
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not project.results("P1", "check_plate.json").exists()
    project.run("--unlock")
    project.run()
    assert compare_results(project.results("P1"), undisturbed.results("P1")) == []
    assert not list(project.results().rglob("*.part"))


@pytest.mark.parametrize("lost", ["images/projected/s001_t001_w1.npy", "staged.json"])
def test_a_staged_well_that_a_killed_run_had_half_removed_is_staged_again(copy, lost):
    copy.run("--forceall", "--notemp")
    (copy.results("P1", ".staging", "B03") / lost).unlink()
    copy.results("P1", "wells", "B03.json").unlink()
    assert copy.run("results/P1/wells/B03.json").jobs == well_jobs("B03")


def test_a_report_can_be_made_from_the_results(copy):
    copy.run("--report", "report.html")
    text = (copy.root / "report.html").read_text()
    for name in ("heatmap.png", "montage.png", "cell_counts.csv", "summary.html"):
        assert name in text


def test_a_dry_run_of_a_fresh_plate_shows_ingest(small_plate, project):
    project.add("P1", small_plate / "Plate_1")
    run = project.run("--dry-run")
    assert "ingest_plate" in run.text
    assert not project.results("P1").exists()


def test_the_snakemake_inside_a_cluster_job_does_not_look_at_the_raw_plate(copy):
    (copy.root / "raw").rename(copy.root / "elsewhere")
    job = ["--target-jobs", "process_well:plate=P1,well=B03", "--allowed-rules", "process_well", "--mode", "remote"]
    run = copy.run(*job, "--force", "--nolock", "--ignore-incomplete", "--dry-run")
    assert run.jobs == [("process_well", "B03")]
    assert "does not exist" in copy.run("--dry-run", succeeds=False).text


def imports_of(project, code, *arguments):
    """The packages that a process has imported at the end of *code*."""
    code += "\nimport sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True)
    return set(re.findall(r"'([^']+)'", done.stdout))


NEVER = {"pandas", "ome_zarr", "matplotlib", "pydantic", "snakemake", "dask", "torch", "jax"}


def test_a_well_job_imports_only_what_its_pipeline_uses(finished, tmp_path):
    project, _ = finished
    index, plan = project.results("P1", "index.parquet"), project.results("P1", "plan.json")
    staging, results = tmp_path / "staging", tmp_path / "results"
    imported = imports_of(
        project,
        "import sys; from wellfield.workflow.process import process_well\n"
        "index, plan, staging = sys.argv[1:]\n"
        "assert process_well(index, plan, 'B02', staging).status == 'done'",
        *(index, plan, staging),
    )
    assert {"numpy", "scipy", "skimage", "tifffile"} <= imported
    assert not imported & {*NEVER, "zarr", "tensorstore"}
    imported = imports_of(
        project,
        "import sys; from wellfield.workflow.materialize import materialize_well\n"
        "staging, plan, index, results = sys.argv[1:]\n"
        "out = {'manifest': results + '/B02.json', 'thumbnail': results + '/B02.npy'}\n"
        "assert materialize_well(staging, plan, index, results, **out).status == 'done'",
        *(staging, plan, index, results),
    )
    assert {"numpy", "zarr", "tensorstore", "pyarrow"} <= imported
    assert not imported & {*NEVER, "scipy", "skimage", "tifffile"}
