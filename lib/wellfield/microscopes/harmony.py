"""Harmony's index of an Opera Phenix or Operetta plate: ``Index.xml`` or ``Index.idx.xml``, versions V5 to V7.

The versions differ in where the facts about a channel stand: with every image (V5), or once per channel under ``Maps``
(V7). Both places are read whatever the version. The index of a large plate has a gigabyte and is never in memory as a
whole; document types, and with them entities, are refused before anything is parsed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from wellfield.errors import MetadataError

ROOT = "EvaluationInputData"

_BLOCK = 2**16
_ADVICE = "export the index again, or move it out of the plate folder to have the plate read by its file names alone"


class ListedPlane(NamedTuple):
    """A plane as the index lists it, with the vendor's own numbers; positions in µm, ``nan`` where not given.

    ``url`` is the file as the index spells it. ``x_um`` and ``y_um`` are relative to the centre of the well, y rising
    upwards; ``z_um`` is the nominal height, ``stage_z_um`` the one that the drive reported. ``seconds`` is the time
    since the start of the measurement.
    """

    url: str
    row: int
    column: int
    field: int
    plane: int
    timepoint: int
    channel: int
    x_um: float
    y_um: float
    z_um: float
    stage_z_um: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Channel:
    """What the index says of a channel. ``None`` where it says nothing, as of the emission of brightfield.

    ``shape`` is height and width of its images in pixels, ``flatfield`` the text of its flat-field profile.
    """

    name: str | None = None
    excitation_nm: float | None = None
    emission_nm: float | None = None
    pixel_size_um: float | None = None
    shape: tuple[int, int] | None = None
    flatfield: str | None = None


class Measurement(NamedTuple):
    """What the head of an index says: which measurement it belongs to, in which version, and its plates."""

    version: str
    plates: tuple[str, ...] = ()
    measurement_id: str | None = None


@dataclass(frozen=True, slots=True)
class HarmonyIndex:
    """A whole index."""

    measurement: Measurement
    planes: list[ListedPlane]
    channels: Mapping[int, Channel] = field(default_factory=dict)


def read_measurement(path: str | os.PathLike[str]) -> Measurement | None:
    """Return what the head of an index says, or ``None`` if the file is XML, but no index of Harmony.

    Raises
    ------
    MetadataError
        It cannot be read, is no XML, or declares a document type (whose entities are never expanded).
    """
    head = _Head(os.fspath(path))
    with _reading(path) as file:
        head.read(file)
    if head.root is None:
        raise MetadataError(f"{os.fspath(path)} is empty; expected Harmony's index of a plate. To go on, {_ADVICE}")
    space, _, name = head.root.rpartition("}")
    if name != ROOT:
        return None
    version = space.rpartition("/")[2] or "without a version"
    return Measurement(
        version, tuple(head.texts["Name"] or head.texts["PlateID"]), next(iter(head.texts["MeasurementID"]), None)
    )


def read_harmony_index(path: str | os.PathLike[str]) -> HarmonyIndex:
    """Read an index, image by image.

    Raises
    ------
    MetadataError
        It cannot be read, is truncated or no index of Harmony, declares a document type, or lacks a number that tells
        which plane an image is.
    """
    measurement = read_measurement(path)
    if measurement is None:
        raise MetadataError(f"{os.fspath(path)} is no index of Harmony: its root is not {ROOT}; {_ADVICE}")
    planes: list[ListedPlane] = []
    channels: dict[int, dict[str, str]] = {}
    with _reading(path) as file:
        try:
            for tag, entry in _entries(file):
                if tag == "Entry":
                    channels.setdefault(_channel_id(entry, path), {}).update(entry)
                else:
                    planes.append(_listed(entry, path))
                    if planes[-1].channel not in channels or "ImageSizeX" not in channels[planes[-1].channel]:
                        known = channels.setdefault(planes[-1].channel, {})
                        known.update({name: text for name, text in entry.items() if name in _OF_CHANNEL} | known)
        except ElementTree.ParseError as error:
            where = f"line {error.position[0]}, column {error.position[1]}"
            raise MetadataError(
                f"{os.fspath(path)} is broken or truncated at {where} ({error}), after {len(planes)} images; {_ADVICE}"
            ) from error
    return HarmonyIndex(measurement, planes, {number: _channel(texts) for number, texts in sorted(channels.items())})


# --- reading -----------------------------------------------------------------------------------------------------


def _reading(path: str | os.PathLike[str]) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise MetadataError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error


class _Head:
    """Reads an index as far as its wells and images, on guard against document types."""

    _WANTED = ("Name", "PlateID", "MeasurementID")

    def __init__(self, path: str) -> None:
        self.root: str | None = None
        self.texts: dict[str, list[str]] = {name: [] for name in self._WANTED}
        self._path = path
        self._inside: list[str] = []
        self._complete = False
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def read(self, file: IO[bytes]) -> None:
        try:
            while not self._complete and (block := file.read(_BLOCK)):
                self._parser.Parse(block)
        except expat.ExpatError as error:
            if self.root is None:
                raise MetadataError(f"{self._path} is no XML ({error}); {_ADVICE}") from error
            # Broken further on: whoever reads the whole index says where.

    def _refuse(self, *_: Any) -> None:
        raise MetadataError(
            f"{self._path} declares a document type, in which entities can hide; no microscope writes one. To go on, "
            f"{_ADVICE}"
        )

    def _start(self, name: str, _: Any) -> None:
        self.root = self.root or name
        local = name.rpartition("}")[2]
        self._inside.append(local)
        self._complete |= local in ("Wells", "Maps", "Images") or not self.root.endswith(ROOT)

    def _end(self, _: str) -> None:
        self._inside.pop()

    def _text(self, text: str) -> None:
        if self._inside[-1] in self._WANTED and self._inside[-2:-1] == ["Plate"] and text.strip():
            self.texts[self._inside[-1]].append(text.strip())


def _entries(file: IO[bytes]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ``Entry`` and ``Image`` with the texts of their elements by local name; nothing is kept in memory."""
    names: dict[str, str] = {}  # local name of each tag
    for _, element in ElementTree.iterparse(file):
        tag = element.tag
        local = names.get(tag) or names.setdefault(tag, tag.rpartition("}")[2])
        if local == "Image" and len(element):
            yield local, {names[child.tag]: child.text or "" for child in element}
            element.clear()
        elif local == "Entry":
            found = {names[child.tag]: child.text or "" for child in element}
            yield local, {**found, "ChannelID": element.get("ChannelID", "")}
            element.clear()
        elif local in ("Well", "Map"):
            element.clear()


# --- what an image and a channel say -----------------------------------------------------------------------------

_OF_CHANNEL = {"ChannelName", "MainExcitationWavelength", "MainEmissionWavelength"} | {
    f"Image{what}{axis}" for what in ("Resolution", "Size") for axis in "XY"
}
_NAN = float("nan")


def _listed(texts: Mapping[str, str], path: str | os.PathLike[str]) -> ListedPlane:
    try:
        get = texts.get
        return ListedPlane(
            texts["URL"],
            int(texts["Row"]),
            int(texts["Col"]),
            int(texts["FieldID"]),
            int(get("PlaneID") or 1),
            int(get("TimepointID") or 0),
            int(texts["ChannelID"]),
            float(get("PositionX") or _NAN) * 1e6,
            float(get("PositionY") or _NAN) * 1e6,
            float(get("PositionZ") or _NAN) * 1e6,
            float(get("AbsPositionZ") or _NAN) * 1e6,
            float(get("MeasurementTimeOffset") or _NAN),
        )
    except KeyError as error:
        problem = f"has no {error.args[0]}"
    except ValueError as error:
        problem = f"has a number that is none ({error})"
    raise MetadataError(f"{os.fspath(path)}: image {texts.get('id') or texts.get('URL', '')} {problem}; {_ADVICE}")


def _channel_id(texts: Mapping[str, str], path: str | os.PathLike[str]) -> int:
    try:
        return int(texts["ChannelID"])
    except ValueError:
        raise MetadataError(f"{os.fspath(path)}: a channel has the number {texts['ChannelID']!r}; {_ADVICE}") from None


def _channel(texts: Mapping[str, str]) -> Channel:
    height, width = _number(texts.get("ImageSizeY")), _number(texts.get("ImageSizeX"))
    resolution = _number(texts.get("ImageResolutionX"))
    return Channel(
        name=texts.get("ChannelName", "").strip() or None,
        excitation_nm=_number(texts.get("MainExcitationWavelength")),
        emission_nm=_number(texts.get("MainEmissionWavelength")),
        pixel_size_um=resolution * 1e6 if resolution else None,
        shape=(int(height), int(width)) if height and width else None,
        flatfield=texts.get("FlatfieldProfile"),
    )


def _number(text: str | None) -> float | None:
    """Return a positive number; ``None`` for anything else: 0 is how Harmony says that a channel has no emission."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
