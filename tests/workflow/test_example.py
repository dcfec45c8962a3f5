"""The example plate through the shipped configuration, against the truth that lies beside it."""

import csv
import math
import re
from collections import Counter, defaultdict
from statistics import mean, median, stdev

import pandas as pd
import pytest
from PIL import Image

from tests.workflow.project import Project
from wellfield.example.example_plate import DOSES_UM, HALF_MAXIMAL_UM, ExamplePlate

pytestmark = [pytest.mark.workflow, pytest.mark.quick]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A finished run on the example plate; its raw folder is ``raw``."""
    project = Project(tmp_path_factory.mktemp("example") / "project")
    found = ExamplePlate().write(project.root / "raw")
    project.add("Example", found.plate, plate_map=found.plate_map)
    project.run()
    return project


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_shipped_pipeline_counts_within_five_percent_of_the_truth_in_every_well(example):
    counts = Counter()
    for row in rows(example.results("Example", "cell_counts.csv")):
        assert row["Status"] == "ok"
        counts[row["Metadata_Well"]] += int(row["Count"])
    truth = pd.read_csv(example.root / "raw" / "truth.csv").groupby("well")["nuclei"].sum()
    assert set(counts) == set(truth.index)
    errors = {well: counts[well] / truth[well] - 1 for well in counts}
    assert {well: error for well, error in errors.items() if abs(error) > 0.05} == {}


def values_by_hand(example):
    """Readout → control → its wells' values, from the tables alone."""
    per_field = defaultdict(list)
    for row in rows(example.results("Example", "cell_counts.csv")):
        per_field[row["Metadata_Well"]].append(int(row["Count"]))
    found = {"Nuclei_Count": {well: sum(counts) / len(counts) for well, counts in per_field.items()}}
    for well in per_field:
        objects = rows(example.results("Example", "tables", well, "objects.csv"))
        for name in ("AreaShape_Area", "Intensity_MeanIntensity_DAPI", "Intensity_MeanIntensity_FITC"):
            values = [float(row[f"Nuclei_{name}"]) for row in objects]
            found.setdefault(f"Nuclei_{name}", {})[well] = median(values)
    controls = {"positive": ("B05", "C05"), "negative": ("B02", "C02")}
    return {
        readout: {kind: [by_well[well] for well in wells] for kind, wells in controls.items()}
        for readout, by_well in found.items()
    }


def test_z_prime_and_ssmd_are_those_computed_by_hand_from_the_tables(example):
    table = {row["Readout"]: row for row in rows(example.results("Example", "report", "plate_statistics.csv"))}
    expected = values_by_hand(example)
    assert list(table) == list(expected)
    for readout, groups in expected.items():
        row, (positive, negative) = table[readout], (groups["positive"], groups["negative"])
        assert (row["Metadata_Plate"], row["Metadata_Timepoint"], row["Note"]) == ("Example", "1", "")
        assert (row["Positive_Wells"], row["Negative_Wells"]) == ("2", "2")
        distance = mean(positive) - mean(negative)
        z_prime = 1 - 3 * (stdev(positive) + stdev(negative)) / abs(distance)
        ssmd = distance / math.sqrt(stdev(positive) ** 2 + stdev(negative) ** 2)
        assert float(row["Z_Prime"]) == pytest.approx(z_prime, rel=1e-12)
        assert float(row["SSMD"]) == pytest.approx(ssmd, rel=1e-12)
        # The median deviation of two values is half their distance.
        spread = 1.4826 * sum(abs(values[0] - values[1]) / 2 for values in (positive, negative))
        assert float(row["Robust_Z_Prime"]) == pytest.approx(1 - 3 * spread / abs(distance), rel=1e-12)
    assert float(table["Nuclei_Count"]["Z_Prime"]) > 0.5
    assert float(table["Nuclei_Count"]["SSMD"]) < -3
    assert float(table["Nuclei_Intensity_MeanIntensity_FITC"]["SSMD"]) > 3


def page_rows(example):
    """Rows of the tables of the page, as lists of text."""
    page = example.results("Example", "report", "summary.html").read_text(encoding="utf-8")
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", page)]


def test_the_page_shows_the_statistics_and_an_ec50_about_the_true_one(example):
    found = page_rows(example)
    groups = values_by_hand(example)["Nuclei_Count"].values()
    (statistics,) = (row for row in found if row[:2] == ["Nuclei_Count", "1"])
    assert statistics[2:4] == [f"{mean(values):.4g} ± {stdev(values):.3g} (2)" for values in groups]
    (count,) = (row for row in found if row[:3] == ["compound A", "µM", "Nuclei_Count"])
    low, high = map(float, count[4].split(" to "))
    assert DOSES_UM[0] < low < HALF_MAXIMAL_UM < high < DOSES_UM[-1]
    assert float(count[3]) == pytest.approx(HALF_MAXIMAL_UM, rel=0.5)
    with Image.open(example.results("Example", "report", "dose_response.png")) as image:
        assert image.format == "PNG"
        assert max(image.size) <= 1500
