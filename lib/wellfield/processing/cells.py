"""Grow nuclei into cells, over a stain or by a distance, and find the cytoplasm of cells.

A cell and its cytoplasm have the id of their nucleus.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.memory import numpy
from wellfield.processing import validation
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.segmentation import threshold_otsu

_Array = np.ndarray[Any, np.dtype[Any]]


@register(returns=ImageKind.LABELS, accepts=(ImageKind.INTENSITY,))
@numpy
def find_cells(
    image: _Array,
    *,
    labels: _Array,
    max_distance: float = 30.0,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 0.0,
) -> _Array:
    """Grow nuclei into cells over the image of a cell stain, plane by plane.

    The stained pixels near nuclei are shared out by a watershed: from the nuclei the cells grow from bright to dim, and
    meet where the stain is dimmest.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any integer or floating dtype, in any units: a stain of the cell's body. Noise makes outlines
        ragged; smooth it first (``gaussian_filter``).
    labels:
        The nuclei, integers: ``[Z, Y, X]``, or ``[1, Y, X]`` for all planes.
    max_distance:
        Pixels farther than this from the nearest nucleus (Euclidean, in pixels) belong to no cell.
    correction, minimum, min_contrast:
        The threshold of the stain, as in :func:`~wellfield.processing.segmentation.threshold_otsu`. Stains of whole
        cells have little contrast, so none is required; if a plane may have no stain at all, set *minimum*.

    Returns
    -------
    ``[Z, Y, X]``, int32: each nucleus lies within its cell and gives it its id. Without stain around it the cell is the
    nucleus; stain that is not connected to a nucleus is background.

    Raises
    ------
    ArrayShapeError
        *labels* are not of the shape of *image*, nor one plane of it.
    ConfigError
        *max_distance*, *correction* or *min_contrast* is negative.
    PipelineError
        *image* is not an intensity image, or has NaN or infinite pixels; *labels* are not ids from 0 to 2**31 − 1.

    Notes
    -----
    Seeded watershed: Meyer, F. (1994), Signal Process. 38, 113–125.
    """
    _require_distance("find_cells", max_distance=max_distance)
    nuclei = np.broadcast_to(_ids(labels, image.shape, "find_cells"), image.shape)
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, "find_cells")
    validation.require_finite(image.size - int(np.count_nonzero(np.isfinite(image))), image.size, "find_cells")
    stained = threshold_otsu(image, correction=correction, minimum=minimum, min_contrast=min_contrast)
    from scipy import ndimage
    from skimage.segmentation import watershed

    cells: _Array = np.zeros(image.shape, np.int32)
    for plane, seeds, foreground, out in zip(image, nuclei, stained, cells, strict=True):
        if seeds.any():  # without nuclei the distance is undefined
            near = ndimage.distance_transform_edt(seeds == 0) <= max_distance
            mask = (foreground & near) | (seeds > 0)
            out[...] = watershed(-plane.astype(np.float64), seeds, connectivity=2, mask=mask)  # type: ignore[no-untyped-call]
    return cells


@register(returns=ImageKind.LABELS, accepts=(ImageKind.LABELS,))
@numpy
def expand_labels(labels: _Array, *, distance: float) -> _Array:
    """Grow objects by a distance until they meet, plane by plane: cells where no stain shows them.

    Parameters
    ----------
    labels:
        ``[Z, Y, X]``, integers: 0 is background.
    distance:
        How far they grow, Euclidean, in pixels.

    Returns
    -------
    ``[Z, Y, X]``, int32: every background pixel within *distance* of an object has the id of the nearest one (any
    of them if several are equally near).

    Raises
    ------
    ConfigError
        *distance* is negative or not finite.
    PipelineError
        *labels* are not ids from 0 to 2**31 − 1.
    """
    _require_distance("expand_labels", distance=distance)
    objects = _ids(labels, labels.shape, "expand_labels")
    from skimage import segmentation

    result: _Array = np.zeros(objects.shape, np.int32)
    for plane, out in zip(objects, result, strict=True):
        if plane.any():
            out[...] = segmentation.expand_labels(plane, distance)  # type: ignore[no-untyped-call]
    return result


@register(returns=ImageKind.LABELS, accepts=(ImageKind.LABELS,))
@numpy
def find_cytoplasm(cells: _Array, *, labels: _Array) -> _Array:
    """Remove the nuclei from their cells.

    Parameters
    ----------
    cells:
        ``[Z, Y, X]``, integers: cells with the ids of their nuclei, as :func:`find_cells` and :func:`expand_labels`
        give them.
    labels:
        The nuclei, integers: ``[Z, Y, X]``, or ``[1, Y, X]`` for all planes. Parts outside all cells are ignored.

    Returns
    -------
    ``[Z, Y, X]``, int32: the pixels of cells that are in no nucleus. A cell without nucleus stays whole; one that is
    all nucleus has no cytoplasm, and its id is missing.

    Raises
    ------
    ArrayShapeError
        *labels* are not of the shape of *cells*, nor one plane of it.
    PipelineError
        A nucleus lies in a cell of another id; *cells* or *labels* are not ids from 0 to 2**31 − 1.
    """
    whole = _ids(cells, cells.shape, "find_cytoplasm")
    nuclei = np.broadcast_to(_ids(labels, cells.shape, "find_cytoplasm"), cells.shape)
    strange = (nuclei > 0) & (whole > 0) & (nuclei != whole)
    if strange.any():
        first = tuple(np.argwhere(strange)[0])
        raise PipelineError(
            f"find_cytoplasm: nucleus {nuclei[first]} lies in cell {whole[first]}, so do {np.count_nonzero(strange)} "
            "pixels in cells of another id than their nucleus; expected cells grown from these nuclei (find_cells, "
            "expand_labels)"
        )
    return np.where(nuclei > 0, np.int32(0), whole)


def _require_distance(function: str, **distances: float) -> None:
    for name, value in distances.items():
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{function}: {name}={value}; expected 0 or more pixels")


def _ids(labels: _Array, shape: tuple[int, ...], function: str) -> _Array:
    """Return labels as int32.

    Raises
    ------
    ArrayShapeError
        Their shape is neither *shape* nor one plane of it.
    PipelineError
        They are not integers, are negative, or exceed int32.
    """
    if labels.dtype.kind not in "iu":
        raise PipelineError(
            f"{function}: labels are {labels.dtype}; expected integers, one id per object, as label or split_touching "
            "make them from a mask"
        )
    if labels.shape not in (shape, (1, *shape[1:])):
        raise ArrayShapeError(
            f"{function}: labels have shape {list(labels.shape)}; expected {list(shape)}, the shape of the image, or "
            "one plane of it"
        )
    low, high = labels.min(initial=0), labels.max(initial=0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise PipelineError(
            f"{function}: labels go from {low} to {high}; expected 0 for background and ids up to 2147483647"
        )
    return labels.astype(np.int32, copy=False)
