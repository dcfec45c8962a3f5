"""Pictures laid out in whole pixels: matplotlib without pyplot and without global state; equal input, equal picture."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from wellfield.formats.atomic import atomic_path

# A power of two, so that pixels / DPI * DPI is exactly the same whole number again.
DPI = 128
POINTS_PER_PIXEL = 72 / DPI
INK, FAINT_INK = "#1f2328", "#656d76"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with matplotlib's own defaults and font; settings of the user or the program are ignored.

    A character that the font lacks becomes a box, without a warning.
    """
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .*missing from font", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.family": ["DejaVu Sans"], "hatch.linewidth": 0.8})
        yield


def one_line(text: str) -> str:
    """Return *text* on one line, without characters that no font can show (controls, halves of surrogate pairs)."""
    visible = "".join(character if character.isprintable() or character.isspace() else "\ufffd" for character in text)
    return " ".join(visible.split())


class Canvas:
    """A white figure whose coordinates are pixels from the upper left corner; use it inside :func:`drawing`."""

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Any = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()

    def text(
        self, x: float, y: float, text: str, *, size: float, align: str = "left", color: str = INK, bold: bool = False
    ) -> None:
        """Write *text* as it is, vertically centred on *y*; *size* is the font size in pixels."""
        self.axes.text(
            x,
            y,
            one_line(text),
            fontsize=size * POINTS_PER_PIXEL,
            ha=align,
            va="center_baseline",
            color=color,
            weight="bold" if bold else "normal",
            parse_math=False,
        )

    def rectangle(self, x: float, y: float, width: float, height: float, **style: Any) -> None:
        """Draw a rectangle; *style* takes the options of a matplotlib patch. By default it has no edge."""
        from matplotlib.patches import Rectangle

        style.setdefault("edgecolor", "none")
        style.setdefault("linewidth", 0)
        self.axes.add_patch(Rectangle((x, y), width, height, **style))

    def line(self, xs: tuple[float, float], ys: tuple[float, float], *, color: str, width: float) -> None:
        """Draw a straight line *width* pixels wide."""
        from matplotlib.lines import Line2D

        points = width * POINTS_PER_PIXEL
        self.axes.add_line(Line2D(xs, ys, color=color, linewidth=points, solid_capstyle="round"))

    def cross(self, x: float, y: float, arm: float, *, color: str, width: float) -> None:
        """Draw a cross (×) around a point."""
        self.line((x - arm, x + arm), (y - arm, y + arm), color=color, width=width)
        self.line((x - arm, x + arm), (y + arm, y - arm), color=color, width=width)

    def pixels(self, rgb: np.ndarray[Any, Any], x: int, y: int) -> None:
        """Put uint8 ``[Y, X, 3]`` behind everything else, pixel for pixel."""
        self.figure.figimage(rgb, xo=x, yo=self.height - y - rgb.shape[0], origin="upper", zorder=-1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the PNG atomically; its metadata contain neither date nor program."""
        with atomic_path(path) as part:
            self.figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})


class Ruler:
    """Measures text in pixels; use it inside :func:`drawing`."""

    def __init__(self) -> None:
        self._renderer = Canvas(8, 8).figure.canvas.get_renderer()

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Return how wide *text* is in a font of *size* pixels."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(size=size * POINTS_PER_PIXEL, weight="bold" if bold else "normal")
        measured = self._renderer.get_text_width_height_descent(one_line(text), font, ismath=False)
        return float(measured[0])

    def shorten(self, text: str, size: float, width: float, *, bold: bool = False) -> str:
        """Return *text*; if it is wider than *width*, replace its middle by "…"."""
        text = one_line(text)
        keep, short = len(text), text
        while keep > 2 and self.width(short, size, bold=bold) > width:
            keep = min(keep - 1, int(keep * 0.97))
            short = text[: keep - keep // 2] + "…" + text[len(text) - keep // 2 :]
        return short

    def wrap(self, text: str, size: float, width: float) -> list[str]:
        """Return *text* as lines no wider than *width*, broken at spaces; a longer word is shortened."""
        lines: list[str] = []
        for word in one_line(text).split():
            if lines and self.width(f"{lines[-1]} {word}", size) <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(self.shorten(word, size, width))
        return lines
