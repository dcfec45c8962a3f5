"""Units of length as files spell them, in µm."""

from __future__ import annotations

from typing import Any


def _table(*lines: tuple[float, str]) -> dict[str, float]:
    return {spelling: factor for factor, spellings in lines for spelling in spellings.split()}


# NGFF takes the names of UDUNITS-2; other files have symbols, with µ as the micro sign or as the Greek letter. Names
# may be in upper or lower case, symbols may not: mm is a millimetre, Mm a megametre.
_NAMES = _table(
    (1e-6, "picometer picometre"),
    (1e-4, "\u00e5 angstrom"),
    (1e-3, "nanometer nanometre"),
    (1.0, "um \u00b5m \u03bcm \\u00b5m micron microns micrometer micrometre"),
    (1e3, "millimeter millimetre"),
    (1e4, "centimeter centimetre"),
    (1e6, "meter metre"),
)
_SYMBOLS = _table((1e-6, "pm"), (1e-3, "nm"), (1e3, "mm"), (1e4, "cm"), (1e6, "m"))


def micrometres(unit: Any) -> float | None:
    """Return how many µm a unit has: ``"nm"`` → 0.001; ``None`` for what is not a unit of length, or is an inch.

    Programs write ``inch`` for dots on a screen.
    """
    text = str(unit).strip()
    return _SYMBOLS.get(text, _NAMES.get(text.lower()))
