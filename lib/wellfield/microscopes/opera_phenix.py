"""Opera Phenix and Operetta (Harmony): planes by the index, or by their names if there is no index.

Harmony numbers fields in the order in which they were taken. If the index has positions, fields get new numbers, row by
row from the top left of the well, and the report says which number was which.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import pairwise
from math import isnan
from statistics import median

from wellfield.errors import DuplicatePlaneError, MetadataError, WellNameError
from wellfield.microscopes.handler import MicroscopeHandler
from wellfield.microscopes.harmony import HarmonyIndex, Measurement, read_harmony_index, read_measurement
from wellfield.microscopes.harmony_files import (
    INDEX_NAMES,
    TIFF_SUFFIXES,
    FilesOfPlate,
    ParsedName,
    base_name,
    parse_filename,
)
from wellfield.microscopes.image_facts import at_stage, read_facts
from wellfield.microscopes.measured_flatfield import parse_flatfield, what_is_lacking
from wellfield.microscopes.parsed_plate import ParsedPlate, unique_channel_names, usual_z_spacing
from wellfield.microscopes.plate_folders import refuse_several_plates, several_plates, without_vendor_folders
from wellfield.microscopes.sampling import Sample, sample_images
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.field_grid import arrange_fields, plate_wide_positions
from wellfield.plate.flatfield import FlatfieldProfile
from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.plate.wells import well_name


class OperaPhenixHandler(MicroscopeHandler):
    """Plates of Revvity's (PerkinElmer's) Opera Phenix and Operetta, exported or archived by Harmony."""

    _microscope_type = "opera_phenix"
    metadata_suffixes = (".xml",)

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        """Recognise an index of Harmony, or names such as ``r01c01f01p01-ch1sk1fk1fl1.tiff``."""
        index = next(filter(None, (_harmony_index(scan, file) for file in _index_files(scan))), None)
        image = next((file.path for file in scan.files if parse_filename(file.name)), None)
        return ", ".join(filter(None, (index, image and f"images named like {image}"))) or None

    def promises(self) -> list[str]:
        """Return what the index lists, for a folder without images."""
        if self._index is None:
            return []
        planes = self._index.planes
        wells = sorted({(plane.row, plane.column) for plane in planes})
        channels = [f"{number} {channel.name or ''}".strip() for number, channel in self._index.channels.items()]
        return [
            f"planes: {len(planes)}",
            f"wells: {len(wells)} ({', '.join(well_name(row - 1, column - 1) for row, column in wells)})",
            f"fields per well: {len({plane.field for plane in planes})}",
            f"channels: {'; '.join(channels)}",
        ]

    def find_planes(self) -> ParsedPlate:
        """Return the planes of the plate; opens two images per channel."""
        contents = ParsedPlate()
        if self._index is None:
            self._by_names(contents)
        else:
            _IndexedPlate(self.scan, self._index_paths[0], self._index, contents).describe()
            self._refuse_unlisted_plate(contents)
        refuse_several_plates(self.plate_path, contents)
        for other in self._index_paths[1:]:
            contents.ignored.setdefault("another index of the same measurement", []).append(other)
        samples = sample_images(self.plate_path, contents)
        if self._index is None:
            self._take_facts(contents, samples)
        sizes = {channel.shape for channel in self._index.channels.values()} - {None} if self._index else set()
        if contents.plate.shape and sizes and contents.plate.shape not in sizes:
            said = " or ".join(str(size) for size in sorted(filter(None, sizes)))
            contents.notes.append(f"images have {contents.plate.shape} pixels, the index says {said}")
        return contents

    def _refuse_unlisted_plate(self, contents: ParsedPlate) -> None:
        """Raise if a folder holds the images of another plate, without an index; some copies are only left out."""
        index = without_vendor_folders(self._index_paths[0].rpartition("/")[0])
        images: dict[str, list[str]] = defaultdict(list)
        for path in contents.ignored.get("not listed in the index", ()):
            folder, _, name = path.rpartition("/")
            if parse_filename(name) is not None and not (index and f"{folder}/".startswith(f"{index}/")):
                images[without_vendor_folders(folder)].append(name)
        listed = {base_name(plane.path) for plane in contents.planes}
        for folder, names in images.items():
            if folder != index and (2 * len(names) >= len(listed) or not listed.issuperset(names)):
                raise several_plates(self.plate_path, (index, folder))

    @cached_property
    def _index_paths(self) -> list[str]:
        """Paths of the index of the plate's one measurement, in or above the images' folder, and of its copies."""
        found: dict[str, Measurement] = {}
        for file in _index_files(self.scan):
            measurement = read_measurement(self.plate_path / file.path)
            if measurement is not None:
                found[file.path] = measurement
        if len({measurement[1:] for measurement in found.values()}) > 1:
            raise MetadataError(
                f"plate folder {self.plate_path} has the indices of several measurements: {', '.join(found)}; "
                "expected one. List each measurement as a plate of its own"
            )
        for path, measurement in found.items():
            if len(measurement.plates) > 1:
                raise MetadataError(
                    f"{self.plate_path / path} lists the plates {', '.join(measurement.plates)}; expected one. Export "
                    "each plate by itself"
                )
        return list(found)

    @cached_property
    def _index(self) -> HarmonyIndex | None:
        return read_harmony_index(self.plate_path / self._index_paths[0]) if self._index_paths else None

    def _take_facts(self, contents: ParsedPlate, samples: Sequence[Sample]) -> None:
        """Take calibration, channel names and positions from the files themselves, which Harmony describes each."""
        facts = {sample.plane.path: read_facts(self.plate_path / sample.plane.path) for sample in samples}
        sizes = Counter(found.pixel_size_um for found in facts.values() if found.pixel_size_um)
        if sizes:
            usual = sizes.most_common(1)[0][0]
            contents.plate = replace(contents.plate, pixel_size_um=usual, pixel_size_of_files=True)
        said = {sample.plane.key.channel: facts[sample.plane.path].channel for sample in samples}
        named = {number: said.get(number) or name for number, name in contents.plate.channels.items()}
        contents.plate = replace(
            contents.plate,
            channels=unique_channel_names(named, contents.notes),
            stage_y_up=any(found.stage_y_up for found in facts.values()),
        )
        contents.planes = [at_stage(plane, facts.get(plane.path)) for plane in contents.planes]

    def _by_names(self, contents: ParsedPlate) -> None:
        planes: dict[PlaneKey, PlaneRecord] = {}
        ignored = defaultdict(list, contents.ignored)
        names = [(file, parse_filename(file.name)) for file in self.scan.files]
        offset = int(any(parsed is not None and parsed.time == 0 for _, parsed in names))
        if offset:
            contents.notes.append("file names count timepoints from 0; they are raised by one")
        for file, parsed in names:
            well = _well(parsed.row, parsed.column) if parsed else None
            if parsed is None or well is None or not all(parsed[:5]):
                tiff = file.name.lower().endswith(TIFF_SUFFIXES)
                ignored["name is not of the vendor's form" if tiff else "no image"].append(file.path)
                continue
            key = PlaneKey(well, parsed.field, parsed.channel, parsed.plane, parsed.time + offset)
            record = PlaneRecord(key, file.path, file.size, file.mtime_ns)
            if (known := planes.setdefault(key, record)) is not record:
                raise DuplicatePlaneError(
                    f"two files are the same plane {plane_name(key)} (well {well}, field {key.field}, channel "
                    f"{key.channel}, timepoint {key.timepoint}): {known.path} and {file.path}. Remove one, or list "
                    "each measurement as a plate of its own; fast kinetics (fk) and FLIM (fl) are not told apart"
                )
        contents.planes = list(planes.values())
        contents.ignored = dict(ignored)
        channels = {number: f"ch{number}" for number in sorted({key.channel for key in planes})}
        contents.plate = replace(contents.plate, channels=channels)
        if planes:
            contents.notes.append(
                f"there is no index ({' or '.join(INDEX_NAMES)}): planes are known by their file names alone; "
                "positions, channel names and calibration come from the files; fields have the vendor's numbers"
            )


class _IndexedPlate:
    """The planes that an index lists, brought together with the files that are there."""

    def __init__(self, scan: Scan, index_path: str, index: HarmonyIndex, contents: ParsedPlate) -> None:
        self._root = scan.root
        self._path = index_path
        self._index = index
        self._contents = contents
        self._names = {file.name: parse_filename(file.name) for file in scan.files}
        self._files = FilesOfPlate(scan.files, self._names, index_path.rpartition("/")[0])

    def describe(self) -> None:
        """Fill in the contents."""
        contents, index = self._contents, self._index
        self._add_planes()
        present = {plane.key.channel for plane in contents.planes}
        channels = {number: index.channels[number] for number in sorted(present)}
        names = {number: channel.name or f"ch{number}" for number, channel in channels.items()}
        unique_names = unique_channel_names(names, contents.notes)
        sizes = Counter(channel.pixel_size_um for channel in channels.values() if channel.pixel_size_um)
        if len(sizes) > 1:
            contents.notes.append(f"channels of different pixel size: {sorted(sizes)} µm")
        flatfields: dict[int, FlatfieldProfile] = {}
        for number, channel in channels.items():
            profile = parse_flatfield(channel.flatfield) if channel.flatfield else None
            if profile is not None:
                flatfields[number] = profile
            elif channel.flatfield and "Coefficients" in channel.flatfield:
                contents.notes.append(
                    f"the flat-field profile of channel {number} {what_is_lacking(channel.flatfield)}; it is not used: "
                    "correct the channel with `illumination: fitted`"
                )
        z_spacing = usual_z_spacing(
            ((p.row, p.column, p.field, p.channel, p.timepoint), p.plane, p.z_um) for p in index.planes
        )
        contents.plate = replace(
            contents.plate,
            channels=unique_names,
            wavelengths_nm={n: (channel.excitation_nm, channel.emission_nm) for n, channel in channels.items()},
            stage_y_up=True,
            pixel_size_um=sizes.most_common(1)[0][0] if sizes else None,
            flatfields=flatfields,
            z_spacing_um=z_spacing,
            time_interval_s=self._time_interval(),
        )

    def _time_interval(self) -> float | None:
        """Return the median time from one timepoint's start to the next one's."""
        starts: dict[int, float] = {}
        for plane in self._index.planes:
            starts[plane.timepoint] = min(plane.seconds, starts.get(plane.timepoint, plane.seconds))
        ordered = [starts[time] for time in sorted(starts)]
        steps = [later - earlier for earlier, later in pairwise(ordered)]
        return median(steps) if steps and not any(map(isnan, steps)) else None

    def _add_planes(self) -> None:
        offset = self._timepoint_offset()
        numbers = self._field_numbers()
        pixel_sizes = {number: channel.pixel_size_um or NAN for number, channel in self._index.channels.items()}
        planes: list[PlaneRecord] = []
        urls: dict[PlaneKey, str] = {}
        owners: dict[str, PlaneKey] = {}
        absent: list[PlaneKey] = []
        contradicting: list[str] = []
        for url, row, column, field, z, time, channel, x, y, _, stage_z, _ in self._index.planes:
            well = _well(row, column)
            if well is None or min(field, z, channel, time + offset) < 1:
                raise MetadataError(
                    f"{self._root / self._path}: {url} is row {row}, column {column}, field {field}, plane {z}, "
                    f"channel {channel}, timepoint {time}; expected rows to 32, columns to 48, numbers counting from 1"
                )
            key = PlaneKey(well, numbers[field], channel, z, time + offset)
            if (known := urls.setdefault(key, url)) is not url:
                if known == url:
                    continue
                raise DuplicatePlaneError(
                    f"{self._root / self._path} lists two files as plane {plane_name(key)} (well {well}, the vendor's "
                    f"field {field}, channel {channel}): {known} and {url}. Export each measurement by itself; fast "
                    "kinetics and FLIM are not told apart"
                )
            file = self._files.find(url)
            if file is None:
                absent.append(key)
                continue
            said = self._names[file.name]
            path, pixel = file.path, pixel_sizes.get(channel, NAN)
            if (owner := owners.setdefault(path, key)) is not key:
                raise DuplicatePlaneError(
                    f"{self._root / self._path} lists {path} as two planes, {plane_name(owner)} and {plane_name(key)}; "
                    "export the index again"
                )
            if said is not None and said[:5] != (row, column, field, z, channel):
                contradicting.append(path)
            planes.append(PlaneRecord(key, path, file.size, file.mtime_ns, x, y, stage_z, pixel))
        contents = self._contents
        contents.planes = planes
        contents.ignored |= self._files.unused()
        if absent:
            contents.promised["planes"] = [plane_name(key) for key in sorted(absent)]
        if contradicting:
            contents.notes.append(
                f"{len(contradicting)} file names, such as {contradicting[0]}, contradict the index, which is followed"
            )

    def _timepoint_offset(self) -> int:
        """Return what makes the index's timepoints count from 1, as those in file names do; it differs by version."""
        times, offsets = set(), set()
        for listed in self._index.planes:
            times.add(listed.timepoint)
            said = self._parsed(base_name(listed.url))
            if said is not None:
                offsets.add(said.time - listed.timepoint)
        offset = offsets.pop() if len(offsets) == 1 else 0
        return max(offset, 1 - min(times, default=1))

    def _field_numbers(self) -> Mapping[int, int]:
        """Return the number of each of the vendor's fields, in the order in which they lie in the well."""
        contents = self._contents
        fields = sorted({plane.field for plane in self._index.planes})
        places = {
            (p.row, p.column, p.field): (p.x_um, p.y_um)
            for p in reversed(self._index.planes)
            if not isnan(p.x_um + p.y_um)
        }
        positions, deviation = plate_wide_positions(
            ((row, column), field, x, y) for (row, column, field), (x, y) in places.items()
        )
        if len(positions) < len(fields):
            contents.notes.append("the index lacks positions of fields; they keep the vendor's numbers")
            return dict(zip(fields, fields, strict=True))
        grid = arrange_fields(positions)
        if len(fields) > 1 and deviation > grid.tolerance:
            contents.notes.append(
                f"a field lies up to {deviation:.0f} µm from where it lies in other wells: wells differ in their "
                "layout, and fields keep the vendor's numbers"
            )
            return dict(zip(fields, fields, strict=True))
        vendors = {number: field for field, number in sorted(grid.numbers.items(), key=lambda item: item[1])}
        contents.plate = replace(contents.plate, grid_dimensions=(grid.rows, grid.columns), vendor_fields=vendors)
        return grid.numbers

    def _parsed(self, name: str) -> ParsedName | None:
        if name not in self._names:
            self._names[name] = parse_filename(name)
        return self._names[name]


@lru_cache(maxsize=4096)
def _well(row: int, column: int) -> str | None:
    """Return the well of a row and a column that count from 1; ``None`` for one outside of any plate."""
    try:
        return well_name(row - 1, column - 1)
    except WellNameError:
        return None


def _index_files(scan: Scan) -> list[ScannedFile]:
    files = [file for file in scan.files if file.name.lower() in INDEX_NAMES]
    return sorted(files, key=lambda file: (file.folder.count("/") + bool(file.folder), file.path))


def _harmony_index(scan: Scan, file: ScannedFile) -> str | None:
    """Return what a file says about itself if it is an index of Harmony."""
    try:
        measurement = read_measurement(scan.root / file.path)
    except MetadataError:  # what is wrong is said by whoever reads it; only Harmony gives this name
        return f"Harmony's index {file.path}, which is damaged" if file.name.lower() == "index.idx.xml" else None
    return measurement and f"Harmony's index {file.path} ({measurement.version})"
