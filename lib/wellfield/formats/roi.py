"""ImageJ's regions of interest: ``.roi.zip`` archives as its ROI Manager opens them, through roifile."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading

_MEMBER = ".roi"
_POLYGONS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)

# ImageJ takes 16 bits for this range: what is beyond comes back as another place, or as 0.
_LOWEST, _HIGHEST = -5000, 60_535


def read_rois(path: str | os.PathLike[str]) -> list[ImagejRoi]:
    """Return the regions of an archive in their order; one without a name gets that of its archive member.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is not a ZIP archive, is damaged, or a ``.roi`` in it is none.
    """
    with reading(path, ".roi.zip archive"), zipfile.ZipFile(Path(path)) as archive:
        rois = []
        for member in archive.namelist():
            if not member.lower().endswith(_MEMBER) or member.startswith("__MACOSX/"):
                continue
            try:
                roi = ImagejRoi.frombytes(archive.read(member))
            except Exception as error:  # roifile meets what is corrupt with almost any kind of error
                raise ValueError(f"{member!r} in it: {error}") from error
            roi.name = roi.name or member[: -len(_MEMBER)]
            rois.append(roi)
        return rois


def write_rois(path: str | os.PathLike[str], rois: Sequence[ImagejRoi]) -> None:
    """Write regions as a new archive, atomically; no region is a valid, empty one.

    Regions keep their names; where several have the same, their archive members, which the ROI Manager lists, are told
    apart by a number.

    Raises
    ------
    UnknownFormatError
        Something is not a region, or the format cannot hold it.
    """
    name = os.fspath(path)
    contents = [_encode(name, number, roi) for number, roi in enumerate(_checked(name, rois))]
    members = _member_names(roi.name or roi.autoname for roi in rois)
    with atomic_path(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in zip(members, contents, strict=True):
            info = zipfile.ZipInfo(member)  # without the time of writing: equal regions, equal files
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)


def _checked(name: str, rois: Sequence[ImagejRoi]) -> Sequence[ImagejRoi]:
    if not isinstance(rois, Sequence):
        raise UnknownFormatError(f"{name}: .roi.zip takes a list of roifile.ImagejRoi, not a {type(rois).__name__}")
    for number, roi in enumerate(rois):
        if not isinstance(roi, ImagejRoi):
            raise UnknownFormatError(f"{name}: item {number} is a {type(roi).__name__}, not a roifile.ImagejRoi")
    return rois


def _encode(name: str, number: int, roi: ImagejRoi) -> bytes:
    """Return the bytes of a region, which ImageJ and roifile read as the same region.

    The format wraps coordinates beyond 16 bits, and roifile cuts text with characters beyond U+FFFF; both are refused.
    """
    try:
        content: bytes = roi.tobytes()
        same = _is_plain_outline(roi) or (_fits_imagej(roi) and ImagejRoi.frombytes(content) == roi)
    except Exception as error:  # roifile meets what it cannot hold with almost any kind of error
        raise UnknownFormatError(f"{name}: region {number} ({roi.name!r}) cannot be stored: {error}") from error
    if not same:
        raise UnknownFormatError(
            f"{name}: region {number} ({roi.name!r}) would change when stored; expected coordinates of 0 to {_HIGHEST} "
            "and text up to U+FFFF; cut a larger image into parts, or keep its labels as an image"
        )
    return content


def _is_plain_outline(roi: ImagejRoi) -> bool:
    """Tell whether a region surely reads back as it is, without reading it: an outline well within 16 bits.

    Reading each region back takes longer than all the rest of writing it.
    """
    path, places = roi.multi_coordinates, roi.integer_coordinates
    if roi.roitype == ROI_TYPE.RECT:
        has_outline = path is not None and path.dtype == "f4" and path.ndim == 1 and path.size == roi.shape_roi_size > 0
    else:
        has_outline = roi.roitype in _POLYGONS and places is not None and path is None and _fits_imagej(roi)
    return (
        has_outline
        and roi.byteorder == ">"
        and roi.subtype == ROI_SUBTYPE.UNDEFINED
        and ROI_OPTIONS.SUB_PIXEL_RESOLUTION not in roi.options
        and roi.subpixel_coordinates is None
        and roi.counters is None
        and _LOWEST <= roi.left < roi.right <= _HIGHEST
        and _LOWEST <= roi.top < roi.bottom <= _HIGHEST
        and roi.name.isascii()
        and roi.props.isascii()
    )


def _fits_imagej(roi: ImagejRoi) -> bool:
    """Tell whether ImageJ reads whole coordinates, which are counted from the box of the region, as they are."""
    places = roi.integer_coordinates
    if places is None or roi.subpixel_coordinates is not None or not places.size:
        return True
    return bool(places.min() >= 0 and places.max() <= _HIGHEST)


def _member_names(names: Iterable[str]) -> list[str]:
    """Return a file name for each region, no two the same."""
    members: dict[str, None] = {}
    for name in names:
        stem = name.removesuffix(_MEMBER).translate({ord(sign): "_" for sign in "/\\\0"})
        member, number = f"{stem}{_MEMBER}", 1
        while member in members:
            member, number = f"{stem}-{number}{_MEMBER}", number + 1
        members[member] = None
    return list(members)
