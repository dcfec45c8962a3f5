"""Flat-field profiles that a microscope measured itself, a fact of the plate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A polynomial over the pixels of an image.

    ``coefficients[d][k]`` belongs to ``u**(d - k) * v**k`` with ``u = (x - origin[0]) * scale[0]`` and ``v = (y -
    origin[1]) * scale[1]``; x and y are column and row of a pixel. ``shape`` is height and width of the images that
    it was fitted to; a constant fits any size and has ``None``.
    """

    coefficients: tuple[tuple[float, ...], ...]
    shape: tuple[int, int] | None = None
    origin: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class FlatfieldProfile:
    """How a channel shows even light: ``level * background`` without signal, and the signal times ``foreground``.

    Both polynomials have mean 1; ``level`` is in the units of the image.
    """

    level: float
    background: Polynomial
    foreground: Polynomial
