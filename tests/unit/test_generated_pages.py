"""The generated parts of the documentation are what the program says today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from wellfield.processing.objects import measure_objects

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_pages_are_what_is_generated(generate: ModuleType) -> None:
    pages = dict(generate.pages())
    assert len(pages) == 7
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make docs"


def test_the_page_of_columns_names_every_feature_of_an_object() -> None:
    labels = np.zeros((1, 8, 8), np.int32)
    labels[0, 2:6, 2:6] = 1
    _, _, objects = measure_objects(np.ones((1, 8, 8), np.uint16), labels=labels, channel_names=["DAPI"])
    page = (DOCS / "reference" / "columns.md").read_text(encoding="utf-8")
    measured = [name.removeprefix("Nuclei_").removesuffix("_DAPI") for name in objects if name.startswith("Nuclei_")]
    assert len(measured) > 40
    for name in measured:
        # The page writes X and Y, numbers and the features of the edge as one entry.
        assert f"`{re.sub(r'_Y$', '_X', re.sub(r'_[0-6]$', '_0', name)).removesuffix('Edge')}" in page, name


def test_a_page_without_its_marks_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="no <!-- begin reruns -->"):
        generate.included("nothing", "reruns", "")


def test_a_bar_in_a_cell_ends_no_cell(generate: ModuleType) -> None:
    assert generate.table(["a"], [["x | y"]]).splitlines()[-1] == r"| x \| y |"
