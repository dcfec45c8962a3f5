"""What the manifests and the table of counts say about each well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wellfield.plate.wells import canonical_well, split_well

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class WellSummary:
    """One well in numbers.

    Parameters
    ----------
    counts:
        Objects of each class, summed over fields and time points; ``None`` where no field has a count.
    fields, counted_fields:
        Fields in the table, and how many of them have a count for every class and time point.
    missing:
        Names of the planes that the well lacks.
    left_out:
        ``("skipped" or "blanked", entry of the manifest)``.
    """

    failed: bool = False
    counts: dict[str, int | None] = field(default_factory=dict)
    fields: int = 0
    counted_fields: int = 0
    timepoints: int = 0
    missing: list[str] = field(default_factory=list)
    left_out: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """How many planes were skipped."""
        return sum(kind == "skipped" for kind, _ in self.left_out)

    @property
    def blanked(self) -> int:
        """How many planes were replaced by black."""
        return sum(kind == "blanked" for kind, _ in self.left_out)


def summarise_wells(
    manifests: Mapping[str, Mapping[str, Any]], counts: pd.DataFrame, missing: Mapping[str, Sequence[str]]
) -> dict[str, WellSummary]:
    """Return a summary of every well that has a manifest or counts, row by row.

    *missing* are planes known to be missing from the plate's index; only those of wells with a manifest are taken, and
    those that a manifest names too count once.
    """
    import pandas as pd

    wells: dict[str, WellSummary] = {}
    for well, manifest in manifests.items():
        planes = manifest.get("planes") or {}
        names = dict.fromkeys([*(planes.get("missing") or ()), *missing.get(well, ())])
        left_out = [(kind, entry) for kind in ("skipped", "blanked") for entry in planes.get(kind) or ()]
        wells[well] = WellSummary(manifest.get("status") == "failed", missing=sorted(names), left_out=left_out)
    for name, rows in counts.groupby("Metadata_Well", sort=False):
        summary = wells.setdefault(canonical_well(str(name)), WellSummary())
        sums = rows.groupby("Object")["Count"].sum(min_count=1)
        summary.counts = {str(kind): None if pd.isna(value) else int(value) for kind, value in sums.items()}
        complete = rows.groupby("Metadata_Site")["Count"].apply(lambda values: bool(values.notna().all()))
        summary.fields, summary.counted_fields = len(complete), int(complete.sum())
        summary.timepoints = int(rows["Metadata_Timepoint"].nunique())
    return {well: wells[well] for well in sorted(wells, key=split_well)}
