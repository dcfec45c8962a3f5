"""The index of an Opera Phenix or Operetta plate, as Harmony writes it.

Elements and their order follow real indices of versions 5 and 7. No index of version 6 could be had: what its readers
look for is what version 7 has, under the namespace of its own that stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import groupby
from xml.sax.saxutils import escape

from tests.generators.harmony_plate import Coefficients, HarmonyChannel, HarmonyImage, HarmonyPlate, Kind, Version
from wellfield.example.guids import make_guid
from wellfield.plate.keys import PlaneKey
from wellfield.plate.wells import split_well

NAMESPACES = {
    Version.V5: "http://www.perkinelmer.com/PEHH/HarmonyV5",
    Version.V6: "http://www.perkinelmer.com/PEHH/HarmonyV6",
    Version.V7: "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7",
}
USER = "wellfield"

_STARTED = datetime(2024, 1, 15, 9, 0, 0, 244000, timezone(timedelta(hours=1)))
_TIMEPOINT_SECONDS = 3600
_SPECIAL = frozenset(',:[]{}"')

_HEAD = """\
<?xml version="1.0" encoding="utf-8"?>
<EvaluationInputData xmlns:xsd="http://www.w3.org/2001/XMLSchema" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
Version="%(schema)s" xmlns="%(namespace)s">
  <User>%(user)s</User>
  <InstrumentType>%(instrument)s</InstrumentType>
  <Plates>
    <Plate>
      <PlateID>%(name)s</PlateID>
      <MeasurementID>%(guid)s</MeasurementID>
      <MeasurementStartTime>%(started)s</MeasurementStartTime>
      <Name>%(name)s</Name>
      <PlateTypeName>%(plate_type)s</PlateTypeName>
      <PlateRows>%(rows)d</PlateRows>
      <PlateColumns>%(columns)d</PlateColumns>"""

_WELL = """\
    <Well>
      <id>%(id)s</id>
      <Row>%(row)d</Row>
      <Col>%(column)d</Col>"""

_CHANNEL = """\
<ChannelName>%(name)s</ChannelName>
<ImageType>Signal</ImageType>
<AcquisitionType>NonConfocal</AcquisitionType>
<IlluminationType>%(illumination)s</IlluminationType>
<ChannelType>%(kind)s</ChannelType>
<ImageResolutionX Unit="m">%(pixel_size)s</ImageResolutionX>
<ImageResolutionY Unit="m">%(pixel_size)s</ImageResolutionY>
<ImageSizeX>%(width)d</ImageSizeX>
<ImageSizeY>%(height)d</ImageSizeY>
<BinningX>1</BinningX>
<BinningY>1</BinningY>
<MaxIntensity>%(maximum)d</MaxIntensity>
<CameraType>AndorZylaCam</CameraType>"""

_LIGHT = """\
<MainExcitationWavelength Unit="nm">%(excitation)d</MainExcitationWavelength>
%(emission)s<ObjectiveMagnification Unit="">20</ObjectiveMagnification>
<ObjectiveNA Unit="">0.8</ObjectiveNA>
<ExposureTime Unit="s">0.1</ExposureTime>"""

_ORIENTATION = "<OrientationMatrix>[[0.994724,0,0,47.2],[0,-0.994724,0,-7.5],[0,0,1.00,5.597]]</OrientationMatrix>"

# The facts of a channel come in two places: around the positions in version 5.
_IMAGE = """\
    <Image Version="1">
      <id>%(id)s</id>
      <State>Ok</State>
      <URL>%(url)s</URL>
      <Row>%(row)d</Row>
      <Col>%(column)d</Col>
      <FieldID>%(field)d</FieldID>
      <PlaneID>%(z)d</PlaneID>
      <TimepointID>%(timepoint)d</TimepointID>
%(sequence)s      <ChannelID>%(channel)d</ChannelID>
      <FlimID>1</FlimID>
%(facts)s      <PositionX Unit="m">%(x)s</PositionX>
      <PositionY Unit="m">%(y)s</PositionY>
      <PositionZ Unit="m">%(height)s</PositionZ>
      <AbsPositionZ Unit="m">%(focus)s</AbsPositionZ>
      <MeasurementTimeOffset Unit="s">%(offset)d</MeasurementTimeOffset>
      <AbsTime>%(taken)s</AbsTime>
%(light)s    </Image>"""

# What corrects skewed images, a packed text; this one is empty.
_SKEWCROP = """\
<SkewcropParameters>H4sIAAAAAAAC/7NxLUvNK4nIzVFwTE4sSM3JSQxLLSrOzM+zVTIxUrKzSQVJpySW
JNrZ6COzYdrsuACpYcy+QgAAAA==
</SkewcropParameters>"""

_SEQUENCE = "      <SequenceID>1</SequenceID>\n      <GroupID>1</GroupID>\n"


def index_bytes(plate: HarmonyPlate) -> bytes:
    """Return the content of the index: UTF-8 with a byte order mark, lines that end in CR LF and a last one in LF."""
    listed = [image for image in plate.images() if plate.lists(image)]
    lines = [
        _head(plate),
        *(f'      <Well id="{_well_id(well)}" />' for well in plate.wells),
        "    </Plate>\n  </Plates>\n  <Wells>",
        *_wells(plate, listed),
        "  </Wells>",
        *_maps(plate),
        "  <Images>",
        *_images(plate, listed),
        "  </Images>\n</EvaluationInputData>",
    ]
    return ("\n".join(lines).replace("\n", "\r\n") + "\n").encode("utf-8-sig")


def measurement_id(plate: HarmonyPlate) -> str:
    """Return the identifier of the measurement that index and images share."""
    return str(make_guid(plate.seed, plate.name))


def taken_at(key: PlaneKey) -> datetime:
    """Return when a plane was taken."""
    row, column = split_well(key.well)
    seconds = 40.0 * (row * 48 + column) + 3.0 * key.field + 0.5 * key.channel + 0.1 * key.z
    return _STARTED + timedelta(seconds=seconds + _TIMEPOINT_SECONDS * (key.timepoint - 1))


def _head(plate: HarmonyPlate) -> str:
    return _HEAD % {
        "schema": "2" if plate.version is Version.V7 else "1",
        "namespace": NAMESPACES[plate.version],
        "user": USER,
        "instrument": escape(plate.instrument),
        "name": escape(plate.name),
        "guid": measurement_id(plate),
        "started": _STARTED.isoformat(timespec="milliseconds"),
        "plate_type": escape(plate.plate_type),
        "rows": plate.plate_rows,
        "columns": plate.plate_columns,
    }


def _wells(plate: HarmonyPlate, listed: list[HarmonyImage]) -> Iterator[str]:
    for well, images in groupby(listed, key=lambda image: image.key.well):
        row, column = split_well(well)
        yield _WELL % {"id": _well_id(well), "row": row + 1, "column": column + 1}
        yield from (f'      <Image id="{_image_id(image)}" />' for image in images)
        yield "    </Well>"


def _maps(plate: HarmonyPlate) -> Iterator[str]:
    channels = list(enumerate(plate.channels, start=1))
    profiles = {
        number: f"<FlatfieldProfile>{escape(flatfield_text(number, channel, plate))}</FlatfieldProfile>"
        for number, channel in channels
        if channel.flatfield is not None
    }
    maps = [profiles]
    if plate.instrument == "Phenix":
        maps.append({number: _SKEWCROP for number, _ in channels})
    if plate.version is not Version.V5:
        maps.append({number: _facts(plate, channel) + "\n" + _light(plate, channel) for number, channel in channels})
    yield "  <Maps>"
    for entries in filter(None, maps):
        yield "    <Map>"
        for number, content in entries.items():
            yield f'      <Entry ChannelID="{number}">'
            yield _indented(content, 8)
            yield "      </Entry>"
        yield "    </Map>"
    yield "  </Maps>"


def _images(plate: HarmonyPlate, listed: list[HarmonyImage]) -> Iterator[str]:
    own_facts = plate.version is Version.V5
    facts = [_indented(_facts(plate, channel), 6) + "\n" if own_facts else "" for channel in plate.channels]
    light = [_indented(_light(plate, channel), 6) + "\n" if own_facts else "" for channel in plate.channels]
    sequence = "" if own_facts else _SEQUENCE
    for (well, timepoint, field_id), images in groupby(
        listed, key=lambda image: (image.key.well, image.key.timepoint, image.field_id)
    ):
        row, column = split_well(well)
        x, y = plate.position_um(well, field_id)
        focus = plate.focus_um(well, field_id, timepoint)
        common = {
            "row": row + 1,
            "column": column + 1,
            "field": field_id,
            "timepoint": timepoint - 1 + plate.timepoint_base,
            "sequence": sequence,
            "x": _metres(x),
            "y": _metres(y),
            "offset": _TIMEPOINT_SECONDS * (timepoint - 1),
        }
        for image in images:
            key, height = image.key, plate.height_um(image.key)
            yield _IMAGE % {
                **common,
                "id": _image_id(image),
                "url": f"{image.folder}\\{image.name}" if image.folder else image.name,
                "z": key.z,
                "channel": key.channel,
                "facts": facts[key.channel - 1],
                "height": _metres(height),
                "focus": _metres(focus + height),
                "taken": taken_at(key).isoformat(timespec="milliseconds"),
                "light": light[key.channel - 1],
            }


def _facts(plate: HarmonyPlate, channel: HarmonyChannel) -> str:
    return _CHANNEL % {
        "name": escape(channel.name),
        "illumination": "Epifluorescence" if channel.kind is Kind.FLUORESCENCE else "Transmitted",
        "kind": channel.kind,
        "pixel_size": _shortest(plate.pixel_size_um / 1e6),
        "width": plate.size[1],
        "height": plate.size[0],
        "maximum": 65535 if plate.version is Version.V5 else 65536,
    }


def _light(plate: HarmonyPlate, channel: HarmonyChannel) -> str:
    emission = f'<MainEmissionWavelength Unit="nm">{channel.emission_nm}</MainEmissionWavelength>\n'
    lines = [
        _LIGHT % {"excitation": channel.excitation_nm, "emission": "" if channel.emission_nm is None else emission},
        _ORIENTATION,
    ]
    if plate.version is not Version.V5:
        height, width = plate.size
        lines.insert(1, '<ExcitationPower Unit="Percent">20</ExcitationPower>')
        lines.append(f"<CropArea>[[0,0],[{width},{height}],[{width},{height}]]</CropArea>")
    return "\n".join(lines)


def flatfield_text(number: int, channel: HarmonyChannel, plate: HarmonyPlate) -> str:
    """Return the profile of a channel in the vendor's notation.

    Real profiles are of square images: that x comes first in what is given for both axes is a guess.
    """
    profile = channel.flatfield
    if profile is None:
        return ""
    if profile.background:
        corrected = "Corrected: 0.052421376, Original: 0.60493761, Random: INF"
        means = f"Mean: {profile.mean:.8g}, NoiseConst: 1.3, NonFlatness: {{{corrected}}}"
        background = f"Character: NonFlat, {means}, {_polynomial(profile.background, plate.size)}, Quality: 1.0"
    elif channel.kind is Kind.FLUORESCENCE:
        background = "Character: Null, Mean: NaN, Profile: {Type: Identity}, Quality: 0.25"
    else:
        background = "Character: Null, Profile: {Type: Identity}, Quality: 1"
    parts = [f"Background: {{{background}}}", f"Channel: {number}", f"ChannelName: {_quoted(channel.name)}"]
    if profile.foreground:
        unevenness = "NonFlatness: {Original: 0.69933522, Random: 0.04734111}"
        shape = _polynomial(profile.foreground, plate.size)
        parts.append(f"Foreground: {{Character: NonFlat, {unevenness}, {shape}, Quality: 1.0}}")
    elif profile.foreground is not None:
        parts.append("Foreground: {Character: Flat, Profile: {Type: Identity}, Quality: 1}")
    return f"{{{', '.join(parts)}, Version: Acapella:2013}}"


def _polynomial(coefficients: Coefficients, size: tuple[int, int]) -> str:
    rows = ", ".join(f"[{', '.join(f'{value:g}' for value in row)}]" for row in coefficients)
    height, width = size
    origin, scale = f"[{(width - 1) / 2:g}, {(height - 1) / 2:g}]", f"[{1 / width:.8g}, {1 / height:.8g}]"
    geometry = f"Dims: [{width}, {height}], Origin: {origin}, Scale: {scale}"
    return f"Profile: {{Coefficients: [{rows}], {geometry}, Type: Polynomial}}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '\\"') + '"' if _SPECIAL & set(name) else name


def _indented(text: str, width: int) -> str:
    """Indent the lines of a text, but not those inside an element."""
    return "\n".join(" " * width + line if line.startswith("<") else line for line in text.split("\n"))


def _well_id(well: str) -> str:
    row, column = split_well(well)
    return f"{row + 1:02d}{column + 1:02d}"


def _image_id(image: HarmonyImage) -> str:
    key = image.key
    return f"{_well_id(key.well)}K{key.timepoint}F{image.field_id}P{key.z}R{key.channel}"


def _metres(micrometres: float) -> str:
    """Spell a position as the vendor does: in metres, to the nanometre."""
    return _shortest(round(micrometres / 1e6, 9) + 0.0)


def _shortest(value: float) -> str:
    return repr(value).removesuffix(".0").upper()
