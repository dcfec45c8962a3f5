"""Turns what a function returned into a table, JSON values, text, an image or regions. Empty results are valid."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt

from wellfield.errors import ArrayShapeError, MaterializationError
from wellfield.formats.json_files import json_value
from wellfield.formats.table import to_table
from wellfield.storage.host import host_array, is_array


def as_table(data: Any, columns: Sequence[str] | None) -> Any:
    """Return *data* as a :class:`pyarrow.Table` of these columns, in their order; all columns by default.

    A named index of a DataFrame becomes columns. A table without rows still has the columns that were asked for.

    Raises
    ------
    MaterializationError
        A column is missing.
    UnknownFormatError
        The data is not a table.
    """
    import pyarrow as pa

    if data is None:
        data = {}
    elif _is_dataframe(data) and any(name is not None for name in data.index.names):
        data = data.reset_index()
    elif _is_dataclass(data):
        data = asdict(data)
    if isinstance(data, Mapping):
        data = {name: host_array(values) for name, values in data.items()}
    try:
        table = to_table(data)
    except pa.ArrowException as error:
        raise MaterializationError(f"columns do not make a table: {error}") from error
    if columns is None:
        return table
    if not table.num_columns and not table.num_rows:
        return pa.table({name: pa.nulls(0) for name in columns})
    if missing := [name for name in columns if name not in table.column_names]:
        raise MaterializationError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    return table.select(list(columns))


def as_json(data: Any) -> Any:
    """Return *data* as JSON values: dataclasses as dictionaries, tables as lists of rows, arrays as nested lists.

    A single string becomes JSON text, which is written unchanged.

    Raises
    ------
    UnknownFormatError
        It holds a value that JSON cannot store, such as NaN.
    """
    value = json_value(_plain(data))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value


def as_text(data: Any) -> str:
    """Return text unchanged, ``None`` as an empty text, and a number or a list of numbers and texts as lines.

    Raises
    ------
    MaterializationError
        The data is something else.
    """
    if isinstance(data, str):
        return data
    lines = [] if data is None else list(data) if isinstance(data, list | tuple) else [data]
    lines = [line.item() if is_array(line) and not line.ndim else line for line in lines]
    if odd := [line for line in lines if not isinstance(line, str | Number | np.generic)]:
        raise MaterializationError(
            f"a text file takes text, numbers, or a list of them, not a {type(odd[0]).__name__}; write tables with "
            "CsvOptions, dictionaries with JsonOptions"
        )
    return "".join(f"{line}\n" for line in lines)


def as_image(data: Any) -> npt.NDArray[Any]:
    """Return an image ``[Z, Y, X]`` or ``[Y, X]``, or a list of planes, with the dtype in which it is stored.

    Integers of more than 16 bits become uint16 or uint32 if all values fit. No value changes.

    Raises
    ------
    ArrayShapeError
        It has another rank, or the planes of a list differ in shape or dtype.
    MaterializationError
        It is not an array.
    """
    image = _stacked(data)
    if not isinstance(image, np.ndarray):
        raise MaterializationError(f"a TIFF file takes an image [Z, Y, X] or [Y, X], not a {type(image).__name__}")
    if image.ndim not in (2, 3) or not image.size:
        raise ArrayShapeError(f"an image of shape {list(image.shape)}; expected pixels [Z, Y, X] or [Y, X]")
    if image.dtype.kind in "iu" and image.dtype.itemsize > 2 and image.min() >= 0:
        fitting = [dtype for dtype in (np.uint16, np.uint32) if image.max() <= np.iinfo(dtype).max]
        return image.astype(fitting[0], copy=False) if fitting else image
    return image


def as_rois(
    data: Any, channel: int | None, timepoint: int | None, z: Sequence[int] | None, min_area: int = 0
) -> list[Any]:
    """Return the regions of labels ``[Z, Y, X]`` or ``[Y, X]``, or of a list of planes; none for ``None``.

    Raises
    ------
    ArrayShapeError, MaterializationError
        As for :func:`~wellfield.materialization.rois.labels_to_rois`.
    """
    from wellfield.materialization.rois import labels_to_rois

    if data is None or (isinstance(data, list | tuple) and not data):
        return []
    return labels_to_rois(_stacked(data), channel=channel, timepoint=timepoint, z=z, min_area=min_area)


def _stacked(data: Any) -> Any:
    """Return an array as a NumPy array and a list of planes as a stack; anything else unchanged."""
    if not (isinstance(data, list | tuple) and data and all(is_array(plane) for plane in data)):
        return host_array(data)
    planes = [host_array(plane) for plane in data]
    kinds = {(plane.shape, plane.dtype) for plane in planes}
    if len(kinds) > 1 or planes[0].ndim != 2:
        found = " and ".join(sorted(f"{dtype} {list(shape)}" for shape, dtype in kinds))
        raise ArrayShapeError(f"a list of images {found}; expected planes [Y, X] of one size and dtype")
    return np.stack(planes)


def _plain(value: Any) -> Any:
    if _is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {key.item() if isinstance(key, np.generic) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if _is_dataframe(value):
        return as_table(value, None).to_pylist()
    if hasattr(value, "to_pylist"):  # a table or column of Arrow
        return value.to_pylist()
    return host_array(value).tolist() if is_array(value) else value


def _is_dataclass(data: Any) -> bool:
    return is_dataclass(data) and not isinstance(data, type)


def _is_dataframe(data: Any) -> bool:
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)
