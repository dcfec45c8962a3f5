"""OME-Zarr metadata of images, labels and wells, as the JSON values that go into group attributes.

Sources: https://ngff.openmicroscopy.org/0.5/ and https://ngff.openmicroscopy.org/0.4/, which differ here only in where
the version is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellfield.errors import MetadataError
from wellfield.storage.zarr.display import Window
from wellfield.storage.zarr.layout import PlaneGrid

IMAGE_AXES = ("t", "c", "z", "y", "x")
LABEL_AXES = ("t", "z", "y", "x")
# Fields beside channels are outside the text of NGFF (one axis beside time and space); many readers take it anyway.
WELL_AXES = ("field", "c", "z", "y", "x")
ACQUISITION = 0

_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space", "field": "field"}
_COLORS = ("0000FF", "00FF00", "FF0000", "FF00FF", "00FFFF", "FFFF00", "FFFFFF")


@dataclass(frozen=True, slots=True)
class FieldMetadata:
    """What a store says about the fields of a well beyond their pixels.

    Parameters
    ----------
    pixel_size_um, z_spacing_um:
        Distances between pixels and between neighbouring z indices in micrometres; ``None`` if unknown: the axis then
        has scale 1 and no unit.
    channel_names, channel_colors:
        Names and ``RRGGBB`` colours by channel number; a channel without gets ``w1`` and a colour of a fixed cycle.
    windows:
        Display ranges ``(low, high)`` by channel number; a channel without gets percentiles of the field's own pixels.

    Raises
    ------
    MetadataError
        A distance is not a positive number, a display range is no range, or a colour is no ``RRGGBB``.
    """

    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    channel_names: Mapping[int, str] = field(default_factory=dict)
    channel_colors: Mapping[int, str] = field(default_factory=dict)
    windows: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in (("pixel size", self.pixel_size_um), ("z spacing", self.z_spacing_um)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise MetadataError(f"the {name} is {value} µm; expected a positive number, or None if it is unknown")
        for channel, (low, high) in self.windows.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise MetadataError(
                    f"the display range of channel {channel} is {low} to {high}; expected two numbers, the lower first"
                )
        for channel, color in self.channel_colors.items():
            if len(color) != 6 or not set(color.upper()) <= set("0123456789ABCDEF"):
                raise MetadataError(f"the colour of channel {channel} is {color!r}; expected RRGGBB such as 00FF00")


def image_attributes(
    version: str,
    name: str,
    axes: Sequence[str],
    grid: PlaneGrid,
    levels: int,
    *,
    metadata: FieldMetadata,
    windows: Mapping[int, Window],
) -> dict[str, Any]:
    """Return the attributes of an image: multiscales and display settings."""
    channels = [_channel(channel, metadata, windows[channel]) for channel in grid.channels]
    content = {
        "multiscales": [_multiscale(name, axes, grid, levels, metadata, method="mean of 2 × 2 pixels")],
        "omero": {"channels": channels, "rdefs": {"defaultT": 0, "defaultZ": len(grid.z) // 2, "model": "color"}},
    }
    return ngff_attributes(version, content)


def label_attributes(version: str, name: str, grid: PlaneGrid, levels: int, metadata: FieldMetadata) -> dict[str, Any]:
    """Return the attributes of a label image."""
    content = {
        "multiscales": [_multiscale(name, LABEL_AXES, grid, levels, metadata, method="nearest pixel")],
        "image-label": {"version": version, "source": {"image": "../../"}},
    }
    return ngff_attributes(version, content)


def labels_attributes(version: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of the group that lists a field's labels."""
    return ngff_attributes(version, {"labels": list(names)})


def well_attributes(version: str, images: Sequence[int]) -> dict[str, Any]:
    """Return the attributes of a well: the paths of its images."""
    listed = [{"path": str(number), "acquisition": ACQUISITION} for number in images]
    return ngff_attributes(version, {"well": {"version": version, "images": listed}})


def ngff_attributes(version: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return *content* where readers of a version look for it: below ``ome`` since 0.5, at the top before."""
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


def _multiscale(
    name: str, axes: Sequence[str], grid: PlaneGrid, levels: int, metadata: FieldMetadata, *, method: str
) -> dict[str, Any]:
    sizes = {"z": metadata.z_spacing_um, "y": metadata.pixel_size_um, "x": metadata.pixel_size_um}
    return {
        "name": name,
        "axes": [_axis(axis, known=sizes.get(axis) is not None) for axis in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transformations(axes, grid, level, metadata)}
            for level in range(levels)
        ],
        "type": method,
    }


def _axis(axis: str, *, known: bool) -> dict[str, str]:
    described = {"name": axis, "type": _AXIS_TYPES[axis]}
    return {**described, "unit": "micrometer"} if known else described


def _transformations(
    axes: Sequence[str], grid: PlaneGrid, level: int, metadata: FieldMetadata
) -> list[dict[str, str | list[float]]]:
    """Scale and translation of one level, both from pixel centres.

    The centre of a mean over ``2**n`` pixels is ``(2**n - 1) / 2`` pixels behind that of its first pixel. A grid that
    begins above z 1 begins higher.
    """
    factor = 2**level
    pixel, depth = metadata.pixel_size_um or 1.0, metadata.z_spacing_um or 1.0
    scale = {"z": depth * grid.z_step, "y": pixel * factor, "x": pixel * factor}
    middle = pixel * (factor - 1) / 2
    translation = {"z": depth * max(0, grid.z[0] - 1), "y": middle, "x": middle}
    transformations: list[dict[str, str | list[float]]] = [
        {"type": "scale", "scale": [float(scale.get(axis, 1.0)) for axis in axes]}
    ]
    if any(translation.values()):
        values = [float(translation.get(axis, 0.0)) for axis in axes]
        transformations.append({"type": "translation", "translation": values})
    return transformations
