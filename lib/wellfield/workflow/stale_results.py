"""Results that are not of what is asked for: found before the first job, whatever Snakemake's own records say.

Example: the folder ``.snakemake`` was removed and ``sigma`` edited. Snakemake sees a plan and takes it for done; the
record of the plan names another pipeline, so the plan is made again. Only files of the results are looked at, each
once, by name and size; a file that was altered to the same size is found by ``wellfield validate``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wellfield.errors import ConfigError, DataNotFoundError, MetadataError
from wellfield.formatting import counted
from wellfield.microscopes.ingest_report import read_report
from wellfield.microscopes.scan import ScannedFile
from wellfield.pipeline.plan_file import PLAN, plan_digest, processing_digest
from wellfield.plate.addresses import ARRAY_METADATA, parse_array_plane
from wellfield.plate.index import read_index, read_info
from wellfield.results.manifest import read_manifest
from wellfield.results.records import Record, from_results, plate_records, read_record
from wellfield.results.staged_well import STAGING, staged_processing

REPORT_FILE = "ingest_report.json"
INDEX, PLAN_FILE, COUNTS = "index.parquet", "plan.json", "cell_counts.csv"
FIT = "illumination/illumination.json"
# Of each job of a plate one output, by which Snakemake is told to do it again.
OUTPUTS: Mapping[str, str] = {
    "ingest_plate": INDEX,
    "compile_plan": PLAN_FILE,
    "fit_illumination": FIT,
    "aggregate_plate": COUNTS,
    "report_plate": "report/summary.html",
    "check_plate": "check_plate.json",
}
_NAMED = 5
_MANY = ("images/", "rois/")


@dataclass(frozen=True)
class Asked:
    """What is asked for: a line of the plate sheet, and digests as the records of the jobs have them.

    Parameters
    ----------
    folder:
        Raw plate as the sheet spells it.
    wells:
        The wells that the sheet names, ``None`` for all.
    illumination:
        Source and method of the fit; ``None`` where the pipeline corrects no illumination.
    plate_map:
        Digest of the plate map, ``""`` without one.
    """

    plate: str
    folder: str
    microscope: str
    layout: str
    pipeline: str
    functions: str
    wells: Sequence[str] | None
    illumination: tuple[str, str] | None
    plate_map: str


def stale_outputs(
    results: str | os.PathLike[str], asked: Asked, files: Callable[[], Iterable[ScannedFile]]
) -> dict[str, str]:
    """Return the outputs of a plate to be made again, relative to *results*, each with the reason.

    *files* gives those of the raw plate; it is called only where the results are of another folder.

    Raises
    ------
    ConfigError
        The results are of another raw plate.
    MetadataError, SchemaVersionError
        A file of the results is damaged, or of another version of Wellfield.
    """
    folder = Path(results)
    if not (folder / INDEX).exists():
        return {}
    info = read_info(folder / INDEX)
    if (folder / REPORT_FILE).exists():
        read_report(folder / REPORT_FILE)  # read again while jobs are chosen, where Snakemake adds to an error
    if info.plate != asked.plate:
        raise ConfigError(
            f"{results} holds results of plate {info.plate}, and all its tables say so; the plate sheet asks for plate "
            f"{asked.plate} there. Give the folder its name back, or move it away: the plate is done again then"
        )
    records = plate_records(folder)
    stale: dict[str, str] = {}
    for rule, record in records.items():
        if rule in OUTPUTS and (problem := _files_problem(folder, record)):
            stale[OUTPUTS[rule]] = problem
    stale |= _of_another_run(records, asked, info.wells)
    wells = [well for well in info.wells if asked.wells is None or well in asked.wells]
    old = str(_of(records, "ingest_plate").get("folder") or os.path.realpath(info.plate_path))
    if old != os.path.realpath(asked.folder):
        moved_along = _of(records, "ingest_plate").get("from_results") == from_results(asked.folder, folder)
        changed = [] if moved_along else _moved(folder, old, asked, {file.path: file for file in files()})
        if asked.folder != info.plate_path:
            stale[INDEX] = f"it is of {info.plate_path}"
            for well in (well for well in changed if well in wells):
                stale |= dict.fromkeys((f"wells/{well}.json", f"{STAGING}/{well}"), "planes of another time")
    stale |= _stale_wells(folder, wells, None if PLAN_FILE in stale else folder / PLAN_FILE)
    if asked.illumination is None:
        stale.pop(FIT, None)
    return {output: reason for output, reason in stale.items() if output != PLAN_FILE or (folder / PLAN_FILE).exists()}


def _of(records: Mapping[str, Record], rule: str) -> Mapping[str, Any]:
    return records[rule].of if rule in records else {}


def _of_another_run(records: Mapping[str, Record], asked: Asked, present: Sequence[str]) -> dict[str, str]:
    """Return the outputs that were made of something else than is asked for."""
    stale = {}
    mapped, plan, fit = (_of(records, rule) for rule in ("ingest_plate", "compile_plan", "fit_illumination"))
    if mapped and (mapped.get("microscope"), mapped.get("layout")) != (asked.microscope, asked.layout):
        stale[INDEX] = f"it was read as {mapped.get('microscope')}, or by another layout"
    # Results of a version without records do not say which pipeline they are of.
    if (plan.get("pipeline"), plan.get("functions")) != (asked.pipeline, asked.functions):
        stale[PLAN_FILE] = "it is of another pipeline" if plan else "it does not say which pipeline it is of"
    if fit and asked.illumination and (fit.get("source"), fit.get("method")) != asked.illumination:
        stale[FIT] = "it was fitted in another way"
    tables = _of(records, "aggregate_plate")
    if tables and tables.get("plate_map", "") != asked.plate_map:
        stale[COUNTS] = "it is of another plate map"
    joined = [well for well in tables.get("wells", ()) if well in present]
    if tables and joined != [well for well in present if asked.wells is None or well in asked.wells]:
        stale[COUNTS] = "it is of other wells"
    return stale


def _files_problem(results: Path, record: Record) -> str | None:
    """Return what is wrong with the files that a record lists with their size: missing, or of another size.

    Of images and regions, of which a well may have thousands, the names are looked at alone.
    """
    names = cache(_names)
    for entry in record.files:
        path, size = entry["path"], entry.get("size")
        if size is None:
            continue
        if path.startswith(_MANY):
            folder, _, name = path.rpartition("/")
            if name not in names(results / folder):
                return f"{path} is missing"
            continue
        try:
            found = os.stat(results / path)
        except OSError:
            return f"{path} is missing"
        if not path.endswith("/") and found.st_size != size:
            return f"{path} has {found.st_size:,} bytes where {size:,} were written"
    return None


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _stale_wells(results: Path, wells: Iterable[str], plan: Path | None) -> dict[str, str]:
    """Return the manifests of wells that lack files or are of another plan than the one in *plan* (``None``: any).

    So are staged wells that were kept, if the plan computes something else.
    """
    digest = processing = None
    with suppress(DataNotFoundError):
        if plan is not None:
            values = PLAN.read(plan)
            digest, processing = plan_digest(values), processing_digest(values)
    stale = {}
    for well in wells:
        output = f"wells/{well}.json"
        record = read_record(results, "", well)
        if record is None or not record.of:
            problem, made = _by_manifest(results, well)
        else:
            problem, made = _files_problem(results, record), record.of.get("plan")
            if problem and problem.startswith(output) and (results / output).exists():
                _refuse_newer(results / output)
        if problem or (digest is not None and made not in (None, digest)):
            stale[output] = problem or "it is of another plan"
        stage = f"{STAGING}/{well}"
        if processing is not None and staged_processing(results / stage) not in ("", processing):
            stale[stage] = "it is of another plan"
    return stale


def _by_manifest(results: Path, well: str) -> tuple[str | None, str | None]:
    """Return what :func:`_files_problem` finds by a well's manifest, and the plan that the well was made by."""
    path = results / "wells" / f"{well}.json"
    if not path.exists():
        return None, None  # of a well that was never finished; Snakemake does it
    manifest = read_manifest(path)
    return _files_problem(results, Record(tuple(manifest["files"]))), manifest["plan_digest"]


def _refuse_newer(manifest: Path) -> None:
    """Raise if another version of Wellfield wrote a manifest; a damaged one is made again."""
    try:
        read_manifest(manifest)
    except MetadataError:
        return


def _moved(results: Path, old: str, asked: Asked, files: Mapping[str, ScannedFile]) -> list[str]:
    """Return the finished wells that have planes of another time in the raw plate, which is the old one elsewhere.

    It is if one finished well at least has all its planes there, in name, size and time.

    Raises
    ------
    ConfigError
        It is another plate.
    """
    info, planes = read_index(results / INDEX)
    finished = {well for well in info.wells if (results / "wells" / f"{well}.json").exists()}
    absent: set[str] = set()
    changed: set[str] = set()
    for plane in planes:
        address = parse_array_plane(plane.path)
        if address is not None:
            names = (f"{address.array}/{name}" for name in ARRAY_METADATA)
            if not any(name in files for name in names):
                absent.add(plane.key.well)
            continue
        file = files.get(plane.path)
        if file is None or file.size != plane.size:
            absent.add(plane.key.well)
        elif file.mtime_ns != plane.mtime_ns:
            changed.add(plane.key.well)
    if finished and not finished - absent - changed:
        raise ConfigError(
            f"{results} holds results of {old}, and the plate sheet says {asked.folder} for plate {asked.plate}, which "
            f"has the planes of none of {counted(len(finished), 'finished well')}, such as {min(finished)}, by name, "
            "size and time: it is another plate, or a copy without the times of its files (cp -a and rsync -a keep "
            f"them). Choose another plate name or results folder, or move {results} away"
        )
    return sorted(finished & (absent | changed))


def said(plate: str, stale: Mapping[str, str]) -> list[str]:
    """Return a line for each output of a plate that is made again, of wells one for all."""
    of_plate = {output: why for output, why in stale.items() if not _well(output) and not output.startswith(STAGING)}
    lines = [f"{plate}: {output} is to be made again: {why}" for output, why in of_plate.items()]
    wells = [_well(output) for output in stale if _well(output)]
    if wells:
        first = f"wells/{wells[0]}.json"
        named = ", ".join(wells[:_NAMED]) + (", …" if len(wells) > _NAMED else "")
        lines.append(f"{plate}: {counted(len(wells), 'well')} to be done again ({named}): {stale[first]}")
    return lines


def _well(output: str) -> str:
    kind, _, name = output.partition("/")
    return name.removesuffix(".json") if kind == "wells" else ""
