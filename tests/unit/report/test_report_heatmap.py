"""The heatmap of a plate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wellfield.plate.wells import well_name
from wellfield.report import heatmap
from wellfield.report.heatmap import EMPTY, PlateGrid, compact, plate_heatmap, value_texts


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def cell(path: Path, grid: PlateGrid, well: str) -> np.ndarray:
    y, x = grid.corner(well)
    return pixels(path)[y : y + grid.cell, x : x + grid.cell]


def fill(path: Path, grid: PlateGrid, well: str) -> tuple[int, ...]:
    """Colour of a cell where neither text nor frame is: near the middle of its right edge."""
    return tuple(cell(path, grid, well)[grid.cell // 8, grid.cell * 3 // 4])


def viridis(fraction: float) -> list[float]:
    return [255 * part for part in matplotlib.colormaps["viridis"](float(fraction))[:3]]


def block(rows: int, columns: int, *, first: tuple[int, int] = (0, 0)) -> list[str]:
    return [well_name(first[0] + row, first[1] + column) for row in range(rows) for column in range(columns)]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    draw = heatmap.Canvas.text

    def text(self: heatmap.Canvas, x: float, y: float, text: str, **style: object) -> None:
        found.append(text)
        draw(self, x, y, text, **style)

    monkeypatch.setattr(heatmap.Canvas, "text", text)
    return found


def test_colours_run_from_the_lowest_to_the_highest_value(tmp_path: Path) -> None:
    values = {"A01": 10, "A02": 20, "A03": 30, "B01": 12, "B02": 25, "B03": 15}
    grid = plate_heatmap(values, tmp_path / "h.png", title="t", label="n")
    for well, value in values.items():
        np.testing.assert_allclose(fill(tmp_path / "h.png", grid, well), viridis((value - 10) / 20), atol=1)


@pytest.mark.parametrize(
    ("wells", "rows", "columns"),
    [
        (block(2, 3), range(2), range(3)),
        (block(2, 3, first=(1, 1)), range(1, 3), range(1, 4)),
        (block(6, 10, first=(1, 1)), range(8), range(12)),
        (block(16, 24), range(16), range(24)),
        (["C05"], range(2, 3), range(4, 5)),
        (["A01", "H12"], range(8), range(12)),
        ([], range(1), range(1)),
    ],
)
def test_the_whole_plate_is_shown_if_more_than_half_is_used_else_the_used_block(
    wells: list[str], rows: range, columns: range, tmp_path: Path
) -> None:
    grid = plate_heatmap(dict.fromkeys(wells, 1), tmp_path / "h.png", title="t", label="n")
    assert (grid.rows, grid.columns) == (rows, columns)
    height, width, _ = pixels(tmp_path / "h.png").shape
    assert max(height, width) <= 1500


def test_a_well_without_data_is_hatched_and_differs_from_a_place_without_well(tmp_path: Path) -> None:
    values = {"A01": 1, "A02": None, "A03": float("nan"), "B01": pd.NA, "B02": 2}
    grid = plate_heatmap(values, tmp_path / "h.png", title="t", label="n")
    for well in ("A02", "A03", "B01"):
        inner = cell(tmp_path / "h.png", grid, well)[4:-4, 4:-4]
        assert len(np.unique(inner.reshape(-1, 3), axis=0)) > 4
        assert np.ptp(inner, axis=-1).max() < 25  # grey
    assert (cell(tmp_path / "h.png", grid, "B03")[4:-4, 4:-4] == EMPTY).all()


def test_no_data_is_not_zero(tmp_path: Path, texts: list[str]) -> None:
    grid = plate_heatmap({"A01": 0, "A02": None, "A03": 5, "B01": 5}, tmp_path / "h.png", title="t", label="n")
    assert texts.count("0") == 2  # the cell and the colour bar
    np.testing.assert_allclose(fill(tmp_path / "h.png", grid, "A01"), viridis(0), atol=1)


def test_a_failed_well_has_a_cross_and_no_value_even_if_it_has_one(tmp_path: Path, texts: list[str]) -> None:
    values = {"A01": 1, "A02": 77_777, "A03": 2, "B01": 3}
    grid = plate_heatmap(values, tmp_path / "h.png", title="t", label="n", failed=["A02", "B02"])
    assert not any("77" in text for text in texts)
    for well in ("A02", "B02"):
        found = cell(tmp_path / "h.png", grid, well)
        middle = grid.cell // 2
        assert found[middle, middle, 0] > found[middle, middle, 1] + 80
    np.testing.assert_allclose(fill(tmp_path / "h.png", grid, "B01"), viridis(1), atol=1)
    assert texts.count("failed") == 1


def test_controls_are_marked_and_explained(tmp_path: Path, texts: list[str]) -> None:
    values = dict.fromkeys(block(2, 3), 1)
    controls = {"A01": "negative", "a2": "positive", "A03": "", "B01": "something", "H12": "empty"}
    plate_heatmap(values, tmp_path / "h.png", title="t", label="n", controls=controls)
    assert (texts.count("N"), texts.count("P"), texts.count("E")) == (2, 2, 0)
    assert "negative control" in texts
    assert "positive control" in texts
    assert "empty well" not in texts


def test_a_legend_explains_only_what_is_there(tmp_path: Path, texts: list[str]) -> None:
    plate_heatmap({"A01": 1, "A02": 2}, tmp_path / "a.png", title="t", label="n")
    assert not {"negative control", "failed", "no data"} & set(texts)
    plate_heatmap({"A01": 1, "A02": None}, tmp_path / "b.png", title="t", label="n")
    assert "no data" in texts


def test_values_are_written_out_where_they_fit() -> None:
    assert value_texts({"A01": 12345, "A02": 7}, 96)[0] == {"A01": "12345", "A02": "7"}
    assert value_texts({"A01": 123456, "A02": 7}, 30)[0] == {"A01": "123k", "A02": "7"}
    assert value_texts({"A01": -0.123456, "A02": 2.5}, 96)[0] == {"A01": "−0.123", "A02": "2.5"}
    assert value_texts({"A01": 0.00012345}, 26)[0] == {}


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (1234, 2, "1.2k"),
        (999_999, 3, "1M"),
        (123_456, 3, "123k"),
        (-5_670_000, 2, "-5.7M"),
        (0, 3, "0"),
        (999, 3, "999"),
        (1500, 4, "1500"),
        (0.123456, 3, "0.123"),
        (2.5e12, 3, "2.5e+03G"),
        (123, 2, "123"),
        (999.6, 3, "1k"),
        (999_960, 2, "1M"),
        (-12_346, 4, "-12.35k"),
    ],
)
def test_long_numbers_are_shortened(value: float, digits: int, expected: str) -> None:
    assert compact(value, digits) == expected


@pytest.mark.parametrize("value", [0, 155, -3, 1e-9, 1e20, 1e300])
def test_a_plate_of_one_value_has_a_colour(value: float, tmp_path: Path) -> None:
    grid = plate_heatmap({"A01": value, "A02": value}, tmp_path / "h.png", title="t", label="n")
    np.testing.assert_allclose(fill(tmp_path / "h.png", grid, "A01"), viridis(0.5), atol=2)


@pytest.mark.parametrize("text", ["Pläte <7> & $x_1$ $\\frac$", "板 🔬 لوحة", "a\nb\x07\ud800", "x" * 400, ""])
def test_titles_are_taken_literally_and_never_fail(text: str, tmp_path: Path) -> None:
    plate_heatmap({"A01": 1}, tmp_path / "h.png", title=text, label=text)


def test_a_title_with_dollars_is_no_formula(tmp_path: Path) -> None:
    plate_heatmap({"A01": 1}, tmp_path / "a.png", title="$x_1$", label="n")
    plate_heatmap({"A01": 1}, tmp_path / "b.png", title="x_1", label="n")
    plain, formula = (
        np.nonzero((pixels(tmp_path / name)[:40] < 100).all(axis=-1))[1].max() for name in ("b.png", "a.png")
    )
    assert formula > plain  # wider by two dollar signs


def test_equal_input_gives_equal_bytes_whatever_the_order_and_the_settings(tmp_path: Path) -> None:
    values = {"A01": 1.5, "A02": 2, "B01": None}
    plate_heatmap(values, tmp_path / "a.png", title="t", label="n", failed=["B02"], controls={"A01": "negative"})
    with matplotlib.rc_context({"font.size": 30, "savefig.bbox": "tight", "font.family": "serif", "text.color": "red"}):
        plate_heatmap(
            dict(reversed(values.items())),
            tmp_path / "b.png",
            title="t",
            label="n",
            failed={"B02"},
            controls={"A01": "negative"},
        )
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert set(image.info) <= {"dpi"}


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from wellfield.report.heatmap import plate_heatmap; assert 'matplotlib' not in sys.modules; "
        f"plate_heatmap({{'A01': 1}}, {str(tmp_path / 'h.png')!r}, title='t', label='n'); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
