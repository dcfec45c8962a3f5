"""Reading the readouts of a plate from its tables of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wellfield.report.statistics import VALUE_COLUMNS
from wellfield.results.records import write_plate_record
from wellfield.workflow.report_plate import heatmap_values, read_object_values

AREA, INTENSITY = "Nuclei_AreaShape_Area", "Cells_Intensity_MeanIntensity_DAPI"


def objects(well: str, areas: list[float], column: str = AREA) -> pa.Table:
    keys = {"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Timepoint": 1}
    return pa.table({name: [value] * len(areas) for name, value in keys.items()} | {column: areas, "Comment": areas})


def write(path: Path, *groups: pa.Table) -> None:
    path.parent.mkdir(exist_ok=True)
    with pq.ParquetWriter(path, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)


def found(folder: Path) -> dict[tuple[str, str], float]:
    table = read_object_values(folder)
    assert list(table.columns) == list(VALUE_COLUMNS)
    assert [str(kind) for kind in table.dtypes[1:]] == ["int64", "str", "float64"]
    assert not table.duplicated(["Metadata_Well", "Readout"]).any()
    return {(row.Metadata_Well, row.Readout): row.Value for row in table.itertuples()}


def test_a_well_in_several_row_groups_has_one_median_over_all_of_them(tmp_path: Path) -> None:
    empty = objects("A02", [1.0]).slice(0, 0)
    write(
        tmp_path / "objects.parquet",
        objects("A01", [1.0, 2.0, 9.0]),
        empty,
        objects("A01", [100.0, 200.0]),
        objects("A02", [5.0, 7.0]),
    )
    assert found(tmp_path) == {("A01", AREA): 9, ("A02", AREA): 6}


def test_tables_of_further_objects_count_too_and_no_readout_twice(tmp_path: Path) -> None:
    write(tmp_path / "objects.parquet", objects("A01", [1]))
    write(tmp_path / "plate_tables" / "again.parquet", objects("A01", [1000]))
    write(tmp_path / "plate_tables" / "cells.parquet", objects("A01", [30, 40], INTENSITY))
    pq.write_table(pa.table({"Spots_AreaShape_Area": [1.0]}), tmp_path / "plate_tables" / "no_keys.parquet")
    assert found(tmp_path) == {("A01", AREA): 1, ("A01", INTENSITY): 35}


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"Metadata_Well": ["A01"], "Metadata_Timepoint": [1], "x": [1]}),
        objects("A01", [1.0]).slice(0, 0),
        pa.table({}),
    ],
)
def test_tables_without_readouts_or_objects_have_no_values(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "objects.parquet")
    assert found(tmp_path) == {}


def test_only_the_columns_of_readouts_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "objects.parquet", objects("A01", [1, 3]))
    read, asked = pq.ParquetFile.read_row_group, []
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, n, columns: asked.append(columns) or read(self, n, columns)
    )
    assert len(read_object_values(tmp_path)) == 1
    assert asked == [["Metadata_Well", "Metadata_Timepoint", AREA]]


def test_values_of_a_plate_without_objects_join_with_others(tmp_path: Path) -> None:
    pq.write_table(objects("A01", [1.0]).slice(0, 0), tmp_path / "objects.parquet")
    other = pd.DataFrame([("A01", 1, "Nuclei_Count", 3.0)], columns=list(VALUE_COLUMNS))
    assert pd.concat([other, read_object_values(tmp_path)])["Value"].tolist() == [3.0]


def test_a_table_of_the_users_own_beside_those_of_the_plate_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "objects.parquet", objects("A01", [1000]))
    write(tmp_path / "plate_tables" / "cells.parquet", objects("A01", [30, 40], INTENSITY))
    write_plate_record(tmp_path, "aggregate_plate", [tmp_path / "plate_tables" / "cells.parquet"], of={})
    expected = read_object_values(tmp_path)
    (tmp_path / "plate_tables" / "mine.parquet").write_text("no table")
    assert read_object_values(tmp_path).equals(expected)


def counts(*rows: tuple[Any, ...]) -> pd.DataFrame:
    columns = ["Metadata_Well", "Metadata_Site", "Metadata_Timepoint", "Object", "Count", "Status"]
    return pd.DataFrame(rows, columns=columns).astype({"Count": "Int64", "Metadata_Site": "Int64"})


def test_a_heatmap_shows_the_first_timepoint_and_no_sum_over_time() -> None:
    table = counts(*(("A01", site, time, "Nuclei", 10 * time, "ok") for site in (1, 2) for time in (2, 3)))
    assert heatmap_values(table) == ({"A01": 20}, "Nuclei per field, timepoint 2")


def test_a_heatmap_leaves_out_fields_that_were_not_seen() -> None:
    table = counts(
        ("A01", 1, 1, "Nuclei", 16, "ok"),
        ("A01", 2, 1, "Nuclei", 0, "field_blanked"),
        ("A02", 1, 1, "Nuclei", 16, "ok"),
        ("A02", 2, 1, "Nuclei", None, "field_skipped"),
        ("A03", 1, 1, "Nuclei", 0, "field_blanked"),
        ("A03", 2, 1, "Nuclei", None, "field_absent"),
    )
    assert heatmap_values(table) == ({"A01": 16, "A02": 16}, "Nuclei per field")
    assert heatmap_values(table[table["Metadata_Well"] == "A03"]) == ({}, "objects per field")


def test_a_heatmap_adds_no_channels_and_says_when_it_shows_whole_wells() -> None:
    table = counts(("A01", 1, 1, "Spots", 3, "ok"), ("A01", 1, 1, "Spots", 5, "ok")).assign(Metadata_Channel=[1, 2])
    assert heatmap_values(table) == ({"A01": 3}, "Spots (channel 1) per field")
    assert heatmap_values(counts(("A01", None, 1, "Colonies", 3, "ok"))) == ({"A01": 3}, "Colonies per well")
