"""Turns the texts that a pattern takes from file names into wells, numbers and channels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wellfield.errors import ConfigError, WellNameError
from wellfield.microscopes.scan import ScannedFile
from wellfield.plate.filename_layout import Layout, WellNumbers
from wellfield.plate.wells import MAX_COLUMNS, MAX_ROWS, canonical_well, row_name, row_number, well_name

_HIGHEST = 2**31 - 1  # that the plate table can hold
# Other axes inside the text of a channel: a word before a number, or a letter joined to one.
_AXIS_WORD = re.compile(r"(?i)(?<![^\W\d_])(?:(?:z|plane|time)[ _-]+|(?:zstep|timepoint|fld|field|site)[ _-]*)[0-9]+")
_AXIS_LETTER = re.compile(r"(?i)[ _.-][zts][0-9]+(?![^\W_])")
_MOST_CHANNELS = 256  # more than any microscope has


class Tokens:
    """The texts (tokens) that the groups of a layout's pattern take from the paths of a plate's files.

    Each different token is read once. A group without a text gives the default of its axis.

    Parameters
    ----------
    layout:
        The layout whose pattern was matched.
    files, matches:
        The files that match, and their matches.
    """

    def __init__(self, layout: Layout, files: Sequence[ScannedFile], matches: Iterable[re.Match[str]]) -> None:
        self._layout = layout
        self._files = files
        columns = list(zip(*(match.groups() for match in matches), strict=True))
        groups = re.compile(layout.pattern).groupindex
        self._columns: dict[str, Sequence[str | None]] = {name: columns[place - 1] for name, place in groups.items()}

    def wells(self) -> list[str]:
        """Return the well of each file.

        Raises
        ------
        WellNameError
            A file's well is not between A01 and AF48.
        """
        names = [name for name in ("well", "row", "column") if name in self._columns]
        places = list(zip(*(self._columns[name] for name in names), strict=True))
        known: dict[tuple[str | None, ...], str] = {}
        numbers = self._layout.well_numbers
        for place in dict.fromkeys(places):
            texts = [text or "" for text in place]
            try:
                known[place] = _well(*texts) if numbers is None else _numbered_well(numbers, texts[0])
            except WellNameError as error:
                raise WellNameError(
                    f"{self._files[places.index(place)].path}: {error}; layout {self._layout.name!r} takes "
                    f"this for the {' and '.join(names)}"
                ) from None
        return [known[place] for place in places]

    def numbers(self, axis: str, notes: list[str]) -> list[int]:
        """Return the number of each file on an axis, from 1. Numbers that count from 0 are raised by one, with a note.

        Raises
        ------
        ConfigError
            A token is not a number.
        """
        default = self._layout.defaults.get(axis, 1)
        if axis not in self._columns:
            return [default] * len(self._files)
        column = self._columns[axis]
        tokens = dict.fromkeys(column)
        for token in tokens:
            if token and not _is_number(token):
                raise ConfigError(
                    f"{self._first(axis, token)}: the group {axis!r} of layout {self._layout.name!r} takes "
                    f"{token!r}, which is not a number between 0 and {_HIGHEST - 1}; correct the pattern"
                )
        found = {token: int(token[-10:]) for token in tokens if token}
        if found and min(found.values()) == 0:
            notes.append(
                f"{axis}: numbers in the names count from 0; each is raised by one (0 to {max(found.values())})"
            )
            found = {token: number + 1 for token, number in found.items()}
        return [found[token] if token else default for token in column]

    def channels(self, notes: list[str]) -> tuple[list[int], dict[int, str]]:
        """Return the channel of each file, and the names of the channels.

        Tokens that are all numbers are the channels' numbers. Others are numbered in the order that the layout lists,
        else in their natural order, and name the channel if the layout does not.

        Raises
        ------
        ConfigError
            A file's channel is not in the layout's list, or it has none though channels are told apart by text; or
            there are so many channels that the group must take something else.
        """
        column = self._columns.get("channel", ())
        tokens = {token for token in column if token}
        if self._layout.channels is None:
            self._refuse_other_axes(tokens)
        if len(tokens) > _MOST_CHANNELS:
            raise ConfigError(
                f"the group 'channel' of layout {self._layout.name!r} takes {len(tokens)} different texts, such as "
                f"{', '.join(sorted(tokens)[:3])}; it takes more than the channel: correct the pattern"
            )
        if all(map(_is_number, tokens)):
            numbers = self.numbers("channel", notes)
            return numbers, self._named(numbers, tokens)
        if None in column or "" in column:
            place = next(number for number, token in enumerate(column) if not token)
            raise ConfigError(
                f"{self._files[place].path}: its name has no channel, but other names have one "
                f"({', '.join(sorted(tokens)[:3])}); correct the pattern of layout {self._layout.name!r}"
            )
        given = self._layout.channels
        if given is None:
            from natsort import natsorted

            # Natural order takes c1 and c01 for equal; the order of their text settles it whatever came first.
            order = {token: token for token in natsorted(sorted(tokens))}
        else:
            order = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
        for token in sorted(tokens - order.keys()):
            raise self._unlisted(self._first("channel", token), token, order)
        numbered = {token: number for number, token in enumerate(order, start=1)}
        return [numbered[token] for token in column if token], {
            number: order[token] for token, number in numbered.items() if token in tokens
        }

    def _refuse_other_axes(self, tokens: Iterable[str]) -> None:
        """Raise if the text of a channel holds another axis: ``UV - DAPI z 3 time 1 - 0ms``.

        Words such as ``z 3`` are that anywhere, letters such as ``_t1`` where channels differ in nothing else.
        """
        bare: dict[str, str] = {}
        for token in sorted(tokens):
            found = [match[0].strip(" _-.") for match in _AXIS_WORD.finditer(token)]
            shorter = _AXIS_LETTER.sub("", token)
            other = bare.setdefault(shorter, token)
            if not found and shorter and other != token:
                found = [match[0].strip(" _-.") for match in _AXIS_LETTER.finditer(token)]
            if found:
                raise ConfigError(
                    f"{self._first('channel', token)}: the group 'channel' of layout {self._layout.name!r} takes "
                    f"{token!r}, which holds {' and '.join(map(repr, found))}; give the pattern groups for field, z "
                    "and timepoint, or list the channels in the layout"
                )

    def _named(self, numbers: Sequence[int], tokens: Iterable[str]) -> dict[int, str]:
        """Return the names of channels that are numbers: of the layout's list by place, of its mapping by token."""
        given = self._layout.channels
        if given is None:
            return {number: f"w{number}" for number in sorted(set(numbers))}
        if isinstance(given, Mapping):
            raised = int(any(int(token) == 0 for token in tokens))
            names = {int(token) + raised: name for token, name in given.items() if _is_number(token)}
        else:
            names = dict(enumerate(given, start=1))
        for number in sorted(set(numbers) - names.keys()):
            raise self._unlisted(self._files[numbers.index(number)].path, str(number), given)
        return {number: names[number] for number in sorted(set(numbers))}

    def _first(self, group: str, token: str) -> str:
        return self._files[self._columns[group].index(token)].path

    def _unlisted(self, path: str, channel: str, listed: Iterable[Any]) -> ConfigError:
        return ConfigError(
            f"{path}: its channel {channel} is not among the channels of layout {self._layout.name!r}: "
            f"{', '.join(map(str, listed))}; add it to `layouts.{self._layout.name}.channels`, or correct the pattern"
        )


def _is_number(token: str) -> bool:
    return token.isascii() and token.isdigit() and len(token.lstrip("0")) <= 10 and int(token[-10:]) < _HIGHEST


def _numbered_well(plate: WellNumbers, text: str) -> str:
    """Return the well of its number in a plate."""
    count = plate.rows * plate.columns
    if not (_is_number(text) and 1 <= int(text) <= count):
        raise WellNameError(
            f"{text!r} is not a well of a plate of {plate.rows} rows and {plate.columns} columns; expected a number "
            f"from 1 to {count}"
        )
    number = int(text) - 1
    if plate.order == "rows":
        return well_name(*divmod(number, plate.columns))
    column, row = divmod(number, plate.rows)
    return well_name(row, column)


def _well(*texts: str) -> str:
    """Return the well of its name, or of its row (letters or a number from 1) and column."""
    if len(texts) == 1:
        if texts[0].isdigit():
            raise WellNameError(
                f"{texts[0]!r} is a number, not a well name; if wells are numbered through the plate, say its size "
                "in the layout: `well_numbers: {rows: 8, columns: 12}`"
            )
        return canonical_well(texts[0])
    row, column = texts
    if not _is_number(row):
        letters = row_name(row_number(row))
    elif 1 <= int(row) <= MAX_ROWS:
        letters = row_name(int(row) - 1)
    else:
        raise WellNameError(f"row {row} is outside a plate; expected 1 to {MAX_ROWS}, or letters")
    if not (_is_number(column) and 1 <= int(column) <= MAX_COLUMNS):
        raise WellNameError(f"column {column!r} is outside a plate; expected 1 to {MAX_COLUMNS}")
    return well_name(row_number(letters), int(column) - 1)
