"""A whole run and its results. What runs again after it is in test_triggers.py."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import tifffile
import zarr

from tests.workflow.project import WELLS
from wellfield.cli import main
from wellfield.plate.index import read_index

pytestmark = pytest.mark.workflow


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
    assert "tables/B02/objects.csv was altered after it was written" in text


def test_validate_finds_pixels_that_differ(copy, finished, capsys):
    other, _ = finished
    array = zarr.open_array(copy.results("P1", "plate.zarr", "B", "03", "1", "0"), mode="r+")
    array[0, 0, 0, 5, 5] += 1
    assert main(["validate", str(copy.results("P1")), "--against", str(other.results("P1"))]) == 1
    assert "1/0: pixels differ" in capsys.readouterr().out


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
        "import sys; from wellfield.workflow.process_well import process_well\n"
        "index, plan, staging = sys.argv[1:]\n"
        "assert process_well(index, plan, 'B02', staging).status == 'done'",
        *(index, plan, staging),
    )
    assert {"numpy", "scipy", "skimage", "tifffile"} <= imported
    assert not imported & {*NEVER, "zarr", "tensorstore"}
    imported = imports_of(
        project,
        "import sys; from wellfield.workflow.materialize_well import materialize_well\n"
        "staging, plan, index, results = sys.argv[1:]\n"
        "assert materialize_well(staging, plan, index, results, well='B02').status == 'done'",
        *(staging, plan, index, results),
    )
    assert {"numpy", "tensorstore", "pyarrow"} <= imported
    assert not imported & {*NEVER, "scipy", "skimage", "tifffile", "zarr", "numcodecs"}
