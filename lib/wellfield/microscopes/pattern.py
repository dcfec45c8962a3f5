"""Plates of any layout: a pattern in the configuration, or a preset, says which plane each file is."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wellfield.errors import (
    DuplicatePlaneError,
    EmptyPlateError,
)
from wellfield.formats.plane_files import PLANE_SUFFIXES
from wellfield.microscopes.filename_tokens import Tokens
from wellfield.microscopes.handler import MicroscopeHandler
from wellfield.microscopes.image_facts import ImageFacts, at_stage, read_facts
from wellfield.microscopes.mismatch import explain_mismatch
from wellfield.microscopes.parsed_plate import ParsedPlate, unique_channel_names
from wellfield.microscopes.plate_folders import refuse_several_plates
from wellfield.microscopes.presets import PRESETS
from wellfield.microscopes.sampling import Sample, sample_images
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.filename_layout import Layout
from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import PlaneKey, plane_name

NO_MATCH = "does not match the pattern"

Match = re.Match[str]


class PatternHandler(MicroscopeHandler):
    """A plate whose paths say what each plane is; a layout says how to read them.

    Parameters
    ----------
    plate_path, scan:
        As of every handler.
    layout:
        How to read the paths; its name is the name of the microscope.
    """

    def __init__(self, plate_path: str | os.PathLike[str], *, layout: Layout, scan: Scan | None = None) -> None:
        super().__init__(plate_path, scan=scan)
        self.layout = layout
        self._microscope_type = layout.name

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        """Recognise nothing: a layout is named, never guessed."""
        return None

    def find_planes(self) -> ParsedPlate:
        """Return the planes of the plate; opens two images per channel, more only where one cannot be read.

        Raises
        ------
        EmptyPlateError
            No image matches the pattern.
        DuplicatePlaneError
            Two files match with the same key.
        WellNameError, ConfigError
            The text of a group is not a well, not a number, or not a channel that the layout lists.
        ImageKindError
            A sampled file is not a single grey plane.
        """
        contents = ParsedPlate()
        files, matches = self._match(contents)
        tokens = Tokens(self.layout, files, matches)
        wells = tokens.wells()
        fields, depths, times = (tokens.numbers(axis, contents.notes) for axis in ("field", "z", "timepoint"))
        channels, names = tokens.channels(contents.notes)
        contents.plate = replace(contents.plate, channels=names)
        keys = list(map(PlaneKey, wells, fields, channels, depths, times))
        self._refuse_duplicates(files, keys)
        contents.planes = [
            PlaneRecord(key, file.path, file.size, file.mtime_ns) for key, file in zip(keys, files, strict=True)
        ]
        self._describe(contents)
        if "/" not in self.layout.pattern:
            refuse_several_plates(self.plate_path, contents, any_folder=True)
        elif self.layout.pattern == PRESETS["folder_per_well"].pattern:
            above = (match.string[: match.start("well")].rpartition("/")[0] for match in matches)
            folders = dict(zip((file.path for file in files), above, strict=True))
            refuse_several_plates(self.plate_path, contents, folders)
        return contents

    def _match(self, contents: ParsedPlate) -> tuple[list[ScannedFile], list[Match]]:
        match = path_matcher(self.layout.pattern)
        files, matches = [], []
        ignored = defaultdict(list, contents.ignored)
        for file in self.scan.files:
            if not file.name.lower().endswith(PLANE_SUFFIXES):
                ignored["no image"].append(file.path)
            elif found := match(file):
                files.append(file)
                matches.append(found)
            else:
                ignored[NO_MATCH].append(file.path)
        contents.ignored = dict(ignored)
        if not files:
            raise EmptyPlateError(self._nothing(contents.ignored))
        return files, matches

    def _nothing(self, ignored: Mapping[str, Sequence[str]]) -> str:
        images = ignored.get(NO_MATCH, ())
        shown = images or [file.path for file in self.scan.files]
        examples = [shown[place] for place in sorted({0, len(shown) // 2, len(shown) - 1})] if shown else []
        what = f"{len(images)} images (TIFF, PNG)"
        if not images:
            what += f" among {len(self.scan.files)} files"
        lines = [f"plate folder {self.plate_path}: layout {self.layout.name!r} matches none of its {what}"]
        if PRESETS.get(self.layout.name) is self.layout:
            lines.append("  it is a preset; docs/reference/plates.md shows the names that it reads")
        else:
            lines.append(f"  pattern: {self.layout.pattern}")
            if images and (where := explain_mismatch(self.layout.pattern, examples)):
                lines.append(f"  {where}")
        lines += [f"  path: {path}" for path in examples]
        lines.append(
            "Correct the pattern, or the folder in plates.tsv; `wellfield inspect FOLDER --pattern …` tries one"
        )
        return "\n".join(lines)

    def _refuse_duplicates(self, files: Sequence[ScannedFile], keys: Sequence[PlaneKey]) -> None:
        if len(set(keys)) == len(keys):
            return
        counts = Counter(keys)
        key, _ = counts.most_common(1)[0]
        one, other, *_ = [file.path for file, own in zip(files, keys, strict=True) if own == key]
        doubled = sum(count > 1 for count in counts.values())
        raise DuplicatePlaneError(
            f"plate folder {self.plate_path}: two files are the same plane {plane_name(key, '')} by layout "
            f"{self.layout.name!r}: {one} and {other}"
            + (f" (and so for {doubled - 1} more planes)" if doubled > 1 else "")
            + ". Give the pattern a group for what tells them apart, or list each acquisition as a plate of its own"
        )

    def _describe(self, contents: ParsedPlate) -> None:
        samples = sample_images(self.plate_path, contents)
        facts = {sample.plane.path: read_facts(self.plate_path / sample.plane.path) for sample in samples}
        sizes = [facts[sample.plane.path].pixel_size_um or sample.header.pixel_size_um for sample in samples]
        given = self.layout.pixel_size_um
        pixel_size = _length("pixel size", given, sizes, contents.notes)
        if given is None and pixel_size is not None and not any(found.pixel_size_um for found in facts.values()):
            contents.notes.append(
                f"pixel size: {pixel_size:g} µm is what the files say; some programs write the camera's own pixel "
                "there, whatever the objective: if so, set `pixel_size_um` in a layout"
            )
        depths = [sample.header.z_spacing_um for sample in samples]
        contents.plate = replace(
            contents.plate,
            pixel_size_um=pixel_size,
            pixel_size_of_files=given is None and pixel_size is not None,
            z_spacing_um=_length("z spacing", self.layout.z_spacing_um, depths, contents.notes),
            stage_y_up=any(found.stage_y_up for found in facts.values()),
        )
        self._name_channels(contents, samples, facts)
        contents.planes = [at_stage(plane, facts.get(plane.path)) for plane in contents.planes]

    def _name_channels(self, contents: ParsedPlate, samples: Sequence[Sample], facts: Mapping[str, ImageFacts]) -> None:
        """Take the names of channels from the files where neither the layout nor the file names have any."""
        said: dict[int, str] = {}
        for sample in samples:
            if name := facts[sample.plane.path].channel:
                said.setdefault(sample.plane.key.channel, name)
        unnamed = self.layout.channels is None and all(name == f"w{n}" for n, name in contents.plate.channels.items())
        if unnamed and said:
            names = unique_channel_names({**contents.plate.channels, **said}, contents.notes)
            contents.plate = replace(contents.plate, channels=names)
            return
        for number, name in sorted(said.items()):
            own = contents.plate.channels[number]
            if name.casefold() not in own.casefold() and own.casefold() not in name.casefold():
                whose = "the layout" if self.layout.channels is not None else "the file names"
                contents.notes.append(f"channel {number} is {own} by {whose}, which is followed; files say {name}")


def path_matcher(pattern: str) -> Callable[[ScannedFile], Match | None]:
    """Return a function that gives the match of a :class:`ScannedFile`, or ``None``.

    A pattern without ``/`` is matched with the file's name. Another one is matched with the path from a folder on;
    where several folders would do, from the first. ``^`` is the plate folder.
    """
    fullmatch = re.compile(pattern).fullmatch
    if "/" not in pattern:
        return lambda file: fullmatch(file.name)

    def match(file: ScannedFile) -> Match | None:
        path, start = file.path, 0
        while True:
            if found := fullmatch(path, start):
                return found
            start = path.find("/", start) + 1
            if not start:
                return None

    return match


def _length(what: str, given: float | None, found: Sequence[float | None], notes: list[str]) -> float | None:
    """Return a calibration in µm: the layout's, else what most of the sampled files say; disagreement is noted."""
    counts = Counter(round(value, 6) for value in found if value is not None)
    if given is not None:
        if other := sorted(value for value in counts if abs(value - given) > 1e-3 * given):
            notes.append(f"{what}: the layout says {given:g} µm and is followed; files say {_listed(other)} µm")
        return given
    if len(counts) > 1:
        notes.append(f"{what} differs among the planes sampled: {_listed(sorted(counts))} µm")
    return counts.most_common(1)[0][0] if counts else None


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
