"""Position and shape of objects: the features of category AreaShape, and the centre."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from wellfield.processing.convex_hull import hull_features
from wellfield.processing.label_table import ALL_SIDES, NEIGHBOURS, ObjectPixels

_Array = np.ndarray[Any, np.dtype[Any]]


def shape_features(pixels: ObjectPixels) -> dict[str, _Array]:
    """Measure position, size and shape of each object.

    Parameters
    ----------
    pixels:
        The objects.

    Returns
    -------
    For each feature one number per object: int64 if marked *whole*, else float64. Lengths and areas are in pixels; x
    counts columns and y rows, from 0 at the centre of the first pixel. Values equal those of scikit-image's regionprops
    (its names are in brackets), except *FormFactor*, *Orientation*, and *Eccentricity* of a single pixel.

    ``AreaShape_Area`` (area)
        Pixels, whole.
    ``AreaShape_BoundingBoxMinimum_X``, ``…_Y``, ``AreaShape_BoundingBoxMaximum_X``, ``…_Y`` (bbox)
        First column and row, and the column and row after the last, whole.
    ``AreaShape_BoundingBoxArea`` (area_bbox), ``AreaShape_Extent`` (extent)
        Area of the bounding box, whole; area / area of the bounding box.
    ``AreaShape_ConvexArea`` (area_convex), ``AreaShape_Solidity`` (solidity)
        Pixels whose centre lies in the convex hull of the midpoints of the sides of all pixels, whole; area / convex
        area.
    ``AreaShape_FilledArea`` (area_filled)
        Pixels including holes, whole; background that is connected to the outside by a corner is not a hole.
    ``AreaShape_EulerNumber`` (euler_number)
        Parts minus holes, whole; pixels that touch by a corner are one part.
    ``AreaShape_Perimeter`` (perimeter), ``AreaShape_FormFactor``
        Length of the line through the centres of the border pixels (those with a side outside): 1 for a straight step,
        √2 for a diagonal one, (1 + √2)/2 between the two (Benkrid and Crookes). FormFactor is 4 π area / perimeter²;
        NaN if the perimeter is 0.
    ``AreaShape_CroftonPerimeter`` (perimeter_crofton)
        Perimeter by Crofton's formula, from the crossings of lines in four directions; less biased for small objects.
    ``AreaShape_EquivalentDiameter`` (equivalent_diameter_area)
        Diameter of a circle of the same area, √(4 area / π).
    ``AreaShape_MajorAxisLength``, ``AreaShape_MinorAxisLength`` (axis_major_length, axis_minor_length)
        Axes of the ellipse with the same second moments: 4 √λ, *λ* the eigenvalues of the covariance of the pixels' x
        and y.
    ``AreaShape_Eccentricity`` (eccentricity)
        Eccentricity of that ellipse, √(1 − λ₂ / λ₁): 0 for a circle, 1 for a line; NaN for a single pixel.
    ``AreaShape_Orientation`` (orientation)
        Angle from the y axis to the major axis, −90 to 90 degrees, positive towards rising x; NaN if both axes are
        equal.
    ``AreaShape_MaxFeretDiameter`` (feret_diameter_max)
        Largest distance between two points on the outline of the convex hull's pixels.
    ``AreaShape_HuMoment_0`` to ``…_6`` (moments_hu)
        Hu's moments; shifting, rotating or scaling an object does not change them (mirroring flips the last one's
        sign).
    ``Location_Center_X``, ``Location_Center_Y`` (centroid)
        Mean x and y of the pixels.

    Notes
    -----
    Benkrid, K., Crookes, D., Design and FPGA implementation of a perimeter estimator, Queen's University of Belfast.
    Ohser, J., Nagel, W., Schladitz, K. (2002), Lect. Notes Phys. 600, 275–298 (Euler number). Hu, M.-K. (1962), IRE
    Trans. Inf. Theory 8, 179–187.

    Names: CellProfiler, MeasureObjectSizeShape, and for what it lacks (CroftonPerimeter, FilledArea) those of
    regionprops before version 0.16. CellProfiler's own Feret diameters and convex hulls join the centres of pixels:
    diameters are about a pixel shorter, solidities about 0.02 higher; version 4.0 gives orientations in radians.
    """
    area = pixels.areas
    features: dict[str, _Array] = {"AreaShape_Area": area}
    features |= _bounding_box(pixels)
    features |= _outline(pixels)
    features["AreaShape_EquivalentDiameter"] = np.sqrt(4 * area / np.pi)
    features |= _moments(pixels)
    features |= hull_features(pixels)
    features["AreaShape_FilledArea"] = _filled_area(pixels, features)
    features["AreaShape_Extent"] = area / features["AreaShape_BoundingBoxArea"]
    features["AreaShape_Solidity"] = area / features["AreaShape_ConvexArea"]
    features["Location_Center_X"] = pixels.total(pixels.x) / area
    features["Location_Center_Y"] = pixels.total(pixels.y) / area
    return features


def _bounding_box(pixels: ObjectPixels) -> dict[str, _Array]:
    x, y = pixels.x[pixels.by_object], pixels.y[pixels.by_object]
    left, right = np.minimum.reduceat(x, pixels.starts), np.maximum.reduceat(x, pixels.starts) + 1
    # Pixels of an object are in row order: the first is at the top, the last at the bottom.
    top, bottom = y[pixels.starts], y[pixels.starts + pixels.areas - 1] + 1
    return {
        "AreaShape_BoundingBoxArea": (right - left) * (bottom - top),
        "AreaShape_BoundingBoxMinimum_X": left,
        "AreaShape_BoundingBoxMaximum_X": right,
        "AreaShape_BoundingBoxMinimum_Y": top,
        "AreaShape_BoundingBoxMaximum_Y": bottom,
    }


# --- outlines: each pixel adds a part that depends on its neighbours ----------------------------------------------


def _outline(pixels: ObjectPixels) -> dict[str, _Array]:
    euler, crofton = _square_tables()
    edge = pixels.edge
    perimeter = edge.total(_step_table()[edge.neighbours])
    with np.errstate(divide="ignore"):
        form = np.where(perimeter > 0, 4 * np.pi * pixels.areas / perimeter**2, np.nan)
    return {
        "AreaShape_Perimeter": perimeter,
        "AreaShape_CroftonPerimeter": pixels.total(crofton[pixels.neighbours]),
        "AreaShape_FormFactor": form,
        "AreaShape_EulerNumber": pixels.total(euler[pixels.neighbours]).astype(np.int64),
    }


@cache
def _step_table() -> _Array:
    """Return the length that a border pixel adds to the outline, for each pattern of border pixels around it."""
    straight, diagonal = 1.0, np.sqrt(2)
    # Keys: how many of the neighbours share a side with the pixel, and how many only a corner.
    lengths = {(sides, corners): straight for sides in (2, 3) for corners in (0, 1, 2)}
    lengths |= {(0, 2): diagonal, (1, 3): diagonal}
    lengths |= {(1, corners): (straight + diagonal) / 2 for corners in (1, 2)}
    around = [((pattern & ALL_SIDES).bit_count(), (pattern >> 4).bit_count()) for pattern in range(256)]
    return np.array([lengths.get(found, 0.0) for found in around])


@cache
def _square_tables() -> tuple[_Array, _Array]:
    """Return what a pixel adds to Euler number and Crofton perimeter, for each pattern of its neighbours.

    Both features sum a weight over all squares of 2 × 2 pixels. The weight depends on which of the four pixels are in
    the object: bit 1 lower right, 2 upper right, 4 lower left, 8 upper left. The object's pixel with the lowest bit
    counts the square.
    """
    straight, diagonal = np.pi / 4, np.pi / (4 * np.sqrt(2))
    turn, both = straight + diagonal, 2 * diagonal
    euler_weights = [0, 0, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0, 0, -1, 0]
    crofton_weights = [
        *(0, turn, diagonal, both, 0, turn, 0, diagonal),
        *(straight, 2 * straight, diagonal, diagonal, straight, 2 * straight, 0, 0),
    ]
    offsets = {1: (0, 0), 2: (-1, 0), 4: (0, -1), 8: (-1, -1)}
    euler, crofton = np.zeros(256), np.zeros(256)
    for pattern in range(256):
        members = {(0, 0)} | {step for bit, step in enumerate(NEIGHBOURS) if pattern >> bit & 1}
        for role, (y, x) in offsets.items():
            square = sum(bit for bit, (dy, dx) in offsets.items() if (dy - y, dx - x) in members)
            if square & -square == role:
                euler[pattern] += euler_weights[square]
                crofton[pattern] += crofton_weights[square]
    return euler, crofton


# --- moments -----------------------------------------------------------------------------------------------------


def _moments(pixels: ObjectPixels) -> dict[str, _Array]:
    area = pixels.areas.astype(np.float64)
    central = _central_moments(pixels)
    xx, yy, xy = central[0, 2], central[2, 0], central[1, 1]
    half = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    large, small = (xx + yy + half) / 2, np.maximum(xx + yy - half, 0) / 2
    with np.errstate(invalid="ignore"):
        eccentricity = np.sqrt(1 - small / large)
    angle = np.degrees(np.arctan2(2 * xy, yy - xx)) / 2
    features = {
        "AreaShape_MajorAxisLength": 4 * np.sqrt(large / area),
        "AreaShape_MinorAxisLength": 4 * np.sqrt(small / area),
        "AreaShape_Eccentricity": eccentricity,
        "AreaShape_Orientation": np.where(half > 0, angle, np.nan),
    }
    from skimage.measure import moments_hu

    normalized = np.zeros((len(pixels), 4, 4))
    for (p, q), moment in central.items():
        normalized[:, p, q] = moment / area ** ((p + q) / 2 + 1)
    hu = np.array([moments_hu(matrix) for matrix in normalized]).reshape(-1, 7)  # type: ignore[no-untyped-call]
    return features | {f"AreaShape_HuMoment_{number}": column for number, column in enumerate(hu.T)}


def _central_moments(pixels: ObjectPixels) -> dict[tuple[int, int], _Array]:
    """Return Σ (y − mean y)ᵖ (x − mean x)^q for p + q of 2 and 3.

    Coordinates are first summed as whole numbers, relative to the pixel at the mean. These sums are exact: an object
    has the same moments at every position, and a square or a disk has exactly equal moments along x and y.
    """
    area = pixels.areas.astype(np.float64)
    dy, dx = (
        (places - (pixels.total(places) // area)[pixels.index]).astype(np.float64) for places in (pixels.y, pixels.x)
    )
    raw = {(p, q): pixels.total(dy**p * dx**q) for p in range(4) for q in range(4 - p)}
    y, x = raw[1, 0] / area, raw[0, 1] / area
    return {
        (2, 0): (area * raw[2, 0] - raw[1, 0] ** 2) / area,
        (1, 1): (area * raw[1, 1] - raw[1, 0] * raw[0, 1]) / area,
        (0, 2): (area * raw[0, 2] - raw[0, 1] ** 2) / area,
        (3, 0): raw[3, 0] - 3 * y * raw[2, 0] + 2 * y**2 * raw[1, 0],
        (2, 1): raw[2, 1] - 2 * y * raw[1, 1] - x * raw[2, 0] + 2 * y**2 * raw[0, 1],
        (1, 2): raw[1, 2] - 2 * x * raw[1, 1] - y * raw[0, 2] + 2 * x**2 * raw[1, 0],
        (0, 3): raw[0, 3] - 3 * x * raw[0, 2] + 2 * x**2 * raw[0, 1],
    }


# --- holes -------------------------------------------------------------------------------------------------------


def _filled_area(pixels: ObjectPixels, shape: dict[str, _Array]) -> _Array:
    """Return the area of each object including its holes; only objects with holes are filled, one by one."""
    from scipy import ndimage
    from skimage.measure import label

    numbered, filled = pixels.numbered(), pixels.areas.copy()
    connected = label(numbered, connectivity=2).reshape(-1)[pixels.positions]  # type: ignore[no-untyped-call]
    _, first = np.unique(connected, return_index=True)
    parts = np.bincount(pixels.index[first], minlength=len(pixels))
    for number in np.flatnonzero(parts > shape["AreaShape_EulerNumber"]):
        top, bottom, left, right = (
            shape[f"AreaShape_BoundingBox{end}_{axis}"][number] for axis in "YX" for end in ("Minimum", "Maximum")
        )
        mask = numbered[top:bottom, left:right] == number + 1
        filled[number] = np.count_nonzero(ndimage.binary_fill_holes(mask, np.ones((3, 3))))
    return filled
