"""TIFF planes and stacks: pixels, dtype, axes and calibration kept exactly.

Three forms are written. **OME-TIFF** where the suffix says so. The **ImageJ hyperstack** otherwise, which ImageJ opens
with its calibration, for what it can hold. **Plain** TIFF for the rest: other dtypes, files beyond 4 GB.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from wellfield.errors import ImageKindError
from wellfield.formats import format_suffix
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import fitting, reading

AXES = "TCZYX"
COMPRESSIONS = (None, "zlib", "zstd", "lzw")

MICROMETRES_PER_CENTIMETRE = 10_000.0
# What files call the unit of their calibration, in lower case.
_MICROMETRES = {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6} | dict.fromkeys(
    ("um", "µm", "μm", "\\u00b5m", "micron", "microns", "micrometer", "micrometre"), 1.0
)
# A resolution is a ratio of two 32-bit numbers; far outside of this range it could not be stored.
_SMALLEST_UM, _LARGEST_UM = 1e-5, 1e5

_IMAGEJ_AXES = "TZCYX"
_IMAGEJ_DTYPES = ("u1", "u2", "f4")
_OME_SUFFIXES = (".ome.tif", ".ome.tiff")
_OME_DTYPES = ("b1", "i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8", "c8", "c16")
_DTYPES = (*_OME_DTYPES, "i8", "u8", "f2")
_CLASSIC_LIMIT = 2**32 - 2**25  # bytes that 32-bit offsets can address, less what metadata may take

# The most bytes that one stored byte can become. Deflate (8, 32946): a match of 258 bytes takes 2 bits. LZW (5): a code
# of 12 bits names at most 4,096 bytes. PackBits: 2 bytes stand for 128. Zstandard (50000, 34926): 4 bytes stand for a
# block of 128 KiB; other codecs are given as much.
_EXPANSION = {1: 1, 5: 2731, 8: 1032, 32946: 1032, 32773: 64}
_OTHER_EXPANSION = 32_768

_PALETTE = 3  # photometric interpretation


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a TIFF file says of its axes.

    Parameters
    ----------
    pixel_size_um:
        Edge of a pixel in µm, along X; ``None`` when unknown.
    z_spacing_um:
        Distance of two planes in µm; ``None`` when unknown.
    axes:
        Axes of what :func:`read_tiff` returns, such as ``"ZYX"``.
    channel_names:
        One for each channel; empty when unknown.
    """

    pixel_size_um: float | None
    z_spacing_um: float | None
    axes: str
    channel_names: tuple[str, ...] = ()


def read_tiff(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a TIFF file with their dtype.

    Axes are in the order ``TCZYX``; those of length one are left out, except Y and X: ``[Y, X]`` for one plane,
    ``[Z, Y, X]`` for several. :func:`read_calibration` tells which there are. Files that the metadata names beside this
    one are not opened.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is empty, truncated, lacks a part of its pixels, or is no TIFF.
    ImageKindError
        Its pixels are numbers of colours in a palette, or it holds several images of different kinds.
    """
    with reading(path, "TIFF"), _open(path) as file:
        series = _only_series(file, path)
        _check_promise(file, series)
        array: np.ndarray[Any, Any] = series.asarray()
        order = _house_order(series.axes, array.shape)
        dropped = [axis for axis in range(array.ndim) if axis not in order]
        if order != list(range(array.ndim)):
            array = array.transpose(*order, *dropped).reshape([array.shape[axis] for axis in order])
        if array.size == 0:
            raise ValueError("it holds no pixel")
        return array


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Return axes, pixel size and z spacing of a TIFF file; what the file does not say stays unknown.

    Raises
    ------
    DataNotFoundError, UnreadableImageError, ImageKindError
        As for :func:`read_tiff`.
    """
    return read_tiff_header(path)[2]


def read_tiff_header(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], str, Calibration]:
    """Return shape and dtype of what :func:`read_tiff` returns, and the calibration, without reading pixels.

    Raises
    ------
    DataNotFoundError, UnreadableImageError, ImageKindError
        As for :func:`read_tiff`.
    """
    with reading(path, "TIFF"), _open(path) as file:
        series = _only_series(file, path)
        order = _house_order(series.axes, series.shape)
        shape = tuple(int(series.shape[axis]) for axis in order)
        axes = "".join(series.axes[axis] for axis in order)
        return shape, np.dtype(series.dtype).newbyteorder("=").name, _calibration(file, axes)


def read_pixel_size(path: str | os.PathLike[str]) -> float | None:
    """Return the pixel size in µm that :func:`write_tiff` put into a file, or ``None``."""
    return read_calibration(path).pixel_size_um


def write_tiff(
    path: str | os.PathLike[str],
    array: Any,
    *,
    pixel_size_um: float | None = None,
    z_spacing_um: float | None = None,
    axes: str | None = None,
    channel_names: Sequence[str] | None = None,
    compression: str | None = None,
    ome: bool | None = None,
) -> None:
    """Write an array as TIFF, atomically and without loss.

    Parameters
    ----------
    array:
        Numbers or booleans. What an ImageJ hyperstack holds (uint8, uint16, float32) is written as one; every other
        dtype as plain TIFF with the same calibration.
    pixel_size_um, z_spacing_um:
        Edge of a pixel and distance of two planes in µm; no calibration is written when unknown.
    axes:
        Axes of *array*: letters of ``TCZYX``, the last two ``YX``. ``"YX"`` and ``"ZYX"`` need not be given.
    channel_names:
        One name for each channel. Only OME-TIFF holds them.
    compression:
        ``"zlib"``, ``"zstd"`` or ``"lzw"``, each without loss; none by default. ImageJ itself opens zlib and lzw.
    ome:
        Whether to write OME-TIFF; by default for names that end with ``.ome.tif`` or ``.ome.tiff``.

    Raises
    ------
    UnknownFormatError
        TIFF cannot hold the array, or an option does not fit it.
    """
    import tifffile

    values = np.asarray(array)
    with fitting(path, f"TIFF cannot hold {values.dtype} {list(values.shape)} with these options", ValueError):
        axes = _checked_axes(values, axes)
        for length in (pixel_size_um, z_spacing_um):
            if length is not None and not _SMALLEST_UM <= length <= _LARGEST_UM:
                raise ValueError(f"{length} is no size in µm; expected {_SMALLEST_UM} to {_LARGEST_UM}, or None")
        if compression not in COMPRESSIONS:
            raise ValueError(f"unknown compression {compression!r}; expected one of {COMPRESSIONS}")
        if ome is None:
            ome = format_suffix(path) in _OME_SUFFIXES
        if ome and values.dtype.str[1:] not in _OME_DTYPES:
            raise ValueError(f"OME-TIFF has no type {values.dtype}; write it as .tif, or convert it")
        if channel_names is not None:
            _check_channel_names(channel_names, values.shape[axes.index("C")] if "C" in axes else 1, ome)

    options: dict[str, Any] = {"photometric": "minisblack", "compression": compression}
    if compression and values.dtype.kind in "iu" and values.dtype.itemsize <= 4:
        options["predictor"] = True  # neighbouring pixels are alike, their differences small
    if ome:
        options |= _ome_options(axes, pixel_size_um, z_spacing_um, channel_names)
    elif _fits_imagej(values, pixel_size_um, z_spacing_um):
        values = values.transpose([axes.index(axis) for axis in _IMAGEJ_AXES if axis in axes])
        options |= _imagej_options(axes, pixel_size_um, z_spacing_um)
    else:
        options |= _plain_options(axes, pixel_size_um, z_spacing_um)
    with atomic_path(path) as part:
        try:
            tifffile.imwrite(part, values, **options)
        except OSError as error:
            _raise_with_number(error, part, values.nbytes)


# --- writing ---------------------------------------------------------------------------------------------------------


def _checked_axes(values: np.ndarray[Any, Any], axes: str | None) -> str:
    if values.dtype.str[1:] not in _DTYPES or values.ndim < 2 or not values.size:
        raise ValueError("expected at least one pixel [Y, X] of numbers")
    if axes is None:
        if values.ndim > 3:
            raise ValueError("axes are not known; name them, such as axes='CZYX'")
        return "ZYX"[-values.ndim :]
    axes = axes.upper()
    if len(axes) != values.ndim or len(set(axes)) != len(axes) or set(axes) - set(AXES) or axes[-2:] != "YX":
        raise ValueError(f"axes {axes!r} do not fit; expected one letter of {AXES} for each, the last two YX")
    return axes


def _check_channel_names(names: Sequence[str], channels: int, ome: bool) -> None:
    if not ome:
        raise ValueError("only OME-TIFF holds names of channels; name the file .ome.tif")
    if isinstance(names, str) or len(names) != channels:
        raise ValueError(f"{len(names)} channel names for {channels} channels")
    if odd := [name for name in names if not name.isprintable()]:
        raise ValueError(f"channel name {odd[0]!r} has characters that XML cannot hold")


def _fits_imagej(values: np.ndarray[Any, Any], pixel_size_um: float | None, z_spacing_um: float | None) -> bool:
    """Tell whether the ImageJ form can hold an array.

    It has one unit for all lengths, so a spacing without a pixel size would invent a pixel of 1 µm. tifffile takes the
    X axis of stacks of one column for colour.
    """
    return (
        values.dtype.str[1:] in _IMAGEJ_DTYPES
        and values.nbytes <= _CLASSIC_LIMIT
        and (values.ndim == 2 or values.shape[-1] > 1)
        and (pixel_size_um is not None or z_spacing_um is None)
    )


def _imagej_options(axes: str, pixel_size_um: float | None, z_spacing_um: float | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "".join(axis for axis in _IMAGEJ_AXES if axis in axes)}
    if pixel_size_um is None:
        return {"imagej": True, "metadata": metadata}
    metadata |= {"unit": "um"} if z_spacing_um is None else {"unit": "um", "spacing": z_spacing_um}
    return {"imagej": True, "metadata": metadata, "resolution": (1 / pixel_size_um,) * 2, "resolutionunit": "NONE"}


def _plain_options(axes: str, pixel_size_um: float | None, z_spacing_um: float | None) -> dict[str, Any]:
    metadata = {"axes": axes} if z_spacing_um is None else {"axes": axes, "unit": "um", "spacing": z_spacing_um}
    return {"metadata": metadata} | _resolution_per_centimetre(pixel_size_um)


def _ome_options(
    axes: str, pixel_size_um: float | None, z_spacing_um: float | None, channel_names: Sequence[str] | None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    for axis, length in (("X", pixel_size_um), ("Y", pixel_size_um), ("Z", z_spacing_um)):
        if length is not None:
            metadata |= {f"PhysicalSize{axis}": float(length), f"PhysicalSize{axis}Unit": "µm"}
    if channel_names is not None:
        metadata["Channel"] = {"Name": list(channel_names)}
    return {"ome": True, "metadata": metadata} | _resolution_per_centimetre(pixel_size_um)


def _resolution_per_centimetre(pixel_size_um: float | None) -> dict[str, Any]:
    if pixel_size_um is None:
        return {}
    return {"resolution": (MICROMETRES_PER_CENTIMETRE / pixel_size_um,) * 2, "resolutionunit": "CENTIMETER"}


def _raise_with_number(error: OSError, part: Path, needed: int) -> NoReturn:
    """Raise *error*, as that of a full disk if it is one: NumPy reports a short write without a number."""
    if error.errno is None:
        disk = os.statvfs(part.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    raise error


# --- reading ---------------------------------------------------------------------------------------------------------


def _open(path: str | os.PathLike[str]) -> Any:
    import tifffile

    return tifffile.TiffFile(Path(path), _multifile=False)  # OME metadata may name other files, anywhere


def _only_series(file: Any, path: str | os.PathLike[str]) -> Any:
    if file.pages.first.photometric == _PALETTE:
        raise ImageKindError(
            f"{os.fspath(path)} has colours from a palette, whose numbers are no intensities; export it as grey"
        )
    if file.is_ome and "<!DOCTYPE" in file.pages.first.description:
        raise ValueError("its OME metadata declares XML entities, which are not read")
    try:
        whole = [series for series in file.series if not series.keyframe.is_reduced]  # not a thumbnail beside the image
        first, *others = whole or file.series
    except MemoryError as error:  # a description needs little memory: a count in it is wrong
        raise ValueError(f"its header asks for more memory than there is ({error})") from error
    if others:
        shapes = ", ".join(f"{list(series.shape)} {series.dtype}" for series in (first, *others[:3]))
        raise ImageKindError(
            f"{os.fspath(path)} holds {len(others) + 1} images that make no stack ({shapes}); expected one: export "
            "each to a file of its own"
        )
    return first


def _check_promise(file: Any, series: Any) -> None:
    """Raise if the header promises more pixels than the file can hold: a wrong byte must not allocate gigabytes."""
    page = series.keyframe
    promised = series.size * page.bitspersample // 8
    expansion = _EXPANSION.get(int(page.compression), _OTHER_EXPANSION)
    if promised > file.filehandle.size * expansion:
        raise ValueError(f"its header promises {promised} bytes of pixels")
    if series.dataoffset is not None:
        return
    for page in series.pages:
        # tifffile gives black for what is not there, and makes room for what the header says is there.
        if page is None or 0 in page.databytecounts:
            raise ValueError("a part of its pixels is missing")
        if max(page.databytecounts, default=0) > file.filehandle.size:
            raise ValueError(f"its header promises {max(page.databytecounts)} bytes of one piece")


def _house_order(axes: str, shape: Sequence[int]) -> list[int]:
    """Return the axes to keep, by number: all of Y, X and samples, and of the others those longer than one."""
    keep = [i for i, (axis, length) in enumerate(zip(axes, shape, strict=True)) if length > 1 or axis in "YXS"]
    if set(axes) <= set(AXES):
        keep.sort(key=lambda i: AXES.index(axes[i]))
    return keep


def _pixels_per_unit(file: Any) -> float | None:
    tag = file.pages.first.tags.get("XResolution")
    return tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else None


def _centimetre_resolution(file: Any) -> float | None:
    """Return the pixel size of the resolution tags, if their unit is the centimetre: inches are a printer's default."""
    unit = file.pages.first.tags.get("ResolutionUnit")
    return _length(_pixels_per_unit(file), "cm", inverse=True) if unit is not None and unit.value == 3 else None


def _calibration(file: Any, axes: str) -> Calibration:
    if file.is_ome:
        size, spacing, names = _ome_calibration(file.ome_metadata)
        return Calibration(size or _centimetre_resolution(file), spacing, axes, names)
    if file.is_imagej:
        imagej = file.imagej_metadata or {}
        return Calibration(
            _length(_pixels_per_unit(file), imagej.get("unit"), inverse=True),
            _length(imagej.get("spacing"), imagej.get("unit")),
            axes,
        )
    metadata: dict[str, Any] = (file.shaped_metadata or ({},))[0]
    return Calibration(_centimetre_resolution(file), _length(metadata.get("spacing"), metadata.get("unit")), axes)


def _ome_calibration(text: str) -> tuple[float | None, float | None, tuple[str, ...]]:
    from xml.etree import ElementTree

    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    if pixels is None:
        return None, None, ()
    sizes = [
        _length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in ("X", "Z")
    ]
    names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    return sizes[0], sizes[1], tuple(name for name in names if name) if all(names) else ()


def _length(value: Any, unit: Any, *, inverse: bool = False) -> float | None:
    """Return a length in µm, or ``None`` where value or unit say nothing."""
    factor = _MICROMETRES.get(str(unit).lower())
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if factor is None or not number > 0 or math.isinf(number):
        return None
    return (1 / number if inverse else number) * factor
