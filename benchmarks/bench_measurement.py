"""Measurement of objects, compared with scikit-image's regionprops_table for the same properties."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Case, Table, compare, measure
from wellfield.processing.measurement import count_cells
from wellfield.processing.objects import measure_objects

Array = npt.NDArray[Any]

# What measure_objects gives besides quartiles, deviations, edges and texture, as regionprops calls it.
PROPERTIES = (
    *("label", "area", "area_bbox", "area_convex", "area_filled", "axis_major_length", "axis_minor_length", "bbox"),
    *("centroid", "centroid_weighted", "eccentricity", "equivalent_diameter_area", "euler_number", "extent"),
    *("feret_diameter_max", "intensity_max", "intensity_mean", "intensity_median", "intensity_min", "intensity_std"),
    *("moments_hu", "orientation", "perimeter", "perimeter_crofton", "solidity"),
)


def field(side: int, per_row: int, channels: int) -> tuple[Array, Array]:
    """Return an image ``[C, side, side]`` of noise and labels of *per_row*² ellipses, turned at random."""
    rng = np.random.default_rng(0)
    labels = np.zeros((side, side), np.int32)
    step = side / per_row
    y, x = np.mgrid[:side, :side].astype(np.float32)
    row, column = (y // step).astype(np.int32), (x // step).astype(np.int32)
    number = row * per_row + column
    long, short = rng.uniform(0.25, 0.45, (2, per_row**2)) * step
    angle = rng.uniform(0, np.pi, per_row**2)
    dy, dx = y - (row + 0.5) * step, x - (column + 0.5) * step
    along, across = np.cos(angle)[number], np.sin(angle)[number]
    inside = ((along * dx + across * dy) / long[number]) ** 2 + ((along * dy - across * dx) / short[number]) ** 2 <= 1
    labels[inside] = number[inside] + 1
    return rng.integers(100, 4000, (channels, side, side)).astype(np.uint16), labels[None]


def regionprops(image: Array, labels: Array, _: Any) -> Any:
    """Return what scikit-image measures of the same objects."""
    from skimage.measure import regionprops_table

    return regionprops_table(labels[0], np.moveaxis(image, 0, -1), properties=PROPERTIES)  # type: ignore[no-untyped-call]


def measured(image: Array, labels: Array, _: Any, **options: Any) -> Any:
    """Return the table of :func:`measure_objects`."""
    return measure_objects(image, labels=labels, **options)[2]


def tables(side: int, per_row: int, channels: int, repeats: int) -> Iterator[Table]:
    """The issue: at most twice the time of regionprops_table; texture is given beside."""
    image, labels = field(side, per_row, channels)
    count = int(labels.max())
    peer, name, textured = "regionprops_table", "measure_objects", "measure_objects, with texture"
    everything = "measure_objects, with texture, of nuclei, cells and cytoplasm"
    cases = [
        Case(peer, partial(regionprops, image, labels)),
        Case(name, partial(measured, image, labels, texture_distance=None)),
        Case(textured, partial(measured, image, labels)),
        Case(everything, partial(measured, image, labels, cells=labels, cytoplasm=labels)),
        Case("count_cells", lambda _: count_cells(image, labels=labels)),
    ]
    table = compare(
        f"Measuring {count:,} objects in {side}² pixels, {channels} channel{'s' if channels > 1 else ''}",
        measure(cases, repeats, warm_up=0),
        baseline=peer,
        at_most={name: 2.0},
        units=lambda _, found: {"objects/s": f"{count / found.median:,.0f}"},
    )
    table.notes.append(f"regionprops_table: {', '.join(PROPERTIES)}.")
    yield table


def run(*, quick: bool = False) -> list[Table]:
    """Measure everything."""
    if quick:
        return list(tables(512, 20, 1, 2))
    return [table for channels in (1, 3) for table in tables(2048, 100, channels, 3)]
