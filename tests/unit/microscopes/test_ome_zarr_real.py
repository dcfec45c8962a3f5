"""The real OME-Zarr samples are read with the facts that their README states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zarr

from wellfield.microscopes import get_microscope_handler
from wellfield.plate.addresses import parse_array_plane
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.plate import Plate
from wellfield.storage import VirtualWorkspaceBackend

pytestmark = pytest.mark.realdata

Ingested = tuple[Plate, list[PlaneRecord], dict[str, Any], Path]


@pytest.fixture
def ingest(real_plates: Path, tmp_path: Path) -> Any:
    def ingest(name: str) -> Ingested:
        raw = real_plates / "ome_zarr" / name
        handler, why = get_microscope_handler(raw)
        assert handler._microscope_type == "ome_zarr"
        handler.initialize_workspace(tmp_path / "results", plate=name, why=why)
        info, planes = read_index(tmp_path / "results" / "index.parquet")
        report = json.loads((tmp_path / "results" / "ingest_report.json").read_text())
        entry = json.loads((tmp_path / "results" / "openhcs_metadata.json").read_text())["subdirectories"]["."]
        assert entry["available_backends"] == {"disk": False, "virtual_workspace": True}
        assert set(entry["workspace_mapping"].values()) == {plane.path for plane in planes}
        workspace = VirtualWorkspaceBackend(raw, entry["workspace_mapping"])
        for virtual, found in zip(
            entry["workspace_mapping"], workspace.load_batch(list(entry["workspace_mapping"])), strict=True
        ):
            address = parse_array_plane(entry["workspace_mapping"][virtual])
            assert address is not None
            truth = zarr.open_array(raw / address.array, mode="r")[address.at]
            assert (found == truth).all()
            assert found.dtype == truth.dtype
        return info, planes, report, raw

    return ingest


def test_a_plate_with_axes_cyx(ingest: Any) -> None:
    info, planes, report, _ = ingest("single-plane-hcs.zarr")
    assert (info.wells, info.shape, info.dtype) == (("E07", "E08"), (256, 512), "uint16")
    assert len(planes) == 2 * 3
    assert (info.pixel_size_um, info.z_spacing_um) == (2.7336, None)
    assert info.channels == {
        1: "Maximum-Projection_FITC_05_w1",
        2: "Best-Focus-Projection_FITC_05",
        3: "Maximum-Projection_FITC_05_w3",
    }
    assert (report["promised_but_absent"], report["missing_planes"], report["ignored"]) == ({}, [], {})
    assert report["images_opened"] == 0


def test_a_plate_with_unpadded_columns_and_two_fields(ingest: Any) -> None:
    info, planes, report, _ = ingest("hcs.zarr")
    assert info.wells == ("A01", "A02", "B01", "B02")
    assert {plane.key.field for plane in planes} == {1, 2}
    assert len(planes) == 4 * 2 * 3
    assert info.channels == {1: "Name", 2: "Channel 1", 3: "Channel 2"}
    assert (info.pixel_size_um, info.z_spacing_um, info.shape, info.dtype) == (1.0, 1.0, (64, 64), "uint8")
    assert (report["notes"], report["ignored"]) == ([], {})


@pytest.mark.parametrize(
    ("name", "fields", "channels", "shape"), [("bf2raw.zarr", 2, 1, (8, 8)), ("2d.zarr", 1, 3, (64, 64))]
)
def test_images_without_a_plate(ingest: Any, name: str, fields: int, channels: int, shape: tuple[int, int]) -> None:
    info, planes, report, _ = ingest(name)
    assert (info.wells, info.shape, info.dtype, info.pixel_size_um) == (("A01",), shape, "uint8", None)
    assert [(p.key.field, p.key.channel) for p in planes] == [
        (field + 1, channel + 1) for field in range(fields) for channel in range(channels)
    ]
    assert "assumed to be fields of one well, A01" in report["notes"][0]
    assert report["ignored"] == {}
