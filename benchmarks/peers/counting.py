"""Counting nuclei as a laboratory would write it: the functions that every framework of the benchmark runs.

They need numpy, scipy and scikit-image only, so that they are imported in each framework's own environment, and give
the same objects in all of them.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

SIGMA_PX = 2.0
PEAKS_APART_PX = 7


def project(stack: np.ndarray) -> np.ndarray:
    """Return the maximum projection [1, Y, X] of [Z, Y, X]."""
    return stack.max(axis=0, keepdims=True)


def segment(image: np.ndarray) -> np.ndarray:
    """Return the nuclei of [1, Y, X] as labels, int32; touching ones are split where they are narrow."""
    smooth = ndimage.gaussian_filter(image[0], SIGMA_PX, output=np.float32)
    mask = smooth > threshold_otsu(smooth)
    del smooth
    depth = ndimage.distance_transform_edt(mask).astype(np.float32)
    peaks = peak_local_max(depth, min_distance=PEAKS_APART_PX, exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(np.negative(depth, out=depth), markers, mask=mask)
    return labels.astype(np.int32, copy=False)[np.newaxis]


def measure(labels: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return a table of the objects of labels [1, Y, X] in intensities [C, Y, X]: columns of one value per object."""
    places = np.flatnonzero(labels[0])
    owners = labels[0].ravel()[places]
    areas = np.bincount(owners)
    present = np.flatnonzero(areas)
    areas = areas[present]

    def totals(values: np.ndarray) -> np.ndarray:
        return np.bincount(owners, weights=values)[present]

    rows, columns = np.divmod(places, labels.shape[2])
    table = {
        "label": present,
        "area": areas,
        "centroid_y": totals(rows) / areas,
        "centroid_x": totals(columns) / areas,
    }
    for number, image in enumerate(images, start=1):
        integrated = totals(image.ravel()[places])
        table[f"mean_{number}"] = integrated / areas
        table[f"integrated_{number}"] = integrated
    return table
