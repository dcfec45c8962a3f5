"""Plates of which one channel has another dtype than the others, and plates with one odd plane."""

import numpy as np
import pytest
import tifffile

from wellfield.formats.json_files import write_json
from wellfield.plate.filename_layout import Layout
from wellfield.plate.index import read_info
from wellfield.plate.plate import Plate
from wellfield.workflow.compile_plan import compile_plan
from wellfield.workflow.ingest_plate import ingest_plate
from wellfield.workflow.process_well import process_well

LAYOUTS = {"own": Layout("own", r"P-(?P<well>[A-P]\d+)_s(?P<field>\d)_w(?P<channel>\d)\.tif")}
WELLS = ("A01", "A02", "A03")
USUAL = {1: "uint16", 2: "uint16", 3: "uint16"}


@pytest.fixture(params=["imagexpress", "own"])
def ingested(request, tmp_path):
    """A function that writes a plate of given dtypes and returns its index."""

    def ingest(dtypes):
        raw = tmp_path / "raw"
        raw.mkdir()
        for (well, channel), dtype in dtypes.items():
            name = f"{well}_s1_w{channel}.tif"
            tifffile.imwrite(
                raw / (f"P-{name}" if request.param == "own" else name),
                np.ones((8, 9), dtype),
                photometric="minisblack",
            )
        results = tmp_path / "results"
        ingest_plate(str(raw), plate="P", microscope=request.param, results=results, layouts=LAYOUTS)
        return results / "index.parquet"

    return ingest


def run(index, well, target, *channels):
    step = {"func": "max_projection", "channels": list(channels), "materialize": ["tiff"]}
    write_json(target / "plan.json", compile_plan(index, {"steps": [step]}).to_json())
    return process_well(index, target / "plan.json", well, target / well)


@pytest.mark.parametrize("bright", ["uint8", "bool", "float32"])
def test_a_channel_may_have_a_dtype_of_its_own(ingested, tmp_path, bright):
    index = ingested({(well, c): bright if c == 2 else "uint16" for well in WELLS for c in USUAL})
    info = read_info(index)
    assert info.dtype == "uint16"
    assert info.dtypes() == USUAL | {2: bright}
    staged = run(index, "A02", tmp_path, *USUAL)
    assert (staged.status, staged.planes.used) == ("done", 3)
    assert {np.load(path).dtype.name for path in tmp_path.rglob("A02/images/**/*.npy")} == {"uint16", bright}


@pytest.mark.parametrize("odd", WELLS)
def test_an_odd_plane_is_not_the_dtype_of_its_channel(ingested, tmp_path, odd):
    index = ingested({(well, c): "float32" if (well, c) == (odd, 2) else "uint16" for well in WELLS for c in USUAL})
    assert read_info(index).dtypes() == USUAL
    for well in WELLS:
        staged = run(index, well, tmp_path, 2)
        assert staged.status == ("failed" if well == odd else "done")
        assert (staged.error is None) or "dtype float32; expected uint16" in staged.error["message"]


def test_labels_of_a_plate_may_have_any_dtype():
    info = Plate("P", "raw", "ome_zarr", ("A01",), {1: "DAPI", 2: "nuclei"}, dtype="uint16", label_channels=(2,))
    assert info.dtypes() == {1: "uint16"}
    assert Plate("P", "raw", "ome_zarr", ("A01",), {1: "DAPI"}).dtypes() == {}
