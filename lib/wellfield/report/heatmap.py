"""Heatmaps: one number per well, drawn as a picture of the plate."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellfield.plate.wells import canonical_well, plate_shape, row_name, split_well, well_name
from wellfield.report.canvas import FAINT_INK, INK, POINTS_PER_PIXEL, Canvas, Ruler, drawing

MARGIN, ROW_LABELS, COLUMN_LABELS, TITLE_SIZE, LABEL_SIZE = 18, 28, 26, 20, 14
MAX_CELL, MAX_CELLS_WIDTH, MAX_CELLS_HEIGHT, MIN_WIDTH, BAR_WIDTH, BAR_ROOM = 96, 1344, 1152, 480, 18, 100
BAR_HEIGHTS = (150, 420)
SMALLEST_VALUE_TEXT, LARGEST_VALUE_TEXT = 8.0, 24.0
# Relative luminance at which dark and white text have the same contrast.
LIGHT = 0.215
COLORMAP = "viridis"
UNITS = ((9, "G"), (6, "M"), (3, "k"))
EMPTY = (243, 244, 246)
NO_DATA, HATCH, FAILED, CROSS = "#e4e7eb", "#a9b0b8", "#fbdcdc", "#b42318"
# Letter and frame of each kind of control in a plate map.
CONTROL_MARKS = {"negative": ("N", "#1f2328"), "positive": ("P", "#d6246e"), "empty": ("E", "#6e7781")}


@dataclass(frozen=True)
class PlateGrid:
    """The rows and columns that a heatmap shows, and their places in pixels from the picture's upper left corner."""

    rows: range
    columns: range
    cell: int
    left: int
    top: int

    def corner(self, well: str) -> tuple[int, int]:
        """Return y and x of the upper left corner of a well's cell."""
        row, column = split_well(well)
        return self.top + (row - self.rows[0]) * self.cell, self.left + (column - self.columns[0]) * self.cell


def plate_heatmap(
    values: Mapping[str, float | None],
    path: str | os.PathLike[str],
    *,
    title: str,
    label: str,
    controls: Mapping[str, str] | None = None,
    failed: Collection[str] = (),
) -> PlateGrid:
    """Write a PNG of the plate with one coloured cell per well.

    If *values* fill more than half of the smallest standard plate that holds them, the whole plate is drawn; otherwise
    the block from the first to the last used row and column.

    Parameters
    ----------
    values:
        The number of every well of the run; a well without a number (``None`` or nan) is hatched.
    label:
        The meaning of the numbers; one line under the title.
    controls:
        Kind of control by well: ``"negative"``, ``"positive"`` or ``"empty"``. Other kinds, and wells that are not in
        the run, are not marked.
    failed:
        Wells that failed; they get a cross instead of a value.

    Returns
    -------
    PlateGrid
        The place of each well in the picture.
    """
    failures = {canonical_well(well) for well in failed}
    numbers = {canonical_well(well): _number(value) for well, value in values.items()}
    wells = sorted(failures | set(numbers), key=split_well)
    known = {well: value for well, value in numbers.items() if value is not None and well not in failures}
    marks = {canonical_well(well): kind for well, kind in (controls or {}).items() if kind in CONTROL_MARKS}
    marks = {well: kind for well, kind in marks.items() if well in failures or well in numbers}
    with drawing():
        ruler = Ruler()
        grid = _lay_out(wells)
        width = max(MIN_WIDTH, grid.left + len(grid.columns) * grid.cell + BAR_ROOM)
        bottom = grid.top + max(len(grid.rows) * grid.cell, BAR_HEIGHTS[0])
        legend = _legend(marks, failures, hatched=len(known) < len(set(numbers) - failures))
        canvas = Canvas(width, bottom + MARGIN + (LABEL_SIZE + MARGIN if legend else 0))
        title = ruler.shorten(title, TITLE_SIZE, width - 2 * MARGIN, bold=True)
        canvas.text(MARGIN, MARGIN + TITLE_SIZE / 2, title, size=TITLE_SIZE, bold=True)
        canvas.text(
            MARGIN,
            MARGIN + 1.7 * TITLE_SIZE,
            ruler.shorten(label, LABEL_SIZE, width - 2 * MARGIN),
            size=LABEL_SIZE,
            color=FAINT_INK,
        )
        _label_axes(canvas, grid)
        low, high = _limits(known)
        colours = {well: _colour((value - low) / (high - low)) for well, value in known.items()}
        canvas.pixels(_mosaic(grid, colours), grid.left, grid.top)
        texts, size = value_texts(known, grid.cell)
        for well in wells:
            y, x = grid.corner(well)
            middle = x + grid.cell / 2, y + grid.cell / 2
            if well in failures:
                canvas.rectangle(x + 1, y + 1, grid.cell - 2, grid.cell - 2, facecolor=FAILED)
                canvas.cross(*middle, grid.cell * 0.24, color=CROSS, width=max(2, grid.cell / 22))
            elif well not in known:
                hatch = {"facecolor": NO_DATA, "edgecolor": HATCH, "hatch": "////"}
                canvas.rectangle(x + 1, y + 1, grid.cell - 2, grid.cell - 2, **hatch)
            elif well in texts:
                ink = INK if _luminance(colours[well]) > LIGHT else "white"
                canvas.text(*middle, texts[well], size=size, align="center", color=ink)
            if well in marks:
                _mark_control(canvas, x, y, grid.cell, marks[well])
        if known:
            _draw_bar(canvas, grid, (low, high), whole=all(value == int(value) for value in known.values()))
        _draw_legend(canvas, ruler, legend, bottom + MARGIN + LABEL_SIZE / 2)
        canvas.save(path)
    return grid


def value_texts(values: Mapping[str, float], cell: int) -> tuple[dict[str, str], float]:
    """Return texts that fit into cells of *cell* pixels, and their font size; no texts at all if one does not fit.

    Whole numbers are written out if there is room. Otherwise, and for all other numbers, texts have three or two
    significant digits, with k, M or G for large numbers.
    """
    forms: list[Callable[[float], str]] = [lambda value: compact(value, 3), lambda value: compact(value, 2)]
    if all(value == int(value) for value in values.values()):
        forms.insert(0, lambda value: f"{value:.0f}")
    for form in forms:
        texts = {well: form(value).replace("-", "−") for well, value in values.items()}
        size = min(LARGEST_VALUE_TEXT, 0.3 * cell, (cell - 6) / (0.64 * max(map(len, texts.values()), default=1)))
        if size >= SMALLEST_VALUE_TEXT:
            return texts, size
    return {}, SMALLEST_VALUE_TEXT


def compact(value: float, digits: int) -> str:
    """Return a number with *digits* significant digits, large ones with k, M or G: ``compact(1234, 2)`` → ``1.2k``.

    Numbers below 1,000 get at least three digits.
    """
    small = max(digits, 3)
    if abs(float(f"{value:.{small - 1}e}")) < 10**small:
        return f"{value:.{small}g}"
    rounded = float(f"{value:.{digits - 1}e}")
    power, suffix = next(unit for unit in UNITS if abs(rounded) >= 10 ** unit[0])
    return f"{rounded / 10**power:.{small}g}{suffix}"


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):  # None, and the missing values of tables
        return None
    return number if math.isfinite(number) else None


def _lay_out(wells: list[str]) -> PlateGrid:
    positions = [split_well(well) for well in wells] or [(0, 0)]
    height, width = plate_shape(wells)
    rows, columns = range(height), range(width)
    if 2 * len(positions) <= height * width:
        rows, columns = (range(min(axis), max(axis) + 1) for axis in zip(*positions, strict=True))
    cell = min(MAX_CELL, MAX_CELLS_WIDTH // len(columns), MAX_CELLS_HEIGHT // len(rows))
    return PlateGrid(rows, columns, cell, MARGIN + ROW_LABELS, MARGIN + 2 * TITLE_SIZE + MARGIN // 2 + COLUMN_LABELS)


def _limits(known: Mapping[str, float]) -> tuple[float, float]:
    low, high = min(known.values(), default=0.0), max(known.values(), default=1.0)
    if low < high:
        return low, high
    room = abs(low) / 2 or 1.0
    return low - room, high + room


def _colour(fraction: float) -> tuple[float, float, float]:
    import matplotlib

    red, green, blue, _ = matplotlib.colormaps[COLORMAP](fraction)
    return float(red), float(green), float(blue)


def _mosaic(grid: PlateGrid, colours: Mapping[str, tuple[float, float, float]]) -> np.ndarray[Any, Any]:
    """Return the cells of the plate as pixels: each has its colour (or the colour of empty cells) and a white frame."""
    cell = grid.cell
    mosaic = np.full((len(grid.rows) * cell, len(grid.columns) * cell, 3), 255, dtype=np.uint8)
    for row in grid.rows:
        for column in grid.columns:
            well = well_name(row, column)
            y, x = grid.corner(well)
            y, x = y - grid.top, x - grid.left
            colour = np.round(np.multiply(colours[well], 255)) if well in colours else EMPTY
            mosaic[y + 1 : y + cell - 1, x + 1 : x + cell - 1] = colour
    return mosaic


def _luminance(rgb: tuple[float, float, float]) -> float:
    """Return the relative luminance of an sRGB colour (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mark_control(canvas: Canvas, x: float, y: float, cell: float, kind: str) -> None:
    letter, colour = CONTROL_MARKS[kind]
    line, badge = max(2.0, cell / 28), max(9.0, 0.24 * cell)
    inset, side = 1 + line / 2, cell - 2 - line
    canvas.rectangle(x + inset, y + inset, side, side, fill=False, edgecolor=colour, linewidth=line * POINTS_PER_PIXEL)
    canvas.rectangle(x + 1, y + 1, badge, badge, facecolor=colour)
    canvas.text(
        x + 1 + badge / 2, y + 1 + badge / 2, letter, size=badge * 0.8, align="center", color="white", bold=True
    )


def _label_axes(canvas: Canvas, grid: PlateGrid) -> None:
    size = min(14.0, 0.36 * grid.cell + 2)
    for number, row in enumerate(grid.rows):
        y = grid.top + (number + 0.5) * grid.cell
        canvas.text(grid.left - 8, y, row_name(row), size=size, align="right", color=FAINT_INK)
    for number, column in enumerate(grid.columns):
        x = grid.left + (number + 0.5) * grid.cell
        canvas.text(x, grid.top - 11, f"{column + 1}", size=size, align="center", color=FAINT_INK)


def _draw_bar(canvas: Canvas, grid: PlateGrid, limits: tuple[float, float], *, whole: bool) -> None:
    import matplotlib
    from matplotlib import ticker

    height = min(max(BAR_HEIGHTS[0], len(grid.rows) * grid.cell), BAR_HEIGHTS[1])
    x, y = grid.left + len(grid.columns) * grid.cell + 22, grid.top
    ramp = matplotlib.colormaps[COLORMAP](np.linspace(1, 0, height))[:, np.newaxis, :3]
    canvas.pixels(np.round(np.repeat(ramp, BAR_WIDTH, axis=1) * 255).astype(np.uint8), x, y)
    locators: Any = ticker
    low, high = limits
    locator: Any = locators.MaxNLocator(height // 40, integer=whole, min_n_ticks=2)
    for tick in locator.tick_values(low, high):
        if low <= tick <= high:
            at = y + (high - tick) / (high - low) * height
            canvas.line((x + BAR_WIDTH, x + BAR_WIDTH + 4), (at, at), color=FAINT_INK, width=1)
            canvas.text(x + BAR_WIDTH + 8, at, compact(tick, 4).replace("-", "−"), size=13, color=FAINT_INK)


def _legend(marks: Mapping[str, str], failures: set[str], *, hatched: bool) -> list[tuple[str, str]]:
    kinds = [kind for kind in CONTROL_MARKS if kind in marks.values()]
    entries = [(kind, "empty well" if kind == "empty" else f"{kind} control") for kind in kinds]
    return entries + [("failed", "failed")] * bool(failures) + [("no data", "no data")] * hatched


def _draw_legend(canvas: Canvas, ruler: Ruler, entries: list[tuple[str, str]], y: float) -> None:
    x, side = float(MARGIN + ROW_LABELS), 16
    for kind, text in entries:
        if kind in CONTROL_MARKS:
            letter, colour = CONTROL_MARKS[kind]
            canvas.rectangle(x, y - side / 2, side, side, facecolor=colour)
            canvas.text(x + side / 2, y, letter, size=12, align="center", color="white", bold=True)
        elif kind == "failed":
            canvas.rectangle(x, y - side / 2, side, side, facecolor=FAILED)
            canvas.cross(x + side / 2, y, side * 0.24, color=CROSS, width=2)
        else:
            canvas.rectangle(x, y - side / 2, side, side, facecolor=NO_DATA, edgecolor=HATCH, hatch="//////")
        canvas.text(x + side + 6, y, text, size=LABEL_SIZE)
        x += side + 6 + ruler.width(text, LABEL_SIZE) + 20
