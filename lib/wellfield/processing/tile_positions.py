"""Positions of the fields of a well: from the stage, refined by the content of overlaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.memory import numpy
from wellfield.plate.field_grid import arrange_fields
from wellfield.processing import validation
from wellfield.processing.declarations import special_outputs
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.tile_placement import place_fields
from wellfield.processing.tile_registration import MIN_OVERLAP, Edge, register_pair

_Array = np.ndarray[Any, np.dtype[Any]]
Table = dict[str, Any]

# Neighbours share at least this part of the field's height or width: a shared corner shows too little.
_SHARED_SIDE = 0.25
# Two fields whose offset is less than this part of a field's size, along both y and x, are one field taken twice.
_SAME_PLACE = 0.05


@register(accepts=(ImageKind.INTENSITY,), needs_fields=True)
@special_outputs(
    ("positions", MaterializationSpec(CsvOptions(), ParquetOptions())),
    ("position_edges", MaterializationSpec(CsvOptions(), ParquetOptions())),
)
@numpy
def generate_positions(
    image: _Array,
    *,
    field_numbers: Sequence[int],
    stage_positions_um: Any,
    pixel_size_um: float | None,
    flip_x: bool = False,
    flip_y: bool = False,
    search_margin: int = 20,
    min_signal: float = 2.0,
    min_quality: float = 0.7,
) -> tuple[_Array, Table, Table]:
    """Find where the fields of a well lie: stage positions, refined by phase correlation where fields overlap.

    Two fields are neighbours if they overlap by the stage, or miss each other by less than *search_margin*, along at
    least a quarter of their height or width. The offset of neighbours is measured where their overlap shows more than
    noise (:func:`~wellfield.processing.tile_registration.register_pair`); if the stage predicts less than 16 px of
    overlap, stronger evidence is needed. All fields are then placed by the offsets that are reliable, and by
    the stage for the rest (:func:`~wellfield.processing.tile_placement.place_fields`).

    Parameters
    ----------
    image:
        ``[F, Y, X]``, any integer or floating dtype: one plane per field (a step that says ``stack: field``), of a
        channel that shows something everywhere, such as nuclei.
    field_numbers:
        The field of each plane.
    stage_positions_um:
        ``[F, 2]``, x and y in µm as the stage reports them; NaN where unknown.
    pixel_size_um:
        Size of a pixel.
    flip_x, flip_y:
        Stage x rises to the left of the image, stage y upwards. Vendors differ: on ImageXpress x rises to the right
        and y downwards (no flip); on Opera Phenix and CellVoyager y rises upwards (*flip_y*, which a plate fills in
        whose microscope is known). With the wrong sign the edges have low quality.
    search_margin:
        Farthest that an offset may lie from the stage's, in pixels along x and along y.
    min_signal:
        Least structure in the overlap, in units of what its noise alone would give: 1 is noise, nuclei are 5 and more.
    min_quality:
        Least normalized cross-correlation at the measured offset. Of pairs of unlike fields, cut from images of five
        microscopes, 0.1 % reach the default by some offset; 0.7 % reach 0.5, which finds hardly any more true ones.

    Returns
    -------
    *image*, untouched, and two tables.

    ``positions``, one row per field by rising number:
        ``Metadata_Site`` (int32); ``x_position_um`` and ``y_position_um``, refined, in the stage's system (their mean
        is that of the stage); ``grid_dimensions``, rows x columns of the stage positions, where differences
        below half the usual step are jitter; ``algorithm``, ``phase_correlation`` if an offset measured from
        this field counts, else ``stage``; ``x_position_px`` and ``y_position_px``, the field's upper left corner in
        the stitched image, whose own is 0 (float64).
    ``position_edges``, one row per pair of neighbours:
        ``field_1`` and ``field_2``; ``predicted_x_px``, ``predicted_y_px``, ``measured_x_px``, ``measured_y_px``: from
        the corner of the first to that of the second; ``predicted_overlap_px`` and ``measured_overlap_px``: the
        overlap's smaller side, negative for a gap; ``signal``; ``quality``, the normalized cross-correlation, behind a
        difference of Gaussians of 1 and 8 px, at the measured offset; ``used``; ``reason``. What was not measured is
        NaN.

    Raises
    ------
    ArrayShapeError
        Not one field number and stage position per plane.
    ConfigError
        *search_margin* is below 1, *min_signal* is negative or *min_quality* not within 0 and 1.
    PipelineError
        *image* is neither integer nor float, or has NaN or infinite pixels. A field is there twice, or two fields are
        at one place. With several fields: the pixel size, or the stage position of a field, is unknown.
    """
    _check_parameters(search_margin, min_signal, min_quality)
    _check_image(image)
    check_field_numbers(image, field_numbers, "generate_positions")
    # Sort by field number, so that the order in the stack does not matter.
    order = np.argsort(field_numbers)
    numbers, planes = np.asarray(field_numbers, np.int32)[order], [image[k] for k in order]
    stage_um = _stage_positions(stage_positions_um, numbers, order)
    if len(numbers) == 1:
        alone = _position_table(numbers, stage_um, np.zeros((1, 2)), set(), "1x1")
        return image, alone, _edge_table(numbers, [], planes)

    px_per_um = np.array([-1 if flip_y else 1, -1 if flip_x else 1]) / _checked_pixel_size(pixel_size_um)
    stage = (stage_um - stage_um.mean(axis=0))[:, ::-1] * px_per_um
    neighbours = _neighbours(numbers, stage, planes[0].shape, search_margin)

    def register_edge(edge: Edge) -> Edge:
        return register_pair(planes, edge, search_margin=search_margin, min_signal=min_signal, min_quality=min_quality)

    found = [register_edge(edge) for edge in neighbours]
    for axis, hint in enumerate((f"flip_y: {not flip_y}".lower(), f"flip_x: {not flip_x}".lower())):
        found = _with_hints(found, planes[0].shape, axis, hint, register_edge)
    placed, edges = place_fields(stage, found)
    refined = {field for edge in edges if edge.used for field in (edge.first, edge.second)}
    refined_um = stage_um + ((placed - stage) / px_per_um)[:, ::-1]
    positions = _position_table(numbers, refined_um, placed - placed.min(axis=0), refined, grid_dimensions(stage))
    return image, positions, _edge_table(numbers, edges, planes)


# --- neighbours --------------------------------------------------------------------------------------------------


def _neighbours(numbers: _Array, stage: _Array, shape: Sequence[int], search_margin: int) -> list[Edge]:
    """Return the pairs of fields that overlap, or nearly overlap, according to the stage."""
    edges = []
    for first in range(len(stage)):
        offsets = stage[first + 1 :] - stage[first]
        sides = np.array(shape) - np.abs(offsets)
        if (same := (np.abs(offsets) < _SAME_PLACE * np.array(shape)).all(axis=1)).any():
            second = first + 1 + int(np.argmax(same))
            raise PipelineError(
                f"generate_positions: fields {numbers[first]} and {numbers[second]} were taken at the same stage "
                "position; expected different ones. Leave one of them out"
            )
        near = (sides.min(axis=1) + search_margin >= MIN_OVERLAP) & (sides / shape >= _SHARED_SIDE).any(axis=1)
        for k in np.flatnonzero(near):
            y, x = offsets[k].tolist()
            edges.append(Edge(first, first + 1 + int(k), (y, x)))
    return edges


def _with_hints(
    edges: list[Edge], shape: Sequence[int], axis: int, hint: str, register_edge: Callable[[Edge], Edge]
) -> list[Edge]:
    """Return the edges; if two fields agree only with the stage's axis reversed, the reason of their edge says so.

    This is checked only if no two neighbours along this axis agree as they are.
    """
    along = [k for k, edge in enumerate(edges) if abs(edge.predicted[axis]) > shape[axis] / 2]
    if any(edges[k].used for k in along):
        return edges
    edges = list(edges)
    for k in along:
        y, x = edges[k].predicted
        if register_edge(Edge(edges[k].first, edges[k].second, (y, -x) if axis else (-y, x))).used:
            edges[k] = replace(edges[k], reason=f"{edges[k].reason}; they agree if turned round: set {hint}")
    return edges


def grid_dimensions(positions: _Array) -> str:
    """Return the rows and columns of ``[F, 2]`` positions (y, x) as text, such as ``"2x3"``; jitter is ignored."""
    grid = arrange_fields({field: (x, y) for field, (y, x) in enumerate(positions.tolist())})
    return f"{grid.rows}x{grid.columns}"


# --- tables ------------------------------------------------------------------------------------------------------


def _position_table(numbers: _Array, x_y_um: _Array, y_x_px: _Array, refined: set[int], grid: str) -> Table:
    return {
        "Metadata_Site": numbers,
        "x_position_um": x_y_um[:, 0],
        "y_position_um": x_y_um[:, 1],
        "grid_dimensions": [grid] * len(numbers),
        "algorithm": ["phase_correlation" if k in refined else "stage" for k in range(len(numbers))],
        "x_position_px": y_x_px[:, 1],
        "y_position_px": y_x_px[:, 0],
    }


def _edge_table(numbers: _Array, edges: Sequence[Edge], planes: Sequence[_Array]) -> Table:
    predicted = np.array([edge.predicted for edge in edges], np.float64).reshape(-1, 2)
    measured = np.array([edge.measured for edge in edges], np.float64).reshape(-1, 2)
    shape = np.array(planes[0].shape)
    return {
        "field_1": numbers[[edge.first for edge in edges]] if edges else numbers[:0],
        "field_2": numbers[[edge.second for edge in edges]] if edges else numbers[:0],
        "predicted_x_px": predicted[:, 1],
        "predicted_y_px": predicted[:, 0],
        "measured_x_px": measured[:, 1],
        "measured_y_px": measured[:, 0],
        "predicted_overlap_px": (shape - np.abs(predicted)).min(axis=1),
        "measured_overlap_px": (shape - np.abs(measured)).min(axis=1),
        "signal": np.array([edge.signal for edge in edges], np.float64),
        "quality": np.array([edge.quality for edge in edges], np.float64),
        "used": np.array([edge.used for edge in edges], np.bool_),
        "reason": [edge.reason for edge in edges],
    }


# --- checks ------------------------------------------------------------------------------------------------------


def check_field_numbers(image: _Array, field_numbers: Sequence[int], function: str) -> None:
    """Check that there is one field number per plane, and that all are different.

    Raises
    ------
    ArrayShapeError
        There are no planes, or there are more or fewer planes than numbers.
    PipelineError
        A field number occurs twice.
    """
    validation.require_planes(image.shape, function)
    if len(field_numbers) != len(image):
        raise ArrayShapeError(
            f"{function}: {len(image)} planes, but {len(field_numbers)} field numbers; expected one plane per field of "
            "the well (a step that says stack: field)"
        )
    if len(set(field_numbers)) < len(field_numbers):
        raise PipelineError(f"{function}: field_numbers={list(field_numbers)}; expected each field once")


def _check_parameters(search_margin: int, min_signal: float, min_quality: float) -> None:
    if search_margin < 1:
        raise ConfigError(f"generate_positions: search_margin={search_margin}; expected at least 1 pixel")
    if not min_signal >= 0:
        raise ConfigError(f"generate_positions: min_signal={min_signal}; expected a factor of 0 or more")
    if not 0 <= min_quality <= 1:
        raise ConfigError(f"generate_positions: min_quality={min_quality}; expected a correlation from 0 to 1")


def _check_image(image: _Array) -> None:
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, "generate_positions")
    bad = sum(plane.size - int(np.count_nonzero(np.isfinite(plane))) for plane in image)
    validation.require_finite(bad, image.size, "generate_positions")


def _checked_pixel_size(pixel_size_um: float | None) -> float:
    if pixel_size_um is None or not 0 < pixel_size_um < np.inf:
        raise PipelineError(
            f"generate_positions: pixel_size_um is {pixel_size_um}; expected the size of a pixel in µm. Where the "
            "plate does not say it, set pixel_size_um under the step's params"
        )
    return pixel_size_um


def _stage_positions(positions_um: Any, numbers: _Array, order: _Array) -> _Array:
    """Return x and y of the fields in the given order."""
    positions: _Array = np.asarray(positions_um, np.float64)
    if positions.shape != (len(numbers), 2):
        raise ArrayShapeError(
            f"generate_positions: stage_positions_um has shape {list(positions.shape)}; expected {[len(numbers), 2]}, "
            "x and y of each field"
        )
    positions = positions[order]
    unknown = numbers[~np.isfinite(positions).all(axis=1)].tolist()
    if unknown and len(numbers) > 1:
        raise PipelineError(
            f"generate_positions: the stage position of fields {unknown} is unknown; expected x and y of every field. "
            "Leave these fields out, or set stage_positions_um under the step's params"
        )
    return positions
