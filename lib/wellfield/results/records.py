"""Records: which files below a plate's results are Wellfield's, and what they were made of.

``results/P1/records/`` holds a small JSON file for each job that wrote something: ``compile_plan.json`` lists
``plan.json`` with its size and SHA-256, ``wells/B02.json`` all files of well B02. What no record lists is the user's:
it is neither removed nor replaced.

Records are not declared to Snakemake, which removes all declared outputs before a job starts. A job lists the names of
its files before it makes them (:func:`announce`), and with their checksums once they are complete
(:func:`write_record`): a job that is killed leaves no file that no record lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wellfield.errors import DestinationExistsError, MetadataError
from wellfield.formats.json_files import read_json, write_json
from wellfield.formats.checked_json import InnerPath, OwnJson, is_inner
from wellfield.plate.wells import is_well

RECORD_SCHEMA_VERSION = 1
RECORDS = "records"
STORE_NAME = "plate.zarr"
RECORD = OwnJson(
    "record",
    RECORD_SCHEMA_VERSION,
    {"of": dict, "files": [{"path": InnerPath, "size?": int, "sha256?": str, "names?": [InnerPath]}]},
    "Restore it from a copy, or move the results of the plate away and run again",
)

# The jobs of a plate that write files of their own, and of a well: both of a well's jobs share one record.
PLATE_RULES = (
    "ingest_plate",
    "compile_plan",
    "fit_illumination",
    "aggregate_plate",
    "report_plate",
    "check_plate",
)
WELL_RULES = ("process_well", "materialize_well")

# What lay there when the first record was written: results of a version that wrote none.
EARLIER = "earlier"
# The page of a plate that is not finished, which no job writes.
UNFINISHED = "unfinished"

# The folders below the results of a plate that hold files of Wellfield's.
WRITTEN_FOLDERS = (
    ".staging",
    "benchmarks",
    "digests",
    "illumination",
    "images",
    "logs",
    "plate.zarr",
    "plate_tables",
    RECORDS,
    "report",
    "rois",
    "tables",
    "wells",
)


@dataclass(frozen=True)
class Record:
    """What one record says.

    Parameters
    ----------
    files:
        One entry for each file: its ``path`` relative to the results of the plate and, once it is complete, ``size``
        and ``sha256``. A log has its path alone. The path of a folder ends with a slash; its ``names`` are the files
        in it that are Wellfield's.
    of:
        What the files were made of; empty until they are complete for the first time.
    """

    files: tuple[Mapping[str, Any], ...] = ()
    of: Mapping[str, Any] = field(default_factory=dict)

    def paths(self) -> set[str]:
        """Return the path of every file; of a folder without names the folder's, with a slash at its end."""
        return {path for entry in self.files for path in _paths(entry)}


def record_path(results: str | os.PathLike[str], rule: str, well: str = "") -> Path:
    """Return the path of a record: of *rule*, or of a *well*."""
    return Path(results, RECORDS, "wells", f"{well}.json") if well else Path(results, RECORDS, f"{rule}.json")


def read_record(results: str | os.PathLike[str], rule: str, well: str = "") -> Record | None:
    """Return the record of *rule*, or of a *well*; ``None`` where there is none.

    Raises
    ------
    MetadataError
        The file is no record.
    """
    path = record_path(results, rule, well)
    return _read(path) if os.path.lexists(path) else None


def recorded_wells(results: str | os.PathLike[str]) -> list[str]:
    """Return the wells that have a record."""
    folder = Path(results, RECORDS, "wells")
    names = os.listdir(folder) if folder.is_dir() else ()
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(filter(is_well, stems))


def plate_records(results: str | os.PathLike[str]) -> dict[str, Record]:
    """Return the records that are not of a well, by name; errors as :func:`read_record`."""
    found = {rule: read_record(results, rule) for rule in (*PLATE_RULES, EARLIER, UNFINISHED)}
    return {rule: record for rule, record in found.items() if record is not None}


def owned_paths(results: str | os.PathLike[str]) -> set[str]:
    """Return the path of every file below the results of a plate that a record lists, and of the records themselves.

    Raises
    ------
    MetadataError
        A file among the records is none.
    """
    owned = set()
    for rule, record in plate_records(results).items():
        owned |= {f"{RECORDS}/{rule}.json", *record.paths()}
    for well in recorded_wells(results):
        record = read_record(results, "", well) or Record()
        owned |= {f"{RECORDS}/wells/{well}.json", *record.paths()}
    return owned


def has_records(results: str | os.PathLike[str]) -> bool:
    """Tell whether results have a record of any plate job or well."""
    return any(record_path(results, rule).is_file() for rule in (*PLATE_RULES, EARLIER)) or bool(
        recorded_wells(results)
    )


def announce(results: str | os.PathLike[str], rule: str, paths: Iterable[str], *, well: str = "") -> None:
    """List files that a job is about to write beside those that its record lists already; *paths* as in records.

    Before the first record of all, the files that a version without records left are listed as they are.

    Raises
    ------
    DestinationExistsError
        Something is there that no record lists, or a link.
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
    """Return the error for something that no record lists where a result goes: of the job, not of the well's data."""
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

    Of what was listed before, only logs and benchmarks stay: they change until the job ends.
    """
    before = read_record(results, rule, well) or Record()
    kept = [entry for entry in before.files if str(entry["path"]).startswith(("logs/", "benchmarks/"))]
    _write(results, rule, well, of, [*kept, *files], durable=True)


def from_results(folder: str | os.PathLike[str], results: str | os.PathLike[str]) -> str:
    """Return where a raw plate lies, seen from the results: the same where a project is moved or copied as a whole."""
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


# --- results of a version that wrote no records -------------------------------------------------------------------

# Files of a plate by job, as versions without records named them.
PLATE_FILES: Mapping[str, tuple[str, ...]] = {
    "ingest_plate": ("index.parquet", "openhcs_metadata.json", "ingest_report.json"),
    "compile_plan": ("plan.json", "digests/process_well.json", "digests/materialize_well.json"),
    "fit_illumination": ("illumination/illumination.json",),
    "aggregate_plate": ("cell_counts.csv", "cell_counts.parquet", "objects.parquet"),
    "report_plate": (
        "report/heatmap.png",
        "report/montage.png",
        "report/plate_statistics.csv",
        "report/dose_response.png",
        "report/summary.html",
    ),
    "check_plate": ("check_plate.json",),
    UNFINISHED: ("report/unfinished.html",),
}

_PROFILE = re.compile(r"illumination/w[0-9]+(_background)?\.npy")


def is_results(results: str | os.PathLike[str]) -> bool:
    """Tell whether a folder holds results of a plate: a record, or what versions without records wrote for certain."""
    folder = Path(results)
    return has_records(folder) or _has_index(folder) or any(True for _ in _manifests(folder))


def _has_index(folder: Path) -> bool:
    from wellfield.errors import SchemaVersionError, WellfieldError
    from wellfield.plate.index import read_info

    try:
        return bool(read_info(folder / "index.parquet"))
    except SchemaVersionError as error:
        return "not written by Wellfield" not in str(error)
    except WellfieldError:
        return False


def _manifests(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the wells that have a manifest, and what it says."""
    wells = folder / "wells"
    for path in sorted(wells.glob("*.json")) if wells.is_dir() else ():
        if (data := _manifest(path)) is not None:
            yield path.stem, data


def _manifest(path: Path) -> Mapping[str, Any] | None:
    """Return what a manifest says; ``None`` where there is none, or something else."""
    try:
        data = read_json(path)
    except (MetadataError, OSError):
        return None
    is_ours = isinstance(data, dict) and data.get("well") == path.stem and isinstance(data.get("files"), list)
    return data if is_ours else None


def has_manifest(results: str | os.PathLike[str], well: str) -> bool:
    """Tell whether a well has a manifest, which stands in for a record that was lost."""
    return _manifest(Path(results, "wells", f"{well}.json")) is not None


def _by_manifest(results: Path, well: str) -> Record | None:
    """Return the record of a well as its manifest gives it; ``None`` without one."""
    manifest = _manifest(results / "wells" / f"{well}.json") if well else None
    if manifest is None:
        return None
    named = [f"wells/{well}.json", f"report/thumbnails/{well}.npy"]
    named += [f"logs/{rule}/{well}.log" for rule in WELL_RULES]
    named += [f"benchmarks/{rule}/{well}.tsv" for rule in WELL_RULES]
    files = [entry for entry in manifest["files"] if isinstance(entry, dict) and is_inner(entry.get("path"))]
    return Record((*files, *({"path": path} for path in named if _is(results, path))))


def _list_earlier(results: Path) -> None:
    """List what a version without records left: the files of every manifest, and those of the plate by their names."""
    found = [name for names in PLATE_FILES.values() for name in names]
    found += store_files(well for well, _ in _manifests(results))
    for rule in (*PLATE_RULES, *WELL_RULES):
        found += [path for kind in ("logs", "benchmarks") for path in _children(results, f"{kind}/{rule}")]
    tables = _children(results, "plate_tables")
    stems = [path.removesuffix(".csv") for path in tables if path.endswith(".csv")]
    found += [f"{stem}{end}" for stem in stems if f"{stem}.parquet" in tables for end in (".csv", ".parquet")]
    found += [path for path in _children(results, "illumination") if _PROFILE.fullmatch(path)]
    of_wells = {well: record for well, _ in _manifests(results) if (record := _by_manifest(results, well)) is not None}
    found += [path for record in of_wells.values() for path in record.paths()]
    # All names first: a job that is killed here, or another one that lists at the same time, loses none.
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
    """Return the metadata files that a store with these wells may have for itself and its rows, and not for a well."""
    rows = sorted({f"/{well.rstrip('0123456789')}" for well in wells})
    return [f"plate.zarr{row}/{name}" for row in ("", *rows) for name in ("zarr.json", ".zgroup", ".zattrs")]
