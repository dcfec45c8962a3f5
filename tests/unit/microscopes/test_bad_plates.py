"""What every microscope must bear: odd folders around a plate, other plates in it, links, and files that are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.generators.harmony_plate import HarmonyPlate
from tests.generators.harmony_writer import write_harmony
from tests.generators.imagexpress_plate import ImageXpressPlate
from tests.generators.imagexpress_writer import write_imagexpress
from wellfield.errors import EmptyPlateError, MetadataError, MicroscopeDetectionError
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.parsed_plate import ParsedPlate, find_holes
from wellfield.microscopes.scan import scan_plate
from wellfield.plate.index import PlaneRecord, read_index
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.plate.wells import well_name
from wellfield.workflow.ingest_plate import ingest_plate


def pixels(key: PlaneKey) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    return np.full((8, 8), key.field, np.uint16)


def write_phenix(folder: Path, name: str = "p") -> set[PlaneKey]:
    return {file.key for file in write_harmony(folder, HarmonyPlate(name=name, size=(8, 8)), pixels)}


def write_express(folder: Path, name: str = "p") -> set[PlaneKey]:
    plate = ImageXpressPlate(name=name, size=(8, 8), z_steps=0)
    return {file.key for file in write_imagexpress(folder, plate, pixels)}


VENDORS = {"opera_phenix": write_phenix, "imagexpress": write_express}
every_vendor = pytest.mark.parametrize("vendor", VENDORS)
Write = Callable[[Path, str], set[PlaneKey]]


def keys(folder: Path) -> set[PlaneKey]:
    return {plane.key for plane in get_microscope_handler(folder)[0].read_plate().planes}


@every_vendor
def test_a_plate_is_known_by_its_content(vendor: str, tmp_path: Path) -> None:
    VENDORS[vendor](tmp_path)
    assert get_microscope_handler(tmp_path / "p")[0]._microscope_type == vendor


def test_a_folder_with_plates_of_two_vendors_is_an_error_naming_both(tmp_path: Path) -> None:
    write_phenix(tmp_path / "screen", "one")
    write_express(tmp_path / "screen", "two")
    with pytest.raises(MicroscopeDetectionError, match=r"looks like 2 microscopes: imagexpress \(.*opera_phenix \("):
        get_microscope_handler(tmp_path / "screen")


@every_vendor
@pytest.mark.parametrize("name", ["A01", "B02_s1_w1", "r01c01", "TimePoint", "Plätte µ (1).zarr.old", "ZStep"])
def test_folders_whose_names_look_like_something_else_say_nothing(vendor: str, name: str, tmp_path: Path) -> None:
    expected = VENDORS[vendor](tmp_path / name, name)
    assert keys(tmp_path / name / name) == expected
    assert keys(tmp_path / name) == expected


@every_vendor
def test_links_in_a_plate_lead_nowhere(vendor: str, tmp_path: Path) -> None:
    expected = VENDORS[vendor](tmp_path)
    image = next(path for path in (tmp_path / "p").rglob("*") if path.suffix.lower() in (".tif", ".tiff"))
    (image.parent / f"x{image.name}").symlink_to(image.parent / "nothing.tif")
    (image.parent / "loop").symlink_to(image.parent)
    (image.parent / "out").symlink_to(tmp_path)
    contents = get_microscope_handler(tmp_path / "p")[0].read_plate()
    assert {plane.key for plane in contents.planes} == expected
    assert len(contents.ignored["broken link"]) == 1
    assert len(contents.ignored["link to a folder"]) == 2


@every_vendor
def test_empty_and_garbage_images_are_planes_that_fail_when_they_are_read(vendor: str, tmp_path: Path) -> None:
    expected = VENDORS[vendor](tmp_path)
    for path in (tmp_path / "p").rglob("*"):
        if path.suffix.lower() in (".tif", ".tiff"):
            path.write_bytes(b"" if path.name < "m" else b"garbage")
    contents = get_microscope_handler(tmp_path / "p")[0].read_plate()
    assert {plane.key for plane in contents.planes} == expected
    assert (contents.plate.shape, contents.plate.dtype) == (None, None)


@every_vendor
def test_a_plate_without_images_says_what_its_metadata_promises(vendor: str, tmp_path: Path) -> None:
    VENDORS[vendor](tmp_path)
    for path in (tmp_path / "p").rglob("*"):
        if path.suffix.lower() in (".tif", ".tiff"):
            path.unlink()
    with pytest.raises(EmptyPlateError, match=r"(?s)Its metadata promises:.*wells: 2 \(B02, B03\)"):
        get_microscope_handler(tmp_path / "p")[0].read_plate()


@every_vendor
def test_the_raw_folder_is_not_written_and_the_results_are_the_same_twice(vendor: str, tmp_path: Path) -> None:
    VENDORS[vendor](tmp_path)
    before = [(path, path.lstat()) for path in sorted((tmp_path / "p").rglob("*"))]
    for name in ("one", "two"):
        ingest_plate(str(tmp_path / "p"), plate="P", microscope="auto", results=tmp_path / name)
    after = [(path, path.lstat()) for path in sorted((tmp_path / "p").rglob("*"))]
    assert [(p, s.st_size, s.st_mtime_ns, s.st_mode) for p, s in after] == [
        (p, s.st_size, s.st_mtime_ns, s.st_mode) for p, s in before
    ]
    for name in ("index.parquet", "openhcs_metadata.json", "ingest_report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    report = json.loads((tmp_path / "one" / "ingest_report.json").read_text())
    assert report["microscope"]["name"] == vendor


def test_fields_numbered_on_through_the_plate_are_no_holes_by_the_million(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = [
        PlaneRecord(PlaneKey(well_name(number // 24, number % 24), 9 * number + field, 1, 1, 1), "x", 1, 1)
        for number in range(384)
        for field in range(1, 10)
    ]
    assert find_holes(planes) == []
    lost = planes.pop(7)
    assert find_holes(planes) == []  # nothing tells that this field was there
    monkeypatch.setattr("wellfield.microscopes.parsed_plate.MOST_HOLES", 10**9)
    assert len(find_holes([*planes, lost])) == 384 * 9 * 383  # each field in every other well


def test_numbers_that_count_on_through_the_plate_make_no_report_of_millions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("parsed_plate", "ingest_report"):
        monkeypatch.setattr(f"wellfield.microscopes.{module}.MOST_HOLES", 5000)
    wells = [well_name(number // 12, number % 12) for number in range(96)]
    planes = [PlaneRecord(PlaneKey(wells[z % 96], 1, 1, z, 1), "x", 1, 1) for z in range(1, 2001)]
    contents = ParsedPlate(planes, Plate(channels={1: "DAPI"}))
    contents.complete(name="P", path="", microscope="x")
    report = ingest_report(contents, why="")
    assert len(report["missing_planes"]) == 1000
    assert report["notes"][0].startswith("5000 or more planes seem to be missing")


@pytest.mark.parametrize("seconds", [-2_000_000_000, 0])
def test_files_of_any_past_time_are_mapped(tmp_path: Path, seconds: int) -> None:
    (tmp_path / "p").mkdir()
    write_tiff(tmp_path / "p" / "P_A01_s1_w1.tif", np.zeros((4, 4), "u2"))
    os.utime(tmp_path / "p" / "P_A01_s1_w1.tif", (seconds, seconds))
    ingest_plate(str(tmp_path / "p"), plate="P", microscope="auto", results=tmp_path / "r", acquisition_minutes=10)
    [plane] = read_index(tmp_path / "r" / "index.parquet")[1]
    assert plane.mtime_ns == seconds * 10**9


def test_a_time_that_no_table_holds_is_an_error_naming_the_file(tmp_path: Path) -> None:
    for well in ("A01", "A02"):
        write_tiff(tmp_path / f"P_{well}_s1_w1.tif", np.zeros((4, 4), "u2"))
    scan = scan_plate(tmp_path)
    scan.files[1] = scan.files[1]._replace(mtime_ns=13_570_000_000 * 10**9)  # which file systems may not hold either
    with pytest.raises(MetadataError, match=r"time of P_A02_s1_w1\.tif is in the year 2400; expected one before 2262"):
        get_microscope_handler(tmp_path, scan=scan)[0].read_plate()
