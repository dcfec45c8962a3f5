"""Compiling a plan for a plate: what is missing is said before any well needs it."""

import pytest

from wellfield.config.load import load_config
from wellfield.errors import MissingLibraryError
from wellfield.memory.adapters import ADAPTERS
from wellfield.plate.index import PlaneRecord, write_index
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.workflow.compile_plan import compile_plan

STEPS = [
    {"func": "gaussian_filter", "params": {"sigma": 1}, "memory_type": "torch"},
    {"func": "threshold_otsu", "memory_type": "numpy"},
]


@pytest.fixture
def index(tmp_path):
    info = Plate("P1", "/data/P1", "imagexpress", ("A01",), {1: "DAPI"}, shape=(8, 8), dtype="uint16")
    write_index(tmp_path / "index.parquet", [PlaneRecord(PlaneKey("A01", 1, 1, 1, 1), "A01.tif", 1, 1)], info)
    return tmp_path / "index.parquet"


def test_a_library_that_is_not_installed_is_named_with_its_steps(index, monkeypatch):
    config = load_config({"steps": STEPS})
    monkeypatch.setattr(ADAPTERS["torch"], "module", "no_such_library")
    with pytest.raises(MissingLibraryError) as caught:
        compile_plan(index, config)
    assert "  torch, which runs gaussian_filter: pip install 'wellfield[no_such_library]'" in str(caught.value)


def test_a_pipeline_needs_no_library_that_it_does_not_use(index, monkeypatch):
    monkeypatch.setattr(ADAPTERS["torch"], "module", "no_such_library")
    assert compile_plan(index, load_config({"steps": STEPS[1:]})).libraries == ("numpy",)


@pytest.mark.parametrize(
    ("modules", "installed"), [(("json",), True), (("nothing", "json"), True), (("nothing",), False)]
)
def test_a_library_is_installed_where_it_or_a_substitute_is(monkeypatch, modules, installed):
    adapter = ADAPTERS["torch"]
    monkeypatch.setattr(adapter, "module", modules[0])
    monkeypatch.setattr(type(adapter), "substitutes", modules[1:])
    assert adapter.is_installed() is installed
