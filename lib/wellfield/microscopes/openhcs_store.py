"""Where OpenHCS keeps each plane in a Zarr store: one array per well and field, with a map of file names to indices.

Only metadata is read here. The pixels are read later, by the virtual workspace, from the address ``array#[indices]``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from wellfield.errors import MetadataError
from wellfield.formats.json_cursor import Checked
from wellfield.formats.json_files import read_json
from wellfield.microscopes.scan import BROKEN_LINK, LINKS, Scan
from wellfield.storage.array_files import ARRAY_FILES
from wellfield.storage.zarr.chunks import StoredPlane, parse_layout, stored_planes

# Attribute of an array that maps file names to the indices of all axes before y and x; the first name is today's.
_MAPS = ("polystore_filename_map", "openhcs_filename_map")


class StoredArray(NamedTuple):
    """One array of a store.

    ``path`` is relative to the plate folder, ``shape`` is ``(Y, X)`` of a plane. ``planes`` maps file names to the
    indices of all axes before y and x, and to what is stored there, ``None`` without a chunk.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    planes: dict[str, tuple[tuple[int, ...], StoredPlane | None]]


def stored_arrays(scan: Scan, store: str) -> Iterator[StoredArray]:
    """Return the arrays ``row/column/field/0`` of a store that have a map of file names.

    Opens metadata and the indices of shards; *store* is relative to the plate folder, empty for that folder itself.

    Raises
    ------
    MetadataError
        The metadata of an array is corrupt, its map leads outside its shape, or there is a link in the store: what it
        leads to would be read from elsewhere.
    """
    prefix = f"{store}/" if store else ""
    for reason in (*LINKS, BROKEN_LINK):
        for link in scan.skipped.get(reason, ()):
            if link == store or link.startswith(prefix):
                raise MetadataError(
                    f"{scan.root / link} is a {reason}, which is not followed; put the data in its place"
                )
    depth = prefix.count("/") + 4  # row, column, field, array
    arrays: defaultdict[str, list[tuple[str, int, int]]] = defaultdict(list)
    for file in scan.files:
        parts = file.path.split("/", depth)
        if file.folder.startswith(prefix) and len(parts) > depth and parts[depth - 1] == "0":
            arrays["/".join(parts[:depth])].append((parts[depth], file.size, file.mtime_ns))
    for path, files in sorted(arrays.items()):
        names = {name for name, _, _ in files}
        for metadata, zarr_format in ARRAY_FILES:
            if metadata in names and (array := _stored_array(scan, path, files, metadata, zarr_format)):
                yield array
                break


def _stored_array(
    scan: Scan, path: str, files: list[tuple[str, int, int]], metadata: str, zarr_format: int
) -> StoredArray | None:
    def read(name: str) -> Checked:
        return Checked(read_json(scan.root / path / name), f"{path}/{name}")

    content = read(metadata)
    if zarr_format == 2:
        attributes = read(".zattrs") if any(name == ".zattrs" for name, _, _ in files) else None
    else:
        attributes = content.get("attributes")
    named = next((found for name in _MAPS if attributes is not None and (found := attributes.get(name))), None)
    if named is None:
        return None
    layout = parse_layout(content, zarr_format)
    stored = stored_planes(layout, scan.root / path, files)
    planes = {}
    for name, index in named.entries():
        place = index.each(lambda number: number.whole())
        outer = layout.shape[:-2]
        if len(place) != len(outer) or any(at >= size for at, size in zip(place, outer, strict=True)):
            raise index.error(f"a place in the array's planes, {list(outer)}")
        planes[name] = place, stored.get(place)
    return StoredArray(path, layout.shape[-2:], layout.dtype, planes)
