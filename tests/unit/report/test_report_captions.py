"""The captions of ``snakemake --report``."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from wellfield.results.paths import PlateFile

FOLDER = Path(__file__).parents[3] / "report"
CAPTIONS = sorted(FOLDER.glob("*.rst"))


def test_every_file_of_the_report_has_a_caption_and_no_caption_is_left_over() -> None:
    of_files = {file.caption for file in PlateFile if file.label}
    assert of_files
    assert {path.name for path in CAPTIONS} == {"workflow.rst", *of_files}


@pytest.mark.parametrize("plate", ["P1", "a *b* _c_ |d| <e> & f_", "板"])
@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_renders_without_a_complaint_and_names_the_plate(path: Path, plate: str) -> None:
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(path.read_text(encoding="utf-8"))
    text = template.render(snakemake=SimpleNamespace(wildcards=SimpleNamespace(plate=plate), config={}))
    # halt_level 2: a warning of docutils is an error here
    body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2, "report_level": 2})["body"]
    assert "system-message" not in body
    assert "problematic" not in body
    if path.stem != "workflow":
        assert plate in text
