"""One key of the configuration decides how images are stored; what they are stays the same."""

import pandas as pd
import pytest

from tests.workflow.project import PLATE_JOBS, WELLS, well_jobs
from wellfield.plate.index import read_index
from wellfield.plate.keys import Projection, plane_name
from wellfield.storage import Backend, FileManager, create_storage_registry
from wellfield.workflow.validate import check_results

pytestmark = pytest.mark.workflow

MANAGER = FileManager(create_storage_registry())
LABELS = ("labels/nuclei", "nuclei")  # in the store, and as TIFF


def stored(project, layout, kind):
    """Every plane of the projection (``"images"``) or of the nuclei (``"labels"``) that the results hold, by name."""
    _, planes = read_index(project.results("P1", "index.parquet"))
    channels = {"images": (1, 2), "labels": (1,)}[kind]
    keys = {p.key._replace(z=0, projection=Projection.MAX) for p in planes if p.key.channel in channels}
    in_store = layout == "field" or (kind == "images" and layout != "tiff")
    found = {}
    for key in keys:
        name = plane_name(key)
        if in_store:
            folder = project.results("P1", "plate.zarr", *(["labels", "nuclei"] if kind == "labels" else []))
        else:
            folder = project.results("P1", "images", key.well, "projected" if kind == "images" else "nuclei")
        found[name] = MANAGER.load(folder / name, Backend.ZARR if in_store else Backend.DISK)
    return found


@pytest.mark.parametrize(("layout", "version"), [("well", "0.5"), ("file", "0.4"), ("tiff", "0.5")])
def test_one_key_switches_the_layout_and_the_pixels_stay(copy, finished, layout, version):
    if layout == "tiff":
        copy.config["vfs"]["materialization_backend"] = "disk"
    else:
        copy.config["zarr"]["chunk_strategy"] = layout
    copy.config["zarr"]["ngff_version"] = version
    assert copy.run().jobs == sorted([("compile_plan", ""), *well_jobs(*WELLS), *PLATE_JOBS])
    assert check_results(copy.results("P1")) == []
    for kind in ("images", "labels"):
        before, after = stored(finished[0], "field", kind), stored(copy, layout, kind)
        assert before
        assert before.keys() == after.keys()
        for name, plane in before.items():
            assert (after[name] == plane).all(), name
            assert after[name].dtype == plane.dtype or kind == "labels"
    tables = [pd.read_parquet(project.results("P1", "objects.parquet")) for project in (copy, finished[0])]
    assert tables[0].equals(tables[1])
    assert copy.results("P1", "plate.zarr").exists() == (layout != "tiff")
    assert copy.results("P1", "images").exists() == (layout != "field")
    assert (copy.results("P1", "plate.zarr") / "zarr.json").exists() == (layout != "tiff" and version == "0.5")
