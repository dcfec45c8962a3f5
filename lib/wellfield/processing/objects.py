"""Measure objects: position, shape, brightness and texture of nuclei, and of their cells and cytoplasm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ConfigError, PipelineError
from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.memory import numpy
from wellfield.processing.declarations import special_outputs
from wellfield.processing.function_registry import ImageKind, register
from wellfield.processing.intensity import intensity_features
from wellfield.processing.label_table import ObjectPixels
from wellfield.processing.measurement import OBJECT_ID, Table, checked_channel_names, require_labels
from wellfield.processing.shape import shape_features
from wellfield.processing.texture import texture_features

_Array = np.ndarray[Any, np.dtype[Any]]

_FUNCTION = "measure_objects"

# Objects are measured in parts of about this many pixels: that halves the memory for a plane of 2048² full of cells.
_PART_PIXELS = 2**20


@register(accepts=(ImageKind.INTENSITY,))
@special_outputs(
    ("cell_counts", MaterializationSpec(CsvOptions(), ParquetOptions())),
    ("objects", MaterializationSpec(CsvOptions(), ParquetOptions())),
)
@numpy
def measure_objects(
    image: _Array,
    *,
    labels: _Array,
    object_name: str = "Nuclei",
    cells: _Array | None = None,
    cytoplasm: _Array | None = None,
    channel_names: Sequence[str] | None = None,
    texture_distance: int | None = 3,
) -> tuple[_Array, Table, Table]:
    """Measure area, shape, position, brightness and texture of labelled objects and of the cells around them.

    Parameters
    ----------
    image:
        ``[C, Y, X]``: one plane per channel, any real dtype (a step that says ``stack: channel``).
    labels:
        ``[1, Y, X]``, integers: 0 is background. Ids may be large and have gaps; a missing id is not an object.
    object_name:
        What the objects are; the first part of their column names.
    cells, cytoplasm:
        ``[1, Y, X]`` like *labels*: the cell, or its cytoplasm, has the id of its object. Some ids may be missing.
    channel_names:
        One name per channel, in the order of *image*; ``"1"``, ``"2"``, … by default.
    texture_distance:
        Pixels between the two of a pair whose grey levels are compared; ``None`` measures no texture. An object
        without two pixels so far apart has none.

    Returns
    -------
    *image*, untouched, and two tables.

    ``cell_counts``:
        ``Object`` (*object_name*, ``Cells``, ``Cytoplasm``: those that were given) and ``Count`` (int64), a row each.
    ``objects``, one row per id of *labels*, rising; without objects the same columns and no rows:
        ``Metadata_ObjectNumber`` is the id (int64). Then come, for *object_name*, ``Cells`` and ``Cytoplasm``,
        ``<Object>_<Category>_<Feature>`` and, of each channel, ``<Object>_<Category>_<Feature>_<Channel>``.

    Features, their formulas, units and sources are listed where they are computed:
    :func:`~wellfield.processing.shape.shape_features` (AreaShape and Location; lengths in pixels, angles in degrees),
    :func:`~wellfield.processing.intensity.intensity_features` (Intensity and Location; in the units of *image*) and
    :func:`~wellfield.processing.texture.texture_features` (Texture; without unit). They are float64, but whole numbers
    of *labels* int64. Undefined features are NaN, and so are all features of a missing cell or cytoplasm.

    Raises
    ------
    ArrayShapeError
        *labels*, *cells* or *cytoplasm* are not one plane of the size of *image*.
    ConfigError
        *object_name* is empty, or the name of other objects; *channel_names* are not one different name per channel;
        *texture_distance* is below 1.
    PipelineError
        *labels*, *cells* or *cytoplasm* are not integers, or negative; *cells* or *cytoplasm* have an id that *labels*
        lack.

    Notes
    -----
    Each object is measured by its own pixels alone: other objects and the order of ids change nothing, and a NaN pixel
    spoils no other object.
    """
    compartments = {"Cells": cells, "Cytoplasm": cytoplasm}
    given = {name: plane for name, plane in compartments.items() if plane is not None}
    if not object_name or object_name in given:
        raise ConfigError(
            f"{_FUNCTION}: object_name is {object_name!r}; expected what the objects of labels are, such as 'Nuclei', "
            f"and another name than {' and '.join(map(repr, compartments))} where these are measured too"
        )
    if texture_distance is not None and texture_distance < 1:
        raise ConfigError(f"{_FUNCTION}: texture_distance={texture_distance}; expected 1 pixel or more, or null")
    channels = checked_channel_names(channel_names, count=image.shape[0], function=_FUNCTION)
    require_labels(labels, image, function=_FUNCTION)
    for name, plane in given.items():
        require_labels(plane, image, function=_FUNCTION, name=name.lower())

    pixels = ObjectPixels.of(labels)
    counts: Table = {"Object": [object_name], "Count": [len(pixels)]}
    objects: Table = {OBJECT_ID: pixels.ids}
    for feature, values in _features(pixels, image, channels, texture_distance).items():
        objects[f"{object_name}_{feature}"] = values
    for name, plane in given.items():
        own = ObjectPixels.of(plane)
        rows = _rows(own.ids, pixels.ids, name.lower())
        counts["Object"].append(name)
        counts["Count"].append(len(own))
        for feature, values in _features(own, image, channels, texture_distance).items():
            column = np.full(len(pixels), np.nan)
            column[rows] = values
            objects[f"{name}_{feature}"] = column
    counts["Count"] = np.array(counts["Count"], np.int64)
    return image, counts, objects


def _features(
    pixels: ObjectPixels, image: _Array, channels: Sequence[str], texture_distance: int | None
) -> dict[str, _Array]:
    """Return all features of one class of objects, in all channels."""
    parts = [_features_of_part(part, image, channels, texture_distance) for part in pixels.parts(_PART_PIXELS)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _features_of_part(
    pixels: ObjectPixels, image: _Array, channels: Sequence[str], texture_distance: int | None
) -> dict[str, _Array]:
    features = shape_features(pixels)
    measured = [intensity_features(pixels, plane) for plane in image]
    if texture_distance is not None:
        textures = texture_features(pixels, image, distance=texture_distance)
        measured = [{**bright, **texture} for bright, texture in zip(measured, textures, strict=True)]
    for channel, found in zip(channels, measured, strict=True):
        features |= {f"{feature}_{channel}": values for feature, values in found.items()}
    return features


def _rows(ids: _Array, known: _Array, name: str) -> _Array:
    """Return the row of each of *ids* among the rising ids *known*."""
    strange = np.setdiff1d(ids, known, assume_unique=True)
    if strange.size:
        raise PipelineError(
            f"{_FUNCTION}: {name} have {strange.size} ids that labels lack, the first {strange[0]}; expected the ids "
            "of the objects that they belong to, as cells grown from these labels have them"
        )
    return np.searchsorted(known, ids)
