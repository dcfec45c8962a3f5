"""The example plate as an Opera Phenix writes it: the same cells as on the ImageXpress, in another vendor's words."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from tests.generators.harmony_index import NAMESPACES
from tests.generators.harmony_plate import Version
from tests.generators.phenix_example import phenix_fields, phenix_layout, write_phenix_example
from wellfield.example import ExampleFiles, ExamplePlate
from wellfield.plate.keys import FieldKey

EXAMPLE = ExamplePlate(wells=("B02", "C04"), size=64, z=2)


@pytest.fixture(scope="module")
def phenix(tmp_path_factory: pytest.TempPathFactory) -> ExampleFiles:
    return write_phenix_example(tmp_path_factory.mktemp("phenix"), EXAMPLE)


def truth(files: ExampleFiles) -> dict[FieldKey, int]:
    with files.truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {FieldKey(row["well"], int(row["field"]), int(row["timepoint"])): int(row["nuclei"]) for row in rows}


def test_files_hold_the_cells_of_the_field_that_truth_names(phenix: ExampleFiles) -> None:
    layout, counted = phenix_layout(EXAMPLE), truth(phenix)
    files = list(layout.files(phenix.plate.parent))
    assert len(files) == len(list(phenix.plate.rglob("*.tiff"))) == (2 * 4 - 1) * 2 * 2
    assert {file.key.field_key for file in files} == set(counted)
    for file in files:
        pixels = EXAMPLE.pixels(file.key.field_key)[file.key.channel - 1, file.key.z - 1]
        assert np.array_equal(tifffile.imread(file.path), pixels)
    assert counted == {field: len(EXAMPLE.nuclei(field)) for field in counted}


def test_fields_have_the_vendors_numbers_on_disk_and_raster_numbers_in_truth(phenix: ExampleFiles) -> None:
    names = {path.name for path in (phenix.plate / "Images").glob("*.tiff")}
    # Two rows of two, numbered as a snake: the vendor's 4 lies at the bottom left, which is field 3 row by row.
    third = tifffile.imread(phenix.plate / "Images/r02c02f04p01-ch1sk1fk1fl1.tiff")
    assert np.array_equal(third, EXAMPLE.pixels(FieldKey("B02", 3, 1))[0, 0])
    assert {name for name in names if name.startswith("r03c04f04")} == set()
    assert set(truth(phenix)) == set(EXAMPLE.field_keys()) - {FieldKey("C04", 3, 1)}


def test_stage_is_not_exact_but_rows_and_columns_stay_clear(phenix: ExampleFiles) -> None:
    root = ElementTree.parse(phenix.plate / "Images/Index.xml").getroot()
    places = {
        (image.findtext("{*}Row"), image.findtext("{*}FieldID")): (
            float(image.findtext("{*}PositionX")) * 1e6,
            float(image.findtext("{*}PositionY")) * 1e6,
        )
        for image in root.find("{*}Images")
    }
    half, jitter = 64 * 0.65 / 2, 0.01 * 64 * 0.65
    nominal = {"1": (-half, half), "2": (half, half), "3": (half, -half), "4": (-half, -half)}
    away = np.array([np.subtract(place, nominal[field_id]) for (_, field_id), place in places.items()])
    assert len(places) == 7
    assert np.abs(away).min() > 0 and np.abs(away).max() <= jitter + 0.001


@pytest.mark.parametrize("version", Version)
def test_index_has_the_schema_asked_for(tmp_path: Path, version: Version) -> None:
    found = write_phenix_example(tmp_path, replace(EXAMPLE, size=32, fields=1, z=1, channels=1), version)
    (index,) = found.plate.rglob("*.xml")
    assert ElementTree.parse(index).getroot().tag == f"{{{NAMESPACES[version]}}}EvaluationInputData"


def test_gap_is_left_out_where_it_would_change_the_numbers_of_fields() -> None:
    for fields, wells in ((1, ("B02", "C04")), (4, ("C04",)), (4, ("B02", "B03"))):
        layout = phenix_layout(replace(EXAMPLE, fields=fields, wells=wells))
        assert layout.missing_fields == frozenset()
        assert len(layout.field_numbers) == fields
    assert len(phenix_fields(replace(EXAMPLE, fields=7))) == 13
