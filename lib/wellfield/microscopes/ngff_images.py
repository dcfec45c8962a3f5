"""The images of an OME-Zarr store: which there are, which field each is, and where they disagree."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wellfield.errors import MetadataError
from wellfield.microscopes.contents import PlateContents
from wellfield.microscopes.ngff import ImageMetadata, ListedImage, read_acquisitions, read_images, read_wells
from wellfield.microscopes.ngff_store import NgffStore
from wellfield.storage.zarr.chunks import ArrayLayout
from wellfield.storage.zarr.record import WellRecord

_NUMBER = re.compile("0|[1-9][0-9]{0,5}")
SERIES = "OME"


@dataclass(slots=True)
class FieldImage:
    """An image of a well: one field, or the fields of an array that Wellfield wrote.

    *number* is the field's, of such an array the timepoint. In labels that are *sparse* a plane without chunks is
    background.
    """

    path: str
    well: str
    number: int
    record: WellRecord | None = None
    sparse: bool = False
    metadata: ImageMetadata = field(init=False)
    layout: ArrayLayout = field(init=False)

    @property
    def array(self) -> str:
        """Path of the array of the highest resolution in the store."""
        return "/".join(part for part in (self.path, self.metadata.levels[0]) if part)


def plate_images(store: NgffStore, contents: PlateContents) -> list[FieldImage]:
    """Return the images that a plate's wells list."""
    attributes = store.attributes("")
    assert attributes is not None
    plate = attributes["plate"]
    listed: list[tuple[str, str, list[ListedImage], WellRecord | None]] = []
    unusual: defaultdict[str, list[str]] = defaultdict(list)
    for well in read_wells(plate):
        if well.note:
            unusual[well.note].append(f"{well.path} ({well.name})")
        group = store.attributes(well.path)
        if group is None:
            contents.promised.setdefault("wells", []).append(well.path)
            continue
        listed.append((well.path, well.name, read_images(group["well"]), store.record(well.path)))
    for note, wells in unusual.items():
        contents.notes.append(f"{len(wells)} well{'s' * (len(wells) > 1)}, such as {wells[0]}: {note}")
    names = [image.path for _, _, images, _ in listed for image in images]
    are_numbers = all(_NUMBER.fullmatch(name) for name in names)
    first = 1 if are_numbers and "0" in names else 0
    if names and not are_numbers:
        contents.notes.append(
            f"images are not named by numbers but such as {names[0]}: fields have their positions in the wells' lists"
        )
    found: list[FieldImage] = []
    acquisitions: defaultdict[int | None, set[int]] = defaultdict(set)
    for path, name, images, record in listed:
        for position, image in enumerate(images, start=1):
            number = int(image.path) + first if are_numbers else position
            found.append(FieldImage(f"{path}/{image.path}", name, number, record))
            acquisitions[image.acquisition].add(number)
    if len(acquisitions) > 1:
        _note_acquisitions(acquisitions, read_acquisitions(plate), contents)
    return found


def _note_acquisitions(
    fields: Mapping[int | None, set[int]], names: Mapping[int, str], contents: PlateContents
) -> None:
    for number in sorted(fields, key=lambda number: -1 if number is None else number):
        title = "no acquisition" if number is None else f"acquisition {names.get(number, number)}"
        contents.notes.append(
            f"several acquisitions: fields {', '.join(map(str, sorted(fields[number])))} are of {title}; fields of "
            "different acquisitions may show the same place, and what is counted in a well is counted in each"
        )


def series_images(store: NgffStore, contents: PlateContents) -> list[FieldImage]:
    """Return images that belong to no plate, as fields 1 to n of well A01."""
    if store.what is None:
        raise MetadataError(
            f"{store.root / store.folder} is no OME-Zarr plate, image or series by its metadata; expected 'plate', "
            "'multiscales' or 'bioformats2raw.layout' in the attributes of its root"
        )
    if store.what == "image":
        paths = [""]
    else:
        series = store.attributes(SERIES)
        given = series.get("series") if series is not None else None
        if given is not None:
            paths = [entry.path() for entry in given.items()]
        else:
            groups = set(store.groups())
            paths = []
            while str(len(paths)) in groups:
                paths.append(str(len(paths)))
    contents.notes.append(
        f"the store has no plate: its images ({len(paths)}) are assumed to be fields of one well, A01"
    )
    return [FieldImage(path, "A01", number) for number, path in enumerate(paths, start=1)]


def described(store: NgffStore, listed: Sequence[FieldImage], contents: PlateContents) -> list[FieldImage]:
    """Return the images that are there, with their metadata."""
    images = []
    unusual: defaultdict[str, list[str]] = defaultdict(list)
    for image in listed:
        metadata = store.image(image.path)
        if metadata is None:
            contents.promised.setdefault("images", []).append(image.path)
            continue
        image.metadata = metadata
        for note in metadata.notes:
            unusual[note].append(image.path or ".")
        layout = store.layout(image.array)
        if layout is None:
            contents.promised.setdefault("images", []).append(image.array)
            continue
        if len(layout.shape) != len(metadata.axes):
            raise MetadataError(
                f"{store.path(image.array)}: the array has shape {list(layout.shape)}, its image the axes "
                f"{', '.join(metadata.axes)}"
            )
        image.layout = layout
        images.append(image)
    for note, paths in unusual.items():
        contents.notes.append(f"{len(paths)} image{'s' * (len(paths) > 1)}, such as {paths[0]}: {note}")
    return images


def describe_images(images: Sequence[FieldImage], contents: PlateContents) -> None:
    """Say what holds for the plate, and where images disagree."""
    shapes = Counter((image.layout.shape[-2:], image.layout.dtype) for image in images)
    if shapes:
        ((height, width), contents.dtype), _ = shapes.most_common(1)[0]
        contents.shape = (height, width)
    if len(shapes) > 1:
        seen = ", ".join(f"{list(shape)} {dtype} ({n})" for (shape, dtype), n in shapes.most_common())
        contents.notes.append(f"images of different size or dtype: {seen}")
    for name, title in (("pixel_size_um", "pixel size"), ("z_spacing_um", "z spacing")):
        sizes = Counter(getattr(image.metadata, name) for image in images)
        if sizes:
            setattr(contents, name, sizes.most_common(1)[0][0])
        if len(sizes) > 1:
            seen = ", ".join(f"{size or 'unknown'} ({n})" for size, n in sizes.most_common())
            contents.notes.append(f"images of different {title} in µm: {seen}")
