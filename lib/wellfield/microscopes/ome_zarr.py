"""OME-Zarr as input: HCS plates, images, and the series that bioformats2raw writes; NGFF 0.4 and 0.5.

A plate folder is a store or holds exactly one. Planes are those of the highest resolution; nothing is opened but
metadata (each JSON file once) and the indices of shards. What is decided where NGFF leaves it open:

* *Wells* lie where their path says (``B/2`` → B02); indices count where its names are no letters and numbers.
* *Fields* have the number that is their image's path, one more where any path of the plate is 0: an absent image does
  not move the others. Where paths are no numbers, the position in the well's list counts.
* *Acquisitions*: every image is a field of its own, as in NGFF's list of a well's fields of view. Which acquisition a
  field belongs to, a note of the report says: which of them show the same place, or which came first, no metadata does.
* *Channels* have the position on their axis as number. Where images name different channels at one position, a number
  stands for a name instead.
* *Stage positions* are the images' translations, unless all fields of a well have the same.
* *Absent*: a plane that has none of its chunks is not there; one that lacks some is, with the fill value in its gaps.
* *Images without a plate* are fields 1 to n of well A01.

Plates that Wellfield wrote keep the numbers of fields, channels, z and timepoints that they were written with.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from wellfield.errors import MetadataError
from wellfield.microscopes.base import MicroscopeHandler
from wellfield.microscopes.contents import PlateContents, unique_names
from wellfield.microscopes.ngff import (
    FIELD_AXIS,
    ImageMetadata,
    ListedImage,
    read_acquisitions,
    read_images,
    read_wells,
)
from wellfield.microscopes.ngff_store import NODE_FILES, NgffStore, open_store, store_folders
from wellfield.microscopes.scan import Scan, ScannedFile
from wellfield.plate.addresses import ArrayPlane
from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.storage.backend import ZarrChunkStrategy
from wellfield.storage.zarr.chunks import ArrayLayout, StoredPlane, stored_planes
from wellfield.storage.zarr.record import WellRecord

_NUMBER = re.compile("0|[1-9][0-9]{0,5}")
_SERIES = "OME"


@dataclass(slots=True)
class _Image:
    """An image of a well: one field, or the fields of an array that Wellfield wrote."""

    path: str
    well: str
    field: int
    record: WellRecord | None = None
    metadata: ImageMetadata = field(init=False)
    layout: ArrayLayout = field(init=False)

    @property
    def array(self) -> str:
        return "/".join(part for part in (self.path, self.metadata.levels[0]) if part)


class OmeZarrHandler(MicroscopeHandler):
    """OME-Zarr stores of any program."""

    _microscope_type = "ome_zarr"
    # Chunk files too, whose names end with a number: a shard that was written anew may hold other planes.
    metadata_suffixes = (".zattrs", ".zarray", "zarr.json", *"0123456789")

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        """Recognise a store by the metadata of its root."""
        folders = store_folders(scan)
        if len(folders) > 1:
            return f"Zarr stores {', '.join(folders[:4])}"
        if not folders:
            return None
        store = NgffStore(scan.root, folders[0], scan)
        where = f"metadata {store.path('zarr.json' if store.zarr_format == 3 else '.zattrs')}"
        try:
            return None if store.what is None else f"{where} of an OME-Zarr {store.what}"
        except MetadataError:
            return f"{where}, which is damaged"

    def promises(self) -> list[str]:
        """Return what the store's metadata lists but the disk does not hold."""
        promised = self.find_planes().promised
        return [f"{axis}: {', '.join(names[:10])}{' …' * (len(names) > 10)}" for axis, names in promised.items()]

    def find_planes(self) -> PlateContents:
        """Return the planes of the store; opens no image, of shards their index.

        Raises
        ------
        MetadataError
            There is not exactly one store, or its metadata is damaged, or means what Wellfield cannot take.
        """
        contents = PlateContents(planes=[], channels={})
        store = open_store(self.plate_path, self.scan)
        listed = _plate_images(store, contents) if store.what == "plate" else _series_images(store, contents)
        images = _described(store, listed, contents)
        store.refuse_links(store.path(image.path) for image in images)
        numbers = _number_channels(images, contents)
        files = _files_of_arrays(self.scan, {store.path(image.array) for image in images})
        planes: dict[PlaneKey, PlaneRecord] = {}
        partial: list[str] = []
        origins = _origins(images)
        for image in images:
            _add_planes(store, image, numbers[image.path], files, origins[image.path], contents, planes, partial)
        contents.planes = list(planes.values())
        if partial:
            contents.notes.append(
                f"{len(partial)} planes lack some of their chunks, such as {partial[0]}; pixels there read as fill value"
            )
        used = {plane.key.channel for plane in contents.planes}
        contents.channels = {number: name for number, name in contents.channels.items() if number in used}
        _describe(images, contents)
        self._report_ignored(store, images, contents)
        return contents

    def _report_ignored(self, store: NgffStore, images: Sequence[_Image], contents: PlateContents) -> None:
        """Report wells and images that no list names, and files that are no part of the store."""
        roots = {image.path.partition("/")[0] for image in images} - {""}
        roots |= {level.partition("/")[0] for image in images if not image.path for level in image.metadata.levels}
        roots |= {_SERIES, "labels"}
        listed = {path for image in images for path in _parents(image.path)}
        listed |= {path for names in contents.promised.values() for name in names for path in _parents(name)}
        for group in store.groups() if store.what == "plate" else ():
            depth = group.count("/")
            if group in listed or depth not in (1, 2) or group.partition("/")[0] == _SERIES:
                continue
            roots.add(group.partition("/")[0])
            parent = group.rpartition("/")[0]
            if depth == 1:
                contents.ignored.setdefault("well that the plate's metadata does not list", []).append(group)
            elif parent in listed:
                contents.ignored.setdefault("image that its well's metadata does not list", []).append(group)
        prefix = f"{store.folder}/" if store.folder else ""
        for file in self.scan.files:
            path = file.path
            top = path[len(prefix) :].partition("/")[0]
            if not path.startswith(prefix) or (top not in roots and top not in NODE_FILES):
                contents.ignored.setdefault("no part of the OME-Zarr store", []).append(path)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:k]) for k in range(1, len(parts) + 1)]


# --- which images there are ---------------------------------------------------------------------------------------


def _plate_images(store: NgffStore, contents: PlateContents) -> list[_Image]:
    """Return the images that a plate's wells list."""
    attributes = store.attributes("")
    assert attributes is not None
    plate = attributes["plate"]
    listed: list[tuple[str, str, list[ListedImage], WellRecord | None]] = []
    for well in read_wells(plate):
        if well.note:
            contents.notes.append(well.note)
        group = store.attributes(well.path)
        if group is None:
            contents.promised.setdefault("wells", []).append(well.path)
            continue
        listed.append((well.path, well.name, read_images(group["well"]), store.record(well.path)))
    names = [image.path for _, _, images, _ in listed for image in images]
    are_numbers = all(_NUMBER.fullmatch(name) for name in names)
    first = 1 if are_numbers and "0" in names else 0
    if names and not are_numbers:
        contents.notes.append(
            f"images are named otherwise than by numbers, such as {names[0]}: fields have their positions in the wells' lists"
        )
    found: list[_Image] = []
    acquisitions: defaultdict[int | None, set[int]] = defaultdict(set)
    for path, name, images, record in listed:
        for position, image in enumerate(images, start=1):
            number = int(image.path) + first if are_numbers else position
            found.append(_Image(f"{path}/{image.path}", name, number, record))
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


def _series_images(store: NgffStore, contents: PlateContents) -> list[_Image]:
    """Return images that belong to no plate, as fields 1 to n of well A01."""
    if store.what is None:
        raise MetadataError(
            f"{store.root / store.folder} is no OME-Zarr plate, image or series by its metadata; expected 'plate', "
            "'multiscales' or 'bioformats2raw.layout' in the attributes of its root"
        )
    if store.what == "image":
        paths = [""]
    else:
        series = store.attributes(_SERIES)
        given = series.get("series") if series is not None else None
        if given is not None:
            paths = [entry.path() for entry in given.items()]
        else:
            groups = set(store.groups())
            paths = []
            while str(len(paths)) in groups:
                paths.append(str(len(paths)))
    contents.notes.append(
        f"the store has no plate: images are taken as fields of one well, A01, which is an assumption ({len(paths)} here)"
    )
    return [_Image(path, "A01", number) for number, path in enumerate(paths, start=1)]


def _described(store: NgffStore, listed: Sequence[_Image], contents: PlateContents) -> list[_Image]:
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


# --- what their planes are ----------------------------------------------------------------------------------------


def _number_channels(images: Sequence[_Image], contents: PlateContents) -> dict[str, list[int]]:
    """Return the channel numbers of each image, by its path, and name the channels in *contents*."""
    counts = {image.path: _length(image, "c") for image in images}
    labels = {image.path: image.metadata.labels[: counts[image.path]] for image in images}
    odd = [image.path for image in images if image.metadata.labels and len(image.metadata.labels) != counts[image.path]]
    if odd:
        contents.notes.append(
            f"{len(odd)} images, such as {odd[0] or '.'}, name another number of channels than their arrays have"
        )
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} ({n} images)" for count, n in Counter(counts.values()).most_common())
        contents.notes.append(f"images of different numbers of channels: {found}")
    at: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for image in images:
        for number, label in zip(_grid(image, "c", counts[image.path]), labels[image.path], strict=False):
            if label is not None:
                at[number][label] = None
    by_position = all(len(names) == 1 for names in at.values())
    unique = all(None not in own and len(set(own)) == len(own) == counts[path] for path, own in labels.items())
    if by_position or not unique:
        numbers = {image.path: _grid(image, "c", counts[image.path]) for image in images}
        if not by_position:
            different = {number: list(names) for number, names in sorted(at.items()) if len(names) > 1}
            contents.notes.append(f"images name a channel differently, the first name is taken: {different}")
    else:
        of_name: dict[str, int] = {}
        numbers = {
            path: [of_name.setdefault(str(label), len(of_name) + 1) for label in own] for path, own in labels.items()
        }
        at = defaultdict(dict, {number: {name: None} for name, number in of_name.items()})
        contents.notes.append(
            "images have different channels: a channel's number stands for its name, not its position"
        )
    names = {
        number: next(iter(at[number]), f"C{number}") for number in sorted({n for own in numbers.values() for n in own})
    }
    contents.channels = unique_names(names, contents.notes)
    return numbers


def _length(image: _Image, axis: str) -> int:
    axes = image.metadata.axes
    return image.layout.shape[axes.index(axis)] if axis in axes else 1


def _grid(image: _Image, axis: str, length: int) -> list[int]:
    """Return the numbers along an axis: those of Wellfield's record, else from 1 on."""
    if image.record is None:
        return list(range(1, length + 1))
    series, strategy = image.record.images, image.record.strategy
    values = {"t": series.grid.timepoints, "c": series.grid.channels, "z": series.grid.z, FIELD_AXIS: series.fields}[
        axis
    ]
    if strategy != ZarrChunkStrategy.FIELD and axis == "t":
        values = (image.field,)
    least = 0 if axis == "z" and series.grid.projection != Projection.NONE else 1
    if len(values) != length or any(value < least for value in values):
        raise MetadataError(
            f"{image.path}: the array has {length} places on axis {axis}, its well's record {list(values)}"
        )
    return list(values)


def _add_planes(
    store: NgffStore,
    image: _Image,
    channels: Sequence[int],
    files: Mapping[str, list[tuple[str, int, int]]],
    origin: tuple[float, float, float],
    contents: PlateContents,
    planes: dict[PlaneKey, PlaneRecord],
    partial: list[str],
) -> None:
    """Add the planes of an image that are stored, and report the others."""
    axes, shape, record = image.metadata.axes[:-2], image.layout.shape, image.record
    in_fields = record is not None and record.strategy != ZarrChunkStrategy.FIELD
    values: dict[str, Sequence[int]] = {"t": [image.field if in_fields else 1], "c": channels, "z": [1]}
    values[FIELD_AXIS] = [image.field]
    for axis, length in zip(axes, shape, strict=False):
        if axis in ("t", "z") or (axis == FIELD_AXIS and in_fields):
            values[axis] = _grid(image, axis, length)
        elif axis != "c" and length > 1:
            raise MetadataError(
                f"{store.path(image.array)} has an axis {axis!r} of length {length}; Wellfield takes t, c, z, y, x and "
                "others of length 1"
            )
    projection = record.images.grid.projection if record else Projection.NONE
    missing = record.images.missing if record else frozenset[str]()
    if "z" not in axes and projection != Projection.NONE:
        values["z"] = [0]
    array = store.path(image.array)
    if image.layout.index is not None:
        contents.images_opened += sum(1 for path, _, _ in files.get(array, ()) if image.layout.key.fullmatch(path))
    stored = stored_planes(image.layout, store.root / array, files.get(array, ()))
    pixel, (x, y, height) = image.metadata.pixel_size_um or NAN, origin
    depth = image.metadata.z_spacing_um if "z" in axes else 0.0
    places = {axis: number for number, axis in enumerate(axes)}
    for index in product(*map(range, shape[:-2])):
        at = {axis: values[axis][index[k]] if axis in values else 0 for axis, k in places.items()}
        site, channel, z, time = (at.get(axis, values[axis][0]) for axis in (FIELD_AXIS, "c", "z", "t"))
        key = PlaneKey(image.well, site, channel, z, time, projection)
        found = stored.get(index)
        if found is None or (missing and plane_name(key) in missing):
            contents.promised.setdefault("planes", []).append(plane_name(key))
            continue
        z_um = height + index[places["z"]] * (NAN if depth is None else depth) if "z" in places else height
        path = ArrayPlane(array, index).path
        planes[key] = PlaneRecord(key, path, found.size, found.mtime_ns, x, y, z_um, pixel)
        if found.partial:
            partial.append(plane_name(key))


def _origins(images: Sequence[_Image]) -> dict[str, tuple[float, float, float]]:
    """Return where each image lies, x and y unknown where all fields of a well have the same: that is no position."""
    wells: defaultdict[str, list[_Image]] = defaultdict(list)
    for image in images:
        wells[image.well].append(image)
    origins = {}
    for fields in wells.values():
        same = len(fields) > 1 and len({image.metadata.origin_um[:2] for image in fields}) == 1
        for image in fields:
            x, y, z = image.metadata.origin_um
            unknown = same or image.record is not None  # whose translations place pixels, not fields
            origins[image.path] = (NAN, NAN, z) if unknown else (x, y, z)
    return origins


def _files_of_arrays(scan: Scan, arrays: set[str]) -> dict[str, list[tuple[str, int, int]]]:
    """Return path (relative to its array), size and time of the files below each of *arrays*."""
    found: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    folder, array = None, None
    for file in scan.files:
        if file.folder != folder:  # files come folder by folder
            folder = file.folder
            array = next((path for path in reversed(_parents(folder)) if path in arrays), None)
        if array is not None:
            found[array].append((file.path[len(array) + 1 :], file.size, file.mtime_ns))
    return found


def _describe(images: Sequence[_Image], contents: PlateContents) -> None:
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
