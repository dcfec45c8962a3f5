"""The planes of an OME-Zarr store: channel numbers, keys, and which of them are stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from wellfield.errors import MetadataError
from wellfield.microscopes.ngff import FIELD_AXIS
from wellfield.microscopes.ngff_images import FieldImage
from wellfield.microscopes.ngff_store import NgffStore, parents
from wellfield.microscopes.parsed_plate import ParsedPlate, unique_channel_names
from wellfield.microscopes.scan import Scan
from wellfield.plate.addresses import ArrayPlane
from wellfield.plate.index import NAN, PlaneRecord
from wellfield.plate.keys import PlaneKey, Projection, plane_name
from wellfield.storage.backend import ZarrChunkStrategy
from wellfield.storage.zarr.chunks import StoredPlane, stored_planes


def number_channels(images: Sequence[FieldImage], contents: ParsedPlate) -> dict[str, list[int]]:
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
    numbers = {image.path: _grid(image, "c", counts[image.path]) for image in images}
    names = {number: next(iter(at[number]), f"C{number}") for own in numbers.values() for number in own}
    if any(len(different) > 1 for different in at.values()):
        numbers, names = _by_name({path: (*own, *[None] * (counts[path] - len(own))) for path, own in labels.items()})
        contents.notes.append(
            "images have different channels: channels are numbered by their names, not by their positions; "
            "channels without a name are told apart by their position"
        )
    contents.plate = replace(contents.plate, channels=unique_channel_names(dict(sorted(names.items())), contents.notes))
    return numbers


def _by_name(labels: Mapping[str, Sequence[str | None]]) -> tuple[dict[str, list[int]], dict[int, str]]:
    """Return the channel numbers of each image and their names. A name that an image uses twice is two channels."""
    known: dict[tuple[str | None, int], int] = {}  # name and how often it occurred, or None and position
    numbers: dict[str, list[int]] = {}
    for path, own in labels.items():
        keys = [(name, position if name is None else own[:position].count(name)) for position, name in enumerate(own)]
        numbers[path] = [known.setdefault(key, len(known) + 1) for key in keys]
    return numbers, {number: f"C{place + 1}" if name is None else name for (name, place), number in known.items()}


def _length(image: FieldImage, axis: str) -> int:
    axes = image.metadata.axes
    return image.layout.shape[axes.index(axis)] if axis in axes else 1


def _grid(image: FieldImage, axis: str, length: int) -> list[int]:
    """Return the numbers along an axis: from Wellfield's record if there is one, else from 1."""
    if image.record is None:
        return list(range(1, length + 1))
    series, strategy = image.record.images, image.record.strategy
    values = {"t": series.grid.timepoints, "c": series.grid.channels, "z": series.grid.z, FIELD_AXIS: series.fields}[
        axis
    ]
    if strategy != ZarrChunkStrategy.FIELD and axis == "t":
        values = (image.number,)
    least = 0 if axis == "z" and series.grid.projection != Projection.NONE else 1
    if len(values) != length or len(set(values)) < length or any(value < least for value in values):
        raise MetadataError(
            f"{image.path}: the array has {length} places on axis {axis}, its well's record {list(values)}"
        )
    return list(values)


class PlaneCollector:
    """Takes the planes of a store, image by image.

    Parameters
    ----------
    planes:
        The stored planes by key. Planes that are not stored are reported as promised.
    partial:
        Names of planes that lack some of their chunks.
    background:
        Names of label planes without a chunk.
    """

    def __init__(self, store: NgffStore, scan: Scan, images: Sequence[FieldImage], contents: ParsedPlate) -> None:
        self._store = store
        self._contents = contents
        self._files = _files_of_arrays(scan, {store.path(image.array) for image in images})
        self._origins = _origins(images)
        self.planes: dict[PlaneKey, PlaneRecord] = {}
        self.partial: list[str] = []
        self.background: list[str] = []
        # The z of every well, field and timepoint that some channel has an image of.
        self._acquired: defaultdict[tuple[str, int, int], set[int]] = defaultdict(set)

    def add(self, image: FieldImage, channels: Sequence[int]) -> None:
        """Take the planes of an image whose channels have these numbers; labels come after all images.

        Raises
        ------
        MetadataError
            Its array has an axis that Wellfield does not know.
        """
        axes, shape, record = image.metadata.axes[:-2], image.layout.shape, image.record
        values = self._values(image, channels)
        projection = record.images.grid.projection if record else Projection.NONE
        missing = record.images.missing if record else frozenset[str]()
        array = self._store.path(image.array)
        files = self._files.get(array, [])
        if image.layout.index is not None:
            self._contents.images_opened += sum(1 for path, _, _ in files if image.layout.key.fullmatch(path))
        stored = stored_planes(image.layout, self._store.root / array, files)
        pixel, (x, y, height) = image.metadata.pixel_size_um or NAN, self._origins[image.path]
        places = {axis: number for number, axis in enumerate(axes)}
        depth = image.metadata.z_spacing_um or NAN
        absent = self._contents.promised.setdefault("planes", [])
        for index in product(*map(range, shape[:-2])):
            site, channel, z, time = (
                values[axis][index[places[axis]] if axis in places else 0] for axis in (FIELD_AXIS, "c", "z", "t")
            )
            key = PlaneKey(image.well, site, channel, z, time, projection)
            found = stored.get(index)
            is_background = found is None and self._is_background(image, key)
            if is_background:
                found = StoredPlane(0, self._array_time(files), partial=False)
                self.background.append(plane_name(key))
            if found is None or (missing and plane_name(key) in missing):
                absent.append(plane_name(key))
                continue
            if record is not None:
                x, y = record.positions_um.get(_recorded_field(image, site), (NAN, NAN))
            z_um = height + index[places["z"]] * depth if "z" in places else height
            path = ArrayPlane(array, index, is_background).path
            self.planes[key] = PlaneRecord(key, path, found.size, found.mtime_ns, x, y, z_um, pixel, depth)
            if found.partial and not image.sparse:
                self.partial.append(plane_name(key))
            if key.channel not in self._contents.plate.label_channels:
                self._acquired[key.field_key].add(key.z)

    def _is_background(self, image: FieldImage, key: PlaneKey) -> bool:
        """Tell whether an absent plane of labels is background: only where some channel has an image there.

        Labels of fewer z planes than the images are of the whole stack.
        """
        acquired = self._acquired.get(key.field_key)
        return image.sparse and acquired is not None and (key.z in acquired or _length(image, "z") == 1)

    @staticmethod
    def _array_time(files: Sequence[tuple[str, int, int]]) -> int:
        return max((time for path, _, time in files if path in (".zarray", "zarr.json")), default=0)

    def _values(self, image: FieldImage, channels: Sequence[int]) -> dict[str, Sequence[int]]:
        """Return the numbers along the axes field, t, c and z."""
        axes, record = image.metadata.axes[:-2], image.record
        in_fields = record is not None and record.strategy != ZarrChunkStrategy.FIELD
        flat = record is not None and record.images.grid.projection != Projection.NONE
        values: dict[str, Sequence[int]] = {"c": channels, "z": [0 if flat else 1]}
        values["t"], values[FIELD_AXIS] = ([image.number], [1]) if in_fields else ([1], [image.number])
        for axis, length in zip(axes, image.layout.shape, strict=False):
            if axis in ("t", "z") or (axis == FIELD_AXIS and in_fields):
                values[axis] = _grid(image, axis, length)
            elif axis != "c" and length > 1:
                raise MetadataError(
                    f"{self._store.path(image.array)} has an axis {axis!r} of length {length}; Wellfield takes t, c, "
                    "z, y, x and others of length 1"
                )
        return values


def _recorded_field(image: FieldImage, site: int) -> int:
    """Return the number of a field in its well's record, where the image of a whole well is field 0."""
    by_field = image.record is not None and image.record.strategy == ZarrChunkStrategy.FIELD
    return image.record.images.fields[0] if by_field and image.record and len(image.record.images.fields) == 1 else site


def _origins(images: Sequence[FieldImage]) -> dict[str, tuple[float, float, float]]:
    """Return where each image lies. If all fields of a well state the same place, x and y are unknown."""
    wells: defaultdict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    for image in images:
        wells[image.well].setdefault(image.number, image.metadata.origin_um[:2])  # a field's labels come after it
    origins = {}
    for image in images:
        fields = wells[image.well]
        same = len(fields) > 1 and len(set(fields.values())) == 1
        x, y, z = image.metadata.origin_um
        # Wellfield's record has the positions, of the fields of an array too; its translations also place pixels.
        unknown = same or image.record is not None
        origins[image.path] = (NAN, NAN, z) if unknown else (x, y, z)
    return origins


def _files_of_arrays(scan: Scan, arrays: set[str]) -> dict[str, list[tuple[str, int, int]]]:
    """Return path (relative to its array), size and time of the files below each of *arrays*."""
    found: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    folder, array = None, None
    for file in scan.files:
        if file.folder != folder:  # files come folder by folder
            folder = file.folder
            array = next((path for path in reversed(parents(folder)) if path in arrays), None)
        if array is not None:
            found[array].append((file.path[len(array) + 1 :], file.size, file.mtime_ns))
    return found
