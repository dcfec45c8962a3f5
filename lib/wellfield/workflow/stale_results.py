"""Find stale results before the first job: results that do not fit the plate sheet and the configuration.

Snakemake's own records are not needed for this. Example: the folder ``.snakemake`` was removed and ``sigma`` was
edited. Snakemake sees a plan and takes it as done. The record of the plan names another pipeline, so the plan is made
again. Only files of the results are looked at, each once, by name and size. ``wellfield validate`` also finds a file
that was altered and kept its size.
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
from wellfield.results.paths import PLATE_RULES, STAGING, PlateFile, WellFile, main_file
from wellfield.results.records import Record, from_results, plate_records, read_record
from wellfield.results.staged_well import staged_processing
from wellfield.results.well_jobs import WellJobs

_NAMED = 5
_NO_JOBS = WellJobs()
_MANY = ("images/", "rois/")


@dataclass(frozen=True)
class Asked:
    """What the user asks for: a line of the plate sheet, and digests as in the records of the jobs.

    Parameters
    ----------
    folder:
        Raw plate as the sheet spells it.
    wells:
        The wells that the sheet names; ``None`` for all.
    illumination:
        Source and method of the fit; ``None`` if no step corrects the illumination.
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
    results: str | os.PathLike[str],
    asked: Asked,
    files: Callable[[], Iterable[ScannedFile]],
    jobs: WellJobs = _NO_JOBS,
) -> dict[str, str]:
    """Return the files of a plate that must be made again, relative to *results*, each with the reason.

    A well has its manifest and its staged well there, whatever its job is in *jobs*. *files* returns the files of the
    raw plate. It is called only if the results are of another folder.

    Raises
    ------
    ConfigError
        The results are of another raw plate.
    MetadataError, SchemaVersionError
        A file of the results is damaged, or another version of Wellfield wrote it.
    """
    folder = Path(results)
    if not (folder / PlateFile.INDEX).exists():
        return {}
    info = read_info(folder / PlateFile.INDEX)
    report = folder / PlateFile.INGEST_REPORT
    if report.exists():
        # A damaged report is refused here. It is read again while jobs are chosen, where Snakemake adds to an error.
        read_report(report)
    if info.name != asked.plate:
        raise ConfigError(
            f"{results} holds results of plate {info.name}, and all its tables say so; the plate sheet asks for plate "
            f"{asked.plate} there. Rename the folder back, or move it away; then the plate is done again"
        )
    records = plate_records(folder)
    stale: dict[str, str] = {}
    for rule, record in records.items():
        if rule in PLATE_RULES and (problem := _files_problem(folder, record)):
            stale[main_file(rule)] = problem
    stale |= _of_another_run(records, asked, info.wells)
    wells = [well for well in info.wells if asked.wells is None or well in asked.wells]
    old = str(_of(records, "ingest_plate").get("folder") or os.path.realpath(info.path))
    if old != os.path.realpath(asked.folder):
        moved_along = _of(records, "ingest_plate").get("from_results") == from_results(asked.folder, folder)
        changed = [] if moved_along else _moved(folder, old, asked, {file.path: file for file in files()})
        if asked.folder != info.path:
            stale[PlateFile.INDEX] = f"it is of {info.path}"
            for well in (well for well in changed if well in wells):
                outputs = WellFile.MANIFEST.of(well), f"{STAGING}/{well}"
                stale |= dict.fromkeys(outputs, "planes of another time")
    stale |= _stale_wells(folder, wells, None if PlateFile.PLAN in stale else folder / PlateFile.PLAN, jobs)
    if asked.illumination is None:
        stale.pop(PlateFile.ILLUMINATION, None)
    if not (folder / PlateFile.PLAN).exists():
        stale.pop(PlateFile.PLAN, None)
    return stale


def _of(records: Mapping[str, Record], rule: str) -> Mapping[str, Any]:
    return records[rule].of if rule in records else {}


def _of_another_run(records: Mapping[str, Record], asked: Asked, present: Sequence[str]) -> dict[str, str]:
    """Return the files that were made from something else than what the user asks for now."""
    stale: dict[str, str] = {}
    mapped, plan, fit = (_of(records, rule) for rule in ("ingest_plate", "compile_plan", "fit_illumination"))
    if mapped and (mapped.get("microscope"), mapped.get("layout")) != (asked.microscope, asked.layout):
        stale[PlateFile.INDEX] = f"it was read as {mapped.get('microscope')}, or by another layout"
    # Versions without records did not store which pipeline made the results.
    if (plan.get("pipeline"), plan.get("functions")) != (asked.pipeline, asked.functions):
        stale[PlateFile.PLAN] = "it is of another pipeline" if plan else "it does not say which pipeline it is of"
    if fit and asked.illumination and (fit.get("source"), fit.get("method")) != asked.illumination:
        stale[PlateFile.ILLUMINATION] = "it was fitted in another way"
    tables = _of(records, "aggregate_plate")
    if tables and tables.get("plate_map", "") != asked.plate_map:
        stale[PlateFile.COUNTS_CSV] = "it is of another plate map"
    joined = [well for well in tables.get("wells", ()) if well in present]
    if tables and joined != [well for well in present if asked.wells is None or well in asked.wells]:
        stale[PlateFile.COUNTS_CSV] = "it is of other wells"
    return stale


def _files_problem(results: Path, record: Record) -> str | None:
    """Return the first problem of the files that a record lists with a size: missing, or of another size.

    A well may have thousands of images and regions, so only their names are compared.
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


def _stale_wells(results: Path, wells: Iterable[str], plan: Path | None, jobs: WellJobs) -> dict[str, str]:
    """Return the manifests of wells that lack files, or that another plan than *plan* made (``None``: any plan).

    So are staged wells that were kept, if the plan computes something else.
    """
    digest = processing = None
    with suppress(DataNotFoundError):
        if plan is not None:
            values = PLAN.read(plan)
            digest, processing = plan_digest(values), processing_digest(values)
    stale = {}
    for well in wells:
        output = WellFile.MANIFEST.of(well)
        record = read_record(results, "", well)
        if record is None or not record.of:
            problem, made = _by_manifest(results, well)
        else:
            problem, made = _files_problem(results, record), record.of.get("plan")
            if problem and problem.startswith(output) and (results / output).exists():
                _refuse_newer(results / output)
        problem = problem or _lost(results, well, jobs)
        if problem or (digest is not None and made not in (None, digest)):
            stale[output] = problem or "it is of another plan"
        stage = f"{STAGING}/{well}"
        if processing is not None and staged_processing(results / stage) not in ("", processing):
            stale[stage] = "it is of another plan"
    return stale


def _lost(results: Path, well: str, jobs: WellJobs) -> str | None:
    """Return why a well is to be done again though Snakemake asks for it in no way, because of the job that did it.

    Snakemake has no record of a well in another job than the one that did it, and would see no change of its planes.
    Example: the well got a job of its own, and the run was killed before that began.
    """
    job = jobs.of(well)
    record = read_record(results, "", well)
    if record is not None and (done_by := record.of.get("job")) not in (None, job):
        return f"it was done in the job {done_by}"
    if job == well or read_record(results, "", job) is None:
        return None
    files = (WellFile.MANIFEST.of(name) for name in (well, job))
    return next((f"{file} is missing" for file in files if not (results / file).exists()), None)


def job_output(output: str, jobs: WellJobs) -> str:
    """Return the file that Snakemake knows for a file of :func:`stale_outputs`: that of the job, for one of a well."""
    if well := _well(output):
        return WellFile.MANIFEST.of(jobs.of(well))
    folder, _, well = output.partition("/")
    return f"{STAGING}/{jobs.of(well)}.json" if folder == STAGING else output


def _by_manifest(results: Path, well: str) -> tuple[str | None, str | None]:
    """Return what :func:`_files_problem` finds for the files of a manifest, and the plan that made the well."""
    path = results / WellFile.MANIFEST.of(well)
    if not path.exists():
        return None, None  # the well was never finished; Snakemake runs it
    manifest = read_manifest(path)
    return _files_problem(results, Record(tuple(manifest["files"]))), manifest["plan_digest"]


def _refuse_newer(manifest: Path) -> None:
    """Raise if another version of Wellfield wrote the manifest. A damaged manifest is made again."""
    try:
        read_manifest(manifest)
    except MetadataError:
        return


def _moved(results: Path, old: str, asked: Asked, files: Mapping[str, ScannedFile]) -> list[str]:
    """Return the finished wells whose planes have changed, for a raw plate that moved to another folder.

    It is the same plate if all planes of at least one finished well are there with the same name, size and time.

    Raises
    ------
    ConfigError
        It is another plate.
    """
    info, planes = read_index(results / PlateFile.INDEX)
    finished = {well for well in info.wells if (results / WellFile.MANIFEST.of(well)).exists()}
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
            f"{results} holds results of {old}, but the plate sheet says {asked.folder} for plate {asked.plate}. For "
            f"none of {counted(len(finished), 'finished well')}, such as {min(finished)}, are all planes there with "
            "the same name, size and time. It is another plate, or a copy that lost the times of its files (cp -a and "
            f"rsync -a keep them). Choose another plate name or results folder, or move {results} away"
        )
    return sorted(finished & (absent | changed))


def stale_lines(plate: str, stale: Mapping[str, str]) -> list[str]:
    """Return a line for each file of a plate that is made again, and one line for all wells."""
    of_plate = {output: why for output, why in stale.items() if not _well(output) and not output.startswith(STAGING)}
    lines = [f"{plate}: {output} is to be made again: {why}" for output, why in of_plate.items()]
    wells = [_well(output) for output in stale if _well(output)]
    if wells:
        first = WellFile.MANIFEST.of(wells[0])
        named = ", ".join(wells[:_NAMED]) + (", …" if len(wells) > _NAMED else "")
        lines.append(f"{plate}: {counted(len(wells), 'well')} to be done again ({named}): {stale[first]}")
    return lines


def _well(output: str) -> str:
    kind, _, name = output.partition("/")
    return name.removesuffix(".json") if kind == "wells" else ""
