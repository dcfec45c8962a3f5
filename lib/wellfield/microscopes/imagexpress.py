"""ImageXpress (MetaXpress): both dialects of folders and names, and the copies that the vendor fills gaps with.

Example: a wave has one z plane, and ``ZStep_2`` has a file for it too, a copy of the one in ``ZStep_1``. Names and
folders say where a plane should be; the tags inside a file say what it is. MetaXpress copies a wave's only plane, or
its projection, into every ``ZStep`` folder, and its only timepoint into every ``TimePoint`` folder. Tags are sampled
once per wave and folder. If the samples of a group disagree, every file of the group is read.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import NamedTuple

from wellfield.errors import DuplicatePlaneError, MetadataError, WellNameError
from wellfield.microscopes.handler import MicroscopeHandler
from wellfield.microscopes.htd import Htd, read_htd
from wellfield.microscopes.metaseries import PlaneTags, read_tags
from wellfield.microscopes.parsed_plate import ParsedPlate, unique_channel_names, usual_z_spacing
from wellfield.microscopes.plate_folders import refuse_several_plates
from wellfield.microscopes.sampling import sample_images
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.keys import PlaneKey, Projection, match_plane_name, plane_name
from wellfield.plate.wells import canonical_well

_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
# The well is the last token before site and wave, in either case (so the prefix is as short as possible), but never a
# lower-case s1 or w1. A GUID may follow, with or without "_" and brackets.
_NAME = re.compile(
    r"(?:.*?_)??(?P<well>(?:[A-Z]{1,2}|[a-rt-vx-z]|[a-z]{2})[0-9]{1,2})(?:_[sS](?P<site>[0-9]{1,4}?))?"
    r"(?:_[wW](?P<wave>[0-9]{1,2}?))?(?P<thumb>_[tT]humb)?"
    rf"(?:_?(?:{_GUID}|\[{_GUID}\]|\{{{_GUID}\}}))?\.[tT][iI][fF][fF]?"
)
_OTHER_TOKENS = "sStTwWzZ"  # letters of site, time, wave and z; large plates have rows of these names
_TIMEPOINT = re.compile(r"timepoint_?([0-9]+)", re.IGNORECASE)
_Z_STEP = re.compile(r"zstep_?([0-9]+)", re.IGNORECASE)
_TIFF = (".tif", ".tiff")


class Place(NamedTuple):
    """Where a file lies: TimePoint and ZStep number of its folders, ``None`` without such a folder."""

    timepoint: int | None
    z: int | None


class Group(NamedTuple):
    """Files whose tags should agree; *canonical*: their names say every axis (``A01_s001_w1_z001_t001.tif``)."""

    place: Place
    wave: int
    canonical: bool = False


class Candidate(NamedTuple):
    """A file whose name and folder say which plane it is; *key* if the name alone says it."""

    file: ScannedFile
    well: str
    site: int
    wave: int
    key: PlaneKey | None = None


class ParsedName(NamedTuple):
    """What a file name says; a missing site or wave is 1."""

    well: str
    site: int
    wave: int
    thumbnail: bool


def parse_filename(name: str) -> ParsedName | None:
    """Return what an ImageXpress file name says, or ``None`` if it is none.

    >>> parse_filename("Exp_D4_A01_s1_w2607EE13F-AB5E-4E8C-BC4B-52E1118E7723.tif")
    ParsedName(well='A01', site=1, wave=2, thumbnail=False)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    well, site, wave, thumb = match.groups()
    if well[0] in _OTHER_TOKENS and _is_other_token(name, *match.span("well")):
        return None
    try:
        well = canonical_well(well)
    except WellNameError:
        return None
    return ParsedName(well, int(site or 1), int(wave or 1), thumb is not None)


def _is_other_token(name: str, start: int, end: int) -> bool:
    """Tell whether what looks like a well is another token: it follows a well and has the case of the tokens.

    ``B02_t1_s1_w1`` and ``B02_T1_S1_W1`` have a time, ``P1_T01_s1_w1`` has well T01.
    """
    behind = name[end : end + 2]
    lower = behind in ("_s", "_w") or behind not in ("_S", "_W")
    if name[start].islower() != lower:
        return False
    try:
        return bool(canonical_well(name[:start].removesuffix("_").rpartition("_")[2]))
    except WellNameError:
        return False


def _canonical_key(name: str) -> PlaneKey | None:
    """Return the key of a canonical name (``A01_s001_w1_max_t001.tif``), ``None`` for others and for stitched wells."""
    if not name.lower().endswith(_TIFF):
        return None
    key = match_plane_name(name)
    return key if key is not None and key.field else None


class ImageXpressHandler(MicroscopeHandler):
    """Plates of Molecular Devices' ImageXpress, in database or export style; files with canonical names too."""

    _microscope_type = "imagexpress"
    metadata_suffixes = (".htd",)

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        """Recognise ``.HTD`` files, or names with site, wave or GUID."""
        token = re.compile(rf"_s[0-9]|_w[0-9]|{_GUID}", re.IGNORECASE)
        images = (
            file.path
            for file in scan.files
            if token.search(file.name)
            and (((parsed := parse_filename(file.name)) and not parsed.thumbnail) or _canonical_key(file.name))
        )
        htds = (file.path for file in scan.files if file.name.lower().endswith(".htd"))
        reasons = (f"metadata {next(htds, '')}", f"images named like {next(images, '')}")
        return ", ".join(reason for reason in reasons if not reason.endswith(" ")) or None

    def promises(self) -> list[str]:
        """Return the lines of the plate's ``.HTD`` file."""
        return [line for _, htd in self._htds()[:1] for line in htd.lines()]

    def find_planes(self) -> ParsedPlate:
        """Return the planes of the plate; opens two images per wave and folder, and two more per wave."""
        contents = ParsedPlate()
        groups = self._group_files(contents)
        tags = {key: self._sample(group, contents) for key, group in groups.items()}
        has_z = any(key.place.z is not None for key in groups if not key.canonical)
        chosen = _Chooser(contents)
        for key, group in groups.items():
            place, sampled = key.place, tags[key]
            common = _agreed(sampled)
            if common is not None or not sampled or key.canonical:
                chosen.add(group, place, common, sampled, has_z=has_z)
                continue
            for candidate in group:
                chosen.add([candidate], place, sampled.get(candidate.file.path), sampled, has_z=has_z)
        contents.planes = chosen.records()
        self._describe(contents, tags)
        refuse_several_plates(self.plate_path, contents)
        return contents

    def _group_files(self, contents: ParsedPlate) -> dict[Group, list[Candidate]]:
        groups: dict[Group, list[Candidate]] = defaultdict(list)
        folder, waves = None, dict[int, list[Candidate]]()
        names: dict[str, ParsedName | None] = {}  # exports repeat every name in every ZStep folder
        ignored = defaultdict(list, contents.ignored)
        for file in self.scan.files:
            name = file.name
            if name not in names:
                names[name] = parse_filename(name)
            parsed = names[name]
            if parsed is None:
                if (key := _canonical_key(name)) is not None:
                    self._check_folder(file, key)
                    group = Group(Place(key.timepoint, key.z), key.channel, canonical=True)
                    groups[group].append(Candidate(file, key.well, key.field, key.channel, key))
                    continue
                if not file.name.lower().endswith(self.metadata_suffixes):
                    tiff = file.name.lower().endswith(_TIFF)
                    ignored["name is not of the vendor's form" if tiff else "no image"].append(file.path)
                continue
            if parsed.thumbnail:
                ignored["thumbnail"].append(file.path)
                continue
            if file.folder != folder:  # files come folder by folder
                folder, waves = file.folder, {}
            well, site, wave, _ = parsed
            if wave not in waves:
                waves[wave] = groups[Group(_place(folder), wave)]
            waves[wave].append(Candidate(file, well, site, wave))
        contents.ignored = dict(ignored)
        groups = _counted_from_one(groups, contents.notes)
        return dict(sorted(groups.items(), key=lambda item: (item[0][0].timepoint or 0, item[0][0].z or 0, item[0][1])))

    def _check_folder(self, file: ScannedFile, key: PlaneKey) -> None:
        """Raise if the folders of a file with a canonical name say another timepoint or z than its name."""
        place = _place(file.folder)
        if place.timepoint in (None, key.timepoint) and place.z in (None, key.z):
            return
        raise MetadataError(
            f"plate folder {self.plate_path}: the folders of {file.path} say timepoint {place.timepoint or '?'} and z "
            f"{'?' if place.z is None else place.z}; expected timepoint {key.timepoint} and z {key.z}, as its name "
            "says (0 for a projection). Move or rename the file"
        )

    def _sample(self, group: list[Candidate], contents: ParsedPlate) -> dict[str, PlaneTags]:
        """Return the tags of the first and last readable file of a group; of all files when these two disagree."""
        found: dict[str, PlaneTags] = {}
        for order in (group[:3], group[:-4:-1]):  # if a file cannot be read, try its neighbours
            for candidate in order:
                path = candidate.file.path
                if path not in found and candidate.file.size:
                    contents.images_opened += 1
                    if (tags := read_tags(self.plate_path / path)) is not None:
                        found[path] = tags
                if path in found:
                    break
        if _agreed(found) is None and len(found) > 1 and group[0].key is None:
            for candidate in group:
                if candidate.file.path not in found:
                    contents.images_opened += 1
                    if (tags := read_tags(self.plate_path / candidate.file.path)) is not None:
                        found[candidate.file.path] = tags
        return found

    def _htds(self) -> list[tuple[str, Htd]]:
        files = [file for file in self.scan.files if file.name.lower().endswith(".htd")]
        files.sort(key=lambda file: (file.folder.count("/") + bool(file.folder), file.path))
        distinct: dict[tuple[str, int], str] = {}
        for file in files:  # MetaXpress puts a copy into every folder
            distinct.setdefault((file.name, file.size), file.path)
        return [(path, read_htd(self.plate_path / path)) for path in distinct.values()]

    def _describe(self, contents: ParsedPlate, groups: dict[Group, dict[str, PlaneTags]]) -> None:
        htds = self._htds()
        htd = htds[0][1] if htds else Htd()
        for path, other in htds[1:]:
            if other != htd:
                contents.notes.append(f"{path} contradicts {htds[0][0]}; the latter is used")
        waves = sorted({plane.key.channel for plane in contents.planes})
        tag_names = {
            wave: name
            for (_, wave, _), sampled in groups.items()
            for name in [next((t.illumination for t in sampled.values() if t.illumination), None)]
            if name
        }
        names = {wave: (htd.wave_names or {}).get(wave) or tag_names.get(wave) or f"w{wave}" for wave in waves}
        contents.plate = replace(contents.plate, channels=unique_channel_names(names, contents.notes))
        sample_images(self.plate_path, contents)
        sizes = Counter(t.pixel_size_um for tags in groups.values() for t in tags.values() if t.pixel_size_um)
        if sizes:
            usual = sizes.most_common(1)[0][0]
            contents.plate = replace(contents.plate, pixel_size_um=usual, pixel_size_of_files=True)
            if len(sizes) > 1:
                contents.notes.append(f"planes of different pixel size among those sampled: {sorted(sizes)} µm")
        heights = ((p.key, p.stage_z_um) for p in contents.planes if p.key.z and not math.isnan(p.stage_z_um))
        z_spacing = usual_z_spacing(
            ((key.well, key.field, key.channel, key.timepoint), key.z, height) for key, height in heights
        )
        contents.plate = replace(contents.plate, grid_dimensions=htd.site_grid, z_spacing_um=z_spacing)
        contents.promised = _absent(htd, contents.planes)


def _counted_from_one(groups: dict[Group, list[Candidate]], notes: list[str]) -> dict[Group, list[Candidate]]:
    """Return the groups with sites and waves that count from 1; names may count from 0, on the whole plate."""
    vendors = {group: found for group, found in groups.items() if not group.canonical}
    site = int(any(candidate.site == 0 for found in vendors.values() for candidate in found))
    wave = int(any(group.wave == 0 for group in vendors))
    if not site and not wave:
        return groups
    axes = " and ".join(name for name, raised in (("sites", site), ("waves", wave)) if raised)
    notes.append(f"{axes} in the names count from 0; each is raised by one")
    raised = {
        group._replace(wave=group.wave + wave): [c._replace(site=c.site + site, wave=c.wave + wave) for c in found]
        for group, found in vendors.items()
    }
    return raised | {group: found for group, found in groups.items() if group.canonical}


def _place(folder: str) -> Place:
    timepoint = z = None
    for part in folder.split("/"):
        if match := _TIMEPOINT.fullmatch(part):
            timepoint = int(match[1])
        elif match := _Z_STEP.fullmatch(part):
            z = int(match[1])
    return Place(timepoint, z)


def _agreed(found: dict[str, PlaneTags]) -> PlaneTags | None:
    """Return the tags that speak for a whole group; ``None`` if the samples disagree on what the planes are."""
    if len({(t.projection, t.z, t.timepoint) for t in found.values()}) != 1:
        return None
    return next(iter(found.values()))


class _Chooser:
    """Finds the file of each plane among candidates; some of these are copies that the vendor filled gaps with."""

    def __init__(self, contents: ParsedPlate) -> None:
        self._contents = contents
        self._planes: dict[PlaneKey, PlaneRecord] = {}
        self._fillers: list[tuple[PlaneKey, PlaneRecord]] = []

    def add(
        self,
        group: list[Candidate],
        place: Place,
        tags: PlaneTags | None,
        sampled: dict[str, PlaneTags],
        *,
        has_z: bool,
    ) -> None:
        """Take files of one place with the tags that hold for all of them; *sampled* are those read, by path."""
        projection, z, in_place = _z_and_projection(place, tags, has_z=has_z)
        time = (tags.timepoint if tags else None) or place.timepoint or 1
        in_place &= place.timepoint in (None, time)
        sizes = {found.pixel_size_um for found in sampled.values()}
        pixel = (tags.pixel_size_um or NAN) if tags and len(sizes) == 1 else NAN
        nowhere = (NAN, NAN, NAN)
        for (folder, name, size, mtime), well, site, wave, own_key in group:
            key = own_key or PlaneKey(well, site, wave, z, time, projection)
            path = f"{folder}/{name}" if folder else name
            own = sampled.get(path)
            x, y, height = (own.stage_x_um, own.stage_y_um, own.stage_z_um) if own else nowhere
            record = PlaneRecord(key, path, size, mtime, x, y, height, (own and own.pixel_size_um) or pixel)
            if not (in_place or own_key):
                self._fillers.append((key, record))
            elif (known := self._planes.setdefault(key, record)) is not record:
                raise DuplicatePlaneError(
                    f"two files are the same plane {plane_name(key)} (well {well}, field {site}, channel {wave}, "
                    f"timepoint {key.timepoint}): {known.path} and {path}. "
                    "Remove one, or list each acquisition as a plate of its own"
                )

    def records(self) -> list[PlaneRecord]:
        """Return the planes; a copy stands in where the original is not there, the other copies are reported."""
        copies = self._contents.ignored.setdefault("copy that the vendor filled a folder with", [])
        for key, record in self._fillers:
            if key in self._planes:
                copies.append(record.path)
            else:
                self._planes[key] = record
                self._contents.notes.append(
                    f"{record.path} is by its tags {plane_name(key)} and stands in for the original, which is absent"
                )
        if not copies:
            del self._contents.ignored["copy that the vendor filled a folder with"]
        return list(self._planes.values())


def _z_and_projection(place: Place, tags: PlaneTags | None, *, has_z: bool) -> tuple[Projection, int, bool]:
    """Return projection and z of a plane and whether the file lies in the folder where that belongs."""
    if tags is not None and tags.projection != Projection.NONE:
        return tags.projection, 0, not place.z
    if tags is not None and tags.z is not None:
        return Projection.NONE, tags.z, place.z == tags.z or (place.z is None and not has_z)
    if place.z:
        return Projection.NONE, place.z, True
    # Without tags: ZStep_0, and files next to ZStep folders, are projections of an unknown method.
    return (Projection.UNKNOWN, 0, True) if has_z else (Projection.NONE, 1, True)


def _absent(htd: Htd, planes: list[PlaneRecord]) -> dict[str, list[str]]:
    """Return, by axis, what the HTD file promises and no plane has."""
    keys = [plane.key for plane in planes]
    wells = {key.well for key in keys}
    waves = {key.channel for key in keys}
    absent = {
        "wells": [well for well in htd.wells if well not in wells],
        "channels": [f"{n} ({name})" for n, name in (htd.wave_names or {}).items() if n not in waves],
        "fields": _numbers(htd.sites, {key.field for key in keys}),
        "z": _numbers(htd.z_steps, {key.z for key in keys if key.z}),
        "timepoints": _numbers(htd.timepoints, {key.timepoint for key in keys}),
    }
    return {axis: values for axis, values in absent.items() if values}


def _numbers(promised: int | None, found: set[int]) -> list[str]:
    return [str(number) for number in range(1, (promised or 0) + 1) if number not in found]
