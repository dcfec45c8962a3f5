"""TIFF planes and stacks. Pixels, dtype, axes and calibration are kept exactly.

One of three forms is written: **OME-TIFF** if the suffix says so; otherwise an **ImageJ hyperstack**, which ImageJ
opens with its calibration, if that form can hold the array; **plain** TIFF for the rest (other dtypes, files beyond
4 GB).
"""

from __future__ import annotations

import errno
import math
import operator
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from wellfield.errors import ImageKindError
from wellfield.formats import format_suffix
from wellfield.formats.atomic import atomic_path
from wellfield.formats.length_units import micrometres
from wellfield.formats.pixel_meaning import check_orientation, check_palette
from wellfield.formats.reading import open_file, reading, wrap_write_errors

AXES = "TCZYX"


class TiffCompression(StrEnum):
    """Lossless codec of TIFF files."""

    NONE = "none"
    ZLIB = "zlib"
    ZSTD = "zstd"
    LZW = "lzw"


COMPRESSIONS = (None, *map(str, TiffCompression))

MICROMETRES_PER_CENTIMETRE = 10_000.0
# A resolution is a ratio of two 32-bit numbers, and cannot hold values far outside this range.
_SMALLEST_UM, _LARGEST_UM = 1e-5, 1e5

_IMAGEJ_AXES = "TZCYX"
_IMAGEJ_DTYPES = ("u1", "u2", "f4")
_OME_SUFFIXES = (".ome.tif", ".ome.tiff")
_OME_DTYPES = ("b1", "i1", "i2", "i4", "u1", "u2", "u4", "f4", "f8", "c8", "c16")
_DTYPES = (*_OME_DTYPES, "i8", "u8", "f2")
_CLASSIC_LIMIT = 2**32 - 2**25  # bytes that 32-bit offsets can address, minus space for metadata

# The most bytes that one stored byte can become. Deflate (8, 32946): a match of 258 bytes takes 2 bits. LZW (5): a code
# of 12 bits stands for at most 4,096 bytes. PackBits: 2 bytes stand for 128. Zstandard (50000, 34926): 4 bytes stand
# for a block of 128 KiB; other codecs get the same limit.
_EXPANSION = {1: 1, 5: 2731, 8: 1032, 32946: 1032, 32773: 64}
_OTHER_EXPANSION = 32_768

# Photometric interpretations. Numbers of pixels are intensities if black is 0, in RGB, or in some palettes.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3

# JPEG (6, 7, 33007, 34892) and JPEG 2000: their decoders fill in missing data. The data of both ends with a marker.
_FILLED_IN = (6, 7, 33007, 34892, 33003, 33004, 33005, 34712)
_END_MARK = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a TIFF file says about its axes.

    Parameters
    ----------
    pixel_size_um:
        Edge of a pixel in µm, along X; ``None`` when unknown.
    z_spacing_um:
        Distance of two planes in µm; ``None`` when unknown.
    axes:
        Axes of the array from :func:`read_tiff`, such as ``"ZYX"``.
    channel_names:
        One for each channel; empty when unknown.
    """

    pixel_size_um: float | None
    z_spacing_um: float | None
    axes: str
    channel_names: tuple[str, ...] = ()


def read_tiff(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """Return the pixels of a TIFF file with their dtype.

    Axes are in the order ``TCZYX``. Axes of length one are left out, except Y and X: one plane is ``[Y, X]``, several
    are ``[Z, Y, X]``. :func:`read_calibration` returns the axes. Other files that the metadata names are not opened.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is empty, truncated, lacks a part of its pixels, or is not a TIFF.
    ImageKindError
        Its numbers are not plain intensities (colours from a palette, white as 0, rows that begin at the bottom), or it
        holds other images than its metadata says.
    """
    with reading(path, "TIFF"), _open(path) as file:
        series = _checked_series(file, path)
        array: np.ndarray[Any, Any] = _pixels(file, series)
        order = _house_order(series.axes, array.shape)
        dropped = [axis for axis in range(array.ndim) if axis not in order]
        if order != list(range(array.ndim)):
            array = array.transpose(*order, *dropped).reshape([array.shape[axis] for axis in order])
        if array.size == 0:
            raise ValueError("it holds no pixel")
        return array


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Return axes, pixel size and z spacing of a TIFF file; a value that is not in the file is unknown.

    Raises
    ------
    DataNotFoundError, UnreadableImageError, ImageKindError
        As for :func:`read_tiff`.
    """
    return read_tiff_header(path)[2]


def read_tiff_header(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], str, Calibration]:
    """Return shape and dtype of the array from :func:`read_tiff`, and the calibration, without reading pixels.

    Everything is checked that does not need decoded pixels: the meaning of the numbers, the number of planes, and
    whether the file is as long as its tags say.

    Raises
    ------
    DataNotFoundError, UnreadableImageError, ImageKindError
        As for :func:`read_tiff`.
    """
    with reading(path, "TIFF"), _open(path) as file:
        series = _checked_series(file, path)
        order = _house_order(series.axes, series.shape)
        shape = tuple(int(series.shape[axis]) for axis in order)
        axes = "".join(series.axes[axis] for axis in order)
        return shape, np.dtype(series.dtype).newbyteorder("=").name, _calibration(file, axes)


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
        Numbers or booleans. Dtypes that an ImageJ hyperstack can hold (uint8, uint16, float32) are written as one;
        every other dtype is written as plain TIFF with the same calibration.
    pixel_size_um, z_spacing_um:
        Edge of a pixel and distance of two planes in µm; an unknown value (``None``) is not written.
    axes:
        Axes of *array*: letters of ``TCZYX``, the last two ``YX``. ``"YX"`` and ``"ZYX"`` need not be given.
    channel_names:
        One name for each channel. Only OME-TIFF holds them.
    compression:
        One of :class:`TiffCompression`, or its text; none by default. Of the codecs, ImageJ itself opens zlib and lzw.
    ome:
        Whether to write OME-TIFF; by default for names that end with ``.ome.tif`` or ``.ome.tiff``.

    Raises
    ------
    UnknownFormatError
        TIFF cannot hold the array, or an option does not fit it.
    """
    import tifffile

    values = np.asarray(array)
    with wrap_write_errors(
        path, f"TIFF cannot hold {values.dtype} {list(values.shape)} with these options", ValueError
    ):
        axes = _checked_axes(values, axes)
        for length in (pixel_size_um, z_spacing_um):
            if length is not None and not _SMALLEST_UM <= length <= _LARGEST_UM:
                raise ValueError(f"{length} is not a size in µm; expected {_SMALLEST_UM} to {_LARGEST_UM}, or None")
        if compression not in COMPRESSIONS:
            raise ValueError(f"unknown compression {compression!r}; expected one of {COMPRESSIONS}")
        if ome is None:
            ome = format_suffix(path) in _OME_SUFFIXES
        if ome and values.dtype.str[1:] not in _OME_DTYPES:
            raise ValueError(f"OME-TIFF has no type {values.dtype}; write it as .tif, or convert it")
        if channel_names is not None:
            _check_channel_names(channel_names, values.shape[axes.index("C")] if "C" in axes else 1, ome)

    codec = None if compression in (None, TiffCompression.NONE) else str(compression)
    options: dict[str, Any] = {"photometric": "minisblack", "compression": codec}
    if codec and values.dtype.kind in "iu" and values.dtype.itemsize <= 4:
        options["predictor"] = True  # neighbouring pixels are similar, so their differences are small
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

    ImageJ has one unit for all lengths, so a spacing without a pixel size would invent a pixel of 1 µm. In a stack with
    one column, tifffile takes the X axis for colour.
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
    """Raise *error*, or the error of a full disk if the disk is full: NumPy reports a short write without a number."""
    if error.errno is None:
        disk = os.statvfs(part.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    raise error


# --- reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[Any]:
    import tifffile

    # OME-TIFF, Micro-Manager and NDTiff files may name files at any path as parts of the same image: never open them.
    with (
        open_file(path) as opened,
        tifffile.TiffFile(opened, _multifile=False, is_mmstack=False, is_ndtiff=False) as file,
    ):
        yield file


def _checked_series(file: Any, path: str | os.PathLike[str]) -> Any:
    """Return the series to read from an opened file, after every check that does not need pixels."""
    series = _only_series(file, path)
    _check_meaning(series.keyframe, os.fspath(path))
    _check_bits(series.keyframe)
    _check_pages(file, series, os.fspath(path))
    _check_chain(file)
    _check_pieces(file, series)
    return series


def _only_series(file: Any, path: str | os.PathLike[str]) -> Any:
    if file.is_ome and "<!DOCTYPE" in file.pages.first.description:
        raise ValueError("its OME metadata declares XML entities, which are not read")
    try:
        whole = [series for series in file.series if not series.keyframe.is_reduced]  # without thumbnails
        first, *others = whole or file.series
    except MemoryError as error:  # a description needs little memory, so a count in it is wrong
        raise ValueError(f"its header asks for more memory than there is ({error})") from error
    if others:
        shapes = ", ".join(f"{list(series.shape)} {series.dtype}" for series in (first, *others[:3]))
        raise ImageKindError(
            f"{os.fspath(path)} holds {len(others) + 1} images that make no stack ({shapes}); expected one: export "
            "each to a file of its own"
        )
    return first


def _check_meaning(page: Any, source: str) -> None:
    """Raise unless a page holds intensities, larger numbers are brighter, and rows begin at the top."""
    import tifffile

    photometric = page.tags.valueof("PhotometricInterpretation", _BLACK_IS_ZERO)
    if photometric == _WHITE_IS_ZERO:
        raise ImageKindError(
            f"{source} stores white as 0 (its PhotometricInterpretation is WhiteIsZero): the brighter a pixel, the "
            "smaller its number; export it with black as 0"
        )
    if photometric == _PALETTE:
        check_palette(page.colormap, page.bitspersample, source=source)
    elif page.samplesperpixel == 1 and photometric not in (_BLACK_IS_ZERO, _RGB):
        kind = tifffile.PHOTOMETRIC(photometric).name
        raise ImageKindError(f"{source} has pixels of the kind {kind}, which are not intensities; export it as grey")
    check_orientation(page.tags.valueof("Orientation"), source=source)


def _check_bits(page: Any) -> None:
    """Raise if the type of a pixel is unknown, or if the header gives a pixel fewer bits than the data."""
    if page.dtype is None:
        raise ValueError(f"pixels of {page.bitspersample} bits and SampleFormat {page.sampleformat} have no type")
    if page.compression != 1 or page.is_tiled or not page.bitspersample % 8:
        return
    row = page.imagewidth * page.samplesperpixel
    packed = page.imagelength * math.ceil(row * page.bitspersample / 8)
    unpacked = page.imagelength * row * math.ceil(page.bitspersample / 8)
    if sum(page.databytecounts) >= unpacked > packed:
        raise ValueError(
            f"its header says {page.bitspersample} bits a pixel, which are {packed} bytes; its pixels have "
            f"{sum(page.databytecounts)}: correct its BitsPerSample"
        )


def _check_pages(file: Any, series: Any, source: str) -> None:
    """Raise if the file has pages that its metadata does not mention, other than smaller copies of the image."""
    planes = series.size // series.keyframe.size
    if len(file.pages) <= planes:
        return
    pages = sum(not file.pages.get(number).is_reduced for number in range(len(file.pages)))
    if pages > planes:
        raise ImageKindError(
            f"{source} has several planes: {pages} pages, but its metadata speaks of {planes}; export each plane to a "
            "file of its own"
        )


def _check_chain(file: Any) -> None:
    """Raise if the last page points to another page beyond the end of the file: tifffile would ignore it."""
    file.filehandle.seek(file.pages.next_page_offset)
    (place,) = struct.unpack(file.tiff.offsetformat, file.filehandle.read(file.tiff.offsetsize))
    if place >= file.filehandle.size:
        raise ValueError(f"it is truncated: a further page begins at byte {place}")


def _check_pieces(file: Any, series: Any) -> None:
    """Raise unless the file holds all the pieces that its header promises.

    Decoders return black or grey for missing data, and allocate the memory that the header asks for: a wrong byte must
    not allocate gigabytes.
    """
    page, size = series.keyframe, file.filehandle.size
    promised = series.size * page.bitspersample // 8
    expansion = _EXPANSION.get(int(page.compression), _OTHER_EXPANSION)
    if promised > size * expansion:
        raise ValueError(f"its header promises {promised} bytes of pixels")
    if series.dataoffset:
        if 0 < sum(page.databytecounts) < page.nbytes:
            raise ValueError(f"its header promises {page.nbytes} bytes of pixels, and {sum(page.databytecounts)}")
        _check_end(series.dataoffset + promised, size)
        return
    for page in series.pages:
        if page is None or not all(page.databytecounts) or not all(page.dataoffsets):
            raise ValueError("a part of its pixels is missing")
        if min(len(page.dataoffsets), len(page.databytecounts)) < math.prod(page.chunked):
            raise ValueError("the places of a part of its pixels are missing")
        if max(page.databytecounts) > size:
            raise ValueError(f"its header promises {max(page.databytecounts)} bytes of one piece")
        _check_end(max(map(operator.add, page.dataoffsets, page.databytecounts)), size)


def _check_end(end: int, size: int) -> None:
    if end > size:
        raise ValueError(f"it is truncated: its pixels end at byte {end}")


def _pixels(file: Any, series: Any) -> np.ndarray[Any, Any]:
    if int(series.keyframe.compression) in _FILLED_IN:
        return np.stack([_decoded(file, page) for page in series.pages]).reshape(series.shape)
    array: np.ndarray[Any, Any] = series.asarray()
    return array


def _decoded(file: Any, page: Any) -> np.ndarray[Any, Any]:
    """Return the pixels of a page whose decoder would fill in missing data; raise if data is missing."""
    array = np.empty(page.shaped, page.dtype)
    tables = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
    for data, number in file.filehandle.read_segments(page.dataoffsets, page.databytecounts):
        if _END_MARK not in data:
            raise ValueError("it is truncated: the data of a part of its pixels has no end")
        piece, (sample, depth, y, x, _), (depths, height, width, _) = page.decode(data, number, **tables)
        target = array[sample, depth : depth + depths, y : y + height, x : x + width]
        target[...] = piece[: target.shape[0], : target.shape[1], : target.shape[2]]
    return array


def _house_order(axes: str, shape: Sequence[int]) -> list[int]:
    """Return the indices of the axes to keep: Y, X and samples always, other axes if they are longer than one."""
    keep = [i for i, (axis, length) in enumerate(zip(axes, shape, strict=True)) if length > 1 or axis in "YXS"]
    if set(axes) <= set(AXES):
        keep.sort(key=lambda i: AXES.index(axes[i]))
    return keep


def _pixels_per_unit(file: Any) -> float | None:
    tag = file.pages.first.tags.get("XResolution")
    return tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else None


def _centimetre_resolution(file: Any) -> float | None:
    """Return the pixel size from the resolution tags if their unit is the centimetre: inches are printers' default."""
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
    """Return a length in µm, or ``None`` if the value or the unit is missing or unusable."""
    factor = micrometres(unit)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if factor is None or not number > 0 or math.isinf(number):
        return None
    return (1 / number if inverse else number) * factor
