"""Stitch the fields of a well into one image."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from wellfield.errors import ConfigError, PipelineError
from wellfield.memory import numpy
from wellfield.processing.declarations import special_inputs
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.tile_positions import check_field_numbers

_Array = np.ndarray[Any, np.dtype[Any]]
_Area = tuple[slice, slice]

_COLUMNS = ("Metadata_Site", "x_position_px", "y_position_px")
# Two ids are one object if their intersection is more than this part of their union. At 0.5 or more, an id can have
# only one partner.
_SAME_OBJECT = 0.5
# Rows of the result that are renumbered at once: this takes NumPy 8 bytes more per pixel.
_BAND = 256


@register(returns=None, needs_fields=True, merges_fields=True)
@special_inputs("positions")
@numpy
def stitch(
    image: _Array,
    *,
    positions: Mapping[str, Any],
    field_numbers: Sequence[int],
    image_kind: Literal["intensity", "mask", "labels"] = "intensity",
) -> _Array:
    """Make one image of the fields of a well: intensities are blended where fields overlap, labels and masks never.

    Fields are placed on whole pixels (positions are rounded), so that no pixel is interpolated.

    Intensities
        The mean of the fields that cover a pixel, each weighted with the pixel's distance to that field's nearest edge
        (1 for the outermost pixels), which is a linear ramp across an overlap. Pixels that one field covers, or on
        which all agree, are exactly theirs.
    Masks
        Each pixel is that of the field whose centre is nearest, among those that cover it; if two are equally
        near, the field with the lower number wins.
    Labels
        Each pixel as with masks. Ids of two fields are one object if in the fields' overlap, where both see it, their
        intersection is more than half of their union; so an object that a seam cuts gets one id. Fields that touch
        without overlap leave such objects in two.

    Parameters
    ----------
    image:
        ``[F, Y, X]``, one plane per field (a step that says ``stack: field``).
    positions:
        Columns ``Metadata_Site``, ``x_position_px`` and ``y_position_px``, the upper left corners, as
        ``generate_positions`` makes them. The size of the result is that of all fields in them, those without a plane
        too.
    field_numbers:
        The field of each plane.
    image_kind:
        What the pixels are.

    Returns
    -------
    ``[1, Y, X]``; 0 where no field is. Intensities and masks keep their dtype, integers are rounded to the nearest.
    Labels are int32: 0 is background, objects are 1, 2, … without gaps.

    Raises
    ------
    ArrayShapeError
        Not one field number per plane.
    ConfigError
        *image_kind* is none of the three.
    PipelineError
        A field has no position, two, or one that is NaN; the dtype does not fit *image_kind*; an id is negative.
    """
    check_field_numbers(image, field_numbers, "stitch")
    kind = _checked_kind(image, image_kind)
    corners = _corners(positions)
    if missing := sorted(set(field_numbers) - set(corners)):
        raise PipelineError(
            f"stitch: fields {missing} are not in positions, which has {sorted(corners)}; generate them for all fields"
        )
    height, width = np.max(list(corners.values()), axis=0) + image.shape[1:]
    order = np.argsort(field_numbers)
    mosaic = _Mosaic([image[k] for k in order], np.array([corners[field_numbers[k]] for k in order]))
    result: _Array = np.zeros((1, height, width), np.int32 if kind == ImageKind.LABELS else image.dtype)
    if kind == ImageKind.INTENSITY:
        _blend(mosaic, result[0])
    elif kind == ImageKind.MASK:
        _choose(mosaic, result[0], lambda field, part: part)
    else:
        _merge_labels(mosaic, result[0])
    return result


class _Mosaic:
    """Planes of one size, and the positions of their upper left corners."""

    def __init__(self, planes: Sequence[_Array], corners: _Array) -> None:
        self.planes = planes
        self.shape = planes[0].shape
        self.corners = corners

    def part(self, field: int, area: _Area) -> _Array:
        """Return the pixels of a field in an area of the mosaic."""
        y, x = self.corners[field]
        return self.planes[field][area[0].start - y : area[0].stop - y, area[1].start - x : area[1].stop - x]

    def areas(self) -> Iterator[tuple[_Area, _Array]]:
        """Yield the rectangles into which the edges of the fields divide the mosaic, and the fields that cover each."""
        height, width = self.shape
        tops, lefts = self.corners.T
        for top, bottom in _spans(tops, height):
            row = np.flatnonzero((tops <= top) & (bottom <= tops + height))
            for left, right in _spans(lefts[row], width) if row.size else ():
                covering = row[(lefts[row] <= left) & (right <= lefts[row] + width)]
                if covering.size:
                    yield (slice(top, bottom), slice(left, right)), covering

    def overlaps(self) -> Iterator[tuple[int, int, _Area]]:
        """Yield the pairs of fields that overlap, each with the area of the overlap."""
        for first in range(len(self.planes)):
            starts = np.maximum(self.corners[first], self.corners[first + 1 :])
            stops = np.minimum(self.corners[first], self.corners[first + 1 :]) + self.shape
            for k in np.flatnonzero((starts < stops).all(axis=1)):
                area = tuple(slice(int(a), int(b)) for a, b in zip(starts[k], stops[k], strict=True))
                yield first, first + 1 + int(k), (area[0], area[1])


def _spans(starts: _Array, length: int) -> Iterator[tuple[int, int]]:
    edges = np.unique([starts, starts + length]).tolist()
    return itertools.pairwise(edges)


# --- intensities -------------------------------------------------------------------------------------------------


def _blend(mosaic: _Mosaic, result: _Array) -> None:
    """Write the weighted mean of the planes into *result*."""
    for area, fields in mosaic.areas():
        parts = [mosaic.part(field, area) for field in fields]
        if len(parts) == 1:
            result[area] = parts[0]
            continue
        # Average the differences to one of the fields: if all fields agree they are 0, and nothing is rounded.
        first = parts[0].astype(np.float64)
        total, difference = _distance_to_edge(mosaic, fields[0], area), np.zeros_like(first)
        with np.errstate(invalid="ignore"):  # the difference of two infinite pixels is NaN
            for field, part in zip(fields[1:], parts[1:], strict=True):
                weight = _distance_to_edge(mosaic, field, area)
                difference += weight * (part - first)
                total += weight
        first += difference / total
        result[area] = np.rint(first) if result.dtype.kind in "iu" else first


def _distance_to_edge(mosaic: _Mosaic, field: int, area: _Area) -> _Array:
    """Return the distance of an area's pixels to the nearest edge of a field, float64: 1 for the outermost pixels."""
    ramps = []
    for part, start, length in zip(area, mosaic.corners[field], mosaic.shape, strict=True):
        inside = np.arange(part.start - start, part.stop - start)
        ramps.append(np.minimum(inside + 1.0, length - inside))
    distance: _Array = np.minimum.outer(*ramps)
    return distance


# --- labels and masks --------------------------------------------------------------------------------------------


def _choose(mosaic: _Mosaic, result: _Array, convert: Callable[[int, _Array], _Array]) -> None:
    """Write into *result*, for each pixel, the pixel of the field with the nearest centre, passed through *convert*."""
    for area, fields in mosaic.areas():
        result[area] = convert(fields[0], mosaic.part(fields[0], area))
        if len(fields) == 1:
            continue
        nearest = _distance_to_centre(mosaic, fields[0], area)
        for field in fields[1:]:
            distance = _distance_to_centre(mosaic, field, area)
            own = distance < nearest
            result[area][own] = convert(field, mosaic.part(field, area))[own]
            np.minimum(nearest, distance, out=nearest)


def _distance_to_centre(mosaic: _Mosaic, field: int, area: _Area) -> _Array:
    """Return the squared distance of an area's pixels to the centre of a field, in whole numbers of half pixels."""
    squares = []
    for part, start, length in zip(area, mosaic.corners[field], mosaic.shape, strict=True):
        squares.append((2 * np.arange(part.start - start, part.stop - start, dtype=np.int64) - (length - 1)) ** 2)
    distance: _Array = np.add.outer(*squares)
    return distance


def _merge_labels(mosaic: _Mosaic, result: _Array) -> None:
    """Write the objects of all planes into *result*."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # The ids of all fields become consecutive numbers, field after field, in the order of the ids; 0 stays 0.
    ids = [np.unique(plane[plane != 0]) for plane in mosaic.planes]
    before = np.cumsum([0, *(field_ids.size for field_ids in ids)])

    def numbered(field: int, part: _Array) -> _Array:
        numbers = np.zeros(part.shape, np.int32)
        objects = part != 0
        numbers[objects] = np.searchsorted(ids[field], part[objects]) + before[field] + 1
        return numbers

    pairs = [np.empty((0, 2), np.int64)]
    for first, second, area in mosaic.overlaps():
        pairs.append(_same_objects(*(numbered(field, mosaic.part(field, area)) for field in (first, second))))
    one, other = np.concatenate(pairs).T
    count = int(before[-1]) + 1
    graph = coo_array((np.ones(one.size, bool), (one, other)), shape=(count, count))
    _, group = connected_components(graph, directed=False)

    _choose(mosaic, result, numbered)
    bands = np.array_split(result, -(-len(result) // _BAND))
    present = np.zeros(count, np.bool_)
    for band in bands:
        present[band] = True
    present[0] = False  # 0 is background, not an object
    final = np.zeros(count, np.int32)
    final[present] = 1 + np.unique(group[present], return_inverse=True)[1]
    for band in bands:
        band[...] = final[band]


def _same_objects(first: _Array, second: _Array) -> _Array:
    """Return the pairs ``[N, 2]`` of ids that are one object: *first* and *second* show the same pixels."""
    both = (first != 0) & (second != 0)
    size = int(second.max(initial=0)) + 1
    common, counts = np.unique(first[both].astype(np.int64) * size + second[both], return_counts=True)
    one, other = np.divmod(common, size)
    union = np.bincount(first.ravel())[one] + np.bincount(second.ravel())[other] - counts
    pairs: _Array = np.stack([one, other], axis=1)[counts > _SAME_OBJECT * union]
    return pairs


# --- checks ------------------------------------------------------------------------------------------------------


def _checked_kind(image: _Array, image_kind: str) -> ImageKind:
    if image_kind not in list(ImageKind):
        raise ConfigError(f"stitch: image_kind={image_kind!r}; expected one of {', '.join(ImageKind)}")
    kind, dtype = ImageKind(image_kind), image.dtype
    if kind == ImageKind.INTENSITY and dtype.kind not in "iuf":
        raise PipelineError(f"stitch: an intensity image of {dtype}; expected integers or floats")
    if kind == ImageKind.MASK and dtype not in (np.bool_, np.uint8):
        raise PipelineError(f"stitch: a mask of {dtype}; expected bool or uint8")
    if kind == ImageKind.LABELS and dtype.kind not in "iu":
        raise PipelineError(f"stitch: labels of {dtype}; expected integers, one id per object")
    if kind == ImageKind.LABELS and dtype.kind == "i" and image.min(initial=0) < 0:
        raise PipelineError(f"stitch: labels go down to {image.min()}; expected 0 for background and ids above 0")
    return kind


def _corners(positions: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    """Return y and x of each field's upper left corner in whole pixels; the smallest y and x are 0."""
    if missing := [name for name in _COLUMNS if name not in positions]:
        raise PipelineError(
            f"stitch: positions has no {missing[0]!r}; expected the table that generate_positions makes"
        )
    numbers = np.asarray(positions["Metadata_Site"]).tolist()
    pixels = np.stack([np.asarray(positions[name], np.float64) for name in ("y_position_px", "x_position_px")], axis=1)
    if len(set(numbers)) < len(numbers):
        raise PipelineError(f"stitch: positions has fields {numbers}; expected each once")
    if unknown := [number for number, corner in zip(numbers, pixels, strict=True) if not np.isfinite(corner).all()]:
        raise PipelineError(f"stitch: the positions of fields {unknown} are not numbers; generate them first")
    corners = np.rint(pixels - pixels.min(axis=0, initial=np.inf)).astype(int)
    return {number: (y, x) for number, (y, x) in zip(numbers, corners.tolist(), strict=True)}
