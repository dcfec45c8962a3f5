"""Ingest of plates (SPEC X1), linear in the files, against what any ingest must do and against OpenHCS.

ImageXpress, at most four times the floor: ``floor`` is an ``os.scandir`` walk, one regular expression per name and
``json.dump`` of the mapping; ``floor + stat`` also asks the system for size and time of each file, which the plate
table must hold. Opera Phenix, at most one and a half times the floor: ``floor`` is ``iterparse`` of the plate's index,
clearing each element. ``ingest`` is the real thing: detection, tags, mapping, report, JSON and Parquet index. OpenHCS
initialises a copy of the plate, into which it writes its mapping and metadata; it notes neither times nor sizes of
files and makes no report.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from benchmarks.against_peers import environment
from benchmarks.harness import HERE, WORK, Case, Statistics, Table, compare, measure
from benchmarks.processes import PeerProcess
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.wells import split_well, well_name
from wellfield.testing.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
REPEATS = {1_000: 25, 10_000: 15, 100_000: 7}
PEER_REPEATS = {1_000: 5, 10_000: 3, 100_000: 1}
PEER = "OpenHCS 0.8.6"
PLANES_PER_WELL = 9 * 2 * 5

_NAME = re.compile(r"(?P<prefix>.+)_(?P<well>[A-Z]+[0-9]+)_s(?P<site>[0-9]+)_w(?P<wave>[0-9]+)\.TIF")


def make_imagexpress(files: int) -> Path:
    """Write a plate in export style, once: 9 sites × 2 waves × 5 z of 4 × 4 pixels in as many wells as it takes."""
    plate = ImageXpressPlate(
        name="Plate",
        wells=_wells(files),
        site_mask=("xxx",) * 3,
        waves=(Wave(name="DAPI"), Wave(name="FITC")),
        z_steps=5,
        size=(4, 4),
        plate_rows=32,
        plate_columns=48,
    )
    pixels = np.zeros((4, 4), np.uint16)
    root = _once(WORK / f"imagexpress-{files}", lambda folder: write_imagexpress(folder, plate, lambda key: pixels))
    return root / plate.name


def make_opera_phenix(files: int) -> Path:
    """Write a plate of Harmony V5, once: as many images as :func:`make_imagexpress`, and their index."""

    def write(folder: Path) -> None:
        images = folder / "Plate" / "Images"
        images.mkdir(parents=True)
        tifffile.imwrite(images / "plane.tiff", np.zeros((4, 4), np.uint16))
        content = (images / "plane.tiff").read_bytes()
        (images / "plane.tiff").unlink()
        with (images / "Index.xml").open("w", encoding="utf-8") as index:
            index.write(_INDEX_HEAD)
            for well, field, channel, plane in product(_wells(files), range(9), (1, 2), range(1, 6)):
                row, column = (number + 1 for number in split_well(well))
                name = f"r{row:02d}c{column:02d}f{field + 1:02d}p{plane:02d}-ch{channel}sk1fk1fl1.tiff"
                (images / name).write_bytes(content)
                index.write(
                    _INDEX_IMAGE.format(
                        id=f"{row:02d}{column:02d}K1F{field + 1}P{plane}R{channel}",
                        url=name,
                        row=row,
                        column=column,
                        field=field + 1,
                        plane=plane,
                        channel=channel,
                        x=(field % 3 - 1) * 6e-4,
                        y=(1 - field // 3) * 6e-4,
                        z=plane * 1e-6,
                    )
                )
            index.write("  </Images>\n</EvaluationInputData>\n")

    return _once(WORK / f"opera-phenix-{files}", write) / "Plate"


_INDEX_HEAD = """\
<?xml version="1.0" encoding="utf-8"?>
<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5" Version="1">
  <User>benchmark</User>
  <InstrumentType>Phenix</InstrumentType>
  <Plates>
    <Plate>
      <PlateID>Plate</PlateID>
      <MeasurementID>00000000-0000-0000-0000-000000000000</MeasurementID>
      <Name>Plate</Name>
      <PlateRows>32</PlateRows>
      <PlateColumns>48</PlateColumns>
    </Plate>
  </Plates>
  <Images>
"""
_INDEX_IMAGE = """\
    <Image Version="1">
      <id>{id}</id>
      <State>Ok</State>
      <URL>{url}</URL>
      <Row>{row}</Row>
      <Col>{column}</Col>
      <FieldID>{field}</FieldID>
      <PlaneID>{plane}</PlaneID>
      <TimepointID>0</TimepointID>
      <ChannelID>{channel}</ChannelID>
      <FlimID>1</FlimID>
      <ChannelName>Channel {channel}</ChannelName>
      <ImageType>Signal</ImageType>
      <AcquisitionType>Confocal</AcquisitionType>
      <IlluminationType>Epifluorescence</IlluminationType>
      <ChannelType>Fluorescence</ChannelType>
      <ImageResolutionX Unit="m">5.979760809567617E-07</ImageResolutionX>
      <ImageResolutionY Unit="m">5.979760809567617E-07</ImageResolutionY>
      <ImageSizeX>4</ImageSizeX>
      <ImageSizeY>4</ImageSizeY>
      <BinningX>2</BinningX>
      <BinningY>2</BinningY>
      <MaxIntensity>65535</MaxIntensity>
      <CameraType>Camera</CameraType>
      <PositionX Unit="m">{x:.9f}</PositionX>
      <PositionY Unit="m">{y:.9f}</PositionY>
      <PositionZ Unit="m">{z:.9f}</PositionZ>
      <AbsPositionZ Unit="m">0.137510493</AbsPositionZ>
      <MeasurementTimeOffset Unit="s">0</MeasurementTimeOffset>
      <AbsTime>2024-01-15T09:00:00.0+01:00</AbsTime>
      <MainExcitationWavelength Unit="nm">475</MainExcitationWavelength>
      <MainEmissionWavelength Unit="nm">525</MainEmissionWavelength>
      <ObjectiveMagnification Unit="">10</ObjectiveMagnification>
      <ObjectiveNA Unit="">0.3</ObjectiveNA>
      <ExposureTime Unit="s">0.006</ExposureTime>
    </Image>
"""


def _wells(files: int) -> tuple[str, ...]:
    return tuple(well_name(number // 48, number % 48) for number in range(files // PLANES_PER_WELL))


def _once(folder: Path, write: Callable[[Path], object]) -> Path:
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder)
        (folder / "ready").touch()
    return folder


def copy_for_peer(root: Path) -> Path:
    """Return a copy of a plate into which OpenHCS may write, made of links to its files.

    HTD files get the line with the pixel size without which OpenHCS refuses a plate.
    """

    def write(folder: Path) -> None:
        shutil.copytree(root, folder / root.name, copy_function=os.link)
        for htd in (folder / root.name).glob("*.HTD"):
            content = htd.read_bytes()
            htd.unlink()
            htd.write_bytes(content + b'"PixelSizeUM", 0.65\r\n')

    return _once(root.parent.with_name(f"{root.parent.name}-openhcs"), write) / root.name


def floor(root: Path, target: Path, *, stat: bool) -> None:
    """Do the least that any ingest must do."""
    mapping: dict[str, str] = {}
    sizes: list[tuple[int, int]] = []
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                elif match := _NAME.fullmatch(entry.name):
                    mapping[f"images/{match['well']}_s{match['site']}_w{match['wave']}_{folder[-1]}.tif"] = entry.path
                    if stat:
                        status = entry.stat()
                        sizes.append((status.st_size, status.st_mtime_ns))
    with target.open("w") as file:
        json.dump(mapping, file)


def ingest(root: Path, target: Path) -> None:
    """Read the plate as the workflow does."""
    handler, why = get_microscope_handler(root)
    handler.initialize_workspace(target, plate="Plate", why=why)


def fresh_folder() -> Path:
    """Return an empty folder for results."""
    folder = WORK / "ingest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def per_file(files: int) -> Callable[[str, Statistics], Mapping[str, str]]:
    """Return a column with the time per file."""
    return lambda name, found: {"per file": f"{found.median / files * 1e6:.1f} µs"}


def imagexpress(size: int, repeats: int, peer: PeerProcess) -> Table:
    """Measure a plate of the ImageXpress."""
    root = make_imagexpress(size)
    files = sum(len(names) for _, _, names in os.walk(root))
    cases = [
        Case("floor", lambda out: floor(root, out / "mapping.json", stat=False), fresh_folder),
        Case("floor + stat", lambda out: floor(root, out / "mapping.json", stat=True), fresh_folder),
        Case("ingest", lambda out: ingest(root, out), fresh_folder),
    ]
    results = measure(cases, repeats) | measured_peer(peer, root, "imagexpress", size)
    title = f"Ingest of {files:,} files of an ImageXpress"
    table = compare(title, results, baseline="floor", at_most={"ingest": 4}, units=per_file(files))
    with_stat = results["ingest"].median / results["floor + stat"].median
    table.notes.append(f"Against `floor + stat` ingest takes {with_stat:.2f} ×. Files are in the page cache.")
    table.notes.append(_rival(results))
    return table


def opera_phenix(size: int, repeats: int, peer: PeerProcess) -> Table:
    """Measure a plate of the Opera Phenix."""
    root = make_opera_phenix(size)
    files = sum(len(names) for _, _, names in os.walk(root))
    index = root / "Images" / "Index.xml"
    cases = [
        Case("floor", lambda _: parse_floor(index)),
        Case("ingest", lambda out: ingest(root, out), fresh_folder),
    ]
    results = measure(cases, repeats) | measured_peer(peer, root, "opera_phenix", size)
    title = f"Ingest of {files:,} files of an Opera Phenix"
    table = compare(title, results, baseline="floor", at_most={"ingest": 1.5}, units=per_file(files))
    table.notes.append(_rival(results))
    return table


def parse_floor(index: Path) -> None:
    """Parse an index and look at nothing."""
    for _, element in ElementTree.iterparse(index):
        element.clear()


def measured_peer(peer: PeerProcess, root: Path, microscope: str, size: int) -> dict[str, Statistics]:
    """Measure OpenHCS, which takes so long that it has repeats of its own."""
    copy, planes = copy_for_peer(root), len(_wells(size)) * PLANES_PER_WELL
    case = Case(PEER, lambda _: peer.ask("ingest", str(copy), microscope, planes))
    return measure([case], PEER_REPEATS[size], warm_up=int(PEER_REPEATS[size] > 1))


def _rival(results: Mapping[str, Statistics]) -> str:
    ratio = results[PEER].median / results["ingest"].median
    return f"{PEER} takes {ratio:.1f} × as long as `ingest`, measured after the others."


def run(*, quick: bool = False) -> list[Table]:
    """Measure both microscopes in all sizes."""
    with environment("openhcs", complete=True).start(HERE / "peers" / "openhcs_ingest.py") as peer:
        return [
            measured(size, 5 if quick else REPEATS[size], peer)
            for measured in (imagexpress, opera_phenix)
            for size in (QUICK_SIZES if quick else SIZES)
        ]
