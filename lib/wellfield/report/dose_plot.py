"""Dose–responses in one picture: a panel for each, with its fitted curve and the controls."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wellfield.report.canvas import FAINT_INK, INK, POINTS_PER_PIXEL, Canvas, Ruler, drawing
from wellfield.report.dose_response import DoseResponse, ec50_text
from wellfield.report.heatmap import CONTROL_MARKS, compact

MAX_COLUMNS, MIN_WIDTH, MAX_WIDTH = 5, 480, 1500
MARGIN, TITLE_SIZE, LABEL_SIZE, TEXT_SIZE = 18, 20, 14, 12
PANEL_WIDTH, PANEL_HEIGHT, PANEL_HEADER, PANEL_LEFT, PANEL_FOOTER = 400, 320, 58, 54, 40
LINE, NOTE_LINES, SIGN, BAND = 22, 4, 16, 0.14
WELL_COLOUR, CURVE_COLOUR = "#5b9bd5", "#0b5394"
CONTROL_COLOURS = {kind: CONTROL_MARKS[kind][1] for kind in ("negative", "positive")}
Y_TICKS, X_TICKS, CURVE_POINTS = 5, 5, 200


def plot_dose_responses(
    responses: Sequence[DoseResponse], path: str | os.PathLike[str], *, title: str, note: str = ""
) -> None:
    """Write a PNG with a panel for each of *responses*; without responses, only *title* and *note*.

    Wells are points over a logarithmic axis of concentration; a tested concentration of 0 is at its left end. The mean
    ± standard deviation of each concentration is drawn over the points. Bands are the mean ± standard deviation of the
    controls.
    """
    with drawing():
        ruler = Ruler()
        columns = min(MAX_COLUMNS, len(responses) if len(responses) <= 3 else math.isqrt(len(responses) - 1) + 1)
        panel = min(PANEL_WIDTH, (MAX_WIDTH - 2 * MARGIN) // max(columns, 1))
        height = PANEL_HEIGHT * panel // PANEL_WIDTH
        rows = math.ceil(len(responses) / max(columns, 1))
        width = max(MIN_WIDTH, columns * panel + 2 * MARGIN)
        top = MARGIN + TITLE_SIZE + MARGIN
        legend = _legend(ruler, responses, width - 2 * MARGIN)
        lines = ruler.wrap(note, LABEL_SIZE, width - 2 * MARGIN)
        lines = lines if len(lines) <= NOTE_LINES else [*lines[: NOTE_LINES - 1], "… and more, see summary.html"]
        below = top + rows * height + len(legend) * LINE
        canvas = Canvas(width, below + len(lines) * LINE + MARGIN // 2)
        title = ruler.shorten(title, TITLE_SIZE, width - 2 * MARGIN, bold=True)
        canvas.text(MARGIN, MARGIN + TITLE_SIZE / 2, title, size=TITLE_SIZE, bold=True)
        for number, response in enumerate(responses):
            row, column = divmod(number, columns)
            _draw_panel(canvas, ruler, response, (MARGIN + column * panel, top + row * height), (panel, height))
        for number, entries in enumerate(legend):
            for x, text in entries.items():
                _draw_sign(canvas, text, MARGIN + x, top + rows * height + (number + 0.5) * LINE)
        for number, line in enumerate(lines):
            canvas.text(MARGIN, below + (number + 0.5) * LINE, line, size=LABEL_SIZE, color=FAINT_INK)
        canvas.save(path)


def _draw_panel(
    canvas: Canvas, ruler: Ruler, response: DoseResponse, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    (x, y), (width, height) = corner, size
    room = width - PANEL_LEFT - 12
    for line, text in enumerate((response.treatment or "unnamed", response.readout, ec50_text(response))):
        at, bold = y + 8 + line * (TEXT_SIZE + 4), line == 0
        short = ruler.shorten(text, TEXT_SIZE, room, bold=bold)
        canvas.text(x + PANEL_LEFT, at, short, size=TEXT_SIZE, bold=bold, color=FAINT_INK if line == 1 else INK)
    axes = canvas.figure.add_axes(
        (
            (x + PANEL_LEFT) / canvas.width,
            1 - (y + height - PANEL_FOOTER) / canvas.height,
            room / canvas.width,
            (height - PANEL_HEADER - PANEL_FOOTER) / canvas.height,
        )
    )
    _draw_data(axes, response)
    axes.tick_params(labelsize=TEXT_SIZE * POINTS_PER_PIXEL, colors=FAINT_INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT_INK)
    label = f"concentration ({response.unit})" if response.unit else "concentration"
    label = ruler.shorten(label, TEXT_SIZE, room)
    canvas.text(x + PANEL_LEFT + room / 2, y + height - 10, label, size=TEXT_SIZE, align="center", color=FAINT_INK)


def _draw_data(axes: Any, response: DoseResponse) -> None:
    from matplotlib import ticker

    doses, values = np.array(response.concentrations), np.array(response.values)
    tested = np.unique(doses)
    place = _places(tested)
    x = np.array([place[dose] for dose in doses])
    for kind, colour in CONTROL_COLOURS.items():
        if found := response.controls[kind]:
            mean = np.mean(found)
            axes.axhline(mean, color=colour, linewidth=1)
            if len(found) > 1:
                spread = np.std(found, ddof=1)
                axes.axhspan(mean - spread, mean + spread, color=colour, alpha=BAND, linewidth=0)
    axes.plot(x, values, "o", color=WELL_COLOUR, markersize=4, markeredgewidth=0)
    for dose in tested:
        group = values[doses == dose]
        if len(group) > 1:
            spread = np.std(group, ddof=1)
            axes.errorbar(place[dose], group.mean(), spread, fmt="_", color=INK, markersize=8, capsize=2, linewidth=1)
    if response.fit.curve is not None:
        above = np.log10(tested[tested > 0])
        grid = np.linspace(above[0], above[-1], CURVE_POINTS)
        axes.plot(grid, response.fit.curve(10**grid), color=CURVE_COLOUR, linewidth=1.5)
        axes.axvline(math.log10(response.fit.curve.ec50), color=CURVE_COLOUR, linewidth=1, linestyle=":")
    ticks = _ticks(tested, place)
    axes.set_xticks(list(ticks), labels=list(ticks.values()))
    span = max(place.values()) - min(place.values())
    axes.set_xlim(min(place.values()) - 0.05 * span, max(place.values()) + 0.05 * span)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(Y_TICKS))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: compact(value, 4).replace("-", "−")))


def _places(tested: np.ndarray[Any, Any]) -> dict[float, float]:
    """Return the place of each concentration on the axis: its decimal logarithm; 0 is placed left of the others."""
    logarithms = np.log10(tested[tested > 0])
    place = dict(zip(map(float, tested[tested > 0]), map(float, logarithms), strict=True))
    if 0 in tested:
        place[0.0] = float(logarithms[0] - 0.2 * (logarithms[-1] - logarithms[0]))
    return place


def _ticks(tested: np.ndarray[Any, Any], place: Mapping[float, float]) -> dict[float, str]:
    """Return the labels of the concentration axis: powers of ten, or the lowest and the highest if fewer than two."""
    above = tested[tested > 0]
    first, last = math.ceil(math.log10(above[0]) - 1e-9), math.floor(math.log10(above[-1]) + 1e-9)
    powers = range(first, last + 1, max(0, last - first) // X_TICKS + 1)
    ends = {place[dose]: f"{dose:.3g}" for dose in map(float, (above[0], above[-1]))}
    ticks = {float(power): f"{10.0**power:g}" for power in powers} if len(powers) > 1 else ends
    return {place[0.0]: "0", **ticks} if 0 in tested else ticks


def _legend(ruler: Ruler, responses: Sequence[DoseResponse], width: int) -> list[dict[float, str]]:
    """Return the lines of the legend, each as text by x position; no lines without panels."""
    wanted = ["well"]
    if any(len(set(response.concentrations)) < len(response.concentrations) for response in responses):
        wanted.append("mean ± SD")
    if any(response.fit.curve for response in responses):
        wanted += ["fitted curve", "EC50"]
    wanted += [f"{kind} control" for kind in CONTROL_COLOURS if any(r.controls[kind] for r in responses)]
    lines: list[dict[float, str]] = []
    x = math.inf
    for text in wanted if responses else ():
        room = SIGN + 6 + ruler.width(text, LABEL_SIZE) + 20
        if x + room > width:
            lines.append({})
            x = 0.0
        lines[-1][x] = text
        x += room
    return lines


def _draw_sign(canvas: Canvas, text: str, x: float, y: float) -> None:
    """Draw the symbol of a legend entry."""
    middle = x + SIGN / 2
    if text == "well":
        canvas.text(middle, y, "●", size=TEXT_SIZE, align="center", color=WELL_COLOUR)
    elif text == "mean ± SD":
        canvas.line((middle, middle), (y - 7, y + 7), color=INK, width=1.5)
        canvas.line((middle - 6, middle + 6), (y, y), color=INK, width=1.5)
    elif text == "fitted curve":
        canvas.line((x, x + SIGN), (y, y), color=CURVE_COLOUR, width=2.5)
    elif text == "EC50":
        canvas.text(middle, y, "┊", size=LABEL_SIZE, align="center", color=CURVE_COLOUR)
    else:
        colour = CONTROL_COLOURS[text.partition(" ")[0]]
        canvas.rectangle(x, y - 6, SIGN, 12, facecolor=colour, alpha=BAND)
        canvas.line((x, x + SIGN), (y, y), color=colour, width=1.5)
    canvas.text(x + SIGN + 6, y, text, size=LABEL_SIZE)
