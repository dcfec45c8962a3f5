"""Place all fields of a well: by the measured offsets of pairs of fields, and by the stage for the rest.

Offsets and positions are in pixels, in the order y, x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wellfield.processing.tile_registration import Edge

_Array = np.ndarray[Any, np.dtype[Any]]

# Weights of the placement. Each is so much smaller than the one before that it only decides what the larger ones leave
# open.
_STAGE_OFFSET_WEIGHT = 1e-3
_STAGE_POSITION_WEIGHT = 1e-6
# If all other offsets together contradict an offset by more than this many pixels, the correlation was wrong.
_MAX_CONTRADICTION = 3.0
# An offset that is not on a closed path of measured offsets cannot be contradicted: its redundancy comes from the
# stage's weights alone, and is far below this.
_MIN_REDUNDANCY = 1e-3


def place_fields(stage: _Array, edges: Sequence[Edge]) -> tuple[_Array, list[Edge]]:
    """Return the positions of the fields, and the edges; edges that the others contradict are no longer used.

    The positions are a least-squares solution. A used edge has its quality as weight. Between other neighbours the
    stage's offset has weight 0.001, and the stage's position of each field has weight 0.000001. So the content
    decides within a group of fields; fields without signal keep the stage's offset from their neighbours; and the
    well as a whole, and a field without neighbours, stay where the stage was.

    First, used edges that the other used edges contradict by more than 3 px are dropped, one by one. On a single closed
    path all edges are equally suspect, and the edge of least quality is dropped.

    Parameters
    ----------
    stage:
        ``[F, 2]``, the stage positions in pixels.
    edges:
        One per pair of neighbours.

    Returns
    -------
    ``[F, 2]``, float64, and the edges in the same order.
    """
    edges = list(edges)
    while (worst := _contradicted(len(stage), edges)) is not None:
        index, pixels = worst
        edges[index] = replace(edges[index], used=False, reason=f"the other fields put it {pixels:.1f} px elsewhere")
    return stage + _solve(len(stage), edges), edges


def _contradicted(count: int, edges: Sequence[Edge]) -> tuple[int, float] | None:
    """Return the used edge that is most likely wrong, and by how many pixels; ``None`` if no edge is contradicted.

    The error of an edge spreads over the closed paths that the edge is on, according to its redundancy (0 to 1). The
    residual divided by the redundancy is the difference between the edge and all other edges together; divided by the
    square root of the redundancy, it says how unlikely that difference is. Baarda, W. (1968), A testing procedure for
    use in geodetic networks.
    """
    used = [index for index, edge in enumerate(edges) if edge.used]
    matrix, wanted = _equations(count, [edges[index] for index in used])
    spread, solution = np.linalg.inv(matrix), np.linalg.solve(matrix, wanted)
    suspects = []
    for index in used:
        edge, (i, j) = edges[index], (edges[index].first, edges[index].second)
        redundancy = 1 - edge.quality * float(spread[i, i] + spread[j, j] - 2 * spread[i, j])
        if redundancy < _MIN_REDUNDANCY:
            continue
        residual = float(np.abs(solution[j] - solution[i] - np.subtract(edge.measured, edge.predicted)).max())
        if residual / redundancy > _MAX_CONTRADICTION:
            unlikely = residual * math.sqrt(edge.quality / redundancy)
            suspects.append((round(unlikely, 6), -edge.quality, index, residual / redundancy))
    if not suspects:
        return None
    _, _, index, pixels = max(suspects)
    return index, pixels


def _solve(count: int, edges: Sequence[Edge]) -> _Array:
    """Return the distance of each field from its stage position, in y and x."""
    solution: _Array = np.linalg.solve(*_equations(count, edges))
    return solution


def _equations(count: int, edges: Sequence[Edge]) -> tuple[_Array, _Array]:
    """Return the normal equations of the fields' distances from their stage positions."""
    matrix = np.eye(count) * _STAGE_POSITION_WEIGHT
    wanted = np.zeros((count, 2))
    for edge in edges:
        weight = edge.quality if edge.used else _STAGE_OFFSET_WEIGHT
        difference = np.subtract(edge.measured, edge.predicted) if edge.used else np.zeros(2)
        i, j = edge.first, edge.second
        matrix[[i, j], [i, j]] += weight
        matrix[[i, j], [j, i]] -= weight
        wanted[i] -= weight * difference
        wanted[j] += weight * difference
    return matrix, wanted
