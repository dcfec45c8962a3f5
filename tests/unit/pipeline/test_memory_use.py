"""How much the executor holds: measured by what Python allocates, whatever the functions do inside."""

import functools
import gc
import tracemalloc

import numpy as np
import pytest

from wellfield.pipeline import FunctionStep
from wellfield.pipeline.compile import compile_pipeline
from wellfield.pipeline.executor import run_well
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.pipeline.well_input import PlaneAccount, WellInput
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.plate.plate import Plate
from wellfield.results.stage_writer import StageWriter
from wellfield.storage import DiskStorageBackend, FileManager, MemoryStorageBackend

from .steps import average, compiled

SIZE = 512


class Gauge:
    """Keeps the most that was allocated between calls of functions: what they take for themselves does not count."""

    def __init__(self):
        self.peak = 0

    def __call__(self, function):
        @functools.wraps(function)
        def measured(image, **arguments):
            self.read()
            result = function(image, **arguments)
            tracemalloc.reset_peak()
            return result

        return measured

    def read(self):
        self.peak = max(self.peak, tracemalloc.get_traced_memory()[1])


def project(image):
    return image.max(0, keepdims=True)


def smooth(image):
    return image.astype(np.float32)


def mask(image):
    return image > 500


def label(image):
    return image.astype(np.int32)


def count(image, *, labels):
    return image


def held(tmp_path, *, fields, depth):
    """The most that is held while a well of two channels runs through the shipped pipeline's steps, in field stacks."""
    gauge, disk, planes = Gauge(), DiskStorageBackend(), {}
    plane = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE)
    for key in [PlaneKey("A01", f + 1, c, z + 1, 1) for f in range(fields) for c in (1, 2) for z in range(depth)]:
        planes[key] = str(tmp_path / plane_name(key))
        disk.save(plane, planes[key])
    steps = [
        FunctionStep(gauge(project), name="projected", materialize=["zarr"]),
        FunctionStep(gauge(smooth), channels=[1]),
        FunctionStep(gauge(mask), returns="mask"),
        FunctionStep(gauge(label), name="nuclei", returns="labels", materialize=["zarr"]),
        FunctionStep(gauge(count), input="projected", inputs={"labels": "nuclei"}, stack="channel"),
    ]
    plan = compile_pipeline(
        steps, plate=Plate(channels={1: "DAPI", 2: "FITC"}), sources=choose_sources(planes, "planes")
    )
    files = FileManager({"disk": disk, "memory": MemoryStorageBackend()})
    well = WellInput("P", "A01", planes, files, "disk")
    for run in ("warm", "measured"):
        gauge.peak = 0
        gc.collect()
        tracemalloc.start()
        try:
            with StageWriter(tmp_path / run, files, plate="P", well="A01") as writer:
                run_well(plan, well, writer, PlaneAccount())
            gauge.read()
        finally:
            tracemalloc.stop()
    return gauge.peak / (2 * depth * plane.nbytes)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_executor_holds_at_most_three_field_stacks(tmp_path, depth):
    assert held(tmp_path, fields=2, depth=depth) < 3.1  # a tenth for everything that is no array


def test_more_fields_take_no_more_memory(tmp_path):
    few = held(tmp_path / "few", fields=1, depth=1)
    assert held(tmp_path / "many", fields=6, depth=1) < few * 1.1


def test_the_estimate_follows_size_depth_and_fields():
    steps = [FunctionStep("gaussian_filter", name="g"), FunctionStep("gaussian_filter", name="h")]

    def estimate(*steps, depth=3, size=1000, fields=4):
        return compiled(*steps, depth=depth, shape=(size, size), dtype="uint16", field_count=fields).memory_mb

    # Two channels of three planes as read and as float32, the result of one more, and scratch.
    assert estimate(*steps[:1]) == pytest.approx(2 * 3 * 2 + 2 * 3 * 4 + 3 * 4 + 64, rel=0.01)
    assert estimate(*steps, depth=30) > 4 * estimate(*steps)
    assert estimate(*steps, size=2000) == pytest.approx(4 * estimate(*steps), rel=0.01)
    assert estimate(*steps, fields=9) == estimate(*steps)
    over = [FunctionStep("max_projection", name="p"), FunctionStep(average, stack="field")]
    assert estimate(*over, fields=40) - estimate(*over, fields=4) == pytest.approx(36 * (2 * 2 + 4), rel=0.05)
