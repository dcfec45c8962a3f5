"""Harmony's index of an Opera Phenix or Operetta plate: ``Index.xml`` or ``Index.idx.xml``, versions V5 to V7.

The versions differ in where the facts about a channel stand: with every image (V5), or once per channel under ``Maps``
(V7). Both places are read whatever the version. The index of a large plate has a gigabyte and is never in memory as a
whole; document types, and with them entities, are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isclose, isfinite
from typing import Any, NamedTuple
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

    ``pixel_size_um`` is of square pixels, ``shape`` height and width of its images in pixels, ``flatfield`` the text of
    its flat-field profile.
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
    """Return what the head of an index says, ``None`` for other XML files.

    Raises
    ------
    MetadataError
        It cannot be read, is not XML, or declares a document type (whose entities are never expanded).
    """
    reader = _IndexReader(path)
    reader.read(head_only=True)
    return reader.measurement


def read_harmony_index(path: str | os.PathLike[str]) -> HarmonyIndex:
    """Read an index, image by image.

    Raises
    ------
    MetadataError
        It cannot be read, is truncated, is not an index of Harmony, declares a document type, or lacks a number that
        tells which plane an image is.
    """
    reader = _IndexReader(path)
    reader.read()
    if reader.measurement is None:
        raise MetadataError(f"{os.fspath(path)} is not an index of Harmony: its root is not {ROOT}; {_ADVICE}")
    channels = {number: _channel(texts) for number, texts in sorted(reader.channels.items())}
    return HarmonyIndex(reader.measurement, reader.planes, channels)


# --- reading -----------------------------------------------------------------------------------------------------


class _IndexReader:
    """Reads an index element by element, on guard against document types; no tree is built."""

    # Elements that contain elements: at their end, their facts are complete.
    _WHOLES = frozenset(("Image", "Images", "Entry", "Map", "Maps", "Wells", "Plate", "Plates", ROOT))

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.planes: list[ListedPlane] = []
        self.channels: dict[int, dict[str, str]] = {}
        self._path = os.fspath(path)
        self._root: str | None = None
        self._plates: list[dict[str, str]] = []
        self._channel_id = ""
        self._head_is_complete = False
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.buffer_size = _BLOCK
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler, self._parser.EndElementHandler = self._collector()

    @property
    def measurement(self) -> Measurement | None:
        """What the head says; ``None`` for another sort of XML."""
        space, _, name = (self._root or "").rpartition("}")
        if name != ROOT:
            return None
        plates = tuple(plate.get("Name") or plate.get("PlateID", "") for plate in self._plates)
        identifiers = [plate["MeasurementID"] for plate in self._plates if plate.get("MeasurementID")]
        return Measurement(space.rpartition("/")[2] or "without a version", plates, next(iter(identifiers), None))

    def read(self, *, head_only: bool = False) -> None:
        """Read the file, or what stands before wells, maps and images."""
        try:
            with open(self._path, "rb") as file:
                while (block := file.read(_BLOCK)) and not (head_only and self._head_is_complete):
                    self._parser.Parse(block)
            if not head_only:
                self._parser.Parse(b"", True)
        except MetadataError:
            raise
        except OSError as error:
            raise MetadataError(f"{self._path} cannot be read: {error.strerror}") from error
        except (ValueError, LookupError) as error:  # of the encoding that it names
            raise MetadataError(f"{self._path} has an encoding that cannot be read ({error}); {_ADVICE}") from error
        except expat.ExpatError as error:
            if self._root is None:
                raise MetadataError(f"{self._path} is not XML ({error}); {_ADVICE}") from error
            if not head_only:  # else whoever reads all of it says where it is broken
                where, what = f"line {error.lineno}, column {error.offset}", expat.ErrorString(error.code)
                raise MetadataError(
                    f"{self._path} is broken or truncated at {where} ({what}), after {len(self.planes)} images; "
                    f"{_ADVICE}"
                ) from error
        if self._root is None:
            raise MetadataError(f"{self._path} is empty; expected Harmony's index of a plate. To go on, {_ADVICE}")

    def _refuse(self, *_: Any) -> None:
        raise MetadataError(
            f"{self._path} declares a document type, in which entities can hide; no microscope writes one. To go on, "
            f"{_ADVICE}"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._root = self._root or name
        local = name.rpartition("}")[2]
        if local == "Entry":
            self._channel_id = attributes.get("ChannelID", "")
        self._head_is_complete |= local in ("Wells", "Maps", "Images") or not self._root.endswith(ROOT)
        if local == "Images":
            self._parser.StartElementHandler = None  # until their end: it would cost a call for each element

    def _collector(self) -> tuple[Callable[[str], None], Callable[[str], None]]:
        """Return the handlers of texts and of ends: they bring the texts of an image's elements together."""
        # Closures, since they are called a hundred times for each image.
        texts: dict[str, str] = {}
        text = ""
        leaves: dict[str, str] = {}  # local names of elements that hold but text

        def add(more: str) -> None:
            nonlocal text
            text += more

        def end(name: str) -> None:
            nonlocal text, texts
            try:
                texts[leaves[name]] = text.strip()
            except KeyError:
                local = name.rpartition("}")[2]
                if local in self._WHOLES:
                    self._complete(local, texts)
                    texts = {}
                else:
                    leaves[name] = local
                    texts[local] = text.strip()
            text = ""

        return add, end

    def _complete(self, name: str, texts: dict[str, str]) -> None:
        """Take the facts of an element with elements in it. Wells list images too, without any fact."""
        if name == "Image" and not _OF_IMAGE.isdisjoint(texts):
            plane = _listed(texts, self._path)
            self.planes.append(plane)
            known = self.channels.setdefault(plane.channel, {})
            if "ImageSizeX" not in known:
                known.update({key: text for key, text in texts.items() if key in _OF_CHANNEL} | known)
        elif name == "Entry" and self._channel_id:
            number = _channel_number(self._channel_id, self._path)
            self.channels.setdefault(number, {}).update(texts)
        elif name == "Plate":
            self._plates.append(texts)
        elif name == "Images":
            self._parser.StartElementHandler = self._start


# --- what an image and a channel say -----------------------------------------------------------------------------

_OF_IMAGE = {"URL", "FieldID", "PlaneID", "ChannelID"}
_OF_CHANNEL = {"ChannelName", "MainExcitationWavelength", "MainEmissionWavelength"} | {
    f"Image{what}{axis}" for what in ("Resolution", "Size") for axis in "XY"
}
_NAN = float("nan")


def _listed(texts: Mapping[str, str], path: str) -> ListedPlane:
    get = texts.get
    try:
        plane = ListedPlane(
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
    else:
        if isfinite(sum(plane[7:])):
            return plane
        places = (value if isfinite(value) else _NAN for value in plane[7:])
        return ListedPlane(*plane[:7], *places)
    raise MetadataError(f"{path}: image {get('id') or get('URL', '')} {problem}; {_ADVICE}")


def _channel_number(text: str, path: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise MetadataError(f"{path}: a channel has the number {text!r}; {_ADVICE}") from None


def _channel(texts: Mapping[str, str]) -> Channel:
    height, width = _number(texts.get("ImageSizeY")), _number(texts.get("ImageSizeX"))
    width_um, height_um = (_number(texts.get(f"ImageResolution{axis}")) for axis in "XY")
    square = width_um and (height_um is None or isclose(width_um, height_um, rel_tol=1e-3))
    return Channel(
        name=texts.get("ChannelName") or None,
        excitation_nm=_number(texts.get("MainExcitationWavelength")),
        emission_nm=_number(texts.get("MainEmissionWavelength")),
        pixel_size_um=width_um * 1e6 if width_um and square else None,
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
