"""Regions back to labels, by scikit-image: pixels whose centre is inside an odd number of outlines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from roifile import ImagejRoi
from skimage.draw import polygon


def fill(roi: ImagejRoi) -> np.ndarray[Any, Any]:
    """Return the mask of a region's box."""
    mask = np.zeros((roi.bottom - roi.top, roi.right - roi.left), bool)
    for points in roi.coordinates(multi=True):
        columns, rows = np.asarray(points, float).T
        mask[polygon(rows - roi.top - 0.5, columns - roi.left - 0.5, mask.shape)] ^= True
    return mask


def draw(rois: Iterable[ImagejRoi], like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the labels that regions came from; no pixel may be in two of them."""
    labels = np.zeros_like(like)
    for roi in rois:
        plane = labels if labels.ndim == 2 else labels[roi.z_position - 1]
        box, mask = plane[roi.top : roi.bottom, roi.left : roi.right], fill(roi)
        assert not box[mask].any(), f"region {roi.name} overlaps another"
        box[mask] = int(roi.name)
    return labels
