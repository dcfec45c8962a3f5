"""``wellfield validate``: compare results with their own records and manifests, or with other results.

Every problem is a line in the list that is returned, with the name of the file; so is an error of a library.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from wellfield.errors import ValidationError, WellfieldError
from wellfield.formats.checked_json import OwnJson
from wellfield.formats.roi import read_rois
from wellfield.formats.tiff import read_calibration, read_tiff
from wellfield.formatting import counted
from wellfield.microscopes.ingest_report import read_report
from wellfield.pipeline.plan import Plan
from wellfield.plate.index import read_index
from wellfield.plate.plate import Plate
from wellfield.plate.wells import is_well
from wellfield.results.columns import WELL
from wellfield.results.manifest import file_entry, folder_entry, read_manifest
from wellfield.results.paths import (
    PLATE_RULES,
    PLATE_TABLES,
    RECORDS,
    RULE_FILES,
    STORE_NAME,
    UNFINISHED,
    WELL_RULES,
    PlateFile,
    WellFile,
    files_of,
)
from wellfield.results.records import (
    EARLIER,
    Record,
    has_records,
    read_record,
    record_path,
)
from wellfield.results.status import failed_wells, failure_lines
from wellfield.results.well_jobs import JOB_NAME, read_job
from wellfield.storage.workspace_metadata import main_subdirectory, read_metadata
from wellfield.storage.zarr.addressing import well_folder
from wellfield.storage.zarr.well_index import NODE_FILES
from wellfield.workflow.cell_counts import REQUIRED
from wellfield.workflow.fit_illumination import read_fit
from wellfield.workflow.plate_tables import AGAIN, read_table

_CHECK = OwnJson("result of the check", None, {"wells": int, "planes_used": int}, "Delete it and run again")

Manifests = Mapping[str, Mapping[str, Any]]


def check_results(results: str | os.PathLike[str]) -> list[str]:
    """Return what is wrong with the results of a plate: one line for each problem, with the name of the file.

    Every file is compared with its size and SHA-256 in a record or manifest. Wellfield's own tables and JSON files are
    read. The wells that ``plate.zarr`` lists are compared with manifests and folders. A failed well is a problem, too.
    Links below the folder are not followed.

    Raises
    ------
    ValidationError
        The folder holds no manifest.
    """
    folder = Path(results)
    problems: list[str] = []
    manifests = _manifests(folder, problems)
    entries = _Entries(folder)
    # Records first: they name Wellfield's files of a well in the store, so that the user's files there do not count.
    problems += _check_records(folder, entries, set(manifests))
    for well, manifest in manifests.items():
        problems += [f"well {well}: {problem}" for entry in manifest["files"] for problem in entries.problems(entry)]
    problems += _check_plate_files(folder, manifests)
    problems += _check_store(folder, manifests)
    if failures := failure_lines(manifests):
        problems.append(f"{len(failures)} of {counted(len(manifests), 'well')} failed:")
        problems += [f"well {well}: {why}" for well, why in failures.items()]
    return list(dict.fromkeys(problems))


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _attempt(problems: list[str], folder: Path, read: Callable[[], Any]) -> Any:
    """Return the result of *read*; if it raises an error of ours, add a problem and return ``None``."""
    try:
        return read()
    except WellfieldError as error:
        problems.append(_one_line(error).replace(f"{folder}/", ""))
        return None


def _manifests(folder: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """Return the manifests that can be read; add a problem for each other one."""
    wells = folder / WellFile.MANIFEST.folder
    files = sorted(wells.glob("*.json")) if wells.is_dir() else []
    if not files:
        raise ValidationError(f"{folder} holds no results: no manifest in {wells}")
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        if problem := _link(folder, file.relative_to(folder).as_posix()):
            problems.append(problem)
            continue
        if not is_well(file.stem) and JOB_NAME.fullmatch(file.stem):
            _attempt(problems, folder, partial(read_job, file))
            continue
        manifest = _attempt(problems, folder, partial(read_manifest, file))
        if manifest is None:
            continue
        if manifest["well"] != file.stem:
            problems.append(f"{WellFile.MANIFEST.of(file.stem)} is the manifest of well {manifest['well']}")
        found[file.stem] = manifest
    return found


# --- files and their checksums -----------------------------------------------------------------------------------


def _link(folder: Path, path: str) -> str | None:
    """Return the problem of a path below the results that is a link or lies in one; ``None`` if it does not."""
    place = folder
    for part in path.strip("/").split("/"):
        place = place / part
        if place.is_symlink():
            return (
                f"{place.relative_to(folder).as_posix()} is a link, which Wellfield does not make; it is not followed"
            )
    return None


class _Entries:
    """Compares each entry of records and manifests once with its file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[tuple[str, str], list[str]] = {}

    def problems(self, entry: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with the file or folder of an entry; nothing if the entry has no checksum."""
        if "sha256" not in entry:
            return []
        key = entry["path"], entry["sha256"]
        if key not in self._seen:
            self._seen[key] = list(self._compare(entry))
        return self._seen[key]

    def _compare(self, entry: Mapping[str, Any]) -> Iterator[str]:
        name, path = entry["path"], self._folder / entry["path"]
        is_folder = name.endswith("/")
        names = self._names(entry) if is_folder else [name]
        if links := [problem for problem in (_link(self._folder, file) for file in (name, *names)) if problem]:
            yield links[0]
            return
        if not (path.is_dir() if is_folder else path.is_file()):
            yield f"{name} is missing"
            return
        inside = [file.removeprefix(name) for file in names]
        if is_folder and (gone := [file for file in inside if not (path / file).is_file()]):
            yield f"{name}{gone[0]} is missing" + (f", and {len(gone) - 1} more files there" if len(gone) > 1 else "")
            return
        try:
            kept = inside if is_folder and "names" in entry else None
            found = folder_entry(self._folder, path, names=kept) if is_folder else file_entry(self._folder, path)
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror or error}"
            return
        if found["sha256"] != entry["sha256"]:
            yield f"{name} was altered after it was written ({found['size']:,} bytes; {entry['size']:,} were written)"

    def _names(self, entry: Mapping[str, Any]) -> list[str]:
        """Return the files of a well in the store that the record names; if it names none, all that are there."""
        if "names" in entry:
            return [entry["path"] + name for name in entry["names"]]
        path = self._folder / entry["path"]
        found = path.rglob("*") if path.is_dir() else ()
        return [file.relative_to(self._folder).as_posix() for file in found if file.is_file() or file.is_symlink()]


def _check_records(folder: Path, entries: _Entries, wells: set[str]) -> list[str]:
    """Compare the files of every record. Versions without records left results without any."""
    problems: list[str] = []
    if not has_records(folder):
        return problems
    with_records = (folder / RECORDS / "wells").glob("*.json") if (folder / RECORDS / "wells").is_dir() else ()
    for well in sorted({file.stem for file in with_records} | wells):
        record: Record | None = _attempt(problems, folder, partial(read_record, folder, WELL_RULES[-1], well))
        for entry in record.files if record is not None else ():
            problems += [f"well {well}: {problem}" for problem in entries.problems(entry)]
        if not record_path(folder, "", well).exists():
            problems.append(f"well {well}: {RECORDS}/wells/{well}.json is missing")
    for rule in (*PLATE_RULES, EARLIER, UNFINISHED):
        record = _attempt(problems, folder, partial(read_record, folder, rule))
        for entry in record.files if record is not None else ():
            problems += entries.problems(entry)
    written = {file.rule: file for file in RULE_FILES if (folder / file).exists()}
    if not record_path(folder, EARLIER).exists():
        problems += [
            f"{RECORDS}/{rule}.json is missing: nothing says what {name} should be"
            for rule, name in written.items()
            if not record_path(folder, rule).exists()
        ]
    return problems


# --- files of the plate ------------------------------------------------------------------------------------------


def _check_plate_files(folder: Path, manifests: Manifests) -> list[str]:
    """Read the plate's own files, and compare what they say about the wells."""
    problems: list[str] = []
    optional = {PlateFile.ILLUMINATION, *((PlateFile.CHECK,) if failed_wells(manifests) else ())}
    there = {name for name in RULE_FILES if (folder / name).is_file() and not _link(folder, name)}
    absent = [name for name in RULE_FILES if name not in optional | there]
    problems += [_link(folder, name) or f"{name} is missing" for name in absent]

    def read(name: PlateFile, how: Callable[[Path], Any]) -> Any:
        return _attempt(problems, folder, lambda: how(folder / name)) if name in there else None

    found = read(PlateFile.INDEX, read_index)
    info: Plate | None = found[0] if found else None
    read(PlateFile.METADATA, lambda path: main_subdirectory(read_metadata(path.parent), source=str(path)))
    read(PlateFile.INGEST_REPORT, read_report)
    plan: Plan | None = read(PlateFile.PLAN, Plan.read)
    read(PlateFile.CHECK, _CHECK.read)
    read(PlateFile.ILLUMINATION, read_fit)
    if plan is not None and plan.illuminated_channels and PlateFile.ILLUMINATION not in there:
        problems.append(f"{PlateFile.ILLUMINATION} is missing")
    if plan is not None:
        digest = plan.digest()
        others = [well for well, manifest in manifests.items() if manifest["plan_digest"] != digest]
        problems += [
            f"well {well}: {WellFile.MANIFEST.of(well)} is of another plan than {PlateFile.PLAN}" for well in others
        ]
    counts = read(PlateFile.COUNTS, lambda path: read_table(path, REQUIRED, again=AGAIN))
    read(PlateFile.OBJECTS, lambda path: read_table(path, (), again=AGAIN))
    for name in _tables(folder, "*.parquet"):
        _attempt(problems, folder, partial(read_table, folder / name, (), again=AGAIN))
    if counts is not None:
        problems += _check_counts(folder, counts, manifests, csv=PlateFile.COUNTS_CSV in there)
    if info is not None:
        problems += [
            f"well {well}: has results, but no plane in {PlateFile.INDEX}" for well in set(manifests) - set(info.wells)
        ]
    return problems


def _tables(folder: Path, pattern: str) -> list[str]:
    return sorted(f"{PLATE_TABLES}/{path.name}" for path in folder.glob(f"{PLATE_TABLES}/{pattern}"))


def _check_counts(folder: Path, counts: Any, manifests: Manifests, *, csv: bool) -> list[str]:
    """Compare the wells in the counts with the wells that have a manifest, and the CSV with the Parquet file."""
    counted_wells, found = set(counts[WELL].astype(str)), set(manifests)
    problems = [f"well {well}: in {PlateFile.COUNTS}, but without a manifest" for well in sorted(counted_wells - found)]
    problems += [f"well {well}: not in {PlateFile.COUNTS}" for well in sorted(found - counted_wells)]
    if csv:
        text = counts.to_csv(index=False, lineterminator="\n")
        if (folder / PlateFile.COUNTS_CSV).read_bytes() != text.encode("utf-8", errors="surrogatepass"):
            problems.append(f"{PlateFile.COUNTS_CSV} has other content than {PlateFile.COUNTS}")
    return problems


# --- the store ---------------------------------------------------------------------------------------------------


def _check_store(folder: Path, manifests: Manifests) -> list[str]:
    """Compare the wells that the store lists with the manifests and its folders; open all of them with ome-zarr-py."""
    store = folder / STORE_NAME
    stored = {well for well, m in manifests.items() if any(e["path"].startswith(f"{STORE_NAME}/") for e in m["files"])}
    if _link(folder, STORE_NAME):
        return [str(_link(folder, STORE_NAME))]
    if not store.is_dir():
        return [f"{STORE_NAME} is missing"] if stored else []
    paths = {well_folder(store, well).relative_to(store).as_posix(): well for well in stored}
    there = {path for path in _well_paths(store) if not _link(folder, f"{STORE_NAME}/{path}")}
    problems: list[str] = []
    listed = set(_attempt(problems, folder, lambda: _listed(store)) or ())
    if not problems:
        problems += [f"{STORE_NAME}/{path}: not in the listing of {STORE_NAME}" for path in sorted(set(paths) - listed)]
        problems += [f"{STORE_NAME} lists {path!r}, which no manifest has" for path in sorted(listed - set(paths))]
    problems += [f"{STORE_NAME}/{path}: a well that no manifest has" for path in sorted(there - set(paths))]
    for path in sorted(listed & there & set(paths)):
        if not _attempt(problems, folder, partial(_open_well, store, path)):
            problems.append(f"{STORE_NAME}/{path}: well without image")
    return problems


def _well_paths(store: Path) -> list[str]:
    """Return the groups of wells in a store: ``B/02``. Anything else there belongs to the user."""
    groups = [path for path in store.glob("*/*") if any((path / name).is_file() for name in NODE_FILES)]
    found = [path.relative_to(store).as_posix() for path in groups]
    return [path for path in found if is_well(path.replace("/", ""))]


@contextmanager
def _opening(name: str, what: str) -> Iterator[None]:
    """Turn any error in the block into one that names the part of the store."""
    try:
        yield
    except WellfieldError:
        raise
    except Exception as error:  # zarr raises errors of many kinds for damaged metadata
        raise ValidationError(f"{name}: cannot be opened as {what}: {error!r}") from error


def _listed(store: Path) -> list[str]:
    """Return the wells that the store lists; open the group of each row."""
    import zarr

    with _opening(STORE_NAME, "an OME-Zarr plate"):
        plate = zarr.open_group(store, mode="r")
        wells = [str(well["path"]) for well in _ngff(plate)["plate"]["wells"]]
        for row in sorted({path.partition("/")[0] for path in wells}):
            with _opening(f"{STORE_NAME}/{row}", "a row of the plate"):
                zarr.open_group(store / row, mode="r")
        return wells


def _open_well(store: Path, well: str) -> list[str]:
    """Return the images of a well after ome-zarr-py has opened each of them, with its levels and labels."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own, while it is imported
        from ome_zarr.format import format_from_version
        from ome_zarr.io import ZarrLocation
        from ome_zarr.reader import Multiscales, Node

    with _opening(f"{STORE_NAME}/{well}", "a well"):
        described = _ngff(zarr.open_group(store / well, mode="r"))["well"]
        images = [str(image["path"]) for image in described["images"]]
        for image in images:
            location = ZarrLocation(store / well / image, fmt=format_from_version(described["version"]))
            if Node(location, [location]).first(Multiscales) is None:
                raise ValueError(f"{image} is not an OME-Zarr image")
        return images


def _ngff(group: Any) -> Any:
    """Return the OME-Zarr metadata of a group: below ``ome`` since version 0.5, at the top before."""
    return group.attrs.get("ome", group.attrs)


# --- two results -------------------------------------------------------------------------------------------------


def compare_results(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> list[str]:
    """Return how the results of two runs differ: wells, status, decoded pixels, calibration and tables.

    The bytes of compressed files and the ``run`` block of manifests are not compared.

    Raises
    ------
    ValidationError
        One of the folders holds no manifest.
    """
    one, two = Path(first), Path(second)
    unread: list[str] = []
    manifests = _manifests(one, unread), _manifests(two, unread)
    differences = list(unread)
    differences += [f"well {well} is only in one of them" for well in sorted(set(manifests[0]) ^ set(manifests[1]))]
    for well in sorted(set(manifests[0]) & set(manifests[1])):
        a, b = manifests[0][well], manifests[1][well]
        differences += [f"well {well}: {key} differs" for key in ("status", "error", "planes") if a[key] != b[key]]
        paths = [{entry["path"] for entry in manifest["files"]} for manifest in (a, b)]
        differences += [f"{path} is only in one of them" for path in sorted(paths[0] ^ paths[1])]
        for path in sorted(paths[0] & paths[1]):
            differences += _compare(one / path, two / path, path)
    others = {name for folder in (one, two) for name in (*_tables(folder, "*.parquet"), *_tables(folder, "*.csv"))}
    for name in (*files_of("aggregate_plate"), *sorted(others), PlateFile.STATISTICS):
        differences += _compare(one / name, two / name, name)
    return differences


def _compare(one: Path, two: Path, name: str) -> list[str]:
    """Return how two files, or two wells of a store, differ. A file that cannot be read differs."""
    if any(path.is_symlink() for path in (one, two)):
        return [f"{name}: a link, which is not followed"]
    try:
        return _differences(one, two, name)
    except Exception as error:  # readers raise errors of many kinds for damaged files
        return [f"{name}: cannot be compared: {_one_line(error) or type(error).__name__}"]


def _differences(one: Path, two: Path, name: str) -> list[str]:
    if not (one.exists() and two.exists()):
        return [] if one.exists() == two.exists() else [f"{name} is only in one of them"]
    if one.is_dir():
        return list(_compare_groups(one, two, name))
    if one.suffix == ".parquet":
        import pandas as pd  # for which two empty values are equal

        return [] if pd.read_parquet(one).equals(pd.read_parquet(two)) else [f"{name}: the tables differ"]
    if one.suffix in (".tif", ".tiff"):
        same = _equal(read_tiff(one), read_tiff(two)) and read_calibration(one) == read_calibration(two)
        return [] if same else [f"{name}: pixels or calibration differ"]
    if one.name.endswith(".roi.zip"):
        regions = [[roi.tobytes() for roi in read_rois(path)] for path in (one, two)]
        return [] if regions[0] == regions[1] else [f"{name}: the regions differ"]
    return [] if one.read_bytes() == two.read_bytes() else [f"{name}: the files differ"]


def _equal(a: Any, b: Any) -> bool:
    import numpy as np

    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _compare_groups(one: Path, two: Path, name: str) -> Iterator[str]:
    import zarr

    first, second = zarr.open_group(one, mode="r"), zarr.open_group(two, mode="r")
    members: list[dict[str, Any]] = [dict(group.members(max_depth=None)) for group in (first, second)]
    if dict(first.attrs) != dict(second.attrs):
        yield f"{name}: metadata differ"
    for path in sorted(set(members[0]) ^ set(members[1])):
        yield f"{name}{path} is only in one of them"
    for path in sorted(set(members[0]) & set(members[1])):
        a, b = members[0][path], members[1][path]
        if dict(a.attrs) != dict(b.attrs):
            yield f"{name}{path}: metadata differ"
        if isinstance(a, zarr.Array) and not _equal(a[...], b[...]):
            yield f"{name}{path}: pixels differ"
