"""Which treatments have a dose–response, and its picture."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wellfield.plate.platemap import WellTreatment
from wellfield.plate.wells import well_name
from wellfield.report import dose_plot
from wellfield.report.dose_plot import plot_dose_responses
from wellfield.report.dose_response import MAX_RESPONSES, DoseResponse, dose_responses, ec50_text
from wellfield.report.logistic import LogisticCurve
from wellfield.report.statistics import VALUE_COLUMNS

DOSES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TRUTH = LogisticCurve(start=100, end=20, ec50=0.4, slope=1.3, interval=(0.4, 0.4))


def plate_map(treatments: Iterable[str] = ("drug",), *, doses: Iterable[float | None] = DOSES) -> dict[str, Any]:
    """A row for each treatment with its doses from column 2 on; controls in columns 1 and 24."""
    entries = []
    for row, treatment in enumerate(treatments):
        entries.append(WellTreatment(well_name(row, 0), "DMSO", None, "", "negative"))
        entries.append(WellTreatment(well_name(row, 23), "killer", 1.0, "µM", "positive"))
        entries += [WellTreatment(well_name(row, 1 + n), treatment, dose, "µM", "") for n, dose in enumerate(doses)]
    return {entry.well: entry for entry in entries}


def values_for(treatments: dict[str, Any], *, readout: str = "Nuclei_Count", timepoint: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for well, entry in treatments.items():
        concentration = {"negative": 0.0, "positive": 1e9}.get(entry.control, entry.concentration or 0.0)
        rows.append((well, timepoint, readout, float(TRUTH([concentration])[0] + rng.normal())))
    return pd.DataFrame(rows, columns=list(VALUE_COLUMNS))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    draw = dose_plot.Canvas.text

    def text(self: dose_plot.Canvas, x: float, y: float, text: str, **style: Any) -> None:
        found.append(text)
        draw(self, x, y, text, **style)

    monkeypatch.setattr(dose_plot.Canvas, "text", text)
    return found


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_the_ec50_of_a_plate_is_recovered_with_its_negative_controls_as_concentration_zero() -> None:
    wells = plate_map(["drug"])
    (response,), note = dose_responses(values_for(wells), wells)
    assert (response.treatment, response.unit, response.readout, response.timepoint) == (
        "drug",
        "µM",
        "Nuclei_Count",
        1,
    )
    assert response.concentrations == DOSES
    assert {kind: len(values) for kind, values in response.controls.items()} == {"positive": 1, "negative": 1}
    curve = response.fit.curve
    assert curve is not None
    assert curve.ec50 == pytest.approx(0.4, rel=0.1)
    assert ec50_text(response).startswith("EC50 0.4")
    assert note == ""
    # Far below the lowest dose, only the negative controls say where the curve begins.
    high = {well: entry for well, entry in wells.items() if entry.control or (entry.concentration or 0) >= 0.3}
    (few,), _ = dose_responses(values_for(high), high)
    assert few.fit.curve is not None
    assert few.fit.curve.start == pytest.approx(100, abs=5)


def test_control_wells_and_wells_without_concentration_are_not_part_of_a_treatment() -> None:
    wells = plate_map(doses=(*DOSES, None))
    wells["C01"] = WellTreatment("C01", "drug", 100.0, "µM", "positive")
    wells["C02"] = WellTreatment("C02", "drug", 200.0, "µM", "empty")
    (response,), _ = dose_responses(values_for(wells), wells)
    assert response.concentrations == DOSES
    assert len(response.controls["positive"]) == 2


def test_units_are_never_mixed() -> None:
    wells = plate_map(["drug"]) | {
        well_name(5, n): WellTreatment(well_name(5, n), "drug", dose * 1000, "nM", "") for n, dose in enumerate(DOSES)
    }
    found, _ = dose_responses(values_for(wells), wells)
    assert [(response.unit, len(response.concentrations)) for response in found] == [("nM", 7), ("µM", 7)]


@pytest.mark.parametrize("doses", [(1.0, 2.0), (0.0, 1.0, 2.0), (1.0, 1.0, 1.0), (None, None, None), ()])
def test_fewer_than_three_concentrations_are_no_dose_response(doses: tuple[float | None, ...]) -> None:
    wells = plate_map(doses=doses)
    assert dose_responses(values_for(wells), wells) == (
        [],
        "No treatment was measured at three or more concentrations.",
    )


def test_a_plate_without_plate_map_or_values_has_none() -> None:
    wells = plate_map()
    assert dose_responses(values_for(wells), {})[0] == []
    assert dose_responses(values_for(wells).iloc[:0], wells)[0] == []
    assert dose_responses(pd.DataFrame(columns=list(VALUE_COLUMNS)), wells)[0] == []


def test_the_last_timepoint_is_shown() -> None:
    wells = plate_map()
    later = values_for(wells, timepoint=12)
    (response,), _ = dose_responses(pd.concat([later, values_for(wells, timepoint=2).assign(Value=0.0)]), wells)
    assert response.timepoint == 12
    assert response.fit.curve is not None


def test_wells_without_a_usable_value_are_left_out() -> None:
    wells = plate_map()
    values = values_for(wells)
    values.loc[values["Metadata_Well"].isin(["A02", "A03", "A04"]), "Value"] = [np.nan, np.inf, 1e200]
    (response,), _ = dose_responses(values, wells)
    assert response.concentrations == DOSES[3:]
    assert np.isfinite(response.values).all()


def test_a_readout_that_too_few_wells_have_is_not_shown() -> None:
    wells = plate_map()
    area = values_for(wells, readout="Nuclei_AreaShape_Area")
    found, _ = dose_responses(pd.concat([area.iloc[:4], values_for(wells)]), wells)
    assert [response.readout for response in found] == ["Nuclei_Count"]


def test_treatments_are_in_natural_order_and_those_without_room_are_named() -> None:
    wells = plate_map([f"drug {number}" for number in range(1, 13)])
    both = pd.concat([values_for(wells), values_for(wells, readout="Area"), values_for(wells, readout="Intensity")])
    found, note = dose_responses(both, wells)
    assert [response.treatment for response in found[:12]] == [f"drug {number}" for number in range(1, 13)]
    assert [response.readout for response in found] == ["Nuclei_Count"] * 12 + ["Area"] * 12
    assert note == "Not shown, for want of room: Intensity."


def test_of_too_many_treatments_the_first_are_shown_and_the_others_named() -> None:
    wells = plate_map([f"drug {number}" for number in range(1, 30)])
    found, note = dose_responses(values_for(wells), wells)
    assert len(found) == MAX_RESPONSES
    assert note == "Not shown, for want of room: drug 26 µM, drug 27 µM, drug 28 µM, drug 29 µM."


def test_a_panel_names_treatment_readout_unit_and_ec50_or_the_reason(tmp_path: Path, texts: list[str]) -> None:
    wells = plate_map()
    flat = values_for(wells, readout="Nuclei_AreaShape_Area").assign(Value=5.0)
    found, note = dose_responses(pd.concat([values_for(wells), flat]), wells)
    plot_dose_responses(found, tmp_path / "d.png", title="P1", note=note)
    assert texts.count("drug") == 2
    assert texts.count("concentration (µM)") == 2
    assert {"P1", "Nuclei_Count", "Nuclei_AreaShape_Area", "all wells have the same value"} <= set(texts)
    assert ec50_text(found[0]) in texts
    assert {"well", "fitted curve", "EC50", "negative control", "positive control"} <= set(texts)
    assert "mean ± SD" not in texts  # there is one well for each concentration


def test_a_legend_explains_only_what_is_there(tmp_path: Path, texts: list[str]) -> None:
    wells = {well: entry for well, entry in plate_map(doses=(1.0, 2.0, 2.0, 3.0)).items() if not entry.control}
    found, _ = dose_responses(values_for(wells), wells)
    plot_dose_responses(found, tmp_path / "d.png", title="P1")
    assert {"well", "mean ± SD"} <= set(texts)
    assert not {"fitted curve", "EC50", "negative control", "positive control"} & set(texts)


def test_bands_lie_at_the_controls_and_the_line_at_the_ec50(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    draw = dose_plot._draw_data
    monkeypatch.setattr(dose_plot, "_draw_data", lambda axes, response: (draw(axes, response), drawn.append(axes)))
    wells = plate_map(["drug", "drug"])
    (response,), _ = dose_responses(values_for(wells), wells)
    plot_dose_responses([response], tmp_path / "d.png", title="P1")
    (axes,) = drawn
    for band, kind in zip(axes.patches, ("negative", "positive"), strict=True):
        found = response.controls[kind]
        low, high = np.mean(found) - np.std(found, ddof=1), np.mean(found) + np.std(found, ddof=1)
        assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((low, high))
    points = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xdata(), np.log10(response.concentrations))
    np.testing.assert_allclose(points.get_ydata(), response.values)
    assert response.fit.curve is not None
    curve = next(line for line in axes.lines if len(line.get_xdata()) == dose_plot.CURVE_POINTS)
    np.testing.assert_allclose(curve.get_ydata(), response.fit.curve(10 ** curve.get_xdata()))
    vertical = next(line for line in axes.lines if line.get_linestyle() == ":")
    assert vertical.get_xdata()[0] == pytest.approx(np.log10(response.fit.curve.ec50))


@pytest.mark.parametrize(
    ("doses", "expected"),
    [
        ((0.1, 1.0, 10.0), {-1: "0.1", 0: "1", 1: "10"}),
        ((0.02, 0.03, 50.0), {-1: "0.1", 0: "1", 1: "10"}),
        ((2.0, 3.0, 5.0), {0.301: "2", 0.699: "5"}),
        ((0.0, 1.0, 10.0, 100.0), {-0.4: "0", 0: "1", 1: "10", 2: "100"}),
        ((1e-6, 1.0, 1e6), {-6: "1e-06", -3: "0.001", 0: "1", 3: "1000", 6: "1e+06"}),
    ],
)
def test_concentrations_are_labelled_by_powers_of_ten_or_by_the_ends(
    doses: tuple[float, ...], expected: dict[float, str]
) -> None:
    tested = np.array(doses)
    ticks = dose_plot._ticks(tested, dose_plot._places(tested))
    assert {round(at, 3): text for at, text in ticks.items()} == expected


@pytest.mark.parametrize("number", [0, 1, 3, 9, 25])
def test_a_picture_is_never_larger_than_1500_pixels(number: int, tmp_path: Path) -> None:
    wells = plate_map(["drug"])
    (response,), _ = dose_responses(values_for(wells), wells)
    plot_dose_responses([response] * number, tmp_path / "d.png", title="P1", note="a long note, " * 200)
    assert max(size(tmp_path / "d.png")) <= 1500


def test_a_plate_without_dose_response_has_a_small_picture_that_says_so(tmp_path: Path, texts: list[str]) -> None:
    plot_dose_responses([], tmp_path / "d.png", title="P1", note="No treatment.")
    assert texts == ["P1", "No treatment."]
    assert size(tmp_path / "d.png")[1] < 120


@pytest.mark.parametrize("text", ["Pläte <7> & $x_1$ $\\frac$", "板 🔬 لوحة", "a\nb\x07\ud800", "x" * 400, ""])
def test_names_are_taken_literally_and_never_fail(text: str, tmp_path: Path) -> None:
    wells = plate_map()
    (response,), _ = dose_responses(values_for(wells), wells)
    odd = replace(response, treatment=text, unit=text, readout=text)
    plot_dose_responses([odd], tmp_path / "d.png", title=text, note=text)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e149, 1e-300])
def test_wells_of_one_value_can_be_drawn(value: float, tmp_path: Path) -> None:
    wells = plate_map()
    found, _ = dose_responses(values_for(wells).assign(Value=value), wells)
    plot_dose_responses(found, tmp_path / "d.png", title="P1")
    assert size(tmp_path / "d.png")


def test_equal_input_gives_equal_bytes_whatever_the_order_and_the_settings(tmp_path: Path) -> None:
    wells = plate_map(["drug", "other"])
    values = values_for(wells)

    def draw(name: str, values: pd.DataFrame, wells: dict[str, Any]) -> bytes:
        found, note = dose_responses(values, wells)
        plot_dose_responses(found, tmp_path / name, title="t", note=note)
        return (tmp_path / name).read_bytes()

    first = draw("a.png", values, wells)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "axes.grid": True, "font.family": "serif"}):
        assert draw("b.png", values.iloc[::-1], dict(reversed(wells.items()))) == first
    with Image.open(tmp_path / "a.png") as image:
        assert set(image.info) <= {"dpi"}


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom wellfield.report.dose_plot import plot_dose_responses\n"
        "from wellfield.report.dose_response import DoseResponse\nfrom wellfield.report.logistic import fit_logistic\n"
        "assert not {'matplotlib', 'scipy', 'pandas', 'natsort'} & set(sys.modules)\n"
        "x, y = (0.1, 1.0, 10.0, 100.0, 200.0), (1.0, 2.0, 8.0, 9.0, 9.0)\n"
        "none = {'positive': (), 'negative': ()}\n"
        "response = DoseResponse('d', 'M', 'n', 1, x, y, none, fit_logistic(x, y))\n"
        f"plot_dose_responses([response], {str(tmp_path / 'd.png')!r}, title='t')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_order_of_the_wells_changes_nothing() -> None:
    wells = plate_map(["drug", "drug"])
    values = values_for(wells)
    backwards = dict(reversed(wells.items()))
    first: list[DoseResponse] = dose_responses(values, wells)[0]
    assert dose_responses(values.iloc[::-1], backwards)[0] == first
