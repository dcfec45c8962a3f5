"""The types of output files: one class each, which says everything that makes a file of a result in memory.

A new type is one class here, a line in :data:`OUTPUT_TYPES` and an export of the package; a new file format is a module
of :mod:`wellfield.formats` besides. Nothing else in the project asks which type an output has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Literal

from wellfield.errors import MaterializationError
from wellfield.formats import format_suffix
from wellfield.materialization import values

# The folders of a plate's results that output files go to; each holds a folder for every well.
ResultFolder = Literal["images", "rois", "tables"]


class StagedForm(StrEnum):
    """How a value waits for its writer between the two jobs of a well; the value is the suffix of the staged file.

    Tables and JSON values of all fields are joined to one file for the well; arrays and text stay one file each.
    """

    ARRAY = ".npy"
    TEXT = ".txt"
    TABLE = ".parquet"
    JSON = ".json"


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """The image that a result belongs to, as far as it is known; TIFF files and regions record it.

    Parameters
    ----------
    channel, timepoint:
        Numbers, counted from 1.
    z:
        Number of each plane, counted from 1.
    pixel_size_um, z_spacing_um:
        Edge of a pixel and distance between two planes in µm.
    """

    channel: int | None = None
    z: Sequence[int] | None = None
    timepoint: int | None = None
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None


@dataclass(frozen=True, slots=True)
class OutputType(ABC):
    """What all types share. An instance is one option of a :class:`MaterializationSpec`: one file of an output.

    Parameters
    ----------
    source:
        Dot path to the part of the data that is written (``"summary.rows"``); all of it by default.
    filename_suffix:
        Appended to the name of the output, suffix of the format included.
    """

    source: str | None = None
    filename_suffix: str = ""

    #: The suffixes that a file of this type may end with.
    endings: ClassVar[tuple[str, ...]]
    staged_form: ClassVar[StagedForm]
    folder: ClassVar[ResultFolder] = "tables"
    #: Whether the zarr backend can hold it.
    in_zarr: ClassVar[bool] = False

    @abstractmethod
    def encode(self, value: Any, place: ImagePlace) -> Any:
        """Return *value* in the form that the writer of the file format takes.

        Raises
        ------
        WellfieldError
            The value does not fit the format.
        """

    def save_settings(self, content: Any, place: ImagePlace) -> dict[str, Any]:
        """Return the settings with which encoded *content* is saved to a file."""
        return {}

    def counts(self, value: Any) -> dict[str, int]:
        """Return what the manifest and the log count about *value* besides its shape, such as what is left out."""
        return {}

    def check(self) -> None:
        """Raise if nothing could ever be written with these fields.

        Raises
        ------
        MaterializationError
            It says which field, and what was expected.
        """
        suffix, source = self.filename_suffix, self.source
        if not isinstance(suffix, str) or format_suffix(suffix) not in self.endings:
            raise self._error(
                f"filename_suffix={suffix!r} does not end with {' or '.join(self.endings)}, by which a file is known"
            )
        if set(suffix) & set("/\\\0"):
            raise self._error(
                f"filename_suffix={suffix!r} holds a path; all files of an output are written to one folder"
            )
        if source is not None and not (isinstance(source, str) and all(source.split("."))):
            raise self._error(f"source={source!r}; expected names with dots between them, or None")

    def _error(self, problem: str) -> MaterializationError:
        return MaterializationError(f"{type(self).__name__}: {problem}")


@dataclass(frozen=True, slots=True)
class _TableOptions(OutputType):
    fields: Sequence[str] | None = None

    staged_form = StagedForm.TABLE

    def __post_init__(self) -> None:
        if isinstance(self.fields, list):
            object.__setattr__(self, "fields", tuple(self.fields))

    def check(self) -> None:
        # Without arguments, super() fails in a class with slots: dataclass makes a second class.
        OutputType.check(self)
        names = self.fields
        if names is None:
            return
        listed = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
        if not listed or not names or len(set(names)) < len(names):
            raise self._error(f"fields={names!r}; expected different names of columns, such as ('area',)")

    def encode(self, value: Any, place: ImagePlace) -> Any:
        return values.as_table(value, self.fields)


@dataclass(frozen=True, slots=True)
class CsvOptions(_TableOptions):
    """Write a table as UTF-8, comma-separated text with a header line.

    Parameters
    ----------
    fields:
        Columns to write, in this order; all by default.
    """

    filename_suffix: str = ".csv"

    endings = (".csv",)


@dataclass(frozen=True, slots=True)
class ParquetOptions(_TableOptions):
    """Write a table as Parquet; *fields* as in :class:`CsvOptions`."""

    filename_suffix: str = ".parquet"

    endings = (".parquet",)


@dataclass(frozen=True, slots=True)
class JsonOptions(OutputType):
    """Write numbers, text, lists, dictionaries, dataclasses and tables (as rows) as JSON.

    Parameters
    ----------
    indent:
        Spaces per level; ``None`` writes everything on one line.
    """

    filename_suffix: str = ".json"
    indent: int | None = 2

    endings = (".json",)
    staged_form = StagedForm.JSON

    def encode(self, value: Any, place: ImagePlace) -> Any:
        """Return JSON values; a single text becomes JSON text."""
        return values.as_json(value)

    def save_settings(self, content: Any, place: ImagePlace) -> dict[str, Any]:
        """Return the indent."""
        return {"indent": self.indent}


@dataclass(frozen=True, slots=True)
class TextOptions(OutputType):
    """Write text as it is, or a number; a list of them as lines."""

    filename_suffix: str = ".txt"

    endings = (".txt",)
    staged_form = StagedForm.TEXT

    def encode(self, value: Any, place: ImagePlace) -> Any:
        """Return the text of the file."""
        return values.as_text(value)


@dataclass(frozen=True, slots=True)
class ROIOptions(OutputType):
    """Write labels ``[Z, Y, X]`` or ``[Y, X]`` as regions that ImageJ's ROI Manager opens, one per object and plane.

    See :func:`wellfield.materialization.rois.labels_to_rois`.

    Parameters
    ----------
    min_area:
        Regions of fewer pixels are left out; the manifest and the log say how many.
    """

    filename_suffix: str = ".roi.zip"
    min_area: int = 0

    endings = (".roi.zip",)
    staged_form = StagedForm.ARRAY
    folder = "rois"

    def check(self) -> None:
        """Raise for a wrong *min_area* too."""
        OutputType.check(self)
        if type(self.min_area) is not int or self.min_area < 0:
            raise self._error(f"min_area={self.min_area!r}; expected a number of pixels, 0 or more")

    def encode(self, value: Any, place: ImagePlace) -> Any:
        """Return ImageJ regions with their place in the hyperstack."""
        return values.as_rois(value, place.channel, place.timepoint, place.z, min_area=self.min_area)

    def counts(self, value: Any) -> dict[str, int]:
        """Return how many regions are too small to be written."""
        if not self.min_area:
            return {}
        from wellfield.materialization.rois import count_small_regions

        return {"regions_left_out": count_small_regions(value, self.min_area)}


@dataclass(frozen=True, slots=True)
class TiffStackOptions(OutputType):
    """Write an image ``[Z, Y, X]`` or ``[Y, X]`` as one TIFF file.

    Values are kept. So is the dtype, with one exception: whole numbers of more than 16 bits, such as labels, become
    uint16 if all of them are 0 to 65,535, else uint32 if they fit that.

    Parameters
    ----------
    compression:
        A lossless codec, see :class:`~wellfield.formats.tiff.TiffCompression`; none by default. ImageJ opens zlib
        and lzw.
    """

    filename_suffix: str = ".tif"
    compression: str | None = None

    endings = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
    staged_form = StagedForm.ARRAY
    folder = "images"
    in_zarr = True

    def check(self) -> None:
        """Raise for an unknown *compression* too."""
        OutputType.check(self)
        if self.compression is not None:
            from wellfield.formats.tiff import COMPRESSIONS

            if self.compression not in COMPRESSIONS:
                raise self._error(f"unknown compression {self.compression!r}; expected one of {COMPRESSIONS}")

    def encode(self, value: Any, place: ImagePlace) -> Any:
        """Return the pixels as a NumPy array."""
        return values.as_image(value)

    def save_settings(self, content: Any, place: ImagePlace) -> dict[str, Any]:
        """Return calibration and compression."""
        return {
            "pixel_size_um": place.pixel_size_um,
            "z_spacing_um": place.z_spacing_um if content.ndim == 3 else None,
            "compression": self.compression,
        }


#: All types by name: those that a spec may have, and that a stored plan names.
OUTPUT_TYPES: Mapping[str, type[OutputType]] = {
    kind.__name__: kind for kind in (CsvOptions, ParquetOptions, JsonOptions, ROIOptions, TiffStackOptions, TextOptions)
}
