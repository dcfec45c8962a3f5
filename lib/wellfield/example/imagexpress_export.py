"""The example plate as MetaXpress exports it: folders, file names, HTD files and tags. Nothing is written here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from wellfield.example.guids import make_guid
from wellfield.example.metaseries_tiff import PlaneTags
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import split_well

PLATE_NAME = "Plate_1"
ROWS, COLUMNS = 8, 12
"""Format of the plate."""

_STARTED = datetime(2024, 1, 15, 9, 0, 0)
_PITCH_UM = 9000.0  # of wells on a plate of 96
_A01_UM = 14300.0, 11200.0  # x and y of the centre of A01, as on real plates
_FOCUS_UM = 9990.0
_HTD_LINE_BREAK = "\x82\x81"  # neither UTF-8 nor cp1252 can read these bytes; real plates hold them


class Wave(NamedTuple):
    """One wavelength: the name in HTD files and tags, and the emission in the tags."""

    name: str
    emission_nm: int


class ImageFile(NamedTuple):
    """A file and the plane that it holds."""

    path: Path
    key: PlaneKey


@dataclass(frozen=True, kw_only=True)
class ImageXpressExport:
    """Where the files of an exported plate lie, and what they say.

    The images lie in ``TimePoint_1/ZStep_1/Plate_1_B02_s1_w1.TIF``, and every folder has a copy of the HTD file.

    Parameters
    ----------
    wells:
        Wells with images, in canonical spelling.
    fields:
        Number of fields in each well. They are numbered row by row on the smallest grid that is about square.
    waves:
        Wavelengths, numbered from 1.
    size:
        Height and width of a plane in pixels.
    z_steps, timepoints:
        How many of each.
    pixel_size_um, z_spacing_um:
        Calibration. Neighbouring fields share an edge.
    seed:
        Source of all GUIDs.
    """

    wells: tuple[str, ...]
    fields: int
    waves: tuple[Wave, ...]
    size: int
    z_steps: int
    timepoints: int
    pixel_size_um: float
    z_spacing_um: float
    seed: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the fields."""
        columns = math.ceil(math.sqrt(self.fields))
        return math.ceil(self.fields / columns), columns

    def index_files(self, folder: Path) -> list[Path]:
        """Return the HTD files that the plate has below *folder*; parents come first."""
        outer = [folder / PLATE_NAME / f"TimePoint_{number}" for number in range(1, self.timepoints + 1)]
        inner = [place / f"ZStep_{number}" for place in outer for number in range(1, self.z_steps + 1)]
        return [place / f"{PLATE_NAME}.HTD" for place in (folder / PLATE_NAME, *outer, *inner)]

    def files(self, folder: Path) -> Iterator[ImageFile]:
        """Yield the images that the plate has below *folder*: well by well, field by field."""
        for well in self.wells:
            for field in range(1, self.fields + 1):
                for timepoint in range(1, self.timepoints + 1):
                    for channel in range(1, len(self.waves) + 1):
                        for z in range(1, self.z_steps + 1):
                            place = folder / PLATE_NAME / f"TimePoint_{timepoint}" / f"ZStep_{z}"
                            name = f"{PLATE_NAME}_{well}_s{field}_w{channel}.TIF"
                            yield ImageFile(place / name, PlaneKey(well, field, channel, z, timepoint))

    def htd_bytes(self) -> bytes:
        """Return the content of the HTD files."""
        taken = {split_well(well) for well in self.wells}
        rows, columns = self.grid
        description = ["Synthetic plate of Wellfield", *(f"{wave.name}: {self.z_steps}z" for wave in self.waves)]
        lines = [
            '"HTSInfoFile", Version 1.0',
            f'"Description", "{_HTD_LINE_BREAK.join(description)}"',
            '"PlateType", 2',
            f'"TimePoints", {self.timepoints}',
            '"ZSeries", TRUE',
            f'"ZSteps", {self.z_steps}',
            '"ZProjection", FALSE',
            f'"XWells", {COLUMNS}',
            f'"YWells", {ROWS}',
        ]
        for row in range(ROWS):
            flags = ", ".join(_flag((row, column) in taken) for column in range(COLUMNS))
            lines.append(f'"WellsSelection{row + 1}", {flags}')
        if self.fields == 1:
            lines.append('"Sites", FALSE')
        else:
            lines += ['"Sites", TRUE', f'"XSites", {columns}', f'"YSites", {rows}']
            for row in range(rows):
                flags = ", ".join(_flag(row * columns + column < self.fields) for column in range(columns))
                lines.append(f'"SiteSelection{row + 1}", {flags}')
        lines += ['"Waves", TRUE', f'"NWavelengths", {len(self.waves)}']
        lines += [f'"WaveName{number}", "{wave.name}"' for number, wave in enumerate(self.waves, start=1)]
        lines += [f'"WaveCollect{number}", 1' for number in range(1, len(self.waves) + 1)]
        lines += [f'"UniquePlateIdentifier", "{make_guid(self.seed, PLATE_NAME)}"', '"EndFile"']
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    def tags(self, key: PlaneKey) -> PlaneTags:
        """Return the metadata of a plane."""
        wave, (rows, columns) = self.waves[key.channel - 1], self.grid
        row, column = divmod(key.field - 1, columns)
        well_row, well_column = split_well(key.well)
        step = self.pixel_size_um * self.size
        offset_x, offset_y = (column - (columns - 1) / 2) * step, (row - (rows - 1) / 2) * step
        seconds = 20.0 * (well_row * COLUMNS + well_column) + 3.0 * key.field + 0.5 * key.channel
        timepoint: tuple[tuple[str, str | float], ...] = (("Timepoint", key.timepoint),) if self.timepoints > 1 else ()
        return PlaneTags(
            description=f"Plate Name: {PLATE_NAME}\r\nExposure: 100 ms\r\nSoftware Version: MetaXpress 6.7.0.211",
            image_name=wave.name,
            wave=wave.name,
            emission_nm=wave.emission_nm,
            label=f"{key.well} : Site {key.field}",
            taken=_STARTED + timedelta(seconds=seconds + 0.1 * key.z, hours=key.timepoint - 1),
            guid=make_guid(self.seed, f"{PLATE_NAME} {key} False"),
            pixel_size_um=self.pixel_size_um,
            stage_x_um=_A01_UM[0] + _PITCH_UM * well_column + offset_x,
            stage_y_um=_A01_UM[1] + _PITCH_UM * well_row + offset_y,
            # Plates are a little tilted.
            stage_z_um=_FOCUS_UM + 0.3 * well_column - 0.2 * well_row + self.z_spacing_um * (key.z - 1),
            offset_x_um=offset_x,
            offset_y_um=offset_y,
            site_x=column + 1,
            site_y=row + 1,
            custom=(*timepoint, ("Z Step", key.z)),
        )


def _flag(value: bool) -> str:
    return "TRUE" if value else "FALSE"
