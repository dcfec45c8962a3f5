"""Regions of 10,000 objects, compared with roifile's own calls, and from labels to the file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from roifile import ImagejRoi, roiwrite

from benchmarks.harness import WORK, Case, Table, compare, measure
from wellfield.formats.roi import write_rois
from wellfield.materialization.rois import labels_to_rois

BARE = "roifile: frompoints and roiwrite"


def nuclei(count: int, side: int) -> Any:
    """Return labels [Y, X]: *count* ellipses on a grid that fills the image, each turned another way."""
    per_row = math.isqrt(count - 1) + 1
    cell = side // per_row
    labels = np.zeros((side, side), np.int32)
    y, x = np.mgrid[:cell, :cell] - (cell - 1) / 2
    for number, angle in enumerate(np.random.default_rng(0).uniform(0, math.pi, count)):
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        inside = along**2 + 2 * across**2 <= (cell / 2 - 0.5) ** 2
        row, column = divmod(number, per_row)
        labels[row * cell :, column * cell :][:cell, :cell][inside] = number + 1
    return labels


def from_coordinates(count: int, labels: Any, repeats: int) -> Table:
    """The issue's target: coordinates of outlines in, an archive out."""
    outlines = [(roi.name, roi.coordinates()) for roi in labels_to_rois(labels)]
    path = WORK / "regions.roi.zip"

    def bare(_: Any) -> None:
        roiwrite(path, [ImagejRoi.frompoints(points, name=name) for name, points in outlines], mode="w")

    def wellfield(_: Any) -> None:
        write_rois(path, [ImagejRoi.frompoints(points, name=name) for name, points in outlines])

    cases = [Case(BARE, bare), Case("the same regions, write_rois", wellfield)]
    cases.append(Case("labels_to_rois and write_rois", lambda _: write_rois(path, labels_to_rois(labels))))
    found = measure(cases, repeats)
    table = compare(f"Writing {count:,} regions", found, baseline=BARE, at_most={case.name: 1.5 for case in cases[1:]})
    corners = sum(len(points) for _, points in outlines)
    table.notes += [
        f"{corners / count:.0f} corners per object. roifile stores what write_rois compresses, and checks nothing.",
        "The last line starts from labels and so finds the outlines too; the others are given them.",
    ]
    return table


def from_labels(count: int, labels: Any, repeats: int) -> Table:
    """Finding outlines: all objects at once, and what scikit-image takes for one after the other."""
    from skimage.measure import find_contours, regionprops

    def one_by_one(_: Any) -> None:
        for region in regionprops(labels):
            find_contours(np.pad(region.image, 1), 0.5)

    peer = "find_contours of each object"
    found = measure([Case(peer, one_by_one), Case("labels_to_rois", lambda _: labels_to_rois(labels))], repeats)
    table = compare(f"Outlines of {count:,} objects in {len(labels)}²", found, baseline=peer)
    table.notes.append("find_contours gives outlines through the middle of pixels, which do not fill to the object.")
    return table


def run(*, quick: bool = False) -> list[Table]:
    """Measure everything."""
    count, side, repeats = (500, 512, 3) if quick else (10_000, 2048, 5)
    WORK.mkdir(parents=True, exist_ok=True)
    labels = nuclei(count, side)
    return [from_coordinates(count, labels, repeats), from_labels(count, labels, repeats)]
