"""The table of result files: what is made from it."""

from pathlib import Path

import pytest

from wellfield.results.paths import (
    PLATE_RULES,
    RULE_FILES,
    WELL_RULES,
    WRITTEN_FOLDERS,
    PlateFile,
    WellFile,
    files_of,
    job_files,
    main_file,
)

RULES = Path(__file__).parents[3] / "rules"


def test_every_rule_of_a_plate_takes_its_outputs_from_the_table():
    text = "".join(path.read_text(encoding="utf-8") for path in RULES.glob("*.smk"))
    assert [rule for rule in PLATE_RULES if f'**outputs_of("{rule}"),' not in text] == []
    assert len(PLATE_RULES) == 6


def test_no_rule_writes_the_page_of_an_unfinished_plate():
    assert set(PlateFile) - set(RULE_FILES) == {PlateFile.UNFINISHED_PAGE}


def test_the_first_file_of_a_rule_stands_for_its_job():
    assert [main_file(rule) for rule in PLATE_RULES] == [
        "index.parquet",
        "plan.json",
        "illumination/illumination.json",
        "cell_counts.csv",
        "report/summary.html",
        "check_plate.json",
    ]
    assert main_file("report_plate") in files_of("report_plate")


def test_files_have_names_in_their_rule_and_captions():
    assert (PlateFile.DOSE_RESPONSE.output, PlateFile.DOSE_RESPONSE.caption) == ("dose_response", "dose_response.rst")
    assert PlateFile.COUNTS_CSV.caption == "cell_counts.rst"


def test_a_well_has_its_manifest_and_thumbnail_in_folders_of_their_own():
    assert [file.of("B02") for file in WellFile] == ["wells/B02.json", "report/thumbnails/B02.npy"]
    assert WellFile.THUMBNAIL.folder == "report/thumbnails"


def test_a_job_has_a_log_and_a_benchmark():
    assert job_files(WELL_RULES, "B02") == [
        "logs/process_well/B02.log",
        "logs/materialize_well/B02.log",
        "benchmarks/process_well/B02.tsv",
        "benchmarks/materialize_well/B02.tsv",
    ]


@pytest.mark.parametrize("name", ["index.parquet", "plan.json"])
def test_files_directly_in_the_results_are_no_folders(name):
    assert name not in WRITTEN_FOLDERS
    assert {".staging", "benchmarks", "illumination", "logs", "plate.zarr", "report", "tables"} < set(WRITTEN_FOLDERS)
