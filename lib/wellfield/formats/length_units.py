"""Units of length as files spell them, in µm."""

from __future__ import annotations

from typing import Any

# In lower case. NGFF takes the names of UDUNITS-2; others write symbols, µ as the micro sign or as the Greek letter.
_MICROMETRES = {
    spelling: factor
    for factor, spellings in (
        (1e-6, "pm picometer picometre"),
        (1e-4, "\u00e5 angstrom"),
        (1e-3, "nm nanometer nanometre"),
        (1.0, "um \u00b5m \u03bcm \\u00b5m micron microns micrometer micrometre"),
        (1e3, "mm millimeter millimetre"),
        (1e4, "cm centimeter centimetre"),
        (25_400.0, "inch"),
        (1e6, "m meter metre"),
    )
    for spelling in spellings.split()
}


def micrometres(unit: Any) -> float | None:
    """Return how many µm a unit has: ``"nm"`` → 0.001; ``None`` for what is not a unit of length."""
    return _MICROMETRES.get(str(unit).strip().lower())
