"""Label images of an OME-Zarr store as inputs of a pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from tests.unit.microscopes.ngff_plates import VERSIONS, Image, group, pixels, write_image, write_plate
from wellfield.config.load import load_config
from wellfield.errors import DataNotFoundError, PipelineError
from wellfield.formats.json_files import write_json
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.index import read_index
from wellfield.plate.plate import Plate
from wellfield.storage import VirtualWorkspaceBackend
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

IMAGE = Image("tczyx", {"t": 1, "z": 1}, labels=("DAPI", "FITC"))
NUCLEI = Image("tczyx", {"t": 1, "c": 1, "z": 1}, dtype="u4")
WELLS = {"B/2": {"0": IMAGE, "1": IMAGE}, "C/11": {"0": IMAGE}}


def write_labels(image: Path, labels: dict[str, Image], version: str) -> None:
    group(image / "labels", {"labels": list(labels)}, version)
    for name, label in labels.items():
        write_image(image / "labels" / name, label, version)


def objects(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
    """Return labels of as many objects of one pixel, with ids up to 2**32 - 1."""
    values = np.zeros(NUCLEI.shape, np.uint32)
    values.reshape(-1)[: 2 * count : 2] = 2**32 - 1 - np.arange(count)
    return values


@pytest.fixture(params=VERSIONS)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    store = tmp_path / "plate.zarr"
    write_plate(store, WELLS, request.param)
    for number, path in enumerate(("B/2/0", "B/2/1", "C/11/0"), start=3):
        write_labels(store / path, {"nuclei": NUCLEI}, request.param)
        zarr.open_array(store / path / "labels" / "nuclei" / "0", mode="r+")[...] = objects(number)
    return store


def ingest(store: Path, results: Path) -> Plate:
    return ingest_plate(str(store), plate="P", microscope="auto", results=results)


def test_labels_are_channels_after_those_of_the_images_with_their_own_pixels(store: Path, tmp_path: Path) -> None:
    info = ingest(store, tmp_path / "results")
    assert info.channels == {1: "DAPI", 2: "FITC", 3: "labels/nuclei"}
    assert info.label_channels == (3,)
    assert info.dtype == "uint16"
    read, planes = read_index(tmp_path / "results" / "index.parquet")
    assert read == info
    workspace = VirtualWorkspaceBackend(store, {plane.path: plane.path for plane in planes})
    found = {(p.key.well, p.key.field): workspace.load(p.path) for p in planes if p.key.channel == 3}
    for number, place in enumerate((("B02", 1), ("B02", 2), ("C11", 1)), start=3):
        assert (found[place] == objects(number)[0, 0, 0]).all()
        assert found[place].dtype == np.uint32


def test_a_pipeline_counts_and_measures_the_labels_that_came_with_the_plate(store: Path, tmp_path: Path) -> None:
    ingest(store, tmp_path / "results")
    steps = [
        {"name": "nuclei", "func": "stored_labels", "input": "start", "channels": ["labels/nuclei"]},
        {"func": "count_cells", "input": "start", "inputs": {"labels": "nuclei"}, "stack": "channel"},
    ]
    index = tmp_path / "results" / "index.parquet"
    plan = compile_plan(index, load_config({"steps": steps}))
    assert plan.steps[1].channels == (1, 2)  # labels are nothing to be measured in
    write_json(tmp_path / "plan.json", json.dumps(plan.to_json()))
    process_well(index, tmp_path / "plan.json", "B02", tmp_path / "staging")
    counts = pd.read_parquet(next((tmp_path / "staging").rglob("*cell_counts*")))
    assert dict(zip(counts["Metadata_Site"], counts["Count"], strict=True)) == {1: 3, 2: 4}


def test_labels_do_not_take_a_single_fields_position(tmp_path: Path) -> None:
    image = Image("cyx", translation={"y": 5.0, "x": 7.0})
    label = Image("yx", dtype="u4", translation={"y": 5.0, "x": 7.0})
    write_plate(tmp_path / "p.zarr", {"B/2": {"0": image}}, "0.4")
    write_labels(tmp_path / "p.zarr/B/2/0", {"nuclei": label}, "0.4")
    planes = get_microscope_handler(tmp_path / "p.zarr")[0].read_plate().planes
    assert {(plane.stage_x_um, plane.stage_y_um) for plane in planes} == {(7.0, 5.0)}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"func": "gaussian_filter", "channels": ["labels/nuclei"]}, "gaussian_filter takes intensity, but its input"),
        ({"func": "stored_labels", "channels": [1]}, "stored_labels takes labels, but its input 'start' is intensity"),
        ({"func": "stored_labels", "channels": [1, 3]}, r"channels \[3\] hold labels and the others intensities"),
    ],
)
def test_labels_are_no_intensities(store: Path, tmp_path: Path, step: dict[str, object], message: str) -> None:
    ingest(store, tmp_path / "results")
    with pytest.raises(PipelineError, match=message):
        compile_plan(tmp_path / "results" / "index.parquet", load_config({"steps": [{"input": "start", **step}]}))


def test_label_images_that_fit_no_image_are_left_out_with_a_note(tmp_path: Path) -> None:
    store = tmp_path / "plate.zarr"
    write_plate(store, WELLS, "0.5")
    odd = {
        "small": Image("zyx", {"z": 1, "y": 3}),
        "soft": Image("zyx", {"z": 1}, dtype="f4"),
        "by_channel": Image("czyx", {"z": 1}),
        "good": Image("zyx", {"z": 1}, dtype="i4"),
    }
    write_labels(store / "B/2/0", odd, "0.5")
    group(store / "C/11/0" / "labels", {"labels": ["nowhere"]}, "0.5")
    contents = get_microscope_handler(store)[0].read_plate()
    assert contents.plate.channels == {1: "DAPI", 2: "FITC", 3: "labels/good"}
    for name, problem in {
        "small": "have another size than their image",
        "soft": "are float32, not whole numbers",
        "by_channel": "have channels of their own",
        "nowhere": "are listed and not there",
    }.items():
        assert any(f"labels/{name}, {problem}, and are left out" in note for note in contents.notes)
    plane = next(plane for plane in contents.planes if plane.key.channel == 3)
    workspace = VirtualWorkspaceBackend(store, {plane.path: plane.path})
    assert (workspace.load(plane.path) == pixels(odd["good"], 0)[0]).all()


# --- labels without an object -------------------------------------------------------------------------------------


def write_sparse(
    folder: Path,
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    axes: str,
    version: str,
    *,
    shards: bool = False,
    fill: int = 0,
) -> None:
    """Write labels as zarr-python does by default: a chunk that holds nothing but the fill value is not written."""
    image = Image(axes, dict(zip(axes, values.shape, strict=True)))
    group(folder.parent, {"labels": [*(p.name for p in folder.parent.glob("*") if p.is_dir()), folder.name]}, version)
    group(folder, {**image.attributes(), "image-label": {}}, version)
    zarr.create_array(
        folder / "0",
        shape=values.shape,
        dtype=values.dtype,
        chunks=(*(1 for _ in axes[2:]), 3, 4),
        shards=(*(1 for _ in axes[2:]), 6, 8) if shards else None,
        fill_value=fill,
        zarr_format=2 if version == "0.4" else 3,
        chunk_key_encoding={"name": "v2" if version == "0.4" else "default", "separator": "/"},
    )[...] = values


def counted(store: Path, tmp_path: Path, well: str, label: str = "nuclei") -> dict[tuple[int, int], int]:
    """Return the number of objects by field and timepoint, as a run counts them."""
    tmp_path.mkdir(exist_ok=True)
    ingest(store, tmp_path / "results")
    steps = [
        {"name": "nuclei", "func": "stored_labels", "input": "start", "channels": [f"labels/{label}"]},
        {"func": "count_cells", "input": "start", "inputs": {"labels": "nuclei"}, "channels": [1], "stack": "channel"},
    ]
    index = tmp_path / "results" / "index.parquet"
    plan = compile_plan(index, load_config({"steps": steps}))
    write_json(tmp_path / "plan.json", json.dumps(plan.to_json()))
    process_well(index, tmp_path / "plan.json", well, tmp_path / "staging")
    table = pd.read_parquet(next((tmp_path / "staging").rglob("*cell_counts*")))
    places = zip(table["Metadata_Site"], table["Metadata_Timepoint"], strict=True)
    return dict(zip(places, table["Count"], strict=True))


def labels_of(*counts: int, axes: str = "yx") -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return one plane of 6 × 8 pixels for each count, with as many objects of one pixel."""
    planes = np.zeros((len(counts), 6, 8), np.int32)
    for plane, count in zip(planes, counts, strict=True):
        plane.reshape(-1)[: 2 * count : 2] = np.arange(1, count + 1)
    return planes.reshape(*(1 for _ in axes[3:]), *planes.shape) if axes != "yx" else planes[0]


SPARSE = [("0.4", False), ("0.5", False), ("0.5", True)]


@pytest.mark.parametrize(("version", "shards"), SPARSE)
def test_labels_without_a_chunk_are_background_and_count_0(tmp_path: Path, version: str, shards: bool) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {str(f): Image("yx") for f in range(3)}}, version)
    for field, count in enumerate((4, 0, 2)):
        write_sparse(store / f"B/1/{field}/labels/nuclei", labels_of(count), "yx", version, shards=shards)
    assert counted(store, tmp_path, "B01") == {(1, 1): 4, (2, 1): 0, (3, 1): 2}
    (notes,) = [json.loads((tmp_path / "results" / "ingest_report.json").read_text())["notes"]]
    assert notes == [
        "1 planes of labels have no chunk, such as B01_s002_w2_z001_t001.tif: they are background, without an object"
    ]


@pytest.mark.parametrize(("version", "shards"), SPARSE)
def test_each_label_image_and_timepoint_has_its_own_background(tmp_path: Path, version: str, shards: bool) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("tyx", {"t": 3})}}, version)
    labels = store / "B/1/0/labels"
    write_sparse(labels / "cells", labels_of(0, 0, 0, axes="tyx"), "tyx", version, shards=shards)
    write_sparse(labels / "nuclei", labels_of(0, 5, 0, axes="tyx"), "tyx", version, shards=shards)
    assert counted(store, tmp_path / "a", "B01") == {(1, 1): 0, (1, 2): 5, (1, 3): 0}
    assert counted(store, tmp_path / "b", "B01", "cells") == {(1, 1): 0, (1, 2): 0, (1, 3): 0}


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_are_no_background_where_no_channel_was_acquired(tmp_path: Path, version: str) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("tyx", {"t": 2})}}, version)
    write_sparse(store / "B/1/0/labels/nuclei", labels_of(0, 0, axes="tyx"), "tyx", version)
    prefix = "c/" if version == "0.5" else ""
    for chunk in (store / f"B/1/0/0/{prefix}1").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    contents = get_microscope_handler(store)[0].read_plate()
    assert {(plane.key.channel, plane.key.timepoint) for plane in contents.planes} == {(1, 1), (2, 1)}
    assert contents.promised["planes"] == ["B01_s001_w1_z001_t002.tif", "B01_s001_w2_z001_t002.tif"]


def test_absent_labels_of_another_fill_value_are_absent(tmp_path: Path) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("yx"), "1": Image("yx")}}, "0.5")
    write_sparse(store / "B/1/0/labels/nuclei", labels_of(4), "yx", "0.5", fill=7)
    write_sparse(store / "B/1/1/labels/nuclei", np.full((6, 8), 7, np.int32), "yx", "0.5", fill=7)
    contents = get_microscope_handler(store)[0].read_plate()
    assert {(plane.key.field, plane.key.channel) for plane in contents.planes} == {(1, 1), (1, 2), (2, 1)}
    assert contents.promised["planes"] == ["B01_s002_w2_z001_t001.tif"]


def test_labels_that_are_listed_without_their_array_count_nothing(tmp_path: Path) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("yx"), "1": Image("yx")}}, "0.4")
    for field in "01":
        write_sparse(store / f"B/1/{field}/labels/nuclei", labels_of(3), "yx", "0.4")
    shutil.rmtree(store / "B/1/1/labels/nuclei/0")
    assert counted(store, tmp_path, "B01") == {(1, 1): 3}


def test_labels_whose_chunks_go_after_the_plate_was_mapped_are_no_background(tmp_path: Path) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("yx")}}, "0.4")
    write_sparse(store / "B/1/0/labels/nuclei", labels_of(3), "yx", "0.4")
    path = next(p.path for p in get_microscope_handler(store)[0].read_plate().planes if p.key.channel == 2)
    workspace = VirtualWorkspaceBackend(store, {"x": path})
    assert (workspace.load("x") == labels_of(3)).all()
    shutil.rmtree(store / "B/1/0/labels/nuclei/0/0")
    with pytest.raises(DataNotFoundError, match="no chunk of this plane"):
        workspace.load("x")


def test_background_has_no_bytes_until_it_is_written(tmp_path: Path) -> None:
    store = tmp_path / "p.zarr"
    write_plate(store, {"B/1": {"0": Image("yx")}}, "0.5")
    write_sparse(store / "B/1/0/labels/nuclei", labels_of(0), "yx", "0.5")
    path = next(p.path for p in get_microscope_handler(store)[0].read_plate().planes if p.key.channel == 2)
    assert path == "B/1/0/labels/nuclei/0#background[]"
    workspace = VirtualWorkspaceBackend(store, {"x": path})
    assert workspace.stat("x").size == 0
    zarr.open_array(store / "B/1/0/labels/nuclei/0", mode="r+")[...] = labels_of(2)
    assert workspace.stat("x").size > 0
    assert (workspace.load("x") == labels_of(2)).all()
