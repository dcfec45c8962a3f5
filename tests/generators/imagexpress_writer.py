"""Writes plates in the layouts of the ImageXpress, with the vendor's habits that trip readers.

A frozen :class:`~tests.generators.imagexpress_plate.ImageXpressPlate` says what a plate looks like;
:func:`write_imagexpress` writes it with the pixels of a function and returns what each file truly is. Every byte of an
image follows from the description and the pixels, so that the same well comes out the same whichever other wells are
written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.generators.imagexpress_plate import ImageFile, ImageXpressPlate, Style, Wave
from tests.generators.metaseries_deflated import encode_deflated
from wellfield.errors import ArrayShapeError
from wellfield.example.guids import make_guid
from wellfield.example.metaseries_tiff import PlaneTags, encode_metaseries
from wellfield.plate.keys import PlaneKey, Projection
from wellfield.plate.wells import split_well

__all__ = ["ImageFile", "ImageXpressPlate", "Style", "Wave", "plane_tags", "write_imagexpress"]

_STARTED = datetime(2024, 1, 15, 9, 0, 0)
_THUMBNAIL_STEP = 8


def write_imagexpress(
    folder: str | os.PathLike[str],
    plate: ImageXpressPlate,
    planes: Callable[[PlaneKey], NDArray[np.uint16]],
) -> list[ImageFile]:
    """Write a plate below *folder* and return its images.

    Parameters
    ----------
    folder:
        Where the folder of the plate comes to lie.
    plate:
        What to write.
    planes:
        Gives the pixels of a z plane, ``[Y, X]`` uint16 of the plate's size. It is asked field by field, all channels
        of one timepoint together. Maximum projections are made from its planes, other projections are the middle plane.

    Raises
    ------
    ArrayShapeError
        The function gave an array of another size or dtype.
    """
    for inner in plate.folders():
        Path(folder, inner).mkdir(parents=True, exist_ok=True)
    for index in plate.index_files(folder):
        index.write_bytes(plate.htd_bytes())

    files, originals, fillers = list(plate.files(folder)), dict[PlaneKey, Path](), list[ImageFile]()
    pixels, last = np.empty(0, np.uint16), None
    copied = {file.key for file in files if file.filler}
    encode = encode_deflated if plate.style is Style.DATABASE else encode_metaseries
    for file in files:
        if file.filler:
            fillers.append(file)
            continue
        if file.key != last:
            pixels, last = _pixels(plate, file.key, planes), file.key
        shown = np.ascontiguousarray(pixels[::_THUMBNAIL_STEP, ::_THUMBNAIL_STEP]) if file.thumbnail else pixels
        tags = plane_tags(plate, file.key, thumbnail=file.thumbnail)
        with open(file.path, "wb", buffering=0) as target:  # a buffer costs more than these files
            target.write(encode(shown, tags))
        if file.key in copied and not file.thumbnail:
            originals[file.key] = file.path
    for file in fillers:
        file.path.write_bytes(originals[file.key].read_bytes())
    return files


def _pixels(
    plate: ImageXpressPlate, key: PlaneKey, planes: Callable[[PlaneKey], NDArray[np.uint16]]
) -> NDArray[np.uint16]:
    steps = max(1, plate.z_steps)
    if key.projection is Projection.NONE:
        wanted = [key.z]
    elif key.projection is Projection.MAX:
        wanted = list(range(1, steps + 1))
    else:
        wanted = [(steps + 1) // 2]
    stack = [planes(key._replace(z=z, projection=Projection.NONE)) for z in wanted]
    for plane in stack:
        if plane.shape != plate.size or plane.dtype != np.uint16:
            raise ArrayShapeError(f"{key}: expected uint16 of shape {plate.size}, got {plane.dtype} {plane.shape}")
    return stack[0] if len(stack) == 1 else np.maximum.reduce(stack)


def plane_tags(plate: ImageXpressPlate, key: PlaneKey, *, thumbnail: bool = False) -> PlaneTags:
    """Return the metadata of a plane."""
    wave, (row, column) = plate.waves[key.channel - 1], plate.sites[key.field - 1]
    (centre_x, centre_y), (offset_x, offset_y) = plate.well_centre(key.well), plate.field_offset(key.field)
    well_row, well_column = split_well(key.well)
    seconds = 20.0 * (well_row * plate.plate_columns + well_column) + 3.0 * key.field + 0.5 * key.channel
    custom: tuple[tuple[str, str | float], ...] = ()
    if plate.timepoints > 1:
        custom += (("Timepoint", key.timepoint),)
    if key.projection is not Projection.NONE:
        custom += (
            ("Z Projection Method", wave.projection or ""),
            ("Z Projection Step Size", plate.z_spacing_um),
            ("Z Thickness", plate.z_spacing_um * max(0, plate.z_steps - 1)),
        )
    elif plate.z_steps > 0:
        custom += (("Z Step", key.z),)
    description = f"Plate Name: {plate.name}\r\nExposure: 100 ms\r\nSoftware Version: MetaXpress 6.7.0.211"
    return PlaneTags(
        description="thumbnail image" if thumbnail else description,
        image_name="HTSThumbHTS" if thumbnail else wave.name,
        wave=wave.name,
        emission_nm=wave.emission_nm,
        label=f"{key.well} : Site {key.field}",
        taken=_STARTED + timedelta(seconds=seconds + 0.1 * key.z, hours=key.timepoint - 1),
        guid=make_guid(plate.seed, f"{plate.name} {key} {thumbnail}"),
        pixel_size_um=plate.pixel_size_um * (_THUMBNAIL_STEP if thumbnail else 1),
        stage_x_um=centre_x + offset_x,
        stage_y_um=centre_y + offset_y,
        stage_z_um=plate.focus(key),
        offset_x_um=offset_x,
        offset_y_um=offset_y,
        site_x=column + 1,
        site_y=row + 1,
        custom=custom,
    )
