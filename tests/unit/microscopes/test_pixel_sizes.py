"""Wells of one plate that were taken with different pixel sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from wellfield.formats.json_files import write_json
from wellfield.microscopes import get_microscope_handler
from wellfield.plate.filename_layout import Layout
from wellfield.plate.index import read_index
from wellfield.results.staged_well import StagedWell
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

MINE = Layout("mine", r"(?P<well>[A-H]\d\d)_s(?P<field>\d)_w(?P<channel>\d)\.tif")


def write(folder: Path, name: str, size: float | None) -> None:
    text = f'<prop id="spatial-calibration-x" type="float" value="{size}"/>' if size else ""
    text += '<prop id="spatial-calibration-units" type="string" value="um"/>'
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).normal(200, 9, (16, 16)).astype("u2")
    tifffile.imwrite(folder / name, pixels, description=f"<MetaData>{text}</MetaData>", metadata=None)


def write_wells(folder: Path, **sizes: float) -> Path:
    for well, size in sizes.items():
        for field in (1, 2):
            for wave in (1, 2):
                write(folder, f"{well}_s{field}_w{wave}.tif", size)
    return folder


def ingest(folder: Path, results: Path, microscope: str) -> Path:
    ingest_plate(str(folder), plate="P", microscope=microscope, results=results, layouts={"mine": MINE})
    return results / "index.parquet"


@pytest.mark.parametrize("microscope", ["imagexpress", "mine"])
@pytest.mark.parametrize("odd", ["A01", "A02", "A04"])
def test_each_well_has_its_own_pixel_size_and_the_plate_that_of_most(tmp_path: Path, microscope: str, odd: str) -> None:
    sizes = dict.fromkeys(("A01", "A02", "A03", "A04"), 0.5) | {odd: 0.25}
    index = ingest(write_wells(tmp_path / "p", **sizes), tmp_path / "r", microscope)
    info, planes = read_index(index)
    assert info.pixel_size_um == 0.5
    assert {(plane.key.well, plane.pixel_size_um) for plane in planes} == set(sizes.items())
    report = (tmp_path / "r" / "ingest_report.json").read_text()
    assert "images have different pixel sizes: " in report
    assert f"0.25 µm ({odd})" in report


def test_a_file_without_calibration_is_unknown_in_a_well_of_another_size(tmp_path: Path) -> None:
    folder = write_wells(tmp_path / "p", A01=0.5, A02=0.25, A03=0.5)
    write(folder, "A02_s2_w2.tif", None)
    contents = get_microscope_handler(folder, "imagexpress")[0].read_plate()
    own = {p.key[:3]: p.pixel_size_um for p in contents.planes if p.key.well == "A02"}
    assert own["A02", 1, 1] == own["A02", 2, 1] == 0.25
    assert not own["A02", 2, 2] > 0


def process(tmp_path: Path, index: Path, well: str) -> StagedWell:
    steps = [{"func": "max_projection", "materialize": True}]
    write_json(tmp_path / "plan.json", compile_plan(index, {"steps": steps}).to_json())
    return process_well(index, tmp_path / "plan.json", well, tmp_path / well)


@pytest.mark.parametrize("microscope", ["imagexpress", "mine"])
@pytest.mark.parametrize("name", ["A02_s2_w1.tif", "A02_s1_w2.tif"])
def test_a_file_of_another_size_than_its_well_fails_that_well_alone(tmp_path: Path, microscope: str, name: str) -> None:
    folder = write_wells(tmp_path / "p", A01=0.5, A02=0.5, A03=0.5)
    write(folder, name, 0.25)
    index = ingest(folder, tmp_path / "r", microscope)
    assert process(tmp_path, index, "A01").status == "done"
    staged = process(tmp_path, index, "A02")
    assert staged.status == "failed"
    assert staged.error is not None
    assert "the file says 0.25 µm per pixel; expected 0.5 µm" in staged.error["message"]
    assert staged.error["file"] == name


def test_a_size_that_the_layout_gives_is_not_compared_with_the_files(tmp_path: Path) -> None:
    folder = write_wells(tmp_path / "p", A01=0.5, A02=0.25)
    layout = Layout("mine", MINE.pattern, pixel_size_um=0.65)
    ingest_plate(str(folder), plate="P", microscope="mine", results=tmp_path / "r", layouts={"mine": layout})
    index = tmp_path / "r" / "index.parquet"
    assert {plane.pixel_size_um for plane in read_index(index)[1]} == {0.65}
    assert process(tmp_path, index, "A02").status == "done"
