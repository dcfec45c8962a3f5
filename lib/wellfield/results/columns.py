"""The columns that many tables share: which plate, well, field and timepoint a row is of, and what the plate map says.

``cell_counts`` has more columns, in ``workflow/cell_counts.py``; ``plate_statistics`` in ``report/statistics.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    WHOLE_NUMBER = "whole number"
    NUMBER = "number"


class Column(NamedTuple):
    """A column of a table: its name, what it holds, and its meaning for the documentation."""

    name: str
    kind: Kind
    meaning: str


PLATE, WELL, SITE, TIMEPOINT = "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Timepoint"
CHANNEL = "Metadata_Channel"

# The first columns of every table.
KEYS = (
    Column(PLATE, Kind.TEXT, "Name of the plate, as in the plate sheet."),
    Column(WELL, Kind.TEXT, "Well, such as `B03`."),
    Column(SITE, Kind.WHOLE_NUMBER, "Field, from 1; empty in a row about a whole well, as after stitching."),
    Column(TIMEPOINT, Kind.WHOLE_NUMBER, "Timepoint, from 1."),
)
KEY_NAMES = tuple(column.name for column in KEYS)

# After the keys, if the plate has a plate map: attribute of its entry for a well → column.
TREATMENTS = {
    "treatment": Column("Metadata_Treatment", Kind.TEXT, "Treatment of the well, from the plate map."),
    "concentration": Column("Metadata_Concentration", Kind.NUMBER, "Concentration; empty if the map has none."),
    "unit": Column("Metadata_Unit", Kind.TEXT, "Unit of the concentration."),
    "control": Column("Metadata_Control", Kind.TEXT, "`positive`, `negative`, `empty`, or nothing."),
}
