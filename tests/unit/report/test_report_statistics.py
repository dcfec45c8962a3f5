"""Z′-factor, SSMD and the values of wells that they are made of."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from wellfield.report.statistics import (
    STATISTICS_COLUMNS,
    VALUE_COLUMNS,
    Place,
    count_values,
    feature_columns,
    fields_left_out,
    object_values,
    plate_statistics,
    ssmd,
    z_prime,
)
from wellfield.results.columns import SITE, TIMEPOINT, WELL
from wellfield.results.status import FieldStatus

NAN, INF = math.nan, math.inf


def test_z_prime_is_that_of_zhang_chung_and_oldenburg() -> None:
    # By hand: means 110 and 10, sample variances 25 and 4.
    positive, negative = [105, 110, 115], [8, 10, 12]
    assert z_prime(positive, negative).value == pytest.approx(1 - 3 * (5 + 2) / 100)
    assert z_prime(negative, positive).value == pytest.approx(0.79)


def test_z_prime_is_negative_where_controls_overlap() -> None:
    assert z_prime([0, 10], [1, 11]).value == pytest.approx(1 - 3 * 2 * math.sqrt(50))


def test_robust_z_prime_has_medians_and_scaled_median_deviations() -> None:
    # By hand: medians 100 and 10, median deviations 2 and 1; the odd wells do not matter.
    positive, negative = [100, 98, 102, 97, 5000], [10, 9, 11, 10, -700]
    assert z_prime([100, 98, 102, 96, 5000], negative, robust=True).value == pytest.approx(1 - 3 * 1.4826 * 3 / 90)
    assert z_prime(positive, negative, robust=True).value > 0.8
    assert z_prime(positive, negative).value < 0


def test_ssmd_is_that_of_zhang_and_has_a_sign() -> None:
    positive, negative = [107, 110, 113], [6, 10, 14]
    assert ssmd(positive, negative).value == pytest.approx(100 / math.sqrt(9 + 16))
    assert ssmd(negative, positive).value == pytest.approx(-20)
    assert ssmd([1, 3], [1, 3]).value == 0


def test_neither_statistic_depends_on_unit_or_offset_of_the_values() -> None:
    positive, negative = [1.5, 2.5, 2.0], [8.0, 9.5, 9.0]
    scaled = [[1e6 * value + 3e7 for value in values] for values in (positive, negative)]
    for statistic in (z_prime, ssmd):
        assert statistic(*scaled).value == pytest.approx(statistic(positive, negative).value)


@pytest.mark.parametrize("statistic", [z_prime, ssmd, lambda p, n: z_prime(p, n, robust=True)])
@pytest.mark.parametrize(
    ("positive", "negative", "reason"),
    [
        ([], [], "found 0 positive and 0 negative"),
        ([1.0, 2.0], [3.0], "found 1 negative"),
        ([1.0, NAN], [3.0, 4.0], "found 1 positive"),
        ([1.0, None], [3.0, INF], "found 1 positive and 1 negative"),
        ([1e308, -1e308, 1.7e308], [1e308, 2.0, -1.7e308], "too large"),
    ],
)
def test_what_cannot_be_had_is_none_with_its_reason(
    statistic: Any, positive: list[Any], negative: list[Any], reason: str
) -> None:
    value, why = statistic(positive, negative)
    assert value is None
    assert reason in why


def test_equal_controls_have_no_z_prime_and_wells_without_spread_no_ssmd() -> None:
    assert z_prime([1, 3], [3, 1]) == (None, "both controls have the same mean")
    assert z_prime([1, 2, 6], [0, 2, 9], robust=True) == (None, "both controls have the same median")
    assert ssmd([5, 5], [7, 7]) == (None, "the wells of each control are all equal")
    assert ssmd([0.1] * 3, [0.7] * 3).value is None  # whose computed mean is not 0.1
    assert z_prime([0.1] * 3, [0.7] * 3).value == 1


def counts(*rows: tuple[Any, ...], names: tuple[str, ...] = ("Object",)) -> pd.DataFrame:
    columns = ["Metadata_Well", "Metadata_Site", "Metadata_Timepoint", *names, "Count"]
    return pd.DataFrame(rows, columns=columns).astype({"Count": "Int64"})


def values_of(table: pd.DataFrame) -> dict[tuple[str, int, str], float]:
    assert list(table.columns) == list(VALUE_COLUMNS)
    return {tuple(row[:3]): row[3] for row in table.itertuples(index=False)}


def test_the_count_of_a_well_is_the_mean_of_the_fields_that_were_counted() -> None:
    table = counts(
        ("A01", 1, 1, "Nuclei", 10), ("A01", 2, 1, "Nuclei", 20), ("A01", 3, 1, "Nuclei", None),
        ("A01", 1, 2, "Nuclei", 4), ("A01", 1, 1, "Cells", 7), ("A02", 1, 1, "Nuclei", 0),
        ("A03", 1, 1, "Nuclei", None),
    )  # fmt: skip
    assert values_of(count_values(table)) == {
        ("A01", 1, "Nuclei_Count"): 15,
        ("A01", 2, "Nuclei_Count"): 4,
        ("A01", 1, "Cells_Count"): 7,
        ("A02", 1, "Nuclei_Count"): 0,
    }


def test_what_was_not_seen_wholly_is_left_out_and_said() -> None:
    rows = [
        (well, site, 1, "Nuclei", 16 if well[0] == "A" else 4)
        for well in ("A01", "A02", "B01", "B02")
        for site in (1, 2)
    ]
    table = counts(*rows).assign(Status="ok")
    table.loc[(table[WELL] == "A02") & (table[SITE] == 2), ["Count", "Status"]] = (0, "field_blanked")
    left_out = fields_left_out(table)
    assert left_out == {Place("A02", 2, 1): FieldStatus.FIELD_BLANKED, Place("A02", 0, 1): FieldStatus.FIELD_BLANKED}
    controls = dict.fromkeys(("A01", "A02"), "negative") | dict.fromkeys(("B01", "B02"), "positive")
    row = plate_statistics(count_values(table), controls, plate="P", left_out=left_out).iloc[0]
    assert (row["Z_Prime"], row["Negative_Mean"], row["Negative_Wells"]) == (1, 16, 2)
    assert row["Note"].startswith("1 field of negative controls left out (an image that could not be read was taken")


@pytest.mark.parametrize("status", ["field_blanked", "field_skipped", "field_absent", "well_failed"])
def test_only_counts_that_are_ok_make_the_value_of_a_well(status: str) -> None:
    table = counts(("A01", 1, 1, "Nuclei", 10), ("A01", 2, 1, "Nuclei", 0)).assign(Status=["ok", status])
    assert values_of(count_values(table)) == {("A01", 1, "Nuclei_Count"): 10}


def test_objects_of_fields_that_are_left_out_do_not_count() -> None:
    area = "Nuclei_AreaShape_Area"
    rows = [("A01", 1, 1, 10.0), ("A01", 2, 1, 90.0), ("A01", 2, 2, 30.0), ("A01", None, 1, 70.0), ("A02", 2, 1, 50.0)]
    table = pd.DataFrame(rows, columns=[WELL, SITE, TIMEPOINT, area])
    left_out = {Place("A01", 2, 1), Place("A01", 0, 1)}
    assert values_of(object_values([table], left_out)) == {
        ("A01", 1, area): 10,
        ("A01", 2, area): 30,
        ("A02", 1, area): 50,
    }


def test_counts_of_each_channel_are_readouts_of_their_own() -> None:
    table = counts(("A01", 1, 1, "Spots", 1, 3), ("A01", 1, 1, "Spots", 2, 5), names=("Object", "Metadata_Channel"))
    assert values_of(count_values(table)) == {("A01", 1, "Spots_Count_1"): 3, ("A01", 1, "Spots_Count_2"): 5}


def test_without_a_count_there_is_no_value() -> None:
    assert values_of(count_values(counts(("A01", 1, 1, "", None)))) == {}
    assert values_of(count_values(counts())) == {}


def test_area_and_mean_intensities_are_the_features_that_count() -> None:
    names = [
        "Metadata_Well", "Metadata_ObjectNumber", "Nuclei_AreaShape_Area", "Nuclei_AreaShape_Eccentricity",
        "AreaShape_Area",
        "Cells_Intensity_MeanIntensity_Texas Red", "Cells_Intensity_IntegratedIntensity_DAPI",
        "Nuclei_Location_Center_X", "Nuclei_AreaShape_AreaBoundingBox", "Nuclei_Intensity_MeanIntensityEdge_DAPI",
    ]  # fmt: skip
    assert feature_columns(names) == ["Nuclei_AreaShape_Area", "Cells_Intensity_MeanIntensity_Texas Red"]


def test_a_feature_of_a_well_is_the_median_of_its_objects() -> None:
    table = pd.DataFrame(
        {
            "Metadata_Well": ["A01", "A01", "A01", "A01", "A02", "A02"],
            "Metadata_Timepoint": [1, 1, 1, 2, 1, 1],
            "Nuclei_AreaShape_Area": [10, 30, 500, 7, 1, 2],
            "Cells_Intensity_MeanIntensity_DAPI": [1.0, NAN, 3.0, 5.0, NAN, NAN],
            "Odd_AreaShape_Area": ["large"] * 6,
        }
    )
    found = values_of(object_values([table.iloc[:4], table.iloc[4:]]))
    assert found.pop(("A01", 1, "Nuclei_AreaShape_Area")) == 30
    assert found.pop(("A01", 2, "Nuclei_AreaShape_Area")) == 7
    assert found.pop(("A02", 1, "Nuclei_AreaShape_Area")) == 1.5
    assert found.pop(("A01", 1, "Cells_Intensity_MeanIntensity_DAPI")) == 2
    assert found.pop(("A01", 2, "Cells_Intensity_MeanIntensity_DAPI")) == 5
    assert all(math.isnan(value) for value in found.values()) and len(found) == 1


def values(*rows: tuple[str, int, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(VALUE_COLUMNS))


CONTROLS = {"A01": "negative", "A02": "negative", "B01": "positive", "B02": "positive", "C01": "empty", "C02": ""}
COMPLETE = values(
    ("A01", 1, "Nuclei_Count", 10), ("A02", 1, "Nuclei_Count", 14), ("B01", 1, "Nuclei_Count", 110),
    ("B02", 1, "Nuclei_Count", 114), ("C01", 1, "Nuclei_Count", 5000), ("C02", 1, "Nuclei_Count", 7000),
)  # fmt: skip


def test_the_table_holds_each_readout_and_timepoint_with_both_controls() -> None:
    later = COMPLETE.assign(Metadata_Timepoint=2, Value=COMPLETE["Value"] * 2)
    area = COMPLETE.assign(Readout="Nuclei_AreaShape_Area")
    table = plate_statistics(pd.concat([later, area, COMPLETE]), CONTROLS, plate="P1")
    assert list(table.columns) == list(STATISTICS_COLUMNS)
    assert table[["Readout", "Metadata_Timepoint"]].values.tolist() == [
        ["Nuclei_Count", 1],
        ["Nuclei_Count", 2],
        ["Nuclei_AreaShape_Area", 1],
    ]
    first, sd = table.iloc[0], math.sqrt(8)
    assert (first["Metadata_Plate"], first["Positive_Wells"], first["Negative_Wells"]) == ("P1", 2, 2)
    assert first[["Positive_Mean", "Positive_SD", "Negative_Mean", "Negative_SD"]].tolist() == [112, sd, 12, sd]
    assert first["Z_Prime"] == pytest.approx(1 - 6 * sd / 100)
    assert first["Robust_Z_Prime"] == pytest.approx(1 - 6 * 1.4826 * 2 / 100)
    assert first["SSMD"] == pytest.approx(100 / 4)
    assert first["Note"] == ""


def test_wells_without_a_value_are_left_out_and_the_note_says_so() -> None:
    found = COMPLETE[COMPLETE["Metadata_Well"] != "A02"]
    row = plate_statistics(found, CONTROLS, plate="P1").iloc[0]
    assert row["Note"] == (
        "1 of 2 negative controls without a value; two wells of each control are needed, found 1 negative"
    )
    assert (row["Negative_Wells"], row["Negative_Mean"]) == (1, 10)
    assert row[["Negative_SD", "Z_Prime", "Robust_Z_Prime", "SSMD"]].isna().all()
    assert row["Positive_SD"] == math.sqrt(8)


def test_a_failed_control_does_not_keep_three_others_from_their_statistics() -> None:
    row = plate_statistics(COMPLETE, CONTROLS | {"D01": "negative"}, plate="P1").iloc[0]
    assert row["Z_Prime"] == pytest.approx(1 - 6 * math.sqrt(8) / 100)
    assert row["Note"] == "1 of 3 negative controls without a value"


def test_one_kind_of_control_is_described_but_told_apart_from_nothing() -> None:
    row = plate_statistics(COMPLETE, {"A01": "negative", "A02": "negative"}, plate="P1").iloc[0]
    assert (row["Negative_Mean"], row["Positive_Wells"]) == (12, 0)
    assert math.isnan(row["Z_Prime"])
    assert row["Note"] == "two wells of each control are needed, found 0 positive"


@pytest.mark.parametrize("controls", [{}, {"A01": "empty"}])
def test_without_a_named_control_the_table_has_its_header_only(controls: dict[str, str]) -> None:
    table = plate_statistics(COMPLETE, controls, plate="P1")
    assert table.empty
    assert table.to_csv(index=False, lineterminator="\n") == ",".join(STATISTICS_COLUMNS) + "\n"


def test_without_a_value_the_table_has_its_header_only() -> None:
    assert plate_statistics(values(), CONTROLS, plate="P1").empty


@pytest.mark.parametrize("odd", [INF, -INF, 1.7e308, NAN])
def test_no_infinite_number_is_ever_written(odd: float) -> None:
    found = COMPLETE.assign(Value=[odd, -odd, odd, 1.0, 2.0, 3.0])
    text = plate_statistics(found, CONTROLS, plate="P1").to_csv(index=False)
    assert "inf" not in text
    assert "nan" not in text


def test_equal_input_gives_equal_statistics_whatever_the_order_of_the_wells() -> None:
    first = plate_statistics(COMPLETE, CONTROLS, plate="P1")
    second = plate_statistics(COMPLETE.iloc[::-1], CONTROLS, plate="P1")
    pd.testing.assert_frame_equal(first, second)
