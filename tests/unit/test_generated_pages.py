"""The generated parts of the documentation are what the program says today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
    assert len(pages) == 6
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make docs"


def test_a_page_without_its_marks_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(ValueError, match="no <!-- begin reruns -->"):
        generate.included("nothing", "reruns", "")


def test_a_bar_in_a_cell_ends_no_cell(generate: ModuleType) -> None:
    assert generate.table(["a"], [["x | y"]]).splitlines()[-1] == r"| x \| y |"
