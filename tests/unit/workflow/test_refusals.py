"""Refusals: no run writes into a raw plate, and none over something that Wellfield did not write."""

import json
import os

import pytest

from wellfield.config.plate_sheet import PlateEntry
from wellfield.errors import ConfigError, DestinationExistsError, ForeignStoreError, MetadataError, PathEscapeError
from wellfield.results.records import announce, read_record
from wellfield.workflow.refusals import refuse_unsafe


def file(path, text="mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refuse(root, folders, **options):
    """Check plates given as name → raw folder below *root*, which is made if it is not there."""
    plates = {}
    for plate, folder in folders.items():
        if not os.path.lexists(root / folder):
            (root / folder).mkdir(parents=True)
        plates[plate] = PlateEntry(plate, str(root / folder))
    refuse_unsafe(str(root / "results"), plates, **options)


@pytest.mark.parametrize(
    "raw",
    [
        "results/P",
        "results/P/images",
        "results/P/plate.zarr",
        "results/P/anything/deep",
        "results/Q",
        "results/Q/images",
        "results/../results/Q/images",
        "other/../results/P/images",
    ],
)
def test_a_raw_plate_in_results_of_the_run_is_refused(tmp_path, raw):
    (tmp_path / "other").mkdir()
    with pytest.raises(PathEscapeError, match=r"plate P: its raw folder .*, where this run writes results"):
        refuse(tmp_path, {"P": raw, "Q": "raw/Q"})


@pytest.mark.parametrize("raw", [".", "results"])
def test_results_in_a_raw_plate_are_refused(tmp_path, raw):
    with pytest.raises(PathEscapeError, match=r"results/[PQ] lies in the raw plate .*, which is never written"):
        refuse(tmp_path, {"P": raw, "Q": "raw/Q"})


def test_a_raw_plate_behind_a_link_is_found(tmp_path):
    (tmp_path / "results" / "Q" / "images").mkdir(parents=True)
    (tmp_path / "plates").symlink_to(tmp_path / "results" / "Q")
    with pytest.raises(PathEscapeError):
        refuse(tmp_path, {"P": "plates/images", "Q": "raw/Q"})


def test_results_behind_a_link_are_found(tmp_path):
    (tmp_path / "raw" / "P" / "sub").mkdir(parents=True)
    (tmp_path / "results").symlink_to(tmp_path / "raw" / "P" / "sub")
    with pytest.raises(PathEscapeError):
        refuse(tmp_path, {"P": "raw/P"})
    (tmp_path / "results").unlink()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "Q").symlink_to(tmp_path / "raw" / "P" / "sub")
    with pytest.raises(PathEscapeError):
        refuse(tmp_path, {"P": "raw/P", "Q": "raw/Q"})


def test_one_folder_under_two_names_is_found_by_device_and_number(tmp_path, monkeypatch):
    raw, other = tmp_path / "raw" / "P", tmp_path / "RAW"
    raw.mkdir(parents=True)
    (other / "P").mkdir(parents=True)
    stat = os.stat

    def one_folder(path, *arguments, **named):  # as a second mount, or a file system without case
        return stat(str(path).replace(f"{tmp_path}/RAW", f"{tmp_path}/raw"), *arguments, **named)

    refuse_unsafe(str(other), {"Q": PlateEntry("Q", str(raw))})
    monkeypatch.setattr(os, "stat", one_folder)
    with pytest.raises(PathEscapeError):
        refuse_unsafe(str(other), {"P": PlateEntry("P", str(raw))})


def test_stored_images_of_a_plate_that_is_not_in_the_run_are_a_raw_plate_as_any(tmp_path):
    refuse(tmp_path, {"P": "results/Q/plate.zarr"})


def test_two_plates_with_one_folder_of_results_are_refused(tmp_path):
    (tmp_path / "results" / "P").mkdir(parents=True)
    (tmp_path / "results" / "Q").symlink_to("P")
    with pytest.raises(ConfigError, match="give each plate a folder of its own"):
        refuse(tmp_path, {"P": "raw/P", "Q": "raw/Q"})


def test_results_and_the_folder_of_a_plate_may_be_links_to_another_disk(tmp_path):
    (tmp_path / "disk" / "P").mkdir(parents=True)
    (tmp_path / "results").symlink_to("disk")
    refuse(tmp_path, {"P": "raw/P"})
    (tmp_path / "results").unlink()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "P").symlink_to(tmp_path / "disk" / "P")
    refuse(tmp_path, {"P": "raw/P"})


def test_scratch_in_a_raw_plate_is_refused(tmp_path):
    with pytest.raises(PathEscapeError, match="scratch: "):
        refuse(tmp_path, {"P": "raw/P"}, scratch=str(tmp_path / "raw" / "P" / "tmp"))
    refuse(tmp_path, {"P": "raw/P"}, scratch="env:TMPDIR")


@pytest.mark.parametrize("name", ["cell_counts.csv", "tables/map.csv", "wells/B02.json", "report/plates.tsv"])
def test_a_file_that_the_run_reads_is_refused_where_results_go(tmp_path, name):
    path = tmp_path / "results" / "P" / name
    with pytest.raises(ConfigError, match="where results of "):
        refuse(tmp_path, {"P": "raw/P"}, files=[str(path)])
    with pytest.raises(ConfigError, match="where results of "):
        refuse_unsafe(str(tmp_path / "results"), {"P": PlateEntry("P", "/raw", "auto", str(path))})
    refuse(tmp_path, {"P": "raw/P"}, files=[str(tmp_path / "results" / "P" / "map.csv")])


@pytest.mark.parametrize("name", ["notes.txt", "tables/x.csv", "records/mine.json", "wells/curation.json"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path, name):
    file(tmp_path / "results" / "P" / name)
    with pytest.raises(DestinationExistsError, match=rf"plate P: .*results/P was not written by Wellfield.*{name}"):
        refuse(tmp_path, {"P": "raw/P"})


def test_empty_folders_and_a_link_to_nowhere(tmp_path):
    (tmp_path / "results" / "P" / "logs" / "ingest_plate").mkdir(parents=True)
    refuse(tmp_path, {"P": "raw/P"})
    (tmp_path / "results" / "Q").symlink_to("nowhere")
    with pytest.raises(DestinationExistsError, match="results/Q is not a folder"):
        refuse(tmp_path, {"P": "raw/P", "Q": "raw/Q"})


def test_a_file_or_snakemakes_folder_is_no_place_for_results(tmp_path):
    file(tmp_path / "results")
    with pytest.raises(DestinationExistsError, match="is not a folder; choose another for the results"):
        refuse(tmp_path, {"P": "raw/P"})
    with pytest.raises(ConfigError, match=r"lies in \.snakemake, which may be removed"):
        refuse_unsafe(".snakemake/results", {})


@pytest.fixture
def results(tmp_path):
    """Results of a plate with records: an index, and the well B02."""
    folder = tmp_path / "results" / "P"
    announce(folder, "ingest_plate", ["index.parquet", "logs/ingest_plate/P.log"])
    announce(folder, "process_well", ["wells/B02.json", "logs/process_well/B02.log"], well="B02")
    for name in ("index.parquet", "logs/ingest_plate/P.log", "wells/B02.json", "logs/process_well/B02.log"):
        file(folder / name, "ours")
    return folder


def test_all_that_is_in_the_way_is_named_at_once(results, tmp_path):
    for name in ("wells/C07.json", "plan.json", "report/thumbnails/C07.npy"):
        file(results / name)
    with pytest.raises(DestinationExistsError) as caught:
        refuse(tmp_path, {"P": "raw/P"})
    assert all(str(results / name) in str(caught.value) for name in ("wells/C07.json", "plan.json"))
    assert "report/thumbnails/C07.npy" in str(caught.value)


def test_a_manifest_stands_in_for_the_record_of_its_well(results, tmp_path):
    manifest = {"well": "C07", "files": [{"path": "tables/C07/x.csv"}]}
    file(results / "wells" / "C07.json", json.dumps(manifest))
    file(results / "tables" / "C07" / "x.csv", "ours")
    refuse(tmp_path, {"P": "raw/P"})
    announce(results, "process_well", ["wells/C07.json"], well="C07")
    assert {"tables/C07/x.csv", "wells/C07.json"} <= read_record(results, "", "C07").paths()


def test_results_with_files_of_the_users_beside_ours_are_not_refused(results, tmp_path):
    for name in (
        "mine.txt",
        "tables/x.csv",
        "wells/notes.json",
        "images/B03/x.tif",
        "records/notes.txt",
        "mine/x",
        ".staging/own.txt",
    ):
        file(results / name)
    (results / "mine" / "link").symlink_to(tmp_path)
    (results / "tables" / "link").symlink_to(tmp_path)
    refuse(tmp_path, {"P": "raw/P"})


@pytest.mark.parametrize(
    "name",
    [
        "wells",
        "images",
        "tables",
        "plate_tables",
        "plate.zarr",
        "report",
        "report/thumbnails",
        "logs",
        "records/wells",
        "benchmarks/process_well",
        "illumination",
        ".staging",
    ],
)
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_a_file_where_a_folder_of_results_goes_is_refused(results, tmp_path, name, kind):
    path = results / name
    if path.is_dir():
        path.rename(tmp_path / "moved")
    path.parent.mkdir(exist_ok=True)
    file(path) if kind == "file" else path.symlink_to(tmp_path / "moved")
    with pytest.raises((DestinationExistsError, ForeignStoreError), match=f"{name} (is a link|was not written)"):
        refuse(tmp_path, {"P": "raw/P"})


@pytest.mark.parametrize(
    "name",
    [
        "cell_counts.csv",
        "plan.json",
        "report/summary.html",
        "check_plate.json",
        "report/unfinished.html",
        "wells/B03.json",
        "report/thumbnails/B03.npy",
        "logs/process_well/B03.log",
        "benchmarks/process_well/B03.tsv",
        "logs/check_plate/P.log",
        "plate.zarr/.zattrs",
        ".staging/B02/notes.txt",
    ],
)
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_something_else_where_a_result_goes_is_refused(results, tmp_path, name, kind):
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    {
        "file": lambda: path.write_text("{}"),
        "link": lambda: path.symlink_to(tmp_path),
        "folder": lambda: file(path / "x"),
    }[kind]()
    with pytest.raises((DestinationExistsError, ForeignStoreError), match=r"was not written by Wellfield|is a link"):
        refuse(tmp_path, {"P": "raw/P"})


@pytest.mark.parametrize(
    "name", ["index.parquet", "wells/B02.json", "records/ingest_plate.json", "records/wells/B02.json"]
)
def test_a_file_of_ours_that_became_a_link_is_refused(results, tmp_path, name):
    (results / name).rename(tmp_path / "moved")
    (results / name).symlink_to(tmp_path / "moved")
    with pytest.raises(DestinationExistsError, match=f"{name} is a link"):
        refuse(tmp_path, {"P": "raw/P"})


def test_a_damaged_record_is_named(results, tmp_path):
    file(results / "records" / "ingest_plate.json", '{"schema_version": 1}')
    with pytest.raises(MetadataError, match=r"records/ingest_plate\.json is not a valid record"):
        refuse(tmp_path, {"P": "raw/P"})


def test_nothing_is_written(results, tmp_path):
    file(results / "tables" / "x.csv")
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "raw" / "P").mkdir(parents=True)
    refuse(tmp_path, {"P": "raw/P"})
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "raw", tmp_path / "raw" / "P"])
