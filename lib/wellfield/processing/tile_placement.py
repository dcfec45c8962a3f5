"""Where all fields of a well lie, by the pairs of them whose offsets were measured and the stage for the rest.

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

# Weights of the placement. Each is so much weaker than the one before that it only decides what that leaves open.
_STAGE_OFFSET_WEIGHT = 1e-3
_STAGE_POSITION_WEIGHT = 1e-6
# An offset that all others together contradict by more pixels than this is an error of the correlation.
_MAX_CONTRADICTION = 3.0
# Offsets on no closed path of others have nothing to contradict them; this far above what the stage weighs.
_MIN_REDUNDANCY = 1e-3


def place_fields(stage: _Array, edges: Sequence[Edge]) -> tuple[_Array, list[Edge]]:
    """Return where the fields lie, and the edges; those that the others contradict are no longer used.

    Least squares: used edges count with their quality; between neighbours without one the offset of the stage counts
    with 0.001, and the stage's position of each field with 0.000001. So what content says about a group of fields
    holds within it, fields without signal keep the stage's offset from their neighbours, and the whole, like
    neighbourless fields, stays where the stage was. Used edges that the other used ones put more than 3 px elsewhere
    are dropped first, one by one; on a single closed path, where all are equally suspect, that of least quality.

    Parameters
    ----------
    stage:
        ``[F, 2]``, positions by the stage in pixels.
    edges:
        Of all neighbours.

    Returns
    -------
    ``[F, 2]``, float64, and the edges in their order.
    """
    edges = list(edges)
    while (worst := _contradicted(len(stage), edges)) is not None:
        index, pixels = worst
        edges[index] = replace(edges[index], used=False, reason=f"the other fields put it {pixels:.1f} px elsewhere")
    return stage + _solve(len(stage), edges), edges


def _contradicted(count: int, edges: Sequence[Edge]) -> tuple[int, float] | None:
    """Return the used edge that the others most likely contradict rightly, and by how many pixels; ``None`` if none.

    An error spreads over the closed paths that an edge is on, which share the redundancy: the residual divided by it is
    what the edge says against what all others say, divided by its root how unlikely that is. Baarda, W. (1968), A
    testing procedure for use in geodetic networks.
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
    """Return how far each field lies from its stage position."""
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
