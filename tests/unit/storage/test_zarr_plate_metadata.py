"""Shared metadata of a plate, and what is cleaned up when it is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import WellNameError
from wellfield.storage.backend import ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend

backend = ZarrStorageBackend()
FIELD = ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "plate.zarr"
    for number, (well, fields) in enumerate({"B10": 1, "A02": 3, "AA03": 2}.items()):
        paths = [store / f"{well}_s{field:03d}_w1_z001_t001.tif" for field in range(1, fields + 1)]
        backend.save_batch([np.full((8, 8), number, np.uint16)] * fields, paths, zarr_config=FIELD)
    return store


def plate(store: Path) -> dict:
    return json.loads((store / "zarr.json").read_text())["attributes"]["ome"]["plate"]


def content(store: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(store)): (p.read_bytes(), p.stat().st_mtime_ns) for p in store.rglob("*") if p.is_file()}


def test_a_well_write_touches_nothing_that_wells_share(store: Path) -> None:
    assert sorted(path.name for path in store.iterdir()) == ["A", "AA", "B"]
    assert [path.name for path in (store / "A").iterdir()] == ["02"]


def test_the_plate_lists_wells_in_plate_order_with_rows_and_columns_not_swapped(store: Path) -> None:
    assert finalize_plate(store, ["AA3", "b10", "A02"], name="P1") == ["A02", "B10", "AA03"]
    described = plate(store)
    assert described["name"] == "P1"
    assert described["field_count"] == 3
    assert [row["name"] for row in described["rows"]] == ["A", "B", "AA"]
    assert [column["name"] for column in described["columns"]] == ["02", "03", "10"]
    assert described["wells"] == [
        {"path": "A/02", "rowIndex": 0, "columnIndex": 0},
        {"path": "B/10", "rowIndex": 1, "columnIndex": 2},
        {"path": "AA/03", "rowIndex": 2, "columnIndex": 1},
    ]
    for row in ("A", "B", "AA"):
        assert json.loads((store / row / "zarr.json").read_text())["node_type"] == "group"


def test_doing_it_again_changes_no_file(store: Path) -> None:
    finalize_plate(store, ["A02", "B10"], name="P1")
    before = content(store)
    finalize_plate(store, ["B10", "A02"], name="P1")
    assert content(store) == before


def test_wells_without_a_folder_are_not_listed(store: Path) -> None:
    assert finalize_plate(store, ["A02", "B10", "AA03", "H12"], name="P") == ["A02", "B10", "AA03"]
    assert not (store / "H").exists()


def test_wells_that_are_not_of_the_plate_go_with_their_empty_rows(store: Path) -> None:
    assert finalize_plate(store, ["A02"], name="P") == ["A02"]
    assert sorted(path.name for path in store.iterdir()) == ["A", "zarr.json"]
    assert len(backend.list_files(store)) == 3


def test_leftovers_of_killed_writers_go_and_foreign_files_stay(store: Path) -> None:
    (store / "A/.02.0123456789ab.part/1").mkdir(parents=True)
    (store / ".zarr.json.0123456789ab.part").write_text("{")
    (store / "notes.txt").write_text("mine")
    finalize_plate(store, ["A02"], name="P")
    assert sorted(path.name for path in store.iterdir()) == ["A", "notes.txt", "zarr.json"]
    assert sorted(path.name for path in (store / "A").iterdir()) == ["02", "zarr.json"]


def test_a_well_that_a_crash_left_under_its_old_name_is_put_back(store: Path) -> None:
    (store / "A/02").rename(store / "A/.02.000000000000.part")
    assert finalize_plate(store, ["A02"], name="P") == ["A02"]
    assert backend.load(store / "A02_s001_w1_z001_t001.tif").max() == 1


def test_a_plate_without_wells_is_an_empty_group(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    assert finalize_plate(store, ["A01"], name="P") == []
    described = json.loads((store / "zarr.json").read_text())
    assert (described["node_type"], list(described["attributes"])) == ("group", ["wellfield"])
    assert finalize_plate(store, ["A01"], name="P") == []
    assert backend.list_files(store) == []


def test_wells_that_are_none_are_refused_before_anything_is_removed(store: Path) -> None:
    before = content(store)
    with pytest.raises(WellNameError):
        finalize_plate(store, ["A02", "nowhere"], name="P")
    assert content(store) == before
