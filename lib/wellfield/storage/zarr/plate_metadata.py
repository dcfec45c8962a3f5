"""The metadata that all wells of a plate share. One process writes it after the wells, never while they are written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wellfield.errors import ForeignStoreError, MetadataError, SchemaVersionError, StorageError
from wellfield.formats.atomic import foreign_in, is_part, remove_own, restore_directory, write_bytes
from wellfield.plate.wells import canonical_well, split_well
from wellfield.storage.backend import ZarrChunkStrategy
from wellfield.storage.files import file_errors
from wellfield.storage.zarr.addressing import (
    ATTRIBUTE,
    ATTRIBUTE_VERSION,
    row_folders,
    stored_wells,
    well_folder,
    well_path,
)
from wellfield.storage.zarr.folders import is_empty, remove
from wellfield.storage.zarr.metadata_json import GROUP_FILES, group_files
from wellfield.storage.zarr.ngff_metadata import plate_attributes
from wellfield.storage.zarr.pixels import ZARR_FORMATS
from wellfield.storage.zarr.well_index import WellRecord, check_store, own_files, read_record


def finalize_plate(
    store: str | os.PathLike[str], wells: Iterable[str], *, name: str, remove_others: bool = True
) -> list[str]:
    """Make a store the OME-Zarr plate of *wells*: list those that are there, remove any other and unfinished writes.

    Of other wells only what Wellfield wrote is removed, and nothing at all without *remove_others*.

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

    Returns
    -------
    list
        The wells that the plate lists, in plate order.

    Raises
    ------
    ForeignStoreError
        The store or a well was not written by Wellfield; nothing is changed then.
    StorageError
        The wells are on different versions of Zarr; nothing is changed then.
    """
    root = Path(store)
    check_store(root)
    with file_errors(root, "be made"):
        root.mkdir(parents=True, exist_ok=True)
    wanted = sorted({canonical_well(well) for well in wells}, key=split_well)
    for well in wanted:
        restore_directory(well_folder(root, well))
    looked_at = [well for well in stored_wells(root) if remove_others or well in wanted]
    records = {well: _own_record(root, well, needed=well in wanted) for well in looked_at}
    listed = [well for well in wanted if records.get(well) is not None]
    version = _ngff_version(root, [record for well in listed if (record := records[well]) is not None])
    images = max((_image_count(record) for well in listed if (record := records[well]) is not None), default=0)
    _write_plate(root, [well_path(well) for well in listed], name, images, version)

    for well in set(records) - set(listed):
        _remove_well(root, well)
    for row in row_folders(root) if remove_others else ():
        if is_empty(row):
            remove(row)  # ours, and empty now
    for folder in (root, *row_folders(root)):
        for entry in folder.iterdir():
            if is_part(entry.name) and not entry.is_symlink():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return listed


def _remove_well(root: Path, well: str) -> None:
    """Remove a well; what is somebody else's in its folder stays there."""
    folder = well_folder(root, well)
    own = own_files(root, well)
    if folder.is_symlink() or not any(True for _ in foreign_in(folder, own)):
        remove(folder)
    else:
        remove_own(folder, own)


def _own_record(root: Path, well: str, *, needed: bool) -> WellRecord | None:
    """Return the record of a well; ``None`` for one of ours that cannot be read and is not needed either."""
    try:
        return read_record(root, well)
    except (SchemaVersionError, MetadataError):
        if needed:
            raise
        return None
    except ForeignStoreError as error:
        raise ForeignStoreError(f"{error}; move it out of {root}") from None


def _ngff_version(root: Path, records: list[WellRecord]) -> str:
    found = {record.zarr_format: record.well for record in records}
    if len(found) > 1:
        raise StorageError(
            f"{root}: well {found[2]} is on Zarr v2 (NGFF 0.4), well {found[3]} on v3 (0.5); write them with one "
            "ngff_version"
        )
    zarr_format = next(iter(found), ZARR_FORMATS["0.5"])
    return next(version for version, number in ZARR_FORMATS.items() if number == zarr_format)


def _image_count(record: WellRecord) -> int:
    by_field = record.strategy == ZarrChunkStrategy.FIELD
    return len(record.images.fields if by_field else record.images.grid.timepoints)


def _write_plate(root: Path, paths: list[str], name: str, images: int, version: str) -> None:
    zarr_format = ZARR_FORMATS[version]
    for letters in sorted({path.split("/")[0] for path in paths}):
        _write_group(root / letters, zarr_format, {})
    described = plate_attributes(version, name, paths, images) if paths else {}
    _write_group(root, zarr_format, {**described, ATTRIBUTE: {"version": ATTRIBUTE_VERSION}})


def _write_group(folder: Path, zarr_format: int, attributes: Mapping[str, Any]) -> None:
    """Write a group's metadata where it differs; take away that of another version of Zarr."""
    for name, content in group_files(zarr_format, attributes).items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)
    for name in GROUP_FILES[5 - zarr_format]:
        (folder / name).unlink(missing_ok=True)
