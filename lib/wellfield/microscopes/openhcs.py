"""Plates that OpenHCS wrote or initialised: ``openhcs_metadata.json`` lists the planes.

OpenHCS keeps a virtual workspace over raw folders, flat TIFF files, or a Zarr store with a map of file names. The entry
of the main subdirectory says which, and its list is the plate. Planes that are listed but absent, and files that are
not listed, go to the report.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wellfield.errors import DuplicatePlaneError, ImageKindError, MetadataError, PathEscapeError, WellfieldError
from wellfield.formats.plane_files import read_plane_header
from wellfield.microscopes.handler import MICROSCOPES, MicroscopeHandler
from wellfield.microscopes.metaseries import PlaneTags, read_tags
from wellfield.microscopes.openhcs_names import parse_name, parse_well
from wellfield.microscopes.openhcs_store import stored_arrays
from wellfield.microscopes.parsed_plate import ParsedPlate, channel_dtypes, unique_channel_names
from wellfield.microscopes.scan import Scan
from wellfield.plate.addresses import ArrayPlane, parse_array_plane
from wellfield.plate.index import PlaneRecord
from wellfield.plate.keys import PlaneKey, plane_name
from wellfield.storage.backend import Backend
from wellfield.storage.workspace_metadata import METADATA_NAME, main_subdirectory, primary_backend, read_metadata

_TIFF = (".tif", ".tiff")
_DRIVE = re.compile(r"[A-Za-z]:")
_READABLE = (str(Backend.DISK), str(Backend.ZARR))


class Source(NamedTuple):
    """Where the metadata says that a plane lies: backend and path relative to the plate folder."""

    name: str
    backend: str
    path: str


class Found(NamedTuple):
    """Where a plane lies on disk; see :class:`~wellfield.plate.index.PlaneRecord` for the units."""

    path: str
    size: int
    mtime_ns: int


class OpenHCSHandler(MicroscopeHandler):
    """Plates with ``openhcs_metadata.json``; its mapping is taken as it is."""

    _microscope_type = "openhcs"
    speaks_for_folder = True
    metadata_suffixes = (METADATA_NAME,)

    @classmethod
    def detect(cls, scan: Scan) -> str | None:
        """Recognise the metadata file at the root of the plate."""
        for file in scan.files:
            if file.folder:  # files at the root come first
                return None
            if file.name == METADATA_NAME:
                return f"metadata {METADATA_NAME}"
        return None

    def promises(self) -> list[str]:
        """Return how many planes the metadata lists, and of which plate; it may be the metadata of results."""
        plate = f" of the plate {self._entry['plate_path']}" if "plate_path" in self._entry else ""
        return [f"{sum(1 for _ in self._sources())} planes{plate} listed in {METADATA_NAME}"]

    def find_planes(self) -> ParsedPlate:
        """Return the planes of the main subdirectory; opens two images per channel.

        Raises
        ------
        MetadataError
            The metadata is corrupt or absent, lists no plane, or needs a backend that does not read files.
        PathEscapeError
            A plane of the list lies outside the plate folder.
        """
        contents = ParsedPlate()
        ignored, absent = defaultdict[str, list[str]](list), list[str]()
        planes: dict[PlaneKey, PlaneRecord] = {}
        stores: dict[str, dict[str, Found | None]] = {}
        used = set[str]()
        for name, backend, path in self._sources():
            place = self._files.get(path)
            if backend == Backend.ZARR:
                store, _, file_name = path.rpartition("/")
                if store not in stores:
                    stores[store] = self._stored(store, contents)
                place = stores[store].get(file_name)
            if place is None:
                absent.append(path)
                continue
            used.add(path)
            if "_thumb" in path.rpartition("/")[2].lower():
                ignored["thumbnail"].append(path)
                continue
            key = parse_name(name.replace("\\", "/").rpartition("/")[2])
            if key is None:
                ignored["name is not of OpenHCS's form"].append(name)
                continue
            known = planes.setdefault(key, record := PlaneRecord(key, *place))
            if known.path != record.path:
                raise DuplicatePlaneError(
                    f"{self._metadata_file} has two files for the plane {plane_name(key)}: {known.path} and "
                    f"{record.path}, the latter as {name}. Correct the metadata, or initialise the plate again"
                )
        for store, stored in stores.items():
            paths = (f"{store}/{name}" if store else name for name, place in stored.items() if place)
            ignored[f"image that {METADATA_NAME} does not list"] += [path for path in paths if path not in used]
        for file in self.scan.files:
            path = file.path
            if path in used or path == METADATA_NAME or any(path.startswith(f"{store}/") for store in stores if store):
                continue
            image = file.name.lower().endswith(_TIFF)
            ignored[f"image that {METADATA_NAME} does not list" if image else "no image"].append(path)
        contents.planes = list(planes.values())
        contents.ignored = {reason: paths for reason, paths in ignored.items() if paths}
        self._describe(contents, absent)
        return contents

    @property
    def _metadata_file(self) -> Path:
        return self.plate_path / METADATA_NAME

    @cached_property
    def _entry(self) -> Mapping[str, Any]:
        return main_subdirectory(read_metadata(self.plate_path), source=os.fspath(self._metadata_file))

    @cached_property
    def _files(self) -> dict[str, Found]:
        return {file.path: Found(file.path, file.size, file.mtime_ns) for file in self.scan.files}

    def _sources(self) -> Iterator[Source]:
        """Give the planes of the list, each with where it lies, in the order of the list."""
        entry, root = self._entry, os.path.abspath(self.plate_path)
        backend = primary_backend(entry, source=os.fspath(self._metadata_file))
        mapped = backend is Backend.VIRTUAL_WORKSPACE
        field = "workspace_mapping" if mapped else "image_files"
        listed = entry.get(field)
        if not listed or not isinstance(listed, list | dict) or isinstance(listed, dict) != mapped:
            raise MetadataError(f"{self._metadata_file}: backend {backend} needs {field!r} with the planes, found none")
        if isinstance(listed, dict):
            for name, value in listed.items():
                yield Source(name, *self._reference(name, value, root))
            return
        for name in listed:
            if not isinstance(name, str):
                raise MetadataError(f"{self._metadata_file}: {field!r} holds {name!r}, which is not a path")
            yield Source(name, str(backend), self._inside(name, root))

    def _reference(self, name: str, value: Any, root: str) -> tuple[str, str]:
        """Return backend and path of a value of the mapping: a path, or an object that names both."""
        if isinstance(value, str):
            return str(Backend.DISK), self._inside(value, root)
        if not isinstance(value, dict) or not isinstance(path := value.get("backend_address"), str):
            raise MetadataError(
                f"{self._metadata_file}: {name} is mapped to {value!r}; expected a path or an object with "
                "'backend' and 'backend_address'"
            )
        backend = value.get("backend")
        if backend not in _READABLE:
            raise MetadataError(
                f"{self._metadata_file}: {name} is read through the backend {backend!r}, which is not a file of the "
                f"plate; Wellfield reads {' and '.join(_READABLE)}. Export the plate to files with OpenHCS"
            )
        if value.get("source_axis_indices"):
            raise MetadataError(
                f"{self._metadata_file}: {name} is plane {value['source_axis_indices']} inside the file {path}; "
                "Wellfield reads files of one plane. Export the plate to such files with OpenHCS"
            )
        return backend, self._inside(path, root)

    def _inside(self, path: str, root: str) -> str:
        """Return a path of the metadata relative to the plate folder, with forward slashes."""
        full = os.path.normpath(os.path.join(root, path.replace("\\", "/")))
        if not full.startswith(root + os.sep) or _DRIVE.match(path) or "\0" in path:
            raise PathEscapeError(
                f"{self._metadata_file}: {path!r} is not a path inside the plate folder; correct it, or initialise the "
                "plate again where it is now"
            )
        return full[len(root) + 1 :]

    def _stored(self, store: str, contents: ParsedPlate) -> dict[str, Found | None]:
        """Return the planes of a Zarr store by file name, ``None`` without a chunk; sets shape and dtype."""
        planes: dict[str, Found | None] = {}
        shapes = Counter[tuple[tuple[int, ...], str]]()
        for array in stored_arrays(self.scan, store):
            shapes[array.shape, array.dtype] += 1
            for name, (at, stored) in array.planes.items():
                place = Found(ArrayPlane(array.path, at).path, stored.size, stored.mtime_ns) if stored else None
                if name in planes:
                    raise DuplicatePlaneError(
                        f"{self.plate_path}: {name} is in two arrays of the store {store!r}, one of them {array.path}"
                    )
                planes[name] = place
        _set_shape(contents, shapes)
        return planes

    def _describe(self, contents: ParsedPlate, absent: list[str]) -> None:
        entry, keys = self._entry, [plane.key for plane in contents.planes]
        channels = sorted({key.channel for key in keys})
        named = _named(entry, "channels")
        names = {channel: named.get(str(channel)) or f"w{channel}" for channel in channels}
        contents.plate = replace(contents.plate, channels=unique_channel_names(names, contents.notes))
        grid, pixel_size = entry.get("grid_dimensions"), entry.get("pixel_size")
        if isinstance(grid, list) and len(grid) == 2 and all(type(size) is int and size > 0 for size in grid):
            contents.plate = replace(contents.plate, grid_dimensions=(grid[0], grid[1]))
        if isinstance(pixel_size, int | float) and pixel_size is not True and 0 < pixel_size < math.inf:
            contents.plate = replace(contents.plate, pixel_size_um=float(pixel_size))
        sampled = self._sample(contents)
        tags = [found for _, found in sampled]
        if tags:
            _set_shape(contents, Counter((t.shape, t.dtype) for t in tags))
            dtypes = channel_dtypes(((number, found.dtype) for number, found in sampled), contents.plate.dtype)
            contents.plate = replace(contents.plate, channel_dtypes=dtypes)
        calibrated = {t.pixel_size_um for t in tags if t.pixel_size_um}
        if calibrated and contents.plate.pixel_size_um is None:
            contents.plate = replace(contents.plate, pixel_size_um=min(calibrated), pixel_size_of_files=True)
        for size in sorted(calibrated):
            if not math.isclose(size, contents.plate.pixel_size_um or size, rel_tol=1e-3):
                used = f"pixel size {contents.plate.pixel_size_um} µm of {METADATA_NAME} is used"
                contents.notes.append(f"{used}; image files say {size} µm")
        vendor = entry.get("microscope_handler_name")
        if entry.get("workspace_mapping") and vendor != self._microscope_type and vendor in MICROSCOPES:
            contents.notes.append(
                "planes are taken from OpenHCS's mapping, including copies that the microscope filled gaps with; name "
                f"{vendor} in the 'microscope' column of plates.tsv to read the raw files themselves"
            )
        contents.promised = {f"planes listed in {METADATA_NAME}": absent, **_unfound(entry, keys)}
        contents.promised = {axis: values for axis, values in contents.promised.items() if values}

    def _sample(self, contents: ParsedPlate) -> list[tuple[int, PlaneTags]]:
        """Return the channel and tags of the first and last file of each channel. Planes of a Zarr store have none."""
        by_channel: dict[int, list[str]] = defaultdict(list)
        for plane in contents.planes:
            if parse_array_plane(plane.path) is None and plane.size:
                by_channel[plane.key.channel].append(plane.path)
        chosen = {path: channel for channel, paths in by_channel.items() for path in (paths[0], paths[-1])}
        contents.images_opened += len(chosen)
        for path in chosen:
            try:
                read_plane_header(self.plate_path / path)
            except ImageKindError as error:
                contents.notes.append(f"the well of {path} will fail: {error}")
            except WellfieldError:
                continue  # a file that cannot be read says nothing
        found = ((channel, read_tags(self.plate_path / path)) for path, channel in chosen.items())
        return [(channel, tags) for channel, tags in found if tags is not None]


def _set_shape(contents: ParsedPlate, shapes: Counter[tuple[tuple[int, ...], str]]) -> None:
    if not shapes:
        return
    (shape, dtype), _ = shapes.most_common(1)[0]
    contents.plate = replace(contents.plate, shape=(shape[0], shape[1]), dtype=dtype)
    if len(shapes) > 1:
        seen = ", ".join(f"{list(size)} {dtype} ({count})" for (size, dtype), count in shapes.most_common())
        contents.notes.append(f"planes of different size or dtype among those looked at: {seen}")


def _named(entry: Mapping[str, Any], field: str) -> dict[str, str | None]:
    """Return the values of one axis with their names; empty where the metadata has none."""
    values = entry.get(field)
    if not isinstance(values, dict):
        return {}
    for value, name in values.items():
        if not isinstance(name, str | None):
            raise MetadataError(f"{METADATA_NAME}: {field} {value} is named {name!r}; expected a text or null")
    return values


def _unfound(entry: Mapping[str, Any], keys: list[PlaneKey]) -> dict[str, list[str]]:
    """Return, by axis, what the metadata names and no plane has."""
    wells = {key.well for key in keys}
    axes = {
        "wells": [well for well in _named(entry, "wells") if parse_well(well) not in wells],
        "channels": _numbers(entry, "channels", {key.channel for key in keys}),
        "fields": _numbers(entry, "sites", {key.field for key in keys}),
        "z": _numbers(entry, "z_indexes", {key.z for key in keys}),
        "timepoints": _numbers(entry, "timepoints", {key.timepoint for key in keys}),
    }
    return {axis: values for axis, values in axes.items() if values}


def _numbers(entry: Mapping[str, Any], field: str, found: set[int]) -> list[str]:
    return [
        f"{number} ({name})" if name and name != number else number
        for number, name in _named(entry, field).items()
        if not (number.isdecimal() and len(number) <= 18 and int(number) in found)
    ]
