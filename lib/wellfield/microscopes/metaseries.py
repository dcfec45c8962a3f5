"""The MetaSeries tags of ImageXpress TIFFs: what a plane really is, where it was taken and how large its pixels are."""

from __future__ import annotations

import html
import math
import os
import re
from dataclasses import dataclass, replace

import numpy as np

from wellfield.formats.length_units import micrometres
from wellfield.plate.keys import Projection

# One regular expression over the description instead of an XML parser: no entity is ever expanded, and only these
# properties are looked at.
_PROPERTY = re.compile(
    r'<(?:custom-)?prop id="(spatial-calibration-(?:state|x|units)|stage-position-[xy]|z-position|_IllumSetting_'
    r'|Z Projection Method|Z Step|Timepoint)" type="[^"]*" value="([^"]*)"'
)
_PROJECTIONS = {"maximum": Projection.MAX, "best focus": Projection.BEST_FOCUS}


@dataclass(frozen=True, slots=True)
class PlaneTags:
    """What one file says of itself. ``None`` or ``nan`` where it says nothing.

    *projection* is ``Projection.NONE`` for a plane of a z series and for a file without such tags; *z* and *timepoint*
    count from 1.
    """

    shape: tuple[int, int] = (0, 0)
    dtype: str = ""
    projection: Projection = Projection.NONE
    z: int | None = None
    timepoint: int | None = None
    illumination: str | None = None
    pixel_size_um: float | None = None
    stage_x_um: float = math.nan
    stage_y_um: float = math.nan
    stage_z_um: float = math.nan


def _number(text: str | None) -> float:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _count(text: str | None) -> int | None:
    value = _number(text)
    return int(value) if value >= 1 and value.is_integer() else None


def read_tags(path: str | os.PathLike[str]) -> PlaneTags | None:
    """Return the tags of a TIFF file, ``None`` if it cannot be read as one. Pixels are not read."""
    import tifffile

    try:
        with tifffile.TiffFile(os.fspath(path)) as file:
            page = file.pages.first
            height, width = map(int, page.shape)
            dtype = np.dtype(page.dtype).newbyteorder("=").name
            text = str(page.description)
    except Exception:  # tifffile meets what is corrupt with almost any kind of error
        return None
    return replace(parse_description(text), shape=(height, width), dtype=dtype)


def parse_description(text: str) -> PlaneTags:
    """Return what a description says; shape and dtype are not in it."""
    tags = dict(_PROPERTY.findall(text))
    calibrated = tags.get("spatial-calibration-state", "on").lower() in ("on", "true", "1")
    factor = micrometres(html.unescape(tags.get("spatial-calibration-units", ""))) if calibrated else None
    pixel_size = _number(tags.get("spatial-calibration-x")) * (factor or math.nan)
    method = tags.get("Z Projection Method")
    return PlaneTags(
        projection=Projection.NONE if method is None else _PROJECTIONS.get(method.lower(), Projection.UNKNOWN),
        z=_count(tags.get("Z Step")),
        timepoint=_count(tags.get("Timepoint")),
        illumination=html.unescape(tags["_IllumSetting_"]) if tags.get("_IllumSetting_") else None,
        pixel_size_um=pixel_size if pixel_size > 0 else None,
        stage_x_um=_number(tags.get("stage-position-x")),
        stage_y_um=_number(tags.get("stage-position-y")),
        stage_z_um=_number(tags.get("z-position")),
    )
