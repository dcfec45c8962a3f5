"""Tables of a plate: those of all wells, joined without losing a row, a column or a type."""

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellfield.formats.table import write_csv, write_frame, write_parquet
from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.pipeline import FunctionStep, special_outputs
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.plane_selection import SourceLayers
from wellfield.plate.plate import Plate
from wellfield.plate.platemap import WellTreatment
from wellfield.workflow.plate_tables import join_tables, table_files

KEYS = {"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "Metadata_Site": [1], "Metadata_Timepoint": [1]}


def wells(tmp_path, *tables):
    files = {}
    for number, table in enumerate(tables, start=1):
        well = f"A{number:02d}"
        rows = len(next(iter(table.values())))
        files[well] = tmp_path / f"{well}.parquet"
        keys = {name: pa.array(values * rows) for name, values in (KEYS | {"Metadata_Well": [well]}).items()}
        write_parquet(files[well], pa.table({**keys, **table}))
    return files


def test_wells_keep_their_rows_and_what_one_of_them_lacks_is_empty(tmp_path):
    files = wells(tmp_path, {"Area": [1, 2], "Spots": [3, 4]}, {"Area": [5]})
    join_tables(files, {}, parquet=tmp_path / "all.parquet", csv=tmp_path / "all.csv")
    joined = pd.read_parquet(tmp_path / "all.parquet")
    assert joined["Area"].tolist() == [1, 2, 5]
    assert joined["Spots"].fillna(-1).tolist() == [3, 4, -1]
    assert joined["Metadata_Well"].tolist() == ["A01", "A01", "A02"]
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 2
    assert pd.read_csv(tmp_path / "all.csv")["Area"].tolist() == [1, 2, 5]


def test_a_well_without_rows_does_not_decide_what_a_column_is(tmp_path):
    files = wells(tmp_path, {"Name": pa.array([], pa.null())}, {"Name": ["x"]})
    join_tables(files, {}, parquet=tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet")["Name"].to_pylist() == ["x"]


def test_whole_numbers_and_fractions_of_one_column_become_fractions(tmp_path):
    join_tables(wells(tmp_path, {"Mean": [1]}, {"Mean": [1.5]}), {}, parquet=tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet")["Mean"].to_pylist() == [1.0, 1.5]


def test_treatments_stand_behind_the_keys(tmp_path):
    files = wells(tmp_path, {"Area": [1]}, {"Area": [2]})
    join_tables(files, {"A02": WellTreatment("A02", "drug", 0.5, "µM", "")}, parquet=tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.column_names[4:8] == [
        "Metadata_Treatment",
        "Metadata_Concentration",
        "Metadata_Unit",
        "Metadata_Control",
    ]
    assert table["Metadata_Treatment"].to_pylist() == [None, "drug"]
    assert table["Metadata_Concentration"].to_pylist() == [None, 0.5]


def test_no_table_at_all_is_a_table_of_the_keys(tmp_path):
    join_tables({}, {}, parquet=tmp_path / "all.parquet", csv=tmp_path / "all.csv")
    assert pq.read_table(tmp_path / "all.parquet").column_names == list(KEYS)
    assert (tmp_path / "all.csv").read_text().strip().replace(chr(34), "") == ",".join(KEYS)


def test_csv_files_are_joined_where_there_is_nothing_else(tmp_path):
    for well in ("A01", "A02"):
        write_csv(tmp_path / f"{well}.csv", {"Metadata_Well": [well], "Level": [2.5]})
    files = {well: tmp_path / f"{well}.csv" for well in ("A01", "A02")}
    join_tables(files, {}, parquet=tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").to_pylist() == [
        {"Metadata_Well": "A01", "Level": 2.5},
        {"Metadata_Well": "A02", "Level": 2.5},
    ]


@pytest.mark.parametrize("options", [(CsvOptions(), ParquetOptions()), (ParquetOptions(), CsvOptions())])
def test_of_two_files_of_one_table_parquet_is_joined(options):
    @special_outputs(
        ("levels", MaterializationSpec(*options)),
        ("cells", MaterializationSpec(CsvOptions(filename_suffix="_details.csv"))),
        "kept",
    )
    def measure(image):
        return image, {}, {}, 1

    sources = {1: SourceLayers((1,))}
    plan = compile_pipeline([FunctionStep(measure)], plate=Plate(channels={1: "DAPI"}), sources=sources)
    assert table_files(plan) == {"levels": "levels.parquet", "cells_details": "cells_details.csv"}


def test_text_in_csv_stays_text_and_a_column_of_both_is_text(tmp_path):
    for well, value in (("A01", "007"), ("A02", "mitotic")):
        write_csv(
            tmp_path / f"{well}.csv",
            {"Metadata_Well": [well], "Code": [value], "Mixed": [12 if well == "A01" else "x"]},
        )
    files = {well: tmp_path / f"{well}.csv" for well in ("A01", "A02")}
    types = {well: {"Metadata_Well": "string", "Code": "string"} for well in files}
    join_tables(files, {}, types=types, parquet=tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table["Code"].to_pylist() == ["007", "mitotic"]
    assert table["Mixed"].to_pylist() == ["12", "x"]


def test_what_looks_missing_stays_what_it_is(tmp_path):
    table = {"Code": ["NA", "", None, "nan"], "Value": [1.0, float("nan"), None, 2.0]}
    write_csv(tmp_path / "A01.csv", table)
    types = {"A01": {"Code": "string", "Value": "double"}}
    join_tables({"A01": tmp_path / "A01.csv"}, {}, types=types, parquet=tmp_path / "all.parquet")
    found = pq.read_table(tmp_path / "all.parquet").to_pydict()
    assert found["Code"] == table["Code"]
    assert [str(value) for value in found["Value"]] == ["1.0", "nan", "None", "2.0"]


def test_numbers_keep_their_type_beside_wells_without_objects(tmp_path):
    columns = {"Metadata_ObjectNumber": np.array([70_000, 2**40], np.int64), "Nuclei_AreaShape_Area": np.array([3, 4])}
    empty = {name: values[:0] for name, values in columns.items()}
    untyped = {name: pa.array([], pa.null()) for name in columns}
    files = wells(tmp_path, empty, columns, untyped)
    join_tables(files, {}, parquet=tmp_path / "all.parquet")
    joined = pd.read_parquet(tmp_path / "all.parquet")
    assert joined["Metadata_ObjectNumber"].tolist() == [70_000, 2**40]
    assert {str(joined[name].dtype) for name in columns} == {"int64"}


TEXTS = ["=1+1", "@x", "-3", "+4", "a\rb", "a\nb", "tab\tx", 'q"x', ",", "  s "]


def test_text_is_the_same_in_csv_whatever_it_looks_like(tmp_path):
    files = wells(tmp_path, {"Name": TEXTS, "=cmd|x!A0": [1] * len(TEXTS)})
    treatment = WellTreatment("A01", "=HYPERLINK(1)", None, "", "")
    join_tables(files, {"A01": treatment}, parquet=tmp_path / "all.parquet", csv=tmp_path / "all.csv")
    write_frame(tmp_path / "frame.csv", pd.DataFrame({"Name": TEXTS, "=cmd|x!A0": 1}))
    for name in ("all.csv", "frame.csv"):
        with (tmp_path / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["Name"] for row in rows] == TEXTS
        assert {row["=cmd|x!A0"] for row in rows} == {"1"}
        assert {row.get("Metadata_Treatment", treatment.treatment) for row in rows} == {treatment.treatment}
