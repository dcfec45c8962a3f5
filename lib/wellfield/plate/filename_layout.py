"""Layouts: a pattern that reads what each plane is from its file name, and the facts that names do not tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wellfield.formatting import suggest

AXES = ("field", "channel", "z", "timepoint")
GROUPS = ("well", "row", "column", *AXES)


@dataclass(frozen=True, slots=True)
class WellNumbers:
    """How wells are numbered through a plate: from 1 at A01, row by row (``rows``) or column by column (``columns``).

    In a plate of 8 rows and 12 columns, well 13 is B01 by rows and E02 by columns.
    """

    rows: int
    columns: int
    order: str = "rows"


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the paths of a plate.

    Parameters
    ----------
    name:
        What a plate sheet calls it.
    pattern:
        Regular expression with the named groups ``well``, or ``row`` and ``column``, and any of ``field``, ``channel``,
        ``z`` and ``timepoint``. It fits a whole file name, in any folder; one with ``/`` fits the end of the path, from
        a folder on.
    pixel_size_um, z_spacing_um:
        Calibration; ``None`` to take what the files say.
    channels:
        Names of the channels in their order, or the name of each token that stands for a channel; ``None`` for the
        tokens themselves.
    defaults:
        Number on an axis of the files whose name has none; 1 where an axis is not listed.
    well_numbers:
        The group ``well`` takes the number of a well in a plate of this size; ``None`` where it takes a name.
    """

    name: str
    pattern: str
    pixel_size_um: float | None = None
    z_spacing_um: float | None = None
    channels: tuple[str, ...] | Mapping[str, str] | None = None
    defaults: Mapping[str, int] = field(default_factory=dict)
    well_numbers: WellNumbers | None = None


def pattern_problems(pattern: str) -> list[str]:
    """Return what is wrong with a pattern, nothing if it can be used."""
    try:
        groups = list(re.compile(pattern).groupindex)
    except (re.error, RecursionError, OverflowError) as error:
        return [f"it is not a regular expression: {error}"]
    problems = []
    for group in groups:
        if group not in GROUPS:
            problems.append(
                f"unknown group {group!r}{suggest(group.lower(), GROUPS) or ';'} known: {', '.join(GROUPS)}"
            )
    if "well" in groups and {"row", "column"} & set(groups):
        problems.append("it has the group 'well' and also 'row' or 'column'; keep one or the other")
    elif "well" not in groups and not {"row", "column"} <= set(groups):
        problems.append("no group is the well; it needs (?P<well>…), or (?P<row>…) and (?P<column>…)")
    return problems
