"""`wellfield validate` finds whatever was damaged, names the file, and never ends in a traceback."""

import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from wellfield.pipeline.plan_file import PLAN_SCHEMA_VERSION
from wellfield.workflow.validate import check_results, compare_results

pytestmark = pytest.mark.workflow


@pytest.fixture
def results(copy):
    """The results of a finished plate, which the test may damage."""
    return copy.results("P1")


def emptied(*names):
    def damage(results):
        for name in names:
            (results / name).write_bytes(b"")

    return damage


def deleted(*names):
    def damage(results):
        for name in names:
            (results / name).unlink()

    return damage


def written(name, text):
    return lambda results: (results / name).write_text(text)


def cut(name):
    return lambda results: (results / name).write_bytes((results / name).read_bytes()[:100])


def count_edited(results):
    path = results / "cell_counts.csv"
    path.write_text(path.read_text().replace(",Nuclei,", ",Nuclei,9", 1))


def value_changed(results):
    table = pd.read_parquet(results / "objects.parquet")
    table.iloc[0, -1] = 999
    table.to_parquet(results / "objects.parquet", index=False)


def taken_out_of_the_listing(results):
    path = results / "plate.zarr" / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["ome"]["plate"]["wells"].pop()
    path.write_text(json.dumps(content))


def failed(results):
    for path in (results / "wells").glob("*.json"):
        path.write_text(path.read_text().replace('"status": "done"', '"status": "failed"'))


def linked(results):
    target = results.parent / "elsewhere.parquet"
    (results / "tables" / "B02" / "objects.parquet").rename(target)
    (results / "tables" / "B02" / "objects.parquet").symlink_to(target)


def escaping(results):
    path = results / "wells" / "B02.json"
    path.write_text(path.read_text().replace("tables/B02/objects.parquet", "../../etc/passwd"))


def escaping_record(results):
    path = results / "records" / "wells" / "B02.json"
    path.write_text(path.read_text().replace("tables/B02/objects.parquet", "/etc/passwd"))


def other_plan(results):
    path = results / "plan.json"
    path.write_text(path.read_text().replace('"sigma": 2.0', '"sigma": 2.5'))


DAMAGES = {
    "count edited": (count_edited, "cell_counts.csv"),
    "counts emptied": (emptied("cell_counts.csv"), "cell_counts.csv"),
    "counts cut": (cut("cell_counts.parquet"), "cell_counts.parquet"),
    "value changed": (value_changed, "objects.parquet"),
    "objects emptied": (emptied("objects.parquet"), "objects.parquet"),
    "plan emptied": (emptied("plan.json"), "plan.json"),
    "plan of another shape": (
        written("plan.json", f'{{"schema_version": {PLAN_SCHEMA_VERSION}}}'),
        "plan.json is not a valid plan",
    ),
    "plan changed": (other_plan, "wells/B02.json is of another plan than plan.json"),
    "index emptied": (emptied("index.parquet"), "index.parquet is not a plate index"),
    "report a list": (written("ingest_report.json", "[]"), "ingest_report.json is not a valid ingest report"),
    "metadata emptied": (emptied("openhcs_metadata.json"), "openhcs_metadata.json is not valid JSON"),
    "check a list": (written("check_plate.json", "[]"), "check_plate.json is not a valid result of the check"),
    "listing": (taken_out_of_the_listing, "plate.zarr/C/04: not in the listing of plate.zarr"),
    "row": (deleted("plate.zarr/B/zarr.json"), "plate.zarr/B/zarr.json is missing"),
    "store a list": (written("plate.zarr/zarr.json", "[]"), "plate.zarr: cannot be opened"),
    "level": (deleted("plate.zarr/B/02/1/0/zarr.json"), "plate.zarr/B/02: cannot be opened as a well"),
    "wells failed": (failed, "3 of 3 wells failed:"),
    "report deleted": (deleted("report/heatmap.png", "report/summary.html"), "report/summary.html is missing"),
    "manifest of another shape": (
        written("wells/B02.json", '{"schema_version": 1}'),
        "wells/B02.json is not a valid manifest",
    ),
    "manifest of a newer version": (written("wells/B02.json", '{"schema_version": 9}'), "schema version 9"),
    "record cut": (cut("records/wells/B02.json"), "records/wells/B02.json is not a valid record"),
    "record deleted": (deleted("records/compile_plan.json"), "records/compile_plan.json is missing"),
    "link": (linked, "tables/B02/objects.parquet is a link"),
    "path outside": (escaping, '"../../etc/passwd"; expected a path that stays'),
    "path outside in a record": (escaping_record, '"/etc/passwd"; expected a path that stays'),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_each_damage_is_a_problem_that_names_the_file(results, damage, said):
    damage(results)
    found = check_results(results)
    assert any(said in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


def test_results_that_nobody_touched_are_good_and_a_users_own_files_do_not_count(results):
    assert check_results(results) == []
    (results / "plate.zarr" / "B" / "02" / "my notes.txt").write_text("mine")
    (results / "mine").mkdir()
    assert check_results(results) == []


def test_results_of_a_version_without_records_are_checked_by_their_manifests(results):
    shutil.rmtree(results / "records")
    assert check_results(results) == []
    count_edited(results)
    deleted("tables/B02/objects.parquet", "plate.zarr/B/zarr.json")(results)
    text = "\n".join(check_results(results))
    assert "cell_counts.csv has other content than cell_counts.parquet" in text
    assert "tables/B02/objects.parquet is missing" in text
    assert "plate.zarr/B: cannot be opened as a row" in text


def shard(results):
    found = sorted((results / "plate.zarr" / "B" / "02").rglob("*"))
    path = next(path for path in found if "/c/" in path.as_posix() and path.is_file())
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def regions(results):
    path = next((results / "rois").rglob("*.roi.zip"))
    path.write_bytes(path.read_bytes()[:60])


AGAINST = {
    "a shard": (shard, "plate.zarr/B/02/"),
    "a count": (count_edited, "cell_counts.csv: the files differ"),
    "statistics": (written("report/plate_statistics.csv", "x\n"), "report/plate_statistics.csv: the files differ"),
    "objects": (cut("objects.parquet"), "objects.parquet: cannot be compared"),
    "a table of a well": (written("tables/B02/objects.parquet", "x"), "tables/B02/objects.parquet: cannot be compared"),
    "a manifest": (written("wells/B02.json", "[]"), "wells/B02.json is not a valid manifest"),
}


@pytest.mark.parametrize(("damage", "said"), AGAINST.values(), ids=AGAINST)
def test_what_differs_from_other_results_is_named(results, finished, damage, said):
    original = finished[0].results("P1")
    assert compare_results(results, original) == []
    damage(results)
    found = compare_results(results, original)
    assert any(said in problem for problem in found), found


def test_the_command_says_it_in_lines_and_by_its_exit_code(results):
    def validate(*options, **streams):
        command = [sys.executable, "-m", "wellfield.cli", "validate", str(results), *options]
        return subprocess.run(command, text=True, check=False, stderr=subprocess.PIPE, **streams)

    assert validate(stdout=subprocess.PIPE).returncode == 0
    emptied("plan.json")(results)
    done = validate(stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == f"{results}: files, checksums and OME-Zarr: 2 problems"
    with open("/dev/full", "w") as full:
        done = validate(stdout=full)
    assert (done.returncode, done.stderr) == (1, f"error: the output: {os.strerror(28)}\n")
