"""Where the wells of an OME-Zarr plate lie: how its rows and columns are named is read from all of them together.

``B/2`` is B02. Numbers count from 1, unless a row or a column is named 0: ``0/0`` is A01 then, and ``4/11`` E12. Names
that are neither letters nor numbers say nothing: ``rowIndex`` and ``columnIndex`` count. NGFF means by these the place
in the plate's lists of rows and columns; some programs write the place on the plate. Whatever contradicts the names is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wellfield.errors import MetadataError, WellNameError
from wellfield.formats.json_cursor import Checked
from wellfield.plate.wells import PLATE_FORMATS, row_number, well_name

_NUMBER = re.compile(r"[0-9]{1,4}")
_AS_INDICES_SAY = ", as their indices say"


@dataclass(frozen=True, slots=True)
class ListedWell:
    """A well of a plate; *note* says how its path was understood, where that is not as in ``B/2``."""

    path: str
    name: str
    note: str | None


def read_wells(plate: Checked) -> list[ListedWell]:
    """Return the wells that a plate lists, in its order.

    Raises
    ------
    MetadataError
        A value is missing or wrong; an index contradicts a path; how rows and columns are counted cannot be decided;
        two wells are at one place.
    """
    listed = plate["wells"].items()
    paths = [_parts(well) for well in listed]
    rows = _Axis(plate, listed, [row for row, _ in paths], "row")
    columns = _Axis(plate, listed, [column for _, column in paths], "column")
    first = _first_numbers(plate, rows, columns)
    places = zip(rows.positions(first[0]), columns.positions(first[1]), strict=True)
    note = _note(rows, columns)
    wells: dict[str, ListedWell] = {}
    for well, (row, column) in zip(listed, places, strict=True):
        path = well["path"].path()
        try:
            found = ListedWell(path, well_name(row, column), note)
        except WellNameError as error:
            raise MetadataError(f"{well.source}: {well.place} ({path}): {error}") from error
        other = wells.setdefault(found.name, found)
        if other is not found:
            raise MetadataError(f"{well.source}: {other.path} and {path} are both well {found.name}")
    return list(wells.values())


def _parts(well: Checked) -> tuple[str, str]:
    path = well["path"]
    row, _, column = path.path().partition("/")
    if not column or "/" in column:
        raise path.error("row and column, such as B/3")
    return row, column


class _Axis:
    """The rows of a plate, or its columns.

    *names* are in the plate's list, *parts* in the wells' paths. If the names are numbers, *first* is the first number.
    """

    def __init__(self, plate: Checked, wells: Sequence[Checked], parts: Sequence[str], title: str) -> None:
        given = plate.get(f"{title}s")
        self.title = title
        self.names = [entry["name"].text() for entry in given.items()] if given else []
        self._wells = wells
        self._parts = parts
        self._indices = [_index(well, title) for well in wells]
        everything = {*self.names, *parts}
        self.is_lettered = title == "row" and all(_letters(name) is not None for name in everything)
        self.is_numbered = all(_NUMBER.fullmatch(name) for name in everything)
        self.has_zero = self.is_numbered and any(int(name) == 0 for name in everything)
        self.first: int | None = None
        self.by_index = False

    @property
    def is_counted_from_one(self) -> bool:
        """The list has all numbers of a plate: 1, 2, … 12."""
        numbers = sorted(int(name) for name in self.names) if self.is_numbered else []
        lengths = {shape[self.title == "column"] for shape in PLATE_FORMATS}
        return len(numbers) in lengths and numbers == list(range(1, len(numbers) + 1))

    def positions(self, first: int) -> list[int]:
        """Return the place on the plate, from 0 on, that each well has; numbers count from *first* on."""
        if not (self.is_lettered or self.is_numbered):
            return self._by_index()
        self.first = first if self.is_numbered else None
        found = [(_letters(part) or 0) if self.is_lettered else int(part) - first for part in self._parts]
        told = [(place, index) for place, index in zip(found, self._indices, strict=True) if index is not None]
        if all(map(self._is_listed, self._parts, self._indices)) or all(place == index for place, index in told):
            return found
        if self.is_numbered and first == 1 and all(index == place + 1 for place, index in told):
            self.first, self.by_index = 0, True
            return [place + 1 for place in found]
        self._refuse_contradiction(found)
        return found

    def _by_index(self) -> list[int]:
        """Return the places that the indices tell."""
        self.by_index = True
        for well, part, index in zip(self._wells, self._parts, self._indices, strict=True):
            if index is None:
                raise well["path"].error("a row and a column as A and 1, or a rowIndex and a columnIndex")
            if index < len(self.names) and not self._is_listed(part, index):
                raise self._contradiction(well, part, index)
        return [index for index in self._indices if index is not None]

    def _is_listed(self, part: str, index: int | None) -> bool:
        """Tell whether an index is the place of a well's name in the plate's list, or there is none."""
        return index is None or (index < len(self.names) and _plain(self.names[index]) == _plain(part))

    def _refuse_contradiction(self, found: Sequence[int]) -> None:
        for well, part, index, place in zip(self._wells, self._parts, self._indices, found, strict=True):
            if index is not None and place != index and not self._is_listed(part, index):
                raise self._contradiction(well, part, index)
        for well, part, index in zip(self._wells, self._parts, self._indices, strict=True):
            if index is not None and not self._is_listed(part, index):  # some indices mean the list, others the plate
                raise self._contradiction(well, part, index)

    def _contradiction(self, well: Checked, part: str, index: int) -> MetadataError:
        listed = f"{self.names[index]!r}" if index < len(self.names) else f"none of its {len(self.names)}"
        return MetadataError(
            f"{well.source}: {well.place} has the path {well['path'].text()}, but {self.title}Index {index}, which in "
            f"the plate's list of {self.title}s is {listed}; expected {part!r}. Correct the path or the index"
        )


def _first_numbers(plate: Checked, rows: _Axis, columns: _Axis) -> tuple[int, int]:
    """Return the number of the first row and of the first column: 0 if one is named 0, for both if both are numbers.

    Raises
    ------
    MetadataError
        Rows count from 0 and the columns of a whole plate from 1, or the reverse.
    """
    if not (rows.is_numbered and columns.is_numbered):
        return (0 if rows.has_zero else 1), (0 if columns.has_zero else 1)
    for one, other in ((rows, columns), (columns, rows)):
        if one.has_zero and other.is_counted_from_one:
            raise MetadataError(
                f"{plate.source}: the plate's {one.title}s are named by numbers from 0 on and its {other.title}s from "
                f"1 to {len(other.names)}; expected both from 0 or both from 1, so that it is clear which "
                f"{other.title} is the first. Rename them in the metadata"
            )
    return (0, 0) if rows.has_zero or columns.has_zero else (1, 1)


def _note(rows: _Axis, columns: _Axis) -> str | None:
    """Say how paths were understood, where that is not as in ``B/2``."""
    if not all(axis.is_lettered or axis.is_numbered for axis in (rows, columns)):
        return "names are not letters and numbers: rowIndex and columnIndex tell the well"
    said = []
    for axis in (rows, columns):
        if axis.first == 0 or (axis is rows and axis.first == 1):
            said.append(f"{axis.title}s are numbers, counted from {axis.first}{_AS_INDICES_SAY * axis.by_index}")
    return " and ".join(said) or None


def _index(well: Checked, title: str) -> int | None:
    index = well.get(f"{title}Index")
    return None if index is None else index.whole()


def _letters(name: str) -> int | None:
    try:
        return row_number(name)
    except WellNameError:
        return None


def _plain(name: str) -> str | int:
    """Return a name as it is compared: ``01`` is ``1``, ``a`` is ``A``."""
    return int(name) if _NUMBER.fullmatch(name) else name.upper()
