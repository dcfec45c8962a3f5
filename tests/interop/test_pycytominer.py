"""Tables of objects of a plate, as pycytominer profiles them in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellfield.formats.table import read_parquet, write_parquet
from wellfield.plate.platemap import WellTreatment
from wellfield.processing.objects import measure_objects
from wellfield.workflow.plate_tables import join_tables

# Well → ids of its objects, and what was in it.
WELLS = {
    "A01": ([1, 2, 3], "negative"),
    "A02": ([4, 70_000], "negative"),
    "A03": ([1, 5, 6, 9], "negative"),
    "B01": ([2, 7, 8], "positive"),
}


def plate(folder: Path) -> Path:
    """Write the table of objects of a plate as the workflow does; return its path."""
    files, treatments = {}, {}
    for number, (well, (ids, control)) in enumerate(WELLS.items()):
        random = np.random.default_rng(number)
        labels = np.zeros((1, 40, 200), np.int32)
        for place, name in enumerate(ids):
            labels[0, 5 : 15 + place + number, 20 * place : 20 * place + 12] = name
        image = random.integers(100, 1000, (2, 40, 200)).astype(np.uint16)
        _, _, objects = measure_objects(image, labels=labels, channel_names=["DAPI", "FITC"])
        keys = {"Metadata_Plate": ["P"] * len(ids), "Metadata_Well": [well] * len(ids)}
        keys |= {name: np.ones(len(ids), np.int32) for name in ("Metadata_Site", "Metadata_Timepoint")}
        files[well] = folder / f"{well}.parquet"
        write_parquet(files[well], keys | objects)
        treatments[well] = WellTreatment(well, "DMSO", None, "", control)
    join_tables(files, treatments, parquet=folder / "objects.parquet")
    return folder / "objects.parquet"


@pytest.fixture(scope="module")
def profiled(
    pycytominer: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    path = plate(tmp_path_factory.mktemp("plate"))
    return path, pycytominer(str(path))


def test_objects_keep_their_number_when_they_are_normalized(profiled: tuple[Path, dict[str, Any]]) -> None:
    path, found = profiled
    assert found["normalized_objects"] == found["columns"] == read_parquet(path).column_names
    assert found["ids"] == [name for ids, _ in WELLS.values() for name in ids]


def test_objects_are_counted_and_their_median_is_that_of_the_well(profiled: tuple[Path, dict[str, Any]]) -> None:
    path, found = profiled
    assert found["counts"] == {well: len(ids) for well, (ids, _) in WELLS.items()}
    table = read_parquet(path).to_pandas()
    assert found["medians"] == table.groupby("Metadata_Well")["Nuclei_AreaShape_Area"].median().to_dict()


def test_wells_are_normalized_to_the_negative_controls_and_features_selected(
    profiled: tuple[Path, dict[str, Any]],
) -> None:
    _, found = profiled
    features = [name for name in found["columns"] if name.startswith("Nuclei_")]
    assert [name for name in found["profiles"] if not name.startswith("Metadata_")] == features
    selected = [name for name in found["selected"] if not name.startswith("Metadata_")]
    assert 0 < len(selected) < len(features)
    assert {"Metadata_Plate", "Metadata_Well", "Metadata_Control"} <= set(found["selected"])
