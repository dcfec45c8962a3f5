"""What an ImageXpress plate looks like: layout, names, fillers, HTD and geometry. Nothing is written here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from wellfield.errors import ConfigError
from wellfield.example.guids import make_guid
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.wells import split_well

_DATABASE_FOLDERS = ("2024-01-15", "1701")
_METHODS = {"Maximum": Projection.MAX, "Best Focus": Projection.BEST_FOCUS}
_HTD_LINE_BREAK = "\x82\x81"  # neither UTF-8 nor cp1252 can read these bytes; real plates hold them
_FOCUS_UM = 9990.0


class Style(StrEnum):
    """The two dialects of the vendor."""

    EXPORT = "export"
    """``TimePoint_1/ZStep_1/9987_B02_s1_w1.TIF``; HTD at every level, projections in ``ZStep_0``, filler copies."""
    DATABASE = "database"
    """``<date>/<id>/ZStep_1/Name_B02_s1_w1<GUID>.tif``; no HTD, projections beside ``ZStep`` folders, no fillers."""


@dataclass(frozen=True, kw_only=True)
class Wave:
    """One wavelength of a plate.

    Parameters
    ----------
    name:
        Illumination setting, also the name in the HTD; need not be unique.
    emission_nm:
        Wavelength in the tags.
    z:
        Number of z planes that were acquired; 0 for a projection only, None for all of the plate's.
    projection:
        Method of a projection in the vendor's words, such as ``Maximum`` or ``Best Focus``; None for no projection.
    timepoints:
        Number of timepoints that were acquired; None for all of the plate's.
    on_disk:
        False: the HTD promises the wave, but there are no files.
    """

    name: str = "DAPI"
    emission_nm: int = 452
    z: int | None = None
    projection: str | None = None
    timepoints: int | None = None
    on_disk: bool = True


class ImageFile(NamedTuple):
    """A file and the plane that it truly holds, whatever its folder says."""

    path: Path
    key: PlaneKey
    filler: bool = False
    thumbnail: bool = False


@dataclass(frozen=True, kw_only=True)
class ImageXpressPlate:
    """A plate as the vendor would write it.

    Parameters
    ----------
    name:
        Folder of the plate.
    prefix:
        Start of every file name; None for the name of the plate.
    wells:
        Wells with images, in canonical spelling.
    site_mask:
        One string per row of sites, ``x`` for a site and ``.`` for none. Sites are numbered row by row over the ``x``.
    waves:
        Wavelengths, numbered from 1.
    size:
        Height and width of every plane in pixels.
    z_steps:
        Planes of the z series; 0 for a plate without one.
    timepoints:
        Timepoints on disk.
    promised_timepoints:
        Timepoints in the HTD; None for as many as on disk.
    style, timepoint_folders, z_folders:
        Layout. Without either kind of folder the plate is flat.
    fillers:
        Fill absent planes with copies of others, in every folder; None for the habit of the style.
    htd:
        Write HTD files at every level; None for the habit of the style.
    thumbnails:
        Write a ``_thumb`` twin of every image.
    site_token, wave_token:
        False leaves ``_s1`` or ``_w1`` out of the names of a plate with one site or one wave.
    plate_rows, plate_columns:
        Format of the plate.
    pixel_size_um, z_spacing_um, overlap:
        Geometry; *overlap* is the fraction that neighbouring fields share.
    seed:
        Source of all GUIDs.

    Raises
    ------
    ConfigError
        The description contradicts itself, or two images would need the same name.
    """

    name: str = "Plate_1"
    prefix: str | None = None
    wells: tuple[str, ...] = ("B02", "B03")
    site_mask: tuple[str, ...] = ("xx",)
    waves: tuple[Wave, ...] = (Wave(),)
    size: tuple[int, int] = (64, 64)
    z_steps: int = 3
    timepoints: int = 1
    promised_timepoints: int | None = None
    style: Style = Style.EXPORT
    timepoint_folders: bool = True
    z_folders: bool = True
    fillers: bool | None = None
    htd: bool | None = None
    thumbnails: bool = False
    site_token: bool = True
    wave_token: bool = True
    plate_rows: int = 8
    plate_columns: int = 12
    pixel_size_um: float = 0.65
    z_spacing_um: float = 3.0
    overlap: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ConfigError(f"ImageXpress plate {self.name}: {problem}")

    def _problems(self) -> Iterator[str]:
        on_disk = [wave for wave in self.waves if wave.on_disk]
        if not self.wells or len(set(self.wells)) < len(self.wells):
            yield f"wells {self.wells} must be at least one, each once"
        for row, column in map(split_well, self.wells):
            if row >= self.plate_rows or column >= self.plate_columns:
                yield f"wells {self.wells} must fit on {self.plate_rows} rows and {self.plate_columns} columns"
        if not self.sites or len({len(row) for row in self.site_mask}) > 1 or set("".join(self.site_mask)) - set("x."):
            yield f"site_mask {self.site_mask} must be equally long rows of 'x' and '.', with one 'x' at least"
        if not on_disk:
            yield "at least one wave must be on disk"
        if not self.site_token and len(self.sites) > 1:
            yield f"site_token can only be left out with one site, not {len(self.sites)}"
        if not self.wave_token and len(on_disk) > 1:
            yield f"wave_token can only be left out with one wave, not {len(on_disk)}"
        if self.timepoints < 1 or (self.timepoints > 1 and not self.timepoint_folders):
            yield f"timepoints is {self.timepoints}; expected 1, or more with timepoint_folders"
        for number, wave in enumerate(on_disk, start=1):
            images = self.acquired_z(wave) + (wave.projection is not None)
            if not 0 <= self.acquired_z(wave) <= max(1, self.z_steps) or images == 0:
                yield f"wave {number} has z={wave.z}; expected 1 to z_steps={self.z_steps}, or 0 and a projection"
            if images > 1 and not self.has_z_folders:
                yield f"wave {number} has {images} images per site, which only ZStep folders can hold"

    @cached_property
    def sites(self) -> tuple[tuple[int, int], ...]:
        """Row and column of every site on the grid, counted from 0; site 1 comes first."""
        return tuple((y, x) for y, row in enumerate(self.site_mask) for x, sign in enumerate(row) if sign == "x")

    @property
    def has_z_folders(self) -> bool:
        """Whether there are ``ZStep`` folders."""
        return self.z_folders and self.z_steps > 0

    @property
    def fills(self) -> bool:
        """Whether absent planes are filled with copies."""
        return self.style is Style.EXPORT if self.fillers is None else self.fillers

    @property
    def has_htd(self) -> bool:
        """Whether there are HTD files."""
        return self.style is Style.EXPORT if self.htd is None else self.htd

    @property
    def htd_name(self) -> str:
        """Name of the HTD files."""
        return f"{self.file_prefix}.HTD"

    @cached_property
    def image_folder(self) -> Path:
        """Folder of the plate's images, relative to the folder it is written into."""
        return Path(self.name, *(_DATABASE_FOLDERS if self.style is Style.DATABASE else ()))

    @property
    def file_prefix(self) -> str:
        """Start of every file name."""
        return self.name if self.prefix is None else self.prefix

    def acquired_z(self, wave: Wave) -> int:
        """Return the number of z planes of a wave."""
        return max(1, self.z_steps) if wave.z is None else wave.z

    def well_centre(self, well: str) -> tuple[float, float]:
        """Return x and y of a well's centre in µm, y pointing down.

        The pitch is 9 mm on a 96-well plate and goes with the number of columns; A01 lies where real plates have it.
        """
        row, column = split_well(well)
        pitch = 9000.0 * 12 / self.plate_columns
        return 14300.0 + (pitch - 9000) / 2 + pitch * column, 11200.0 + (pitch - 9000) / 2 + pitch * row

    def field_offset(self, field: int) -> tuple[float, float]:
        """Return the way from the centre of the well to the centre of a field (from 1), as x and y in µm."""
        row, column = self.sites[field - 1]
        step = self.pixel_size_um * (1 - self.overlap)
        return (
            (column - (len(self.site_mask[0]) - 1) / 2) * step * self.size[1],
            (row - (len(self.site_mask) - 1) / 2) * step * self.size[0],
        )

    def focus(self, key: PlaneKey) -> float:
        """Return the z position of a plane in µm; plates are a little tilted. A projection lies mid-series."""
        row, column = split_well(key.well)
        step = key.z - 1 if key.projection is Projection.NONE else (self.z_steps - 1) / 2
        return _FOCUS_UM + 0.3 * column - 0.2 * row + self.z_spacing_um * step

    def folders(self) -> list[Path]:
        """Return the folders with images or HTD files, relative like :attr:`image_folder`; parents come first."""
        found = [Path(self.name), self.image_folder]
        for timepoint in range(1, self.timepoints + 1):
            found += [self._folder(timepoint, number) for number in (None, *self._z_folder_numbers())]
        return list(dict.fromkeys(found))

    def index_files(self, folder: str | os.PathLike[str] = ".") -> list[Path]:
        """Return the HTD files that the plate has below *folder*."""
        return [Path(folder, inner, self.htd_name) for inner in self.folders()] if self.has_htd else []

    def files(self, folder: str | os.PathLike[str] = ".") -> Iterator[ImageFile]:
        """Yield every image that the plate has below *folder*: well by well, field by field."""
        for well in self.wells:
            for site in range(1, len(self.sites) + 1):
                for timepoint in range(1, self.timepoints + 1):
                    for channel, wave in enumerate(self.waves, start=1):
                        if wave.on_disk:
                            yield from self._files_of(Path(folder), PlaneKey(well, site, channel, 0, timepoint))

    def _z_folder_numbers(self) -> list[int | None]:
        if not self.has_z_folders:
            return [None]
        projections = any(wave.projection for wave in self.waves if wave.on_disk)
        outside = [0 if self.style is Style.EXPORT else None] if projections else []
        return [*outside, *range(1, self.z_steps + 1)]

    def _files_of(self, folder: Path, key: PlaneKey) -> Iterator[ImageFile]:
        """Yield the images of one wave at one timepoint; z and projection of *key* are still open."""
        wave = self.waves[key.channel - 1]
        timepoint = min(key.timepoint, wave.timepoints or self.timepoints)
        late = key.timepoint > timepoint
        if late and not self.fills:
            return
        method = _METHODS.get(wave.projection or "", Projection.UNKNOWN)
        for number in self._z_folder_numbers():
            held = self._held(wave, number)
            if held is None:
                continue
            z, copied = held
            true = key._replace(z=z, timepoint=timepoint, projection=Projection.NONE if z else method)
            inner = self._folder(key.timepoint, number)
            yield ImageFile(folder / inner / self._file_name(inner, key, thumbnail=False), true, copied or late)
            if self.thumbnails and not (copied or late):
                yield ImageFile(folder / inner / self._file_name(inner, key, thumbnail=True), true, thumbnail=True)

    def _held(self, wave: Wave, number: int | None) -> tuple[int, bool] | None:
        """Return what a folder holds of a wave: the z (0 for the projection) and whether it is a copy."""
        planes = self.acquired_z(wave)
        if not self.has_z_folders:
            return (0 if wave.projection else 1), False
        if not number and wave.projection:
            return 0, False
        if number and number <= planes:
            return number, False
        # What the vendor puts where a wave with several z has none is not known: nothing here.
        return (planes, True) if planes <= 1 and self.fills else None

    def _folder(self, timepoint: int, number: int | None) -> Path:
        outer = self.image_folder / f"TimePoint_{timepoint}" if self.timepoint_folders else self.image_folder
        return outer if number is None else outer / f"ZStep_{number}"

    def _file_name(self, inner: Path, key: PlaneKey, *, thumbnail: bool) -> str:
        name = f"{self.file_prefix}_{key.well}"
        if self.site_token:
            name += f"_s{key.field}"
        if self.wave_token:
            name += f"_w{key.channel}"
        if thumbnail:
            name += "_thumb"
        if self.style is Style.EXPORT:
            return f"{name}.TIF"
        return f"{name}{str(make_guid(self.seed, f'{inner}/{name}')).upper()}.tif"

    def htd_bytes(self) -> bytes:
        """Return the content of the plate's HTD files."""
        promised = self.timepoints if self.promised_timepoints is None else self.promised_timepoints
        taken = {split_well(well) for well in self.wells}
        description = _HTD_LINE_BREAK.join(
            ["Synthetic plate of Wellfield", *(f"{wave.name}: {self._acquisition(wave)}" for wave in self.waves)]
        )
        lines = [
            '"HTSInfoFile", Version 1.0',
            f'"Description", "{description}"',
            '"PlateType", 2',
            f'"TimePoints", {promised}',
            f'"ZSeries", {_flag(self.z_steps > 0)}',
            f'"ZSteps", {self.z_steps}',
            f'"ZProjection", {_flag(any(wave.projection for wave in self.waves))}',
            f'"XWells", {self.plate_columns}',
            f'"YWells", {self.plate_rows}',
        ]
        for row in range(self.plate_rows):
            flags = ", ".join(_flag((row, column) in taken) for column in range(self.plate_columns))
            lines.append(f'"WellsSelection{row + 1}", {flags}')
        if len(self.sites) == 1:
            lines.append('"Sites", FALSE')
        else:
            lines += ['"Sites", TRUE', f'"XSites", {len(self.site_mask[0])}', f'"YSites", {len(self.site_mask)}']
            for number, signs in enumerate(self.site_mask, start=1):
                lines.append(f'"SiteSelection{number}", {", ".join(_flag(sign == "x") for sign in signs)}')
        lines += ['"Waves", TRUE', f'"NWavelengths", {len(self.waves)}']
        lines += [f'"WaveName{number}", "{wave.name}"' for number, wave in enumerate(self.waves, start=1)]
        lines += [f'"WaveCollect{number}", 1' for number in range(1, len(self.waves) + 1)]
        lines += [f'"UniquePlateIdentifier", "{make_guid(self.seed, self.name)}"', '"EndFile"']
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    def _acquisition(self, wave: Wave) -> str:
        planes = self.acquired_z(wave)
        parts = [f"{planes}z"] if planes else []
        return " + ".join(parts + ([wave.projection] if wave.projection else []))


def _flag(value: bool) -> str:
    return "TRUE" if value else "FALSE"
