"""Sizes and place of an image in micrometres: known per plane, and stated by every result for itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import FieldKey
from wellfield.plate.plate import Plate

# Pixel sizes that differ by less than this part are those of one objective: the digits that some programs cut off.
SAME_SIZE = 1e-3


class FieldCalibration(NamedTuple):
    """Edge of a pixel, distance of neighbouring z planes, x and y of the stage; ``None`` where unknown."""

    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    stage_um: tuple[float, float] | None = None

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Return what a tuple of these became in JSON: a list."""
        pixel, depth, stage = values
        return cls(pixel, depth, None if stage is None else (stage[0], stage[1]))


UNKNOWN = FieldCalibration()


def calibrations(
    info: Plate, planes: Iterable[PlaneRecord], positions: Mapping[int, tuple[float, float]]
) -> dict[tuple[FieldKey, int], FieldCalibration]:
    """Return the calibration of each field and channel of a well, given the positions of its fields.

    A size that the index does not have for a plane is that of the plate, unless the index has the size of every plane:
    then it is unknown.
    """
    found: dict[tuple[FieldKey, int], FieldCalibration] = {}
    usual = (None, None) if info.sizes_per_plane else (info.pixel_size_um, info.z_spacing_um)
    for plane in planes:
        place = plane.key.field_key, plane.key.channel
        if place not in found:
            pixel, depth = (
                other if math.isnan(own) else own
                for own, other in zip((plane.pixel_size_um, plane.z_spacing_um), usual, strict=True)
            )
            found[place] = FieldCalibration(pixel, depth, positions.get(plane.key.field))
    return found


def common(calibrations: Iterable[FieldCalibration]) -> FieldCalibration | None:
    """Return the sizes of images that are taken together; ``None`` where they have different pixel sizes.

    A size that is unknown for one of them is unknown for all, and so is the place of several.
    """
    first, *others = dict.fromkeys(calibrations)
    pixel, depth, place = first
    for other in others:
        if pixel is None or other.pixel_size_um is None:
            pixel = None
        elif not math.isclose(pixel, other.pixel_size_um, rel_tol=SAME_SIZE):
            return None
        depth = depth if depth == other.z_spacing_um else None
        place = place if place == other.stage_um else None
    return FieldCalibration(pixel, depth, place)


def describe_sizes(calibrations: Mapping[str, FieldCalibration]) -> str:
    """Return the pixel sizes of images by their name, for messages: ``0.5 µm (field 1), 0.25 µm (field 2)``."""
    names: dict[float | None, list[str]] = {}
    for name, found in calibrations.items():
        names.setdefault(found.pixel_size_um, []).append(name)
    return ", ".join(
        f"{'unknown' if size is None else f'{size:g} µm'} ({', '.join(own[:3])}{' …' * (len(own) > 3)})"
        for size, own in names.items()
    )
