"""Plate tables: one row per well, field, timepoint and object class, whatever became of the field."""

import pandas as pd

from wellfield.plate.keys import FieldKey
from wellfield.plate.platemap import WellTreatment
from wellfield.workflow.aggregate import cell_counts, with_treatments


def manifest(status="done", **planes):
    return {"status": status, "planes": {"missing": [], "skipped": [], "blanked": []} | planes}


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
