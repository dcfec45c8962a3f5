"""The four-parameter logistic curve of a dose–response."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

_Array = np.ndarray[Any, np.dtype[np.float64]]

PARAMETERS = 4
# Level of the test for an effect, and of the confidence interval.
LEVEL = 0.05
# The fit starts from the best combination of these slopes and this many half-way points.
START_SLOPES, START_POINTS = (0.5, 1.0, 2.0, 4.0, 8.0), 25
# exp() of a logarithm beyond this is close to the limit of float64 or infinite.
LARGEST_LOGARITHM = 700.0
# The fit gets numbers rounded to this many decimals. Further decimals depend on the unit, through rounding errors; if
# the wells hardly determine a curve, they would decide whether there is one.
DIGITS = 11
# Refuses a curve that is a step between two concentrations: no well lies on its slope, so every EC50 between them fits.
# Such a curve changes at all wells by less than this part of its height if its EC50 changes e-fold.
FLAT = 1e-3
# Tolerance for the rounding of the logarithm of a concentration, as a part of it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class LogisticCurve:
    """``start + (end - start) / (1 + (ec50 / x) ** slope)`` over concentration ``x``.

    Parameters
    ----------
    start, end:
        The plateaus without compound and at high concentrations.
    ec50:
        Concentration half-way between the plateaus (an IC50 if the curve falls).
    slope:
        Steepness, above 0.
    interval:
        95 % confidence interval of *ec50*: symmetric about its logarithm, from the fit's covariance and Student's t.
    """

    start: float
    end: float
    ec50: float
    slope: float
    interval: tuple[float, float]

    def __call__(self, concentrations: Any) -> _Array:
        """Return the values of the curve at concentrations of 0 or more."""
        share = _share(_logarithms(concentrations), math.log(self.ec50), self.slope)
        return np.asarray(self.start * (1 - share) + self.end * share)


class Fit(NamedTuple):
    """A curve, or ``None`` and the reason why there is no curve."""

    curve: LogisticCurve | None
    reason: str = ""


def fit_logistic(concentrations: Sequence[float], values: Sequence[float]) -> Fit:
    """Fit a four-parameter logistic curve by least squares; all wells have the same weight.

    A curve is returned only if it is meaningful: there are at least four concentrations (0 counts) and more wells than
    parameters; the fit converges; the EC50 lies within the tested concentrations above 0, and its confidence interval
    is not wider than twice their range (on a logarithmic scale); and the curve explains more than the mean of all wells
    (F test, p < 0.05).

    Parameters
    ----------
    concentrations:
        One per well, 0 or more; 0 means without compound.
    values:
        One per well; values that are not finite are left out.

    References
    ----------
    Curve: DeLean A, Munson PJ, Rodbard D (1978) Am J Physiol 235:E97. Wells without compound as concentration 0, test
    for an effect and interval on the logarithm: Ritz C, Baty F, Streibig JC, Gerhard D (2015) PLoS ONE 10:e0146021.
    """
    dose, response = np.asarray(concentrations, dtype=np.float64), np.asarray(values, dtype=np.float64)
    dose, response = dose[np.isfinite(response)], response[np.isfinite(response)]
    tested = np.unique(dose)
    if len(tested) < PARAMETERS or len(dose) <= PARAMETERS:
        return Fit(None, f"{len(tested)} concentrations in {len(dose)} wells are too few for a curve")
    scale = float(response.max()) - float(response.min())
    if not 0 < scale < math.inf:
        return Fit(None, "all wells have the same value" if scale == 0 else "the values are too large")
    # The fit gets values between -1 and 1, and logarithms centred on 0: so its result does not depend on the units.
    middle = float(np.median(response))
    scaled = np.round((response - middle) / scale, DIGITS)
    logs = _logarithms(dose)
    lowest, highest = float(logs[dose > 0].min()), float(logs.max())
    centre = (lowest + highest) / 2
    found = _least_squares(np.round(logs - centre, DIGITS), scaled)
    if found is None:
        return Fit(None, "the fit does not converge")
    reach = _student_t(len(dose) - PARAMETERS) * found.error
    log_ec50 = found.log_ec50 + centre
    if reason := _objection(found, reach, highest - centre):
        return Fit(None, reason)
    if abs(log_ec50) + reach > LARGEST_LOGARITHM:
        return Fit(None, "the wells do not determine the EC50")
    start, end = (middle + scale * plateau for plateau in (found.start, found.end))
    interval = math.exp(log_ec50 - reach), math.exp(log_ec50 + reach)
    return Fit(LogisticCurve(start, end, math.exp(log_ec50), math.exp(found.log_slope), interval))


class _Found(NamedTuple):
    """The parameters of a fit, over centred logarithms of concentration.

    Parameters
    ----------
    error:
        Standard error of *log_ec50*.
    chance:
        p of the test for an effect.
    steepness:
        Largest change of the curve at a well if *log_ec50* changes by 1, as a part of the curve's height.
    """

    start: float
    end: float
    log_ec50: float
    log_slope: float
    error: float
    chance: float
    steepness: float


def _objection(found: _Found, reach: float, farthest: float) -> str:
    """Return why a curve is not meaningful; an empty string if it is.

    *reach* is half the confidence interval of the logarithm of the EC50. *farthest* is the largest distance of a tested
    concentration from the centre, as a logarithm.
    """
    if found.chance >= LEVEL:
        return f"no effect (p = {found.chance:.2g})"
    if not abs(found.log_ec50) <= farthest * (1 + ROUNDING):
        return "the EC50 is outside the tested concentrations"
    if reach > 2 * farthest:
        return "the wells do not determine the EC50"
    return (
        "the fit does not converge" if found.steepness < FLAT else ""
    )  # without noise the interval is too narrow to tell


def _least_squares(x: _Array, y: _Array) -> _Found | None:
    """Return the curve over the centred logarithms *x*."""
    from scipy.optimize import OptimizeWarning, curve_fit

    def model(_: _Array, start: float, end: float, log_ec50: float, log_slope: float) -> _Array:
        return start + (end - start) * _share(x, log_ec50, _slope(log_slope))

    # Analytical derivatives: the step of a numerical one is a part of the parameter, and vanishes near 0.
    def derivatives(_: _Array, start: float, end: float, log_ec50: float, log_slope: float) -> _Array:
        slope = _slope(log_slope)
        share = _share(x, log_ec50, slope)
        rise = (end - start) * slope * share * (1 - share)
        away = np.where(np.isfinite(x), x - log_ec50, 0.0)  # without compound, only the first derivative is not 0
        return np.stack([1 - share, share, -rise, rise * away], axis=1)

    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)  # the covariance is infinite then, which is checked below
        try:
            parameters, covariance = curve_fit(
                model, np.arange(len(y)), y, p0=_starting_point(x, y), jac=derivatives, maxfev=5000
            )
        except RuntimeError:
            return None
    start, end, log_ec50, log_slope = map(float, parameters)
    error = float(np.sqrt(covariance[2, 2]))
    if not (math.isfinite(error) and max(abs(log_ec50), abs(log_slope)) < LARGEST_LOGARITHM):
        return None
    chance = _chance_of_no_effect(y, model(x, start, end, log_ec50, log_slope))
    share = _share(x, log_ec50, _slope(log_slope))
    steepness = float((_slope(log_slope) * share * (1 - share)).max())
    return _Found(start, end, log_ec50, log_slope, error, chance, steepness)


def _slope(logarithm: float) -> float:
    return math.exp(min(max(logarithm, -LARGEST_LOGARITHM), LARGEST_LOGARITHM))


def _starting_point(x: _Array, y: _Array) -> tuple[float, float, float, float]:
    """Return the best parameters on a grid of EC50 and slope; the plateaus of each come from a linear regression."""
    tested = x[np.isfinite(x)]
    points, slopes = np.meshgrid(np.linspace(tested.min(), tested.max(), START_POINTS), START_SLOPES)
    shares = _share(x, points.reshape(-1, 1), slopes.reshape(-1, 1))
    deviations = shares - shares.mean(axis=1, keepdims=True)
    variation = np.maximum((deviations**2).sum(axis=1), np.finfo(np.float64).tiny)
    rises = deviations @ (y - y.mean()) / variation
    best = int(np.argmax(rises**2 * variation))
    start = float(y.mean() - rises[best] * shares[best].mean())
    return start, start + float(rises[best]), float(points.flat[best]), math.log(slopes.flat[best])


def _share(log_x: Any, log_ec50: Any, slope: Any) -> _Array:
    from scipy.special import expit

    return np.asarray(expit(slope * (log_x - log_ec50)))


def _logarithms(concentrations: Any) -> _Array:
    with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf: every curve has its start there
        return np.log(np.asarray(concentrations, dtype=np.float64))


def _student_t(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - LEVEL / 2))


def _chance_of_no_effect(values: _Array, fitted: _Array) -> float:
    """Return p of the F test of the curve against the mean of all values."""
    from scipy.special import fdtrc

    left = float(((values - fitted) ** 2).sum())
    explained = float(((values - values.mean()) ** 2).sum()) - left
    freedom = len(values) - PARAMETERS
    if left <= 0:
        return 0.0
    return float(fdtrc(PARAMETERS - 1, freedom, max(explained, 0.0) / (PARAMETERS - 1) / (left / freedom)))
