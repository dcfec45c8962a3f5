"""The example plate as an Opera Phenix writes it: the same cells as on the ImageXpress, in another vendor's words."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from wellfield.errors import ConfigError, StorageError
from wellfield.plate.keys import FieldKey
from wellfield.testing.harmony_index import NAMESPACES
from wellfield.testing.harmony_plate import HarmonyPlate, Version
from wellfield.testing.synthetic import ExampleFiles, ExamplePlate, main

IMAGEXPRESS = ExamplePlate(wells=("B02", "C04"), size=64, z=2)
PHENIX = replace(IMAGEXPRESS, microscope="opera_phenix")


@pytest.fixture(scope="module")
def phenix(tmp_path_factory: pytest.TempPathFactory) -> ExampleFiles:
    return PHENIX.write(tmp_path_factory.mktemp("phenix"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def truth(files: ExampleFiles) -> dict[FieldKey, int]:
    with files.truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {FieldKey(row["well"], int(row["field"]), int(row["timepoint"])): int(row["nuclei"]) for row in rows}


def test_files_hold_the_cells_of_the_field_that_truth_names(phenix: ExampleFiles) -> None:
    layout, counted = PHENIX.layout(), truth(phenix)
    files = list(layout.files(phenix.plate.parent))
    assert len(files) == len(list(phenix.plate.rglob("*.tiff"))) == (2 * 4 - 1) * 2 * 2
    assert {file.key.field_key for file in files} == set(counted)
    for file in files:
        pixels = IMAGEXPRESS.pixels(file.key.field_key)[file.key.channel - 1, file.key.z - 1]
        assert np.array_equal(tifffile.imread(file.path), pixels)
    assert counted == {field: len(IMAGEXPRESS.nuclei(field)) for field in counted}


def test_fields_have_the_vendors_numbers_on_disk_and_raster_numbers_in_truth(phenix: ExampleFiles) -> None:
    names = {path.name for path in (phenix.plate / "Images").glob("*.tiff")}
    # Two rows of two, numbered as a snake: the vendor's 4 lies at the bottom left, which is field 3 row by row.
    third = tifffile.imread(phenix.plate / "Images/r02c02f04p01-ch1sk1fk1fl1.tiff")
    assert np.array_equal(third, IMAGEXPRESS.pixels(FieldKey("B02", 3, 1))[0, 0])
    assert {name for name in names if name.startswith("r03c04f04")} == set()
    assert set(truth(phenix)) == set(IMAGEXPRESS.field_keys()) - {FieldKey("C04", 3, 1)}


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
    found = replace(PHENIX, size=32, fields=1, z=1, channels=1, harmony_version=version.value).write(tmp_path)
    (index,) = found.plate.rglob("*.xml")
    assert ElementTree.parse(index).getroot().tag == f"{{{NAMESPACES[version]}}}EvaluationInputData"


def test_gap_is_left_out_where_it_would_change_the_numbers_of_fields() -> None:
    for fields, wells in ((1, ("B02", "C04")), (4, ("C04",)), (4, ("B02", "B03"))):
        layout = replace(PHENIX, fields=fields, wells=wells).layout()
        assert isinstance(layout, HarmonyPlate)
        assert layout.missing_fields == frozenset()
        assert len(layout.field_numbers) == fields
    assert len(replace(PHENIX, fields=7).field_keys()) == 13


def test_same_arguments_give_equal_bytes_and_a_second_run_writes_nothing(phenix: ExampleFiles, tmp_path: Path) -> None:
    PHENIX.write(tmp_path)
    assert contents(tmp_path) == contents(phenix.plate.parent)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    PHENIX.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    (tmp_path / "Plate_1/Images/Index.xml").unlink()
    PHENIX.write(tmp_path)
    assert contents(tmp_path) == contents(phenix.plate.parent)


def test_example_of_another_microscope_and_strangers_are_refused(phenix: ExampleFiles, tmp_path: Path) -> None:
    for other in (IMAGEXPRESS, replace(PHENIX, harmony_version="V5")):
        with pytest.raises(StorageError, match="other arguments"):
            other.write(phenix.plate.parent)
    found = replace(PHENIX, size=32, fields=1, z=1, channels=1).write(tmp_path)
    found.truth.unlink()
    (found.plate / "Images/mine.tiff").touch()
    with pytest.raises(StorageError, match=r"Plate_1/Images/mine\.tiff"):
        replace(PHENIX, size=32, fields=1, z=1, channels=1).write(tmp_path)


def test_note_of_an_imagexpress_example_is_as_it_was_before_there_was_a_second_microscope(tmp_path: Path) -> None:
    replace(IMAGEXPRESS, size=32, fields=1, z=1, channels=1).write(tmp_path)
    note = json.loads((tmp_path / "synthetic.json").read_text(encoding="utf-8"))
    names = "wells fields channels z timepoints size touching pixel_size_um z_spacing_um seed"
    assert " ".join(note["arguments"]) == names


def test_command_line_chooses_the_microscope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(IMAGEXPRESS, size=32, fields=1, z=1, channels=1)
    monkeypatch.setattr("wellfield.testing.synthetic.ExamplePlate", lambda: small)
    assert main([str(tmp_path / "phenix"), "--microscope", "opera_phenix"]) == 0
    assert (tmp_path / "phenix/Plate_1/Images/Index.xml").is_file()
    assert main([str(tmp_path / "usual")]) == 0
    assert (tmp_path / "usual/Plate_1/Plate_1.HTD").is_file()


@pytest.mark.parametrize("wrong", [{"microscope": "leica"}, {"harmony_version": "V4"}])
def test_unknown_microscopes_and_versions_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected one of"):
        ExamplePlate(**wrong)
