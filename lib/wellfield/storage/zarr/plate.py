"""The metadata that all wells of a plate share. Written once, when its wells are."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wellfield.formats.atomic import heal_directory, is_part, part_path, write_bytes
from wellfield.plate.wells import canonical_well, split_well
from wellfield.storage.zarr.layout import row_folders, stored_wells, well_folder, well_path
from wellfield.storage.zarr.metadata import ACQUISITION

if TYPE_CHECKING:
    import zarr

_METADATA_FILE = "zarr.json"


def finalize_plate(
    store: str | os.PathLike[str], wells: Iterable[str], *, name: str, fields: int | None = None
) -> list[str]:
    """Make a store the OME-Zarr plate of *wells*: list those that are there, remove any other and unfinished writes.

    For one process, when no other writes to the store. Repeating it changes nothing.

    Parameters
    ----------
    store:
        Folder of the store; made if needed.
    wells:
        The plate's wells. One without a folder is left out. If none has one, the store is an empty group, as an
        OME-Zarr plate cannot be without wells.
    name:
        Name of the plate.
    fields:
        The most fields that a well has; counted if not given.

    Returns
    -------
    list
        The wells that the plate lists, in plate order.
    """
    root = Path(store)
    root.mkdir(parents=True, exist_ok=True)
    wanted = sorted({canonical_well(well) for well in wells}, key=split_well)
    for well in wanted:
        heal_directory(well_folder(root, well))
    found = set(stored_wells(root))
    listed = [well for well in wanted if well in found]
    paths = [well_path(well) for well in listed]

    for letters in sorted({path.split("/")[0] for path in paths}):
        _write_group(root / letters, _group_json())
    count = fields if fields is not None else max((_count_fields(root / path) for path in paths), default=0)
    _write_group(root, _plate_json(name, paths, count) if paths else _group_json())

    for well in found - set(listed):
        _remove(well_folder(root, well))
    for row in row_folders(root):
        if not any(entry.is_dir() and not is_part(entry.name) for entry in row.iterdir()):
            _remove(row)
    for folder in (root, *row_folders(root)):
        for entry in folder.iterdir():
            if is_part(entry.name):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return listed


def _plate_json(name: str, paths: list[str], field_count: int) -> bytes:
    with warnings.catch_warnings():
        # Importing it evaluates defaults that it has itself deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        from ome_zarr.format import FormatV05
        from ome_zarr.writer import write_plate_metadata

    rows, columns = (list(dict.fromkeys(path.split("/")[axis] for path in paths)) for axis in (0, 1))

    def describe(group: zarr.Group) -> None:
        write_plate_metadata(
            group,
            rows=rows,
            columns=sorted(columns),
            wells=list(paths),
            fmt=FormatV05(),
            acquisitions=[{"id": ACQUISITION, "name": name, "maximumfieldcount": field_count}],
            field_count=field_count,
            name=name,
        )

    return _group_json(describe)


def _group_json(describe: Any = None) -> bytes:
    """Return the ``zarr.json`` of a group that *describe* gave its attributes to, without a file of it on the way."""
    import zarr

    files: dict[str, Any] = {}
    group = zarr.open_group(zarr.storage.MemoryStore(files), mode="w", zarr_format=3)
    if describe is not None:
        describe(group)
    content: bytes = files[_METADATA_FILE].to_bytes()
    return content


def _write_group(folder: Path, content: bytes) -> None:
    path = folder / _METADATA_FILE
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def _count_fields(folder: Path) -> int:
    import zarr

    ome: Any = zarr.open_group(folder, mode="r", zarr_format=3).attrs["ome"]
    return len(ome["well"]["images"])


def _remove(folder: Path) -> None:
    """Remove a folder so that a crash leaves no half of it under its name."""
    part = part_path(folder)
    folder.rename(part)
    shutil.rmtree(part)
