"""Every result states the pixel size and the place of its own field, whatever the rest of the plate has."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from tifffile import imread

from tests.unit.microscopes.ngff_plates import Image, group, write_image, write_plate
from wellfield.config.load import load_config
from wellfield.errors import MetadataError, StepError
from wellfield.formats.json_files import read_json, write_json
from wellfield.formats.tiff import read_calibration
from wellfield.materialization import MaterializationSpec, TiffStackOptions
from wellfield.memory import numpy
from wellfield.microscopes import get_microscope_handler
from wellfield.microscopes.ingest_report import ingest_report
from wellfield.microscopes.ome_zarr import OmeZarrHandler as OmeZarr
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.stage_positions import field_positions
from wellfield.pipeline import FunctionStep, compile_pipeline, special_outputs
from wellfield.pipeline.api import _Collector
from wellfield.pipeline.executor import run_well
from wellfield.pipeline.plane_selection import choose_sources
from wellfield.pipeline.well_input import PlaneAccount, WellInput
from wellfield.plate.calibration import FieldCalibration, calibrations
from wellfield.plate.index import PlaneRecord, read_index, read_place_digests, write_index
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.plate.plate import Plate
from wellfield.storage import Backend, FileManager, MemoryStorageBackend, ZarrChunkStrategy, ZarrConfig
from wellfield.storage.zarr.ngff_metadata import FieldMetadata
from wellfield.storage.zarr.plate_metadata import finalize_plate
from wellfield.storage.zarr.zarr_backend import ZarrStorageBackend
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.materialize_well import materialize_well
from wellfield.workflow.process_well import process_well

SMOOTH = {"name": "smooth", "func": "gaussian_filter", "params": {"sigma": 1}, "materialize": ["zarr", "tiff"]}
LABELS = [
    {"name": "mask", "func": "threshold_otsu"},
    {"name": "nuclei", "func": "label", "materialize": ["zarr", "tiff"]},
]
HERE = "tests.unit.workflow.test_calibration"


@special_outputs(("stack", MaterializationSpec(TiffStackOptions())), ("size", MaterializationSpec(TiffStackOptions())))
@numpy
def measured(image: Any, *, pixel_size_um: float | None) -> tuple[Any, Any, Any]:
    """Return the image as it is, again as a stack of its own, and the pixel size that was given as an image."""
    return image, image, np.full_like(image, -1 if pixel_size_um is None else pixel_size_um, np.float32)


def flat(size: float, **options: Any) -> Image:
    return Image("yx", {"y": 16, "x": 16}, scale={"y": size, "x": size}, **options)


def deep(size: float, depth: float) -> Image:
    return Image("zyx", {"z": 3, "y": 16, "x": 16}, scale={"z": depth, "y": size, "x": size})


def prepare(store: Path, results: Path, steps: Sequence[Mapping[str, Any]], **config: Any) -> Path:
    """Map a plate and compile its pipeline."""
    ingest_plate(str(store), plate="P", microscope="auto", results=results)
    first, *others = steps
    wanted = {"steps": [{"input": "start", **first}, *others], "zarr": {"chunk_strategy": "field"}, **config}
    plan = compile_plan(results / "index.parquet", load_config(wanted))
    write_json(results / "plan.json", json.dumps(plan.to_json()))
    return results


def run(results: Path, *wells: str) -> dict[str, dict[str, Any]]:
    """Process and write wells; return their manifests."""
    manifests = {}
    for well in wells:
        index, plan, staging = results / "index.parquet", results / "plan.json", results / ".staging" / well
        process_well(index, plan, well, staging)
        materialize_well(staging, plan, index, results, well=well)
        manifests[well] = read_json(results / "wells" / f"{well}.json")
    return manifests


def multiscale(folder: Path) -> dict[str, Any]:
    return dict(zarr.open_group(folder, mode="r").attrs["ome"]["multiscales"][0])  # type: ignore[index, call-overload, arg-type]


def steps_of(folder: Path, level: int = 0) -> dict[str, list[float]]:
    """Return scale and translation of a level."""
    return {t["type"]: t[t["type"]] for t in multiscale(folder)["datasets"][level]["coordinateTransformations"]}


def scale(folder: Path) -> list[float]:
    return steps_of(folder)["scale"]


# --- sizes --------------------------------------------------------------------------------------------------------


def test_each_well_states_its_own_pixel_size(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": flat(0.5)}, "A/2": {"0": flat(0.5)}, "B/1": {"0": flat(0.25)}})
    prepare(store, results, [SMOOTH, *LABELS])
    run(results, "A01", "B01")
    for well, name, size in (("A/01", "A01", 0.5), ("B/01", "B01", 0.25)):
        assert scale(results / "plate.zarr" / well / "1") == [1, 1, 1, size, size]
        assert scale(results / "plate.zarr" / well / "1/labels/nuclei") == [1, 1, size, size]
        files = sorted((results / "images" / name).rglob("*.tif"))
        assert len(files) == 2
        assert [read_calibration(file).pixel_size_um for file in files] == [pytest.approx(size)] * 2
    report = json.loads((results / "ingest_report.json").read_text())
    assert report["notes"] == [
        "images have different pixel sizes: 0.5 µm (A01, A02), 0.25 µm (B01); every result states its own"
    ]


def test_functions_and_their_image_stacks_have_the_size_of_their_field(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": deep(0.5, 2.0), "1": deep(0.25, 3.0)}, "A/2": {"0": deep(0.5, 2.0)}})
    prepare(store, results, [{"name": "m", "func": f"{HERE}:measured", "materialize": ["zarr"]}])
    run(results, "A01")
    for field, size, depth in ((1, 0.5, 2.0), (2, 0.25, 3.0)):
        assert scale(results / f"plate.zarr/A/01/{field}") == [1, 1, depth, size, size]
        (file,) = (results / "images" / "A01").glob(f"stack_s{field:03d}*")
        found = read_calibration(file)
        assert (found.pixel_size_um, found.z_spacing_um) == (pytest.approx(size), pytest.approx(depth))
        (file,) = (results / "images" / "A01").glob(f"size_s{field:03d}*")
        assert float(imread(file).max()) == size


def test_a_size_that_an_image_does_not_say_is_unknown_and_not_that_of_the_plate(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": flat(0.5)}, "A/2": {"0": flat(0.5)}, "B/1": {"0": flat(0.5, unit=None)}})
    prepare(store, results, [SMOOTH])
    run(results, "B01")
    assert [axis.get("unit") for axis in multiscale(results / "plate.zarr/B/01/1")["axes"]] == [None] * 5
    (file,) = (results / "images" / "B01").rglob("*.tif")
    assert read_calibration(file).pixel_size_um is None
    assert "0.5 µm (A01, A02), unknown (B01)" in json.loads((results / "ingest_report.json").read_text())["notes"][1]


def test_a_size_given_in_the_step_is_the_one_that_counts(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": flat(0.5)}, "B/1": {"0": flat(0.25)}})
    prepare(store, results, [{"name": "m", "func": f"{HERE}:measured", "params": {"pixel_size_um": 4.0}}])
    run(results, "B01")
    (file,) = (results / "images" / "B01").glob("size_*")
    assert float(imread(file).max()) == 4.0


STITCH = [
    {
        "name": "placed",
        "func": "generate_positions",
        "stack": "field",
        "params": {"min_quality": 1.0},
    },
    {"name": "whole", "func": "stitch", "stack": "field", "materialize": ["zarr"]},
    {"name": "smooth", "func": "gaussian_filter", "params": {"sigma": 1}, "materialize": ["tiff"]},
]


def test_fields_of_different_sizes_that_are_taken_together_fail_their_well_alone(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    places = [{"translation": {"y": 0, "x": 8 * field}} for field in range(2)]
    write_plate(
        store,
        {
            "A/1": {"0": flat(1.0, **places[0]), "1": flat(0.5, **places[1])},
            "A/2": {"0": flat(1.0, **places[0]), "1": flat(1.0, **places[1])},
        },
    )
    prepare(store, results, STITCH)
    manifests = run(results, "A01", "A02")
    assert (manifests["A01"]["status"], manifests["A02"]["status"]) == ("failed", "done")
    message = manifests["A01"]["error"]["message"]
    assert "images of different pixel sizes together: 1 µm (field 1), 0.5 µm (field 2)" in message


@pytest.mark.parametrize("layout", ["well", "file"])
def test_one_array_of_fields_of_different_sizes_fails_its_well_alone(tmp_path: Path, layout: str) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": flat(0.5), "1": flat(0.25)}, "A/2": {"0": flat(0.25), "1": flat(0.25)}})
    prepare(store, results, [SMOOTH], zarr={"chunk_strategy": layout})
    manifests = run(results, "A01", "A02")
    assert manifests["A01"]["status"] == "failed"
    assert "0.5 µm (field 1 channel 1), 0.25 µm (field 2 channel 1)" in manifests["A01"]["error"]["message"]
    assert scale(results / "plate.zarr/A/02/1") == [1, 1, 1, 0.25, 0.25]


def test_a_writer_refuses_one_array_for_fields_of_different_sizes(tmp_path: Path) -> None:
    metadata = FieldMetadata(calibrations={1: FieldCalibration(0.5), 2: FieldCalibration(0.25)})
    paths = [tmp_path / "p.zarr" / f"A01_s00{field}_w1_z001_t001.tif" for field in (1, 2)]
    config = ZarrConfig(chunk_strategy=ZarrChunkStrategy.WELL)
    with pytest.raises(MetadataError, match=r"one pixel size, but have 0.5 µm \(field 1\), 0.25 µm \(field 2\)"):
        ZarrStorageBackend().save_batch([np.ones((4, 4), "u2")] * 2, paths, zarr_config=config, metadata=metadata)


def test_sampled_sizes_of_any_microscope_reach_the_results_and_the_report(tmp_path: Path) -> None:
    contents = ParsedPlate([], Plate(channels={1: "DAPI"}, pixel_size_um=0.5))
    sizes = {"A01": 0.5, "A02": 0.25, "A03": float("nan")}
    contents.planes = [
        PlaneRecord(PlaneKey(well, 1, 1, 1, 1), f"{well}.tif", 1000, 1, pixel_size_um=size)
        for well, size in sizes.items()
    ]
    info = contents.complete(name="P", path=str(tmp_path), microscope="imagexpress")
    found = calibrations(info, contents.planes, {})
    assert {key.well: own.pixel_size_um for (key, _), own in found.items()} == {"A01": 0.5, "A02": 0.25, "A03": 0.5}
    notes = ingest_report(contents, why="")["notes"]
    assert notes == ["images have different pixel sizes: 0.5 µm (A01, A03), 0.25 µm (A02); every result states its own"]


def test_a_changed_size_changes_the_digest_of_its_well_alone(tmp_path: Path) -> None:
    def digests(sizes: Mapping[str, float], *, per_plane: bool, x: float = 1.0) -> dict[str, str]:
        planes = [
            PlaneRecord(PlaneKey(well, 1, 1, 1, 1), well, 1, 1, stage_x_um=x, stage_y_um=2.0, pixel_size_um=size)
            for well, size in sizes.items()
        ]
        info = Plate("P", "p", "m", tuple(sizes), {1: "c"}, pixel_size_um=0.5, sizes_per_plane=per_plane)
        write_index(tmp_path / "index.parquet", planes, info)
        return read_place_digests(tmp_path / "index.parquet")

    base = digests({"A01": 0.5, "A02": 0.5}, per_plane=True)
    changed = digests({"A01": 0.5, "A02": 0.25}, per_plane=True)
    assert changed["A01"] == base["A01"]
    assert changed["A02"] != base["A02"]
    assert digests({"A01": 0.5, "A02": 0.5}, per_plane=True, x=9.0) != base
    unknown = {"A01": 0.5, "A02": float("nan")}
    assert digests(unknown, per_plane=True)["A02"] != base["A02"]
    # Which planes a microscope's handler has sampled changes no result.
    assert digests(unknown, per_plane=False) == digests({"A01": float("nan"), "A02": 0.5}, per_plane=False, x=3.0)


def test_labels_have_the_pixels_of_their_image_whatever_scale_they_state(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    write_plate(store, {"A/1": {"0": flat(0.65)}})
    group(store / "A/1/0/labels", {"labels": ["nuclei"]}, "0.4")
    write_image(store / "A/1/0/labels/nuclei", flat(1.0, dtype="u4"), "0.4")
    stored = {"name": "nuclei", "func": "stored_labels", "channels": ["labels/nuclei"], "materialize": ["zarr"]}
    prepare(store, results, [{**SMOOTH, "channels": [1]}, {**stored, "input": "start"}])
    assert run(results, "A01")["A01"]["status"] == "done"
    assert scale(results / "plate.zarr/A/01/1/labels/nuclei") == [1, 1, 0.65, 0.65]
    notes = json.loads((results / "ingest_report.json").read_text())["notes"]
    assert notes == [
        "1 label images, such as A/1/0/labels/nuclei, state another pixel size than their image; the image's is used"
    ]


def test_channels_of_different_sizes_are_not_taken_together(tmp_path: Path) -> None:
    keys = [PlaneKey("A01", 1, channel, 1, 1) for channel in (1, 2)]
    files = FileManager({Backend.MEMORY: MemoryStorageBackend()})
    for key in keys:
        files.save(np.arange(16, dtype=np.uint16).reshape(4, 4), plane_name(key), Backend.MEMORY)
    well = WellInput(
        "P",
        "A01",
        {key: plane_name(key) for key in keys},
        files,
        Backend.MEMORY,
        calibrations={(keys[0].field_key, c): FieldCalibration(size) for c, size in ((1, 0.5), (2, 0.25))},
    )

    def fails(*steps: FunctionStep) -> str:
        plan = compile_pipeline(steps, plate=Plate(channels={1: "a", 2: "b"}), sources=choose_sources(keys, "planes"))
        with pytest.raises(StepError) as error:
            run_well(plan, well, _Collector(), PlaneAccount())
        return str(error.value)

    def both(image: Any, *, other: Any = None) -> Any:
        return image

    together = fails(FunctionStep(both, name="both", stack="channel"))
    assert "different pixel sizes together: 0.5 µm (channel 1), 0.25 µm (channel 2)" in together
    one = FunctionStep("gaussian_filter", name="one", channels=[1], sigma=1)
    further = fails(one, FunctionStep(both, name="b", input="start", channels=[2], inputs={"other": "one"}))
    assert "images of different pixel sizes: 0.25 µm (its input), 0.5 µm ('one')" in further


# --- places -------------------------------------------------------------------------------------------------------


def test_fields_lie_where_the_stage_was_and_come_back_so(tmp_path: Path) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    places = [(100.5, -20.25), (-3.0, 7.0)]
    images = {
        str(n): Image("yx", {"y": 300, "x": 280}, scale={"y": 0.5, "x": 0.5}, translation={"y": y, "x": x})
        for n, (x, y) in enumerate(places)
    }
    write_plate(store, {"A/1": images})
    prepare(store, results, [SMOOTH, *LABELS])
    run(results, "A01")
    for field, (x, y) in enumerate(places, start=1):
        folder = results / f"plate.zarr/A/01/{field}"
        assert steps_of(folder) == {"scale": [1, 1, 1, 0.5, 0.5], "translation": [0, 0, 0, y, x]}
        # The centre of a mean of 2 × 2 pixels is half a pixel behind that of the first.
        assert steps_of(folder, 1)["translation"] == [0, 0, 0, y + 0.25, x + 0.25]
        assert steps_of(folder / "labels/nuclei")["translation"] == [0, 0, y, x]
    finalize(results)
    planes = get_microscope_handler(results / "plate.zarr")[0].read_plate().planes
    assert {(p.key.field, p.stage_x_um, p.stage_y_um) for p in planes} == {(1, 100.5, -20.25), (2, -3.0, 7.0)}


def finalize(results: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        finalize_plate(results / "plate.zarr", ["A01"], name="P")


@pytest.mark.parametrize("strategy", list(ZarrChunkStrategy))
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("y_up", [False, True])
def test_positions_come_back_from_every_layout_with_their_direction(
    tmp_path: Path, strategy: ZarrChunkStrategy, version: str, *, y_up: bool
) -> None:
    places = {
        1: FieldCalibration(0.5, None, (10.0, 4.5)),
        2: FieldCalibration(0.5, None, (0.0, -1.5)),
        3: FieldCalibration(0.5),
    }
    metadata = FieldMetadata(calibrations=places, stage_y_up=y_up)
    paths = [tmp_path / "plate.zarr" / f"A01_s00{field}_w1_z003_t001.tif" for field in places]
    config = ZarrConfig(chunk_strategy=strategy, ngff_version=version)
    ZarrStorageBackend().save_batch([np.ones((4, 4), "u2")] * 3, paths, zarr_config=config, metadata=metadata)
    finalize(tmp_path)
    contents = get_microscope_handler(tmp_path / "plate.zarr")[0].read_plate()
    nan = pytest.approx(float("nan"), nan_ok=True)
    found = {p.key.field: (p.stage_x_um, p.stage_y_um) for p in contents.planes}
    assert found == {1: (10.0, 4.5), 2: (0.0, -1.5), 3: (nan, nan)}
    assert contents.plate.stage_y_up == y_up
    if strategy == ZarrChunkStrategy.FIELD and version == "0.5":
        along_image = [steps_of(tmp_path / f"plate.zarr/A/01/{n}").get("translation", [0])[3:] for n in (1, 2)]
        assert along_image == ([[-4.5, 10], [1.5, 0]] if y_up else [[4.5, 10], [-1.5, 0]])


def test_a_place_without_a_pixel_size_is_not_written_in_pixels(tmp_path: Path) -> None:
    metadata = FieldMetadata(calibrations={1: FieldCalibration(None, None, (10.0, 4.5))})
    path = tmp_path / "plate.zarr" / "A01_s001_w1_z001_t001.tif"
    config = ZarrConfig(chunk_strategy=ZarrChunkStrategy.FIELD)
    ZarrStorageBackend().save_batch([np.ones((4, 4), "u2")], [path], zarr_config=config, metadata=metadata)
    assert steps_of(tmp_path / "plate.zarr/A/01/1") == {"scale": [1, 1, 1, 1, 1]}


@pytest.mark.parametrize("y_up", [False, True])
def test_the_image_of_a_well_lies_where_its_upper_left_corner_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, y_up: bool
) -> None:
    store, results = tmp_path / "p.zarr", tmp_path / "results"
    places = [(100.0, 50.0), (108.0, 50.0), (100.0, 58.0)]
    images = {str(n): flat(1.0, translation={"y": y, "x": x}) for n, (x, y) in enumerate(places)}
    write_plate(store, {"A/1": images})
    found = OmeZarr.find_planes

    def turned(self: Any) -> ParsedPlate:
        contents = found(self)
        contents.plate = replace(contents.plate, stage_y_up=y_up)
        return contents

    monkeypatch.setattr(OmeZarr, "find_planes", turned)
    prepare(store, results, STITCH)
    run(results, "A01")
    place = steps_of(results / "plate.zarr/A/01/0")["translation"]
    # With y upwards the third field is the upper one, at 58 µm, which is -58 along the image.
    assert place == [0, 0, 0, *([-58, 100] if y_up else [50, 100])]
    info, _ = read_index(results / "index.parquet")
    assert info.stage_y_up == y_up


def test_positions_that_are_only_stated_are_asked_for_once_where_files_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def position(path: Path) -> tuple[float, float] | None:
        asked.append(path.name)
        return None if path.name.startswith("none") else (1.0, 2.0)

    monkeypatch.setattr(OmeZarr, "stage_position", position)
    info = Plate("P", str(tmp_path), "ome_zarr", ("A01",), {1: "c"})

    def planes(name: str) -> list[PlaneRecord]:
        keys = [PlaneKey("A01", field, channel, 1, 1) for field in (1, 2) for channel in (1, 2)]
        return [PlaneRecord(key, f"{name}{key.field}{key.channel}", 1, 1) for key in keys]

    assert field_positions(info, planes("none"), are_needed=False) == {}
    assert asked == ["none11"]
    assert field_positions(info, planes("some"), are_needed=False) == {1: (1.0, 2.0), 2: (1.0, 2.0)}
    assert asked[1:] == ["some11", "some21"]
    field_positions(info, planes("none"))
    assert len(asked) == 7
