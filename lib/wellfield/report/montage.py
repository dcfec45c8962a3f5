"""Montages: one picture of a plate with a thumbnail of every well at its place, all on one grey scale."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError
from wellfield.plate.wells import canonical_well, row_name, split_well
from wellfield.report.canvas import FAINT_INK, Canvas, Ruler, drawing

Array = np.ndarray[Any, Any]

MAX_SIDE = 1500
MARGIN, ROW_LABELS, COLUMN_LABELS, TITLE_SIZE, CAPTION_SIZE = 16, 30, 24, 20, 13
MIN_WIDTH, DEFAULT_TILE, SMALLEST_TILE = 560, 120, 96
# Shown as black and white: 0.5 % of the pixels are darker, 0.2 % brighter. Few are cut at the bright end, because
# bright objects may be sparse; some are, so that single hot pixels do not set the scale.
PERCENTILES = (0.5, 99.8)
SAMPLED_PIXELS = 4_000_000
OUTLINE = (255, 176, 0)
NO_IMAGE, FAILED, FAILED_INK = "#dfe2e6", "#fbdcdc", "#b42318"
NO_DATA_GREY = 243


@dataclass(frozen=True)
class PlateLayout:
    """The places of the tiles in a montage, in pixels from its upper left corner.

    Parameters
    ----------
    rows, columns:
        The 0-based rows and columns of the plate that are shown.
    tile:
        Height and width of a tile.
    scale:
        Pixels of the montage per pixel of a thumbnail.
    gap:
        Pixels between two tiles.
    left, top:
        Corner of the first tile.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    tile: tuple[int, int]
    scale: float
    gap: int
    left: int
    top: int

    @property
    def height(self) -> int:
        """Height of all tiles with the gaps between them."""
        return len(self.rows) * (self.tile[0] + self.gap) - self.gap

    @property
    def width(self) -> int:
        """Width of all tiles with the gaps between them."""
        return len(self.columns) * (self.tile[1] + self.gap) - self.gap

    def corner(self, well: str) -> tuple[int, int]:
        """Return y and x of the upper left corner of a well's tile."""
        row, column = split_well(well)
        y = self.top + self.rows.index(row) * (self.tile[0] + self.gap)
        return y, self.left + self.columns.index(column) * (self.tile[1] + self.gap)


def plate_montage(
    thumbnails: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    wells_expected: Iterable[str],
    title: str,
    failed: Collection[str] = (),
    image_label: str = "",
) -> PlateLayout:
    """Write one PNG of at most 1,500 × 1,500 pixels with every well at its place on the plate.

    Rows and columns without any well are left out. All images share one display window, which the caption states.

    Parameters
    ----------
    thumbnails:
        Results of :func:`wellfield.results.thumbnails.well_thumbnail`, by well. They are read one at a time, each more
        than once, so the mapping may load a thumbnail on access and need not hold them all.
    wells_expected:
        Every well of the run; a well without a thumbnail is marked "no image".
    failed:
        Wells that failed; marked "failed", even if there is a thumbnail.
    image_label:
        Description of the grey image for the caption, such as ``"DAPI, maximum projection"``.

    Returns
    -------
    PlateLayout
        The place of each well in the picture.

    Raises
    ------
    ArrayShapeError
        A thumbnail is not of shape ``[2, h, w]``.
    """
    failures = {canonical_well(well) for well in failed}
    names = {canonical_well(well): well for well in thumbnails}
    wells = sorted({canonical_well(well) for well in wells_expected} | failures | set(names), key=split_well)
    shown = [well for well in wells if well in names and well not in failures]
    shape = (1, 1)
    for well in shown:
        found = np.shape(thumbnails[names[well]])
        if len(found) != 3 or found[0] != 2:
            raise ArrayShapeError(f"well {well}: expected a thumbnail [2, h, w], got shape {found}")
        shape = max(shape[0], found[1]), max(shape[1], found[2])
    window = display_window(thumbnails[names[well]] for well in shown)
    with drawing():
        ruler = Ruler()
        layout = _lay_out(wells, shape if shown else (DEFAULT_TILE, DEFAULT_TILE))
        width = max(MIN_WIDTH, layout.left + layout.width + MARGIN)
        caption = ruler.wrap(_caption(image_label, window), CAPTION_SIZE, width - 2 * MARGIN)
        line_height = round(1.5 * CAPTION_SIZE)
        below = layout.top + layout.height + MARGIN
        canvas = Canvas(width, below + line_height * len(caption) + MARGIN // 2)
        title = ruler.shorten(title, TITLE_SIZE, width - 2 * MARGIN, bold=True)
        canvas.text(MARGIN, MARGIN + TITLE_SIZE / 2, title, size=TITLE_SIZE, bold=True)
        _label_axes(canvas, layout)
        mosaic = _empty_places(layout)
        for well in wells:
            y, x = layout.corner(well)
            if well in failures:
                _mark(canvas, ruler, layout, (y, x), ["failed"], fill=FAILED, ink=FAILED_INK)
            elif well not in names or window is None:
                _mark(canvas, ruler, layout, (y, x), ["no", "image"], fill=NO_IMAGE, ink=FAINT_INK)
            else:
                y, x = y - layout.top, x - layout.left
                mosaic[y : y + layout.tile[0], x : x + layout.tile[1]] = render_tile(
                    thumbnails[names[well]], layout, window
                )
        canvas.pixels(mosaic, layout.left, layout.top)
        for number, line in enumerate(caption):
            canvas.text(MARGIN, below + (number + 0.5) * line_height, line, size=CAPTION_SIZE, color=FAINT_INK)
        canvas.save(path)
    return layout


def display_window(thumbnails: Iterable[Any]) -> tuple[float, float] | None:
    """Return the intensities shown as black and as white: percentiles over all *thumbnails*; ``None`` without pixels.

    If there are very many pixels, every n-th is used.
    """
    pixels = [values[np.isfinite(values)] for values in (np.asarray(thumbnail[0]) for thumbnail in thumbnails)]
    total = sum(values.size for values in pixels)
    if total == 0:
        return None
    step = -(-total // SAMPLED_PIXELS)
    low, high = np.percentile(np.concatenate([values[::step] for values in pixels]), PERCENTILES)
    return float(low), float(high)


def render_tile(thumbnail: Any, layout: PlateLayout, window: tuple[float, float]) -> Array:
    """Return a tile, uint8 RGB, with the thumbnail centred in it: a grey image with coloured outlines."""
    height, width = (max(1, round(side * layout.scale)) for side in np.shape(thumbnail)[1:])
    size = min(height, layout.tile[0]), min(width, layout.tile[1])
    image, outline = _resize(np.asarray(thumbnail[0]), size), _resize(np.asarray(thumbnail[1]), size)
    low, high = window
    grey = np.clip((image - low) / ((high - low) or 1), 0, 1) * 255
    # At small scales outlines are about as wide as the objects: they are then drawn more transparent.
    strength = np.nan_to_num(outline)[..., np.newaxis] * min(0.9, 0.5 + 0.5 * layout.scale)
    colours = np.where(np.isnan(grey), NO_DATA_GREY, grey)[..., np.newaxis] * (1 - strength) + strength * OUTLINE
    tile = np.full((*layout.tile, 3), NO_DATA_GREY, dtype=np.uint8)
    y, x = (layout.tile[0] - size[0]) // 2, (layout.tile[1] - size[1]) // 2
    tile[y : y + size[0], x : x + size[1]] = np.round(colours)
    return tile


def _resize(values: Array, size: tuple[int, int]) -> Array:
    """Resize by averaging the finite pixels of each area; nan if less than half of an area is finite."""
    from PIL import Image

    finite = np.isfinite(values)
    target = (size[1], size[0])
    filled = Image.fromarray(np.where(finite, values, 0).astype(np.float32)).resize(target, Image.Resampling.BOX)
    weight = np.asarray(Image.fromarray(finite.astype(np.float32)).resize(target, Image.Resampling.BOX))
    return np.where(weight >= 0.5, np.asarray(filled) / np.maximum(weight, 0.5), np.nan)


def _lay_out(wells: list[str], shape: tuple[int, int]) -> PlateLayout:
    positions = [split_well(well) for well in wells] or [(0, 0)]
    rows, columns = (tuple(sorted(set(axis))) for axis in zip(*positions, strict=True))
    gap = 2 if max(len(rows), len(columns)) > 16 else 4
    left, top = MARGIN + ROW_LABELS, MARGIN + TITLE_SIZE + MARGIN // 2 + COLUMN_LABELS
    room = MAX_SIDE - top - 2 * MARGIN - 4 * CAPTION_SIZE, MAX_SIDE - left - MARGIN
    most = [space // len(axis) - gap for space, axis in zip(room, (rows, columns), strict=True)]
    scale = min(most[0] / shape[0], most[1] / shape[1], max(1.0, SMALLEST_TILE / min(shape)))
    tile = tuple(min(max(1, round(side * scale)), limit) for side, limit in zip(shape, most, strict=True))
    return PlateLayout(rows, columns, (tile[0], tile[1]), scale, gap, left, top)


def _empty_places(layout: PlateLayout) -> Array:
    mosaic = np.full((layout.height, layout.width, 3), 255, dtype=np.uint8)
    for row in range(len(layout.rows)):
        for column in range(len(layout.columns)):
            y, x = row * (layout.tile[0] + layout.gap), column * (layout.tile[1] + layout.gap)
            mosaic[y : y + layout.tile[0], x : x + layout.tile[1]] = NO_DATA_GREY
    return mosaic


def _label_axes(canvas: Canvas, layout: PlateLayout) -> None:
    size = min(14.0, 0.45 * layout.tile[1] + 2)
    for number, row in enumerate(layout.rows):
        y = layout.top + number * (layout.tile[0] + layout.gap) + layout.tile[0] / 2
        canvas.text(layout.left - 8, y, row_name(row), size=size, align="right", color=FAINT_INK)
    for number, column in enumerate(layout.columns):
        x = layout.left + number * (layout.tile[1] + layout.gap) + layout.tile[1] / 2
        canvas.text(x, layout.top - 11, f"{column + 1}", size=size, align="center", color=FAINT_INK)


def _mark(
    canvas: Canvas,
    ruler: Ruler,
    layout: PlateLayout,
    corner: tuple[int, int],
    lines: list[str],
    *,
    fill: str,
    ink: str,
) -> None:
    (height, width), (y, x) = layout.tile, corner
    canvas.rectangle(x, y, width, height, facecolor=fill)
    size = min(16.0, 0.7 * height / len(lines))
    while size > 4 and max(ruler.width(line, size) for line in lines) > width - 6:
        size -= 0.5
    for number, line in enumerate(lines):
        middle = y + height / 2 + (number - (len(lines) - 1) / 2) * size * 1.15
        canvas.text(x + width / 2, middle, line, size=size, align="center", color=ink)
    if fill == FAILED:
        canvas.rectangle(x + 1, y + 1, width - 2, height - 2, fill=False, edgecolor=ink, linewidth=1)


def _caption(image_label: str, window: tuple[float, float] | None) -> str:
    if window is None:
        return "No well has an image."
    low, high = (f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}" for value in window)
    shares = " and ".join(f"{percentile:g}" for percentile in PERCENTILES)
    return (
        f"{image_label + ' · ' if image_label else ''}One grey scale for the whole plate: black {low}, white {high} "
        f"({shares} % of its pixels are darker) · outlines: objects"
    )
