"""What image files say of themselves, whichever program wrote them."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.image_facts import ImageFacts, read_facts, read_pixel_size
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.pattern import PatternHandler
from wellfield.microscopes.stage_positions import field_positions
from wellfield.plate.filename_layout import Layout

PIXELS = np.zeros((4, 6), "u2")


def metaseries(path: Path, *, size: float | None = 0.5, x: float = 10.0, y: float = -20.0, wave: str = "DAPI") -> None:
    values = {"stage-position-x": x, "stage-position-y": y, "z-position": 3.0, "_IllumSetting_": wave}
    if size is not None:
        values |= {"spatial-calibration-x": size, "spatial-calibration-units": "um"}
    text = "".join(f'<prop id="{name}" type="string" value="{value}"/>' for name, value in values.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path,
        PIXELS,
        description=f"<MetaData><PlaneInfo>{text}</PlaneInfo></MetaData>",
        metadata=None,
        bigtiff=size == 2,
    )


HARMONY = """<?xml version="1.0" encoding="utf-8"?>
<TiffImageDescription xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><InstrumentDescription>
<Magnification>1.25</Magnification>
<Objectives><Objective><ID>other</ID><Magnification>40</Magnification></Objective>
<Objective><ID>mine</ID><Magnification>20</Magnification></Objective></Objectives>
<Camera><ID>one</ID><PixelSizeX>0.0000065</PixelSizeX></Camera></InstrumentDescription>
<Exposures><Exposure><Objective>mine</Objective>
<Record><Channel><Name>Brightfield</Name><CameraSetting><CameraID>one</CameraID><BinningX>1</BinningX></CameraSetting>
</Channel></Record><Record><Channel><Name>HOECHST</Name><CameraSetting><CameraID>one</CameraID><BinningX>2</BinningX>
</CameraSetting></Channel></Record></Exposure></Exposures>
<Sublayouts><Sublayout><Field><X>0</X><Y>0</Y></Field><Field><X>-0.0006</X><Y>0.0003</Y></Field></Sublayout></Sublayouts>
<Image><Row>1</Row><Col>1</Col><FieldID>2</FieldID><ExposureID>1</ExposureID><RecordID>2</RecordID>
<ChannelID>1</ChannelID></Image></TiffImageDescription>"""


def harmony(path: Path, text: str = HARMONY) -> None:
    content = text.encode()
    tifffile.imwrite(
        path,
        PIXELS,
        resolution=(1538.46, 1538.46),  # of the camera
        resolutionunit="CENTIMETER",
        extratags=[(65500, 7, len(content), content, True)],
        metadata=None,
    )


def ome(path: Path, *images: str, **options: Any) -> None:
    text = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">%s</OME>'
    tifffile.imwrite(path, PIXELS, description=text % "".join(images), metadata=None, **options)


def ome_image(file: str, *, size: float, x: float, channel: str, unit: str = "mm") -> str:
    return (
        f'<Image ID="Image:{file}"><Pixels DimensionOrder="XYCZT" SizeX="6" SizeY="4" SizeC="1" SizeZ="1" SizeT="1" '
        f'Type="uint16" PhysicalSizeX="{size}"><Channel ID="c" Name="{channel}" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="1"><UUID FileName="{file}">urn:uuid:{file}</UUID></TiffData>'
        f'<Plane TheC="0" TheZ="0" TheT="0" PositionX="{x}" PositionXUnit="{unit}" PositionY="2" '
        f'PositionYUnit="{unit}"/>'
        "</Pixels></Image>"
    )


def metamorph(path: Path) -> None:
    """Write MetaMorph's tags: UIC1 refers to values that lie behind the image."""

    def write(at: int) -> None:
        uic1 = [3, 1, 4, at, 6, at + 8]  # calibration on, XCalibration, its unit
        uic2 = [0, 1, 2455000, 0, 2455000, 0]
        tags = [(33629, 4, 6, uic2, True), (33628, 4, len(uic1), uic1, True)]
        tifffile.imwrite(path, PIXELS, extratags=tags, metadata=None)
        content = path.read_bytes()
        for tag, kind, count in ((33629, 5, 1), (33628, 4, 3)):  # planes and pairs, each of several numbers
            content = content.replace(struct.pack("<HHI", tag, 4, 6), struct.pack("<HHI", tag, kind, count))
        path.write_bytes(content)

    write(0)
    end = path.stat().st_size
    write(end)
    with path.open("ab") as file:
        file.write(np.array([13, 20, 3], "<u4").tobytes() + b"um\0")


def test_each_format_says_pixel_size_position_and_channel(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metaseries(path)
    assert read_facts(path) == ImageFacts(0.5, 10.0, -20.0, 3.0, "DAPI")
    harmony(path)
    facts = read_facts(path)
    assert (facts.pixel_size_um, facts.channel, facts.stage_y_up) == (pytest.approx(6.5 * 2 / 25), "HOECHST", True)
    assert (facts.stage_x_um, facts.stage_y_um) == (pytest.approx(-600), pytest.approx(300))
    ome(path, ome_image("a.tif", size=0.65, x=1.5, channel="FITC"))
    facts = read_facts(path)
    assert (facts.pixel_size_um, facts.stage_x_um, facts.stage_y_um, facts.channel) == (0.65, 1500, 2000, "FITC")
    metamorph(path)
    assert read_facts(path).pixel_size_um == pytest.approx(0.65)


def test_ome_xml_of_a_whole_plate_says_the_position_of_its_own_file(tmp_path: Path) -> None:
    images = [ome_image(f"{n}.tif", size=0.5, x=n, channel=f"c{n}") for n in (1, 2)]
    ome(tmp_path / "2.tif", *images)
    assert (read_facts(tmp_path / "2.tif").stage_x_um, read_facts(tmp_path / "2.tif").channel) == (2000, "c2")
    ome(tmp_path / "3.tif", *images)  # which none of the images names
    facts = read_facts(tmp_path / "3.tif")
    assert (facts.pixel_size_um, facts.channel) == (0.5, None)
    assert math.isnan(facts.stage_x_um)


def test_a_position_without_a_unit_of_length_is_unknown(tmp_path: Path) -> None:
    ome(tmp_path / "a.tif", ome_image("a.tif", size=0.5, x=1, channel="c", unit="reference frame"))
    assert math.isnan(read_facts(tmp_path / "a.tif").stage_x_um)


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"II*\0" * 9)])
def test_damaged_files_say_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.tif")
    assert read_pixel_size(tmp_path / "a.tif") is None
    assert read_facts(tmp_path / "a.tif").channel is None


def test_xml_entities_and_other_text_are_not_read(tmp_path: Path) -> None:
    harmony(tmp_path / "a.tif", HARMONY.replace("?>", '?><!DOCTYPE x [<!ENTITY e "1">]>'))
    assert read_facts(tmp_path / "a.tif") == ImageFacts()


@pytest.mark.parametrize("size", [0.25, 2])  # a classic file and a BigTIFF
def test_the_pixel_size_alone_is_what_the_facts_say(tmp_path: Path, size: float) -> None:
    metaseries(tmp_path / "a.tif", size=size)
    assert read_pixel_size(tmp_path / "a.tif") == read_facts(tmp_path / "a.tif").pixel_size_um == size
    harmony(tmp_path / "a.tif")
    assert read_pixel_size(tmp_path / "a.tif") == pytest.approx(0.52)


# --- plates that are read by their names --------------------------------------------------------------------------

NAME = r"(?P<well>[A-H]\d)_f(?P<field>\d)_c(?P<channel>\d)\.tif"


def read(folder: Path, pattern: str = NAME, **options: Any) -> ParsedPlate:
    return PatternHandler(folder, layout=Layout("mine", pattern, **options)).read_plate()


def write_plate(folder: Path, **options: Any) -> Path:
    for well in ("A1", "A2", "A3"):
        for field in (1, 2):
            for channel, wave in ((1, "DAPI"), (2, "FITC")):
                metaseries(folder / f"{well}_f{field}_c{channel}.tif", x=100.0 * field, wave=wave, **options)
    return folder


def test_a_pattern_takes_pixel_size_positions_and_channels_from_the_files(tmp_path: Path) -> None:
    contents = read(write_plate(tmp_path / "p"))
    assert contents.plate.pixel_size_um == 0.5
    assert contents.plate.channels == {1: "DAPI", 2: "FITC"}
    info = contents.complete(name="P", path=str(tmp_path / "p"), microscope="mine")
    assert {plane.pixel_size_um for plane in contents.planes} == {0.5}
    well = [plane for plane in contents.planes if plane.key.well == "A02"]  # none of it was sampled
    assert field_positions(info, well) == {1: (100.0, -20.0), 2: (200.0, -20.0)}


def test_what_the_layout_gives_wins_and_a_contradiction_is_noted(tmp_path: Path) -> None:
    contents = read(write_plate(tmp_path / "p"), pixel_size_um=0.65, channels=("DNA", "FITC"))
    contents.complete(name="P", path=str(tmp_path), microscope="mine")
    assert {plane.pixel_size_um for plane in contents.planes} == {0.65}
    assert contents.plate.channels == {1: "DNA", 2: "FITC"}
    assert contents.notes == [
        "pixel size: the layout says 0.65 µm and is followed; files say 0.5 µm",
        "channel 1 is DNA by the layout, which is followed; files say DAPI",
    ]


def test_a_field_has_one_position_in_all_its_channels_and_other_fields_none(tmp_path: Path) -> None:
    contents = read(write_plate(tmp_path / "p"))
    contents.complete(name="P", path=str(tmp_path), microscope="mine")
    known = {plane.key[:3] for plane in contents.planes if not math.isnan(plane.stage_x_um)}
    # sampled are field 1 of the first well and field 2 of the last one
    assert known == {(well, field, channel) for well, field in (("A01", 1), ("A03", 2)) for channel in (1, 2)}


def test_the_z_planes_of_a_field_share_its_position(tmp_path: Path) -> None:
    for well in ("A1", "A2", "A3"):
        for z in (1, 2, 3):
            metaseries(tmp_path / "p" / f"{well}_z{z}.tif")
    contents = read(tmp_path / "p", r"(?P<well>[A-H]\d)_z(?P<z>\d)\.tif")
    contents.complete(name="P", path=str(tmp_path), microscope="mine")
    known = {(plane.key.well, plane.key.z) for plane in contents.planes if plane.stage_x_um == 10.0}
    assert known == {(well, z) for well in ("A01", "A03") for z in (1, 2, 3)}  # A01 z 1 and A03 z 3 were sampled


def test_harmony_without_its_index_is_calibrated_by_the_files(tmp_path: Path) -> None:
    harmony(tmp_path / "r01c01f02p01-ch2sk1fk1fl1.tiff")
    contents = get_microscope_handler(tmp_path)[0].read_plate()
    assert contents.plate.pixel_size_um == pytest.approx(0.52)
    assert contents.plate.channels == {2: "HOECHST"}
    assert contents.plate.stage_y_up
    assert contents.planes[0].stage_x_um == pytest.approx(-600)


def test_a_preset_reads_harmonys_pixel_size_and_not_the_cameras(tmp_path: Path) -> None:
    harmony(tmp_path / "r01c01f02-ch2.tif")
    contents = get_microscope_handler(tmp_path, "row_column_field_channel")[0].read_plate()
    assert contents.plate.pixel_size_um == pytest.approx(0.52)
    assert contents.plate.channels == {2: "HOECHST"}
    assert contents.plate.stage_y_up
    assert contents.notes == []
