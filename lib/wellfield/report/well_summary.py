"""Each well in numbers, from its manifest and the table of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wellfield.plate.keys import field_name
from wellfield.plate.wells import canonical_well, split_well
from wellfield.report.statistics import seen_counts
from wellfield.results.columns import CHANNEL, SITE, TIMEPOINT, WELL
from wellfield.results.status import FieldStatus, WellStatus

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class WellSummary:
    """One well in numbers.

    Parameters
    ----------
    counts:
        Class → number of objects, summed over fields at *timepoint*; ``None`` if no field has a count.
    timepoint:
        The first timepoint of the plate that has a count.
    fields, counted_fields:
        Number of fields in the table, and of fields that have a count for every class and timepoint.
    missing:
        Names of the planes that the well lacks.
    left_out:
        ``("skipped" or "blanked", entry of the manifest)``.
    skipped_fields:
        Name of each field that was left out, such as ``s002_t001``, and why.
    absent:
        Names of the fields of which the well has no plane and other wells have one.
    """

    failed: bool = False
    counts: dict[str, int | None] = field(default_factory=dict)
    fields: int = 0
    counted_fields: int = 0
    timepoint: int = 1
    timepoints: int = 0
    missing: list[str] = field(default_factory=list)
    skipped_fields: dict[str, str] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    left_out: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """How many planes were skipped."""
        return sum(kind == "skipped" for kind, _ in self.left_out)

    @property
    def blanked(self) -> int:
        """How many planes were taken as black."""
        return sum(kind == "blanked" for kind, _ in self.left_out)


def summarise_wells(
    manifests: Mapping[str, Mapping[str, Any]], counts: pd.DataFrame, missing: Mapping[str, Sequence[str]]
) -> dict[str, WellSummary]:
    """Return a summary of every well that has a manifest or counts, row by row.

    *missing* has the planes that the ingest report names as missing. They are used for wells with a manifest; a plane
    that the manifest names, too, counts once.
    """
    import pandas as pd

    wells: dict[str, WellSummary] = {}
    for well, manifest in manifests.items():
        planes = manifest.get("planes") or {}
        names = dict.fromkeys([*(planes.get("missing") or ()), *missing.get(well, ())])
        left_out = [(kind, entry) for kind in ("skipped", "blanked") for entry in planes.get(kind) or ()]
        wells[well] = WellSummary(manifest.get("status") == WellStatus.FAILED, missing=sorted(names), left_out=left_out)
        skipped = (planes.get("skipped_fields") or {}).items()
        wells[well].skipped_fields = {str(name).removeprefix(f"{well}_"): str(reason) for name, reason in skipped}
    timepoint = first_timepoint(counts)
    seen = counts["Count"].where(counts.index.isin(seen_counts(counts).index))
    shown = counts.assign(
        Class=class_names(counts), First=seen.where(counts[TIMEPOINT] == timepoint), Complete=seen.notna()
    )
    # All wells at once: a plate may have thousands.
    for name, times in shown.groupby(WELL)[TIMEPOINT].nunique().items():
        summary = wells.setdefault(canonical_well(str(name)), WellSummary())
        summary.timepoint, summary.timepoints = timepoint, int(times)
    sums = shown.groupby([WELL, "Class"])["First"].sum(min_count=1)
    for (name, kind), value in zip(sums.index, sums, strict=True):
        wells[canonical_well(str(name))].counts[str(kind)] = None if pd.isna(value) else int(value)
    fields = shown.groupby([WELL, SITE])["Complete"].all()
    for (name, _), complete in zip(fields.index, fields, strict=True):
        summary = wells[canonical_well(str(name))]
        summary.fields, summary.counted_fields = summary.fields + 1, summary.counted_fields + bool(complete)
    if "Status" in shown:
        gone = shown[(shown["Status"] == FieldStatus.FIELD_ABSENT) & shown[SITE].notna()]
        for name, site, time in zip(gone[WELL], gone[SITE], gone[TIMEPOINT], strict=True):
            field_time = f"{field_name(int(site))}_t{int(time):03d}"
            absent = wells[canonical_well(str(name))].absent
            absent += [field_time] * (field_time not in absent)
    return {well: wells[well] for well in sorted(wells, key=split_well)}


def class_names(counts: pd.DataFrame) -> pd.Series[str]:
    """Return what each row of a ``cell_counts`` table counts: ``Nuclei``, or ``Nuclei (channel 2)``."""
    names = counts["Object"].astype(str)
    if CHANNEL in counts:
        names += " (channel " + counts[CHANNEL].astype(str) + ")"
    return names


def first_timepoint(counts: pd.DataFrame) -> int:
    """Return the first timepoint at which anything of a plate was counted; 1 if nothing was."""
    found = seen_counts(counts)[TIMEPOINT]
    return int(found.min()) if len(found) else 1
