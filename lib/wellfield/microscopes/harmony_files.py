"""File names of Harmony, and the files of a plate that an index refers to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from wellfield.errors import DuplicatePlaneError
from wellfield.microscopes.scan import ScannedFile

INDEX_NAMES = ("index.xml", "index.idx.xml")
TIFF_SUFFIXES = (".tif", ".tiff")

# r03c03f01p01-ch1sk1fk1fl1.tiff: row, column, field, plane, channel, time (slow kinetics), fast kinetics and FLIM; in
# archives r03c03f01p01-ch01t01.tiff, with the time alone.
_NAME = re.compile(
    r"r([0-9]+)c([0-9]+)f([0-9]+)p([0-9]+)(?:rc[0-9]+)?-ch([0-9]+)(?:sk([0-9]+)fk([0-9]+)fl([0-9]+)|t([0-9]+))\.tiff?",
    re.IGNORECASE,
)


class ParsedName(NamedTuple):
    """What a file name says, in the vendor's own numbers."""

    row: int
    column: int
    field: int
    plane: int
    channel: int
    time: int
    fast: int
    flim: int


def parse_filename(name: str) -> ParsedName | None:
    """Return what a Harmony file name says, ``None`` for other names.

    >>> parse_filename("r03c04f01p02-ch5sk1fk1fl1.tiff")
    ParsedName(row=3, column=4, field=1, plane=2, channel=5, time=1, fast=1, flim=1)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    row, column, field, plane, channel, time, fast, flim, archived = map(int, match.groups("1"))
    return ParsedName(row, column, field, plane, channel, time if match[6] else archived, fast, flim)


class FilesOfPlate:
    """Finds the file that a URL of the index means."""

    def __init__(self, files: list[ScannedFile], names: Mapping[str, ParsedName | None], folder: str) -> None:
        self._folder = folder
        self._by_name: dict[str, list[ScannedFile]] = defaultdict(list)
        self._others: list[str] = []
        for file in files:
            if names[file.name] is not None or file.name.lower().endswith(TIFF_SUFFIXES):
                self._by_name[file.name].append(file)
            elif file.name.lower() not in INDEX_NAMES:
                self._others.append(file.path)
        self._by_meaning: dict[ParsedName, list[ScannedFile]] | None = None
        self._names = names
        self._used: set[ScannedFile] = set()

    def find(self, url: str) -> ScannedFile | None:
        """Return the file of a URL: a file of that name, else one whose name has the same numbers in another spelling.

        Raises
        ------
        DuplicatePlaneError
            Several files match, and none of them lies with the index.
        """
        name = base_name(url)
        found = self._by_name.get(name) or self._of_same_meaning(name)
        if not found:
            return None
        file = found[0]
        if len(found) > 1:
            path = url.replace("\\", "/").strip("/")
            folder = f"{self._folder}/{path.rpartition('/')[0]}".strip("/")
            for place in (folder, self._folder, f"{self._folder}/Images".lstrip("/")):
                beside = [f for f in found if f.folder == place]
                if beside:
                    break
            if len(beside) != 1:
                listed = " and ".join(f.path for f in found)
                raise DuplicatePlaneError(
                    f"{url}, which the index lists once, is there more than once: {listed}. Remove all but one, or "
                    "list each measurement as a plate of its own"
                )
            file = beside[0]
        self._used.add(file)
        return file

    def unused(self) -> dict[str, list[str]]:
        """Return the files that the index does not list, by reason."""
        unlisted = [file.path for files in self._by_name.values() for file in files if file not in self._used]
        found = {"not listed in the index": sorted(unlisted), "no image": self._others}
        return {reason: paths for reason, paths in found.items() if paths}

    def _of_same_meaning(self, name: str) -> list[ScannedFile]:
        if self._by_meaning is None:
            self._by_meaning = defaultdict(list)
            for files in self._by_name.values():
                for file in files:
                    if (parsed := self._names[file.name]) is not None:
                        self._by_meaning[parsed].append(file)
        meant = parse_filename(name)
        return self._by_meaning.get(meant, []) if meant is not None else []


def base_name(url: str) -> str:
    """Return the file name of a URL, which may be a path of Windows."""
    return url.replace("\\", "/").rpartition("/")[2]
