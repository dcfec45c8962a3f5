"""Tables that people write by hand (plate sheet, plate map): what could be read in two ways is an error.

Example: ``A01,X,0,5,`` under ``well,treatment,concentration,unit,control`` may be a decimal comma. The cells are text;
whoever reads the table decides what each of them may be.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from wellfield.errors import ConfigError

_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}
_COMMENT = "#"


class StrictRow(NamedTuple):
    """One row of a table: the number of its line in the file, and its cells by column; a missing cell is empty."""

    line: int
    cells: dict[str, str]


def read_strict_table(
    path: str | os.PathLike[str],
    *,
    what: str,
    delimiter: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    comments: bool = False,
) -> list[StrictRow]:
    """Return the rows of a UTF-8 table with a header line; cells without the spaces around them, blank rows left out.

    Parameters
    ----------
    what:
        How errors name the table, such as ``"plate map"``.
    required, optional:
        The columns. A row may end early if it lacks nothing but *optional* ones.
    comments:
        Lines that start with ``#`` are left out.

    Raises
    ------
    ConfigError
        The file cannot be read; a column is unknown, missing or there twice; a row has more or fewer cells than the
        header; quotes do not match; a cell has characters that cannot be seen. Lists every such row with its line.
    """
    source = os.fspath(path)
    lines = _lines(path, f"{what} {source}", comments=comments)
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    header: list[str] | None = None
    found: list[StrictRow] = []
    problems: list[str] = []
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            problems.append(f"{what} {source}, line {line}: {error}; is a quote missing, or one too many?")
            break
        if cells is None:
            break
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        where = f"{what} {source}, line {line}"
        if odd := next((cell for cell in cells if _hidden(cell)), None):
            problems.append(f"{where}: {odd!r} has a line break or a character that cannot be seen; remove it")
        elif header is None:
            header = cells
            if reason := _header_problem(header, delimiter, required, optional):
                raise ConfigError(f"{where}: {reason}")
        elif reason := _row_problem(cells, header, delimiter, optional):
            problems.append(f"{where}: {reason}")
        else:
            found.append(StrictRow(line, dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))))
    if problems:
        raise ConfigError("\n".join(problems))
    if header is None:
        raise ConfigError(f"{what} {source}: {_header_problem([], delimiter, required, optional)}")
    return found


def _lines(path: str | os.PathLike[str], name: str, *, comments: bool) -> Iterator[str]:
    """Yield the lines of a file, empty ones in the place of comments so that the numbers of lines stay."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for line in file:
                yield "\n" if comments and line.lstrip().startswith(_COMMENT) else line
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} cannot be read: {error}; save it as UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error}") from error


def _hidden(cell: str) -> bool:
    """Tell whether a cell has control characters, or such as zero-width spaces."""
    return any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in cell)


def _header_problem(header: Sequence[str], delimiter: str, required: Sequence[str], optional: Sequence[str]) -> str:
    known = [*required, *optional]
    problems = [f"column {name!r} is there twice" for name in dict.fromkeys(header) if header.count(name) > 1]
    problems += [f"unknown column {name!r}" for name in dict.fromkeys(header) if name not in known]
    if missing := [name for name in required if name not in header]:
        problems.append(f"no column {', '.join(map(repr, missing))}")
    if not problems:
        return ""
    columns = ", ".join(required) + (f" and optionally {', '.join(optional)}" if optional else "")
    return f"{', '.join(problems)}; expected the columns {columns}, separated by {_NAMES[delimiter]}"


def _row_problem(cells: Sequence[str], header: Sequence[str], delimiter: str, optional: Sequence[str]) -> str:
    if len(cells) > len(header):
        advice = f"quote a cell that has one of the {_NAMES[delimiter]} in it which separate cells"
        return f"more cells than columns, {len(cells)} for {len(header)}; {advice}"
    if missing := [name for name in header[len(cells) :] if name not in optional]:
        return f"it ends before column {missing[0]!r}; a cell may be empty, but not missing"
    return ""
