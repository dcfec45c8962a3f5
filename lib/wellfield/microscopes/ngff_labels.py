"""Label images of an OME-Zarr store: channels of their own, ``labels/<name>``, that a pipeline may take.

Programs such as zarr-python do not write chunks without an object, so an absent chunk is background. Wellfield writes
all chunks: in its own labels, an absent plane was never made.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from wellfield.microscopes.ngff import check_dimension_names
from wellfield.microscopes.ngff_images import FieldImage
from wellfield.microscopes.ngff_store import NgffStore
from wellfield.microscopes.parsed_plate import ParsedPlate

LABELS = "labels"


def label_images(store: NgffStore, images: Sequence[FieldImage], contents: ParsedPlate) -> list[tuple[FieldImage, str]]:
    """Return the label images that the images' groups list, each with its name.

    Only those are taken that have the height and width of their image, whole numbers for pixels, and no channels of
    their own; the others are noted.
    """
    found: list[tuple[FieldImage, str]] = []
    unusable: defaultdict[str, list[str]] = defaultdict(list)
    scaled: list[str] = []
    for image in images:
        group = "/".join(part for part in (image.path, LABELS) if part)
        attributes = store.attributes(group)
        listed = attributes.get(LABELS) if attributes is not None else None
        for name in dict.fromkeys(listed.each(lambda item: item.path())) if listed is not None else ():
            label = FieldImage(f"{group}/{name}", image.well, image.number, image.record)
            problem = _describe(store, label, image)
            if not problem and _is_scaled_otherwise(store, label):
                scaled.append(label.path)
            if problem:
                unusable[problem].append(label.path)
            else:
                found.append((label, name))
    for problem, paths in unusable.items():
        contents.notes.append(f"{len(paths)} label images, such as {paths[0]}, {problem}, and are left out")
    if scaled:
        contents.notes.append(
            f"{len(scaled)} label images, such as {scaled[0]}, state another pixel size than their image; "
            "the image's is used"
        )
    return found


def _is_scaled_otherwise(store: NgffStore, label: FieldImage) -> bool:
    """Tell whether a label image states another pixel size than its image."""
    stated, taken = store.image(label.path), label.metadata.pixel_size_um
    size = stated.pixel_size_um if stated is not None else None
    return size is not None and taken is not None and not math.isclose(size, taken, rel_tol=1e-3)


def number_labels(labels: Sequence[tuple[FieldImage, str]], contents: ParsedPlate) -> dict[str, int]:
    """Return the channel number of each name, after those of the images, and add the channels to *contents*."""
    first = max(contents.plate.channels, default=0) + 1
    numbers = {name: number for number, name in enumerate(sorted({name for _, name in labels}), start=first)}
    channels = {**contents.plate.channels, **{number: f"{LABELS}/{name}" for name, number in numbers.items()}}
    contents.plate = replace(contents.plate, channels=channels, label_channels=tuple(numbers.values()))
    return numbers


def _describe(store: NgffStore, label: FieldImage, image: FieldImage) -> str | None:
    """Fill in metadata and layout of a label image, or say why it cannot be used.

    It gets the sizes of its image, whatever its own scale says: many programs write labels without one.
    """
    metadata = store.image(label.path)
    layout = store.layout("/".join((label.path, metadata.levels[0]))) if metadata is not None else None
    if metadata is None or layout is None:
        return "are listed and not there"
    if len(layout.shape) != len(metadata.axes) or layout.shape[-2:] != image.layout.shape[-2:]:
        return "have another size than their image"
    check_dimension_names(layout.dimension_names, metadata, array=store.path(f"{label.path}/{metadata.levels[0]}"))
    if not layout.dtype.startswith(("uint", "int")):
        return f"are {layout.dtype}, not whole numbers"
    if dict(zip(metadata.axes, layout.shape, strict=True)).get("c", 1) != 1:
        return "have channels of their own"
    own = image.metadata
    label.metadata = replace(
        metadata, pixel_size_um=own.pixel_size_um, z_spacing_um=own.z_spacing_um, origin_um=own.origin_um
    )
    label.layout = layout
    is_own = label.record is not None and label.path.rpartition("/")[2] in label.record.labels
    label.sparse = not is_own and layout.fill == 0
    return None
