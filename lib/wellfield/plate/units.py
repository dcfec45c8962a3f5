"""Units of concentration as people spell them: ``uM``, ``µM`` (micro sign) and ``μM`` (Greek letter) are one unit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_MU = "\u03bc"
_AMOUNTS = ("M", "mol", "g", "L", "l", "m", "U", "IU", "Da")
_WORDS = {"molar": "M"} | {
    f"{prefix}molar": f"{letter}M"
    for prefix, letter in (("milli", "m"), ("micro", _MU), ("nano", "n"), ("pico", "p"), ("femto", "f"))
}


def unit_key(unit: str) -> str:
    """Return one key for all spellings of a unit, such as ``uM``, ``µM``, ``μM`` and ``micromolar``.

    Upper and lower case differ: ``nM`` is a concentration, ``nm`` a length.
    """
    text = "".join(unicodedata.normalize("NFKC", unit).split())
    text = _WORDS.get(text.lower(), text)
    first, slash, rest = text.partition("/")
    return f"{_micro(first)}{slash}{_micro(rest)}"


def _micro(part: str) -> str:
    return f"{_MU}{part[1:]}" if part[:1] == "u" and part[1:] in _AMOUNTS else part


def one_spelling(units: Iterable[str]) -> dict[str, str]:
    """Return for each spelling of a unit the first one that is used for the same unit."""
    first: dict[str, str] = {}
    return {unit: first.setdefault(unit_key(unit), unit) for unit in units}
