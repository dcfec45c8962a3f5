"""Records: every file of a plate's results is listed before it is there, and what is not listed is the user's."""

import json

import pytest

from tests.unit.results.owned import owned_paths
from wellfield.errors import WellfieldError
from wellfield.results import records
from wellfield.results.manifest import file_entry, folder_entry, folder_names
from wellfield.results.records import (
    EARLIER,
    announce,
    has_records,
    is_results,
    plate_records,
    read_record,
    record_path,
    recorded_wells,
    write_plate_record,
    write_record,
)
from wellfield.workflow.jobs import job


def file(path, text="content"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_record_says_what_was_written_and_of_what(tmp_path):
    plan = file(tmp_path / "plan.json")
    write_plate_record(tmp_path, "compile_plan", [plan], of={"pipeline": "abc"})
    record = read_record(tmp_path, "compile_plan")
    assert record.of == {"pipeline": "abc"}
    assert record.files == (file_entry(tmp_path, plan),)
    assert plate_records(tmp_path) == {"compile_plan": record}
    assert read_record(tmp_path, "check_plate") is None


def test_a_file_is_listed_before_it_is_there_beside_those_of_the_last_run(tmp_path):
    old = file(tmp_path / "tables" / "B02" / "old.csv")
    write_record(tmp_path, "materialize_well", [file_entry(tmp_path, old)], of={"plan": "1"}, well="B02")
    announce(tmp_path, "materialize_well", ["tables/B02/new.csv"], well="B02")
    record = read_record(tmp_path, "materialize_well", "B02")
    assert record.paths() == {"tables/B02/old.csv", "tables/B02/new.csv"}
    assert record.of == {"plan": "1"}

    new = file(tmp_path / "tables" / "B02" / "new.csv")
    write_record(tmp_path, "materialize_well", [file_entry(tmp_path, new)], of={"plan": "2"}, well="B02")
    assert read_record(tmp_path, "materialize_well", "B02").paths() == {"tables/B02/new.csv"}
    assert recorded_wells(tmp_path) == ["B02"]


def test_a_job_lists_its_outputs_its_log_and_its_benchmark_before_it_writes(tmp_path):
    log = tmp_path / "P" / "logs" / "check_plate" / "P.log"
    with job(log, writes=[tmp_path / "P" / "check_plate.json"]):
        listed = read_record(tmp_path / "P", "check_plate").paths()
    assert listed == {"check_plate.json", "logs/check_plate/P.log", "benchmarks/check_plate/P.tsv"}


@pytest.mark.parametrize("rule", ["process_well", "materialize_well"])
def test_both_jobs_of_a_well_share_its_record(tmp_path, rule):
    with job(tmp_path / "P" / "logs" / rule / "B02.log", writes=[]):
        assert f"logs/{rule}/B02.log" in read_record(tmp_path / "P", rule, "B02").paths()
    assert recorded_wells(tmp_path / "P") == ["B02"]


def test_logs_stay_listed_when_the_files_of_a_job_are_complete(tmp_path):
    announce(tmp_path, "check_plate", ["logs/check_plate/P.log", "check_plate.json"])
    write_plate_record(tmp_path, "check_plate", [], of={})
    assert read_record(tmp_path, "check_plate").paths() == {"logs/check_plate/P.log"}


def test_a_file_of_the_users_in_a_folder_of_a_well_is_not_owned_and_not_part_of_the_checksum(tmp_path):
    folder = tmp_path / "plate.zarr" / "B" / "02"
    file(folder / "zarr.json")
    names = folder_names(folder)
    alone = folder_entry(tmp_path, folder)
    mine = file(folder / "notes.txt")
    assert folder_entry(tmp_path, folder, names=names) == alone
    assert folder_entry(tmp_path, folder) != alone
    write_record(tmp_path, "materialize_well", [alone | {"names": names}], of={}, well="B02")
    owned = owned_paths(tmp_path)
    assert owned == {"plate.zarr/B/02/zarr.json", "records/wells/B02.json"}
    assert mine.relative_to(tmp_path).as_posix() not in owned


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"schema_version": 99, "of": {}, "files": []}',
        '{"schema_version": 1, "of": {}}',
        '{"schema_version": 1, "of": {}, "files": ["a"]}',
        '{"schema_version": 1, "of": {}, "files": [{"path": "../../data"}]}',
        '{"schema_version": 1, "of": {}, "files": [{"path": "/etc/passwd"}]}',
        '{"schema_version": 1, "of": {}, "files": [{"path": "a/", "names": ["../b"]}]}',
    ],
)
def test_a_damaged_record_is_an_error_that_names_it(tmp_path, content):
    path = file(record_path(tmp_path, "check_plate"), content)
    with pytest.raises(WellfieldError, match=str(path)):
        read_record(tmp_path, "check_plate")


def test_results_of_a_version_without_records_are_listed_before_the_first_record(tmp_path):
    manifest = {
        "schema_version": 1,
        "well": "B02",
        "files": [{"path": "tables/B02/a.csv"}, {"path": "plate.zarr/B/02/"}],
    }
    file(tmp_path / "wells" / "B02.json", json.dumps(manifest))
    for name in ("cell_counts.csv", "plate_tables/a.csv", "plate_tables/a.parquet", "plate.zarr/zarr.json"):
        file(tmp_path / name)
    for mine in ("wells/curation.json", "plate_tables/notes.csv", "tables/notes.xlsx", "mine.txt"):
        file(tmp_path / mine, "{}")
    assert is_results(tmp_path)
    assert not has_records(tmp_path)
    announce(tmp_path, "check_plate", ["check_plate.json"])
    assert read_record(tmp_path, EARLIER).paths() == {
        "cell_counts.csv",
        "plate_tables/a.csv",
        "plate_tables/a.parquet",
        "plate.zarr/zarr.json",
        "wells/B02.json",
    }
    wells = read_record(tmp_path, "materialize_well", "B02")
    assert wells.paths() == {"wells/B02.json", "tables/B02/a.csv", "plate.zarr/B/02/"}
    assert not owned_paths(tmp_path) & {
        "wells/curation.json",
        "plate_tables/notes.csv",
        "tables/notes.xlsx",
        "mine.txt",
    }


@pytest.mark.parametrize("name", ["notes.txt", "wells/curation.json", "index.parquet", "records/mine.json"])
def test_a_folder_of_other_files_is_no_results(tmp_path, name):
    file(tmp_path / name, "{}")
    assert not is_results(tmp_path)


def test_a_listing_that_was_broken_off_loses_no_file(tmp_path, monkeypatch):
    for well in ("B02", "B03"):
        manifest = {"schema_version": 1, "well": well, "files": [{"path": f"tables/{well}/a.csv"}]}
        file(tmp_path / "wells" / f"{well}.json", json.dumps(manifest))
        file(tmp_path / "tables" / well / "a.csv")
    file(tmp_path / "plan.json")
    written = []

    def write_once(*arguments, **options):
        if written:
            raise KeyboardInterrupt
        written.append(write(*arguments, **options))

    write = records._write
    with monkeypatch.context() as patch:
        patch.setattr(records, "_write", write_once)
        with pytest.raises(KeyboardInterrupt):
            announce(tmp_path, "compile_plan", ["plan.json"])
    announce(tmp_path, "compile_plan", ["plan.json"])
    for well in ("B02", "B03"):
        announce(tmp_path, "process_well", [f"wells/{well}.json", f"tables/{well}/a.csv"], well=well)
    assert {"plan.json", "tables/B02/a.csv", "tables/B03/a.csv"} <= owned_paths(tmp_path)
