"""Removal: the only module that removes or replaces something below the results of a plate.

It removes files that a record lists (:mod:`~wellfield.results.records`), and folders that are empty then. It never
follows or removes a link, because Wellfield makes none. Everything else belongs to the user and stays, also in the
folder of a well that is written again.

Killed jobs leave two kinds of files that no record lists; their names tell them: unfinished writes
(``.B02.0123456789ab.part``) and files of a staged well (:func:`~wellfield.results.staged_well.is_stage_file`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from wellfield.errors import ForeignStoreError
from wellfield.formats.atomic import (
    carry_over,
    is_part,
    remove_empty,
    remove_parts,
    replace_directory,
    restore_directory,
)
from wellfield.results.manifest import folder_names
from wellfield.results.paths import STORE_NAME, UNFINISHED, WELL_RULES, PlateFile
from wellfield.results.records import (
    EARLIER,
    Record,
    announce,
    not_ours,
    read_record,
    record_path,
)
from wellfield.storage.zarr.well_index import own_files

# The folder of a staged well on a node's own disk: wellfield-<user>-<well>-<32 hex digits>.
_SCRATCH = re.compile(r"wellfield-.+-[A-Z]{1,2}[0-9]{2}-[0-9a-f]{32}")


def listed_files(results: str | os.PathLike[str], rule: str, well: str = "") -> set[str]:
    """Return the files that the record of *rule* or of a *well* lists, with those in folders listed without names."""
    record = read_record(results, rule, well) or Record()
    found = set()
    for path in record.paths():
        found |= _in_store(Path(results), path) if path.endswith("/") else {path}
    return found


def _in_store(results: Path, path: str) -> set[str]:
    """Return the files of the well in ``plate.zarr/B/02/`` that a record of an earlier version lists as one."""
    store, row, column, *_ = path.split("/")
    folder = results / path
    if folder.is_symlink() or not folder.is_dir():
        return set()
    try:
        own = own_files(results / store, row + column)
    except ForeignStoreError:
        return set()
    return {path + name for name in folder_names(folder) if own(name)}


def remove_listed(results: str | os.PathLike[str], paths: Iterable[str], *, shared: bool = True) -> None:
    """Remove files, given relative to *results*, and the folders that are empty then; never a link.

    Without *shared*, only empty folders of one well are removed (``tables/B02``, not ``tables``): a job of another well
    may be about to write to the folder above.
    """
    folder = Path(results)
    for path in sorted(paths):
        file, parts = folder / path, Path(path).parts
        if _has_no_link(folder, path) and file.is_file():
            file.unlink(missing_ok=True)
            own = 1 if shared else 3 if parts[0] == STORE_NAME else 2
            if len(parts) > own:
                remove_empty(file.parent, folder.joinpath(*parts[:own]))


def _has_no_link(results: Path, path: str) -> bool:
    parts = Path(path).parts
    return not any(results.joinpath(*parts[:number]).is_symlink() for number in range(1, len(parts) + 1))


def remove_well(results: str | os.PathLike[str], well: str) -> None:
    """Remove the files of a well, and its record last."""
    remove_listed(results, listed_files(results, WELL_RULES[-1], well))
    record_path(results, WELL_RULES[-1], well).unlink(missing_ok=True)


def remove_stale(
    results: str | os.PathLike[str], rule: str, files: Iterable[str], *, folders: Iterable[str], well: str = ""
) -> None:
    """Remove the files in *folders* that the record lists and that are not among the present *files*."""
    starts = tuple(f"{name}/" for name in folders)
    listed = {path for path in listed_files(results, rule, well) if path.startswith(starts)}
    remove_listed(results, listed.difference(files), shared=not well)


def remove_page(results: str | os.PathLike[str]) -> None:
    """Remove the page of an unfinished plate."""
    for name in (UNFINISHED, EARLIER):
        record = read_record(results, name)
        if record is not None and PlateFile.UNFINISHED_PAGE in record.paths():
            remove_listed(results, [PlateFile.UNFINISHED_PAGE])
    record_path(results, UNFINISHED).unlink(missing_ok=True)


def remove_unfinished_writes(results: str | os.PathLike[str], folders: Iterable[str]) -> None:
    """Remove unfinished writes in the results and in *folders* of the results. No other job may write there."""
    root = Path(results)
    for path in root.iterdir():
        if is_part(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    for name in folders:
        if not (root / name).is_symlink() and (root / name).is_dir():
            remove_parts(root / name)


def remove_scratch(folder: str | os.PathLike[str]) -> None:
    """Remove the folder of a staged well on a node's own disk, if its name is one that Wellfield gives."""
    if _SCRATCH.fullmatch(Path(folder).name) and not os.path.islink(folder):
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(results: Path, rule: str, staged: Path, final: Path, *, well: str = "") -> list[str]:
    """Put the complete folder *staged* in the place of *final*; return the files in it that Wellfield wrote.

    The user's files in *final* are first put into *staged*, so that they are there at every moment. The new files are
    listed in the record before they get their place.

    Raises
    ------
    DestinationExistsError
        A file of the user lies where a new file must go. Nothing was changed.
    """
    restore_directory(final)
    base = final.relative_to(results).as_posix()
    listed = listed_files(results, rule, well) | listed_files(results, EARLIER)
    names = folder_names(staged)
    try:
        if final.is_symlink() or (final.exists() and not final.is_dir()):
            raise FileExistsError(0, "", str(final))
        carry_over(final, staged, lambda name: f"{base}/{name}" in listed)
    except FileExistsError as error:
        raise not_ours(error.filename) from None
    announce(results, rule, [f"{base}/{name}" for name in names], well=well)
    replace_directory(staged, final)
    return names
