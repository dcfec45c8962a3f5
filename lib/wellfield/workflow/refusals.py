"""Refuse runs that could overwrite files of the user, before any job runs and before any folder is made.

Results must not be inside a raw plate, and a raw plate must not be inside results that the run writes; links, ``..``
and other spellings are resolved. Only Wellfield's own files may be at the places of results.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path

from wellfield.config.plate_sheet import PlateEntry
from wellfield.errors import ConfigError, DestinationExistsError, PathEscapeError
from wellfield.formats.atomic import is_part
from wellfield.plate.wells import is_well
from wellfield.results.paths import (
    PLATE_RULES,
    RECORDS,
    STAGING,
    STORE_NAME,
    WELL_RULES,
    WRITTEN_FOLDERS,
    PlateFile,
    WellFile,
    job_files,
)
from wellfield.results.records import (
    EARLIER,
    has_manifest,
    has_records,
    is_results,
    plate_records,
    recorded_wells,
)
from wellfield.results.staged_well import foreign_in_stages
from wellfield.storage.zarr.well_index import check_store

_NAMED = 10
# Folders with one file per well, and the ending of these files, such as ("wells", ".json").
_WELL_FILES = [
    (folder, suffix)
    for path in (*WellFile, *job_files(WELL_RULES, "{well}"))
    for folder, _, suffix in [path.partition("/{well}")]
]
_FOLDERS = (
    *WRITTEN_FOLDERS,
    f"{RECORDS}/wells",
    *(folder for folder, _ in _WELL_FILES),
    *(path.rpartition("/")[0] for path in job_files(PLATE_RULES, "")),
)


def refuse_unsafe(
    results: str, plates: Mapping[str, PlateEntry], *, files: Iterable[str] = (), scratch: str | None = None
) -> None:
    """Raise if a run could overwrite something that Wellfield did not write. This only reads.

    Parameters
    ----------
    results:
        Folder of all results, as configured.
    plates:
        The plates of the run, by name.
    files:
        Files that the run reads besides the plates: its sheet and its configuration.
    scratch:
        Folder on the nodes' own disks, if configured.

    Raises
    ------
    PathEscapeError
        A raw plate is inside results that the run writes, or such results are inside a raw plate.
    ConfigError
        Two plates share one folder of results; a file that the run reads is at the place of a result.
    DestinationExistsError
        The results of a plate hold something that Wellfield did not write, at a place where the run writes.
    """
    if os.path.lexists(results) and not os.path.isdir(results):
        raise DestinationExistsError(f"results: {results} is not a folder; choose another for the results")
    if ".snakemake" in Path(os.path.abspath(results)).parts:
        raise ConfigError(f"results: {results} lies in .snakemake, which may be removed at any time; choose another")
    folders = {plate: Path(results, plate) for plate in plates}
    _refuse_overlap(folders, {plate: entry.folder for plate, entry in plates.items()}, scratch)
    _refuse_files(folders, [*files, *(entry.plate_map for entry in plates.values() if entry.plate_map)])
    for plate, folder in folders.items():
        _refuse_foreign(plate, folder)


# --- raw plates and results --------------------------------------------------------------------------------------


def _refuse_overlap(results: Mapping[str, Path], raw: Mapping[str, str], scratch: str | None) -> None:
    above = _above()
    of_results = {key: plate for plate, folder in results.items() for key in above(os.fspath(folder))[0]}
    of_raw = {key: folder for folder in raw.values() for key in above(folder)[0]}
    for plate, folder in raw.items():
        for keys in above(folder):
            if found := next((of_results[key] for key in keys if key in of_results), None):
                raise PathEscapeError(
                    f"plate {plate}: its raw folder {folder} lies in {results[found]}, where this run writes results; "
                    "raw plates are never written. Choose another plate name or another folder for the results"
                )
    for plate, path in results.items():
        for number, keys in enumerate(above(os.fspath(path))):
            if found := next((of_raw[key] for key in keys if key in of_raw), None):
                raise PathEscapeError(
                    f"results folder {path} lies in the raw plate {found}, which is never written; choose another "
                    "folder for the results"
                )
            other = next((of_results[key] for key in keys if of_results.get(key, plate) != plate), None)
            if other is not None:
                where = "is" if number == 0 else "lies in"
                raise ConfigError(
                    f"the results of plate {plate}, {path}, {where} the results folder of plate {other}, "
                    f"{results[other]}; give each plate a folder of its own"
                )
    if scratch and "env:" not in scratch:
        for keys in above(scratch):
            if found := next((of_raw[key] for key in keys if key in of_raw), None):
                raise PathEscapeError(f"scratch: {scratch} lies in the raw plate {found}, which is never written")


def _above() -> Callable[[str], list[tuple[Hashable, ...]]]:
    """Return a function that returns the identifiers of a path and of each folder above it, the path first.

    A folder is identified by its name without links, and by device and inode: the same folder may have two names, under
    two mounts or on a file system that ignores case.
    """

    @cache
    def keys(path: str) -> tuple[Hashable, ...]:
        try:
            found = os.stat(path)
        except OSError:  # does not exist yet
            return (path,)
        return path, (found.st_dev, found.st_ino)

    def above(path: str) -> list[tuple[Hashable, ...]]:
        real = Path(os.path.realpath(path))
        return [keys(os.fspath(folder)) for folder in (real, *real.parents)]

    return above


def _refuse_files(results: Mapping[str, Path], files: Iterable[str]) -> None:
    """Refuse an input file at a place where the run writes."""
    roots = {Path(os.path.realpath(folder)): folder for folder in results.values()}
    for file in files:
        real = Path(os.path.realpath(file))
        root = next((folder for folder in real.parents if folder in roots), None)
        if root is not None:
            inside = real.relative_to(root)
            if inside.parts[0] in WRITTEN_FOLDERS or inside.as_posix() in set(PlateFile):
                raise ConfigError(f"{file} lies where results of {roots[root]} go; move it to another place")


# --- contents of the results -------------------------------------------------------------------------------------


def _refuse_foreign(plate: str, folder: Path) -> None:
    """Refuse a folder of results that is not Wellfield's, or that holds something else at the place of a result."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise DestinationExistsError(f"plate {plate}: {folder} is not a folder, and its results go there; move it away")
    if not is_results(folder):
        if (found := _any_file(folder)) is not None:
            raise DestinationExistsError(
                f"plate {plate}: {folder} was not written by Wellfield (it holds {found.relative_to(folder)}), and the "
                "plate's results go there. Choose another plate name or another folder for the results, or move it away"
            )
        return
    _refuse_folders(plate, folder)
    if (found := foreign_in_stages(folder / STAGING)) is not None:
        raise _foreign(plate, found)
    _refuse_files_at_results(plate, folder)
    check_store(folder / STORE_NAME)


def _refuse_folders(plate: str, folder: Path) -> None:
    """Refuse a link or a file at the place of a folder of results."""
    for name in _FOLDERS:
        path = folder / name
        if path.is_symlink():
            raise DestinationExistsError(
                f"plate {plate}: {path} is a link, where results go; links in results are not followed. Link the whole "
                f"folder {folder} instead, or move the link away"
            )
        if os.path.lexists(path) and not path.is_dir():
            raise _foreign(plate, path)


def _refuse_files_at_results(plate: str, folder: Path) -> None:
    """Refuse a file at the place of a result if no record lists it."""
    records = plate_records(folder)
    known = set[str]().union(*(record.paths() for record in records.values()))
    logs = job_files(PLATE_RULES, plate)
    has = has_records(folder)
    by_manifest = cache(partial(has_manifest, folder))
    found: list[Path] = []
    for name in (*PlateFile, *logs, f"{STORE_NAME}/zarr.json", f"{STORE_NAME}/.zgroup", f"{STORE_NAME}/.zattrs"):
        found += _not_ours(folder / name, listed=not has or name in known)
    wells = set(recorded_wells(folder))
    earlier = records[EARLIER].paths() if EARLIER in records else set()
    for kind, suffix in _WELL_FILES:
        for name in os.listdir(folder / kind) if (folder / kind).is_dir() else ():
            stem = name.removesuffix(suffix)
            if name != stem and is_well(stem):
                listed = not has or stem in wells or f"{kind}/{name}" in earlier or by_manifest(stem)
                found += _not_ours(folder / kind / name, listed=listed)
    for path in [*(folder / RECORDS).glob("*.json"), *(folder / RECORDS / "wells").glob("*.json")]:
        found += _not_ours(path, listed=True)
    if found:
        raise _foreign(plate, *found)


def _not_ours(path: Path, *, listed: bool) -> list[Path]:
    """Return ``[path]`` if something other than a *listed* file is there; otherwise an empty list."""
    is_other = path.is_symlink() or (os.path.lexists(path) and not (listed and path.is_file()))
    return [path] if is_other else []


def _any_file(folder: Path) -> Path | None:
    for root, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if Path(root, name).is_symlink())]:
            if not is_part(name):  # a job that was killed early left it
                return Path(root, name)
    return None


def _foreign(plate: str, path: Path, *others: Path) -> DestinationExistsError:
    what = "is a link" if path.is_symlink() else "was not written by Wellfield"
    more = ""
    if others:
        cut = " …" if len(others) > _NAMED else ""
        more = f" So it is with {', '.join(map(str, others[:_NAMED]))}{cut}."
    return DestinationExistsError(
        f"plate {plate}: {path} {what}, and a result goes there; it is left as it is.{more} Move such files away and "
        "run the same command again"
    )
