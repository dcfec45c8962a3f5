"""The example plate as an Opera Phenix writes it: the same cells, in another vendor's words.

Fields have the vendor's numbers, the stage is not exact, and well C04 lacks its last field in the vendor's numbering.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np

from tests.generators.harmony_plate import HarmonyChannel, HarmonyPlate, Version
from tests.generators.harmony_writer import write_harmony
from wellfield.example import ExampleFiles, ExamplePlate
from wellfield.example.example_plate import WAVES, write_plate_map
from wellfield.plate.keys import FieldKey, PlaneKey

EXCITATION_NM = (375, 488, 561, 640)
JITTER = 0.01
"""Largest error of the stage, of the way from field to field."""
GAP = "C04"


def phenix_layout(example: ExamplePlate, version: Version = Version.V7) -> HarmonyPlate:
    """Return the vendor's side of the plate."""
    rows, columns = example.layout().grid
    signs = "x" * example.fields + "." * (rows * columns - example.fields)
    # A missing field must be there in another well, or the true numbers would be others.
    has_gap = GAP in example.wells and len(example.wells) > 1 and example.fields > 1
    return HarmonyPlate(
        wells=example.wells,
        field_mask=tuple(signs[start : start + columns] for start in range(0, len(signs), columns)),
        channels=tuple(
            HarmonyChannel(name=wave.name, excitation_nm=excitation, emission_nm=wave.emission_nm)
            for wave, excitation in zip(WAVES[: example.channels], EXCITATION_NM, strict=False)
        ),
        size=(example.size, example.size),
        z_planes=example.z,
        timepoints=example.timepoints,
        version=version,
        pixel_size_um=example.pixel_size_um,
        z_spacing_um=example.z_spacing_um,
        jitter_um=JITTER * example.size * example.pixel_size_um,
        missing_fields=frozenset({(GAP, example.fields)} if has_gap else ()),
        seed=example.seed,
    )


def phenix_fields(example: ExamplePlate) -> list[FieldKey]:
    """Return the fields that the plate has."""
    layout = phenix_layout(example)
    gaps = {(well, layout.field_numbers[field_id]) for well, field_id in layout.missing_fields}
    return [key for key in example.field_keys() if (key.well, key.field) not in gaps]


def write_phenix_example(folder: Path, example: ExamplePlate, version: Version = Version.V7) -> ExampleFiles:
    """Write the plate and, beside it, ``plate_map.csv`` and ``truth.csv``."""
    layout = phenix_layout(example, version)
    found = ExampleFiles(folder / layout.name, folder / "plate_map.csv", folder / "truth.csv")
    pixels = lru_cache(maxsize=1)(example.pixels)

    def plane(key: PlaneKey) -> np.ndarray:
        return pixels(key.field_key)[key.channel - 1, key.z - 1]

    write_harmony(folder, layout, plane)
    write_plate_map(found.plate_map, example.wells)
    with found.truth.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("well", "field", "timepoint", "nuclei"))
        writer.writerows((*field, len(example.nuclei(field))) for field in phenix_fields(example))
    return found
