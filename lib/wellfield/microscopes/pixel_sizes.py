"""The pixel size of each well. Wells of one plate may have been taken with different objectives or binning."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wellfield.microscopes.image_facts import read_pixel_size
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.plate.calibration import SAME_SIZE
from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.plate import Plate


def settle_pixel_sizes(plate_path: Path, contents: ParsedPlate) -> None:
    """Give the planes of each well the pixel size in the well's own files.

    One file of each well is opened. In a well that differs from the others, one file of each field and channel is.
    """
    firsts: dict[str, PlaneRecord] = {}
    for plane in contents.planes:
        firsts.setdefault(plane.key.well, plane)
    contents.images_opened += len(firsts)
    sizes = {well: read_pixel_size(plate_path / plane.path) for well, plane in firsts.items()}
    counts = Counter(size for size in sizes.values() if size is not None)
    if counts:
        contents.plate = replace(contents.plate, pixel_size_um=counts.most_common(1)[0][0])
    usual = contents.plate.pixel_size_um
    others = {well: size for well, size in sizes.items() if _differs(size, usual)}
    mapped = {well: size for well, size in sizes.items() if _differs(size, _known(firsts[well].pixel_size_um))}
    if others or mapped:
        contents.planes = _with_own_sizes(plate_path, contents, others.keys() | mapped.keys())


def _with_own_sizes(plate_path: Path, contents: ParsedPlate, wells: Iterable[str]) -> list[PlaneRecord]:
    chosen, known = set(wells), dict[tuple[str, int, int], float | None]()
    planes = []
    for plane in contents.planes:
        if plane.key.well in chosen:
            place = plane.key[:3]
            if place not in known:
                contents.images_opened += 1
                known[place] = read_pixel_size(plate_path / plane.path)
            planes.append(plane._replace(pixel_size_um=known[place] or NAN))
        else:
            planes.append(plane)
    return planes


def contradicting_plane(info: Plate, planes: Iterable[PlaneRecord]) -> tuple[PlaneRecord, float, float] | None:
    """Return a plane of a well whose file has another pixel size than the index, and both sizes; ``None`` if all agree.

    One file of each field, channel and timepoint is opened. Use it for plates with ``pixel_size_of_files``.
    """
    groups: dict[tuple[int, int, int], PlaneRecord] = {}
    for plane in planes:
        groups.setdefault((plane.key.field, plane.key.channel, plane.key.timepoint), plane)
    for plane in groups.values():
        indexed = _known(plane.pixel_size_um) or info.pixel_size_um
        size = read_pixel_size(Path(info.path, plane.path))
        if size is not None and indexed is not None and _differs(size, indexed):
            return plane, size, indexed
    return None


def _known(size: float) -> float | None:
    return None if math.isnan(size) else size


def _differs(size: float | None, other: float | None) -> bool:
    return size is not None and other is not None and not math.isclose(size, other, rel_tol=SAME_SIZE)
