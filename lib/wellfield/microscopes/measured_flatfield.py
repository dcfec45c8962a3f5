"""Flat-field profiles as Harmony stores them in its index: polynomials that it fitted to a plate's images.

The text is Acapella's notation, ``{Background: {Character: NonFlat, Mean: 373.7, …, Profile: {Coefficients: [[1.13],
[-0.02, 0.03], …], Dims: [1080, 1080], Origin: [539.5, 539.5], Scale: [0.00093, 0.00093], Type: Polynomial}, …},
Channel: 1, ChannelName: …, Foreground: {…}}``. It is searched for its numbers, nothing in it is evaluated.
"""

from __future__ import annotations

import json
import re

from wellfield.plate.flatfield import FlatfieldProfile, Polynomial

_LARGEST = 1e9  # of any number of a profile: far beyond what a lamp does, and no overflow in its powers
_PART = r"(?:^|[{,]\s*)%s:\s*\{"
_NUMBERS = r"%s:\s*(\[[-+0-9.eE,\s\[\]]*\])"


def parse_flatfield(text: str) -> FlatfieldProfile | None:
    """Return the profile of a channel; ``None`` if Harmony found none or the text cannot be understood."""
    background, foreground = _part(text, "Background"), _part(text, "Foreground")
    if background is None or foreground is None:
        return None
    profiles = _polynomial(background), _polynomial(foreground)
    if profiles[0] is None or profiles[1] is None:
        return None
    mean = re.search(r"\bMean:\s*(-?[0-9.eE+-]+)", background)
    try:
        level = float(mean[1]) if mean else 0.0
    except ValueError:
        return None
    return FlatfieldProfile(level, profiles[0], profiles[1]) if abs(level) < _LARGEST else None


def what_is_lacking(text: str) -> str:
    """Say why :func:`parse_flatfield` gives no profile for a text that has coefficients."""
    background, foreground = _part(text, "Background"), _part(text, "Foreground")
    if background is not None and foreground is None and _polynomial(background) is not None:
        return (
            "is of the background alone (Harmony's basic correction): it has no Foreground, so how the light falls on "
            "the signal is not known"
        )
    return "is not understood"


def _part(text: str, name: str) -> str | None:
    """Return the text between the braces of a part."""
    start = re.search(_PART % name, text)
    if start is None:
        return None
    depth = 1
    for end in range(start.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return text[start.end() : end]
    return None


def _polynomial(part: str) -> Polynomial | None:
    profile = _part(part, "Profile")
    if profile is None:
        return None
    if re.search(r"\bType:\s*Identity\b", profile):
        return Polynomial(((1.0,),))
    try:
        coefficients, dims, origin, scale = (
            json.loads(written[1])
            for name in ("Coefficients", "Dims", "Origin", "Scale")
            if (written := re.search(_NUMBERS % name, profile))
        )
        if not coefficients or any(len(row) != degree + 1 for degree, row in enumerate(coefficients)):
            return None
        (x_size, y_size), (x_origin, y_origin), (x_scale, y_scale) = dims, origin, scale
        found = Polynomial(
            tuple(tuple(map(float, row)) for row in coefficients),
            (int(y_size), int(x_size)),
            (float(x_origin), float(y_origin)),
            (float(x_scale), float(y_scale)),
        )
        numbers = (*(number for row in found.coefficients for number in row), *found.origin, *found.scale)
        return found if all(abs(number) < _LARGEST for number in numbers) else None
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
