from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generators.imagexpress_writer import ImageFile, ImageXpressPlate, Style, Wave, write_imagexpress
from wellfield.errors import DuplicatePlaneError, EmptyPlateError, ImageKindError, MetadataError, PlateNotFoundError
from wellfield.formats.tiff import read_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.imagexpress import ImageXpressHandler
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.parsed_plate import ParsedPlate, find_holes
from wellfield.microscopes.scan import Scan, scan_plate
from wellfield.plate.keys import PlaneKey, Projection

Read = Callable[[Path], ParsedPlate]
WriteFile = Callable[..., Path]
WritePlate = Callable[[ImageXpressPlate], tuple[Path, list[ImageFile]]]

MIXED = (
    Wave(name="DAPI", projection="Maximum"),
    Wave(name="FITC", z=0, projection="Best Focus"),
    Wave(name="Texas Red", z=1),
    Wave(name="Cy5", on_disk=False),
)
PLATES = {
    "export, mixed waves": ImageXpressPlate(name="p", waves=MIXED, size=(8, 8), thumbnails=True),
    "database, mixed waves": ImageXpressPlate(
        name="p", waves=MIXED[:3], style=Style.DATABASE, size=(8, 8), thumbnails=True
    ),
    "export, times": ImageXpressPlate(
        name="p", waves=(Wave(), Wave(name="once", timepoints=1)), timepoints=3, promised_timepoints=5, size=(8, 8)
    ),
    "times and fillers": ImageXpressPlate(
        name="p",
        waves=(Wave(), Wave(name="P", z=0, projection="Maximum", timepoints=1), Wave(name="S", z=1, timepoints=2)),
        timepoints=3,
        z_steps=2,
        size=(8, 8),
    ),
    "twelve z": ImageXpressPlate(name="p", z_steps=12, size=(8, 8), wells=("B02",)),
    "only z folders": ImageXpressPlate(name="p", timepoint_folders=False, size=(8, 8)),
    "flat": ImageXpressPlate(name="p", timepoint_folders=False, z_steps=0, size=(8, 8)),
    "flat, no tokens": ImageXpressPlate(
        name="p", timepoint_folders=False, z_steps=0, site_mask=("x",), site_token=False, wave_token=False, size=(8, 8)
    ),
    "no z, times": ImageXpressPlate(name="p", z_steps=0, timepoints=2, size=(8, 8)),
    "database, no z": ImageXpressPlate(name="p", z_steps=0, style=Style.DATABASE, size=(8, 8)),
    "1536 wells, odd names": ImageXpressPlate(
        name="Plätte µ (2) D4", wells=("A01", "Z48", "AA02", "AF48"), plate_rows=32, plate_columns=48, size=(8, 8)
    ),
    "irregular sites": ImageXpressPlate(name="p", site_mask=("x.x", ".xx"), size=(8, 8)),
}
GUID = "607EE13F-AB5E-4E8C-BC4B-52E1118E7723"
# Names in the vendor's dialects, made of names in another: suffixes, and GUIDs glued to the last token or bracketed.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda name: f"{name.rpartition('.')[0]}.tiff",
    lambda name: f"{name.rpartition('.')[0]}.TIF",
    lambda name: name if "-" in name else f"{name.rpartition('.')[0]}{GUID}.tif",
    lambda name: name if "-" in name else f"{name.rpartition('.')[0]}[{GUID.lower()}].TIF",
)
every_plate = pytest.mark.parametrize("plate", PLATES.values(), ids=PLATES)


def truth(files: list[ImageFile]) -> set[PlaneKey]:
    return {file.key for file in files if not file.thumbnail}


def found(contents: ParsedPlate) -> dict[PlaneKey, Path]:
    keys = [plane.key for plane in contents.planes]
    assert len(keys) == len(set(keys))
    return {plane.key: Path(plane.path) for plane in contents.planes}


def listing(folder: Path) -> list[tuple[str, int, int, int]]:
    return sorted(
        (str(path), status.st_size, status.st_mtime_ns, status.st_mode)
        for path in [folder, *folder.rglob("*")]
        for status in [path.lstat()]
    )


# --- what is found ------------------------------------------------------------------------------------------------


@every_plate
def test_every_plane_is_found_under_its_true_key(plate: ImageXpressPlate, write_plate: WritePlate, read: Read) -> None:
    folder, files = write_plate(plate)
    contents = read(folder)
    originals = {file.key: file.path.relative_to(folder) for file in files if not (file.thumbnail or file.filler)}
    assert found(contents) == originals
    assert contents.notes == []
    fillers = sorted(str(file.path.relative_to(folder)) for file in files if file.filler)
    thumbnails = sorted(str(file.path.relative_to(folder)) for file in files if file.thumbnail)
    assert sorted(contents.ignored.get("copy that the vendor filled a folder with", [])) == fillers
    assert sorted(contents.ignored.get("thumbnail", [])) == thumbnails
    assert set(contents.ignored) <= {"copy that the vendor filled a folder with", "thumbnail"}


@every_plate
def test_geometry_and_calibration_are_those_of_the_plate(
    plate: ImageXpressPlate, write_plate: WritePlate, read: Read
) -> None:
    contents = read(write_plate(plate)[0])
    assert (contents.plate.shape, contents.plate.dtype, contents.plate.pixel_size_um) == (
        (8, 8),
        "uint16",
        pytest.approx(0.65),
    )
    assert contents.plate.z_spacing_um == (pytest.approx(3.0, abs=0.02) if plate.z_steps > 1 else None)
    for plane in contents.planes:
        if plane.stage_x_um == plane.stage_x_um:  # it was sampled
            centre, offset = plate.well_centre(plane.key.well), plate.field_offset(plane.key.field)
            expected = (centre[0] + offset[0], centre[1] + offset[1])
            assert (plane.stage_x_um, plane.stage_y_um) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", PLATES)
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_subset_of_a_plate_gives_the_right_keys_for_what_is_left(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    plate = PLATES[name]
    folder = tmp_path_factory.mktemp("subset")
    files = write_imagexpress(folder, plate, lambda key: np.full(plate.size, key.z, "u2"))
    kept = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=len(files), unique=True))
    for file in set(files) - set(kept):
        file.path.unlink()
    renamed = {}
    for file in kept:
        spelling = data.draw(st.sampled_from(SPELLINGS))
        renamed[file.path.rename(file.path.with_name(spelling(file.path.name))).relative_to(folder / plate.name)] = file
    scan = scan_plate(folder / plate.name)
    scan = Scan(scan.root, data.draw(st.permutations(scan.files)), scan.skipped)
    handler = get_microscope_handler(folder / plate.name, "imagexpress", scan=scan)[0]
    if expected := truth(kept):
        contents = handler.read_plate()
        planes = found(contents)
        assert set(planes) == expected
        assert all(renamed[path].key == key for key, path in planes.items())
        assert len(planes) + sum(map(len, contents.ignored.values())) == len(kept)
    else:
        with pytest.raises(EmptyPlateError, match=r"it holds .* left out \(thumbnail\)"):
            handler.read_plate()


def test_a_copy_stands_in_for_an_original_that_is_absent_and_is_reported(write_plate: WritePlate, read: Read) -> None:
    folder, files = write_plate(PLATES["export, mixed waves"])
    (lost,) = [f for f in files if not (f.filler or f.thumbnail) and f.key == PlaneKey("B03", 2, 3, 1, 1)]
    lost.path.unlink()
    contents = read(folder)
    assert set(found(contents)) == truth(files)
    (note,) = contents.notes
    assert "is by its tags B03_s002_w3_z001_t001.tif and stands in for the original, which is absent" in note


def test_the_order_of_z_folders_is_that_of_their_numbers(write_plate: WritePlate, read: Read) -> None:
    folder, _ = write_plate(PLATES["twelve z"])
    planes = found(read(folder))
    for z in (2, 10, 12):
        path = planes[PlaneKey("B02", 1, 1, z, 1)]
        assert path.parent.name == f"ZStep_{z}"
        assert read_tiff(folder / path).max() == 100 + z


def test_missing_planes_are_absent_and_reported_never_invented(write_plate: WritePlate, read: Read) -> None:
    folder, files = write_plate(PLATES["only z folders"])
    lost = [file for file in files if file.key[:4] in {("B02", 2, 1, 3), ("B03", 1, 1, 1)}]
    for file in lost:
        file.path.unlink()
    contents = read(folder)
    assert set(found(contents)) == truth(files) - truth(lost)
    assert set(find_holes(contents.planes)) == truth(lost)
    assert len(list(folder.rglob("*.TIF"))) == len(files) - len(lost)


def test_what_channels_lack_by_design_is_no_hole(write_plate: WritePlate, read: Read) -> None:
    for name in ("export, mixed waves", "times and fillers", "export, times"):
        folder, files = write_plate(PLATES[name])
        assert find_holes(read(folder).planes) == []
        lost = next(file for file in files if file.key.channel == 1 and not (file.thumbnail or file.filler))
        lost.path.unlink()
        assert find_holes(read(folder).planes) == [lost.key]
        shutil.rmtree(folder)


def test_the_report_says_what_was_found_and_what_was_promised(write_plate: WritePlate, read: Read) -> None:
    folder, files = write_plate(PLATES["export, mixed waves"])
    contents = read(folder)
    contents.complete(name="P", path=str(folder), microscope="imagexpress")
    report = ingest_report(contents, why="because")
    assert report["found"]["planes"] == len(truth(files))
    assert report["found"]["channels"] == {
        "1": {"name": "DAPI", "z_and_projections": ["max", "z1", "z2", "z3"]},
        "2": {"name": "FITC", "z_and_projections": ["best_focus"]},
        "3": {"name": "Texas Red", "z_and_projections": ["z1"]},
    }
    assert report["promised_but_absent"] == {"channels": ["4 (Cy5)"]}
    assert report["missing_planes"] == []
    assert report["microscope"] == {"name": "imagexpress", "why": "because"}
    json.dumps(report)


def test_timepoints_that_were_promised_and_are_not_there_are_reported(write_plate: WritePlate, read: Read) -> None:
    assert read(write_plate(PLATES["export, times"])[0]).promised == {"timepoints": ["4", "5"]}


def test_image_opens_are_bounded_by_waves_and_folders(write_plate: WritePlate, read: Read) -> None:
    wells = tuple(f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13))
    plate = ImageXpressPlate(name="p", wells=wells, waves=(Wave(), Wave(name="F", z=1)), z_steps=2, size=(4, 4))
    contents = read(write_plate(plate)[0])
    assert contents.images_opened <= 2 * 2 * 2 + 2 * 2 + len(wells)  # groups, waves, wells
    assert len(contents.planes) == 96 * 2 * 3


def test_channel_names_are_unique_whatever_the_vendor_called_them(write_plate: WritePlate, read: Read) -> None:
    waves = tuple(Wave(name=name) for name in ("A", "A", "A_w1", "B"))
    contents = read(write_plate(ImageXpressPlate(name="p", waves=waves, z_steps=1, size=(4, 4)))[0])
    assert len(set(contents.plate.channels.values())) == 4
    assert any("used more than once" in note for note in contents.notes)


def test_wells_come_row_by_row_as_on_the_plate(write_plate: WritePlate, read: Read) -> None:
    contents = read(write_plate(PLATES["1536 wells, odd names"])[0])
    info = contents.complete(name="P", path="", microscope="imagexpress")
    assert info.wells == ("A01", "Z48", "AA02", "AF48")


def test_sites_and_waves_that_count_from_zero_are_raised_on_the_whole_plate(write_file: WriteFile, read: Read) -> None:
    for name in ("P_A01_s0_w0.tif", "P_A01_s1_w0.tif", "P_A02_s1_w1.tif"):
        folder = write_file(name, tagged=False).parent
    contents = read(folder)
    assert [plane.key[:3] for plane in contents.planes] == [("A01", 1, 1), ("A01", 2, 1), ("A02", 2, 2)]
    assert "sites and waves in the names count from 0; each is raised by one" in contents.notes


def _palette(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((4, 4), "u1"), photometric="palette", colormap=np.zeros((3, 256), "u2"))


def _pages(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((2, 4, 4), "u2"), photometric="minisblack")


def _colours(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((4, 4, 3), "u1"), photometric="rgb")


@pytest.mark.parametrize("name", ["P_A01_s1_w1.tif", "P_A03_s1_w1.tif"])
@pytest.mark.parametrize("make", [_pages, _colours])
def test_a_sampled_file_that_is_no_grey_plane_is_named(
    write_file: WriteFile, read: Read, name: str, make: Callable[[Path], None]
) -> None:
    for well in ("A01", "A02", "A03"):
        folder = write_file(f"P_{well}_s1_w1.tif").parent
    make(folder / name)
    contents = read(folder)
    assert (contents.plate.shape, contents.plate.dtype) == ((4, 4), "uint16")
    assert any(note.startswith(f"the well of {name} will fail: ") for note in contents.notes)


@pytest.mark.parametrize("make", [_palette, _pages, _colours])
def test_a_plate_without_any_grey_plane_is_an_error(tmp_path: Path, read: Read, make: Callable[[Path], None]) -> None:
    for well in ("A01", "A02", "A03"):
        make(tmp_path / f"P_{well}_s1_w1.tif")
    with pytest.raises(ImageKindError, match=r"P_A01_s1_w1\.tif"):
        read(tmp_path)


# --- files without tags, odd files --------------------------------------------------------------------------------


def test_names_alone_give_a_usable_plate(write_file: WriteFile, read: Read) -> None:
    for z in (0, 1, 2):
        folder = write_file(f"ZStep_{z}/x_A01_s1_w1.tif", tagged=False).parents[1]
    assert set(found(read(folder))) == {
        PlaneKey("A01", 1, 1, 0, 1, Projection.UNKNOWN),
        PlaneKey("A01", 1, 1, 1, 1),
        PlaneKey("A01", 1, 1, 2, 1),
    }


def test_files_beside_z_folders_are_projections(write_file: WriteFile, read: Read) -> None:
    write_file("TimePoint_2/x_A01_s1_w1.tif", tagged=False)
    folder = write_file("TimePoint_2/ZStep_1/x_A01_s1_w1.tif", tagged=False).parents[2]
    assert set(found(read(folder))) == {
        PlaneKey("A01", 1, 1, 0, 2, Projection.UNKNOWN),
        PlaneKey("A01", 1, 1, 1, 2),
    }


@pytest.mark.parametrize("broken", ["first", "last", "both"])
def test_an_unreadable_file_keeps_the_place_that_its_neighbours_show(
    write_plate: WritePlate, read: Read, broken: str
) -> None:
    folder, files = write_plate(PLATES["export, mixed waves"])
    inside = sorted(
        file.path for file in files if file.path.parent.name == "ZStep_2" and file.path.stem.endswith("_w3")
    )
    for path in {"first": inside[:1], "last": inside[-1:], "both": [inside[0], inside[-1]]}[broken]:
        path.write_bytes(b"" if broken == "first" else b"garbage")
    assert set(found(read(folder))) == truth(files)


def test_two_files_for_one_plane_are_an_error_naming_both(write_file: WriteFile, read: Read) -> None:
    write_file("2024-01-01/17/x_B02_s1_w1.tif")
    folder = write_file("2024-01-02/18/x_B02_s1_w1.tif").parents[2]
    with pytest.raises(DuplicatePlaneError) as caught:
        read(folder)
    for text in ("2024-01-01/17/x_B02_s1_w1.tif", "2024-01-02/18/x_B02_s1_w1.tif", "well B02, field 1, channel 1"):
        assert text in str(caught.value)


def test_other_files_are_ignored_by_reason(write_file: WriteFile, read: Read) -> None:
    folder = write_file("x_A01_s1_w1.tif").parent
    for name in ("notes.txt", "overview.tif", ".DS_Store", "x.HTD", "x_A01_s1_w1_thumb.tif"):
        (folder / name).write_bytes(b"")
    contents = read(folder)
    assert contents.ignored == {
        "no image": ["notes.txt"],
        "name is not of the vendor's form": ["overview.tif"],
        "thumbnail": ["x_A01_s1_w1_thumb.tif"],
        "hidden": [".DS_Store"],
    }


def test_htd_files_that_contradict_each_other_are_reported(write_file: WriteFile, read: Read) -> None:
    folder = write_file("TimePoint_1/x_A01_s1_w1.tif").parents[1]
    (folder / "x.HTD").write_text('"TimePoints", 2\n')
    (folder / "TimePoint_1/x.HTD").write_text('"TimePoints", 33\n')
    contents = read(folder)
    assert contents.notes == ["TimePoint_1/x.HTD contradicts x.HTD; the latter is used"]
    assert contents.promised == {"timepoints": ["2"]}


def test_an_htd_that_cannot_be_read_is_an_error_naming_it(
    write_file: WriteFile, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_file("x_A01_s1_w1.tif").parent
    (folder / "x.HTD").write_text("")
    original = Path.read_bytes

    def refuse(self: Path) -> bytes:
        if self.suffix == ".HTD":
            raise PermissionError(13, "Permission denied")
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(MetadataError, match=r"x\.HTD cannot be read: Permission denied"):
        read(folder)


def test_planes_of_another_size_are_reported(write_file: WriteFile, write_plate: WritePlate, read: Read) -> None:
    folder, files = write_plate(ImageXpressPlate(name="p", z_steps=1, size=(8, 8)))
    shutil.copy(write_file("x.tif"), files[-1].path)
    (note,) = read(folder).notes
    assert note.startswith("planes of different size or dtype among those sampled: [8, 8] uint16")


# --- nothing there ------------------------------------------------------------------------------------------------


def test_a_folder_without_files_is_an_error_that_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(EmptyPlateError, match="has no file; copy the images"):
        get_microscope_handler(tmp_path)
    (tmp_path / ".snapshot").mkdir()
    with pytest.raises(EmptyPlateError, match="has no file; 1 hidden"):
        get_microscope_handler(tmp_path)
    with pytest.raises(EmptyPlateError, match=r"no imagexpress image; it holds 1 left out \(hidden\)"):
        ImageXpressHandler(tmp_path).read_plate()


def test_a_missing_folder_is_an_error_naming_it(tmp_path: Path) -> None:
    with pytest.raises(PlateNotFoundError, match="none does not exist"):
        get_microscope_handler(tmp_path / "none")


def test_a_plate_with_htd_and_no_image_is_an_error_that_says_what_was_promised(
    write_plate: WritePlate, read: Read
) -> None:
    folder, files = write_plate(PLATES["export, mixed waves"])
    for file in files:
        file.path.unlink()
    with pytest.raises(EmptyPlateError, match="no imagexpress image") as caught:
        read(folder)
    assert "wells: 2 (B02, B03)" in str(caught.value)
    assert "z steps: 3" in str(caught.value)


# --- the raw folder is only read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["export, mixed waves", "database, mixed waves", "1536 wells, odd names"])
def test_ingest_leaves_the_raw_folder_untouched(name: str, write_plate: WritePlate, tmp_path: Path) -> None:
    folder, _ = write_plate(PLATES[name])
    before = listing(folder)
    handler, why = get_microscope_handler(folder)
    handler.initialize_workspace(tmp_path / "results", plate="P", why=why)
    assert listing(folder) == before
