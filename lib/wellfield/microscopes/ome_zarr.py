"""OME-Zarr as input: HCS plates, images, and the series that bioformats2raw writes; NGFF 0.4 and 0.5.

A plate folder is a store or holds exactly one. Planes are read at the highest resolution. Only metadata (each JSON file
once) and the indices of shards are opened. Where NGFF leaves something open, this holds:

* *Wells* lie where their path says, see :mod:`~wellfield.microscopes.ngff_wells`: ``B/2`` and ``2/2`` are B02, numbers
  count from 0 if one of the plate's is 0; indices count if names are not letters and numbers.
* *Fields* have the number in their image's name, one more where any of the plate is 0, see
  :mod:`~wellfield.microscopes.ngff_fields`: an absent image does not move the others. Where names have no numbers, the
  position in the wells' lists counts. Images that a program made of others (``0_illum_corr`` of ``0``) are ignored.
* *Acquisitions*: every image is a field of its own, as in NGFF's list of a well's fields of view. A note of the report
  says which acquisition a field belongs to. No metadata says which fields show the same place.
* *Channels* have the position on their axis as number. If images name different channels at one position, channels are
  numbered by their names instead, and channels without a name are told apart by their position.
* *Labels* are channels with the next numbers, named ``labels/<name>``; a pipeline takes them only by name.
* *Stage positions* are the images' translations, unless all fields of a well have the same.
* *Absent*: a plane without any of its chunks is missing; one that lacks some has the fill value in its gaps. Labels
  without a chunk are background if their field has an image and their fill value is 0.
* *Images without a plate* are fields 1 to n of well A01.

Plates that Wellfield wrote keep the numbers of fields, channels, z and timepoints that they were written with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wellfield.errors import MetadataError
from wellfield.microscopes.handler import MicroscopeHandler
from wellfield.microscopes.ngff_images import (
    DERIVED,
    SERIES,
    FieldImage,
    describe_images,
    described,
    listed_wells,
    plate_images,
    series_images,
)
from wellfield.microscopes.ngff_labels import label_images, number_labels
from wellfield.microscopes.ngff_planes import PlaneCollector, number_channels
from wellfield.microscopes.ngff_store import NODE_FILES, NgffStore, open_store, parents, store_folders
from wellfield.microscopes.parsed_plate import ParsedPlate
from wellfield.microscopes.scan import Scan


class OmeZarrHandler(MicroscopeHandler):
    """OME-Zarr stores of any program."""

    _microscope_type = "ome_zarr"
    # Chunk files too, whose names end with a number: a shard that was rewritten may hold other planes.
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

    def find_planes(self) -> ParsedPlate:
        """Return the planes of the store; opens no image, and only the index of a shard.

        Raises
        ------
        MetadataError
            There is not exactly one store, or its metadata is damaged, or means what Wellfield cannot take.
        """
        contents = ParsedPlate()
        store = open_store(self.plate_path, self.scan)
        listed = plate_images(store, contents) if store.what == "plate" else series_images(store, contents)
        images = described(store, listed, contents)
        store.refuse_links(store.path(path) for image in images for path in (image.path, image.array))
        numbers = number_channels(images, contents)
        labels = label_images(store, images, contents)
        store.refuse_links(store.path(label.path) for label, _ in labels)
        label_numbers = number_labels(labels, contents)
        collector = PlaneCollector(store, self.scan, [*images, *(label for label, _ in labels)], contents)
        for image in images:
            collector.add(image, numbers[image.path])
        for label, name in labels:
            collector.add(label, [label_numbers[name]])
        contents.planes = list(collector.planes.values())
        contents.promised = {axis: names for axis, names in contents.promised.items() if names}
        if partial := collector.partial:
            contents.notes.append(
                f"{len(partial)} planes lack some of their chunks, such as {partial[0]}; they have the fill value there"
            )
        if background := collector.background:
            contents.notes.append(
                f"{len(background)} planes of labels have no chunk, such as {background[0]}: they are background, "
                "without an object"
            )
        if opaque := [image.array for image in images if image.layout.opaque]:
            contents.notes.append(
                f"{len(opaque)} arrays, such as {opaque[0]}, have shards that are not looked into: chunks that these "
                "lack count as stored, and have the fill value"
            )
        used = {plane.key.channel for plane in contents.planes}
        contents.plate = replace(
            contents.plate,
            channels={number: name for number, name in contents.plate.channels.items() if number in used},
            label_channels=tuple(number for number in contents.plate.label_channels if number in used),
        )
        describe_images(images, contents)
        self._report_ignored(store, images, contents)
        return contents

    def _report_ignored(self, store: NgffStore, images: Sequence[FieldImage], contents: ParsedPlate) -> None:
        """Report wells and images that are not listed, and files outside the store."""
        roots = {image.path.partition("/")[0] for image in images} - {""}
        roots |= {level.partition("/")[0] for image in images if not image.path for level in image.metadata.levels}
        roots |= {SERIES, "labels"}
        listed = {path for image in images for path in parents(image.path)}
        listed |= {path for name in contents.ignored.get(DERIVED, ()) for path in parents(name)}
        listed |= {path for names in contents.promised.values() for name in names for path in parents(name)}
        listed |= listed_wells(store)
        for group in store.groups() if store.what == "plate" else ():
            depth = group.count("/")
            if group in listed or depth not in (1, 2) or group.partition("/")[0] == SERIES:
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
