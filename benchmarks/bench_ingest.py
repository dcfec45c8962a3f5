"""Ingest of plates (SPEC X1), compared with the least that any ingest must do (``floor``) and with OpenHCS.

The time should grow linearly with the number of files. ImageXpress may take four times the floor: an ``os.scandir``
walk, one regular expression per name and ``json.dump`` of the mapping. Opera Phenix may take one and a half times the
floor: ``iterparse`` of the plate's index, clearing each element. ``ingest`` is the full ingest: detection, tags,
mapping, report, JSON and Parquet index. Two cases explain the difference: ``floor + stat`` also asks the system for the
size and time of each file, which the plate table must hold; ``floor + stat + table`` also writes that table, which was
made before. OpenHCS initialises a copy of the plate and writes its mapping and metadata into it; it records neither
times nor sizes of files and makes no report.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from benchmarks.against_peers import environment
from benchmarks.harness import HERE, WORK, Case, Statistics, Table, compare, measure
from benchmarks.processes import PeerProcess
from tests.generators.harmony_plate import HarmonyChannel, HarmonyPlate, Version
from tests.generators.harmony_writer import write_harmony
from tests.generators.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.index import PlaneRecord, read_index, write_index
from wellfield.plate.plate import Plate
from wellfield.plate.wells import well_name

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
REPEATS = {1_000: 25, 10_000: 15, 100_000: 7}
PEER_REPEATS = {1_000: 5, 10_000: 3, 100_000: 1}
PEER = "OpenHCS 0.8.6"
PLANES_PER_WELL = 9 * 2 * 5
LIMIT = "floor + stat + table"

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


def make_opera_phenix(files: int, version: Version) -> Path:
    """Write a plate of Harmony, once: as many images as :func:`make_imagexpress`, and their index."""
    plate = HarmonyPlate(
        name="Plate",
        wells=_wells(files),
        version=version,
        channels=(HarmonyChannel(), HarmonyChannel(name="Alexa 488", excitation_nm=488, emission_nm=522)),
        z_planes=5,
        size=(4, 4),
        plate_rows=32,
        plate_columns=48,
        jitter_um=0.3,
        index_name="Index.xml",  # OpenHCS knows no other
    )
    pixels = np.zeros((4, 4), np.uint16)
    folder = WORK / f"opera-phenix-{version}-{files}"
    return _once(folder, lambda folder: write_harmony(folder, plate, lambda key: pixels)) / plate.name


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


def ask_for_sizes(root: Path) -> list[tuple[int, int]]:
    """Walk a plate and ask for size and time of each file."""
    sizes: list[tuple[int, int]] = []
    pending = [str(root)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    pending.append(entry.path)
                else:
                    status = entry.stat()
                    sizes.append((status.st_size, status.st_mtime_ns))
    return sizes


def made_before(root: Path) -> tuple[Sequence[PlaneRecord], Plate]:
    """Return what the plate table of a plate holds."""
    folder = fresh_folder()
    ingest(root, folder)
    info, planes = read_index(folder / "index.parquet")
    gc.collect()
    gc.freeze()  # or every collection of what is measured would look at them
    return planes, info


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
    planes, info = made_before(root)

    def with_table(out: Path) -> None:
        floor(root, out / "mapping.json", stat=True)
        write_index(out / "index.parquet", planes, info)

    cases = [
        Case("floor", lambda out: floor(root, out / "mapping.json", stat=False), fresh_folder),
        Case("floor + stat", lambda out: floor(root, out / "mapping.json", stat=True), fresh_folder),
        Case(LIMIT, with_table, fresh_folder),
        Case("ingest", lambda out: ingest(root, out), fresh_folder),
    ]
    results = measure(cases, repeats) | measured_peer(peer, root, "imagexpress", size)
    title = f"Ingest of {files:,} files of an ImageXpress"
    table = compare(title, results, baseline="floor", at_most={"ingest": 4}, units=per_file(files))
    table.notes.append(f"{_against_limit(results)} Files are in the page cache.")
    table.notes.append(_rival(results))
    return table


def opera_phenix(size: int, repeats: int, version: Version, peer: PeerProcess | None) -> Table:
    """Measure a plate of the Opera Phenix."""
    root = make_opera_phenix(size, version)
    files = sum(len(names) for _, _, names in os.walk(root))
    index = root / "Images" / "Index.xml"
    planes, info = made_before(root)

    def with_table(out: Path) -> None:
        parse_floor(index)
        ask_for_sizes(root)
        write_index(out / "index.parquet", planes, info)

    cases = [
        Case("floor", lambda _: parse_floor(index)),
        Case(LIMIT, with_table, fresh_folder),
        Case("ingest", lambda out: ingest(root, out), fresh_folder),
    ]
    results = measure(cases, repeats)
    if peer is not None:
        results |= measured_peer(peer, root, "opera_phenix", size)
    title = f"Ingest of {files:,} files of an Opera Phenix (Harmony {version})"
    table = compare(title, results, baseline="floor", at_most={"ingest": 1.5}, units=per_file(files))
    table.notes.append(f"{_against_limit(results)} Files are in the page cache.")
    if peer is not None:
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


def _against_limit(results: Mapping[str, Statistics]) -> str:
    return f"Against `{LIMIT}` ingest takes {results['ingest'].median / results[LIMIT].median:.2f} ×."


def _rival(results: Mapping[str, Statistics]) -> str:
    ratio = results[PEER].median / results["ingest"].median
    repeats = results[PEER].repeats
    how = f"{repeats} times after a first one" if repeats > 1 else "once"
    return f"{PEER} takes {ratio:.1f} × as long as `ingest`; it ran {how}, after the others."


def run(*, quick: bool = False) -> list[Table]:
    """Measure both microscopes in all sizes."""
    sizes = {size: 5 if quick else REPEATS[size] for size in (QUICK_SIZES if quick else SIZES)}
    with environment("openhcs", complete=True).start(HERE / "peers" / "openhcs_ingest.py") as peer:
        tables = [imagexpress(size, repeats, peer) for size, repeats in sizes.items()]
        tables += [opera_phenix(size, repeats, Version.V5, peer) for size, repeats in sizes.items()]
    return tables + [opera_phenix(size, repeats, Version.V7, None) for size, repeats in sizes.items()]
