"""What of a step's results is written, and in which form.

A function never writes files. It declares a :class:`MaterializationSpec` for an output; the type of each options object
chooses the writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wellfield.errors import MaterializationError
from wellfield.formats import format_suffix


@dataclass(frozen=True, slots=True)
class _Options:
    """What all writers share.

    Parameters
    ----------
    source:
        Dot path to the part of the data that is written (``"summary.rows"``); all of it by default.
    filename_suffix:
        Appended to the output's own name, suffix of the format included.
    """

    source: str | None = None
    filename_suffix: str = ""


@dataclass(frozen=True, slots=True)
class _TableOptions(_Options):
    fields: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.fields, list):
            object.__setattr__(self, "fields", tuple(self.fields))


@dataclass(frozen=True, slots=True)
class CsvOptions(_TableOptions):
    """Write a table as UTF-8, comma-separated text with a header line.

    Parameters
    ----------
    fields:
        Columns to write, in this order; all by default.
    """

    filename_suffix: str = ".csv"


@dataclass(frozen=True, slots=True)
class ParquetOptions(_TableOptions):
    """Write a table as Parquet; *fields* as in :class:`CsvOptions`."""

    filename_suffix: str = ".parquet"


@dataclass(frozen=True, slots=True)
class JsonOptions(_Options):
    """Write numbers, text, lists, dictionaries, dataclasses and tables (as rows) as JSON."""

    filename_suffix: str = ".json"
    indent: int | None = 2


@dataclass(frozen=True, slots=True)
class ROIOptions(_Options):
    """Write labels ``[Z, Y, X]`` or ``[Y, X]`` as regions that ImageJ's ROI Manager opens, one per object and plane.

    See :func:`wellfield.materialization.rois.labels_to_rois`.

    Parameters
    ----------
    min_area:
        Regions of fewer pixels are left out; the manifest and the log say how many.
    """

    filename_suffix: str = ".roi.zip"
    min_area: int = 0


@dataclass(frozen=True, slots=True)
class TiffStackOptions(_Options):
    """Write an image ``[Z, Y, X]`` or ``[Y, X]`` as one TIFF file.

    Values are kept, and so is the dtype, but that whole numbers of more than 16 bits and not below 0, as labels are,
    become uint16 if all of them fit, else uint32 if they fit that.

    Parameters
    ----------
    compression:
        ``"zlib"``, ``"zstd"`` or ``"lzw"``, each without loss; none by default. ImageJ itself opens zlib and lzw.
    """

    filename_suffix: str = ".tif"
    compression: str | None = None


@dataclass(frozen=True, slots=True)
class TextOptions(_Options):
    """Write text as it is, or a number; a list of them as lines."""

    filename_suffix: str = ".txt"


Options = CsvOptions | ParquetOptions | JsonOptions | ROIOptions | TiffStackOptions | TextOptions

# How the names of each writer's files may end.
_ENDINGS: Mapping[type[Any], tuple[str, ...]] = {
    CsvOptions: (".csv",),
    ParquetOptions: (".parquet",),
    JsonOptions: (".json",),
    ROIOptions: (".roi.zip",),
    TiffStackOptions: (".tif", ".tiff", ".ome.tif", ".ome.tiff"),
    TextOptions: (".txt",),
}


@dataclass(frozen=True, slots=True, init=False)
class MaterializationSpec:
    """How one named output of a function becomes files.

    Parameters
    ----------
    *options:
        One options object per file; at least one.
    primary:
        Index of the option whose path :func:`wellfield.materialization.materialize` returns.
    allowed_backends:
        Names of the backends that may hold the output; any by default.

    Raises
    ------
    MaterializationError
        The spec could never be written: two options with one suffix, a suffix that is not of the writer's format or
        leads to another folder, *primary* beyond the options, a backend that does not exist.

    Examples
    --------
    >>> MaterializationSpec(JsonOptions(source="summary"), CsvOptions(source="rows")).primary
    0
    """

    options: tuple[Options, ...]
    primary: int
    allowed_backends: tuple[str, ...] | None

    def __init__(self, *options: Options, primary: int = 0, allowed_backends: Sequence[str] | None = None) -> None:
        if not options:
            raise MaterializationError("a spec needs at least one option, such as CsvOptions()")
        for option in options:
            _check_option(option)
        suffixes = [option.filename_suffix for option in options]
        if len({suffix.lower() for suffix in suffixes}) < len(suffixes):
            raise MaterializationError(
                f"two options would write the same file: suffixes {suffixes}; give one another filename_suffix, such "
                f"as '_details{suffixes[0]}'"
            )
        if type(primary) is not int or not 0 <= primary < len(options):
            raise MaterializationError(
                f"primary={primary!r} names none of the {len(options)} options; expected 0 to {len(options) - 1}"
            )
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "primary", primary)
        object.__setattr__(self, "allowed_backends", _checked_backends(allowed_backends))


def _check_option(option: Any) -> None:
    name = type(option).__name__
    if type(option) not in _ENDINGS:
        known = ", ".join(f"{kind.__name__}()" for kind in _ENDINGS)
        raise MaterializationError(f"{option!r} is no writer option; expected one of {known}")
    suffix, endings = option.filename_suffix, _ENDINGS[type(option)]
    if not isinstance(suffix, str) or format_suffix(suffix) not in endings:
        raise MaterializationError(
            f"{name}: filename_suffix={suffix!r} does not end with {' or '.join(endings)}, by which a file is known"
        )
    if set(suffix) & set("/\\\0"):
        raise MaterializationError(
            f"{name}: filename_suffix={suffix!r} has a path in it; files of an output lie in one folder"
        )
    source = option.source
    if source is not None and not (isinstance(source, str) and all(source.split("."))):
        raise MaterializationError(f"{name}: source={source!r}; expected names with dots between them, or None")
    if isinstance(option, _TableOptions) and option.fields is not None:
        _check_fields(name, option.fields)
    if isinstance(option, ROIOptions) and (type(option.min_area) is not int or option.min_area < 0):
        raise MaterializationError(f"{name}: min_area={option.min_area!r}; expected a number of pixels, 0 or more")
    if isinstance(option, TiffStackOptions) and option.compression is not None:
        from wellfield.formats.tiff import COMPRESSIONS

        if option.compression not in COMPRESSIONS:
            raise MaterializationError(
                f"{name}: unknown compression {option.compression!r}; expected one of {COMPRESSIONS}"
            )


def _check_fields(name: str, fields: Any) -> None:
    listed = isinstance(fields, tuple) and all(isinstance(field, str) for field in fields)
    if not listed or not fields or len(set(fields)) < len(fields):
        raise MaterializationError(f"{name}: fields={fields!r}; expected different names of columns, such as ('area',)")


def _checked_backends(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str) or not names:
        raise MaterializationError(f"allowed_backends={names!r}; expected several names such as ('disk',), or None")
    from wellfield.storage.backend import Backend

    known = {str(backend) for backend in Backend}
    if not known.issuperset(names):
        from wellfield.storage.backend_registry import STORAGE_BACKENDS, discover_all_backends

        discover_all_backends()  # other packages bring backends of their own
        known.update(STORAGE_BACKENDS)
    if unknown := [name for name in names if name not in known]:
        raise MaterializationError(
            f"allowed_backends: there is no backend {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    return tuple(str(name) for name in names)


def select(data: Any, source: str | None) -> Any:
    """Return the part of *data* that a dot path names: keys of mappings, attributes, positions in lists.

    Raises
    ------
    MaterializationError
        There is no such part.
    """
    for part in source.split(".") if source else ():
        try:
            if isinstance(data, Mapping):
                data = data[part]
            elif isinstance(data, Sequence) and not isinstance(data, str | bytes) and part.isdigit():
                data = data[int(part)]
            else:
                data = getattr(data, part)
        except (KeyError, IndexError, AttributeError):
            raise MaterializationError(f"source {source!r}: a {type(data).__name__} has no part {part!r}") from None
    return data
