"""The illumination of a plate: a fixed sample, read through the workspace, and what is written of it."""

import os

import numpy as np
import pytest

from tests.generators.phenix_example import write_phenix_example
from wellfield.errors import DataNotFoundError, PipelineError, SchemaVersionError
from wellfield.example import ExamplePlate
from wellfield.formats.json_files import read_json, write_json
from wellfield.pipeline.well_input import WellStepError
from wellfield.plate.index import read_index
from wellfield.processing.flatfield_correction import illumination_of_profile
from wellfield.storage.virtual_workspace import VirtualWorkspaceBackend
from wellfield.workflow import fit_illumination as module
from wellfield.workflow.fit_illumination import fit_plate, read_illumination
from wellfield.workflow.ingest_plate import ingest_plate

PLATE = ExamplePlate(wells=("B02", "B03", "B04", "C02", "C03", "C04"), fields=2, channels=2, z=2, size=64)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    PLATE.write(folder)
    return folder / "Plate_1"


@pytest.fixture
def index(raw, tmp_path):
    ingest_plate(str(raw), plate="P", microscope="auto", results=tmp_path / "results")
    return tmp_path / "results" / "index.parquet"


def test_every_channel_is_fitted_on_its_middle_planes(index, tmp_path):
    data = fit_plate(index, tmp_path / "fit", source="planes")
    assert list(data["channels"]) == ["1", "2"]
    assert data == read_json(tmp_path / "fit" / "illumination.json")
    names = data["channels"]["1"]["planes"]
    assert len(names) == 12
    assert all("_w1_z002_" in name for name in names)
    fitted = read_illumination(tmp_path / "fit", 1)
    assert (fitted.flatfield.shape, fitted.planes) == ((64, 64), 12)
    assert fitted.background == data["channels"]["1"]["background"] > 0


def test_the_sample_is_fixed_and_spread_over_the_plate(index, tmp_path):
    one, two = (fit_plate(index, tmp_path / name, source="planes", sample_size=10) for name in "ab")
    assert one == two
    assert len(one["channels"]["2"]["planes"]) == 10
    assert len({name[:3] for name in one["channels"]["2"]["planes"]}) >= 5
    np.testing.assert_array_equal(*(read_illumination(tmp_path / name, 2).flatfield for name in "ab"))


def test_planes_that_cannot_be_read_are_named_and_left_out(index, raw, tmp_path):
    _, planes = read_index(index)
    broken = next(plane for plane in planes if plane.key.z == 2 and plane.key.channel == 1)
    content = (raw / broken.path).read_bytes()
    (raw / broken.path).write_bytes(content[:100])
    try:
        entry = fit_plate(index, tmp_path / "fit", source="planes")["channels"]["1"]
    finally:
        (raw / broken.path).write_bytes(content)
    assert [skipped["file"] for skipped in entry["skipped"]] == [broken.path]
    assert read_illumination(tmp_path / "fit", 1).planes == 11


@pytest.mark.parametrize("before", [1.0, 0.5])
def test_a_plane_that_is_written_while_the_sample_is_read_is_an_error_that_names_it(index, raw, tmp_path, before):
    _, planes = read_index(index)
    written = raw / next(plane.path for plane in planes if plane.key.z == 2 and plane.key.channel == 1)
    content, status = written.read_bytes(), written.stat()
    written.write_bytes(content[: int(before * len(content))])

    class Disturbed(VirtualWorkspaceBackend):
        def load(self, file_path, **kwargs):
            pixels = super().load(file_path, **kwargs)
            written.write_bytes(content)
            os.utime(written, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
            return pixels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "VirtualWorkspaceBackend", Disturbed)
        with pytest.raises(WellStepError, match="changed while the illumination was fitted") as caught:
            fit_plate(index, tmp_path / "fit", source="planes")
    assert caught.value.details["file"] == written.relative_to(raw).as_posix()
    assert not list(tmp_path.glob("*fit*"))


def test_a_plate_of_few_planes_is_refused_and_nothing_is_written(index, tmp_path):
    with pytest.raises(PipelineError, match="cannot be fitted on 4 planes"):
        fit_plate(index, tmp_path / "fit", source="planes", sample_size=4)
    assert not list(tmp_path.glob("*fit*"))


def test_what_does_not_fit_is_said(index, tmp_path):
    fit_plate(index, tmp_path / "fit", source="planes")
    with pytest.raises(DataNotFoundError, match="has no channel 3; it has 1, 2"):
        read_illumination(tmp_path / "fit", 3)
    write_json(tmp_path / "fit" / "illumination.json", {"schema_version": 99})
    with pytest.raises(SchemaVersionError):
        read_illumination(tmp_path / "fit", 1)


PHENIX = ExamplePlate(wells=("B02",), fields=2, channels=2, z=1, size=64)


def test_the_microscopes_own_profiles_are_taken_where_asked_for(tmp_path):
    found = write_phenix_example(tmp_path / "raw", PHENIX)
    info = ingest_plate(str(found.plate), plate="P", microscope="auto", results=tmp_path / "results")
    data = fit_plate(tmp_path / "results" / "index.parquet", tmp_path / "fit", source="planes", method="microscope")
    assert {entry["method"] for entry in data["channels"].values()} == {"microscope"}
    expected = illumination_of_profile(info.flatfields[2], (64, 64))
    read = read_illumination(tmp_path / "fit", 2)
    np.testing.assert_array_equal(read.flatfield, expected.flatfield)
    np.testing.assert_array_equal(read.background, expected.background)


def test_a_microscope_without_profiles_is_said(index, tmp_path):
    with pytest.raises(PipelineError, match=r"channel 1: the microscope stored no flat field .*illumination: fitted"):
        fit_plate(index, tmp_path / "fit", source="planes", method="microscope")
