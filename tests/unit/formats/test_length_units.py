from __future__ import annotations

import pytest

from wellfield.formats.length_units import micrometres


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nm", 1e-3),
        ("Micrometer", 1.0),
        ("\u00b5m", 1.0),
        ("\u03bcm", 1.0),
        (" um ", 1.0),
        ("\u212b", 1e-4),
        ("mm", 1e3),
        ("m", 1e6),
        ("Mm", None),
        ("PM", None),
        ("Inch", None),
        ("pixel", None),
        ("", None),
        (None, None),
    ],
)
def test_names_are_read_in_any_case_and_symbols_as_they_are(unit: str | None, expected: float | None) -> None:
    assert micrometres(unit) == expected
