"""Well names: ``A01`` to ``AF48`` (1,536-well plates have rows A to AF and columns 1 to 48)."""

from __future__ import annotations

import re
from functools import lru_cache

from wellfield.errors import WellNameError

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9][0-9]?)")
MAX_ROWS, MAX_COLUMNS = 32, 48

# Rows × columns of the standard plates (ANSI/SLAS 4-2004).
PLATE_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


def row_name(row: int) -> str:
    """Return the letters of a 0-based row: 0 → ``A``, 25 → ``Z``, 26 → ``AA``, 31 → ``AF``."""
    if not 0 <= row < MAX_ROWS:
        raise WellNameError(f"row {row} is outside a plate; expected 0 to {MAX_ROWS - 1}")
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def row_number(letters: str) -> int:
    """Return the 0-based row of its letters: ``A`` → 0, ``AF`` → 31."""
    letters = letters.upper()
    number = MAX_ROWS
    if letters.isascii() and letters.isalpha() and len(letters) <= 2:
        number = ord(letters) - 65 if len(letters) == 1 else 26 * (ord(letters[0]) - 64) + ord(letters[1]) - 65
    if number >= MAX_ROWS:
        raise WellNameError(f"row {letters!r} is outside a plate; expected A to {row_name(MAX_ROWS - 1)}")
    return number


@lru_cache(maxsize=4096)
def split_well(name: str) -> tuple[int, int]:
    """Return the 0-based row and column of a well name in any usual spelling (``A1``, ``a01``, ``A001``, ``AF48``).

    Raises
    ------
    WellNameError
        *name* is not a well between A01 and AF48.
    """
    match = _WELL.fullmatch(name.strip())
    if match is None:
        raise WellNameError(f"{name!r} is not a well name; expected one such as A01, between A01 and AF48")
    try:
        row, column = row_number(match[1]), int(match[2]) - 1
    except WellNameError as error:
        raise WellNameError(f"{name!r} is not a well name: {error}") from None
    if column >= MAX_COLUMNS:
        raise WellNameError(f"column {column + 1} of {name!r} is outside a plate; expected 1 to {MAX_COLUMNS}")
    return row, column


def well_name(row: int, column: int) -> str:
    """Return the canonical name of a 0-based row and column: ``(1, 2)`` → ``B03``."""
    if not 0 <= column < MAX_COLUMNS:
        raise WellNameError(f"column {column} is outside a plate; expected 0 to {MAX_COLUMNS - 1}")
    return f"{row_name(row)}{column + 1:02d}"


@lru_cache(maxsize=4096)
def canonical_well(name: str) -> str:
    """Return a well name in its canonical spelling: ``b3`` → ``B03``."""
    return well_name(*split_well(name))


def is_well(name: str) -> bool:
    """Tell whether a name is a well name in its canonical spelling."""
    try:
        return canonical_well(name) == name
    except WellNameError:
        return False


def plate_shape(wells: list[str]) -> tuple[int, int]:
    """Return rows and columns of the smallest standard plate that holds all *wells*."""
    positions = [split_well(well) for well in wells]
    rows, columns = (max(axis) + 1 for axis in zip(*positions, strict=True)) if positions else (1, 1)
    return next((r, c) for r, c in PLATE_FORMATS if r >= rows and c >= columns)
