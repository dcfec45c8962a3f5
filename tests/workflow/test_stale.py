"""Results that are not of what is asked for: redone or refused, whether or not Snakemake has its own records."""

import os
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from tests.workflow.project import PLATE_JOBS, SMALL, Project, well_jobs
from wellfield.workflow.validate import check_results

pytestmark = pytest.mark.workflow

ALL_WELLS = well_jobs(*SMALL.wells)


def forget(project):
    """What docs/howto/scaling.md once advised: Snakemake's records are removed, the results stay."""
    shutil.rmtree(project.root / ".snakemake")


def jobs(project, *arguments):
    return project.run("--dry-run", *arguments).jobs


def sigma(project, value=1.5):
    project.config["steps"][1]["params"]["sigma"] = value


def test_without_snakemakes_records_nothing_is_to_be_done_if_nothing_changed(copy):
    forget(copy)
    assert jobs(copy) == []


def test_without_snakemakes_records_another_pipeline_is_run(copy):
    forget(copy)
    sigma(copy)
    run = copy.run("--dry-run")
    assert run.jobs == sorted([("compile_plan", ""), *ALL_WELLS, *PLATE_JOBS])
    assert "P1: plan.json is to be made again: it is of another pipeline" in run.text


def layout(project):
    project.plates[0][2] = "imagexpress"


def other_wells(project):
    project.plates[0][-1] = "B02,C04"


def other_map(project):
    path = project.root / "raw" / "other_map.csv"
    shutil.copy2(project.root / "raw" / "plate_map.csv", path)
    path.write_text(path.read_text().replace("compound A", "compound B"))
    project.plates[0][3] = "raw/other_map.csv"
    os.utime(path, (0, 0))


@pytest.mark.parametrize(
    ("edit", "rule"), [(layout, "ingest_plate"), (other_wells, "aggregate_plate"), (other_map, "aggregate_plate")]
)
def test_without_snakemakes_records_another_sheet_is_noticed(copy, edit, rule):
    forget(copy)
    edit(copy)
    found = jobs(copy)
    assert (rule, "") in found
    assert not {name for name, _ in found} & {"process_well", "materialize_well"}


@pytest.fixture(scope="module")
def other_plate(tmp_path_factory):
    """Another raw plate with the same wells and other images, in a folder of the same name."""
    folder = tmp_path_factory.mktemp("other")
    replace(SMALL, size=96).write(folder)
    return folder / "Plate_1"


def test_results_of_another_plate_are_refused_before_any_job(copy, other_plate, tmp_path):
    before = sorted(copy.results("P1").rglob("*"))
    other = Project(tmp_path / "second").add("P1", other_plate)
    other.config["results"] = str(copy.root / "results")
    for arguments in ([], ["--dry-run"]):
        run = other.run(*arguments, succeeds=False)
        assert f"the plate sheet says {other_plate} for plate P1" in run.text
        assert "It is another plate, or a copy that lost the times of its files" in run.text
        assert run.jobs == []
    assert sorted(copy.results("P1").rglob("*")) == before


def test_a_plate_with_the_same_names_and_sizes_and_other_times_is_another_one(copy):
    shutil.copytree(copy.root / "raw" / "Plate_1", copy.root / "raw" / "Other")
    for path in (copy.root / "raw" / "Other").rglob("*.TIF"):
        os.utime(path, (1.6e9, 1.6e9))
    copy.plates[0][1] = "raw/Other"
    run = copy.run(succeeds=False)
    assert (
        "none of 3 finished wells, such as B02, are all planes there with the same name, size and time. It is"
        in run.text
    )
    assert run.jobs == []


def test_results_that_were_renamed_to_another_plate_are_refused(copy):
    copy.results("P1").rename(copy.results("R"))
    copy.plates[0][0] = "R"
    run = copy.run(succeeds=False)
    assert "results/R holds results of plate P1, and all its tables say so" in run.text
    assert run.jobs == []


def test_a_plate_that_was_moved_is_mapped_again_and_no_well_is_redone_without_records_either(copy):
    forget(copy)
    (copy.root / "raw" / "Plate_1").rename(copy.root / "raw" / "Plate_2")
    copy.plates[0][1] = "raw/Plate_2"
    # Its report has a new time, and nothing says that it is the same.
    assert copy.run().jobs == [("check_plate", ""), ("ingest_plate", ""), ("report_plate", "")]
    assert jobs(copy) == []


def test_a_project_moved_with_its_plate_and_its_results_has_nothing_to_do(copy, tmp_path):
    moved = Project(tmp_path / "moved")
    shutil.rmtree(moved.root)
    copy.write()
    shutil.move(copy.root, moved.root)
    moved.plates = copy.plates
    assert jobs(moved) == []
    forget(moved)
    assert jobs(moved) == []


def test_two_projects_that_share_results_never_take_those_of_the_other_for_their_own(copy, tmp_path):
    shared = str(copy.root / "results")
    plate, plate_map = copy.root / "raw" / "Plate_1", copy.root / "raw" / "plate_map.csv"
    other = Project(tmp_path / "other").add("P1", plate, plate_map=plate_map)
    other.config["results"] = shared
    sigma(other)
    other.run()
    # Its plan comes out as Snakemake knows it: that the wells are of another one is said, and the next run does them.
    again = copy.run(succeeds=False)
    assert "are of another pipeline than" in again.text
    copy.run()
    assert '"sigma": 2.0' in copy.results("P1", "plan.json").read_text()
    assert check_results(shared + "/P1") == []
    assert jobs(copy) == []


def of_well(*names):
    def damage(project):
        for name in names:
            project.results("P1", name).unlink()

    return damage


def shorter(name):
    def damage(project):
        path = project.results("P1", name)
        path.write_bytes(path.read_bytes()[:-1])

    return damage


# Each case damages one well in one way and another in another way.
DAMAGES = {
    "a file": (
        of_well("tables/B03/objects.parquet", "tables/B03/cell_counts.parquet"),
        of_well("report/thumbnails/C04.npy"),
    ),
    "a manifest": (of_well("wells/B03.json"), shorter("wells/C04.json")),
    "a folder": (
        lambda project: shutil.rmtree(project.results("P1", "plate.zarr", "B", "03")),
        shorter("tables/C04/cell_counts.csv"),
    ),
}


@pytest.mark.parametrize("damages", DAMAGES.values(), ids=DAMAGES)
def test_a_finished_well_that_lacks_files_is_redone(copy, damages):
    for damage in damages:
        damage(copy)
    run = copy.run("--dry-run")
    assert run.jobs == sorted([*well_jobs("B03", "C04"), *PLATE_JOBS])
    assert "P1: 2 wells to be done again (B03, C04): " in run.text


def test_a_well_that_lacks_files_is_redone_where_it_is_asked_for(copy):
    of_well("wells/B03.json")(copy)
    assert jobs(copy, "results/P1/wells/B02.json") == []
    assert jobs(copy, "results/P1/wells/B03.json") == sorted(well_jobs("B03"))


def test_lost_tables_of_a_well_are_made_again_in_the_plates_tables(copy):
    before = pd.read_parquet(copy.results("P1", "objects.parquet"))
    of_well("tables/B02/objects.parquet", "tables/B02/cell_counts.parquet")(copy)
    copy.run()
    pd.testing.assert_frame_equal(pd.read_parquet(copy.results("P1", "objects.parquet")), before)
    assert check_results(copy.results("P1")) == []


def test_a_table_that_was_altered_to_the_same_size_is_not_joined(copy):
    path = copy.results("P1", "tables", "B02", "objects.parquet")
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    run = copy.run("--forcerun", "results/P1/cell_counts.csv", succeeds=False)
    assert (
        "tables/B02/objects.parquet was altered after it was written, so its well must be done again: delete"
        in run.text
    )
    copy.results("P1", "wells", "B02.json").unlink()
    assert jobs(copy) == sorted([*well_jobs("B02"), *PLATE_JOBS])


@pytest.mark.parametrize(
    ("name", "rule"), [("cell_counts.csv", "aggregate_plate"), ("report/summary.html", "report_plate")]
)
def test_an_output_of_the_plate_of_another_size_is_made_again(copy, name, rule):
    shorter(name)(copy)
    found = {name for name, _ in jobs(copy)}
    assert rule in found
    assert not found & {"process_well", "materialize_well"}


def test_damaged_files_of_the_plate_are_named_with_what_to_do(copy):
    for name, text in (("index.parquet", "x"), ("ingest_report.json", "[]"), ("records/compile_plan.json", "[]")):
        path = copy.results("P1", name)
        content = path.read_bytes()
        path.write_text(text)
        run = copy.run("--dry-run", succeeds=False)
        assert re.search(rf"P1/{re.escape(name)} is not? .*\. (Delete|Restore) it", run.text), run.text
        assert "Traceback" not in run.text
        path.write_bytes(content)
