"""Opera Phenix plates: every plane under its true key, whatever the version, the layout and what is left of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generators.harmony_plate import Flatfield, HarmonyChannel, HarmonyPlate, ImageFile, Kind, Layout, Version
from tests.generators.harmony_writer import write_harmony
from wellfield.errors import DuplicatePlaneError, EmptyPlateError, MetadataError
from wellfield.formats.tiff import read_tiff
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.harmony_files import parse_filename
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.opera_phenix import OperaPhenixHandler
from wellfield.microscopes.parsed_plate import ParsedPlate, find_holes
from wellfield.microscopes.scan import Scan, scan_plate
from wellfield.plate.keys import PlaneKey, plane_name

DAPI = HarmonyChannel(name="HOECHST 33342", excitation_nm=405, emission_nm=456)
GREEN = HarmonyChannel(name="488, long) & <odd>", excitation_nm=488, emission_nm=599)
PHASE = HarmonyChannel(name="Digital Phase Contrast", excitation_nm=740, emission_nm=0, kind=Kind.PHASE)
PLATES = {
    "V5": HarmonyPlate(channels=(DAPI, GREEN, PHASE), size=(8, 8), jitter_um=0.5),
    "V6, index above": HarmonyPlate(version=Version.V6, layout=Layout.ABOVE, size=(8, 8), z_planes=3, jitter_um=1.2),
    "V7, flat": HarmonyPlate(version=Version.V7, layout=Layout.FLAT, size=(8, 8), timepoints=2),
    "V6, archive": HarmonyPlate(version=Version.V6, layout=Layout.ARCHIVE, size=(8, 8), timepoints=2, z_planes=2),
    "V5 from 1": HarmonyPlate(first_timepoint_id=1, timepoints=2, size=(8, 8)),
    "V7 from 0": HarmonyPlate(version=Version.V7, first_timepoint_id=0, timepoints=2, size=(8, 8)),
    "irregular fields": HarmonyPlate(field_mask=("x.x", ".xx", "x.."), overlap=0.1, size=(8, 8), jitter_um=0.4),
    "one field": HarmonyPlate(field_mask=("x",), size=(8, 8), measurement_folder=True),
    "a missing field": HarmonyPlate(missing_fields=frozenset({("B03", 1), ("B03", 5)}), size=(8, 8), jitter_um=1.0),
    "1536 wells, odd name": HarmonyPlate(
        name="240624_µ.1 (2)", wells=("A01", "Z48", "AF48"), plate_rows=32, plate_columns=48, size=(8, 8)
    ),
}
every_plate = pytest.mark.parametrize("plate", PLATES.values(), ids=PLATES)


def pixels_of(key: PlaneKey) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    return np.full((8, 8), 1000 * key.channel + 100 * key.field + 10 * key.z + key.timepoint, np.uint16)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[HarmonyPlate], tuple[Path, list[ImageFile]]]:
    return lambda plate: (tmp_path / plate.name, write_harmony(tmp_path, plate, pixels_of))


def read(folder: Path) -> ParsedPlate:
    return get_microscope_handler(folder)[0].read_plate()


def found(contents: ParsedPlate, folder: Path) -> dict[PlaneKey, Path]:
    keys = [plane.key for plane in contents.planes]
    assert len(keys) == len(set(keys))
    return {plane.key: folder / plane.path for plane in contents.planes}


def index_of(folder: Path) -> Path:
    return next(path for path in folder.rglob("*") if path.name.lower().startswith("index"))


# --- what is found ------------------------------------------------------------------------------------------------


@every_plate
def test_every_plane_is_found_under_its_true_key(plate: HarmonyPlate, write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(plate)
    contents = read(folder)
    assert found(contents, folder) == {file.key: file.path for file in files}
    assert contents.notes == []
    assert contents.ignored == {}
    assert contents.promised == {}
    for key, path in found(contents, folder).items():
        assert read_tiff(path)[0, 0] == pixels_of(key)[0, 0]


@every_plate
def test_facts_are_those_of_the_plate(plate: HarmonyPlate, write) -> None:  # type: ignore[no-untyped-def]
    contents = read(write(plate)[0])
    assert contents.plate.channels == {n: channel.name for n, channel in enumerate(plate.channels, start=1)}
    assert contents.plate.wavelengths_nm == {
        n: (channel.excitation_nm, channel.emission_nm or None) for n, channel in enumerate(plate.channels, start=1)
    }
    assert (contents.plate.shape, contents.plate.dtype) == ((8, 8), "uint16")
    assert contents.plate.pixel_size_um == pytest.approx(plate.pixel_size_um)
    assert contents.plate.z_spacing_um == (plate.z_spacing_um if plate.z_planes > 1 else None)
    assert contents.plate.stage_y_up
    assert contents.plate.time_interval_s == (3600 if plate.timepoints > 1 else None)
    assert contents.plate.vendor_fields == {number: field for field, number in plate.field_numbers.items()}
    expected = {(i.key.well, i.key.field): plate.position_um(i.key.well, i.field_id) for i in plate.images()}
    for record in contents.planes:
        place = expected[record.key.well, record.key.field]
        assert (record.stage_x_um, record.stage_y_um) == pytest.approx(place, abs=1e-3)
    assert contents.images_opened <= 2 * len(plate.channels)


def test_the_grid_is_reported_whatever_the_jitter(write) -> None:  # type: ignore[no-untyped-def]
    assert read(write(PLATES["V6, index above"])[0]).plate.grid_dimensions == (3, 3)
    assert read(write(PLATES["irregular fields"])[0]).plate.grid_dimensions == (3, 3)


def test_light_and_fields_are_in_the_report(write) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    contents = read(folder)
    contents.complete(name="P", path=str(folder), microscope="opera_phenix")
    report = ingest_report(contents, why="")
    assert report["found"]["channels"]["1"]["excitation_nm"] == 405
    assert report["found"]["channels"]["1"]["emission_nm"] == 456
    assert "emission_nm" not in report["found"]["channels"]["3"]
    assert report["found"]["vendor_fields"][5] == 1  # the central one is the vendor's first
    assert report["image"]["field_grid_rows_columns"] == (3, 3)


@pytest.mark.parametrize("name", PLATES)
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_subset_of_a_plate_gives_the_right_keys_for_what_is_left(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    plate, folder = PLATES[name], tmp_path_factory.mktemp("subset")
    files = write_harmony(folder, plate, pixels_of)
    kept = data.draw(st.lists(st.sampled_from(files), max_size=len(files), unique=True))
    for file in set(files) - set(kept):
        file.path.unlink()
    new_names = {}
    for file in kept:
        spelling = data.draw(st.sampled_from((str, str.upper, lambda text: text.removesuffix("f"), fewer_zeros)))
        new_names[file.key] = file.path.rename(file.path.with_name(spelling(file.path.name)))
    scan = scan_plate(folder / plate.name)
    scan = Scan(scan.root, data.draw(st.permutations(scan.files)), scan.skipped)
    if not kept:
        with pytest.raises(EmptyPlateError, match=r"(?s)Its metadata promises:.*planes: "):
            OperaPhenixHandler(folder / plate.name, scan=scan).read_plate()
        return
    contents = OperaPhenixHandler(folder / plate.name, scan=scan).read_plate()
    assert found(contents, folder / plate.name) == new_names
    lost = sorted(plane_name(file.key) for file in set(files) - set(kept))
    assert sorted(contents.promised.get("planes", [])) == lost


def fewer_zeros(name: str) -> str:
    """Return a name with numbers as short as they can be: another dialect of the vendor's."""
    return re.sub(r"([rcfpht])0+([0-9])", r"\1\2", name)


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_without_an_index_names_alone_give_a_usable_plate(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    plate, folder = PLATES["V6, archive"], tmp_path_factory.mktemp("names")
    files = write_harmony(folder, plate, pixels_of)
    index_of(folder).unlink()
    kept = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=len(files), unique=True))
    for file in set(files) - set(kept):
        file.path.unlink()
    contents = read(folder / plate.name)
    fields = {number: field for field, number in plate.field_numbers.items()}
    expected = {file.key._replace(field=fields[file.key.field]): file.path for file in kept}
    assert found(contents, folder / plate.name) == expected
    assert any("by their file names alone" in note for note in contents.notes)


# --- index and disk disagree --------------------------------------------------------------------------------------


def test_a_missing_field_is_a_hole_and_shifts_no_other(write) -> None:  # type: ignore[no-untyped-def]
    plate = PLATES["a missing field"]
    folder, _ = write(plate)
    numbers = plate.field_numbers
    holes = {(key.well, key.field) for key in find_holes(read(folder).planes)}
    assert holes == {("B03", numbers[1]), ("B03", numbers[5])}


def test_planes_listed_but_absent_and_present_but_unlisted_are_reported(write) -> None:  # type: ignore[no-untyped-def]
    plate = HarmonyPlate(
        size=(8, 8),
        unwritten=frozenset({"r02c02f02p01-ch1sk1fk1fl1.tiff"}),
        unlisted=frozenset({"r02c03f03p01-ch1sk1fk1fl1.tiff"}),
    )
    folder, files = write(plate)
    shutil.copy(files[0].path, folder / "Images" / "overview.tif")
    contents = read(folder)
    assert contents.promised == {"planes": [plane_name(PlaneKey("B02", plate.field_numbers[2], 1, 1, 1))]}
    assert contents.ignored == {
        "not listed in the index": ["Images/overview.tif", "Images/r02c03f03p01-ch1sk1fk1fl1.tiff"]
    }
    assert set(found(contents, folder)) == {file.key for file in files if file.listed}


def test_files_of_another_plate_beside_the_index_are_not_taken(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    other = folder / "old"
    other.mkdir()
    shutil.copy(files[0].path, other / files[0].path.name)
    contents = read(folder)
    assert found(contents, folder) == {file.key: file.path for file in files}
    assert contents.ignored == {"not listed in the index": [f"old/{files[0].path.name}"]}


def test_a_file_that_is_there_twice_elsewhere_is_an_error_naming_both(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    for name in ("one", "two"):
        (folder / name).mkdir()
        shutil.copy(files[0].path, folder / name / files[0].path.name)
    files[0].path.unlink()
    with pytest.raises(DuplicatePlaneError, match=r"one/r02c02\S+ and two/r02c02"):
        read(folder)


def test_indices_of_two_measurements_are_an_error_naming_both(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    write_harmony(folder, HarmonyPlate(name="other", size=(8, 8), seed=5), pixels_of)
    with pytest.raises(MetadataError, match=r"several measurements: Images/Index\.idx\.xml, other/Images/Index"):
        read(folder)


def test_a_copy_of_the_index_is_harmless(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    shutil.copy(index_of(folder), folder / "Index.xml")
    contents = read(folder)
    assert set(found(contents, folder)) == {file.key for file in files}
    assert contents.ignored == {"another index of the same measurement": ["Images/Index.idx.xml"]}


def test_two_files_listed_for_one_plane_are_an_error_naming_both(write) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_bytes()
    index_of(folder).write_bytes(text.replace(b"<FieldID>2</FieldID>", b"<FieldID>3</FieldID>", 1))
    with pytest.raises(
        DuplicatePlaneError, match=r"lists two files as plane B02_s\d+.*f02p01-ch1\S+ and \S+f03p01-ch1"
    ):
        read(folder)


def test_a_plane_listed_twice_counts_once(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig")
    image = re.search(r"<Image Version.*?</Image>", text, re.DOTALL)
    assert image
    index_of(folder).write_text(text.replace(image[0], image[0] * 2), encoding="utf-8-sig")
    assert set(found(read(folder), folder)) == {file.key for file in files}


def test_names_that_contradict_the_index_are_noted_and_the_index_is_followed(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["one field"])
    text = index_of(folder).read_bytes()
    index_of(folder).write_bytes(text.replace(b"<Row>2</Row>", b"<Row>4</Row>"))
    contents = read(folder)
    assert {key.well for key in found(contents, folder)} == {"D02", "D03"}
    assert any(f"{len(files)} file names" in note and "contradict the index" in note for note in contents.notes)


def test_wells_with_different_layouts_keep_the_vendors_field_numbers(write) -> None:  # type: ignore[no-untyped-def]
    plate = HarmonyPlate(wells=("B02", "B03"), size=(8, 8))
    folder, files = write(plate)
    text = index_of(folder).read_text(encoding="utf-8-sig")
    moved = re.sub(
        r'(<Row>2</Row>\s*<Col>3</Col>.*?<PositionX Unit="m">)([^<]*)',
        lambda match: f"{match[1]}{float(match[2]) * -3 + 1e-5}",
        text,
        flags=re.DOTALL,
    )
    index_of(folder).write_text(moved, encoding="utf-8-sig")
    contents = read(folder)
    vendor = {number: field for field, number in plate.field_numbers.items()}
    assert set(found(contents, folder)) == {f.key._replace(field=vendor[f.key.field]) for f in files}
    assert any("wells differ in their layout" in note for note in contents.notes)
    assert contents.plate.vendor_fields == {}


# --- broken metadata ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_index_is_one_clear_error(write, part: float) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    content = index_of(folder).read_bytes()
    index_of(folder).write_bytes(content[: int(part * len(content))])
    with pytest.raises(MetadataError, match=r"Index\.idx\.xml is broken or truncated at line \d+.*file names alone"):
        read(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 50, b"<a>"])
def test_garbage_in_the_place_of_the_index_is_one_clear_error(write, content: bytes) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    path = index_of(folder)
    path.write_bytes(content)
    if content == b"<a>":  # XML, but somebody else's
        assert any("names alone" in note for note in read(folder).notes)
        return
    with pytest.raises(MetadataError, match=re.escape(path.name)):
        read(folder)


def test_an_index_that_lists_nothing_makes_an_empty_plate(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    text = re.sub("<Images>.*</Images>", "<Images></Images>", index_of(folder).read_text("utf-8-sig"), flags=re.DOTALL)
    index_of(folder).write_text(text, encoding="utf-8-sig")
    with pytest.raises(EmptyPlateError, match=rf"{len(files)} left out \(not listed in the index\)"):
        read(folder)


@pytest.mark.parametrize(
    "entities",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">',
    ],
)
def test_document_types_are_refused(write, entities: str) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig")
    text = text.replace("?>", f"?>{entities}", 1).replace("<Row>2</Row>", "<Row>&a;</Row>")
    index_of(folder).write_text(text, encoding="utf-8-sig")
    with pytest.raises(MetadataError, match="declares a document type"):
        read(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<Row>2</Row>", "<Row>two</Row>", "has a number that is none"),
        ("<Row>2</Row>", "", "has no Row"),
        ("<Row>2</Row>", "<Row>33</Row>", "row 33, column 2"),
        ("<PlaneID>1</PlaneID>", "<PlaneID>0</PlaneID>", "plane 0"),
        ("<URL>", "<Link>", "is broken or truncated"),
        ('<Entry ChannelID="1">', '<Entry ChannelID="one">', "a channel has the number 'one'"),
    ],
)
def test_numbers_that_are_none_are_named(write, old: str, new: str, message: str) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig")
    head, images = text.split("<Images>") if "Entry" not in old else ("", text)
    text = f"{head}<Images>{images.replace(old, new)}" if head else images.replace(old, new)
    index_of(folder).write_text(text, encoding="utf-8-sig")
    with pytest.raises(MetadataError, match=message):
        read(folder)


def test_windows_paths_in_the_index_name_files(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig").replace("<URL>", "<URL>\\\\server\\share\\Plate\\Images\\")
    index_of(folder).write_text(text, encoding="utf-8-sig")
    assert set(found(read(folder), folder)) == {file.key for file in files}


def test_a_url_that_leads_out_of_the_plate_finds_nothing_outside(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["one field"])
    outside = tmp_path / files[0].path.name
    files[0].path.rename(outside)
    text = index_of(folder).read_text(encoding="utf-8-sig").replace("<URL>", "<URL>../../../")
    index_of(folder).write_text(text, encoding="utf-8-sig")
    assert set(found(read(folder), folder)) == {files[1].key}


@pytest.mark.parametrize("encoding", ["shift_jis", "bogus-8", "idna", "base64"])
def test_an_index_in_an_encoding_that_cannot_be_read_is_one_clear_error(write, encoding: str) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig").replace('encoding="utf-8"', f'encoding="{encoding}"', 1)
    index_of(folder).write_text(text, encoding="utf-8")
    with pytest.raises(MetadataError, match="has an encoding that cannot be read"):
        read(folder)


def test_numbers_that_no_plate_has_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    for name in ("r01c01f01p01-ch1sk1fk1fl1.tiff", "r01c01f9999999999p01-ch1sk1fk1fl1.tiff"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(MetadataError, match=r"r01c01f9999999999\S+ is field 9999999999 of well A01; expected at most"):
        read(tmp_path)


def test_one_file_for_two_planes_is_an_error(write) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig").replace("f02p01-ch1", "f03p01-ch1")
    index_of(folder).write_text(text, encoding="utf-8-sig")
    with pytest.raises(DuplicatePlaneError, match=r"lists Images/r02c02f03p01-ch1\S+ as two planes, B02_s00\d"):
        read(folder)


def test_equal_names_in_nested_folders_are_told_apart_by_the_index(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(HarmonyPlate(wells=("B02",), field_mask=("xx",), size=(8, 8)))
    text, expected = index_of(folder).read_text(encoding="utf-8-sig"), {}
    for number, file in enumerate(files):
        moved = file.path.parent / f"field_{number}" / "img.tiff"
        moved.parent.mkdir()
        text = text.replace(f"<URL>{file.path.name}<", f"<URL>field_{number}\\img.tiff<")
        expected[file.key] = file.path.rename(moved)
    index_of(folder).write_text(text, encoding="utf-8-sig")
    assert found(read(folder), folder) == expected


def test_positions_that_are_no_numbers_are_unknown(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(PLATES["V5"])
    text = re.sub(r'(<PositionX Unit="m">)[^<]*', r"\1INF", index_of(folder).read_text(encoding="utf-8-sig"))
    index_of(folder).write_text(text, encoding="utf-8-sig")
    contents = read(folder)
    assert len(contents.planes) == len(files)
    assert all(np.isnan(plane.stage_x_um) for plane in contents.planes)
    assert any("lacks positions" in note for note in contents.notes)


def test_names_that_count_times_from_0_are_raised_by_one(tmp_path: Path) -> None:
    for time in (0, 1, 2):
        (tmp_path / f"r01c01f01p01-ch01t{time:02d}.tiff").write_bytes(b"")
    contents = read(tmp_path)
    assert {plane.key.timepoint: plane.path[-8:-5] for plane in contents.planes} == {1: "t00", 2: "t01", 3: "t02"}
    assert any("count timepoints from 0" in note for note in contents.notes)


def test_images_of_another_size_than_the_index_says_are_noted(write) -> None:  # type: ignore[no-untyped-def]
    folder, _ = write(PLATES["V5"])
    text = index_of(folder).read_text(encoding="utf-8-sig").replace("<ImageSizeX>8<", "<ImageSizeX>16<")
    index_of(folder).write_text(text, encoding="utf-8-sig")
    assert any("images have (8, 8) pixels, the index says (8, 16)" in note for note in read(folder).notes)


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r03c04f01p02-ch5sk6fk1fl1.tiff", (3, 4, 1, 2, 5, 6, 1, 1)),
        ("R3C4F1P2-CH5SK6FK1FL1.TIF", (3, 4, 1, 2, 5, 6, 1, 1)),
        ("r01c01f01p01-ch01t01.tiff", (1, 1, 1, 1, 1, 1, 1, 1)),
        ("r32c48f123p045-ch12t07.tiff", (32, 48, 123, 45, 12, 7, 1, 1)),
        ("r01c01f01p01rc1-ch1sk1fk1fl1.tiff", (1, 1, 1, 1, 1, 1, 1, 1)),
    ],
)
def test_names_in_every_dialect(name: str, expected: tuple[int, ...]) -> None:
    assert parse_filename(name) == expected


@pytest.mark.parametrize(
    "name", ["A01_s1_w1.tif", "r01c01f01p01-ch1.tiff", "x-r01c01f01p01-ch1sk1fk1fl1.tiff", "Index.xml"]
)
def test_other_names_are_none(name: str) -> None:
    assert parse_filename(name) is None


# --- flat fields ----------------------------------------------------------------------------------------------------


def test_flat_field_profiles_become_facts_of_the_plate(write) -> None:  # type: ignore[no-untyped-def]
    background, foreground = ((1.2,), (0.1, -0.2), (-0.5, 0.05, -0.4)), ((1.3,), (0.0, 0.1), (-0.6, 0.0, -0.7))
    channels = (
        HarmonyChannel(name="one", flatfield=Flatfield(background=background, foreground=foreground, mean=321.5)),
        HarmonyChannel(name="a, {Foreground: {", flatfield=Flatfield()),
        HarmonyChannel(name="none", flatfield=None),
        HarmonyChannel(name="failed", flatfield=Flatfield(foreground=None)),
    )
    for version in Version:
        folder, _ = write(HarmonyPlate(name=version, version=version, channels=channels, size=(8, 8)))
        profiles = read(folder).plate.flatfields
        assert sorted(profiles) == [1, 2]
        assert profiles[1].level == 321.5
        assert profiles[1].background.coefficients == background
        assert profiles[1].foreground.coefficients == foreground
        assert profiles[1].foreground.shape == (8, 8)
        assert profiles[2].foreground.coefficients == ((1.0,),)


@pytest.mark.parametrize(
    ("row", "understood"),
    [
        ("[1.2e-05, 2E-3]", True),
        (f"[{'9' * 400}, 0.2]", False),
        ("[" * 50_000, False),
        ("[__import__('os'), 0.2]", False),
        ("[0.1]", False),
    ],
)
def test_any_text_in_the_place_of_a_profile_is_a_profile_or_none(write, row: str, understood: bool) -> None:  # type: ignore[no-untyped-def]
    profile = Flatfield(background=((1.0,), (0.1, 0.2)), foreground=((1.0,), (0.1, 0.2)))
    folder, _ = write(HarmonyPlate(channels=(HarmonyChannel(flatfield=profile),), size=(8, 8)))
    text = index_of(folder).read_text(encoding="utf-8-sig")
    assert "[0.1, 0.2]" in text
    index_of(folder).write_text(text.replace("[0.1, 0.2]", row), encoding="utf-8-sig")
    contents = read(folder)
    assert bool(contents.plate.flatfields) is understood
    assert any("flat-field profile of channel 1 is not understood" in note for note in contents.notes) is not understood


def test_a_profile_of_the_background_alone_is_not_used_and_said_to_lack_the_foreground(write) -> None:  # type: ignore[no-untyped-def]
    basic = Flatfield(background=((1.1,), (0.2, 0.1)), foreground=None)
    channels = (HarmonyChannel(name="dye", flatfield=basic), HarmonyChannel(flatfield=Flatfield(foreground=None)))
    contents = read(write(HarmonyPlate(channels=channels, size=(8, 8)))[0])
    assert contents.plate.flatfields == {}
    (note,) = (note for note in contents.notes if "flat-field" in note)  # of channel 2, which is flat, none
    assert note.startswith("the flat-field profile of channel 1 is of the background alone")
    assert "it has no Foreground" in note
    assert "illumination: fitted" in note


def test_elements_without_text_say_nothing(write) -> None:  # type: ignore[no-untyped-def]
    folder, files = write(HarmonyPlate(wells=("B02",), field_mask=("x",), size=(8, 8)))
    text = index_of(folder).read_text(encoding="utf-8-sig")
    for name in ("PositionX", "PositionZ", "PlaneID", "ChannelName", "MainEmissionWavelength"):
        text = re.sub(rf"<{name}([^>]*)>[^<]*</{name}>", rf"<{name}\1></{name}>", text)
    index_of(folder).write_text(text, encoding="utf-8-sig")
    contents = read(folder)
    assert set(found(contents, folder)) == {file.key for file in files}
    assert contents.plate.channels == {1: "ch1"}
    assert contents.plate.wavelengths_nm == {1: (405, None)}
