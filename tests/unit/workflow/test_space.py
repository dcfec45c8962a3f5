"""What results and staging take: estimates against what is written, and what is said of the space that is free."""

import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from wellfield.errors import DiskSpaceError
from wellfield.example import ExamplePlate
from wellfield.formats.json_files import write_json
from wellfield.plate.index import read_index
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.materialize_well import materialize_well
from wellfield.workflow.process_well import process_well
from wellfield.workflow.space import (
    PlateSpace,
    last_plan,
    plan_space,
    plate_space,
    space_lines,
    well_space,
    wells_to_do,
)

GB = 10**9

STEPS = [
    {"name": "projected", "func": "max_projection", "materialize": True},
    {"name": "smoothed", "func": "gaussian_filter", "channels": [1], "params": {"sigma": 2.0}},
    {"name": "mask", "func": "threshold_otsu"},
    {"name": "nuclei", "func": "split_touching", "materialize": True},
]
PLANES = [{"name": "planes", "func": "median_filter", "channels": [1], "materialize": ["zarr"]}]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """Results of a mapped plate of one well with planes of 320 × 320 pixels: two levels of a pyramid."""
    root = tmp_path_factory.mktemp("plate")
    ExamplePlate(wells=("B02",), fields=2, channels=2, z=2, size=320).write(root)
    plane = next((root / "Plate_1").rglob("*_B02_s2_w2.TIF"))
    plane.unlink()  # fields need not be alike
    ingest_plate(str(root / "Plate_1"), plate="P", microscope="auto", results=root / "results")
    return root / "results"


def bytes_below(*folders):
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def written(ingested, target, **config):
    """Run both jobs of the well; return its estimate, and the bytes that were staged and stored of images."""
    index = ingested / "index.parquet"
    plan = compile_plan(index, {"steps": STEPS, **config})
    write_json(target / "plan.json", plan.to_json())
    process_well(index, target / "plan.json", "B02", target / "B02")
    staged = bytes_below(target / "B02" / "images")
    materialize_well(target / "B02", target / "plan.json", index, target, well="B02")
    info, planes = read_index(index)
    return well_space(plan, info, planes), staged, bytes_below(target / "plate.zarr", target / "images")


ZARR = {"materialization_backend": "zarr"}


@pytest.mark.parametrize("compressor", ["zstd", "none"])
@pytest.mark.parametrize(
    ("layout", "version"), [("field", "0.5"), ("field", "0.4"), ("well", "0.5"), ("well", "0.4"), ("file", "0.5")]
)
def test_what_plate_zarr_takes_lies_within_its_estimate(ingested, tmp_path, layout, version, compressor):
    zarr = {"chunk_strategy": layout, "compressor": compressor, "ngff_version": version}
    space, staged, stored = written(ingested, tmp_path, vfs=ZARR, zarr=zarr)
    assert staged == space.staging
    assert space.least <= stored <= space.most
    if compressor == "none":  # then the bounds are narrow: ids of labels are 2 or 4 bytes
        assert space.most < 1.6 * space.least


@pytest.mark.parametrize("compression", ["none", "zlib", "zstd", "lzw"])
def test_what_tiff_files_take_lies_within_its_estimate(ingested, tmp_path, compression):
    space, staged, stored = written(ingested, tmp_path, tiff={"compression": compression})
    assert staged == space.staging
    assert space.least <= stored <= space.most


def test_planes_along_z_count_each(ingested, tmp_path):
    zarr = {"chunk_strategy": "field", "compressor": "none"}
    space, staged, stored = written(ingested, tmp_path, steps=PLANES, vfs=ZARR, zarr=zarr)
    assert staged <= space.staging  # float32 is expected, and a median keeps uint16
    assert space.least <= stored <= space.most


def test_only_wells_that_are_not_done_by_the_plan_count_and_what_they_replace_is_taken_off(ingested, tmp_path):
    _, _, stored = written(ingested, tmp_path)
    index = ingested / "index.parquet"
    info, planes = read_index(index)
    same = compile_plan(index, {"steps": STEPS})
    other = compile_plan(index, {"steps": STEPS, "tiff": {"compression": "zlib"}})
    assert wells_to_do(same, ["B02"], tmp_path) == []
    assert wells_to_do(other, ["B02", "B03"], tmp_path) == ["B02", "B03"]
    assert plan_space(same, index, ["B02"], tmp_path).wells == 0
    fresh = plate_space(other, info, {"B02": planes}, ["B02"], tmp_path / "nothing")
    again = plate_space(other, info, {"B02": planes}, ["B02"], tmp_path)
    assert fresh.most - again.most == stored
    assert again.least == max(fresh.least - stored, 0)


NEEDS = {"smallest": 3 * GB // 25, "least": 12 * GB, "most": 41 * GB}


def plate(name="Screen1", **values):
    return PlateSpace(**{"plate": name, "wells": 384, "staging": GB // 10, **NEEDS} | values)


def test_one_line_says_what_is_taken_and_what_is_free():
    assert space_lines([plate()], "results", wells_at_once=8, free=250 * GB) == [
        "Screen1: 384 wells to do; results take 12 to 41 GB, staging 800 MB at a time; 250 GB are free in results"
    ]
    [unknown] = space_lines([plate(wells=1, least=41 * GB)], "results", free=250 * GB)
    assert unknown == (
        "Screen1: 1 well to do; results take 41 GB, staging 100 MB for each well at work; 250 GB are free in results"
    )


def test_no_more_wells_are_staged_than_are_to_be_done():
    [line] = space_lines([plate(wells=2)], "results", wells_at_once=8, free=250 * GB)
    assert "staging 200 MB at a time" in line


def test_a_run_of_any_number_of_jobs_stages_no_more_wells_than_are_to_be_done():
    everything = sys.maxsize
    [line] = space_lines([plate()], "results", wells_at_once=everything, free=41 * GB + 384 * GB // 10)
    assert "staging 38.4 GB at a time" in line
    assert "warning" not in line


def test_what_is_staged_on_the_nodes_own_disks_is_not_counted(ingested, tmp_path):
    index = ingested / "index.parquet"
    plan = compile_plan(index, {"steps": STEPS})
    here, there = (plan_space(plan, index, ["B02"], tmp_path, scratch=scratch) for scratch in (False, True))
    assert there == replace(here, staging=0, smallest=here.least)
    assert here.smallest == here.least + here.staging > here.least
    [line] = space_lines([there], "results", wells_at_once=8, free=there.most)
    assert "staging" not in line
    assert "warning" not in line


def test_wells_that_stay_staged_count_with_the_results_unless_they_are_replaced(ingested, tmp_path):
    index = ingested / "index.parquet"
    plan = compile_plan(index, {"steps": STEPS})
    goes, stays = (plan_space(plan, index, ["B02"], tmp_path, keep_staged=keep) for keep in (False, True))
    assert (stays.staging, stays.least, stays.most) == (0, goes.least + goes.staging, goes.most + goes.staging)
    assert stays.smallest == stays.least
    [line] = space_lines([stays], "results", free=stays.most)
    assert "1 well to do; results and staged wells take " in line
    staged = tmp_path / ".staging" / "B02" / "images" / "projected" / "s001_t001_w1.npy"
    staged.parent.mkdir(parents=True)
    staged.write_bytes(bytes(1000))
    again = plan_space(plan, index, ["B02"], tmp_path, keep_staged=True)
    assert again.most == stays.most - 1000


def test_a_plate_without_wells_to_do_has_no_line():
    assert space_lines([plate(wells=0)], "nowhere") == []


def test_less_than_the_most_is_warned_of_and_less_than_the_least_is_an_error():
    enough = 41 * GB + 8 * GB // 10
    [fits] = space_lines([plate()], "results", wells_at_once=8, free=enough)
    [short] = space_lines([plate()], "results", wells_at_once=8, free=enough - 1)
    assert "warning" not in fits
    assert short.endswith("; warning: that may be too little")
    least = 12 * GB + GB // 10
    assert space_lines([plate()], "results", wells_at_once=8, free=least)
    with pytest.raises(DiskSpaceError) as caught:
        space_lines([plate()], "results", wells_at_once=8, free=least - 1)
    text = str(caught.value)
    for part in ("Screen1: 384 wells to do", "at least 12.1 GB in results", "12.1 GB are free", "free some space"):
        assert part in text


def test_where_fewer_wells_may_be_asked_for_too_little_for_all_is_a_warning_as_long_as_one_fits():
    smallest = 3 * GB // 25
    [line] = space_lines([plate()], "results", at_most=True, free=smallest)
    assert line.endswith("; warning: that is too little for all of them")
    [line] = space_lines([plate()], "results", at_most=True, free=12 * GB + GB // 10)
    assert line.endswith("; warning: that may be too little")
    with pytest.raises(
        DiskSpaceError, match="Screen1: the smallest of 384 wells to do takes at least 120 MB in results"
    ):
        space_lines([plate()], "results", at_most=True, free=smallest - 1)


def test_the_smallest_well_is_the_one_that_takes_the_least(ingested, tmp_path):
    index = ingested / "index.parquet"
    plan = compile_plan(index, {"steps": STEPS, "tiff": {"compression": "none"}})
    info, planes = read_index(index)
    both = plate_space(plan, info, {"B02": planes, "B03": planes[: len(planes) // 2]}, ["B02", "B03"], tmp_path)
    alone = plate_space(plan, info, {"B03": planes[: len(planes) // 2]}, ["B03"], tmp_path)
    assert both.smallest == alone.smallest == alone.staging + alone.least
    assert both.least > alone.least > 0


def test_a_plan_that_cannot_be_read_is_none(ingested, tmp_path):
    assert last_plan(tmp_path) is None
    plan = compile_plan(ingested / "index.parquet", {"steps": STEPS})
    write_json(tmp_path / "plan.json", plan.to_json())
    assert last_plan(tmp_path) == plan
    write_json(tmp_path / "plan.json", plan.to_json() | {"schema_version": 0})
    assert last_plan(tmp_path) is None


def test_the_plates_of_a_run_share_the_space():
    both = [plate(), plate("Screen2")]
    first, second = space_lines(both, "results", wells_at_once=8, free=50 * GB)
    assert "warning" not in first
    assert "warning" in second
    with pytest.raises(DiskSpaceError, match="Screen1, Screen2: 768 wells"):
        space_lines(both, "results", wells_at_once=8, free=20 * GB)


def test_free_is_what_the_file_system_of_the_results_says(monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=77 * GB))
    [line] = space_lines([plate()], "results")
    assert asked == ["results"]
    assert "77 GB are free" in line
