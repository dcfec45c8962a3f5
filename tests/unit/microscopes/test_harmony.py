"""Harmony's index: read as a stream, and as others read the real ones."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.generators.harmony_index import index_bytes
from tests.generators.harmony_plate import HarmonyChannel, HarmonyPlate, Version
from wellfield.errors import EmptyPlateError
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.harmony import ListedPlane, read_harmony_index, read_measurement
from wellfield.plate.index import read_index
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import well_name
from wellfield.storage import VirtualWorkspaceBackend


@pytest.mark.parametrize("version", Version)
def test_memory_does_not_hold_the_xml(version: Version, tmp_path: Path) -> None:
    wells = tuple(f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13))
    plate = HarmonyPlate(
        wells=wells, version=version, channels=(HarmonyChannel(), HarmonyChannel(name="b")), z_planes=3
    )
    path = tmp_path / "Index.xml"
    path.write_bytes(index_bytes(plate))
    read_harmony_index(path)  # imports and caches
    tracemalloc.start()
    try:
        index = read_harmony_index(path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index.planes) == 96 * 9 * 2 * 3
    assert peak < held + 1_500_000  # the index has 4 to 9 MB, its elements ten times that
    assert held < 1000 * len(index.planes)


@pytest.mark.parametrize("version", Version)
def test_head_tells_measurement_and_version(version: Version, tmp_path: Path) -> None:
    path = tmp_path / "Index.xml"
    path.write_bytes(index_bytes(HarmonyPlate(name="Plätte, 1.1", version=version)))
    found = read_measurement(path)
    assert found is not None
    assert (found.version, found.plates) == (f"Harmony{version}", ("Plätte, 1.1",))
    assert found.measurement_id


# --- real indices, against what another program made of them ---------------------------------------------------------


def parsed_elsewhere(path: Path) -> list[dict[str, Any]]:
    """Return what ``load_data_version*.csv`` says of each plane of its one row."""
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)

    def number(name: str, channel: str) -> float:
        return float(row.get(f"Metadata_{name}_{channel}", row.get(f"Metadata_{name}", "")))

    channels = [name.removeprefix("FileName_") for name in row if name.startswith("FileName_")]
    return [
        {
            "url": row[f"FileName_{channel}"],
            "channel": int(number("ChannelID", channel)),
            "name": row[f"Metadata_ChannelName_{channel}"],
            "well": row["Metadata_Well"],
            "field": int(number("FieldID", channel)),
            "plane": int(number("PlaneID", channel)),
            "x": number("PositionX", channel),
            "y": number("PositionY", channel),
            "z": number("PositionZ", channel),
            "stage_z": number("AbsPositionZ", channel),
            "excitation": number("MainExcitationWavelength", channel),
            "emission": number("MainEmissionWavelength", channel),
            "pixel_size": number("ImageResolutionX", channel),
            "size": (int(number("ImageSizeY", channel)), int(number("ImageSizeX", channel))),
            "plate": row["Metadata_Plate"],
        }
        for channel in channels
    ]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "table", "count"),
    [
        ("phenix_V5_1field_6ch", "load_data_version1.csv", 6),
        ("phenix_V7_index_only", "load_data_version7.csv", 7),
    ],
)
def test_another_programs_parse_of_real_indices_agrees_plane_by_plane(
    real_plates: Path, folder: str, table: str, count: int
) -> None:
    root = real_plates / "opera_phenix" / folder
    index = read_harmony_index(next((root / "images").glob("Index*.xml")))
    expected = parsed_elsewhere(root / table)
    assert len(index.planes) == len(expected) == count
    ours: dict[str, ListedPlane] = {plane.url: plane for plane in index.planes}
    for plane in expected:
        mine, channel = ours[plane["url"]], index.channels[plane["channel"]]
        assert (mine.channel, mine.field, mine.plane) == (plane["channel"], plane["field"], plane["plane"])
        assert well_name(mine.row - 1, mine.column - 1) == plane["well"]
        assert [mine.x_um, mine.y_um, mine.z_um, mine.stage_z_um] == pytest.approx(
            [1e6 * plane[axis] for axis in ("x", "y", "z", "stage_z")], rel=1e-12
        )
        assert channel.name == plane["name"]
        assert (channel.excitation_nm, channel.emission_nm or 0) == (plane["excitation"], plane["emission"])
        assert channel.pixel_size_um == pytest.approx(1e6 * plane["pixel_size"])
        assert channel.shape == plane["size"]
        assert index.measurement.plates == (plane["plate"],)


@pytest.mark.realdata
def test_real_operetta_plate_has_the_facts_of_its_readme(real_plates: Path, tmp_path: Path) -> None:
    root = real_plates / "opera_phenix" / "operetta_V5_1well_2fields"
    handler, why = get_microscope_handler(root)
    info = handler.initialize_workspace(tmp_path, plate="P", why=why)
    _, planes = read_index(tmp_path / "index.parquet")
    assert {plane.key: plane.path for plane in planes} == {
        PlaneKey("C03", field, 1, 1, 1): f"Images/r03c03f0{field}p01-ch1sk1fk1fl1.tiff" for field in (1, 2)
    }
    assert info.pixel_size_um == pytest.approx(1.19595, abs=1e-5)
    assert (info.shape, info.dtype, info.channels) == ((1080, 1080), "uint16", {1: "Fluorescein (FITC)"})
    assert info.grid_dimensions == (1, 2)
    step_px = (planes[1].stage_x_um - planes[0].stage_x_um) / info.pixel_size_um
    assert step_px == pytest.approx(1080, abs=0.5)  # no overlap
    assert list(info.flatfields) == [1]


@pytest.mark.realdata
def test_real_phenix_plate_has_the_facts_of_its_readme(real_plates: Path, tmp_path: Path) -> None:
    root = real_plates / "opera_phenix" / "phenix_V5_1field_6ch"
    info = get_microscope_handler(root)[0].initialize_workspace(tmp_path, plate="P")
    _, planes = read_index(tmp_path / "index.parquet")
    assert [plane.key for plane in planes] == [PlaneKey("A01", 1, channel, 1, 1) for channel in range(1, 7)]
    assert info.channels[5] == "HOECHST 33342"
    workspace = VirtualWorkspaceBackend(root, {plane.path: plane.path for plane in planes})
    assert max(workspace.load(plane.path).max() for plane in planes) == 65535  # saturated pixels stay as they are


@pytest.mark.realdata
def test_an_index_without_images_says_what_it_promises(real_plates: Path) -> None:
    root = real_plates / "opera_phenix" / "phenix_V7_index_only"
    with pytest.raises(EmptyPlateError, match=r"(?s)planes: 7.*wells: 1 \(A01\).*405ex, 570-630-em\)"):
        get_microscope_handler(root)[0].read_plate()
