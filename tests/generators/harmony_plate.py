"""What an Opera Phenix or Operetta plate looks like: layout, names, numbering and geometry. Nothing is written here."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wellfield.errors import ConfigError
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import split_well

Coefficients = tuple[tuple[float, ...], ...]
"""A polynomial of x and y: row n has the n + 1 coefficients of degree n. None at all is the vendor's ``Identity``."""

_BASE_UM = 134_600.0  # objective height of a plate's bottom on a real Phenix


class Version(StrEnum):
    """Schema of the index."""

    V5 = "V5"
    """Every ``Image`` holds all facts of its channel."""
    V6 = "V6"
    """Facts of channels stand once, under ``Maps``."""
    V7 = "V7"
    """As V6, in a namespace that is no address."""


class Layout(StrEnum):
    """Where the index and the images lie."""

    IMAGES = "images"
    """``Images/Index.xml``, ``Images/r02c02f01p01-ch1sk1fk1fl1.tiff``; the habit of exports."""
    ABOVE = "above"
    """``Index.xml`` above ``Images``; the index names files without a folder."""
    FLAT = "flat"
    """Everything in the folder of the plate."""
    ARCHIVE = "archive"
    """``images/index.xml``, ``images/r02c02/r02c02f01p01-ch01t01.tiff``; the index names files as Windows does,
    ``r02c02\\r02c02f01p01-ch01t01.tiff``."""


class Kind(StrEnum):
    """``ChannelType`` in the index."""

    FLUORESCENCE = "Fluorescence"
    BRIGHTFIELD = "Brightfield"
    PHASE = "Phase"
    """Digital phase contrast, which the vendor derives from brightfield."""


@dataclass(frozen=True, kw_only=True)
class Flatfield:
    """The vendor's illumination profile of a channel.

    Parameters
    ----------
    background, foreground:
        Polynomials, with ``()`` for the identity; a *foreground* of None is left out, as newer versions do.
    mean:
        Mean of the background in grey values.
    """

    background: Coefficients = ()
    foreground: Coefficients | None = ()
    mean: float = 400.0


@dataclass(frozen=True, kw_only=True)
class HarmonyChannel:
    """One channel of a plate.

    Parameters
    ----------
    name:
        Any text, also with commas, brackets and ampersands.
    excitation_nm, emission_nm:
        Wavelengths. The vendor writes an emission of 0 for transmitted light; None leaves the element out.
    kind:
        What sort of image it is.
    height_um:
        ``PositionZ`` of the channel's first z plane.
    flatfield:
        Illumination profile; None leaves the channel out of the profiles.
    """

    name: str = "HOECHST 33342"
    excitation_nm: int = 405
    emission_nm: int | None = 456
    kind: Kind = Kind.FLUORESCENCE
    height_um: float = 0.0
    flatfield: Flatfield | None = Flatfield()


class ImageFile(NamedTuple):
    """A file and the plane that it truly holds, whatever its name says."""

    path: Path
    key: PlaneKey
    listed: bool = True


class HarmonyImage(NamedTuple):
    """A plane of the plate: its key, the vendor's field number, and its file.

    *folder* lies in the folder of images, and is empty where images lie in that folder itself.
    """

    key: PlaneKey
    field_id: int
    folder: str
    name: str


@dataclass(frozen=True, kw_only=True)
class HarmonyPlate:
    """A plate as the vendor would write it.

    The vendor numbers fields in its own way, here: 1 is nearest to the centre of the well, the others follow in a snake
    from the top left. True keys count fields row by row from the top, over those that the index lists in any well.

    Parameters
    ----------
    name:
        Folder and identifier of the plate.
    wells:
        Wells with images, in canonical spelling.
    field_mask:
        One string per row of fields, top row first, ``x`` for a field and ``.`` for none.
    field_offsets_um:
        Instead of the mask: x and y of every field relative to the centre of its well, y pointing up, in the vendor's
        order.
    channels:
        Channels, numbered from 1.
    size:
        Height and width of every plane in pixels.
    z_planes, timepoints:
        How many of each.
    version:
        Schema of the index.
    instrument:
        ``Phenix`` or ``Sonata`` (an Operetta CLS). The index of a Phenix also has what corrects skewed images.
    layout:
        Where things lie.
    measurement_folder:
        Put ``<name>__<date>-Measurement 1`` between the folder of the plate and the rest.
    index_name:
        Name of the index; None for the habit of version and layout.
    first_timepoint_id:
        ``TimepointID`` of the first timepoint, 0 or 1; names of files and images count from 1 either way. None for the
        habit of the version.
    plate_type:
        Name of the labware.
    plate_rows, plate_columns:
        Format of the plate.
    pixel_size_um, z_spacing_um, overlap:
        Geometry; *overlap* is the fraction that neighbouring fields share.
    jitter_um:
        Largest distance, in x and in y, of a field from where the stage was sent; it differs by well and field.
    autofocus_um:
        Largest distance of the found focus from the nominal one; it differs by well, field and timepoint.
    missing_fields:
        Wells and vendor's field numbers that are neither listed nor on disk.
    unwritten:
        Names of files that the index lists and that are not on disk.
    unlisted:
        Names of files that are on disk and not in the index.
    seed:
        Source of everything random.

    Raises
    ------
    ConfigError
        The description contradicts itself.
    """

    name: str = "Plate_1"
    wells: tuple[str, ...] = ("B02", "B03")
    field_mask: tuple[str, ...] = ("xxx", "xxx", "xxx")
    field_offsets_um: tuple[tuple[float, float], ...] | None = None
    channels: tuple[HarmonyChannel, ...] = (HarmonyChannel(),)
    size: tuple[int, int] = (64, 64)
    z_planes: int = 1
    timepoints: int = 1
    version: Version = Version.V5
    instrument: str = "Phenix"
    layout: Layout = Layout.IMAGES
    measurement_folder: bool = False
    index_name: str | None = None
    first_timepoint_id: int | None = None
    plate_type: str = "96 Greiner µClear"
    plate_rows: int = 8
    plate_columns: int = 12
    pixel_size_um: float = 0.65
    z_spacing_um: float = 2.0
    overlap: float = 0.0
    jitter_um: float = 0.0
    autofocus_um: float = 2.0
    missing_fields: frozenset[tuple[str, int]] = frozenset()
    unwritten: frozenset[str] = frozenset()
    unlisted: frozenset[str] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ConfigError(f"Opera Phenix plate {self.name}: {problem}")

    def _problems(self) -> Iterator[str]:
        if not self.name or "/" in self.name:
            yield "the name must be one of a folder"
        if not self.wells or len(set(self.wells)) < len(self.wells):
            yield f"wells {self.wells} must be at least one, each once"
        for row, column in map(split_well, self.wells):
            if row >= self.plate_rows or column >= self.plate_columns:
                yield f"wells {self.wells} must fit on {self.plate_rows} rows and {self.plate_columns} columns"
        for name, count in (
            ("z_planes", self.z_planes),
            ("timepoints", self.timepoints),
            ("number of channels", len(self.channels)),
        ):
            if count < 1:
                yield f"{name} is {count}; expected at least 1"
        if self.first_timepoint_id not in (None, 0, 1):
            yield f"first_timepoint_id is {self.first_timepoint_id}; expected 0, 1 or None"
        yield from self._field_problems()
        for number, channel in enumerate(self.channels, start=1):
            profile = channel.flatfield or Flatfield()
            for polynomial in (profile.background, profile.foreground or ()):
                if any(len(row) != degree + 1 for degree, row in enumerate(polynomial)):
                    yield f"channel {number} has the polynomial {polynomial}; expected a triangle of coefficients"
        if self.unwritten or self.unlisted:
            yield from self._unmatched_problems()

    def _field_problems(self) -> Iterator[str]:
        mask = self.field_mask
        if self.field_offsets_um is None and (len(set(map(len, mask))) != 1 or set("".join(mask)) - set("x.")):
            yield f"field_mask {mask} must be equally long rows of 'x' and '.'"
        if not self.offsets_um or len(set(self.offsets_um)) < len(self.offsets_um):
            yield "there must be at least one field, and no two at the same place"
        if not 0 <= self.jitter_um < self._jitter_limit_um:
            yield f"jitter_um is {self.jitter_um}; expected less than {self._jitter_limit_um:g}, a quarter of a step"
        unknown = self.missing_fields - set(itertools.product(self.wells, range(1, len(self.offsets_um) + 1)))
        if unknown:
            yield f"missing_fields names {sorted(unknown)}, which the plate would not have"
        if not self.field_numbers:
            yield "missing_fields leaves nothing"

    def _unmatched_problems(self) -> Iterator[str]:
        images = list(self.images())
        for what in ("unwritten", "unlisted"):
            unknown = getattr(self, what) - {image.name for image in images}
            if unknown:
                yield f"{what} names {sorted(unknown)}, which the plate would not have"
        if self.unwritten & self.unlisted:
            yield f"{sorted(self.unwritten & self.unlisted)} are both unwritten and unlisted"
        if {image.field_id for image in images if self.lists(image)} < set(self.field_numbers):
            yield "a field that the index lists in no well would have no position"

    @cached_property
    def offsets_um(self) -> tuple[tuple[float, float], ...]:
        """Nominal x and y of every field relative to the centre of its well, y up; the vendor's field 1 comes first."""
        if self.field_offsets_um is not None:
            return self.field_offsets_um
        rows, columns = len(self.field_mask), len(self.field_mask[0])
        step = self.pixel_size_um * (1 - self.overlap)
        snake = [
            ((column - (columns - 1) / 2) * step * self.size[1], ((rows - 1) / 2 - row) * step * self.size[0])
            for row, signs in enumerate(self.field_mask)
            for column in (range(columns) if row % 2 == 0 else reversed(range(columns)))
            if signs[column] == "x"
        ]
        first = min(snake, key=lambda place: math.hypot(*place), default=None)
        return tuple(sorted(snake, key=lambda place: place != first))

    @cached_property
    def field_numbers(self) -> dict[int, int]:
        """The canonical number of every vendor's field number: row by row from the top, each from the left.

        Fields that are missing in all wells have none.
        """
        there = [
            field_id
            for field_id in range(1, len(self.offsets_um) + 1)
            if any((well, field_id) not in self.missing_fields for well in self.wells)
        ]
        raster = sorted(there, key=lambda field_id: (-self.offsets_um[field_id - 1][1], self.offsets_um[field_id - 1]))
        return {field_id: number for number, field_id in enumerate(raster, start=1)}

    @property
    def _jitter_limit_um(self) -> float:
        """A quarter of the smallest distance between two columns or rows: with less, their order stays clear."""
        gaps = [
            second - first
            for axis in zip(*self.offsets_um, strict=True)
            for first, second in itertools.pairwise(sorted(set(axis)))
        ]
        return min(gaps, default=math.inf) / 4

    def position_um(self, well: str, field_id: int) -> tuple[float, float]:
        """Return where the stage stood, as x and y in µm from the centre of the well, y up."""
        x, y = self.offsets_um[field_id - 1]
        if self.jitter_um == 0:
            return x, y
        rng = np.random.default_rng([self.seed, *split_well(well), field_id])
        by_x, by_y = rng.uniform(-self.jitter_um, self.jitter_um, 2).tolist()
        return x + by_x, y + by_y

    def focus_um(self, well: str, field_id: int, timepoint: int) -> float:
        """Return the height of the objective that the autofocus found, in µm."""
        rng = np.random.default_rng([self.seed, *split_well(well), field_id, timepoint])
        return _BASE_UM + rng.uniform(-self.autofocus_um, self.autofocus_um)

    def height_um(self, key: PlaneKey) -> float:
        """Return the height of a plane relative to the focus in µm."""
        return self.channels[key.channel - 1].height_um + self.z_spacing_um * (key.z - 1)

    @property
    def timepoint_base(self) -> int:
        """``TimepointID`` of the first timepoint."""
        if self.first_timepoint_id is not None:
            return self.first_timepoint_id
        return 0 if self.version is Version.V5 else 1

    @property
    def base_folder(self) -> Path:
        """Folder with everything of the plate, relative to the folder it is written into."""
        inner = [f"{self.name}__2024-01-15T09_00_00-Measurement 1"] if self.measurement_folder else []
        return Path(self.name, *inner)

    @property
    def image_folder(self) -> Path:
        """Folder that the names of the images start from."""
        inner = {Layout.FLAT: "", Layout.ARCHIVE: "images"}.get(self.layout, "Images")
        return self.base_folder / inner

    @property
    def index_file(self) -> Path:
        """The index."""
        folder = self.base_folder if self.layout is Layout.ABOVE else self.image_folder
        habit = "Index.idx.xml" if self.version is Version.V5 else "Index.xml"
        return folder / (self.index_name or (habit.lower() if self.layout is Layout.ARCHIVE else habit))

    def index_files(self, folder: str | os.PathLike[str] = ".") -> list[Path]:
        """Return the one index that the plate has below *folder*."""
        return [Path(folder, self.index_file)]

    def images(self) -> Iterator[HarmonyImage]:
        """Yield every plane, listed or written or both, in the order of the vendor's numbers."""
        there = sorted(self.field_numbers)
        for well in self.wells:
            for timepoint, field_id in itertools.product(range(1, self.timepoints + 1), there):
                if (well, field_id) in self.missing_fields:
                    continue
                for z, channel in itertools.product(range(1, self.z_planes + 1), range(1, len(self.channels) + 1)):
                    key = PlaneKey(well, self.field_numbers[field_id], channel, z, timepoint)
                    yield self._image(key, field_id)

    def lists(self, image: HarmonyImage) -> bool:
        """Whether the index lists a plane."""
        return image.name not in self.unlisted

    def files(self, folder: str | os.PathLike[str] = ".") -> Iterator[ImageFile]:
        """Yield every image that the plate has below *folder*: well by well, field by field."""
        images = Path(folder, self.image_folder)
        for image in self.images():
            if image.name not in self.unwritten:
                yield ImageFile(images / image.folder / image.name, image.key, self.lists(image))

    def _image(self, key: PlaneKey, field_id: int) -> HarmonyImage:
        well = _vendor_well(key.well)
        start = f"{well}f{field_id:02d}p{key.z:02d}"
        if self.layout is Layout.ARCHIVE:
            return HarmonyImage(key, field_id, well, f"{start}-ch{key.channel:02d}t{key.timepoint:02d}.tiff")
        return HarmonyImage(key, field_id, "", f"{start}-ch{key.channel}sk{key.timepoint}fk1fl1.tiff")


@lru_cache(maxsize=4096)
def _vendor_well(well: str) -> str:
    row, column = split_well(well)
    return f"r{row + 1:02d}c{column + 1:02d}"
