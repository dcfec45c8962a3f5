"""Synthetic Opera Phenix plates say the truth about themselves, and look like the vendor's."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from tests.generators.harmony_index import NAMESPACES, index_bytes
from tests.generators.harmony_plate import (
    Flatfield,
    HarmonyChannel,
    HarmonyPlate,
    ImageFile,
    Kind,
    Layout,
    Version,
)
from tests.generators.harmony_writer import write_harmony
from wellfield.errors import ArrayShapeError
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import well_name

TRIANGLE = tuple((1.5,) * (degree + 1) for degree in range(5))
BRIGHT = HarmonyChannel(name="Brightfield", excitation_nm=740, emission_nm=0, kind=Kind.BRIGHTFIELD)
ODD_NAME = "405ex, 570-630-em) & <µ> [x]"

MIXED = HarmonyPlate(
    name="Plätte.v1.2_µ",
    wells=("B02", "P24"),
    plate_rows=16,
    plate_columns=24,
    channels=(HarmonyChannel(), HarmonyChannel(name=ODD_NAME), BRIGHT),
    size=(3, 4),
    z_planes=2,
    timepoints=2,
    jitter_um=0.4,
    missing_fields=frozenset({("P24", 5)}),
    unwritten=frozenset({"r02c02f03p01-ch1sk1fk1fl1.tiff"}),
    unlisted=frozenset({"r16c24f01p02-ch2sk2fk1fl1.tiff"}),
)
WHOLE = replace(MIXED, missing_fields=frozenset(), unwritten=frozenset(), unlisted=frozenset())
SMALL = HarmonyPlate(size=(2, 2), wells=("C05",), field_mask=("xx",))


def numbered(key: PlaneKey, size: tuple[int, int] = (2, 2)) -> np.ndarray:
    """Pixels that tell which plane they belong to."""
    plane = np.full(size, 1000 * key.field + 100 * key.channel + 10 * key.z + key.timepoint, np.uint16)
    plane[0, 0] = ord(key.well[0])
    return plane


def write(folder: Path, plate: HarmonyPlate) -> list[ImageFile]:
    """Write a plate of numbered planes and check that what is reported is what is there."""
    files = write_harmony(folder, plate, lambda key: numbered(key, plate.size))
    assert {file.path for file in files} == {path for path in folder.rglob("*") if path.suffix == ".tiff"}
    assert len({file.path.name for file in files}) == len(files)
    return files


def root_of(plate: HarmonyPlate) -> ElementTree.Element:
    return ElementTree.fromstring(index_bytes(plate))


def images_of(plate: HarmonyPlate) -> list[dict[str, str]]:
    """The images of an index, element by element."""
    images = root_of(plate).find("{*}Images")
    assert images is not None
    return [{child.tag.rpartition("}")[2]: child.text or "" for child in image} for image in images]


def outline(root: ElementTree.Element) -> list[tuple[str, dict[str, str]]]:
    return [(element.tag, element.attrib) for element in root.iter()]


# --- as the real ones ----------------------------------------------------------------------------------------------

REAL = {
    "operetta_V5_1well_2fields/Images/Index.idx.xml": HarmonyPlate(
        name="Test_Sample_BALL",
        wells=("C03",),
        field_offsets_um=((-645.814, 645.814), (645.814, 645.814)),
        channels=(
            HarmonyChannel(
                name="Fluorescein (FITC)",
                excitation_nm=475,
                emission_nm=525,
                height_um=20.0,
                flatfield=Flatfield(background=TRIANGLE, foreground=TRIANGLE),
            ),
        ),
        size=(1080, 1080),
        instrument="Sonata",
        plate_type="384 Greiner µClear",
        plate_rows=16,
        plate_columns=24,
    ),
    "phenix_V5_1field_6ch/images/Index.idx.xml": HarmonyPlate(
        name="BR00121482",
        wells=("A01",),
        field_mask=("x",),
        channels=(
            *(
                HarmonyChannel(
                    name=name,
                    excitation_nm=excitation,
                    emission_nm=emission,
                    height_um=height,
                    flatfield=Flatfield(background=TRIANGLE, foreground=TRIANGLE),
                )
                for name, excitation, emission, height in (
                    ("Alexa 647", 640, 706, -5.0),
                    ("Alexa 568", 561, 599, -3.0),
                    ("488 long", 488, 599, -3.0),
                    ("Alexa 488", 488, 522, -4.0),
                    ("HOECHST 33342", 405, 456, -4.0),
                )
            ),
            BRIGHT,
        ),
        size=(1080, 1080),
        plate_type="384 PerkinElmer CellCarrier Ultra",
        plate_rows=16,
        plate_columns=24,
    ),
    "phenix_V7_index_only/images/Index.xml": HarmonyPlate(
        name="240624_WES_Perturbs_n_densities_1.1",
        wells=("A01",),
        field_mask=("x",),
        channels=(
            *(
                HarmonyChannel(
                    name=name,
                    excitation_nm=excitation,
                    emission_nm=emission,
                    height_um=height,
                    flatfield=Flatfield(background=TRIANGLE if flat else (), foreground=None),
                )
                for name, excitation, emission, height, flat in (
                    ("Alexa 488", 488, 522, -5.0, True),
                    ("Alexa 568", 561, 599, -5.0, False),
                    ("Alexa 488 Em 650", 488, 706, -5.0, True),
                    ("405ex, 570-630-em)", 405, 599, -5.0, False),
                    ("Alexa 647", 640, 706, -5.0, False),
                    ("HOECHST 33342", 405, 456, -4.0, True),
                )
            ),
            replace(BRIGHT, flatfield=Flatfield(foreground=None)),
        ),
        size=(2160, 2160),
        version=Version.V7,
        plate_type="96 PerkinElmer CellCarrier Ultra",
    ),
}

# What is the real plate's own: persons, clocks, optics, and packed texts.
OWN = {
    "User",
    "MeasurementID",
    "MeasurementStartTime",
    "SkewcropParameters",
    "ImageResolutionX",
    "ImageResolutionY",
    "BinningX",
    "BinningY",
    "AbsPositionZ",
    "AbsTime",
    "ObjectiveMagnification",
    "ObjectiveNA",
    "ExposureTime",
    "ExcitationPower",
    "OrientationMatrix",
}


def contents(root: ElementTree.Element) -> list[tuple[str, str]]:
    """The texts of an index without what is its own; of profiles the form, not the numbers."""
    found = []
    for element in root.iter():
        tag, text = element.tag.rpartition("}")[2], (element.text or "").strip()
        if tag == "FlatfieldProfile":
            text = re.sub(r"(?<=[ \[])(-?[0-9.]+|INF)(?=[,\]}])", "0", text)
        if tag not in OWN:
            found.append((tag, text))
    return found


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_index_has_the_elements_and_contents_of_a_real_one_in_its_order(real_plates: Path, name: str) -> None:
    real = ElementTree.parse(real_plates / "opera_phenix" / name).getroot()
    made = root_of(REAL[name])
    assert outline(made) == outline(real)
    assert contents(made) == contents(real)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["operetta_V5_1well_2fields/Images/Index.idx.xml"])
def test_index_is_encoded_as_a_real_one(real_plates: Path, name: str) -> None:
    real, made = (real_plates / "opera_phenix" / name).read_bytes(), index_bytes(REAL[name])
    for content in (real, made):
        assert content.startswith(b"\xef\xbb\xbf<?xml")
        assert content.endswith(b"</EvaluationInputData>\n") or content.endswith(b"</EvaluationInputData>\r\n")
        assert content.count(b"\n") - content.count(b"\r\n") == 1


@pytest.mark.realdata
def test_images_have_the_tags_of_a_real_one(real_plates: Path, tmp_path: Path) -> None:
    (file,) = write(tmp_path, replace(SMALL, field_mask=("x",), plate_type="384 Greiner µClear"))
    real = real_plates / "opera_phenix/operetta_V5_1well_2fields/Images/r03c03f01p01-ch1sk1fk1fl1.tiff"
    with tifffile.TiffFile(file.path) as made, tifffile.TiffFile(real) as vendor:
        tags, expected = made.pages[0].tags.values(), vendor.pages[0].tags.values()
        assert [(tag.code, tag.dtype) for tag in tags] == [(tag.code, tag.dtype) for tag in expected]
        assert (made.byteorder, len(made.pages)) == (vendor.byteorder, len(vendor.pages))
        for code in (254, 258, 259, 262, 271, 273, 282, 283, 296, 339):
            assert made.pages[0].tags[code].value == vendor.pages[0].tags[code].value
        assert [re.sub(r"\(\w+\)", "", page.tags[269].value) for page in (made.pages[0], vendor.pages[0])] == (
            ["384 Greiner µClear "] * 2
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made.pages[0].tags[306].value)
        assert NAMESPACES[Version.V5].encode() in made.pages[0].tags[65500].value


# --- files, pixels and keys ----------------------------------------------------------------------------------------


def raster_of(plate: HarmonyPlate) -> dict[int, int]:
    """Canonical numbers, found only from the positions in the index: rows from the top, each from the left."""
    places: dict[int, list[tuple[float, float]]] = {}
    for image in images_of(plate):
        places.setdefault(int(image["FieldID"]), []).append((float(image["PositionX"]), float(image["PositionY"])))
    means = {field_id: np.mean(found, axis=0) * 1e6 for field_id, found in places.items()}
    rows = sorted({round(y / (plate.size[0] * plate.pixel_size_um), 0) for _, y in means.values()}, reverse=True)
    row_of = {i: rows.index(round(y / (plate.size[0] * plate.pixel_size_um), 0)) for i, (_, y) in means.items()}
    ordered = sorted(means, key=lambda field_id: (row_of[field_id], means[field_id][0]))
    return {field_id: number for number, field_id in enumerate(ordered, start=1)}


@pytest.mark.parametrize("version", Version)
def test_keys_of_listed_files_follow_from_the_index_alone(tmp_path: Path, version: Version) -> None:
    plate = replace(MIXED, version=version)
    files = write(tmp_path, plate)
    raster, base = raster_of(plate), int(version is not Version.V5)
    keys = {
        image["URL"]: PlaneKey(
            well_name(int(image["Row"]) - 1, int(image["Col"]) - 1),
            raster[int(image["FieldID"])],
            int(image["ChannelID"]),
            int(image["PlaneID"]),
            int(image["TimepointID"]) - base + 1,
        )
        for image in images_of(plate)
    }
    assert len(keys) == (2 * 9 - 1) * 3 * 2 * 2 - 1
    assert len(set(keys.values())) == len(keys)
    listed = {file.path.name: file.key for file in files if file.listed}
    assert {name: keys[name] for name in listed} == listed
    assert set(keys) - set(listed) == plate.unwritten


@pytest.mark.parametrize("layout", Layout)
def test_pixels_of_every_file_are_those_of_its_key(tmp_path: Path, layout: Layout) -> None:
    plate = replace(WHOLE, layout=layout)
    files = write(tmp_path, plate)
    assert len(files) == 2 * 9 * 3 * 2 * 2
    for file in files[::7]:
        assert np.array_equal(tifffile.imread(file.path), numbered(file.key, plate.size))
        pattern = r"r(\d+)c(\d+)f\d+p(\d+)-ch(\d+)(?:sk(\d+)fk1fl1|t(\d\d))\.tiff"
        row, column, z, channel, *time = re.fullmatch(pattern, file.path.name).groups()
        assert file.key.well == well_name(int(row) - 1, int(column) - 1)
        assert (file.key.channel, file.key.z) == (int(channel), int(z))
        assert file.key.timepoint == int(time[0] or time[1])


def test_large_and_uneven_planes_are_read_back(tmp_path: Path) -> None:
    plate = replace(SMALL, size=(61, 37))
    pixels = np.random.default_rng(1).integers(0, 65536, plate.size).astype(np.uint16)
    for file in write_harmony(tmp_path, plate, lambda key: pixels.T.copy().T):
        assert np.array_equal(tifffile.imread(file.path), pixels)


@pytest.mark.parametrize(
    ("options", "index", "image"),
    [
        ({}, "Images/Index.idx.xml", "Images/r03c05f01p01-ch1sk1fk1fl1.tiff"),
        ({"version": Version.V7}, "Images/Index.xml", "Images/r03c05f01p01-ch1sk1fk1fl1.tiff"),
        ({"index_name": "Index.xml"}, "Images/Index.xml", "Images/r03c05f01p01-ch1sk1fk1fl1.tiff"),
        ({"layout": Layout.ABOVE}, "Index.idx.xml", "Images/r03c05f01p01-ch1sk1fk1fl1.tiff"),
        ({"layout": Layout.FLAT}, "Index.idx.xml", "r03c05f01p01-ch1sk1fk1fl1.tiff"),
        (
            {"layout": Layout.ARCHIVE, "version": Version.V6},
            "images/index.xml",
            "images/r03c05/r03c05f01p01-ch01t01.tiff",
        ),
        (
            {"measurement_folder": True},
            "Plate_1__2024-01-15T09_00_00-Measurement 1/Images/Index.idx.xml",
            "Plate_1__2024-01-15T09_00_00-Measurement 1/Images/r03c05f01p01-ch1sk1fk1fl1.tiff",
        ),
    ],
)
def test_plates_nest_as_described(tmp_path: Path, options: dict[str, object], index: str, image: str) -> None:
    plate = replace(SMALL, **options)
    files = write(tmp_path, plate)
    assert plate.index_files(tmp_path) == [tmp_path / "Plate_1" / index]
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".xml"] == [
        tmp_path / "Plate_1" / index
    ]
    assert tmp_path / "Plate_1" / image in {file.path for file in files}
    windows = image.removeprefix("images/").replace("/", "\\") if plate.layout is Layout.ARCHIVE else Path(image).name
    assert images_of(plate)[0]["URL"] == windows


def test_same_description_gives_equal_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    contents = []
    for number, seed in enumerate((0, 0, 1)):
        write(tmp_path / str(number), replace(MIXED, seed=seed))
        paths = sorted((tmp_path / str(number)).rglob("*.*"))
        contents.append([path.read_bytes() for path in paths if path.is_file()])
    assert contents[0] == contents[1]
    assert all(first != second for first, second in zip(contents[0], contents[2], strict=True))


def test_a_well_is_the_same_whichever_wells_are_written_with_it(tmp_path: Path) -> None:
    alone = replace(WHOLE, wells=("P24",))
    for name, described in (("all", WHOLE), ("alone", alone)):
        write(tmp_path / name, described)
    own = [path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").rglob("r16c24*.tiff")]
    assert len(own) == 9 * 3 * 2 * 2
    assert all((tmp_path / "all" / path).read_bytes() == (tmp_path / "alone" / path).read_bytes() for path in own)
    assert images_of(alone) == [image for image in images_of(WHOLE) if image["Row"] == "16"]


def test_planes_of_another_size_or_dtype_are_refused(tmp_path: Path) -> None:
    for wrong in (np.zeros((2, 3), np.uint16), np.zeros((2, 2), np.uint8)):
        with pytest.raises(ArrayShapeError, match=r"C05.*expected uint16 of shape \(2, 2\)"):
            write_harmony(tmp_path, SMALL, lambda key, wrong=wrong: wrong)


# --- fields and positions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "numbers"),
    [
        (("x",), [[1]]),
        (("xx",), [[1, 2]]),
        (("xx", "xx"), [[1, 2], [4, 3]]),
        (("xxx", "xxx", "xxx"), [[2, 3, 4], [6, 1, 5], [7, 8, 9]]),
        ((".x.", "xxx", ".x."), [[0, 2, 0], [4, 1, 3], [0, 5, 0]]),
        (("xx", "x."), [[1, 2], [3, 0]]),
    ],
)
def test_field_1_is_nearest_to_the_centre_and_the_others_follow_a_snake(
    mask: tuple[str, ...], numbers: list[list[int]]
) -> None:
    plate = HarmonyPlate(field_mask=mask, size=(10, 20), pixel_size_um=1.0, overlap=0.1)
    rows, columns = len(mask), len(mask[0])
    for row, column in np.ndindex(rows, columns):
        field_id = numbers[row][column]
        if field_id:
            place = ((column - (columns - 1) / 2) * 18, ((rows - 1) / 2 - row) * 9)
            assert plate.position_um("B02", field_id) == pytest.approx(place)
    raster = [field_id for row in numbers for field_id in row if field_id]
    assert plate.field_numbers == {field_id: number for number, field_id in enumerate(raster, start=1)}


def test_y_points_up_in_metres() -> None:
    plate = HarmonyPlate(field_mask=("x", "x"), size=(1000, 1000), pixel_size_um=0.5, wells=("B02",))
    positions = {image["FieldID"]: (image["PositionX"], image["PositionY"]) for image in images_of(plate)}
    assert positions == {"1": ("0", "0.00025"), "2": ("0", "-0.00025")}
    assert plate.field_numbers == {1: 1, 2: 2}  # the upper one, of the larger y, comes first


def test_explicit_offsets_keep_the_order_they_are_given_in() -> None:
    offsets = ((100.0, -50.0), (-100.0, 50.0), (100.0, 50.0), (-100.0, -50.0))
    plate = HarmonyPlate(field_offsets_um=offsets, jitter_um=5)
    assert plate.field_numbers == {2: 1, 3: 2, 4: 3, 1: 4}


def test_jitter_stays_within_its_bounds_and_differs_by_well_and_field() -> None:
    plate = replace(WHOLE, wells=tuple(well_name(row, 3) for row in range(16)))
    seen = np.array([[plate.position_um(well, i) for i in range(1, 10)] for well in plate.wells])
    away = seen - np.array(plate.offsets_um)
    assert np.abs(away).max() <= 0.4
    assert np.abs(away).max() > 0.35
    assert abs(away.mean()) < 0.1
    assert len(np.unique(away)) == away.size
    listed = {(image["Row"], image["FieldID"], image["PositionX"], image["PositionY"]) for image in images_of(plate)}
    assert len(listed) == 16 * 9  # all planes of a field share its position
    for row, field_id, x, y in listed:
        expected = plate.position_um(well_name(int(row) - 1, 3), int(field_id))
        assert np.allclose([float(x) * 1e6, float(y) * 1e6], expected, atol=0.0006)


def test_heights_are_nominal_and_the_focus_is_found_anew_for_every_field_and_timepoint() -> None:
    plate = replace(WHOLE, channels=(HarmonyChannel(), replace(BRIGHT, height_um=-4.0)))
    focus: dict[tuple[str, ...], list[float]] = {}
    for image in images_of(plate):
        height = 2.0 * (int(image["PlaneID"]) - 1) - (4.0 if image["ChannelID"] == "2" else 0.0)
        assert float(image["PositionZ"]) * 1e6 == pytest.approx(height)
        place = tuple(image[name] for name in ("Row", "FieldID", "TimepointID"))
        focus.setdefault(place, []).append(float(image["AbsPositionZ"]) * 1e6 - height)
    assert len(focus) == 2 * 9 * 2
    assert all(np.ptp(found) < 0.003 for found in focus.values())  # one for all planes of a field
    heights = [found[0] for found in focus.values()]
    assert len({round(height, 2) for height in heights}) > 30
    assert 2.5 < np.ptp(heights) <= 4.0


# --- what is not as it should be -----------------------------------------------------------------------------------


def test_missing_unwritten_and_unlisted_are_what_they_are_called(tmp_path: Path) -> None:
    files = {file.path.name: file for file in write(tmp_path, MIXED)}
    listed = {image["URL"] for image in images_of(MIXED)}
    assert not [name for name in {*files, *listed} if name.startswith("r16c24f05")]
    assert [name for name in files if name.startswith("r02c02f05")]
    assert listed - set(files) == {"r02c02f03p01-ch1sk1fk1fl1.tiff"}
    assert set(files) - listed == {"r16c24f01p02-ch2sk2fk1fl1.tiff"}
    assert files["r16c24f01p02-ch2sk2fk1fl1.tiff"].key == PlaneKey("P24", 5, 2, 2, 2)
    assert {name for name, file in files.items() if not file.listed} == {"r16c24f01p02-ch2sk2fk1fl1.tiff"}
    wells = root_of(MIXED).find("{*}Wells")
    ids = [image.attrib["id"] for image in wells.iter() if image.tag.endswith("}Image")]
    assert ids == [image["id"] for image in images_of(MIXED)]


def test_a_field_that_no_well_has_is_not_counted() -> None:
    plate = replace(SMALL, field_mask=("xx", "xx"), missing_fields=frozenset({("C05", 2)}))
    assert plate.field_numbers == {1: 1, 4: 2, 3: 3}


@pytest.mark.parametrize(("first", "ids"), [(None, ["0", "1"]), (0, ["0", "1"]), (1, ["1", "2"])])
def test_timepoints_count_from_0_or_1_in_the_index_and_from_1_in_names(first: int | None, ids: list[str]) -> None:
    images = images_of(replace(SMALL, timepoints=2, first_timepoint_id=first, field_mask=("x",)))
    assert [image["TimepointID"] for image in images] == ids
    assert [image["URL"][13:] for image in images] == ["ch1sk1fk1fl1.tiff", "ch1sk2fk1fl1.tiff"]
    assert [image["id"] for image in images] == ["0305K1F1P1R1", "0305K2F1P1R1"]
    assert [image["MeasurementTimeOffset"] for image in images] == ["0", "3600"]


@pytest.mark.parametrize("version", Version)
def test_names_of_any_text_come_back_from_the_index(version: Version) -> None:
    plate = replace(MIXED, version=version)
    root = root_of(plate)
    assert root.tag == f"{{{NAMESPACES[version]}}}EvaluationInputData"
    assert root.findtext("{*}Plates/{*}Plate/{*}Name") == "Plätte.v1.2_µ"
    names = [element.text for element in root.iter() if element.tag.endswith("}ChannelName")]
    assert set(names) == {"HOECHST 33342", ODD_NAME, "Brightfield"}
    assert len(names) == (len(images_of(plate)) if version is Version.V5 else 3)
    profiles = [element.text or "" for element in root.iter() if element.tag.endswith("}FlatfieldProfile")]
    assert f'Channel: 2, ChannelName: "{ODD_NAME}", ' in profiles[1]
    assert "Channel: 1, ChannelName: HOECHST 33342, " in profiles[0]


@pytest.mark.parametrize("version", Version)
def test_emission_is_written_as_given_or_left_out(version: Version) -> None:
    channels = (BRIGHT, replace(BRIGHT, name="Digital Phase Contrast", kind=Kind.PHASE, emission_nm=None))
    root = root_of(replace(SMALL, channels=channels, version=version))
    facts = [element for element in root.iter() if element.find("{*}ChannelName") is not None][:2]
    assert [element.findtext("{*}MainEmissionWavelength") for element in facts] == ["0", None]
    assert [element.findtext("{*}ChannelType") for element in facts] == ["Brightfield", "Phase"]
    assert [element.findtext("{*}IlluminationType") for element in facts] == ["Transmitted"] * 2


def test_profiles_are_given_or_left_out_by_channel() -> None:
    polynomial = ((1.25,), (-0.5, 0.03))
    profile = Flatfield(background=polynomial, foreground=None, mean=373.69866)
    channels = (replace(BRIGHT, flatfield=None), HarmonyChannel(flatfield=profile))
    root = root_of(replace(SMALL, channels=channels, size=(1080, 1080)))
    (entry,) = [entry for entry in root.iter() if entry.find("{*}FlatfieldProfile") is not None]
    assert entry.attrib == {"ChannelID": "2"}
    text = entry.findtext("{*}FlatfieldProfile")
    assert "Mean: 373.69866, " in text
    assert (
        "Profile: {Coefficients: [[1.25], [-0.5, 0.03]], Dims: [1080, 1080], Origin: [539.5, 539.5], "
        "Scale: [0.00092592593, 0.00092592593], Type: Polynomial}"
    ) in text
    assert "Foreground" not in text
    nothing = replace(SMALL, channels=(replace(BRIGHT, flatfield=None),), instrument="Sonata")
    assert list(root_of(nothing).find("{*}Maps")) == []


def test_images_are_listed_in_the_order_of_their_numbers() -> None:
    ids = [[int(n) for n in re.split("[KFPR]", image["id"])] for image in images_of(MIXED)]
    assert all(first < second for first, second in pairwise(ids))


def test_what_corrects_skew_is_packed_text_and_only_a_phenix_has_it() -> None:
    packed = [element.text or "" for element in root_of(MIXED).iter() if element.tag.endswith("}SkewcropParameters")]
    assert len(packed) == 3
    assert gzip.decompress(base64.b64decode(packed[0])).startswith(b"<EventXml")
    assert b"Skewcrop" not in index_bytes(replace(MIXED, instrument="Sonata"))
