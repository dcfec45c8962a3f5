"""OME-Zarr metadata of plates, wells, images and labels, as the JSON values that go into group attributes.

Sources: https://ngff.openmicroscopy.org/0.5/ and https://ngff.openmicroscopy.org/0.4/, which differ here only in where
the version is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellfield.errors import MetadataError
from wellfield.plate.calibration import FieldCalibration, common, describe_sizes
from wellfield.storage.zarr.addressing import PlaneGrid
from wellfield.storage.zarr.display import Window

IMAGE_AXES = ("t", "c", "z", "y", "x")
LABEL_AXES = ("t", "z", "y", "x")
# NGFF allows one axis besides time and space, and these have two: field and channel. Many readers open them anyway.
WELL_AXES = ("field", "c", "z", "y", "x")
ACQUISITION = 0

_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space", "field": "field"}
_COLORS = ("0000FF", "00FF00", "FF0000", "FF00FF", "00FFFF", "FFFF00", "FFFFFF")


@dataclass(frozen=True, slots=True)
class FieldMetadata:
    """What a store records about the fields of a well besides their pixels.

    Parameters
    ----------
    pixel_size_um, z_spacing_um:
        Distances between pixels and between neighbouring z indices in µm. ``None`` if unknown: the axis then has the
        scale 1 and no unit.
    channel_names, channel_colors:
        Names and ``RRGGBB`` colours by channel number. By default, channel 1 is named ``w1`` and the colours are a
        fixed cycle.
    windows:
        Display ranges ``(low, high)`` by channel number; by default percentiles of the pixels of the field.
    calibrations:
        Pixel sizes and stage position by field number. Any other field has the distances above and no position.
    stage_y_up:
        Whether y of the stage rises towards the top of the images, against their axis y.

    Raises
    ------
    MetadataError
        A distance is not positive, a display range is empty, or a colour is not ``RRGGBB``.
    """

    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    channel_names: Mapping[int, str] = field(default_factory=dict)
    channel_colors: Mapping[int, str] = field(default_factory=dict)
    windows: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    calibrations: Mapping[int, FieldCalibration] = field(default_factory=dict)
    stage_y_up: bool = False

    def __post_init__(self) -> None:
        for pixel, depth, stage in (self._usual, *self.calibrations.values()):
            for name, value in (("pixel size", pixel), ("z spacing", depth)):
                if value is not None and not (value > 0 and math.isfinite(value)):
                    raise MetadataError(
                        f"the {name} is {value} µm; expected a positive number, or None if it is unknown"
                    )
            if stage is not None and not all(map(math.isfinite, stage)):
                raise MetadataError(f"a stage position is {stage}; expected x and y in µm, or None if it is unknown")
        for channel, (low, high) in self.windows.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise MetadataError(
                    f"the display range of channel {channel} is {low} to {high}; expected two numbers, the lower first"
                )
        for channel, color in self.channel_colors.items():
            if len(color) != 6 or not set(color.upper()) <= set("0123456789ABCDEF"):
                raise MetadataError(f"the colour of channel {channel} is {color!r}; expected RRGGBB such as 00FF00")

    @property
    def _usual(self) -> FieldCalibration:
        return FieldCalibration(self.pixel_size_um, self.z_spacing_um)

    def calibration(self, fields: Iterable[int]) -> FieldCalibration:
        """Return pixel sizes and position of a field, or the sizes of several fields in one array.

        Raises
        ------
        MetadataError
            The fields have different pixel sizes.
        """
        found = {f"field {number}": self.calibrations.get(number, self._usual) for number in fields}
        together = common(found.values())
        if together is None:
            raise MetadataError(f"fields of one array must have one pixel size, but have {describe_sizes(found)}")
        return together if len(found) == 1 else together._replace(stage_um=None)

    def positions_um(self, fields: Iterable[int]) -> dict[int, tuple[float, float]]:
        """Return x and y of the stage by field, for the fields with a known position."""
        known = {number: self.calibrations[number].stage_um for number in fields if number in self.calibrations}
        return {number: place for number, place in known.items() if place is not None}


def image_attributes(
    version: str,
    name: str,
    axes: Sequence[str],
    grid: PlaneGrid,
    levels: int,
    *,
    fields: Sequence[int],
    metadata: FieldMetadata,
    windows: Mapping[int, Window],
) -> dict[str, Any]:
    """Return the attributes of an image of one field, or of several: multiscales and display settings."""
    channels = [_channel(channel, metadata, windows[channel]) for channel in grid.channels]
    scales = _Scales(grid, metadata.calibration(fields), stage_y_up=metadata.stage_y_up)
    content = {
        "multiscales": [_multiscale(name, axes, scales, levels, method="mean of 2 × 2 pixels")],
        "omero": {"channels": channels, "rdefs": {"defaultT": 0, "defaultZ": len(grid.z) // 2, "model": "color"}},
    }
    return ngff_attributes(version, content)


def label_attributes(
    version: str, name: str, grid: PlaneGrid, levels: int, *, number: int, metadata: FieldMetadata
) -> dict[str, Any]:
    """Return the attributes of a label image of field *number*."""
    scales = _Scales(grid, metadata.calibration([number]), stage_y_up=metadata.stage_y_up)
    content = {
        "multiscales": [_multiscale(name, LABEL_AXES, scales, levels, method="nearest pixel")],
        "image-label": {"version": version, "source": {"image": "../../"}},
    }
    return ngff_attributes(version, content)


def labels_attributes(version: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of the group that lists a field's labels."""
    return ngff_attributes(version, {"labels": list(names)})


def plate_attributes(version: str, name: str, paths: Sequence[str], images: int) -> dict[str, Any]:
    """Return the attributes of a plate.

    Parameters
    ----------
    paths:
        Paths of its wells, such as ``A/01``, in plate order.
    images:
        The most images that a well has.
    """
    split = [path.split("/") for path in paths]
    rows = list(dict.fromkeys(row for row, _ in split))
    columns = sorted({column for _, column in split})
    plate = {
        "columns": [{"name": column} for column in columns],
        "rows": [{"name": row} for row in rows],
        "wells": [
            {"path": path, "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
            for path, (row, column) in zip(paths, split, strict=True)
        ],
        "name": name,
        "field_count": images,
        "acquisitions": [{"id": ACQUISITION, "name": name, "maximumfieldcount": images}],
        "version": version,
    }
    return ngff_attributes(version, {"plate": plate})


def well_attributes(version: str, images: Sequence[int]) -> dict[str, Any]:
    """Return the attributes of a well: the paths of its images."""
    listed = [{"path": str(number), "acquisition": ACQUISITION} for number in images]
    return ngff_attributes(version, {"well": {"version": version, "images": listed}})


def ngff_attributes(version: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return *content* where readers of this version look for it: below ``ome`` since 0.5, at the top before."""
    if version != "0.4":
        return {"ome": {"version": version, **content}}
    for multiscale in content.get("multiscales", ()):
        multiscale["version"] = version
    if "omero" in content:
        content["omero"]["version"] = version
    return dict(content)


def _channel(channel: int, metadata: FieldMetadata, window: Window) -> dict[str, Any]:
    return {
        "label": metadata.channel_names.get(channel, f"w{channel}"),
        "color": metadata.channel_colors.get(channel, _COLORS[(channel - 1) % len(_COLORS)]).upper(),
        "window": {"start": window.start, "end": window.end, "min": window.min, "max": window.max},
        "active": True,
        "coefficient": 1.0,
        "family": "linear",
        "inverted": False,
    }


def _multiscale(name: str, axes: Sequence[str], scales: _Scales, levels: int, *, method: str) -> dict[str, Any]:
    """Return a multiscale image; *method* says how its smaller levels were made."""
    content: dict[str, Any] = {
        "name": name,
        "axes": [_axis(axis, known=scales.is_known(axis)) for axis in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": scales.transformations(axes, level)}
            for level in range(levels)
        ],
    }
    return content | {"type": method} if levels > 1 else content


def _axis(axis: str, *, known: bool) -> dict[str, str]:
    described = {"name": axis, "type": _AXIS_TYPES[axis]}
    return {**described, "unit": "micrometer"} if known else described


@dataclass(frozen=True, slots=True)
class _Scales:
    """Scale and place of an image's levels along its axes."""

    grid: PlaneGrid
    calibration: FieldCalibration
    stage_y_up: bool

    def is_known(self, axis: str) -> bool:
        """Tell whether distances along an axis are in micrometres."""
        pixel, depth, _ = self.calibration
        return {"z": depth, "y": pixel, "x": pixel}.get(axis) is not None

    def transformations(self, axes: Sequence[str], level: int) -> list[dict[str, str | list[float]]]:
        """Scale and translation of one level, both from pixel centres.

        The centre of a mean over ``2**n`` pixels is ``(2**n - 1) / 2`` pixels behind that of its first pixel. A grid
        that begins above z 1 begins higher. A field lies where the stage was, along the axes of its image: where y of
        the stage rises upwards, its sign changes.
        """
        factor = 2**level
        pixel, depth = self.calibration.pixel_size_um or 1.0, self.calibration.z_spacing_um or 1.0
        scale = {"z": depth * self.grid.z_step, "y": pixel * factor, "x": pixel * factor}
        middle = pixel * (factor - 1) / 2
        stage_x, stage_y = self.calibration.stage_um or (0.0, 0.0)
        is_placed = self.calibration.stage_um is not None and self.calibration.pixel_size_um is not None
        translation = {"z": depth * max(0, self.grid.z[0] - 1), "y": middle, "x": middle}
        if is_placed:
            translation["x"] += stage_x
            translation["y"] += 0.0 - stage_y if self.stage_y_up else stage_y
        transformations: list[dict[str, str | list[float]]] = [
            {"type": "scale", "scale": [float(scale.get(axis, 1.0)) for axis in axes]}
        ]
        if is_placed or any(translation.values()):
            values = [float(translation.get(axis, 0.0)) for axis in axes]
            transformations.append({"type": "translation", "translation": values})
        return transformations
