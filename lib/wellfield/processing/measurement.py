"""Count labelled objects and measure their position, area and brightness.

A table is a dictionary from column name to values, one per row. Column names follow
``<Object>_<Category>_<Feature>[_<Channel>]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wellfield.errors import ArrayShapeError, ConfigError, PipelineError
from wellfield.materialization import CsvOptions, MaterializationSpec, ParquetOptions
from wellfield.memory import numpy
from wellfield.processing.declarations import special_outputs
from wellfield.processing.function_registry import ImageKind, register

_Array = np.ndarray[Any, np.dtype[Any]]
Table = dict[str, Any]

# The id of an object in its labels. Profiling tools keep a column that starts with ``Metadata_``, and do not take it
# for a feature.
OBJECT_ID = "Metadata_ObjectNumber"


@register(accepts=(ImageKind.INTENSITY,))
@special_outputs(
    ("cell_counts", MaterializationSpec(CsvOptions(), ParquetOptions())),
    ("objects", MaterializationSpec(CsvOptions(), ParquetOptions())),
)
@numpy
def count_cells(
    image: _Array,
    *,
    labels: _Array,
    object_name: str = "Nuclei",
    channel_names: Sequence[str] | None = None,
) -> tuple[_Array, Table, Table]:
    """Count labelled objects; measure their area, position and brightness in every channel.

    Parameters
    ----------
    image:
        ``[C, Y, X]``: one plane per channel, any real dtype (a step that says ``stack: channel``).
    labels:
        ``[1, Y, X]``, integers: 0 is background. Ids may be large and have gaps; a missing id is not an object.
    object_name:
        What the objects are; the first part of the column names.
    channel_names:
        One name per channel, in the order of *image*; ``"1"``, ``"2"``, … by default.

    Returns
    -------
    *image*, untouched, and two tables. Counts, ids and areas are int64, the rest float64.

    ``cell_counts``, one row:
        ``Object`` (*object_name*) and ``Count``.
    ``objects``, one row per object, by rising id; without objects the same columns and no rows:
        ``Metadata_ObjectNumber`` is the id, ``<Object>_AreaShape_Area`` in pixels, ``<Object>_Location_Center_X`` and
        ``_Y`` the unweighted centroid in pixels, the centre of the first pixel being 0. For each channel, in the units
        of *image* and summed in float64, ``<Object>_Intensity_MeanIntensity_<Channel>`` and
        ``<Object>_Intensity_IntegratedIntensity_<Channel>``; a NaN pixel makes those of its own object NaN.

    Raises
    ------
    ArrayShapeError
        *labels* is not one plane of the size of *image*.
    ConfigError
        *object_name* is empty; *channel_names* are not one different name per channel.
    PipelineError
        *labels* are not integers, or negative.
    """
    if not object_name:
        raise ConfigError("count_cells: object_name is empty; expected what the objects are, such as 'Nuclei'")
    channels = checked_channel_names(channel_names, count=image.shape[0], function="count_cells")
    require_labels(labels, image, function="count_cells")

    width = image.shape[2]
    positions = np.flatnonzero(labels)
    ids, index = np.unique(labels.ravel()[positions], return_inverse=True)
    areas = np.bincount(index, minlength=ids.size)

    def total(values: _Array) -> _Array:
        # bincount sums in float64 for every dtype, but returns integers if there is nothing to sum.
        return np.bincount(index, weights=values, minlength=ids.size).astype(np.float64, copy=False)

    objects: Table = {
        OBJECT_ID: ids.astype(np.int64),
        f"{object_name}_AreaShape_Area": areas.astype(np.int64),
        f"{object_name}_Location_Center_X": total(positions % width) / areas,
        f"{object_name}_Location_Center_Y": total(positions // width) / areas,
    }
    for channel, plane in zip(channels, image, strict=True):
        integrated = total(plane.ravel()[positions])
        objects[f"{object_name}_Intensity_MeanIntensity_{channel}"] = integrated / areas
        objects[f"{object_name}_Intensity_IntegratedIntensity_{channel}"] = integrated
    counts: Table = {"Object": [object_name], "Count": np.array([ids.size], np.int64)}
    return image, counts, objects


def checked_channel_names(names: Sequence[str] | None, *, count: int, function: str) -> Sequence[str]:
    """Return one name per channel, by default the channels' numbers from 1.

    Raises
    ------
    ConfigError
        There are not *count* different names.
    """
    if names is None:
        return [str(number) for number in range(1, count + 1)]
    if isinstance(names, str) or len(names) != count or len(set(names)) != count:
        raise ConfigError(f"{function}: channel_names={names!r}; expected {count} different names, one per channel")
    return names


def require_labels(labels: _Array, image: _Array, *, function: str, name: str = "labels") -> None:
    """Refuse *labels* unless they are one plane of ids of the size of *image*.

    Raises
    ------
    ArrayShapeError
        The shape is not ``[1, Y, X]`` of *image*.
    PipelineError
        The labels are not integers, or are negative.
    """
    if labels.dtype.kind not in "iu":
        raise PipelineError(
            f"{function}: {name} are {labels.dtype}; expected integers, one id per object, as label or split_touching "
            "make them from a mask"
        )
    if labels.shape != (1, *image.shape[1:]):
        raise ArrayShapeError(
            f"{function}: {name} have shape {list(labels.shape)}; expected {[1, *image.shape[1:]]}, one plane of the "
            f"size of the image {list(image.shape)}"
        )
    if labels.dtype.kind == "i" and labels.min(initial=0) < 0:
        raise PipelineError(f"{function}: {name} go down to {labels.min()}; expected 0 for background and ids above 0")
