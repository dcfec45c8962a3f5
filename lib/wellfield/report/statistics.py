"""How well an assay tells its controls apart: one value per well, then the statistics of each readout.

A *readout* is a number that every well has at each timepoint:

* ``<Object>_Count``: objects per field, the mean over the fields that were counted. A sum would be smaller in a well
  with a skipped field; the mean is only less certain. A field with a blanked plane is left out, too: nobody saw what
  the black plane showed.
* ``<Object>_AreaShape_Area`` and ``<Object>_Intensity_MeanIntensity_<Channel>``: the median over the well's objects,
  which a few merged or broken objects do not move. Other features are left out: among hundreds, some tell any two
  groups of wells apart by chance.

A well that failed, or has no object to measure, has no value. It is left out, and the note says so.

:data:`STATISTICS` has one entry for each statistic; it is a column of ``plate_statistics.csv`` and of the summary page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wellfield.results.columns import CHANNEL, PLATE, SITE, TIMEPOINT, WELL
from wellfield.results.status import FieldStatus

if TYPE_CHECKING:
    import pandas as pd

VALUE_TYPES = {WELL: "str", TIMEPOINT: "int64", "Readout": "str", "Value": "float64"}
VALUE_COLUMNS = tuple(VALUE_TYPES)
KINDS = ("positive", "negative")
# Turns the median absolute deviation of normal values into their standard deviation: 1 / Φ⁻¹(3/4).
MAD_TO_SD = 1.4826
_FEATURE = re.compile(r".+_(AreaShape_Area|Intensity_MeanIntensity_.+)")

_Array = np.ndarray[Any, np.dtype[np.float64]]
Values = Sequence[float] | _Array


class Place(NamedTuple):
    """A field at a timepoint; *field* is 0 for a whole well, whose table has no field number."""

    well: str
    field: int
    timepoint: int


class Statistic(NamedTuple):
    """A finite number, or ``None`` and why there is none."""

    value: float | None
    reason: str = ""


def z_prime(positive: Values, negative: Values, *, robust: bool = False) -> Statistic:
    """Return the Z′-factor of two groups of control wells, ``1 - 3 (sd_p + sd_n) / |mean_p - mean_n|``.

    1 is perfect, above 0.5 an excellent assay; below 0 the groups overlap. Values that are not finite are left out.

    Parameters
    ----------
    robust:
        Use medians instead of means, and median absolute deviations × 1.4826 (Rousseeuw and Croux 1993, J Am Stat Assoc
        88:1273) instead of standard deviations, so that one outlier well does not spoil it.

    References
    ----------
    Zhang JH, Chung TDY, Oldenburg KR (1999) J Biomol Screen 4:67. Standard deviations are those of samples (n - 1).
    """
    groups = _finite(positive), _finite(negative)
    if reason := _too_few(*groups):
        return Statistic(None, reason)
    with np.errstate(all="ignore"):
        (centre_p, spread_p), (centre_n, spread_n) = (_robust(g) if robust else _moments(g) for g in groups)
        distance = abs(centre_p - centre_n)
        if distance == 0:
            return Statistic(None, f"both controls have the same {'median' if robust else 'mean'}")
        return _statistic(1 - 3 * (spread_p + spread_n) / distance)


def ssmd(positive: Values, negative: Values) -> Statistic:
    """Return the strictly standardised mean difference, ``(mean_p - mean_n) / sqrt(var_p + var_n)``.

    It is positive if the positive control lies above the negative control, and 0 if they do not differ. Values that are
    not finite are left out.

    References
    ----------
    Zhang XD (2007) Genomics 89:552, for independent groups. Variances are those of samples (n - 1).
    """
    groups = _finite(positive), _finite(negative)
    if reason := _too_few(*groups):
        return Statistic(None, reason)
    with np.errstate(all="ignore"):
        (mean_p, sd_p), (mean_n, sd_n) = map(_moments, groups)
        spread = np.hypot(sd_p, sd_n)
        if spread == 0:
            return Statistic(None, "the wells of each control are all equal")
        return _statistic((mean_p - mean_n) / spread if np.isfinite(spread) else np.nan)


class PlateStatistic(NamedTuple):
    """A statistic of the two groups of control wells.

    Parameters
    ----------
    column:
        Its column in ``plate_statistics.csv``.
    heading:
        Its heading on the summary page.
    meaning:
        One sentence for the documentation.
    value:
        Returns it for the values of the positive and of the negative wells.
    """

    column: str
    heading: str
    meaning: str
    value: Callable[[Values, Values], Statistic]


STATISTICS = (
    PlateStatistic("Z_Prime", "Z′", "Z′-factor, by means and standard deviations.", z_prime),
    PlateStatistic(
        "Robust_Z_Prime", "Z′ (robust)", "Z′-factor, by medians and median deviations.", partial(z_prime, robust=True)
    ),
    PlateStatistic("SSMD", "SSMD", "Strictly standardised mean difference.", ssmd),
)

_GROUP_COLUMNS = tuple(f"{kind.capitalize()}_{what}" for kind in KINDS for what in ("Wells", "Mean", "SD"))
STATISTICS_COLUMNS = (
    *(PLATE, TIMEPOINT, "Readout"),
    *_GROUP_COLUMNS,
    *(statistic.column for statistic in STATISTICS),
    "Note",
)


def no_values() -> pd.DataFrame:
    """Return a table of :data:`VALUE_COLUMNS` without a row."""
    import pandas as pd

    return pd.DataFrame(columns=list(VALUE_COLUMNS)).astype(VALUE_TYPES)


def count_values(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the objects per field of each well, timepoint and class, as rows of :data:`VALUE_COLUMNS`.

    *counts* is the plate's ``cell_counts`` table. Fields without a count, and fields that are not ``ok``, are left out.
    """
    counted = seen_counts(counts)
    if counted.empty:
        return no_values()
    names = counted["Object"].astype(str) + "_Count"
    if CHANNEL in counted:
        names += "_" + counted[CHANNEL].astype(str)
    rows = counted.assign(Readout=names, Value=counted["Count"].astype(float))
    means = rows.groupby(list(VALUE_COLUMNS[:3]), sort=False)["Value"].mean()
    return means.reset_index().astype(VALUE_TYPES)


def seen_counts(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a ``cell_counts`` table whose count can be compared with others."""
    known = counts["Count"].notna()
    return counts[known & (counts["Status"] == FieldStatus.OK)] if "Status" in counts else counts[known]


def fields_left_out(counts: pd.DataFrame) -> dict[Place, FieldStatus]:
    """Return the fields that are not ``ok`` in a ``cell_counts`` table, with their status.

    The whole well (field 0) of such a field is left out, too, because its stitched image has a gap.
    """
    found: dict[Place, FieldStatus] = {}
    if "Status" not in counts:
        return found
    rows = counts[counts["Status"] != FieldStatus.OK]
    sites = rows[SITE].fillna(0).astype(int)
    for well, site, timepoint, status in zip(rows[WELL], sites, rows[TIMEPOINT], rows["Status"], strict=True):
        found[Place(str(well), site, int(timepoint))] = FieldStatus(status)
    for place, status in list(found.items()):
        found.setdefault(place._replace(field=0), status)
    return found


def feature_columns(names: Sequence[str]) -> list[str]:
    """Return which columns of a table of objects are readouts."""
    return [name for name in names if _FEATURE.fullmatch(name)]


def object_values(tables: Iterable[pd.DataFrame], left_out: Collection[Place] = ()) -> pd.DataFrame:
    """Return the median of each feature over the objects of each well and timepoint, as rows of :data:`VALUE_COLUMNS`.

    *tables* are parts of a table of objects with the same columns; each has all objects of its wells. Objects without a
    value (missing, NaN), and objects of fields that are *left_out*, are ignored.
    """
    import pandas as pd

    medians = []
    for table in tables:
        objects = table
        if left_out and SITE in table:
            places = zip(table[WELL], table[SITE].fillna(0).astype(int), table[TIMEPOINT], strict=True)
            objects = table[[place not in left_out for place in places]]
        features = feature_columns(list(objects.select_dtypes("number").columns))
        medians.append(objects.groupby([WELL, TIMEPOINT], sort=False)[features].median().reset_index())
    if not medians:
        return no_values()
    wide = pd.concat(medians, ignore_index=True)
    return wide.melt([WELL, TIMEPOINT], var_name="Readout", value_name="Value").astype(VALUE_TYPES)


def plate_statistics(
    values: pd.DataFrame,
    controls: Mapping[str, str],
    *,
    plate: str,
    left_out: Mapping[Place, FieldStatus] | None = None,
) -> pd.DataFrame:
    """Return one row per readout and timepoint: both groups of controls, Z′-factor and SSMD.

    Parameters
    ----------
    values:
        Rows of :data:`VALUE_COLUMNS`.
    controls:
        Well → kind of control, for all wells that should have a value. Kinds other than ``"positive"`` and
        ``"negative"`` are ignored. Without either of these two, the table has no row.
    left_out:
        Fields that the values leave out, and why. The note says how many fields of controls they are.

    Returns
    -------
    :data:`STATISTICS_COLUMNS`. A number that cannot be computed is empty, and ``Note`` says why.
    """
    import pandas as pd

    wells = {kind: [well for well, found in controls.items() if found == kind] for kind in KINDS}
    rows: list[list[Any]] = []
    if any(wells.values()):
        order = {name: number for number, name in enumerate(dict.fromkeys(values["Readout"]))}
        groups = dict(list(values.groupby(["Readout", TIMEPOINT])))
        for readout, timepoint in sorted(groups, key=lambda key: (order[key[0]], key[1])):
            by_well = groups[readout, timepoint].set_index(WELL)["Value"]
            notes = _notes_on_fields(left_out or {}, wells, timepoint)
            rows.append([plate, timepoint, readout, *_row(by_well, wells, notes)])
    kinds = dict.fromkeys(STATISTICS_COLUMNS, "float64") | dict.fromkeys((PLATE, "Readout", "Note"), "str")
    kinds |= dict.fromkeys((TIMEPOINT, "Positive_Wells", "Negative_Wells"), "int64")
    return pd.DataFrame(rows, columns=list(STATISTICS_COLUMNS)).astype(kinds)


_WHY = {
    FieldStatus.FIELD_BLANKED: "an image that could not be read was taken as black",
    FieldStatus.FIELD_SKIPPED: "skipped",
    FieldStatus.FIELD_ABSENT: "absent",
    FieldStatus.OTHER_PIPELINE: "made by another pipeline",
}


def _notes_on_fields(
    left_out: Mapping[Place, FieldStatus], wells: Mapping[str, list[str]], timepoint: Any
) -> list[str]:
    """Return notes on how many fields of the controls are left out at a timepoint, one for each reason."""
    notes = []
    for kind in KINDS:
        of_kind = {place: s for place, s in left_out.items() if place.well in wells[kind] and place.field}
        statuses = Counter(status for place, status in of_kind.items() if place.timepoint == timepoint)
        notes += [
            f"{statuses[status]} field{'s' * (statuses[status] > 1)} of {kind} controls left out ({why})"
            for status, why in _WHY.items()
            if statuses[status]
        ]
    return notes


def _row(by_well: pd.Series[Any], wells: Mapping[str, list[str]], notes: list[str]) -> list[Any]:
    """Return the values after the readout in a row of the table; *notes* come first in its ``Note``."""
    groups = {kind: _finite(by_well.reindex(wells[kind])) for kind in KINDS}
    row: list[Any] = []
    for kind, found in groups.items():
        if lost := len(wells[kind]) - len(found):
            notes.append(f"{lost} of {len(wells[kind])} {kind} controls without a value")
        row += [len(found), *_described(found)]
    pair = groups["positive"], groups["negative"]
    statistics = [statistic.value(*pair) for statistic in STATISTICS]
    notes += [found.reason for found in statistics if found.reason]
    return [*row, *(found.value for found in statistics), "; ".join(dict.fromkeys(notes))]


def _finite(values: Any) -> _Array:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _too_few(positive: _Array, negative: _Array) -> str:
    few = [f"{len(g)} {kind}" for kind, g in zip(KINDS, (positive, negative), strict=True) if len(g) < 2]
    return f"two wells of each control are needed, found {' and '.join(few)}" if few else ""


def _described(values: _Array) -> tuple[Any, Any]:
    """Return mean and standard deviation, each ``None`` if it cannot be computed."""
    with np.errstate(all="ignore"):
        mean, sd = _moments(values) if len(values) > 1 else (values[0] if len(values) else np.nan, np.nan)
    return (mean if np.isfinite(mean) else None), (sd if np.isfinite(sd) else None)


def _moments(values: _Array) -> tuple[Any, Any]:
    if (values == values[0]).all():  # the mean of equal numbers would be rounded
        return values[0], 0.0
    return values.mean(), values.std(ddof=1)


def _robust(values: _Array) -> tuple[Any, Any]:
    median = np.median(values)
    return median, MAD_TO_SD * np.median(np.abs(values - median))


def _statistic(value: Any) -> Statistic:
    return Statistic(float(value)) if np.isfinite(value) else Statistic(None, "the values are too large")
