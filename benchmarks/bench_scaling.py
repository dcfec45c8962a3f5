"""How time and memory grow with wells, cores and the size of a plane, and a model that predicts the cost of a plate.

The pipeline is the one of :mod:`benchmarks.bench_end_to_end`. The model has three costs: one per run, one per well, and
one per plane, in proportion to its pixels. It is fitted to all runs, by least squares of the relative errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from benchmarks.bench_end_to_end import Plate, Race
from benchmarks.data import cores
from benchmarks.harness import Statistics, Table, compare, size
from benchmarks.process_tree import alternate

MEGAPIXEL = 1e6


@dataclass(frozen=True)
class Point:
    """One plate on so many cores."""

    plate: Plate
    cores: int

    def __str__(self) -> str:
        plate = self.plate
        on = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{plate.wells} × {plate.fields * 2 * plate.z} planes of {plate.side}², {on}"

    @property
    def load(self) -> tuple[float, float, float]:
        """Runs, wells and megapixels that one core has to do."""
        return 1.0, self.plate.wells / self.cores, self.plate.planes * self.plate.side**2 / MEGAPIXEL / self.cores


@dataclass(frozen=True)
class Model:
    """Seconds of a run, of a well and of a megapixel, and the largest relative error over what it was fitted to."""

    fixed: float
    per_well: float
    per_megapixel: float
    error: float

    @classmethod
    def fit(cls, seconds: Mapping[Point, float]) -> Model:
        """Fit the model; every run counts by its relative error, and nothing costs less than nothing."""
        loads = np.array([point.load for point in seconds])
        taken = np.array(list(seconds.values()))
        costs, _ = nnls(loads / taken[:, None], np.ones(len(taken)))
        error = float(np.abs(loads @ costs / taken - 1).max())
        fixed, per_well, per_megapixel = map(float, costs)
        return cls(fixed, per_well, per_megapixel, error)

    def __str__(self) -> str:
        plane = self.per_megapixel * 2048**2 / MEGAPIXEL
        return (
            f"Fitted: {self.fixed:.1f} s a run, and on each core {self.per_well:.2f} s a well and "
            f"{plane * 1e3:.0f} ms a plane of 2048² ({self.per_megapixel * 1e3:.1f} ms a megapixel); off by at most "
            f"{self.error:.0%}."
        )


def run(*, quick: bool = False) -> list[Table]:
    """Grow one thing at a time, and fit the model to everything."""
    repeats = 1 if quick else 2
    everything = cores()
    wells = (1, 4) if quick else (1, 4, 16, 48, 96)
    sides = (256, 512) if quick else (256, 512, 1024, 2048)
    wide = [Plate(4, fields=2, z=3, side=side) for side in sides]
    groups = {
        "More wells": [Point(Plate(number, fields=2, z=1, side=256), everything) for number in wells],
        "More cores": [Point(wide[-1], number) for number in sorted({1, everything})],
        "Larger planes": [Point(plate, everything) for plate in wide],
    }
    points = {str(point): point for group in groups.values() for point in group}
    for point in points.values():
        point.plate.folder()
    found = alternate({name: Race(point.plate, point.cores).wellfield for name, point in points.items()}, repeats)

    def units(name: str, taken: Statistics) -> Mapping[str, str]:
        speed = points[name].plate.planes / taken.median
        return {"planes/s": f"{speed:.1f}", "memory": size(found["memory"][name].median)}

    tables = [
        compare(
            f"{title}: the whole workflow",
            {str(point): found["wall"][str(point)] for point in group},
            baseline={},
            units=units,
        )
        for title, group in groups.items()
    ]
    model = Model.fit({point: found["wall"][name].median for name, point in points.items()})
    tables[-1].notes.append(str(model))
    return tables
