"""Simulated fluorescence microscopy of nuclei whose number is known.

A field is a list of :class:`Nucleus`; :func:`render_field` makes its planes: textured ellipses, a marker in the cell
around them, light from out of focus, uneven illumination, photon noise and the camera's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Image = NDArray[np.float32]

# Brightness in photons, one per grey value.
CAMERA_OFFSET = 150
READ_NOISE = 3.0
BACKGROUND = 140.0
NUCLEUS_SIGNAL = 1500.0
MARKER_LOW, MARKER_HIGH = 120.0, 2600.0
VIGNETTING = 0.32
"""Fraction of the light that is missing in the corner farthest from the optical axis, about."""

# Two nuclei touch when their centres are this fraction of the sum of their radii apart, and none are closer.
TOUCHING = (0.92, 1.0)
_APART = 1.15
_BORDER = 3.0
_TRIES = 200


class Nucleus(NamedTuple):
    """An elliptical nucleus; lengths in pixels, *angle* of the long axis against x in radians.

    *brightness* is relative to the mean; *response*, from 0 to 1, says how strong the cell's marker is.
    """

    y: float
    x: float
    long_radius: float
    short_radius: float
    angle: float
    brightness: float
    response: float

    def radius(self, direction: float) -> float:
        """Return the distance from the centre to the edge in a direction (radians, against x)."""
        along, across = math.cos(direction - self.angle), math.sin(direction - self.angle)
        return self.long_radius * self.short_radius / math.hypot(self.short_radius * along, self.long_radius * across)


def place_nuclei(
    rng: np.random.Generator, *, size: int, count: int, touching: float, response: float
) -> tuple[Nucleus, ...]:
    """Place nuclei with their centres inside a square field.

    Parameters
    ----------
    rng:
        Source of randomness.
    size:
        Height and width of the field in pixels.
    count:
        How many are wanted. A field too crowded for all gets fewer.
    touching:
        Fraction of nuclei that are placed against another one, so that the two touch or overlap a little: by a tenth of
        either at most, so that two remain two for the eye.
    response:
        Mean response of the cells to a compound, from 0 to 1.
    """
    placed: list[Nucleus] = []
    for _ in range(count):
        long_radius = rng.uniform(9.5, 13.0)
        nucleus = Nucleus(
            y=0.0,
            x=0.0,
            long_radius=long_radius,
            short_radius=long_radius * rng.uniform(0.72, 0.95),
            angle=rng.uniform(0, math.pi),
            brightness=rng.uniform(0.82, 1.25),
            response=float(np.clip(rng.normal(response, 0.06), 0, 1)),
        )
        against = bool(placed) and rng.random() < touching
        for _ in range(_TRIES):
            if against:
                partner, direction = placed[rng.integers(len(placed))], rng.uniform(0, 2 * math.pi)
                distance = rng.uniform(*TOUCHING) * (partner.radius(direction) + nucleus.radius(direction))
                y, x = partner.y + distance * math.sin(direction), partner.x + distance * math.cos(direction)
            else:
                partner = None
                y, x = rng.uniform(_BORDER, size - 1 - _BORDER, 2)
            nucleus = nucleus._replace(y=float(y), x=float(x))
            inside = all(_BORDER <= centre <= size - 1 - _BORDER for centre in (nucleus.y, nucleus.x))
            if inside and all(other is partner or separation(nucleus, other) > _APART for other in placed):
                placed.append(nucleus)
                break
    return tuple(placed)


def separation(one: Nucleus, other: Nucleus) -> float:
    """Return the distance of two centres as a fraction of the radii along the line between them; 1 is contact."""
    direction = math.atan2(other.y - one.y, other.x - one.x)
    return math.hypot(other.y - one.y, other.x - one.x) / (one.radius(direction) + other.radius(direction))


def render_field(
    nuclei: tuple[Nucleus, ...], rng: np.random.Generator, *, size: int, channels: int, z: int
) -> NDArray[np.uint16]:
    """Return the planes of a field, ``[C, Z, Y, X]`` uint16.

    Channel 1 shows the nuclei, the others a marker that follows the response. The middle z is the sharpest.
    """
    planes = np.empty((channels, z, size, size), np.uint16)
    for channel in range(channels):
        sharp = _draw(nuclei, rng, size=size, marker=channel > 0)
        haze = _blur(sharp, 25.0)
        light = _illumination(size, channel)
        for step in range(z):
            defocus = abs(step - (z - 1) / 2)
            seen = _blur(sharp, math.hypot(0.8, 1.5 * defocus)) * np.float32(0.97**defocus)
            photons = rng.poisson((BACKGROUND + seen + np.float32(0.12) * haze) * light).astype(np.float32)
            grey = photons + CAMERA_OFFSET + READ_NOISE * rng.standard_normal((size, size), dtype=np.float32)
            planes[channel, step] = np.clip(np.rint(grey), 0, 65535).astype(np.uint16)
    return planes


def _draw(nuclei: tuple[Nucleus, ...], rng: np.random.Generator, *, size: int, marker: bool) -> _Image:
    """Return the light of a field in focus, without background."""
    field = np.zeros((size, size), np.float32)
    for nucleus in nuclei:
        reach = math.ceil(nucleus.long_radius * (2.4 if marker else 1.3))
        top, left = max(0, int(nucleus.y) - reach), max(0, int(nucleus.x) - reach)
        rows, columns = slice(top, int(nucleus.y) + reach + 1), slice(left, int(nucleus.x) + reach + 1)
        patch = field[rows, columns]
        y, x = np.ogrid[: patch.shape[0], : patch.shape[1]]
        patch += _cell(nucleus, y + top, x + left, rng) if marker else _nucleus(nucleus, y + top, x + left, rng)
    return field * _texture(rng, size)


def _nucleus(nucleus: Nucleus, y: NDArray[np.int_], x: NDArray[np.int_], rng: np.random.Generator) -> _Image:
    """A dome with a soft, slightly irregular edge and two or three darker nucleoli."""
    distance, direction = _elliptic(nucleus, y, x)
    phases = rng.uniform(0, 2 * math.pi, 2)
    distance = distance * (1 + 0.03 * np.cos(2 * direction + phases[0]) + 0.03 * np.cos(3 * direction + phases[1]))
    light = _inside(distance, nucleus.short_radius / 0.7) * (1.1 - 0.25 * np.minimum(distance, 1) ** 2)
    for _ in range(rng.integers(2, 4)):
        towards, away, width = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.5), rng.uniform(1.5, 2.2)
        centre_y = nucleus.y + away * nucleus.short_radius * math.sin(towards)
        centre_x = nucleus.x + away * nucleus.short_radius * math.cos(towards)
        light = light * (1 - 0.3 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * width**2)))
    return np.asarray(NUCLEUS_SIGNAL * nucleus.brightness * light, dtype=np.float32)


def _cell(nucleus: Nucleus, y: NDArray[np.int_], x: NDArray[np.int_], rng: np.random.Generator) -> _Image:
    """The cell around a nucleus, brightest near the nucleus and fading outwards."""
    distance, direction = _elliptic(nucleus, y, x)
    spread = 1.75 * (1 + 0.12 * np.cos(2 * direction + rng.uniform(0, 2 * math.pi)))
    strength = (MARKER_LOW + (MARKER_HIGH - MARKER_LOW) * nucleus.response) * rng.lognormal(0, 0.2)
    light = np.exp(-((distance / spread) ** 4)) * (0.6 - 0.25 * _inside(distance, nucleus.short_radius))
    return np.asarray(strength * light, dtype=np.float32)


def _elliptic(
    nucleus: Nucleus, y: NDArray[np.int_], x: NDArray[np.int_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance from the centre, 1 on the edge, and the direction, both in the nucleus' own axes."""
    cosine, sine = math.cos(nucleus.angle), math.sin(nucleus.angle)
    along = ((x - nucleus.x) * cosine + (y - nucleus.y) * sine) / nucleus.long_radius
    across = ((y - nucleus.y) * cosine - (x - nucleus.x) * sine) / nucleus.short_radius
    return np.hypot(along, across), np.arctan2(across, along)


def _inside(distance: NDArray[np.float64], steepness: float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(np.clip((distance - 1) * steepness, -50, 50))))


def _texture(rng: np.random.Generator, size: int) -> _Image:
    """Chromatin and cytoplasm are uneven over a few pixels: a smooth factor of 1 ± 0.12."""
    grain = _blur(rng.standard_normal((size, size), dtype=np.float32), 2.0)
    return np.asarray(np.clip(1 + 0.12 * grain / max(float(grain.std()), 1e-6), 0.5, 1.5), dtype=np.float32)


def _illumination(size: int, channel: int) -> _Image:
    """A smooth fall-off around an optical axis near the centre; the same in every field of a channel."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / max(1, size - 1)
    squared = (y - 0.45 - 0.03 * channel) ** 2 + (x - 0.56 + 0.05 * channel) ** 2
    return np.asarray(1 - VIGNETTING * squared / 0.6, dtype=np.float32)


def _blur(image: _Image, sigma: float) -> _Image:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, sigma, truncate=3.0), dtype=np.float32)
