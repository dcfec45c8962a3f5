"""Objects that a pipeline would make of channels of transmitted light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.generators.harmony_plate import HarmonyChannel, HarmonyPlate
from tests.generators.harmony_writer import write_harmony
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.index import plate_json, plate_of_json, read_info
from wellfield.plate.plate import Plate
from wellfield.workflow.compile_plan import compile_plan, transmitted_notes
from wellfield.workflow.ingest_plate import ingest_plate

DPC = HarmonyChannel(name="computed", excitation_nm=740, emission_nm=0)
DAPI = HarmonyChannel(name="DAPI", excitation_nm=405, emission_nm=456)


def ingest(tmp_path: Path) -> Path:
    plate = HarmonyPlate(channels=(DPC, DAPI), size=(8, 8))
    write_harmony(tmp_path, plate, lambda key: np.zeros(plate.size, "u2"))
    ingest_plate(str(tmp_path / plate.name), plate="P", microscope="auto", results=tmp_path / "r")
    return tmp_path / "r" / "index.parquet"


@pytest.mark.parametrize(("channels", "noted"), [([1], True), ([1, 2], True), ([2], False)])
def test_objects_of_a_channel_without_emission_are_noted(tmp_path: Path, channels: list[int], noted: bool) -> None:
    index = ingest(tmp_path)
    steps = [{"name": "mask", "func": "threshold_otsu", "channels": channels}, {"name": "nuclei", "func": "label"}]
    notes = transmitted_notes(compile_plan(index, {"steps": steps}), read_info(index))
    assert len(notes) == noted
    assert all(
        note.startswith("step mask makes objects of channel 1 (computed), which is transmitted") for note in notes
    )


def test_steps_that_make_no_objects_are_not_noted(tmp_path: Path) -> None:
    index = ingest(tmp_path)
    plan = compile_plan(index, {"steps": [{"func": "max_projection", "materialize": True}]})
    assert transmitted_notes(plan, read_info(index)) == []


@pytest.mark.parametrize(
    ("name", "transmitted"),
    [
        ("Digital Phase Contrast", True),
        ("Brightfield H", True),
        ("bright field", True),
        ("TL 25", True),
        ("BF_01", True),
        ("Transmitted Light", True),
        ("DIC", True),
        ("DAPI", False),
        ("BFP", False),
        ("Transferrin", False),
        ("indicator", False),
    ],
)
def test_names_tell_transmitted_light(name: str, transmitted: bool) -> None:
    info = ParsedPlate([], Plate(channels={1: name, 2: "DNA"})).complete(name="P", path="", microscope="")
    assert info.transmitted_channels == ((1,) if transmitted else ())
    assert plate_of_json(plate_json(info), source="x") == info
