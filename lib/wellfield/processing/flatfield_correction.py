"""Illumination from the flat-field profiles that the microscope itself measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.errors import PipelineError
from wellfield.plate.flatfield import FlatfieldProfile, Polynomial
from wellfield.processing.illumination_model import Illumination

_Array = np.ndarray[Any, np.dtype[Any]]


def illumination_of_profile(profile: FlatfieldProfile, shape: tuple[int, int]) -> Illumination:
    """Return the illumination of a channel whose images have *shape*, from the microscope's own profile.

    The model is the one of Harmony's profiles: without signal an image shows ``level * background``; an even signal
    looks like ``foreground``. Both are polynomials over the pixels, with mean 1.

    Raises
    ------
    PipelineError
        The profile belongs to images of another size, or its flat field is not positive everywhere.
    """
    flatfield, background = evaluate(profile.foreground, shape), evaluate(profile.background, shape)
    if not flatfield.min() > 0:
        raise PipelineError(f"the microscope's flat field falls to {flatfield.min():.3g}; expected positive values")
    return Illumination(flatfield, profile.level * background if np.ptp(background) else profile.level)


def evaluate(polynomial: Polynomial, shape: tuple[int, int]) -> _Array:
    """Return a polynomial over the pixels of an image, float32, ``[Y, X]``.

    Raises
    ------
    PipelineError
        The polynomial belongs to images of another size.
    """
    if polynomial.shape not in (None, shape):
        raise PipelineError(
            f"the microscope's profile is of images of {polynomial.shape} pixels, the plate's have "
            f"{shape}; fit the illumination instead (illumination: fitted)"
        )
    (x_origin, y_origin), (x_scale, y_scale) = polynomial.origin, polynomial.scale
    u = (np.arange(shape[1]) - x_origin) * x_scale
    v = (np.arange(shape[0])[:, None] - y_origin) * y_scale
    image = np.zeros(shape)
    for degree, row in enumerate(polynomial.coefficients):
        for power, coefficient in enumerate(row):
            image += coefficient * u ** (degree - power) * v**power
    return image.astype(np.float32)
