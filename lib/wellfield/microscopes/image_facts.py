"""Reads pixel size, stage position and channel from an image file of any vendor.

They are in the descriptions of MetaSeries (MetaXpress, HCS.ai), in OME-XML, in the tags of MetaMorph and in Harmony's
tag 65500. No pixel is read.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from wellfield.errors import WellfieldError
from wellfield.formats.length_units import micrometres
from wellfield.microscopes.metaseries import parse_description
from wellfield.plate.index import PlaneRecord

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_HARMONY_TAG = 65500


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one file says; ``None`` or ``nan`` where it says nothing.

    Stage positions are in µm; *stage_y_up*: y rises towards the top of the image.
    """

    pixel_size_um: float | None = None
    stage_x_um: float = math.nan
    stage_y_um: float = math.nan
    stage_z_um: float = math.nan
    channel: str | None = None
    stage_y_up: bool = False


def read_facts(path: str | os.PathLike[str]) -> ImageFacts:
    """Return the facts of a TIFF file; unknown ones for other or unreadable files."""
    import tifffile

    try:
        with tifffile.TiffFile(os.fspath(path), _multifile=False) as file:
            return _facts(file, os.path.basename(path))
    except Exception:  # tifffile raises almost any error for corrupt files
        return ImageFacts()


def read_pixel_size(path: str | os.PathLike[str]) -> float | None:
    """Return the pixel size in µm of an image file, ``None`` if it has none.

    This finds a MetaSeries description in 30 µs, tifffile in 300 µs; ingest reads one file of each well.
    """
    description = _read_description(path)
    if b"<MetaData>" in description:
        return parse_description(_decoded(description)).pixel_size_um
    size = read_facts(path).pixel_size_um
    if size is not None:
        return size
    from wellfield.formats.plane_files import read_plane_header

    try:
        return read_plane_header(path).pixel_size_um
    except WellfieldError:
        return None


def at_stage(plane: PlaneRecord, facts: ImageFacts | None) -> PlaneRecord:
    """Return a plane with the stage position that its file says, if that was read."""
    if facts is None:
        return plane
    return plane._replace(stage_x_um=facts.stage_x_um, stage_y_um=facts.stage_y_um, stage_z_um=facts.stage_z_um)


# --- formats ------------------------------------------------------------------------------------------------------


def _facts(file: Any, name: str) -> ImageFacts:
    page = file.pages.first
    text = str(page.description)
    if "<MetaData>" in text:
        tags = parse_description(text)
        return ImageFacts(tags.pixel_size_um, tags.stage_x_um, tags.stage_y_um, tags.stage_z_um, tags.illumination)
    if file.is_ome:
        return _ome_facts(_parsed(text), name)
    if _HARMONY_TAG in page.tags:
        value = page.tags[_HARMONY_TAG].value
        return _harmony_facts(_parsed(value if isinstance(value, str) else bytes(value)))
    if file.is_stk:
        return _metamorph_facts(file.stk_metadata or {})
    return ImageFacts()


def _parsed(text: str | bytes) -> Element:
    content = text.encode() if isinstance(text, str) else text.strip(b"\0 \r\n\t")
    if b"<!DOCTYPE" in content:
        raise ValueError("entities are not expanded")
    return ElementTree.fromstring(content)


def _metamorph_facts(tags: Mapping[str, Any]) -> ImageFacts:
    calibrated = bool(tags.get("SpatialCalibration", 1))
    unit = str(tags.get("CalibrationUnits", "")).strip("\0 ").lower()
    size = _length(tags.get("XCalibration"), unit) if calibrated else None
    positions = tags.get("StagePosition")
    x, y = (float(value) for value in positions[0][:2]) if positions is not None and len(positions) else (math.nan,) * 2
    return ImageFacts(_positive(size), _finite(x), _finite(y))


def _ome_facts(root: Element, name: str) -> ImageFacts:
    """Return what OME-XML says of the first plane of one file; a plate's files may all hold the XML of all."""
    images = root.findall("{*}Image")
    own = [image for image in images if _names_file(image, name)] if len(images) > 1 else images
    pixels = [found for image in own or images if (found := image.find("{*}Pixels")) is not None]
    sizes = {_length(p.get("PhysicalSizeX"), p.get("PhysicalSizeXUnit", "µm")) for p in pixels}
    size = _positive(sizes.pop()) if len(sizes) == 1 else None
    if len(own) != 1 or not pixels:
        return ImageFacts(size)
    data = next((found for found in pixels[0].iterfind("{*}TiffData") if _names_file(found, name)), None)
    if data is None:
        data = pixels[0].find("{*}TiffData")
    place = tuple(data.get(f"First{axis}", "0") if data is not None else "0" for axis in "CZT")
    plane = next((p for p in pixels[0].iterfind("{*}Plane") if tuple(p.get(f"The{a}") for a in "CZT") == place), None)
    x, y, z = (
        _length(plane.get(f"Position{axis}"), plane.get(f"Position{axis}Unit")) if plane is not None else None
        for axis in "XYZ"
    )
    channels = pixels[0].findall("{*}Channel")
    number = int(place[0])
    channel = channels[number].get("Name") if number < len(channels) else None
    return ImageFacts(size, _or_nan(x), _or_nan(y), _or_nan(z), channel or None)


def _names_file(element: Element, name: str) -> bool:
    named = (uuid.get("FileName", "") for uuid in element.iterfind(".//{*}UUID"))
    return any(file.replace("\\", "/").rpartition("/")[2] == name for file in named)


def _harmony_facts(root: Element) -> ImageFacts:
    """Return what Harmony's description of an image says.

    The pixel is the camera's, times its binning, over the magnifications of objective and instrument. Positions are
    relative to the centre of the well, as in Harmony's index.
    """
    image = root.find("{*}Image")
    if image is None:
        return ImageFacts()
    exposure = _numbered(root, "Exposure", image.findtext("{*}ExposureID"))
    record = _numbered(exposure, "Record", image.findtext("{*}RecordID"))
    channel = _numbered(record, "Channel", image.findtext("{*}ChannelID"))
    fields = [layout.findall("{*}Field") for layout in root.iterfind(".//{*}Sublayout")]
    place = _nth(fields[0], image.findtext("{*}FieldID")) if len(fields) == 1 else None
    x, y = (_finite(_number(place, axis) * 1e6) for axis in "XY") if place is not None else (math.nan, math.nan)
    name = channel.findtext("{*}Name") if channel is not None else None
    return ImageFacts(_harmony_pixel(root, exposure, channel), x, y, channel=name or None, stage_y_up=True)


def _harmony_pixel(root: Element, exposure: Element | None, channel: Element | None) -> float | None:
    setting = channel.find("{*}CameraSetting") if channel is not None else None
    instrument = root.find("{*}InstrumentDescription")
    if exposure is None or setting is None or instrument is None:
        return None
    objective = _of_id(root, "Objective", exposure.findtext("{*}Objective"))
    camera = _of_id(root, "Camera", setting.findtext("{*}CameraID"))
    if objective is None or camera is None:
        return None
    magnification = _number(objective, "Magnification") * _number(instrument, "Magnification")
    pixel = _number(camera, "PixelSizeX") * _number(setting, "BinningX") * 1e6
    return _positive(pixel / magnification) if magnification else None


def _numbered(parent: Element | None, kind: str, number: str | None) -> Element | None:
    return _nth(parent.findall(f".//{{*}}{kind}"), number) if parent is not None else None


def _nth(found: list[Element], number: str | None) -> Element | None:
    place = int(number or 1)
    return found[place - 1] if 1 <= place <= len(found) else None


def _of_id(root: Element, kind: str, identifier: str | None) -> Element | None:
    return next((e for e in root.iterfind(f".//{{*}}{kind}") if e.findtext("{*}ID") == identifier), None)


def _number(parent: Element, name: str) -> float:
    return float(parent.findtext(f"{{*}}{name}") or "nan")


def _length(value: Any, unit: Any) -> float | None:
    """Return a length in µm, ``None`` where value or unit say nothing."""
    factor = micrometres(unit)
    try:
        return float(value) * factor if factor else None
    except (TypeError, ValueError):
        return None


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value < math.inf else None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else _finite(value)


# --- the description alone ----------------------------------------------------------------------------------------

_DESCRIPTION_TAG = 270
_LONGEST = 2**20  # of a description, in bytes


def _read_description(path: str | os.PathLike[str]) -> bytes:
    """Return the description of a TIFF file's first page; empty if it has none or is not a TIFF file."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}.get(head[:2])
            if order is None or len(head) < 16:
                return b""
            big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
            [offset] = struct.unpack_from(f"{order}Q", head, 8) if big else struct.unpack_from(f"{order}I", head, 4)
            count_form, entry_form = ("Q", "HHQQ") if big else ("H", "HHII")
            file.seek(offset)
            [count] = struct.unpack(order + count_form, file.read(struct.calcsize(order + count_form)))
            entries = file.read(min(count, 4096) * struct.calcsize(order + entry_form))
            for tag, _, length, place in struct.iter_unpack(order + entry_form, entries):
                if tag == _DESCRIPTION_TAG and 8 < length <= _LONGEST:
                    file.seek(place)
                    return file.read(length).rstrip(b"\0")
    except (OSError, struct.error, OverflowError, ValueError):
        pass
    return b""


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", errors="replace")
