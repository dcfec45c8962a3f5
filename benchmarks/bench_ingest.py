"""Ingest of ImageXpress plates (SPEC X1): at most four times a bare scan with one regex a name, linear in the files.

``floor`` is an ``os.scandir`` walk, one regular expression per name and ``json.dump`` of the mapping. ``floor + stat``
also asks the system for size and time of each file, which the plate table must hold. ``ingest`` is the real thing:
detection, tags, mapping, report, JSON and Parquet index.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.harness import WORK, Case, Statistics, Table, compare, measure
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.wells import well_name
from wellfield.testing.imagexpress_writer import ImageXpressPlate, Wave, write_imagexpress

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
REPEATS = {1_000: 25, 10_000: 15, 100_000: 7}
PLANES_PER_WELL = 9 * 2 * 5

_NAME = re.compile(r"(?P<prefix>.+)_(?P<well>[A-Z]+[0-9]+)_s(?P<site>[0-9]+)_w(?P<wave>[0-9]+)\.TIF")


def make_plate(files: int) -> Path:
    """Write a plate in export style, once: 9 sites × 2 waves × 5 z of 4 × 4 pixels in as many wells as it takes."""
    root = WORK / f"imagexpress-{files}"
    plate = ImageXpressPlate(
        name="Plate",
        wells=tuple(well_name(number // 48, number % 48) for number in range(files // PLANES_PER_WELL)),
        site_mask=("xxx",) * 3,
        waves=(Wave(name="DAPI"), Wave(name="FITC")),
        z_steps=5,
        size=(4, 4),
        plate_rows=32,
        plate_columns=48,
    )
    if not (root / "ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        pixels = np.zeros((4, 4), np.uint16)
        write_imagexpress(root, plate, lambda key: pixels)
        (root / "ready").touch()
    return root / plate.name


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


def run(*, quick: bool = False) -> list[Table]:
    """Measure all sizes."""
    tables = []
    for size in QUICK_SIZES if quick else SIZES:
        root = make_plate(size)
        files = sum(len(names) for _, _, names in os.walk(root))
        cases = [
            Case("floor", lambda out, root=root: floor(root, out / "mapping.json", stat=False), fresh_folder),  # type: ignore[misc]
            Case("floor + stat", lambda out, root=root: floor(root, out / "mapping.json", stat=True), fresh_folder),  # type: ignore[misc]
            Case("ingest", lambda out, root=root: ingest(root, out), fresh_folder),  # type: ignore[misc]
        ]
        results = measure(cases, 5 if quick else REPEATS[size])
        table = compare(
            f"Ingest of {files:,} files", results, baseline="floor", at_most={"ingest": 4}, units=per_file(files)
        )
        with_stat = results["ingest"].median / results["floor + stat"].median
        table.notes.append(f"Against `floor + stat` ingest takes {with_stat:.2f} ×. Files are in the page cache.")
        tables.append(table)
    return tables
