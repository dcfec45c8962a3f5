"""The examples of the documentation run: Python and YAML blocks of the pages, and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from tests.libraries import need
from wellfield.config.load import load_config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Blocks that need the results of a plate; tests/interop/test_openhcs.py runs them on one.
ELSEWHERE = {"docs/explanation/openhcs.md"}
# Blocks for which a decorator's library must be installed.
LIBRARIES = re.compile(r"^from wellfield\.memory import .*\b(torch|tensorflow|jax|cupy|pyclesperanto)\b", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_blocks(language: str) -> list[Any]:
    pages = [page for page in PAGES if blocks(page, language) and name(page) not in ELSEWHERE]
    return [pytest.param(page, id=name(page)) for page in pages]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with the files that examples name."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    image = rng.poisson(200 + 2000.0 * (((y - 32) ** 2 + (x - 32) ** 2) < 100)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "nuclei.tif", image)
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_python_blocks_of_a_page_run_one_after_the_other(page: Path, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for number, block in enumerate(blocks(page, "python"), start=1):
        if library := LIBRARIES.search(block):
            need(library[1])
        exec(compile(block, f"{name(page)}, Python block {number}", "exec"), names)


def pipelines(page: Path) -> list[dict[str, Any]]:
    """Return the YAML blocks of a page that are a configuration or a part of one; a lone step becomes a pipeline."""
    loaded = [yaml.safe_load(block) for block in blocks(page, "yaml")]
    return [{"steps": block} if isinstance(block, list) else block for block in loaded]


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_the_yaml_blocks_of_a_page_are_configurations(page: Path) -> None:
    for block in pipelines(page):
        load_config({"steps": [{"func": "max_projection"}], **block})


MODULES = sorted(
    ".".join(path.relative_to(ROOT / "lib").with_suffix("").parts)
    for path in (ROOT / "lib" / "wellfield").rglob("*.py")
    if re.search(r">>>(?!.*\+SKIP)", path.read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_run(module: str, folder: Path) -> None:
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/.-]+\.(?:py|md|yml|yaml|toml|json|smk)|[\w/.-]+/)`", text))
    known = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert len(named) > 30
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name.rstrip('/')}") for path in known)] == []
