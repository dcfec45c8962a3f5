"""ImageJ's regions of interest: ``.roi.zip`` archives as its ROI Manager opens them, through roifile."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wellfield.errors import UnknownFormatError
from wellfield.formats.atomic import atomic_path
from wellfield.formats.reading import reading

if TYPE_CHECKING:
    from roifile import ImagejRoi

_MEMBER = ".roi"


def read_rois(path: str | os.PathLike[str]) -> list[ImagejRoi]:
    """Return the regions of an archive in their order; one without a name gets that of its archive member.

    Raises
    ------
    DataNotFoundError
        The file does not exist.
    UnreadableImageError
        The file is no ZIP archive, is damaged, or a ``.roi`` in it is none.
    """
    from roifile import ImagejRoi

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
        Something is no region, or the format cannot hold it.
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
    from roifile import ImagejRoi

    if not isinstance(rois, Sequence):
        raise UnknownFormatError(f"{name}: .roi.zip takes a list of roifile.ImagejRoi, not a {type(rois).__name__}")
    for number, roi in enumerate(rois):
        if not isinstance(roi, ImagejRoi):
            raise UnknownFormatError(f"{name}: item {number} is a {type(roi).__name__}, not a roifile.ImagejRoi")
    return rois


def _encode(name: str, number: int, roi: ImagejRoi) -> bytes:
    """Return the bytes of a region, which read back to the same region.

    The format wraps coordinates beyond 16 bits, and roifile cuts text with characters beyond U+FFFF; both are refused.
    """
    from roifile import ImagejRoi

    try:
        content: bytes = roi.tobytes()
        same = ImagejRoi.frombytes(content) == roi
    except Exception as error:  # roifile meets what it cannot hold with almost any kind of error
        raise UnknownFormatError(f"{name}: region {number} ({roi.name!r}) cannot be stored: {error}") from error
    if not same:
        raise UnknownFormatError(
            f"{name}: region {number} ({roi.name!r}) would change when stored; expected coordinates of 0 to 65535 and "
            "text up to U+FFFF"
        )
    return content


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
