"""Pixel size, z spacing and stage position in µm, known per plane; every result states its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import FieldKey
from wellfield.plate.plate import Plate

# Pixel sizes that differ by less than 0.1 % are equal: some programs cut off digits.
SAME_SIZE = 1e-3


class FieldCalibration(NamedTuple):
    """Edge of a pixel, distance of neighbouring z planes, x and y of the stage; ``None`` where unknown."""

    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    stage_um: tuple[float, float] | None = None

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Read the list that such a tuple becomes in JSON."""
        pixel, depth, stage = values
        return cls(pixel, depth, None if stage is None else (stage[0], stage[1]))


UNKNOWN = FieldCalibration()


def calibrations(
    info: Plate, planes: Iterable[PlaneRecord], positions: Mapping[int, tuple[float, float]]
) -> dict[tuple[FieldKey, int], FieldCalibration]:
    """Return the calibration of each field and channel of a well, given the positions of its fields.

    A plane without a size in the index has the plate's size. If every plane states its own size (``sizes_per_plane``),
    its size is unknown instead.
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
    """Return the sizes that several images share; ``None`` where their pixel sizes differ.

    If a size is unknown for one image, it is unknown for all. Images at different places have no common place.
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
