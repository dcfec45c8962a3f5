"""Dose–responses of a plate: readouts of a treatment at several concentrations, with a fitted curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wellfield.plate.platemap import WellTreatment
from wellfield.report.logistic import Fit, fit_logistic
from wellfield.report.statistics import KINDS
from wellfield.results.columns import TIMEPOINT, WELL

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CONCENTRATIONS = 3
# One picture has room for this many panels.
MAX_RESPONSES = 25
# Squares of larger values are no longer finite.
LARGEST_VALUE = 1e150


@dataclass(frozen=True)
class DoseResponse:
    """One readout of the wells of a treatment.

    Parameters
    ----------
    concentrations, values:
        One concentration (in *unit*) and one value per well, by rising concentration.
    controls:
        Values of the control wells by kind, ``"positive"`` and ``"negative"``.
    fit:
        The curve through the wells and the negative controls, which count as concentration 0; or why there is no curve.
    """

    treatment: str
    unit: str
    readout: str
    timepoint: int
    concentrations: tuple[float, ...]
    values: tuple[float, ...]
    controls: Mapping[str, tuple[float, ...]]
    fit: Fit


def dose_responses(values: pd.DataFrame, treatments: Mapping[str, WellTreatment]) -> tuple[list[DoseResponse], str]:
    """Return the dose–responses of a plate that can be drawn, readout by readout, and a sentence on what is left out.

    A treatment counts if it has values at three or more concentrations above 0, at the last timepoint. Control wells
    and wells without a concentration are left out. Units are never converted: one treatment in two units counts as two
    treatments. The first readout with a dose–response fills the picture with as many treatments as fit. A further
    readout is added only if all of its treatments fit.

    Parameters
    ----------
    values:
        Rows of :data:`~wellfield.report.statistics.VALUE_COLUMNS`.
    treatments:
        The plate map, by canonical well.
    """
    last = values[(values[TIMEPOINT] == values[TIMEPOINT].max()) & (values["Value"].abs() < LARGEST_VALUE)]
    shown: list[DoseResponse] = []
    hidden: list[str] = []
    for readout, rows in last.groupby("Readout", sort=False):
        by_well = dict(sorted(zip(rows[WELL], rows["Value"].astype(float), strict=True)))
        entries = {well: treatments[well] for well in by_well if well in treatments}
        series = _series(entries)
        keys = list(series)
        if not shown:
            hidden += [" ".join(key).strip() for key in keys[MAX_RESPONSES:]]
            keys = keys[:MAX_RESPONSES]
        elif len(shown) + len(keys) > MAX_RESPONSES:
            hidden.append(str(readout))
            continue
        controls = {
            kind: tuple(by_well[well] for well, entry in entries.items() if entry.control == kind) for kind in KINDS
        }
        timepoint = int(rows[TIMEPOINT].iloc[0])
        shown += [_response(series[key], by_well, controls, readout=str(readout), timepoint=timepoint) for key in keys]
    if not shown:
        return [], "No treatment was measured at three or more concentrations."
    return shown, f"Not shown, for want of room: {', '.join(hidden)}." if hidden else ""


def _series(treatments: Mapping[str, WellTreatment]) -> dict[tuple[str, str], list[WellTreatment]]:
    """Return the wells of each treatment and unit that counts, by rising concentration."""
    from natsort import natsorted

    series: dict[tuple[str, str], list[WellTreatment]] = {}
    for entry in treatments.values():
        if not entry.control and entry.concentration is not None:
            series.setdefault((entry.treatment, entry.unit), []).append(entry)
    return {
        key: sorted(series[key], key=lambda entry: (entry.concentration or 0.0, entry.well))
        for key in natsorted(series)
        if len({entry.concentration for entry in series[key]} - {0.0}) >= FEWEST_CONCENTRATIONS
    }


def _response(
    entries: Sequence[WellTreatment],
    by_well: Mapping[str, float],
    controls: Mapping[str, tuple[float, ...]],
    *,
    readout: str,
    timepoint: int,
) -> DoseResponse:
    doses = tuple(entry.concentration or 0.0 for entry in entries)
    values = tuple(by_well[entry.well] for entry in entries)
    untreated = controls["negative"]
    fit = fit_logistic([*doses, *(0.0 for _ in untreated)], [*values, *untreated])
    return DoseResponse(entries[0].treatment, entries[0].unit, readout, timepoint, doses, values, controls, fit)


def ec50_text(response: DoseResponse) -> str:
    """Return the EC50 with its confidence interval, or why there is none."""
    curve = response.fit.curve
    if curve is None:
        return response.fit.reason
    low, high = curve.interval
    return f"EC50 {curve.ec50:.3g} {response.unit}".rstrip() + f" (95 % CI {low:.3g} to {high:.3g})"
