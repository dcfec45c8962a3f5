from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellfield.plate.field_grid import arrange_fields, plate_wide_positions


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    jitter=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
    aspect=st.floats(0.6, 1.6),
)
@settings(deadline=None)
def test_fields_are_numbered_row_by_row_from_the_top_left_whatever_jitter_and_order(
    rows: int, columns: int, jitter: float, seed: int, aspect: float
) -> None:
    rng = np.random.default_rng(seed)
    places = [(column * 300.0, -row * 300.0 * aspect) for row in range(rows) for column in range(columns)]
    step = 300.0 * (min(1.0, aspect) if min(rows, columns) > 1 else (aspect if columns == 1 else 1.0))
    moved = [tuple(np.add(place, rng.uniform(-jitter, jitter, 2) * step)) for place in places]
    names = rng.permutation(len(places)) + 1
    positions = {int(names[k]): moved[k] for k in rng.permutation(len(places))}
    grid = arrange_fields(positions)
    assert grid.numbers == {int(names[k]): k + 1 for k in range(len(places))}
    assert (grid.rows, grid.columns) == (rows, columns)


def test_a_grid_with_gaps_has_its_rows_and_columns() -> None:
    grid = arrange_fields({7: (0, 0), 3: (600, 0), 4: (300, -300), 9: (600, -300), 1: (0, -600)})
    assert grid.numbers == {7: 1, 3: 2, 4: 3, 9: 4, 1: 5}
    assert (grid.rows, grid.columns) == (3, 3)


def test_one_field_is_a_grid() -> None:
    assert arrange_fields({5: (1.0, 2.0)})[:3] == ({5: 1}, 1, 1)


def test_positions_are_medians_over_wells_and_the_worst_deviation_is_told() -> None:
    places = [("A01", 1, 0.0, 0.0), ("A02", 1, 2.0, 0.0), ("A03", 1, 1.0, 90.0), ("A01", 2, float("nan"), 0.0)]
    positions, deviation = plate_wide_positions(places)
    assert positions == {1: (1.0, 0.0)}
    assert deviation == pytest.approx(90.0)


def test_many_fields_take_neither_quadratic_time_nor_memory() -> None:
    positions = {k + 1: (float(k % 100), -float(k // 100)) for k in range(10_000)}
    tracemalloc.start()
    try:
        grid = arrange_fields(positions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert grid.numbers == {k: k for k in positions}
    assert (grid.rows, grid.columns) == (100, 100)
    assert peak < 50e6  # all distances would take 800 MB
