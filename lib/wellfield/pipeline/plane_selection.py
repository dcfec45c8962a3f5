"""What a pipeline takes from a plate: the facts that its plan depends on, and the planes that it starts from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.plate import Plate


@dataclass(frozen=True)
class SourceLayers:
    """Which planes of a channel the pipeline starts from: z planes, or one projection (*z* is empty then).

    *timepoints* are those at which the plate has the channel; if empty, the channel is expected at every timepoint.
    """

    z: tuple[int, ...]
    projection: Projection = Projection.NONE
    timepoints: tuple[int, ...] = ()


def planned_facts(plate: Plate) -> Plate:
    """Return the plate with only the facts that a plan depends on; it is compiled again when one of these changes."""
    return Plate(
        channels=plate.channels,
        shape=plate.shape,
        dtype=plate.dtype,
        pixel_size_um=plate.pixel_size_um,
        z_spacing_um=plate.z_spacing_um,
        field_count=plate.field_count,
        stage_y_up=plate.stage_y_up,
        label_channels=plate.label_channels,
    )


def choose_sources(keys: Iterable[PlaneKey], source: str) -> dict[int, SourceLayers]:
    """Return, for each channel of a plate, the planes that a pipeline starts from.

    Parameters
    ----------
    keys:
        All planes of the plate, so that every well gets the same choice.
    source:
        ``"planes"``, ``"projection"`` or ``"planes_or_projection"`` (a projection where a channel has no planes).

    A channel without such planes is left out.
    """
    depth: dict[int, set[int]] = {}
    projections: dict[int, set[Projection]] = {}
    times: dict[tuple[int, Projection], set[int]] = {}
    # Of 100,000 planes in all wells and fields few differ in this.
    for channel, z, timepoint, projection in {(k.channel, k.z, k.timepoint, k.projection) for k in keys}:
        times.setdefault((channel, projection), set()).add(timepoint)
        if projection == Projection.NONE:
            depth.setdefault(channel, set()).add(z)
        else:
            projections.setdefault(channel, set()).add(projection)
    chosen: dict[int, SourceLayers] = {}
    for channel in sorted({*depth, *projections}):
        if source != "projection" and channel in depth:
            layers, best = tuple(sorted(depth[channel])), Projection.NONE
        elif source != "planes" and channel in projections:
            layers, best = (), next(p for p in Projection if p in projections[channel])
        else:
            continue
        chosen[channel] = SourceLayers(layers, best, tuple(sorted(times[channel, best])))
    return chosen
