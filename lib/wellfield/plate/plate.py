"""What is known of a plate. Each fact is one field of :class:`Plate`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wellfield.plate.flatfield import FlatfieldProfile

# Names of channels that are not fluorescence.
_TRANSMITTED = re.compile(
    r"(?i)(?<![^\W_])(digital phase|phase[ _-]?contrast|dpc|dic|bright[ _-]?field|bf|transmitted|trans|tl ?[0-9]*)"
    r"(?![^\W_])"
)


@dataclass(frozen=True)
class Plate:
    """What holds for a whole plate, as far as it is known.

    A microscope handler finds these facts, the plate index stores them, and every later stage reads them by the same
    names. A new fact is one more field: the index stores it without further code.

    Parameters
    ----------
    name:
        Name of the plate.
    path:
        Folder of the raw plate as the configuration spells it.
    microscope:
        Name of the handler that read the plate.
    wells:
        Canonical names of the wells that have planes, row by row.
    channels:
        Name of each channel number that has planes; names are unique.
    shape, dtype:
        ``(Y, X)`` and dtype of most planes that were sampled; ``None`` where no plane could be opened.
    pixel_size_um, z_spacing_um:
        Edge of a pixel and distance of neighbouring z planes in µm; ``None`` where unknown.
    grid_dimensions:
        Rows and columns of the fields in a well.
    field_count:
        Highest field number of any well.
    planes_per_well:
        Number of planes of each well.
    flatfields:
        Flat-field profiles that the microscope measured itself, by channel.
    stage_y_up:
        The stage's y rises towards the top of the images, not towards their bottom.
    label_channels:
        Channels that hold labels of objects; a pipeline takes them only where a step names them.
    channel_dtypes:
        Dtype of the channels whose planes have another one than *dtype*.
    sizes_per_plane:
        Every plane states its own sizes. Where it does not, they are unknown, and not those of the plate.
    pixel_size_of_files:
        The pixel sizes are what image files say, not what a layout or other metadata of the plate says.
    wavelengths_nm:
        Excitation and emission of each channel, ``None`` where there is none.
    vendor_fields:
        The vendor's number of each field, for microscopes that number fields in another way.
    time_interval_s:
        Median time between two timepoints in seconds.
    """

    name: str = ""
    path: str = ""
    microscope: str = ""
    wells: tuple[str, ...] = ()
    channels: Mapping[int, str] = field(default_factory=dict)
    shape: tuple[int, int] | None = None
    dtype: str | None = None
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    grid_dimensions: tuple[int, int] | None = None
    field_count: int | None = None
    planes_per_well: Mapping[str, int] = field(default_factory=dict)
    flatfields: Mapping[int, FlatfieldProfile] = field(default_factory=dict)
    stage_y_up: bool = False
    label_channels: tuple[int, ...] = ()
    channel_dtypes: Mapping[int, str] = field(default_factory=dict)
    sizes_per_plane: bool = False
    pixel_size_of_files: bool = False
    wavelengths_nm: Mapping[int, tuple[float | None, float | None]] = field(default_factory=dict)
    vendor_fields: Mapping[int, int] = field(default_factory=dict)
    time_interval_s: float | None = None

    @property
    def transmitted_channels(self) -> tuple[int, ...]:
        """Channels of transmitted light: by name, or without an emission where other channels have one."""
        emitting = {number for number, (_, emission) in self.wavelengths_nm.items() if emission}
        dark = {number for number in self.wavelengths_nm if emitting and number not in emitting}
        named = {number for number, name in self.channels.items() if _TRANSMITTED.search(name)}
        return tuple(sorted(named | (dark & self.channels.keys())))

    def dtypes(self) -> dict[int, str]:
        """Return the dtype of each channel's images where it is known; labels may have any."""
        known = {channel: self.channel_dtypes.get(channel, self.dtype) for channel in self.channels}
        return {c: dtype for c, dtype in known.items() if dtype is not None and c not in self.label_channels}
