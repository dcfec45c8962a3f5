"""Segment objects: threshold, opening, connected components, separation of touching nuclei.

Masks and labels have different dtypes: a mask is ``bool``, labels are ``int32`` with 0 as background.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wellfield.errors import ConfigError
from wellfield.memory import numpy
from wellfield.processing import otsu, validation
from wellfield.processing.footprints import disk
from wellfield.processing.function_registry import ImageKind, register

_Array = np.ndarray[Any, np.dtype[Any]]

# Fixed cost of one distance map, in pixels: so many more pixels would take as long.
_BOX_PIXELS = 500


@register(returns=ImageKind.MASK, accepts=(ImageKind.INTENSITY,))
@numpy
def threshold_otsu(
    image: _Array,
    *,
    correction: float = 1.0,
    minimum: float | None = None,
    min_contrast: float = 2.8,
    volumetric: bool = False,
) -> _Array:
    """Find the foreground: pixels above Otsu's threshold.

    Parameters
    ----------
    image:
        ``[Z, Y, X]``, any integer or floating dtype, in any units. Smoothed images give cleaner masks; a single hot
        pixel can shift the threshold; ``median_filter`` removes it.
    correction:
        Factor on the threshold's height above the mean of the background; below 1 includes dimmer pixels. A constant
        camera offset does not change the mask.
    minimum:
        Least threshold, in the units of *image*. Set it where the brightness of true objects is known.
    min_contrast:
        Least distance between the means of foreground and background, in standard deviations within the classes; a
        plane with less has no foreground. Otsu's method halves pure noise, whose contrast is 2.65 (any Gaussian);
        nuclei reach 3.2 and more. 0 never empties a plane.
    volumetric:
        One threshold for the whole stack instead of one per plane.

    Returns
    -------
    ``[Z, Y, X]``, bool. A plane of one value gives an empty mask.

    Raises
    ------
    ConfigError
        *correction* or *min_contrast* is negative.
    PipelineError
        *image* is not an intensity image, or has NaN or infinite pixels.

    Notes
    -----
    Otsu, N. (1979), IEEE Trans. Syst. Man Cybern. 9, 62–66. The histogram has one bin per value for integers (if they
    spread over more than 65536 values, up to 65536 bins), 4096 bins from the darkest to the brightest pixel for floats.
    """
    validation.require_otsu_parameters(correction, min_contrast)
    validation.require_intensity(image.dtype.kind in "iuf", image.dtype, "threshold_otsu")
    if image.dtype.kind == "f":
        validation.require_finite(image.size - int(np.count_nonzero(np.isfinite(image))), image.size, "threshold_otsu")
    if not image.size:
        return np.zeros(image.shape, bool)
    pixels = image.astype(np.float32) if image.dtype == np.float16 else image
    thresholds = otsu.find_thresholds(
        pixels.min(axis=(1, 2)),
        pixels.max(axis=(1, 2)),
        lambda z, bins: np.bincount(otsu.bin_numbers(pixels[z], bins).ravel(), minlength=bins.count),
        correction=correction,
        minimum=minimum,
        min_contrast=min_contrast,
        volumetric=volumetric,
    )
    mask: _Array = pixels > thresholds[:, None, None]
    return mask


@register(returns=ImageKind.MASK, accepts=(ImageKind.MASK,))
@numpy
def binary_opening(mask: _Array, *, footprint: _Array | None = None) -> _Array:
    """Remove what is smaller than a neighbourhood from a mask: specks, threads and thin bridges between objects.

    What is left is covered by shifted copies of the neighbourhood that lie wholly inside the mask.

    Parameters
    ----------
    mask:
        ``[Z, Y, X]``, bool.
    footprint:
        The neighbourhood, ``[Y, X]`` to go plane by plane or ``[Z, Y, X]`` to go through the stack as a volume;
        everything but 0 belongs to it. By default a disk of radius 1: the pixel and its four neighbours.

    Returns
    -------
    ``[Z, Y, X]``, bool; never a pixel that *mask* lacks. Copies may reach beyond the edge of the image by up to half
    of their size, as with ``skimage.morphology.opening(…, mode="ignore")``, so that objects at the edge stay.

    Raises
    ------
    ConfigError
        *footprint* is not 2-D or 3-D, or is empty.
    PipelineError
        *mask* is not bool.

    Notes
    -----
    Serra, J. (1982), Image Analysis and Mathematical Morphology, Academic Press, chapter 2.
    """
    validation.require_mask(mask.dtype == np.bool_, mask.dtype, "binary_opening")
    neighbourhood = disk(1) if footprint is None else np.asarray(footprint).astype(bool)
    if neighbourhood.ndim not in (2, 3) or not neighbourhood.any():
        raise ConfigError(
            f"binary_opening: footprint has shape {list(neighbourhood.shape)} and {np.count_nonzero(neighbourhood)} "
            "pixels; expected [Y, X] or [Z, Y, X] with at least one"
        )
    if not mask.size:
        return mask.copy()
    from skimage.morphology import opening

    if neighbourhood.ndim == 3:
        opened: _Array = opening(mask, neighbourhood, mode="ignore")
        return opened
    result = np.empty_like(mask, order="C")
    for plane, out in zip(mask, result, strict=True):
        out[...] = opening(plane, neighbourhood, mode="ignore")
    return result


@register(returns=ImageKind.LABELS, accepts=(ImageKind.LABELS,))
@numpy
def stored_labels(labels: _Array) -> _Array:
    """Use labels that came with the plate, such as those of an OME-Zarr store, unchanged.

    Parameters
    ----------
    labels:
        ``[Z, Y, X]``, integers: a step names the channel that holds them (``channels: [labels/nuclei]``).

    Returns
    -------
    *labels*, untouched.
    """
    return labels


@register(returns=ImageKind.LABELS, accepts=(ImageKind.MASK,))
@numpy
def label(mask: _Array, *, connectivity: int | None = None, min_area: int = 0, volumetric: bool = False) -> _Array:
    """Number the connected regions of a mask.

    Parameters
    ----------
    mask:
        ``[Z, Y, X]``, bool.
    connectivity:
        Which pixels belong together: 1, those that touch by a side; 2, by a corner too (of voxels, by an edge); 3, if
        *volumetric*, by a corner too. By default all that touch.
    min_area:
        Regions of fewer pixels (voxels, if *volumetric*) are dropped.
    volumetric:
        Connect planes; otherwise each plane is numbered by itself.

    Returns
    -------
    ``[Z, Y, X]``, int32: 0 is background, regions are 1, 2, … without gaps, per plane or, if *volumetric*, per
    stack.

    Raises
    ------
    ConfigError
        *connectivity* is not 1 or 2, nor 3 with *volumetric*.
    PipelineError
        *mask* is not bool.
    """
    validation.require_mask(mask.dtype == np.bool_, mask.dtype, "label")
    reach = label_connectivity(connectivity, volumetric=volumetric)
    result: _Array = np.zeros(mask.shape, np.int32)
    for part, out in [(mask, result)] if volumetric else zip(mask, result, strict=True):
        out[...] = _keep(_components(part, reach), min_area=min_area)
    return result


def label_connectivity(connectivity: int | None, *, volumetric: bool) -> int:
    """Return the connectivity of :func:`label`: the number of axes along which two neighbours may differ.

    Raises
    ------
    ConfigError
        *connectivity* is not 1 or 2, nor 3 with *volumetric*.
    """
    full = 3 if volumetric else 2
    if connectivity is None:
        return full
    if not 1 <= connectivity <= full:
        hint = "" if volumetric else " (3 with volumetric: true)"
        raise ConfigError(f"label: connectivity={connectivity}; expected 1 to {full}{hint}")
    return connectivity


@register(returns=ImageKind.LABELS, accepts=(ImageKind.MASK,))
@numpy
def split_touching(
    mask: _Array,
    *,
    min_distance: int = 4,
    smoothing: float = 1.0,
    min_area: int = 30,
    max_hole_area: int = 30,
    exclude_border: bool = False,
) -> _Array:
    """Number the objects of a mask and split those that touch, plane by plane, by a watershed on their distance map.

    Every connected region gets a seed at each maximum of its smoothed distance to the background; from there the
    objects grow until they meet at the necks. The defaults suit nuclei of 10 to 40 pixels across.

    Parameters
    ----------
    mask:
        ``[Z, Y, X]``, bool.
    min_distance:
        Seeds of one region are more than this many pixels apart (along y or x). Raise it when single objects are
        cut, to about half the radius of the smallest nucleus.
    smoothing:
        Standard deviation in pixels of the Gaussian that smooths the distance map: rough outlines make no extra seeds.
    min_area:
        Objects of fewer pixels are dropped.
    max_hole_area:
        Enclosed holes of up to this many pixels are filled first: a dark spot inside a nucleus would split it.
    exclude_border:
        Drop objects that touch the edge of the plane.

    Returns
    -------
    ``[Z, Y, X]``, int32: 0 is background, the objects of each plane are 1, 2, … without gaps.

    Raises
    ------
    ConfigError
        *min_distance* is below 1 or *smoothing* is negative.
    PipelineError
        *mask* is not bool.

    Notes
    -----
    Seeds by distance: Malpica, N. et al. (1997), Cytometry 28, 289–297.
    """
    validation.require_mask(mask.dtype == np.bool_, mask.dtype, "split_touching")
    if min_distance < 1:
        raise ConfigError(f"split_touching: min_distance={min_distance}; expected at least 1 pixel")
    if not smoothing >= 0:
        raise ConfigError(f"split_touching: smoothing={smoothing}; expected 0 or more pixels")
    result: _Array = np.zeros(mask.shape, np.int32)
    for plane, out in zip(mask, result, strict=True):
        filled = _fill_holes(plane, max_area=max_hole_area)
        objects = _watershed(filled, min_distance=min_distance, smoothing=smoothing)
        out[...] = _keep(objects, min_area=min_area, exclude_border=exclude_border)
    return result


def _components(mask: _Array, connectivity: int) -> _Array:
    from scipy import ndimage

    components: _Array = np.empty(mask.shape, np.int32)
    ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, connectivity), output=components)
    return components


def _fill_holes(mask: _Array, *, max_area: int) -> _Array:
    """Return *mask* with its enclosed holes of up to *max_area* pixels filled."""
    if max_area < 1:
        return mask
    from scipy import ndimage

    # Holes are connected by sides only, because objects are connected by corners too.
    holes, _ = ndimage.label(~mask)
    fill = np.bincount(holes.ravel()) <= max_area
    fill[:1] = False
    fill[_edge_ids(holes)] = False
    filled: _Array = mask | fill[holes]
    return filled


def _watershed(mask: _Array, *, min_distance: int, smoothing: float) -> _Array:
    """Return the objects of one plane, each region of *mask* split at its necks."""
    components = _components(mask, mask.ndim)
    if not mask.any() or mask.all():  # without objects nothing to split; without background no distance to it
        return components
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    distance = _distance(mask, components)
    if smoothing:
        distance = ndimage.gaussian_filter(distance, smoothing)
    # Peaks are searched region by region, so that no neighbour hides a seed. Peaks of any height count: smoothing
    # makes those of specks very low.
    found = peak_local_max(  # type: ignore[no-untyped-call]
        distance, min_distance=min_distance, threshold_abs=-1, labels=components, exclude_border=False
    )
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(found.T)] = np.arange(1, len(found) + 1)
    objects: _Array = watershed(-distance, seeds, connectivity=2, mask=mask)  # type: ignore[no-untyped-call]
    return objects


def _distance(mask: _Array, components: _Array) -> _Array:
    """Return the distance of each pixel of *mask* to the nearest background pixel (there is at least one); float64.

    The nearest background pixel of any pixel in a region touches that region, by a side or a corner. So the region's
    bounding box, one pixel wider, gives the same distances as the whole plane, and the space between regions is free.
    """
    from scipy import ndimage

    # Many specks, or overlapping boxes, take longer one by one than the whole plane at once.
    if components.max() * _BOX_PIXELS <= mask.size:
        found = ndimage.find_objects(components)
        boxes = [tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box) for box in found]
        if sum(components[box].size + _BOX_PIXELS for box in boxes) <= mask.size:
            distance: _Array = np.zeros(mask.shape)
            for number, box in enumerate(boxes, start=1):
                own = components[box] == number
                np.copyto(distance[box], ndimage.distance_transform_edt(mask[box]), where=own)
            return distance
    whole: _Array = ndimage.distance_transform_edt(mask)
    return whole


def _keep(labels: _Array, *, min_area: int, exclude_border: bool = False) -> _Array:
    """Return *labels* without small objects (and those at the edge), renumbered 1, 2, … in the old order."""
    areas = np.bincount(labels.ravel())
    keep = areas >= max(min_area, 1)
    keep[:1] = False
    if exclude_border:
        keep[_edge_ids(labels)] = False
    numbers = np.zeros(keep.size, np.int32)
    numbers[keep] = np.arange(1, np.count_nonzero(keep) + 1)
    return numbers[labels]


def _edge_ids(labels: _Array) -> _Array:
    """Return the ids on the edge of one plane."""
    ids: _Array = np.concatenate([labels[:1], labels[-1:], labels[:, :1].T, labels[:, -1:].T], axis=None)
    return ids
