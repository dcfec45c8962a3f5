"""An example of a microscope: GE's InCell Analyzer, ``B - 03(fld 1 wv DAPI - DAPI z 2).tif`` in one folder."""

from __future__ import annotations

import re

from wellfield.errors import DuplicatePlaneError
from wellfield.microscopes import MicroscopeHandler
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.sampling import sample_images
from wellfield.microscopes.scan import Scan
from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import PlaneKey
from wellfield.plate.plate import Plate
from wellfield.plate.wells import canonical_well

_NAME = re.compile(
    r"(?P<row>[A-P]) - (?P<column>[0-9]+)\(fld (?P<field>[0-9]+) wv (?P<wave>.+?)(?: z (?P<z>[0-9]+))?\)\.tiff?", re.I
)


class InCellHandler(MicroscopeHandler):
    """Plates of the InCell Analyzer."""

    _microscope_type = "incell"

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        image = next((file.path for file in scan.files if _NAME.fullmatch(file.name)), None)
        return f"images named like {image}" if image else None

    def find_planes(self) -> ParsedPlate:
        matches = [(file, match) for file in self.scan.files if (match := _NAME.fullmatch(file.name))]
        waves = {wave: number for number, wave in enumerate(sorted({match["wave"] for _, match in matches}), start=1)}
        planes: dict[PlaneKey, PlaneRecord] = {}
        for file, match in matches:
            well = canonical_well(match["row"] + match["column"])
            key = PlaneKey(well, int(match["field"]), waves[match["wave"]], int(match["z"] or 1), 1)
            if key in planes:
                raise DuplicatePlaneError(f"two files are the same plane {key}: {planes[key].path} and {file.path}")
            planes[key] = PlaneRecord(key, file.path, file.size, file.mtime_ns)
        contents = ParsedPlate(list(planes.values()), Plate(channels={number: wave for wave, number in waves.items()}))
        if others := [file.path for file in self.scan.files if not _NAME.fullmatch(file.name)]:
            contents.ignored["name is not of the vendor's form"] = others
        sample_images(self.plate_path, contents)
        return contents
