"""Plate tables: one row per well, field, timepoint and class of objects, whatever became of the field."""

import pandas as pd
import pytest

from wellfield.formats.table import write_parquet
from wellfield.plate.keys import FieldKey
from wellfield.plate.platemap import WellTreatment
from wellfield.workflow.aggregate_plate import with_treatments
from wellfield.workflow.cell_counts import absent_fields, cell_counts, read_counts


def manifest(status="done", **planes):
    return {"status": status, "files": [], "planes": {"missing": [], "skipped": [], "blanked": []} | planes}


def counts(*rows):
    columns = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint", "Object", "Count"]
    return pd.DataFrame([["P", *row] for row in rows], columns=columns)


FIELDS = {"A01": [FieldKey("A01", 1, 1), FieldKey("A01", 2, 1)], "A02": [FieldKey("A02", 1, 1)]}


def test_fields_and_wells_without_a_count_keep_their_row_and_say_why():
    manifests = {
        "A01": manifest(skipped=[{"plane": "A01_s002_w1_z001_t001.tif"}], missing=["A01_s001_w1_z002_t001.tif"]),
        "A02": manifest("failed"),
    }
    table = cell_counts(counts(("A01", 1, 1, "Nuclei", 5)), manifests, FIELDS, "P")
    rows = table[["Metadata_Well", "Metadata_Site", "Object", "Status"]].values.tolist()
    assert rows == [
        ["A01", 1, "Nuclei", "ok"],
        ["A01", 2, "Nuclei", "field_skipped"],
        ["A02", 1, "Nuclei", "well_failed"],
    ]
    assert table["Count"].tolist() == [5, pd.NA, pd.NA]
    assert table["Planes_Missing"].tolist() == [1, 0, 0]
    assert table["Planes_Skipped"].tolist() == [0, 1, 0]


def statuses(table):
    return dict(
        zip(zip(table["Metadata_Well"], table["Metadata_Site"].fillna(0), strict=True), table["Status"], strict=True)
    )


def test_a_field_with_an_image_in_place_of_an_unreadable_one_says_so():
    manifests = {"A01": manifest(blanked=[{"plane": "A01_s002_w1_z001_t001.tif"}] * 2), "A02": manifest()}
    table = cell_counts(counts(("A01", 1, 1, "Nuclei", 5), ("A01", 2, 1, "Nuclei", 0)), manifests, FIELDS, "P")
    assert statuses(table)["A01", 2] == "field_blanked"
    row = table[table["Status"] == "field_blanked"].iloc[0]
    assert (row["Count"], row["Note"]) == (0, "2 planes could not be read; taken as black")


def test_a_field_that_a_pipeline_skipped_that_counts_nothing_is_skipped():
    reason = "step marker: channel 2 (FITC) has no plane in this field"
    manifests = {"A01": manifest(skipped_fields={"A01_s002_t001": reason}), "A02": manifest()}
    table = cell_counts(counts(), manifests, FIELDS, "P")
    assert statuses(table) == {("A01", 1): "ok", ("A01", 2): "field_skipped", ("A02", 1): "ok"}
    assert table["Note"].tolist() == ["", reason, ""]


def test_the_note_of_a_skipped_field_has_no_path():
    skipped = {"A01_s002_t001": "plane A01_s002_w1_z001_t001.tif cannot be read: /home/ann/x.tif: truncated"}
    table = cell_counts(counts(), {"A01": manifest(skipped_fields=skipped)}, FIELDS, "P")
    assert table["Note"].tolist() == ["", "plane A01_s002_w1_z001_t001.tif cannot be read"]


def test_a_field_without_any_plane_has_a_row():
    absent = {FieldKey("A02", 2, 1): 3}
    found = counts(("A01", 1, 1, "Nuclei", 5), ("A01", 2, 1, "Nuclei", 6), ("A02", 1, 1, "Nuclei", 7))
    table = cell_counts(found, {"A01": manifest(), "A02": manifest()}, FIELDS, "P", absent)
    assert statuses(table) == {("A01", 1): "ok", ("A01", 2): "ok", ("A02", 1): "ok", ("A02", 2): "field_absent"}
    last = table.iloc[-1]
    assert pd.isna(last["Count"])
    assert last["Planes_Missing"] == 3


def test_a_well_should_have_the_fields_that_other_wells_have():
    keys = [FieldKey(well, site, time) for well in ("A01", "A02", "A03") for site in (1, 2) for time in (1, 2)]
    fields = {well: [key for key in keys if key.well == well] for well in ("A01", "A02", "A03")}
    assert absent_fields(fields) == []
    fields["A02"] = [FieldKey("A02", 1, 1), FieldKey("A02", 1, 2)]
    fields["A03"].remove(FieldKey("A03", 1, 2))
    assert absent_fields(fields) == [FieldKey("A02", 2, 1), FieldKey("A02", 2, 2), FieldKey("A03", 1, 2)]


def test_fields_that_are_numbered_on_through_the_plate_are_not_absent():
    fields = {f"A{well:02d}": [FieldKey(f"A{well:02d}", 4 * well + site, 1) for site in range(4)] for well in (1, 2, 3)}
    assert absent_fields(fields) == absent_fields({well: fields[well] for well in ("A01", "A02")}) == []


def test_a_stitched_well_with_a_lacking_field_is_not_ok():
    found = counts(("A01", None, 1, "Colonies", 3), ("A02", None, 1, "Colonies", 4))
    blanked = manifest(blanked=[{"plane": "A01_s002_w1_z001_t001.tif"}])
    table = cell_counts(found, {"A01": blanked, "A02": manifest()}, FIELDS, "P", {FieldKey("A02", 2, 1): 1})
    assert statuses(table) == {("A01", 0): "field_blanked", ("A02", 0): "field_absent"}
    assert table["Count"].tolist() == [3, 4]
    assert table["Note"].tolist() == ["1 of 2 fields", "1 of 2 fields"]


def test_every_object_class_has_its_row_in_every_field():
    both = counts(("A01", 1, 1, "Nuclei", 5), ("A01", 1, 1, "Cells", 4))
    table = cell_counts(both, {"A01": manifest()}, {"A01": FIELDS["A01"][:1]}, "P")
    assert dict(zip(table["Object"], table["Count"], strict=True)) == {"Nuclei": 5, "Cells": 4}


def test_a_count_of_zero_is_a_count():
    table = cell_counts(counts(("A02", 1, 1, "Nuclei", 0)), {"A02": manifest()}, {"A02": FIELDS["A02"]}, "P")
    assert table["Count"].tolist() == [0]
    assert table["Status"].tolist() == ["ok"]


def test_a_pipeline_that_counts_nothing_still_has_a_table():
    table = cell_counts(counts(), {"A02": manifest()}, {"A02": FIELDS["A02"]}, "P")
    assert table["Count"].isna().all()
    assert table["Status"].tolist() == ["ok"]


def test_the_plate_map_joins_by_well_and_leaves_others_empty():
    table = cell_counts(counts(("A01", 1, 1, "Nuclei", 5)), {"A01": manifest(), "A02": manifest()}, FIELDS, "P")
    treated = with_treatments(table, {"A01": WellTreatment("A01", "drug", 0.5, "µM", "")})
    first, last = treated.iloc[0], treated.iloc[-1]
    assert (first["Metadata_Treatment"], first["Metadata_Concentration"]) == ("drug", 0.5)
    assert pd.isna(last["Metadata_Treatment"])
    assert list(treated.columns[4:8]) == [
        "Metadata_Treatment",
        "Metadata_Concentration",
        "Metadata_Unit",
        "Metadata_Control",
    ]


def test_counts_of_stitched_wells_have_one_row_per_well_beside_those_of_fields():
    both = counts(("A01", 1, 1, "Nuclei", 5), ("A01", 2, 1, "Nuclei", 6), ("A01", None, 1, "Colonies", 3))
    manifests = {"A01": manifest(missing=["A01_s002_w1_z001_t001.tif"]), "A02": manifest("failed")}
    table = cell_counts(both, manifests, FIELDS, "P")
    assert table[["Metadata_Well", "Metadata_Site", "Object", "Count", "Planes_Missing"]].fillna(
        -1
    ).values.tolist() == [
        ["A01", 1, "Nuclei", 5, 0],
        ["A01", 2, "Nuclei", 6, 1],
        ["A01", -1, "Colonies", 3, 1],
        ["A02", 1, "Nuclei", -1, 0],
        ["A02", -1, "Colonies", -1, 0],
    ]


def test_counts_of_several_channels_keep_their_channel():
    by_channel = counts(("A01", 1, 1, "Nuclei", 5), ("A01", 1, 1, "Nuclei", 7)).assign(Metadata_Channel=[1, 2])
    table = cell_counts(by_channel, {"A01": manifest()}, {"A01": FIELDS["A01"][:1]}, "P")
    assert table[["Metadata_Channel", "Count"]].values.tolist() == [[1, 5], [2, 7]]


def listing(well):
    """The manifest of a well that lists a table of counts."""
    return manifest() | {"files": [{"path": f"tables/{well}/cell_counts.parquet"}]}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"Object": ["Nuclei"], "Count": [2.5]}, "other values than whole numbers"),
        ({"Object": ["Nuclei"], "Count": ["many"]}, "other values than whole numbers"),
        ({"Object": ["Nuclei", "Nuclei"], "Count": [2, 3], "Metadata_Z": [1, 2]}, "several counts of 'Nuclei'"),
    ],
)
def test_a_table_that_is_no_count_is_not_taken_for_one(tmp_path, caplog, rows, reason):
    keys = {"Metadata_Plate": "P", "Metadata_Well": "A01", "Metadata_Site": 1, "Metadata_Timepoint": 1}
    write_parquet(tmp_path / "tables" / "A01" / "cell_counts.parquet", pd.DataFrame(rows).assign(**keys))
    assert read_counts(tmp_path, {"A01": listing("A01")}).empty
    assert reason in caplog.text


def test_whole_numbers_are_counts_whatever_their_type(tmp_path):
    for well, count in (("A01", 3), ("A02", 4.0)):
        keys = {"Metadata_Plate": ["P"], "Metadata_Well": [well], "Metadata_Site": [1], "Metadata_Timepoint": [1]}
        table = pd.DataFrame({**keys, "Object": ["Nuclei"], "Count": [count]})
        write_parquet(tmp_path / "tables" / well / "cell_counts.parquet", table)
    manifests = {well: listing(well) for well in ("A01", "A02")}
    fields = {well: FIELDS[well][:1] for well in FIELDS}
    found = cell_counts(read_counts(tmp_path, manifests), manifests, fields, "P")
    assert found["Count"].tolist() == [3, 4]
    assert str(found["Count"].dtype) == "Int64"
