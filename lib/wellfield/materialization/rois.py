"""Labels as ImageJ's regions: the outline of every object along the edges of its pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from roifile import ROI_TYPE, ImagejRoi

from wellfield.errors import ArrayShapeError, MaterializationError
from wellfield.storage.host import host_array

# Parts of the path of a composite region, as java.awt.geom.PathIterator numbers them.
_MOVE_TO, _LINE_TO, _CLOSE = 0, 1, 4


def labels_to_rois(
    labels: Any,
    *,
    channel: int | None = None,
    timepoint: int | None = None,
    z: Sequence[int] | None = None,
    min_area: int = 0,
) -> list[ImagejRoi]:
    """Return one region for every object in every plane, sorted by object id, then by plane.

    Outlines follow the edges of pixels: pixel ``[y, x]`` is the square from ``x, y`` to ``x + 1, y + 1``. When ImageJ
    fills a region, it gets exactly the pixels of the object. The outlines of two objects that touch share an edge, and
    no pixel belongs to both. An object in one piece and without a hole becomes a traced polygon, as the wand tool makes
    it; pixels that touch at a corner are one piece. Any other object becomes one composite region with several
    outlines. The name of a region is the id of its object.

    Parameters
    ----------
    labels:
        Ids of objects ``[Z, Y, X]`` or ``[Y, X]``, integers of any array library; 0 is background.
    channel, timepoint:
        Position in the hyperstack, counted from 1. Without it, the regions belong to all channels or timepoints.
    z:
        Number of each plane, counted from 1. By default, the planes of a stack have the numbers 1, 2, 3 …, and a single
        plane ``[Y, X]`` has no position.
    min_area:
        Regions of fewer pixels are left out; :func:`count_small_regions` counts them.

    Raises
    ------
    ArrayShapeError
        The array is neither a stack nor a plane, or *z* does not have one number per plane.
    MaterializationError
        The array does not hold ids.
    """
    stack = _checked(host_array(labels))
    if z is None:
        z = [0] if stack.ndim == 2 else range(1, len(stack) + 1)
    planes = stack[np.newaxis] if stack.ndim == 2 else stack
    if len(z) != len(planes):
        raise ArrayShapeError(
            f"z has {len(z)} numbers {list(z)}; expected one for each plane of labels of shape {list(stack.shape)}"
        )
    found = []
    for number, plane in zip(z, planes, strict=True):
        small = set(_small_objects(plane, min_area).tolist())
        for object_id, roi in _regions(_trace(plane)):
            if object_id in small:
                continue
            roi.c_position, roi.z_position, roi.t_position = channel or 0, int(number), timepoint or 0
            found.append((object_id, roi))
    found.sort(key=lambda entry: entry[0])  # stable: an object's planes keep their order
    return [roi for _, roi in found]


def count_small_regions(labels: Any, min_area: int) -> int:
    """Return how many regions :func:`labels_to_rois` leaves out of labels ``[Z, Y, X]`` or ``[Y, X]``."""
    stack = _checked(host_array(labels))
    return sum(_small_objects(plane, min_area).size for plane in (stack[np.newaxis] if stack.ndim == 2 else stack))


def _small_objects(plane: npt.NDArray[Any], min_area: int) -> npt.NDArray[Any]:
    """Return the ids of the objects that have fewer pixels in a plane."""
    if min_area <= 1:
        return np.array([], plane.dtype)
    ids, areas = np.unique(plane, return_counts=True)
    return ids[(areas < min_area) & (ids > 0)]


def _checked(labels: Any) -> npt.NDArray[Any]:
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        what = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise MaterializationError(
            f"cannot make regions of {what}; expected labels, integers [Z, Y, X] with one id per object: label a mask "
            "first"
        )
    if labels.ndim not in (2, 3):
        raise ArrayShapeError(f"labels have shape {list(labels.shape)}; expected [Z, Y, X] or [Y, X]")
    if labels.size and labels.min() < 0:
        raise MaterializationError(f"label {labels.min()} is below 0; expected ids from 1, and 0 for background")
    return labels


# --- outlines --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outlines:
    """Closed outlines; the outlines of one object follow each other.

    Parameters
    ----------
    ids:
        Object of each outline.
    stops:
        Where the corners of each outline end in *points*.
    points:
        Corners ``x, y``; the object is to the right of the way from one to the next.
    """

    ids: npt.NDArray[Any]
    stops: npt.NDArray[np.int64]
    points: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Runs:
    """Straight parts of outlines: edges of pixels of one object, one after the other on a line.

    *first* and *last* are the flat indices of the outermost two of these pixels' edges, *line* and *start*, *stop*
    where they are.
    """

    ids: npt.NDArray[Any]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    line: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]

    @classmethod
    def between(cls, own: npt.NDArray[Any], other: npt.NDArray[Any]) -> _Runs:
        """Find the runs where objects of *own* meet something else in *other*: lines of pixels beside each other.

        The first and the last pixel of each line are background.
        """
        edges = np.flatnonzero((own != other) & (own != 0))
        lines, places = np.divmod(edges, own.shape[1])
        ids = own[lines, places]
        begins = np.ones(edges.size, bool)
        begins[1:] = (np.diff(edges) != 1) | (ids[1:] != ids[:-1])
        ends = np.roll(begins, -1)
        return cls(ids[begins], edges[begins], edges[ends], lines[begins], places[begins] - 1, places[ends])


def _trace(plane: npt.NDArray[Any]) -> _Outlines:
    """Return the outlines of all objects of a plane ``[Y, X]``.

    The straight parts of all outlines are found at once, by comparing each pixel with its neighbours. They alternate
    between horizontal and vertical ones; each leads to the one that starts where it ends.
    """
    rows = np.pad(plane, 1)
    columns = rows.T
    height, width = rows.shape
    right, left = _Runs.between(rows[1:], rows[:-1]), _Runs.between(rows[:-1], rows[1:])
    down, up = _Runs.between(columns[:-1], columns[1:]), _Runs.between(columns[1:], columns[:-1])

    # Where two pixels of an object meet at a corner only, the outline goes on at the other one: they are one piece.
    crosses = rows[right.line, right.stop + 1] == right.ids
    after_right = _follower(crosses, right.stop * height + right.line, up.last, down.first, len(down.ids))
    crosses = rows[left.line + 1, left.start] == left.ids
    after_left = _follower(~crosses, left.start * height + left.line, up.last, down.first, len(down.ids))
    crosses = rows[down.stop + 1, down.line + 1] == down.ids
    after_down = _follower(~crosses, down.stop * width + down.line, left.last, right.first, len(right.ids))
    crosses = rows[up.start, up.line] == up.ids
    after_up = _follower(crosses, up.start * width + up.line, left.last, right.first, len(right.ids))
    following = np.concatenate([after_down, after_up])[np.concatenate([after_right, after_left])]

    order, stops = _cycles(following, np.argsort(right.ids, kind="stable"))
    line = np.concatenate([right.line, left.line])
    begin, end = np.concatenate([right.start, left.stop]), np.concatenate([right.stop, left.start])
    points = np.stack([begin, line, end, line], axis=1)[order].astype(np.int32).reshape(-1, 2)
    return _Outlines(np.concatenate([right.ids, left.ids])[order[stops - 1]], 2 * stops, points)


def _follower(
    backward: npt.NDArray[np.bool_],
    place: npt.NDArray[np.int64],
    backward_starts: npt.NDArray[np.int64],
    forward_starts: npt.NDArray[np.int64],
    forward_count: int,
) -> npt.NDArray[np.int64]:
    """Return the number of the run that each run leads to; those that go forward come first.

    A run that goes backward (up, left) starts with the edge before the corner *place*, another with the edge after it.
    """
    return np.where(
        backward,
        forward_count + np.searchsorted(backward_starts, place),
        np.searchsorted(forward_starts, place + 1),
    )


def _cycles(
    following: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all numbers in the order in which they follow each other, and where each cycle ends."""
    order, stops = [], []
    follower, left = following.tolist(), bytearray(b"\1") * len(following)
    for start in starts.tolist():
        if left[start]:
            number = start
            while left[number]:
                left[number] = 0
                order.append(number)
                number = follower[number]
            stops.append(len(order))
    return np.array(order, np.int64), np.array(stops, np.int64)


# --- regions ---------------------------------------------------------------------------------------------------------


def _regions(outlines: _Outlines) -> Iterator[tuple[int, ImagejRoi]]:
    """Make a region of the outlines of each object."""
    is_first = np.ones(outlines.ids.size, bool)
    is_first[1:] = outlines.ids[1:] != outlines.ids[:-1]
    firsts = np.flatnonzero(is_first)
    if not firsts.size:
        return
    starts = np.concatenate([[0], outlines.stops[:-1]])[firsts]
    low = np.minimum.reduceat(outlines.points, starts, axis=0)
    high = np.maximum.reduceat(outlines.points, starts, axis=0)
    relative = outlines.points - np.repeat(low, np.diff(starts, append=len(outlines.points)), axis=0)
    boxes = np.concatenate([low, high], axis=1).tolist()
    stops = outlines.stops.tolist()
    ranges = pairwise([*firsts.tolist(), len(stops)])
    start = 0
    for object_id, (left, top, right, bottom), (first, after) in zip(
        outlines.ids[firsts].tolist(), boxes, ranges, strict=True
    ):
        stop = stops[after - 1]
        roi = ImagejRoi(name=str(object_id), left=left, top=top, right=right, bottom=bottom)
        if after - first == 1:
            roi.roitype, roi.n_coordinates = ROI_TYPE.TRACED, stop - start
            roi.integer_coordinates = relative[start:stop]
        else:
            path = _path([outlines.points[a:b] for a, b in pairwise([start, *stops[first:after]])])
            roi.roitype, roi.shape_roi_size, roi.multi_coordinates = ROI_TYPE.RECT, path.size, path
        start = stop
        yield object_id, roi


def _path(outlines: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
    """Return outlines as the path of a composite region; its numbers are exact up to 2²⁴."""
    parts = []
    for points in outlines:
        steps = np.full((len(points), 3), _LINE_TO, np.float32)
        steps[:, 1:] = points
        steps[0, 0] = _MOVE_TO
        parts += [steps.ravel(), np.array([_CLOSE], np.float32)]
    return np.concatenate(parts)
