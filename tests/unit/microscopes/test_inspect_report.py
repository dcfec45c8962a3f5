"""What ``wellfield inspect`` prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.generators.phenix_example import write_phenix_example
from wellfield.cli import main
from wellfield.example import ExamplePlate
from wellfield.formats.png import write_png
from wellfield.microscopes.inspect_report import well_rows

PATTERN = r"(?P<well>[A-P]\d+)_s(?P<field>\d+)_(?P<channel>\w+)\.png"


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    folder.mkdir()
    for well in ("A1", "A2", "B1"):
        for field in (0, 1):
            write_png(folder / f"{well}_s{field}_DAPI.png", np.zeros((6, 7), "u2"))
    (folder / "A2_s1_DAPI.png").unlink()
    (folder / "x.png").touch()
    return folder


def test_a_pattern_shows_what_would_be_found(plate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(plate.rglob("*"))
    assert main(["inspect", str(plate), "--pattern", PATTERN]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line[2:38].strip(): line[38:].strip() for line in lines[1:]}
    assert PATTERN in lines[0]
    assert shown["wells"] == "3: A-B x 1-2, planes in each:"
    assert "A  2 1" in "\n".join(lines)
    assert "B  2 ." in "\n".join(lines)
    assert shown["channel 1"] == "DAPI: z1"
    assert shown["image"] == "6 x 7 uint16, pixel unknown µm, z step unknown µm"
    assert shown["missing"] == "1: A02_s002_w1_z001_t001.tif"
    assert shown["ignored: does not match the pattern"] == "1: x.png"
    assert shown["note"].startswith("field: numbers in the names count from 0")
    assert sorted(plate.rglob("*")) == before


@pytest.mark.parametrize("size", [0, 8, 25])
def test_empty_files_come_first_whether_all_or_some(plate: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    (plate / "B1_s0_DAPI.png").write_bytes(b"x" * size)
    assert main(["inspect", str(plate), "--pattern", PATTERN]) == 0
    first = capsys.readouterr().out.splitlines()[1].split(maxsplit=2)
    assert first[:2] == ["EMPTY", "FILES"]
    assert f"1 of 5 images are empty files (B1_s0_DAPI.png; at most {size} bytes)" in first[2]
    assert "their wells will fail: B01." in first[2]
    for file in plate.glob("*.png"):
        file.write_bytes(b"")
    assert main(["inspect", str(plate), "--pattern", PATTERN]) == 0
    assert "5 of 5 images are empty files (A1_s0_DAPI.png, A1_s1_DAPI.png, A2_s0_DAPI.png, …" in capsys.readouterr().out


def test_a_plate_of_empty_files_of_a_microscope_is_not_praised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("P_A01_s1_w1.tif", "P_A01_s2_w1.tif"):
        (tmp_path / name).touch()
    (tmp_path / "P_A02_s1_w1.tif").mkdir()
    assert main(["inspect", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("  EMPTY FILES")
    assert any("ignored: folder that is named like an image" in line and "P_A02_s1_w1.tif" in line for line in lines)


def test_a_layout_of_a_configuration_may_be_named(
    plate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"steps: [{{func: max_projection}}]\nlayouts: {{mine: {{pattern: '{PATTERN}', pixel_size_um: 0.5}}}}\n"
    )
    for option in ("--microscope", "--pattern"):
        assert main(["inspect", str(plate), "--config", str(config), option, "mine"]) == 0
        assert "pixel 0.5 µm" in capsys.readouterr().out
    assert main(["inspect", str(plate), "--microscope", "mine"]) == 1
    assert "unknown microscope 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<wel>\w+)\.png", "unknown group 'wel'; did you mean 'well'?"),
        (r"(?P<well>\w+", "it is not a regular expression"),
        (r"(?P<well>\w+)\.tif", "matches none of its 6 images"),
        (r"(?P<well>[A-P]\d+)_.*\.png", "two files are the same plane A01_s001_w1_z001_t001"),
        ("folder_per_well", "it is a preset; docs/reference/plates.md shows"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(
    plate: Path, capsys: pytest.CaptureFixture[str], pattern: str, message: str
) -> None:
    assert main(["inspect", str(plate), "--pattern", pattern]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wells", "expected"),
    [
        ({"B02": 3}, ["1: B x 2, planes in each: 3"]),
        ({"A01": 3, "A02": 3, "B01": 3, "B02": 3}, ["4: A-B x 1-2, planes in each: 3"]),
        ({"A09": 12, "C10": 3}, ["2: A-C x 9-10, planes in each:", "    9 10", "A  12  .", "B   .  .", "C   .  3"]),
        ({f"A{n:02d}": 4 for n in range(1, 49)} | {"A03": 2}, ["48: A x 1-48, planes in each: 4; other: A03 (2)"]),
        ({f"AF{n:02d}": 4 for n in (1, 48)}, ["2: AF x 1-48, not all, planes in each: 4"]),
    ],
)
def test_wells_are_summed_up_where_they_are_alike_and_drawn_where_not(
    wells: dict[str, int], expected: list[str]
) -> None:
    assert [text for _, text in well_rows(wells)] == expected


def test_light_grid_and_the_vendors_field_numbers_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plate = ExamplePlate(wells=("B02",), z=1, timepoints=2, size=32)
    assert main(["inspect", str(write_phenix_example(tmp_path / "raw", plate).plate)]) == 0
    text = capsys.readouterr().out
    assert "1, 2, 3, 4 (on a 2 x 2 grid; the vendor's 1, 2, 4, 3)" in text
    assert "1, 2 (every 3600 s)" in text
    assert "DAPI: z1 (excitation 375 nm, emission 452 nm, with flat field)" in text


def test_a_terminal_without_micrometres_still_shows_the_plate(plate: Path) -> None:
    command = [sys.executable, "-m", "wellfield.cli", "inspect", str(plate), "--pattern", PATTERN]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert b"pixel unknown ?m" in done.stdout
