"""CONTRIBUTING's "add a microscope": a handler of 40 lines, in a package of its own, is all that it takes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wellfield.errors import ConfigError
from wellfield.formats.tiff import write_tiff
from wellfield.microscopes import MICROSCOPES
from wellfield.microscopes.handler_registry import _entry_points, microscope_names
from wellfield.plate.index import read_index
from wellfield.plate.keys import PlaneKey
from wellfield.storage import VirtualWorkspaceBackend
from wellfield.workflow.ingest_plate import ingest_plate


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give a function that installs a package with the given source as the microscope ``incell``."""
    folder = tmp_path / "site-packages"
    information = folder / "wellfield_incell-1.0.dist-info"
    information.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)

    def install(source: str) -> None:
        (folder / "wellfield_incell.py").write_text(source)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: wellfield-incell\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text("[wellfield.microscopes]\nincell = wellfield_incell\n")
        importlib.invalidate_caches()
        _entry_points.cache_clear()

    yield install
    MICROSCOPES.pop("incell", None)
    sys.modules.pop("wellfield_incell", None)
    monkeypatch.undo()
    _entry_points.cache_clear()


def test_the_example_is_short() -> None:
    lines = Path(__file__).with_name("incell.py").read_text().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 45


def test_a_package_adds_a_microscope_and_gets_every_later_stage(install: Callable[[str], None], tmp_path: Path) -> None:
    install(Path(__file__).with_name("incell.py").read_text())
    for number, name in enumerate(
        ("B - 03(fld 1 wv Blue - DAPI z 2)", "B - 03(fld 1 wv Red - Cy3 z 2)", "b - 4(fld 2 wv Blue - DAPI)")
    ):
        write_tiff(tmp_path / "plate" / f"{name}.tif", np.full((4, 4), number, np.uint16))
    (tmp_path / "plate" / "notes.xdce").write_text("")
    info = ingest_plate(str(tmp_path / "plate"), plate="P", microscope="auto", results=tmp_path / "results")
    assert (info.microscope, info.wells, info.channels) == (
        "incell",
        ("B03", "B04"),
        {1: "Blue - DAPI", 2: "Red - Cy3"},
    )
    assert (info.shape, info.dtype) == ((4, 4), "uint16")
    _, planes = read_index(tmp_path / "results" / "index.parquet")
    keys = [PlaneKey("B03", 1, 1, 2, 1), PlaneKey("B03", 1, 2, 2, 1), PlaneKey("B04", 2, 1, 1, 1)]
    assert [plane.key for plane in planes] == keys
    workspace = VirtualWorkspaceBackend(tmp_path / "plate", {plane.path: plane.path for plane in planes})
    assert [workspace.load(plane.path)[0, 0] for plane in planes] == [0, 1, 2]
    assert "incell" in microscope_names()


def test_a_package_that_cannot_be_imported_is_an_error_that_names_it(install: Callable[[str], None]) -> None:
    install("import no_such_library")
    with pytest.raises(
        ConfigError, match="microscope 'incell' cannot be loaded from wellfield_incell: No module named"
    ):
        microscope_names()
