"""TIFF files as MetaXpress exports them: plain strips, and an XML description in the tags.

The order of the tags, their types and the place of the pixels before the tags follow real plates. tifffile cannot write
that layout, and takes about a millisecond per file; this encoder takes a tenth of it.
"""

from __future__ import annotations

import struct
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from wellfield.example.tiff_directory import ASCII, LONG, SHORT, Entry, pack_directory

_STRIP_BYTES = 8192

_XML = """\
<MetaData>
<prop id="Description" type="string" value="%(description)s"/>
<prop id="MetaDataVersion" type="float" value="1"/>
<prop id="ApplicationName" type="string" value="MetaMorph"/>
<prop id="ApplicationVersion" type="string" value="6.7.0.211"/>
<PlaneInfo>
<prop id="plane-type" type="string" value="plane"/>
<prop id="pixel-size-x" type="int" value="%(width)d"/>
<prop id="pixel-size-y" type="int" value="%(height)d"/>
<prop id="bits-per-pixel" type="int" value="16"/>
<prop id="autoscale-state" type="bool" value="off"/>
<prop id="autoscale-min-percent" type="float" value="0"/>
<prop id="autoscale-max-percent" type="float" value="0"/>
<prop id="scale-min" type="int" value="%(low)d"/>
<prop id="scale-max" type="int" value="%(high)d"/>
<prop id="spatial-calibration-state" type="bool" value="on"/>
<prop id="spatial-calibration-x" type="float" value="%(pixel_size).6g"/>
<prop id="spatial-calibration-y" type="float" value="%(pixel_size).6g"/>
<prop id="spatial-calibration-units" type="string" value="um"/>
<prop id="image-name" type="string" value="%(image_name)s"/>
<prop id="threshold-state" type="string" value="ThresholdOff"/>
<prop id="threshold-low" type="int" value="0"/>
<prop id="threshold-high" type="int" value="65535"/>
<prop id="threshold-color" type="colorref" value="4080ff"/>
<prop id="zoom-percent" type="int" value="100"/>
<prop id="gamma" type="float" value="1"/>
<prop id="look-up-table-type" type="string" value="by-wavelength"/>
<prop id="look-up-table-name" type="string" value="Set By Wavelength"/>
<prop id="photonegative-mode" type="bool" value="off"/>
<prop id="gray-calibration-curve-fit-algorithm" type="int" value="4"/>
<prop id="gray-calibration-values" type="float-array" value=""/>
<prop id="gray-calibration-min" type="float" value="-1"/>
<prop id="gray-calibration-max" type="float" value="-1"/>
<prop id="gray-calibration-units" type="string" value=""/>
<prop id="plane-guid" type="guid" value="{%(guid)s}"/>
<prop id="acquisition-time-local" type="time" value="%(time)s"/>
<prop id="modification-time-local" type="time" value="%(time)s"/>
<prop id="stage-position-x" type="float" value="%(x).6g"/>
<prop id="stage-position-y" type="float" value="%(y).6g"/>
<prop id="stage-label" type="string" value="%(label)s"/>
<prop id="z-position" type="float" value="%(z).6g"/>
<prop id="wavelength" type="float" value="%(emission)d"/>
<prop id="camera-binning-x" type="int" value="2"/>
<prop id="camera-binning-y" type="int" value="2"/>
<prop id="camera-chip-offset-x" type="float" value="0"/>
<prop id="camera-chip-offset-y" type="float" value="0"/>
<prop id="_IllumSetting_" type="string" value="%(wave)s"/>
<prop id="_MagNA_" type="float" value="0.75"/>
<prop id="_MagRI_" type="float" value="1"/>
<prop id="_MagSetting_" type="string" value="20X Plan Apo Lambda"/>
<prop id="_Temperature_" type="float" value="29.6"/>
<custom-prop id="Camera Bit Depth" type="float" value="16"/>
<custom-prop id="Exposure Time" type="string" value="100 ms"/>
<custom-prop id="ImageXpress Micro Objective" type="string" value="20X Plan Apo Lambda"/>
<custom-prop id="ImageXpress Micro X" type="float" value="%(x).6g"/>
<custom-prop id="ImageXpress Micro Y" type="float" value="%(y).6g"/>
<custom-prop id="ImageXpress Micro Z" type="float" value="%(z).6g"/>
<custom-prop id="OffsetFromWellCenterUmX" type="float" value="%(offset_x).6g"/>
<custom-prop id="OffsetFromWellCenterUmY" type="float" value="%(offset_y).6g"/>
<custom-prop id="ReferenceSubtraction" type="string" value="None"/>
<custom-prop id="ShadingCorrection" type="string" value="Off"/>
<custom-prop id="SiteX" type="float" value="%(site_x)d"/>
<custom-prop id="SiteY" type="float" value="%(site_y)d"/>
%(extra)s</PlaneInfo>
<SetInfo>
<prop id="number-of-planes" type="int" value="1"/>
</SetInfo>
</MetaData>"""


class PlaneTags(NamedTuple):
    """What the vendor's tags say about one plane; lengths are in µm, positions those of the image centre.

    ``custom`` are the entries that only some planes have, such as ``Z Step`` or ``Z Projection Method``.
    """

    description: str
    image_name: str
    wave: str
    emission_nm: int
    label: str
    taken: datetime
    guid: UUID
    pixel_size_um: float
    stage_x_um: float
    stage_y_um: float
    stage_z_um: float
    offset_x_um: float
    offset_y_um: float
    site_x: int
    site_y: int
    custom: tuple[tuple[str, str | float], ...] = ()


def metaseries_xml(pixels: NDArray[np.uint16], tags: PlaneTags) -> str:
    """Describe a plane as MetaXpress does in the tag ``ImageDescription``."""
    extra = "".join(
        f'<custom-prop id="{_quoted(name)}" type="string" value="{_quoted(value)}"/>\n'
        if isinstance(value, str)
        else f'<custom-prop id="{_quoted(name)}" type="float" value="{value:.6g}"/>\n'
        for name, value in tags.custom
    )
    return _XML % {
        "description": _quoted(tags.description),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "low": pixels.min(),
        "high": pixels.max(),
        "pixel_size": tags.pixel_size_um,
        "image_name": _quoted(tags.image_name),
        "guid": str(tags.guid).upper(),
        "time": clock(tags.taken),
        "x": tags.stage_x_um,
        "y": tags.stage_y_um,
        "z": tags.stage_z_um,
        "label": _quoted(tags.label),
        "emission": tags.emission_nm,
        "wave": _quoted(tags.wave),
        "offset_x": tags.offset_x_um,
        "offset_y": tags.offset_y_um,
        "site_x": tags.site_x,
        "site_y": tags.site_y,
        "extra": extra,
    }


def encode_metaseries(pixels: NDArray[np.uint16], tags: PlaneTags) -> bytes:
    """Encode one plane, ``[Y, X]`` uint16, as a little-endian TIFF file: plain strips, then the tags."""
    height, width = pixels.shape
    rows, strips = strips_of(pixels)
    stored = b"".join(strips)
    starts = [8 + 2 * width * rows * number for number in range(len(strips))]
    fields: list[Entry] = [
        (254, LONG, [2]),
        (256, SHORT, [width]),
        (257, SHORT, [height]),
        (258, SHORT, [16]),
        (259, SHORT, [1]),
        (262, SHORT, [1]),
        (270, ASCII, metaseries_xml(pixels, tags).encode("ascii", "xmlcharrefreplace") + b"\0"),
        (273, LONG, starts),
        (274, SHORT, [1]),
        (277, SHORT, [1]),
        (278, SHORT, [rows]),
        (279, LONG, [len(strip) for strip in strips]),
        (305, ASCII, b"MetaSeries\0"),
        (306, ASCII, clock(tags.taken).encode("ascii") + b"\0"),
    ]
    directory_at = 8 + len(stored)  # pixels of two bytes: an even place, as TIFF asks for
    return struct.pack("<2sHI", b"II", 42, directory_at) + stored + pack_directory(fields, directory_at)


def strips_of(pixels: NDArray[np.uint16]) -> tuple[int, list[bytes]]:
    """Return the rows of a strip, and the strips of a plane as the vendor cuts them."""
    height, width = pixels.shape
    rows = min(height, max(1, _STRIP_BYTES // (2 * width)))
    raw = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    return rows, [raw[start : start + 2 * width * rows] for start in range(0, len(raw), 2 * width * rows)]


@lru_cache(maxsize=16)
def clock(moment: datetime) -> str:
    """Return a time as the vendor writes it: ``20240115 09:00:20.500``."""
    return f"{moment:%Y%m%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    return escape(text, {'"': "&#34;", "\r": "&#13;", "\n": "&#10;"})
