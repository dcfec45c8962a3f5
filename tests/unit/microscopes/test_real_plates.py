"""Every ImageXpress folder of the real plates is read with exactly the facts that their README states."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from wellfield.errors import EmptyPlateError
from wellfield.microscopes import MicroscopeHandler, get_microscope_handler
from wellfield.microscopes.htd import read_htd
from wellfield.microscopes.metaseries import read_tags
from wellfield.microscopes.parsed_plate import find_holes
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.keys import Projection
from wellfield.plate.plate import Plate
from wellfield.storage import VirtualWorkspaceBackend

pytestmark = pytest.mark.realdata

NONE, MAX, FOCUS = Projection.NONE, Projection.MAX, Projection.BEST_FOCUS


class Ingested:
    """What ingest made of one real plate."""

    def __init__(self, raw: Path, results: Path) -> None:
        before = listing(raw)
        handler, why = get_microscope_handler(raw)
        assert handler._microscope_type == "imagexpress"
        self.info: Plate = handler.initialize_workspace(results, plate=raw.name, why=why)
        assert listing(raw) == before
        info, self.planes = read_index(results / "index.parquet")
        assert info == self.info
        self.raw, self.results = raw, results
        self.report: dict[str, Any] = json.loads((results / "ingest_report.json").read_text())
        self.ignored = {reason: found["count"] for reason, found in self.report["ignored"].items()}

    def layers(self) -> dict[int, list[tuple[int, Projection]]]:
        """Return z and projection of every channel; the same in all wells, fields and timepoints."""
        assert find_holes(self.planes) == []
        channels = sorted({plane.key.channel for plane in self.planes})
        return {c: sorted({(p.key.z, p.key.projection) for p in self.planes if p.key.channel == c}) for c in channels}

    def axis(self, name: str) -> list[int]:
        return sorted({getattr(plane.key, name) for plane in self.planes})


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in [folder, *folder.rglob("*")])


@pytest.fixture
def ingest(real_plates: Path, tmp_path: Path) -> Any:
    return lambda name: Ingested(real_plates / "imagexpress" / name, tmp_path / "results")


def test_export_style_with_filler_copies(ingest: Any, real_plates: Path) -> None:
    plate = ingest("9987_Plate_3434")
    assert plate.info.wells == ("B02", "B03")
    assert (plate.axis("field"), plate.axis("timepoint")) == ([1, 2], [1])
    assert plate.info.channels == {1: "DAPI", 2: "FITC", 3: "Texas Red"}
    assert plate.layers() == {1: [(0, MAX), (1, NONE), (2, NONE)], 2: [(0, MAX)], 3: [(1, NONE)]}
    assert plate.ignored == {"copy that the vendor filled a folder with": 16}
    assert len(plate.planes) + 16 == 36
    assert plate.report["promised_but_absent"] == {"channels": ["4 (Cy5)"], "z": ["3"]}
    assert (plate.info.shape, plate.info.dtype) == ((256, 256), "uint16")
    assert plate.info.pixel_size_um == pytest.approx(1.3672, abs=5e-5)
    assert plate.info.grid_dimensions == (1, 2)

    folder = plate.raw / "TimePoint_1" / "ZStep_1"
    tags = [read_tags(folder / f"9987_B02_s{site}_w1.TIF") for site in (1, 2)]
    step = abs(tags[1].stage_x_um - tags[0].stage_x_um)  # type: ignore[union-attr]
    assert step == pytest.approx(315, abs=1)
    assert 256 - step / 1.3672 == pytest.approx(25.6, abs=0.5)


def test_fillers_are_byte_equal_copies_of_planes_that_are_kept(ingest: Any) -> None:
    plate = ingest("9987_Plate_3434")
    kept = {(plate.raw / plane.path).read_bytes() for plane in plate.planes}
    for path in plate.report["ignored"]["copy that the vendor filled a folder with"]["files"]:
        assert (plate.raw / path).read_bytes() in kept


def test_database_style_with_thumbnails_and_mixed_projections(ingest: Any) -> None:
    plate = ingest("Projection-Mix")
    assert (plate.info.wells, plate.axis("field")) == (("E07",), [1, 2])
    stack = [(1, NONE), (2, NONE), (3, NONE)]
    assert plate.layers() == {1: [(0, MAX), *stack], 2: [(0, FOCUS), *stack], 3: [(0, MAX)], 4: [(1, NONE)]}
    assert plate.ignored == {"thumbnail": 20}
    assert (plate.info.shape, plate.info.pixel_size_um) == ((512, 512), pytest.approx(1.3668, abs=5e-5))
    assert len(set(plate.info.channels.values())) == 4
    assert plate.info.grid_dimensions is None

    positions = {plane.key.field: (plane.stage_x_um, plane.stage_y_um) for plane in plate.planes}
    (x1, y1), (x2, y2) = positions[1], positions[2]
    assert max(abs(x2 - x1), abs(y2 - y1)) >= 512 * 1.3668 - 1  # no overlap


def test_timepoints_without_z_folders_or_htd(ingest: Any) -> None:
    plate = ingest("1well-3C-2S-Zmix-T")
    assert (plate.info.wells, plate.axis("field"), plate.axis("timepoint")) == (("C07",), [1, 2], [1, 2])
    assert list(plate.layers()) == [1, 2, 3]
    assert len(plate.planes) == 12
    assert plate.ignored == {}
    assert (plate.info.shape, plate.info.pixel_size_um) == ((256, 256), pytest.approx(13.5504, abs=5e-4))

    def position(plane: PlaneRecord) -> tuple[float, float]:
        return plane.stage_x_um, plane.stage_y_um

    fields = {plane.key.field: position(plane) for plane in plate.planes}
    assert fields[1][0] == pytest.approx(fields[2][0], abs=5)  # stacked vertically
    assert abs(fields[1][1] - fields[2][1]) > 1000


def test_htd_without_images(real_plates: Path) -> None:
    folder = real_plates / "imagexpress" / "HTD_only_3x3mask"
    (path,) = folder.glob("*/*.HTD")
    htd = read_htd(path)
    assert (htd.z_steps, htd.sites, htd.site_grid) == (26, 6, (3, 3))
    assert len(htd.wave_names or {}) == 4
    with pytest.raises(EmptyPlateError, match="z steps: 26") as caught:
        get_microscope_handler(folder)[0].read_plate()
    assert "fields per well: 6 on a 3 x 3 grid" in str(caught.value)


@pytest.mark.parametrize("name", ["9987_Plate_3434", "Projection-Mix", "1well-3C-2S-Zmix-T"])
def test_every_mapped_plane_loads_with_the_shape_of_the_plate(ingest: Any, name: str) -> None:
    plate = ingest(name)
    entry = json.loads((plate.results / "openhcs_metadata.json").read_text())["subdirectories"]["."]
    workspace = VirtualWorkspaceBackend(plate.raw, entry["workspace_mapping"])
    images = workspace.load_batch(MicroscopeHandler.get_image_files(plate.results))
    assert {(image.shape, image.dtype.name) for image in images} == {(plate.info.shape, "uint16")}
    assert all(image.max() > 0 for image in images)


def test_no_imagexpress_folder_of_the_real_plates_is_left_out(real_plates: Path) -> None:
    folders = {entry.name for entry in os.scandir(real_plates / "imagexpress") if entry.is_dir()}
    assert folders == {"9987_Plate_3434", "Projection-Mix", "1well-3C-2S-Zmix-T", "HTD_only_3x3mask"}
