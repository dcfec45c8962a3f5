"""Raw files that go, as archived ones do: results stay, the run says so, and only a person takes a well out."""

import json
import shutil

import pandas as pd
import pytest

from tests.workflow.project import PLATE_JOBS

pytestmark = pytest.mark.workflow


def counted_wells(project):
    return list(dict.fromkeys(pd.read_csv(project.results("P1", "cell_counts.csv"))["Metadata_Well"]))


def stored_wells(project):
    plate = json.loads(project.results("P1", "plate.zarr", "zarr.json").read_text())
    return [well["path"] for well in plate["attributes"]["ome"]["plate"]["wells"]]


def files_of(project, well):
    """The files of a well below the results, without the records."""
    store = project.results("P1", "plate.zarr", well[0], well[1:])
    paths = [
        project.results("P1", "wells", f"{well}.json"),
        project.results("P1", "report", "thumbnails", f"{well}.npy"),
    ]
    paths += [path for folder in (store, project.results("P1", "tables", well)) for path in folder.rglob("*")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


def test_results_of_a_well_whose_raw_files_are_gone_stay_until_a_person_takes_it_out(copy):
    counts = pd.read_csv(copy.results("P1", "cell_counts.csv"))
    before = files_of(copy, "B03")
    assert len(before) > 5
    for path in copy.root.joinpath("raw").rglob("*_B03_*"):
        path.unlink()
    run = copy.run(succeeds=False)
    assert files_of(copy, "B03") == before
    pd.testing.assert_frame_equal(pd.read_csv(copy.results("P1", "cell_counts.csv")), counts)
    assert stored_wells(copy) == ["B/02", "B/03", "C/04"]
    assert run.jobs == sorted([*PLATE_JOBS, ("ingest_plate", "")])
    assert (
        "raw files gone; results of B03 stay as they were. Bring the raw files back. Or name only the other wells"
        in run.text
    )
    assert "P1: 3 of 3 wells done, 0 failed, raw files of 1 gone (B03)" in run.text
    assert "raw files gone; results of B03" in copy.results("P1", "ingest_report.json").read_text()
    assert "Raw files of 1 well gone" in copy.results("P1", "report", "summary.html").read_text()
    assert not copy.results("P1", "check_plate.json").exists()

    # Without its manifest, the well is named before any job.
    manifest = copy.results("P1", "wells", "B03.json")
    content = manifest.read_bytes()
    manifest.unlink()
    run = copy.run(succeeds=False)
    assert "raw files of B03 are gone, and so is results/P1/wells/B03.json" in run.text
    assert run.jobs == []
    manifest.write_bytes(content)

    copy.plates[0][4] = "B02,C04"
    copy.run()
    assert not [path for path in files_of(copy, "B03") if path.exists()]
    assert counted_wells(copy) == ["B02", "C04"]
    assert stored_wells(copy) == ["B/02", "C/04"]


def test_results_of_a_gone_well_by_another_pipeline_are_marked_and_counted_in_no_statistic(copy):
    for path in copy.root.joinpath("raw").rglob("*_B03_*"):
        path.unlink()
    copy.config["steps"][1]["params"]["sigma"] = 1.0
    run = copy.run(succeeds=False)
    assert "raw files gone; results of B03 stay as they were; another pipeline made the results of B03" in run.text
    counts = pd.read_csv(copy.results("P1", "cell_counts.csv"))
    statuses = counts.groupby("Metadata_Well")["Status"].unique()
    assert [list(statuses[well]) for well in ("B02", "B03", "C04")] == [["ok"], ["other_pipeline"], ["ok"]]
    assert counts[counts["Metadata_Well"] == "B03"]["Count"].notna().all()


def test_a_well_that_the_sheet_asks_for_may_be_gone_and_comes_back(copy, tmp_path):
    copy.plates[0][4] = "B02,B03"
    raw, away = copy.root / "raw" / "Plate_1", tmp_path / "away"
    shutil.copytree(raw, away)
    for path in raw.rglob("*_B03_*"):
        path.unlink()
    before = files_of(copy, "B03")
    assert "raw files of 1 gone (B03)" in copy.run(succeeds=False).text
    assert files_of(copy, "B03") == before
    shutil.rmtree(raw)
    shutil.copytree(away, raw)
    run = copy.run()
    assert "gone" not in run.text
    assert counted_wells(copy) == ["B02", "B03"]


def nothing(raw):
    shutil.rmtree(raw)
    raw.mkdir()


def metadata_alone(raw):
    for path in raw.rglob("*.TIF"):
        path.unlink()


@pytest.mark.parametrize("lose", [nothing, metadata_alone])
def test_a_plate_of_which_nothing_is_left_stops_the_run_before_any_job(copy, lose):
    before = {path: path.read_bytes() for path in copy.results("P1").rglob("*") if path.is_file()}
    lose(copy.root / "raw" / "Plate_1")
    for arguments in (("--dry-run",), ()):
        run = copy.run(*arguments, succeeds=False)
        assert not run.jobs
        assert "plate P1: nothing is left in raw/Plate_1 of the 3 wells that results/P1 has results of" in run.text
    assert {path: path.read_bytes() for path in copy.results("P1").rglob("*") if path.is_file()} == before


def test_a_raw_plate_that_was_sorted_into_other_folders_is_mapped_again(copy):
    raw = copy.root / "raw" / "Plate_1"
    (raw / "TimePoint_1").rename(raw / "sorted")
    run = copy.run()
    assert ("ingest_plate", "") in run.jobs
    assert counted_wells(copy) == ["B02", "B03", "C04"]
