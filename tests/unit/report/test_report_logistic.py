"""The four-parameter logistic curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from wellfield.report.logistic import LogisticCurve, fit_logistic

# Root length of ryegrass (cm) over ferulic acid (mM), Inderjit et al. 2002: `ryegrass` of drc, a package of R.
FERULIC_ACID = np.repeat([0, 0.94, 1.88, 3.75, 7.5, 15, 30], [6, 3, 3, 3, 3, 3, 3])
ROOT_LENGTH = [
    7.58, 8.0, 8.3285714, 7.25, 7.375, 7.9625, 8.3555556, 6.9142857, 7.75, 6.8714286, 6.45, 5.9222222,
    1.925, 2.8857143, 4.2333333, 1.1875, 0.8571429, 1.0571429, 0.6875, 0.525, 0.825, 0.25, 0.22, 0.44,
]  # fmt: skip
DOSES = np.repeat([0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], 3)
FALLING = LogisticCurve(start=1000, end=200, ec50=0.5, slope=1.5, interval=(0.5, 0.5))


def test_the_curve_of_ryegrass_is_that_of_drc() -> None:
    curve = fit_logistic(FERULIC_ACID, ROOT_LENGTH).curve
    assert curve is not None
    # drm(rootl ~ conc, data = ryegrass, fct = LL.4()): Ritz et al. 2015, estimates b, d, c and e, standard error of e.
    assert [curve.slope, curve.start, curve.end, curve.ec50] == pytest.approx(
        [2.98222, 7.79296, 0.48141, 3.05795], 2e-5
    )
    reach = 2.085963 * 0.18573 / 3.05795  # t of 20 degrees of freedom; error on the logarithm by the delta method
    expected = 3.05795 * math.exp(-reach), 3.05795 * math.exp(reach)
    assert curve.interval == pytest.approx(expected, rel=1e-3)


def test_a_curve_runs_from_plateau_to_plateau_through_its_half_way_point() -> None:
    assert FALLING([0, 0.5, 1e12]) == pytest.approx([1000, 600, 200])
    assert FALLING([1.0]) == pytest.approx([200 + 800 / (1 + 2**1.5)])


@pytest.mark.parametrize("slope", [0.7, 1.0, 3.0])
@pytest.mark.parametrize(("start", "end"), [(1000, 200), (200, 1000), (-3, 4), (0.0002, 0.0001)])
@pytest.mark.parametrize("ec50", [0.04, 0.5, 2.0])
def test_ec50_is_recovered_from_noise(ec50: float, start: float, end: float, slope: float) -> None:
    truth = LogisticCurve(start, end, ec50, slope, (ec50, ec50))
    noise = np.random.default_rng(1).normal(scale=0.02 * abs(end - start), size=DOSES.size)
    curve = fit_logistic(DOSES, truth(DOSES) + noise).curve
    assert curve is not None
    assert math.log(curve.ec50 / ec50) == pytest.approx(0, abs=0.25)
    assert curve.interval[0] < curve.ec50 < curve.interval[1]
    assert abs(curve.end - end) < 0.25 * abs(end - start)


# Half of the cells are left at about 1, where a step that is a part of the logarithm is no step.
AROUND_ONE = [0, 0, 0, 0.1, 0.3, 1, 3, 10], [100, 101, 99, 98, 90, 52, 20, 5]


@pytest.mark.parametrize("offset", [0, -40, 1000])
@pytest.mark.parametrize("size", [1e-6, 1, 1e6, -1])
@pytest.mark.parametrize("unit", [1, 1e3, 1e-3, 1e-6, 1e6, 1e-12, 1 / 1.04, 7.3])
@pytest.mark.parametrize(("doses", "values"), [AROUND_ONE, (FERULIC_ACID, ROOT_LENGTH)], ids=["plain", "ryegrass"])
def test_a_fit_does_not_depend_on_units(
    doses: Sequence[float], values: Sequence[float], unit: float, size: float, offset: float
) -> None:
    plain = fit_logistic(doses, values).curve
    assert plain is not None
    curve = fit_logistic(np.multiply(doses, unit), np.add(np.multiply(values, size), offset * size)).curve
    assert curve is not None
    ec50s = [end / unit for end in (curve.ec50, *curve.interval)]
    assert ec50s == pytest.approx([plain.ec50, *plain.interval], rel=1e-6)
    assert curve.slope == pytest.approx(plain.slope, rel=1e-6)
    plateaus = [plateau / size - offset for plateau in (curve.start, curve.end)]
    assert plateaus == pytest.approx([plain.start, plain.end], rel=1e-5)


def test_the_ec50_of_a_plain_curve_around_one_is_found() -> None:
    curve = fit_logistic(*AROUND_ONE).curve
    assert curve is not None
    assert (curve.ec50, curve.slope) == pytest.approx((1.0404, 1.6), rel=1e-3)


@pytest.mark.parametrize("unit", [1, 1e-6, 1e6])
def test_why_there_is_no_curve_does_not_depend_on_units(unit: float) -> None:
    noise = np.random.default_rng(3).normal(size=DOSES.size)
    flat, rising = fit_logistic(DOSES * unit, noise), fit_logistic(DOSES * unit, DOSES + noise / 100)
    assert flat.reason == fit_logistic(DOSES, noise).reason != ""
    assert rising.reason == "the EC50 is outside the tested concentrations"


def test_without_noise_the_curve_is_the_true_one() -> None:
    curve = fit_logistic(DOSES, FALLING(DOSES)).curve
    assert curve is not None
    found = [curve.start, curve.end, curve.ec50, curve.slope, *curve.interval]
    assert found == pytest.approx([1000, 200, 0.5, 1.5, 0.5, 0.5], rel=1e-5)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        curve = fit_logistic(DOSES, FALLING(DOSES) + rng.normal(scale=40, size=DOSES.size)).curve
        held += curve is not None and curve.interval[0] <= 0.5 <= curve.interval[1]
    assert 180 <= held <= 198


def test_noise_alone_has_hardly_ever_a_curve() -> None:
    rng = np.random.default_rng(0)
    fits = [fit_logistic(DOSES, rng.normal(size=DOSES.size)) for _ in range(200)]
    assert sum(fit.curve is not None for fit in fits) <= 10
    assert any(fit.reason.startswith("no effect (p = 0.") for fit in fits)


@pytest.mark.parametrize(
    ("doses", "values", "reason"),
    [
        ([], [], "0 concentrations in 0 wells are too few"),
        ([0, 1, 2, 2, 2], [1, 2, 3, 4, 5], "3 concentrations in 5 wells are too few"),
        ([0, 1, 2, 3], [1, 2, 3, 4], "4 concentrations in 4 wells are too few"),
        ([0, 1, 2, 3, 3], [1, 2, 3, 4, math.nan], "4 concentrations in 4 wells are too few"),
        ([0, 1, 2, 3, 4, 5], [7] * 6, "all wells have the same value"),
        ([0, 1, 2, 3, 4, 5], [1.7e308, -1.7e308, 1, 2, 3, 4], "the values are too large"),
        # Falling from the first to the last concentration: the curve would end far beyond.
        (
            DOSES[3:],
            LogisticCurve(1000, 200, 80, 1, (1, 1))(DOSES[3:]),
            "the EC50 is outside the tested concentrations",
        ),
        # A clear effect, but with no end in sight: the interval is wider than the range of concentrations.
        (
            [0, 0, 1, 1, 2, 2, 4, 4, 8, 8],
            [9.3, 8.0, 8.0, 8.5, 5.0, 6.3, 5.3, 5.6, 3.1, 3.5],
            "the wells do not determine the EC50",
        ),
        # A step: any EC50 between two of the concentrations does.
        ([0, 0, 0.1, 0.1, 1, 1, 10, 10], [1, 1.01, 1, 0.99, 0, 0.01, 0, 0.01], "the wells do not determine the EC50"),
        ([0, 0, 0.1, 0.1, 1, 1, 10, 10], [1, 1, 1, 1, 0, 0, 0, 0], "the fit does not converge"),
        ([0, 0, 1e-7, 3e-7, 1e-6, 3e-6], [100, 100, 100, 100, 5, 5], "the fit does not converge"),
    ],
)
def test_without_a_meaningful_curve_there_is_a_reason(doses: list[float], values: list[float], reason: str) -> None:
    curve, why = fit_logistic(doses, values)
    assert curve is None
    assert reason in why


def test_wells_without_a_value_do_not_count() -> None:
    values = np.where(np.arange(DOSES.size) == 5, np.nan, FALLING(DOSES))
    assert fit_logistic(DOSES, values) == fit_logistic(np.delete(DOSES, 5), np.delete(values, 5))


@pytest.mark.parametrize("factor", [1e-12, 1e9])
def test_neither_the_unit_of_concentrations_nor_that_of_values_matters(factor: float) -> None:
    noisy = FALLING(DOSES) + np.random.default_rng(3).normal(scale=30, size=DOSES.size)
    one, two, three = (
        fit_logistic(DOSES, noisy).curve,
        fit_logistic(DOSES * factor, noisy).curve,
        fit_logistic(DOSES, noisy * factor + 5 * factor).curve,
    )
    assert one is not None and two is not None and three is not None
    assert two.ec50 / factor == pytest.approx(one.ec50, rel=1e-5)
    assert three.ec50 == pytest.approx(one.ec50, rel=1e-5)
    assert three.end / factor - 5 == pytest.approx(one.end, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-300, 1e150, 1e300])
@pytest.mark.parametrize("reach", [1e-300, 1.0, 1e300])
def test_extreme_numbers_raise_nothing(scale: float, reach: float) -> None:
    curve, _ = fit_logistic(
        [0, 0, reach * 1e-5, reach * 1e-5, reach, reach, reach * 1e5, reach * 1e5],
        np.array([1, 1.1, 0.9, 1, 0.5, 0.52, 0.1, 0]) * scale,
    )
    if curve is not None:
        numbers = [curve.start, curve.end, curve.ec50, curve.slope, *curve.interval]
        assert np.isfinite(numbers).all()
