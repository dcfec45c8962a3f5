"""REQUIRE_ALL=1 lets nothing be skipped but what needs a GPU or conda."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

def test_plain():
    pytest.skip("no such library")

@pytest.mark.skip(reason="marked")
def test_marked(): ...

@pytest.mark.gpu
def test_gpu():
    pytest.skip("no GPU")

@pytest.mark.conda
@pytest.mark.skipif(True, reason="no conda")
def test_conda(): ...

@pytest.mark.xfail(reason="known")
def test_expected_failure():
    raise AssertionError

def test_plates(real_plates): ...
"""
MODULE = 'import pytest\n\npytest.skip("whole module", allow_module_level=True)\n'


def run(folder: Path, *, required: str, module: str = "") -> str:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", folder)
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu\n    conda\n")
    if module:
        (folder / "test_module.py").write_text(module)
    environment = {**os.environ, "REQUIRE_ALL": required, "WELLFIELD_PLATES": str(folder / "nowhere")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_skips_are_skips_by_default(tmp_path: Path) -> None:
    assert "6 skipped, 1 xfailed" in run(tmp_path, required="", module=MODULE)


def test_only_gpu_and_conda_may_be_skipped_where_everything_is_required(tmp_path: Path) -> None:
    output = run(tmp_path, required="1")
    assert "1 failed, 2 skipped, 1 xfailed, 2 errors" in output  # a marked test fails before it is called
    assert "no such library" in output


def test_a_module_that_skips_itself_fails_where_everything_is_required(tmp_path: Path) -> None:
    assert "test_module.py skips itself" in run(tmp_path, required="1", module=MODULE)
