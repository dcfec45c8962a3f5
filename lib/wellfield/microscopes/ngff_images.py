"""The images of an OME-Zarr store: which there are, the field of each, and where they disagree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wellfield.errors import MetadataError
from wellfield.microscopes.ngff import (
    ImageMetadata,
    ListedImage,
    check_dimension_names,
    read_acquisitions,
    read_images,
)
from wellfield.microscopes.ngff_fields import number_fields
from wellfield.microscopes.ngff_store import NgffStore, parents
from wellfield.microscopes.ngff_wells import read_wells
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.storage.zarr.chunks import ArrayLayout
from wellfield.storage.zarr.well_index import WellRecord

SERIES = "OME"
DERIVED = "image that a program made of another one of its well and acquisition"


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


def plate_images(store: NgffStore, contents: ParsedPlate) -> list[FieldImage]:
    """Return the images that a plate's wells list."""
    attributes = store.attributes("")
    assert attributes is not None
    plate = attributes["plate"]
    listed: dict[str, tuple[str, list[ListedImage], WellRecord | None]] = {}
    unusual: defaultdict[str, list[str]] = defaultdict(list)
    if note := store.version_note(attributes, "plate", is_needed=store.zarr_format == 3):
        contents.notes.append(f"{plate.source}: {note}")
    for well in read_wells(plate):
        if well.note:
            unusual[well.note].append(f"{well.path} ({well.name})")
        group = store.attributes(well.path)
        if group is None:
            contents.promised.setdefault("wells", []).append(well.path)
            continue
        store.version_note(group, "well")  # without one, the plate's version holds
        listed[well.path] = well.name, read_images(group["well"]), store.record(well.path)
    for text, wells in unusual.items():
        contents.notes.append(f"{len(wells)} well{'s' * (len(wells) > 1)}, such as {wells[0]}: {text}")
    fields = number_fields({path: images for path, (_, images, _) in listed.items()})
    contents.notes += fields.notes
    if fields.derived:
        contents.ignored[DERIVED] = fields.derived
    found: list[FieldImage] = []
    acquisitions: defaultdict[int | None, set[int]] = defaultdict(set)
    for path, (name, images, record) in listed.items():
        numbers = fields.numbers[path]
        for image in (image for image in images if image.path in numbers):
            found.append(FieldImage(f"{path}/{image.path}", name, numbers[image.path], record))
            acquisitions[image.acquisition].add(numbers[image.path])
    if len(acquisitions) > 1:
        _note_acquisitions(acquisitions, read_acquisitions(plate), contents)
    return found


def listed_wells(store: NgffStore) -> set[str]:
    """Return the paths of the wells that a plate lists, and the paths of their rows."""
    attributes = store.attributes("") if store.what == "plate" else None
    wells = attributes["plate"]["wells"].items() if attributes is not None else ()
    return {path for well in wells for path in parents(well["path"].path())}


def _note_acquisitions(fields: Mapping[int | None, set[int]], names: Mapping[int, str], contents: ParsedPlate) -> None:
    for number in sorted(fields, key=lambda number: -1 if number is None else number):
        title = "no acquisition" if number is None else f"acquisition {names.get(number, number)}"
        contents.notes.append(
            f"several acquisitions: fields {', '.join(map(str, sorted(fields[number])))} are of {title}; fields of "
            "different acquisitions may show the same place, and what is counted in a well is counted in each"
        )


def series_images(store: NgffStore, contents: ParsedPlate) -> list[FieldImage]:
    """Return images without a plate, as fields 1 to n of well A01."""
    if store.what is None:
        raise MetadataError(
            f"{store.root / store.folder} is not an OME-Zarr plate, image or series by its metadata; expected 'plate', "
            "'multiscales' or 'bioformats2raw.layout' in the attributes of its root"
        )
    if store.what == "image":
        paths = [""]
    else:
        root = store.attributes("")
        if root is not None and store.zarr_format == 3:
            store.version_note(root, "", is_needed=True)
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


def described(store: NgffStore, listed: Sequence[FieldImage], contents: ParsedPlate) -> list[FieldImage]:
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
        check_dimension_names(layout.dimension_names, metadata, array=store.path(image.array))
        image.layout = layout
        images.append(image)
    for note, paths in unusual.items():
        contents.notes.append(f"{len(paths)} image{'s' * (len(paths) > 1)}, such as {paths[0]}: {note}")
    return images


def describe_images(images: Sequence[FieldImage], contents: ParsedPlate) -> None:
    """Fill in the facts of the plate, and note where images disagree."""
    shapes = Counter((image.layout.shape[-2:], image.layout.dtype) for image in images)
    if shapes:
        ((height, width), dtype), _ = shapes.most_common(1)[0]
        pixel_size = Counter(image.metadata.pixel_size_um for image in images).most_common(1)[0][0]
        z_spacing = Counter(image.metadata.z_spacing_um for image in images).most_common(1)[0][0]
        contents.plate = replace(
            contents.plate, shape=(height, width), dtype=dtype, pixel_size_um=pixel_size, z_spacing_um=z_spacing
        )
    if len(shapes) > 1:
        seen = ", ".join(f"{list(shape)} {dtype} ({n})" for (shape, dtype), n in shapes.most_common())
        contents.notes.append(f"images of different size or dtype: {seen}")
    y_up = any(image.record is not None and image.record.stage_y_up for image in images)
    contents.plate = replace(contents.plate, sizes_per_plane=True, stage_y_up=y_up)
