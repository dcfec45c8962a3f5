"""A plane that changes while its well is processed never gets into results."""

import os

import numpy as np
import pytest
import zarr

from tests.unit.workflow.test_process_well import STEPS
from wellfield.example import ExamplePlate
from wellfield.formats.json_files import write_json
from wellfield.plate.index import read_index
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.modification_guard import PlaneWatch, planes_read
from wellfield.workflow.process_well import process_well


@pytest.fixture
def plate(tmp_path):
    """A plate of one well that was mapped; its folder and its index."""
    ExamplePlate(wells=("B02",), fields=2, channels=2, z=2, size=64).write(tmp_path)
    ingest_plate(str(tmp_path / "Plate_1"), plate="P", microscope="auto", results=tmp_path / "results")
    return tmp_path / "Plate_1", tmp_path / "results" / "index.parquet"


def plane_of(folder, pattern):
    return next(folder.rglob(pattern))


def later(file):
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def process(plate, tmp_path, monkeypatch, disturb, **config):
    """Process the well while *disturb* does something to the plate between reading and staging."""
    folder, index = plate
    write_json(tmp_path / "plan.json", compile_plan(index, {"steps": STEPS, **config}).to_json())
    from wellfield.workflow import process_well as module

    original = module.run_well

    def disturbed(*arguments):
        try:
            original(*arguments)
        finally:
            disturb(folder)

    monkeypatch.setattr(module, "run_well", disturbed)
    return process_well(index, tmp_path / "plan.json", "B02", tmp_path / "B02")


@pytest.mark.parametrize("policy", ["fail", "skip_field", "blank"])
def test_a_plane_that_is_written_meanwhile_fails_its_well_whatever_the_policy(plate, tmp_path, monkeypatch, policy):
    plane = plane_of(plate[0], "*_B02_s2_w1.TIF")
    staged = process(plate, tmp_path, monkeypatch, lambda _: later(plane), on_unreadable=policy)
    assert staged.status == "failed"
    assert staged.error["file"] == plane.relative_to(plate[0]).as_posix()
    assert (staged.error["field"], staged.error["channel"]) == (2, 1)
    assert "still being written" in staged.error["message"]
    assert sorted(path.name for path in (tmp_path / "B02").iterdir()) == ["staged.json"]


def test_a_half_written_plane_that_grows_is_said_to_be_still_written_not_to_be_damaged(plate, tmp_path, monkeypatch):
    plane = plane_of(plate[0], "*_B02_s2_w1.TIF")
    whole = plane.read_bytes()
    plane.write_bytes(whole[: len(whole) // 2])
    staged = process(plate, tmp_path, monkeypatch, lambda _: plane.write_bytes(whole))
    assert "still being written" in staged.error["message"]


def test_a_plane_that_goes_away_meanwhile_is_said_to_have_gone(plate, tmp_path, monkeypatch):
    plane = plane_of(plate[0], "*_B02_s1_w2.TIF")
    staged = process(plate, tmp_path, monkeypatch, lambda _: plane.unlink())
    assert "went away while the well was processed" in staged.error["message"]


def test_planes_that_the_pipeline_does_not_read_may_change(plate, tmp_path, monkeypatch):
    plane = plane_of(plate[0], "*_B02_s2_w2.TIF")
    steps = [{"name": "projected", "func": "max_projection", "channels": [1], "materialize": True}]
    assert process(plate, tmp_path, monkeypatch, lambda _: later(plane), steps=steps).status == "done"


@pytest.mark.parametrize("sharded", [False, True])
def test_of_a_plane_in_an_array_the_files_of_its_own_chunks_count(tmp_path, sharded):
    store = tmp_path / "plate.zarr"
    group = zarr.open_group(store, mode="w", zarr_format=3)
    array = group.create_array(
        "0", shape=(2, 64, 64), chunks=(1, 32, 32), shards=(1, 64, 64) if sharded else None, dtype="uint16"
    )
    array[:] = np.arange(2 * 64 * 64, dtype=np.uint16).reshape(2, 64, 64) + 1
    image = {
        "axes": [{"name": name, "type": kind} for name, kind in (("c", "channel"), ("y", "space"), ("x", "space"))]
    }
    image |= {"datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    ingest_plate(str(store), plate="P", microscope="ome_zarr", results=tmp_path / "results")
    index = tmp_path / "results" / "index.parquet"
    info, planes = read_index(index)
    steps = [{"name": "projected", "func": "max_projection", "channels": [1], "materialize": True}]
    plan = compile_plan(index, {"steps": steps})
    chunks = sorted(path for path in (store / "0" / "c").rglob("*") if path.is_file())
    assert len(chunks) == (2 if sharded else 8)
    watch = PlaneWatch(info, planes_read(plan, planes), during="the well was processed")
    later(chunks[-1])  # of channel 2
    assert watch.changed() is None
    later(chunks[0])
    error = watch.changed()
    assert error.details["file"] == "0#[0]"
    assert "still being written" in str(error)
