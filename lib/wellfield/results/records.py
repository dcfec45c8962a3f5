"""Records: which files below a plate's results Wellfield wrote, and what they were made from.

``results/P1/records/`` holds a small JSON file for each job that wrote something: ``compile_plan.json`` lists
``plan.json`` with its size and SHA-256, ``wells/B02.json`` lists all files of well B02. A file that no record lists
belongs to the user. It is never removed or replaced.

Records are not outputs of Snakemake's rules, because Snakemake removes outputs before a job starts. A job lists the
names of its files before it writes them (:func:`announce`), and their checksums when they are complete
(:func:`write_record`). So a killed job leaves no file that no record lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellfield.errors import DestinationExistsError, MetadataError
from wellfield.formats.checked_json import InnerPath, OwnJson, is_inner
from wellfield.formats.json_files import read_json, write_json
from wellfield.plate.wells import is_well
from wellfield.results.paths import (
    PLATE_RULES,
    PLATE_TABLES,
    RECORDS,
    STORE_NAME,
    UNFINISHED,
    WELL_RULES,
    PlateFile,
    WellFile,
    job_files,
)

RECORD_SCHEMA_VERSION = 1
RECORD = OwnJson(
    "record",
    RECORD_SCHEMA_VERSION,
    {"of": dict, "files": [{"path": InnerPath, "size?": int, "sha256?": str, "names?": [InnerPath]}]},
    "Restore it from a copy, or move the results of the plate away and run again",
)

# The record of results that a version without records wrote.
EARLIER = "earlier"


@dataclass(frozen=True)
class Record:
    """The content of one record.

    Parameters
    ----------
    files:
        One entry for each file: its ``path`` relative to the results of the plate and, once it is complete, ``size``
        and ``sha256``. A log has only its path. The path of a folder ends with a slash; ``names`` lists the files in
        it that Wellfield wrote.
    of:
        What the files were made from; empty until they are complete for the first time.
    """

    files: tuple[Mapping[str, Any], ...] = ()
    of: Mapping[str, Any] = field(default_factory=dict)

    def paths(self) -> set[str]:
        """Return the path of every file; for a folder without names its own path, which ends with a slash."""
        return {path for entry in self.files for path in _paths(entry)}


def record_path(results: str | os.PathLike[str], rule: str, well: str = "") -> Path:
    """Return the path of a record: of *rule*, or of a *well*."""
    return Path(results, RECORDS, "wells", f"{well}.json") if well else Path(results, RECORDS, f"{rule}.json")


def read_record(results: str | os.PathLike[str], rule: str, well: str = "") -> Record | None:
    """Return the record of *rule*, or of a *well*; ``None`` if there is none.

    Raises
    ------
    MetadataError
        The file is damaged.
    """
    path = record_path(results, rule, well)
    return _read(path) if os.path.lexists(path) else None


def recorded_wells(results: str | os.PathLike[str]) -> list[str]:
    """Return the wells that have a record."""
    folder = Path(results, RECORDS, "wells")
    names = os.listdir(folder) if folder.is_dir() else ()
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(filter(is_well, stems))


def recorded_jobs(results: str | os.PathLike[str]) -> list[str]:
    """Return the jobs of several wells that have a record."""
    return sorted(path.stem for path in Path(results, RECORDS, "wells").glob("*-*.json"))


def plate_records(results: str | os.PathLike[str]) -> dict[str, Record]:
    """Return the records of the whole plate, by name; errors as :func:`read_record`."""
    found = {rule: read_record(results, rule) for rule in (*PLATE_RULES, EARLIER, UNFINISHED)}
    return {rule: record for rule, record in found.items() if record is not None}


def has_records(results: str | os.PathLike[str]) -> bool:
    """Tell whether results have a record of any plate job or well."""
    return any(record_path(results, rule).is_file() for rule in (*PLATE_RULES, EARLIER)) or bool(
        recorded_wells(results)
    )


def announce(results: str | os.PathLike[str], rule: str, paths: Iterable[str], *, well: str = "") -> None:
    """Add files that a job is about to write to its record; *paths* are relative to the results.

    Before the first record of a plate, the files that a version without records left are listed as they are.

    Raises
    ------
    DestinationExistsError
        At one of the paths there is something that no record lists, or a link.
    """
    if not has_records(results):
        _list_earlier(Path(results))
    record = read_record(results, rule, well) or _by_manifest(Path(results), well) or Record()
    known, paths = record.paths(), list(dict.fromkeys(paths))
    new = [path for path in paths if path not in known]
    if links := [path for path in paths if os.path.islink(Path(results, path))]:
        raise not_ours(Path(results, min(links)))
    there = [path for path in new if os.path.lexists(Path(results, path)) and not _in_listed_folder(path, known)]
    if there and (others := set(there) - (read_record(results, EARLIER) or Record()).paths()):
        raise not_ours(Path(results, min(others)))
    if new or not record_path(results, rule, well).exists():
        _write(results, rule, well, record.of, [*record.files, *({"path": path} for path in new)])


def not_ours(path: str | os.PathLike[str]) -> DestinationExistsError:
    """Return the error for a path that a result needs and where something lies that no record lists.

    It stops the job; the well does not fail.
    """
    return DestinationExistsError(
        f"{os.fspath(path)} was not written by Wellfield, and a result goes there; it is left as it is. Move it away "
        "and run the same command again"
    )


def _in_listed_folder(path: str, known: Iterable[str]) -> bool:
    return any(entry.endswith("/") and path.startswith(entry) for entry in known)


def write_record(
    results: str | os.PathLike[str],
    rule: str,
    files: Iterable[Mapping[str, Any]],
    *,
    of: Mapping[str, Any],
    well: str = "",
) -> None:
    """List the complete *files* of a job, as :func:`~wellfield.results.manifest.file_entry` describes them.

    Logs and benchmarks that were listed before stay listed without checksums: they change until the job ends.
    """
    before = read_record(results, rule, well) or Record()
    kept = [entry for entry in before.files if str(entry["path"]).startswith(("logs/", "benchmarks/"))]
    _write(results, rule, well, of, [*kept, *files], durable=True)


def from_results(folder: str | os.PathLike[str], results: str | os.PathLike[str]) -> str:
    """Return the path of a raw plate relative to the results; moving or copying a whole project does not change it."""
    return os.path.relpath(os.path.realpath(folder), os.path.realpath(results))


def write_plate_record(
    results: str | os.PathLike[str], rule: str, paths: Iterable[str | os.PathLike[str]], *, of: Mapping[str, Any]
) -> None:
    """List the complete files *paths* of a plate's job, with their checksums."""
    from wellfield.results.manifest import file_entry

    folder = Path(results)
    write_record(results, rule, [file_entry(folder, Path(path)) for path in paths], of=of)


def _write(
    results: str | os.PathLike[str],
    rule: str,
    well: str,
    of: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
    *,
    durable: bool = False,
) -> None:
    data = {
        "schema_version": RECORD_SCHEMA_VERSION,
        "rule": rule,
        "of": of,
        "files": sorted(files, key=lambda entry: str(entry["path"])),
    }
    write_json(record_path(results, rule, well), data, indent=None if well else 2, durable=durable)


def _read(path: Path) -> Record:
    data = RECORD.read(path)
    return Record(tuple(data["files"]), data["of"])


def _paths(entry: Mapping[str, Any]) -> Iterator[Any]:
    path, names = entry.get("path"), entry.get("names")
    if isinstance(path, str) and path.endswith("/") and isinstance(names, list):
        yield from (path + name if isinstance(name, str) else name for name in names)
    else:
        yield path


# --- results of a version without records -------------------------------------------------------------------

_PROFILE = re.compile(r"illumination/w[0-9]+(_background)?\.npy")


def is_results(results: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds results of a plate: a record, an index or a manifest."""
    folder = Path(results)
    return has_records(folder) or _has_index(folder) or any(True for _ in _manifests(folder))


def _has_index(folder: Path) -> bool:
    from wellfield.errors import SchemaVersionError, WellfieldError
    from wellfield.plate.index import read_info

    try:
        return bool(read_info(folder / PlateFile.INDEX))
    except SchemaVersionError as error:
        return "not written by Wellfield" not in str(error)
    except WellfieldError:
        return False


def _manifests(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each well that has a manifest, and the manifest."""
    wells = folder / WellFile.MANIFEST.folder
    for path in sorted(wells.glob("*.json")) if wells.is_dir() else ():
        if (data := _manifest(path)) is not None:
            yield path.stem, data


def _manifest(path: Path) -> Mapping[str, Any] | None:
    """Return a manifest; ``None`` if there is none, or if the file is something else."""
    try:
        data = read_json(path)
    except (MetadataError, OSError):
        return None
    is_ours = isinstance(data, dict) and data.get("well") == path.stem and isinstance(data.get("files"), list)
    return data if is_ours else None


def has_manifest(results: str | os.PathLike[str], well: str) -> bool:
    """Tell whether a well has a manifest, which replaces a lost record."""
    return _manifest(Path(results, WellFile.MANIFEST.of(well))) is not None


def _by_manifest(results: Path, well: str) -> Record | None:
    """Return the record of a well, made from its manifest; ``None`` if it has none."""
    manifest = _manifest(results / WellFile.MANIFEST.of(well)) if well else None
    if manifest is None:
        return None
    named = [*(file.of(well) for file in WellFile), *job_files(WELL_RULES, well)]
    files = [entry for entry in manifest["files"] if isinstance(entry, dict) and is_inner(entry.get("path"))]
    return Record((*files, *({"path": path} for path in named if _is(results, path))))


def _list_earlier(results: Path) -> None:
    """List what a version without records left: the files of every manifest, and the plate's files by their names."""
    found: list[str] = [*PlateFile, *store_files(well for well, _ in _manifests(results))]
    for rule in (*PLATE_RULES, *WELL_RULES):
        found += [path for kind in ("logs", "benchmarks") for path in _children(results, f"{kind}/{rule}")]
    tables = _children(results, PLATE_TABLES)
    stems = [path.removesuffix(".csv") for path in tables if path.endswith(".csv")]
    found += [f"{stem}{end}" for stem in stems if f"{stem}.parquet" in tables for end in (".csv", ".parquet")]
    found += [path for path in _children(results, "illumination") if _PROFILE.fullmatch(path)]
    of_wells = {well: record for well, _ in _manifests(results) if (record := _by_manifest(results, well)) is not None}
    found += [path for record in of_wells.values() for path in record.paths()]
    # All names first: no name is lost if this job is killed here, or if another job lists them at the same time.
    if listed := [{"path": path} for path in dict.fromkeys(found) if _is(results, path)]:
        _write(results, EARLIER, "", {}, listed)
    for well, record in of_wells.items():
        if not record_path(results, WELL_RULES[-1], well).exists():
            _write(results, WELL_RULES[-1], well, {}, record.files)


def _is(results: Path, path: str) -> bool:
    return (results / path).is_file() and not (results / path).is_symlink()


def _children(results: Path, folder: str) -> list[str]:
    place = results / folder
    return [f"{folder}/{name}" for name in sorted(os.listdir(place))] if place.is_dir() else []


def store_files(wells: Iterable[str]) -> list[str]:
    """Return the metadata files that a store with these wells may have for itself and its rows, without its wells'."""
    rows = sorted({f"/{well.rstrip('0123456789')}" for well in wells})
    return [f"{STORE_NAME}{row}/{name}" for row in ("", *rows) for name in ("zarr.json", ".zgroup", ".zattrs")]
